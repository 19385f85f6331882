//! Feeds and what became of each wish to synchronise one: the tables `feeds.feed` and `feeds.sync`.

use contracts::feeds::{FeedFormat, FeedKind, ImportReport};
use contracts::{Accepted, Written};
use eventstore::{StoreError, Tx};
use feeds_domain::catalogue::FeedState;
use kernel::{CommandId, FeedId};
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

/// Notes a feed.
pub(crate) async fn remember_feed(
    tx: &mut Tx,
    feed_id: FeedId,
    state: &FeedState,
    pos: Option<i64>,
) -> Result<(), StoreError> {
    let (FeedState::Registered { settings, .. }, Some(pos)) = (state, pos) else { return Ok(()) };
    sqlx::query(
        "insert into feeds.feed (feed_id, name, kind, format, source, pos)
         values ($1, $2, $3, $4, $5, $6)
         on conflict do nothing",
    )
    .bind(feed_id.0)
    .bind(&settings.name)
    .bind(kind_word(settings.kind))
    .bind(format_word(settings.format))
    .bind(&settings.source)
    .bind(pos)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

fn kind_word(kind: FeedKind) -> &'static str {
    match kind {
        FeedKind::OsVendor => "OS_VENDOR",
        FeedKind::PackageProvider => "PACKAGE_PROVIDER",
        FeedKind::Partner => "PARTNER",
    }
}

fn format_word(format: FeedFormat) -> &'static str {
    match format {
        FeedFormat::DebianDsaList => "DEBIAN_DSA_LIST",
        FeedFormat::DebianTracker => "DEBIAN_TRACKER",
        FeedFormat::MsrcCvrf => "MSRC_CVRF",
    }
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
        "insert into feeds.sync as s (command_id, feed_id, published, revised, rated)
         values ($1, $2, $3, $4, $5)
         on conflict (command_id, feed_id) do update
            set published = s.published + excluded.published,
                revised = s.revised + excluded.revised,
                rated = s.rated + excluded.rated",
    )
    .bind(sync.command_id.0)
    .bind(sync.feed_id.0)
    .bind(counts.published)
    .bind(counts.revised)
    .bind(counts.rated)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// What was appended so far.
pub(crate) async fn counted(tx: &mut Tx, sync: SyncId) -> Result<Counts, StoreError> {
    let counts: Option<Counts> = sqlx::query_as(
        "select published, revised, rated from feeds.sync where command_id = $1 and feed_id = $2",
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
