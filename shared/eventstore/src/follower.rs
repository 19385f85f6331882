//! Follows the log by position and keeps a projection: rows and cursor change in one transaction.

use crate::{Database, Log, StoreError, Tx};
use kernel::{Envelope, Position, Scope};
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

const PAUSE_MIN: Duration = Duration::from_millis(5);
const PAUSE_MAX: Duration = Duration::from_millis(50);
const ERROR_PAUSE: Duration = Duration::from_secs(1);

/// A read model that follows the log.
#[async_trait::async_trait]
pub trait Projection: Send + Sync + 'static {
    /// Its name; a changed meaning gets a new one.
    fn name(&self) -> &'static str;
    /// Takes one event in. Runs at platform level: the rows carry the event's tenant.
    async fn apply(&self, tx: &mut Tx, event: &Envelope) -> Result<(), StoreError>;
}

/// Follows until `stop`, telling `position` after every page. Several processes may follow under one name: the
/// cursor's row lock lets one at a time work, and the others see its progress.
pub async fn follow(
    database: Database,
    projection: &dyn Projection,
    position: watch::Sender<Position>,
    stop: CancellationToken,
) {
    let log = Log::new(database.clone());
    let mut quiet = PAUSE_MIN;
    while !stop.is_cancelled() {
        let wait = match page(&database, &log, projection).await {
            Ok((reached, count)) => {
                position.send_if_modified(|known| {
                    let moved = *known != reached;
                    *known = reached;
                    moved
                });
                quiet = if count > 0 { PAUSE_MIN } else { (quiet * 2).min(PAUSE_MAX) };
                if count > 0 { Duration::ZERO } else { quiet }
            }
            Err(error) => {
                let error: &(dyn std::error::Error + 'static) = &error;
                tracing::error!(
                    projection = projection.name(),
                    error,
                    "a projection stands still and will try again"
                );
                ERROR_PAUSE
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// Looks first and locks only when there is work: an idle follower must not hold the sequencer's fence.
async fn page(
    database: &Database,
    log: &Log,
    projection: &dyn Projection,
) -> Result<(Position, usize), StoreError> {
    let cursor = cursor(database, projection.name()).await?;
    let events = log.page(cursor, crate::log::PAGE_MAX).await?;
    let Some(last) = events.last() else {
        return Ok((cursor, 0));
    };
    let mut tx = database.begin(&Scope::Platform).await?;
    sqlx::query("insert into es.follower (name) values ($1) on conflict do nothing")
        .bind(projection.name())
        .execute(&mut *tx)
        .await?;
    let locked: i64 = sqlx::query_scalar("select seq from es.follower where name = $1 for update")
        .bind(projection.name())
        .fetch_one(&mut *tx)
        .await?;
    if locked != cursor.0 {
        // Another process was faster; its progress is ours.
        return Ok((Position(locked), 0));
    }
    for event in &events {
        projection.apply(&mut tx, event).await?;
    }
    sqlx::query("update es.follower set seq = $2, updated_at = now() where name = $1")
        .bind(projection.name())
        .bind(last.seq.0)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    metrics::counter!("eventstore_followed_total", "projection" => projection.name())
        .increment(events.len() as u64);
    Ok((last.seq, events.len()))
}

async fn cursor(database: &Database, name: &str) -> Result<Position, StoreError> {
    let mut tx = database.begin(&Scope::Platform).await?;
    let seq: Option<i64> = sqlx::query_scalar("select seq from es.follower where name = $1")
        .bind(name)
        .fetch_optional(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(Position(seq.unwrap_or(0)))
}
