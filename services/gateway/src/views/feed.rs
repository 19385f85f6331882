//! Feeds and how their last documents were taken.

use crate::reading::list::{ById, list};
use crate::views::Entry;
use crate::words::{FeedFormat, FeedKind};
use chrono::{DateTime, Utc};
use contracts::feeds::{FeedEvent, FeedRegistered, FeedSyncCompleted, FeedSyncFailed};
use eventstore::{StoreError, Tx};
use uuid::Uuid;

/// A feed as GraphQL shows it.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct FeedRow {
    pub(crate) feed_id: Uuid,
    pub(crate) name: String,
    pub(crate) kind: FeedKind,
    pub(crate) format: FeedFormat,
    pub(crate) source: String,
    pub(crate) synced_at: Option<DateTime<Utc>>,
    pub(crate) document_sha256: Option<String>,
    pub(crate) document_date: Option<DateTime<Utc>>,
    pub(crate) published: i64,
    pub(crate) revised: i64,
    pub(crate) unchanged: i64,
    pub(crate) quarantined: Vec<String>,
    pub(crate) failed_at: Option<DateTime<Utc>>,
    pub(crate) failure_code: Option<String>,
    pub(crate) failure_reason: Option<String>,
}

macro_rules! columns {
    () => {
        "t.feed_id, t.name, t.kind, t.format, t.source, t.synced_at, t.document_sha256, t.document_date,
         t.published, t.revised, t.unchanged, t.quarantined, t.failed_at, t.failure_code, t.failure_reason,
         t.seq"
    };
}

impl ById for FeedRow {
    const BY_IDS: &'static str =
        concat!("select t.feed_id as key, ", columns!(), " from views.feed t where t.feed_id = any($1)");
}

list! {
    /// The platform's feeds.
    FEEDS: FeedRow, columns from "views.feed t" where "true", oldest first by "t.seq"
}

pub(super) async fn apply(tx: &mut Tx, entry: Entry, fact: FeedEvent) -> Result<(), StoreError> {
    match fact {
        FeedEvent::FeedRegistered(FeedRegistered {
            feed_id,
            name,
            kind,
            format,
            source,
            schedule: _,
            publisher: _,
        }) => {
            sqlx::query(
                "insert into feed (feed_id, name, kind, format, source, seq)
                 values ($1, $2, $3, $4, $5, $6)",
            )
            .bind(feed_id.0)
            .bind(name)
            .bind(FeedKind::from(kind))
            .bind(FeedFormat::from(format))
            .bind(source)
            .bind(entry.seq)
            .execute(&mut **tx)
            .await?;
        }
        FeedEvent::FeedSyncCompleted(FeedSyncCompleted {
            feed_id,
            document_sha256,
            document_date,
            published,
            revised,
            unchanged,
            quarantined,
            documents: _,
            withdrawn: _,
            vulnerabilities: _,
            refused: _,
        }) => {
            sqlx::query(
                "update feed
                    set synced_at = $2,
                        document_sha256 = $3,
                        document_date = $4,
                        published = $5,
                        revised = $6,
                        unchanged = $7,
                        quarantined = $8
                  where feed_id = $1",
            )
            .bind(feed_id.0)
            .bind(entry.recorded_at)
            .bind(document_sha256)
            .bind(document_date)
            .bind(i64::from(published))
            .bind(i64::from(revised))
            .bind(i64::from(unchanged))
            .bind(quarantined)
            .execute(&mut **tx)
            .await?;
        }
        FeedEvent::FeedChanged(_) | FeedEvent::FeedDisabled(_) | FeedEvent::FeedEnabled(_) => {}
        FeedEvent::FeedSyncFailed(FeedSyncFailed { feed_id, code, reason }) => {
            sqlx::query(
                "update feed
                    set failed_at = $2,
                        failure_code = $3,
                        failure_reason = $4
                  where feed_id = $1",
            )
            .bind(feed_id.0)
            .bind(entry.recorded_at)
            .bind(code)
            .bind(reason)
            .execute(&mut **tx)
            .await?;
        }
    }
    Ok(())
}
