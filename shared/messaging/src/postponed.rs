//! Events that were set aside and are to be handled later: what the broker's delay queues hold, kept where it lasts.

use eventstore::{Database, StoreError};
use kernel::{Envelope, Scope};
use std::time::Duration;

/// Overdue events that are taken at a time.
const PAGE: i64 = 100;

/// An event that waits for its next attempt.
#[derive(Debug, Clone, Copy, sqlx::FromRow)]
pub(crate) struct Postponed {
    pub(crate) seq: i64,
    /// Attempts so far.
    pub(crate) attempt: i32,
    /// Whether its time has come.
    pub(crate) due: bool,
}

/// Remembers that an event was tried `attempt` times and is due after `delay`. False when another copy of it was tried
/// as often: that copy is the one to go on with.
pub(crate) async fn postpone(
    database: &Database,
    consumer: &str,
    event: &Envelope,
    attempt: i32,
    delay: Duration,
) -> Result<bool, StoreError> {
    let mut tx = database.begin(&Scope::partner_of(event.tenant)).await?;
    let moved = sqlx::query(
        "insert into es.postponed as p (consumer, event_id, seq, attempt, due_at)
         select $1, $2, $3, $4, now() + make_interval(secs => $5)
          -- Another process may have handled it meanwhile.
          where not exists (select from es.inbox i where i.consumer = $1 and i.event_id = $2)
         on conflict (consumer, event_id) do update
            set attempt = excluded.attempt, due_at = excluded.due_at
          where p.attempt < excluded.attempt",
    )
    .bind(consumer)
    .bind(event.event_id.0)
    .bind(event.seq.0)
    .bind(attempt)
    .bind(delay.as_secs_f64())
    .execute(&mut *tx)
    .await?
    .rows_affected();
    tx.commit().await?;
    Ok(moved > 0)
}

/// What waits, in the order of the log; only what is overdue by `grace`, where one is given.
pub(crate) async fn waiting(
    database: &Database,
    consumer: &str,
    overdue_by: Option<Duration>,
) -> Result<Vec<Postponed>, StoreError> {
    let mut tx = database.begin(&Scope::Platform).await?;
    let rows = sqlx::query_as(
        "select seq, attempt, due_at <= now() as due
           from es.postponed
          where consumer = $1 and ($2::float8 is null or due_at < now() - make_interval(secs => $2))
          order by seq
          limit $3",
    )
    .bind(consumer)
    .bind(overdue_by.map(|grace| grace.as_secs_f64()))
    .bind(PAGE)
    .fetch_all(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(rows)
}
