//! How much is in the log of one scope, and how far everybody is who reads it.

use crate::{Database, StoreError};
use chrono::{DateTime, Utc};
use kernel::{Position, Scope};

/// The log in figures.
#[derive(Debug, Clone, PartialEq)]
pub struct Stats {
    /// The last position that was given, whoever's event has it.
    pub head: Position,
    /// The events of the scope by type, the most frequent first.
    pub types: Vec<TypeStats>,
    /// How far each reader is.
    pub readers: Vec<ReaderStats>,
}

/// The events of one type.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct TypeStats {
    /// The type.
    pub event_type: String,
    /// How many.
    pub events: i64,
    /// When the store took the latest.
    pub last_recorded_at: DateTime<Utc>,
}

/// Somebody who reads the log.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct ReaderStats {
    /// `relay`, `view` (follows the log) or `consumer` (follows the broker).
    pub kind: String,
    /// Its name.
    pub name: String,
    /// The position up to which it has taken everything in.
    pub position: i64,
    /// How many events of the scope come after that, whether it wants them or not.
    pub behind: i64,
}

/// The figures of `scope`. Counts what there is: seconds, where there are millions of events.
pub async fn stats(database: &Database, scope: &Scope) -> Result<Stats, StoreError> {
    let mut tx = database.begin(scope).await?;
    let head: i64 = sqlx::query_scalar("select seq from es.sequencer").fetch_one(&mut *tx).await?;
    let types = sqlx::query_as(
        "select o.event_type,
                count(*) as events,
                max(o.recorded_at) as last_recorded_at
           from es.order_log o
          where o.seq <= $1
          group by o.event_type
          order by events desc, o.event_type",
    )
    .bind(head)
    .fetch_all(&mut *tx)
    .await?;
    // What the relay and each reader have not taken in is short, so counting it is cheap however long the log is.
    let readers = sqlx::query_as(
        "select r.kind,
                r.name,
                r.position,
                (select count(*) from es.order_log o where o.seq > r.position and o.seq <= $1) as behind
           from (
             select 'view' as kind, f.name, f.seq as position from es.follower f
             union all
             select 'consumer', c.name, c.seq from es.consumer c
           ) r
          order by r.kind, r.name",
    )
    .bind(head)
    .fetch_all(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(Stats { head: Position(head), types, readers: with_relay(database, readers, head).await? })
}

/// The relay's place is the platform's to know, and no secret.
async fn with_relay(
    database: &Database,
    mut readers: Vec<ReaderStats>,
    head: i64,
) -> Result<Vec<ReaderStats>, StoreError> {
    let mut tx = database.begin(&Scope::Platform).await?;
    let relays: Vec<(String, i64)> =
        sqlx::query_as("select name, seq from es.relay order by name").fetch_all(&mut *tx).await?;
    tx.commit().await?;
    for (name, position) in relays {
        let behind = (head - position).max(0);
        readers.push(ReaderStats { kind: "relay".to_owned(), name, position, behind });
    }
    Ok(readers)
}
