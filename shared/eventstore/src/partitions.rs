//! The partitions of the log: made ahead of time, listed, exported, taken away and brought back.

mod archive;
mod line;

pub use archive::{
    ArchiveError, Exported, attach_partition, detach_partition, drop_partition, export_partition,
    unreadable_streams, verify_export,
};

use crate::{Database, StoreError};
use chrono::{DateTime, Utc};
use kernel::Scope;

/// Places in a partition, where nobody says otherwise: days to months of a large fleet's events, some gigabytes, and
/// still few partitions after years.
pub const PARTITION_WIDTH: i64 = 10_000_000;

/// Makes sure that there is room for the next `width` events beyond the partition that is being filled; answers with how
/// many partitions of that width were made.
pub async fn ensure_partitions(database: &Database, width: i64) -> Result<i32, StoreError> {
    let mut tx = database.begin(&Scope::Platform).await?;
    let made = sqlx::query_scalar("select es.ensure_partitions($1)").bind(width).fetch_one(&mut *tx).await?;
    tx.commit().await?;
    Ok(made)
}

/// A partition of the log, or one that was taken away.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct Partition {
    /// Its table.
    pub part: String,
    /// The first place in it.
    pub from_pos: i64,
    /// The first place beyond it.
    pub until_pos: i64,
    /// Its events: exactly where it was exported, otherwise what the server's upkeep counted last.
    pub events: i64,
    /// What it takes on disk, with its indexes; 0 where its table was dropped.
    pub bytes: i64,
    /// Where it was exported to.
    pub file: Option<String>,
    /// The size of that file.
    pub file_bytes: Option<i64>,
    /// The SHA-256 of that file.
    pub sha256: Option<String>,
    /// When it was taken away.
    pub detached_at: Option<DateTime<Utc>>,
    /// When its table was dropped.
    pub dropped_at: Option<DateTime<Utc>>,
}

/// Every partition in its order, those that were taken away among them.
pub async fn partitions(database: &Database, scope: &Scope) -> Result<Vec<Partition>, StoreError> {
    let mut tx = database.begin(scope).await?;
    let partitions = sqlx::query_as(
        "select coalesce(p.part, a.part) as part,
                coalesce(p.from_pos, a.from_pos) as from_pos,
                coalesce(p.until_pos, a.until_pos) as until_pos,
                coalesce(a.events, p.events) as events,
                coalesce(p.bytes, pg_total_relation_size(to_regclass(format('es.%I', a.part))), 0) as bytes,
                a.file, a.bytes as file_bytes, a.sha256, a.detached_at, a.dropped_at
           from es.partitions() p
           full join es.archive a on a.part = p.part
          order by 2",
    )
    .fetch_all(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(partitions)
}
