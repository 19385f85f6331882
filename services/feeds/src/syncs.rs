//! Feeds and what became of each wish to synchronise one: the tables `feeds.feed` and `feeds.sync`.

use contracts::feeds::ImportReport;
use contracts::{Accepted, Written};
use eventstore::{StoreError, Tx};
use feeds_domain::catalogue::FeedState;
use kernel::{CommandId, FeedId, PartnerId, PatchId};
use sqlx::types::Json;
use web::ApiError;

/// Which wish for which feed. A command id used again for another feed is another wish.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SyncId {
    pub(crate) command_id: CommandId,
    pub(crate) feed_id: FeedId,
}

/// What was appended, over all attempts of one wish.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct Counts {
    pub(crate) published: i32,
    pub(crate) revised: i32,
    pub(crate) rated: i32,
    pub(crate) withdrawn: i32,
    pub(crate) vulnerabilities: i32,
    pub(crate) documents: i32,
}

/// How a wish ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Ended {
    Completed { report: ImportReport, pos: i64 },
    Refused { code: String, reason: String },
}

impl Ended {
    /// The answer to the one who asked.
    pub(crate) fn answer(self, repeated: bool) -> Result<Accepted<ImportReport>, ApiError> {
        match self {
            Self::Completed { report, pos } => {
                Ok(Accepted { answer: report, written: Some(Written { pos }), repeated })
            }
            Self::Refused { code, reason } => {
                Err(ApiError::new(actix_web::http::StatusCode::UNPROCESSABLE_ENTITY, code, reason))
            }
        }
    }
}

/// Notes a feed as it is now. What is read by itself is read at once where its schedule is new.
pub(crate) async fn remember_feed(
    tx: &mut Tx,
    feed_id: FeedId,
    owner: PartnerId,
    state: &FeedState,
    pos: Option<i64>,
) -> Result<(), StoreError> {
    let (FeedState::Registered { settings, enabled, .. }, Some(pos)) = (state, pos) else { return Ok(()) };
    let every_minutes =
        settings.schedule.map(|schedule| i32::try_from(schedule.every_minutes).unwrap_or(i32::MAX));
    sqlx::query(
        "insert into feeds.feed as f (feed_id, partner_id, name, kind, format, source, enabled, every_minutes, next_at,
                                      publisher, pos)
         values ($1, $2, $3, $4, $5, $6, $7, $8, case when $8 is not null then clock_timestamp() end, $9, $10)
         on conflict (feed_id) do update
            set name = excluded.name,
                source = excluded.source,
                enabled = excluded.enabled,
                every_minutes = excluded.every_minutes,
                next_at = case when f.every_minutes is not distinct from excluded.every_minutes
                                and f.enabled = excluded.enabled
                               then f.next_at else excluded.next_at end,
                publisher = excluded.publisher,
                pos = excluded.pos",
    )
    .bind(feed_id.0)
    .bind(owner.0)
    .bind(&settings.name)
    .bind(word(&settings.kind)?)
    .bind(word(&settings.format)?)
    .bind(&settings.source)
    .bind(enabled)
    .bind(every_minutes)
    .bind(settings.publisher.as_ref().map(Json))
    .bind(pos)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// A word of one of our enums as it stands in facts.
fn word<T: serde::Serialize>(word: &T) -> Result<String, StoreError> {
    let value = serde_json::to_value(word).ok();
    value
        .as_ref()
        .and_then(|value| value.as_str())
        .map(ToOwned::to_owned)
        .ok_or_else(|| StoreError::Corrupt { what: "a word of a feed is no text".to_owned() })
}

/// Whose feed it is; the nil id is the platform. None where there is no such feed.
pub(crate) async fn owner(tx: &mut Tx, feed_id: FeedId) -> Result<Option<PartnerId>, StoreError> {
    let owner: Option<uuid::Uuid> =
        sqlx::query_scalar("select partner_id from feeds.feed where feed_id = $1")
            .bind(feed_id.0)
            .fetch_optional(&mut **tx)
            .await?;
    Ok(owner.map(PartnerId))
}

/// Whose patch it is; the nil id is the platform. None where there is no such patch.
pub(crate) async fn patch_owner(tx: &mut Tx, patch_id: PatchId) -> Result<Option<PartnerId>, StoreError> {
    let owner: Option<uuid::Uuid> =
        sqlx::query_scalar("select partner_id from feeds.patch where patch_id = $1")
            .bind(patch_id.0)
            .fetch_optional(&mut **tx)
            .await?;
    Ok(owner.map(PartnerId))
}

/// Where the feed's last event arrived.
pub(crate) async fn feed_pos(tx: &mut Tx, feed_id: FeedId) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar("select pos from feeds.feed where feed_id = $1")
        .bind(feed_id.0)
        .fetch_one(&mut **tx)
        .await?)
}

/// Adds what one transaction appended.
pub(crate) async fn count(tx: &mut Tx, sync: SyncId, counts: Counts) -> Result<(), StoreError> {
    sqlx::query(
        "insert into feeds.sync as s (command_id, feed_id, published, revised, rated, withdrawn, vulnerabilities,
                                      documents)
         values ($1, $2, $3, $4, $5, $6, $7, $8)
         on conflict (command_id, feed_id) do update
            set published = s.published + excluded.published,
                revised = s.revised + excluded.revised,
                rated = s.rated + excluded.rated,
                withdrawn = s.withdrawn + excluded.withdrawn,
                vulnerabilities = s.vulnerabilities + excluded.vulnerabilities,
                documents = s.documents + excluded.documents",
    )
    .bind(sync.command_id.0)
    .bind(sync.feed_id.0)
    .bind(counts.published)
    .bind(counts.revised)
    .bind(counts.rated)
    .bind(counts.withdrawn)
    .bind(counts.vulnerabilities)
    .bind(counts.documents)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// What was appended so far.
pub(crate) async fn counted(tx: &mut Tx, sync: SyncId) -> Result<Counts, StoreError> {
    let counts: Option<Counts> = sqlx::query_as(
        "select published, revised, rated, withdrawn, vulnerabilities, documents
           from feeds.sync
          where command_id = $1 and feed_id = $2",
    )
    .bind(sync.command_id.0)
    .bind(sync.feed_id.0)
    .fetch_optional(&mut **tx)
    .await?;
    Ok(counts.unwrap_or_default())
}

#[derive(sqlx::FromRow)]
struct EndedRow {
    report: Option<Json<ImportReport>>,
    failure_code: Option<String>,
    failure_reason: Option<String>,
    pos: Option<i64>,
}

/// How the wish ended, if it did.
pub(crate) async fn ended(tx: &mut Tx, sync: SyncId) -> Result<Option<Ended>, StoreError> {
    let row: Option<EndedRow> = sqlx::query_as(
        "select report, failure_code, failure_reason, pos
           from feeds.sync
          where command_id = $1 and feed_id = $2 and ended_at is not null",
    )
    .bind(sync.command_id.0)
    .bind(sync.feed_id.0)
    .fetch_optional(&mut **tx)
    .await?;
    let Some(row) = row else { return Ok(None) };
    match (row.report, row.pos, row.failure_code, row.failure_reason) {
        (Some(Json(report)), Some(pos), None, None) => Ok(Some(Ended::Completed { report, pos })),
        (None, _, Some(code), Some(reason)) => Ok(Some(Ended::Refused { code, reason })),
        _ => Err(StoreError::Corrupt {
            what: format!("feeds.sync {} {} has neither report nor failure", sync.command_id, sync.feed_id),
        }),
    }
}

/// Notes how the wish ended, and where the feed's last event is.
pub(crate) async fn end(tx: &mut Tx, sync: SyncId, ended: &Ended, feed_pos: i64) -> Result<(), StoreError> {
    let (report, code, reason) = match ended {
        Ended::Completed { report, .. } => (Some(Json(report)), None, None),
        Ended::Refused { code, reason } => (None, Some(code), Some(reason)),
    };
    sqlx::query(
        "insert into feeds.sync (command_id, feed_id, ended_at, report, failure_code, failure_reason, pos)
         values ($1, $2, clock_timestamp(), $3, $4, $5, $6)
         on conflict (command_id, feed_id) do update
            set ended_at = excluded.ended_at,
                report = excluded.report,
                failure_code = excluded.failure_code,
                failure_reason = excluded.failure_reason,
                pos = excluded.pos",
    )
    .bind(sync.command_id.0)
    .bind(sync.feed_id.0)
    .bind(report)
    .bind(code)
    .bind(reason)
    .bind(feed_pos)
    .execute(&mut **tx)
    .await?;
    sqlx::query("update feeds.feed set pos = $2 where feed_id = $1")
        .bind(sync.feed_id.0)
        .bind(feed_pos)
        .execute(&mut **tx)
        .await?;
    Ok(())
}
