//! Numbers about the log, and about everybody who follows it.

use super::Reader;
use crate::{Partition, StoreError, Tx, partitions};
use chrono::{DateTime, Utc};
use kernel::{Position, Scope};
use std::time::Duration;

/// Events without a position are counted up to here.
const UNSEQUENCED_COUNTED_MAX: i64 = 10_000;

/// What a scope's part of the log comes to.
#[derive(Debug, Clone, PartialEq)]
pub struct LogStats {
    /// The last position given, to anybody's event.
    pub head: Position,
    /// Events in scope.
    pub events: i64,
    /// When the store took the first of them.
    pub first_at: Option<DateTime<Utc>>,
    /// When it took the last.
    pub last_at: Option<DateTime<Utc>>,
    /// How many of each type, the most frequent first.
    pub by_type: Vec<(String, i64)>,
    /// About the machinery; only at the level of the platform.
    pub machinery: Option<Machinery>,
}

/// How the log's machinery does.
#[derive(Debug, Clone, PartialEq)]
pub struct Machinery {
    /// One, and how often the log has changed its cluster.
    pub generation: i32,
    /// Whether it waits for `patchfleet restore`.
    pub restored: bool,
    /// Committed events without a position, counted up to ten thousand.
    pub unsequenced: i64,
    /// Who may hold the sequencer back.
    pub fence: Option<Fence>,
    /// The log's partitions.
    pub partitions: Vec<Partition>,
    /// What is published.
    pub relays: Vec<Follower>,
    /// What consumers have taken in.
    pub consumers: Vec<Follower>,
    /// What views and records have taken in.
    pub followers: Vec<Follower>,
}

/// The oldest transaction that may still write, in any database of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fence {
    /// Its age, where the tables' owner may see it.
    pub age: Option<Duration>,
    /// The session's process; none for a prepared transaction.
    pub pid: Option<i32>,
    /// What the session calls itself, or the prepared transaction's name.
    pub application: String,
    /// What it is doing.
    pub state: String,
}

/// Somebody who goes along the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Follower {
    /// Its name.
    pub name: String,
    /// How far it has got.
    pub seq: Position,
    /// How many events are beyond that.
    pub behind: i64,
    /// For how long the next of them has been waiting; zero where there is none.
    pub waiting: Duration,
}

impl Reader {
    /// Numbers about what `scope` sees of the log. Counts it: seconds for a log of many millions.
    pub async fn stats(&self, scope: &Scope) -> Result<LogStats, StoreError> {
        let mut tx = self.database.begin(scope).await?;
        // Counted by a person's wish and not in a service's time; reading holds nobody up.
        sqlx::query("set local statement_timeout = 0").execute(&mut *tx).await?;
        let head: i64 = sqlx::query_scalar("select seq from es.sequencer").fetch_one(&mut *tx).await?;
        let by_type: Vec<(String, i64)> = sqlx::query_as(
            "select event_type, count(*) from es.order_log group by event_type order by 2 desc, 1",
        )
        .fetch_all(&mut *tx)
        .await?;
        let (first_at, last_at) = sqlx::query_as(
            "select (select recorded_at from es.order_log order by seq limit 1),
                    (select recorded_at from es.order_log order by seq desc limit 1)",
        )
        .fetch_one(&mut *tx)
        .await?;
        let machinery = match scope {
            Scope::Platform => {
                let all = partitions(&self.database, scope).await?;
                Some(machinery(&mut tx, head, all).await?)
            }
            Scope::Partner { .. } | Scope::Customer { .. } => None,
        };
        tx.commit().await?;
        let events = by_type.iter().map(|(_, count)| count).sum();
        Ok(LogStats { head: Position(head), events, first_at, last_at, by_type, machinery })
    }
}

async fn machinery(tx: &mut Tx, head: i64, partitions: Vec<Partition>) -> Result<Machinery, StoreError> {
    let (generation, restored, unsequenced) =
        sqlx::query_as("select generation, es.is_restored(), es.waiting($1) from es.sequencer")
            .bind(UNSEQUENCED_COUNTED_MAX)
            .fetch_one(&mut **tx)
            .await?;
    let rows: Vec<(String, String, i64, f64)> = sqlx::query_as(
        "select f.kind, f.name, f.seq, coalesce(extract(epoch from clock_timestamp() - o.recorded_at), 0)::float8
           from (select 'relay' as kind, name, seq from es.relay
                 union all select 'consumer', name, seq from es.consumer
                 union all select 'follower', name, seq from es.follower) f
           left join es.order_log o on o.seq = f.seq + 1
          order by f.name",
    )
    .fetch_all(&mut **tx)
    .await?;
    let of = |kind: &str| {
        let rows = rows.iter().filter(|row| row.0 == kind);
        rows.map(|(_, name, seq, waiting)| Follower {
            name: name.clone(),
            seq: Position(*seq),
            behind: (head - seq).max(0),
            waiting: seconds(*waiting),
        })
        .collect()
    };
    Ok(Machinery {
        generation,
        restored,
        unsequenced,
        fence: fence(tx).await?,
        partitions,
        relays: of("relay"),
        consumers: of("consumer"),
        followers: of("follower"),
    })
}

#[derive(sqlx::FromRow)]
struct FenceRow {
    age: Option<f64>,
    pid: Option<i32>,
    application: Option<String>,
    state: Option<String>,
}

async fn fence(tx: &mut Tx) -> Result<Option<Fence>, StoreError> {
    let fence: Option<FenceRow> = sqlx::query_as(
        "select extract(epoch from age)::float8 as age, pid, application, state from es.fence()",
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(fence.map(|row| Fence {
        age: row.age.map(seconds),
        pid: row.pid,
        application: row.application.unwrap_or_default(),
        state: row.state.unwrap_or_default(),
    }))
}

/// Clocks may differ by a little, to either side.
fn seconds(value: f64) -> Duration {
    Duration::try_from_secs_f64(value).unwrap_or_default()
}
