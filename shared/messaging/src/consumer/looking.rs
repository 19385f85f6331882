//! Comparing a consumer's place with the log: what it has not heard of, what is overdue, how far behind it is.

use crate::postponed::{Postponed, waiting};
use eventstore::{Database, StoreError};
use kernel::Scope;
use std::time::Duration;

/// Positions compared at a time: what the fastest queue carries in the time between two looks.
const LOOK_MAX: usize = 10_000;
/// The broker may be this late with an event that comes again; then it is taken from the log.
const OVERDUE_GRACE: Duration = Duration::from_secs(5);

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Question {
    /// Everything up to here is dealt with; it is written down as the consumer's place.
    pub(super) floor: i64,
    /// Everything that came is dealt with up to here.
    pub(super) ready: i64,
    /// Whether to look beyond that, at all that the relay has published: the queue seems to be empty.
    pub(super) beyond: bool,
    /// Whether to look for overdue events and at the lag.
    pub(super) overdue: bool,
}

/// The answer.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) question: Question,
    /// The positions of wanted events after the floor.
    pub(super) wanted: Vec<i64>,
    /// Up to here these are all.
    pub(super) to: i64,
    /// Events that should have come again by now.
    pub(super) overdue: Vec<Postponed>,
}

/// Writes the place down and compares it with the log.
pub(super) async fn look(
    database: &Database,
    consumer: &'static str,
    patterns: &[String],
    question: Question,
) -> Result<Look, StoreError> {
    let mut tx = database.begin(&Scope::Platform).await?;
    // Nobody's place is beyond the log: a broker that outlived a database that was set back holds messages of events that
    // do not exist any more.
    let head: i64 = sqlx::query_scalar("select seq from es.sequencer").fetch_one(&mut *tx).await?;
    let mut to = question.ready.min(head);
    if question.beyond {
        // Before the log is read: what the relay publishes meanwhile is on its way.
        let relayed: i64 =
            sqlx::query_scalar("select coalesce(max(seq), 0) from es.relay").fetch_one(&mut *tx).await?;
        to = to.max(relayed);
    }
    let mut wanted: Vec<i64> = Vec::new();
    if to > question.floor {
        wanted = sqlx::query_scalar(
            "select seq
               from es.order_log
              where seq > $1 and seq <= $2 and event_type like any ($3)
              order by seq
              limit $4",
        )
        // Planned anew each time: a kept plan may be from when the log was short.
        .persistent(false)
        .bind(question.floor)
        .bind(to)
        .bind(patterns)
        .bind(i64::try_from(LOOK_MAX).unwrap_or(i64::MAX))
        .fetch_all(&mut *tx)
        .await?;
        if wanted.len() == LOOK_MAX {
            to = wanted.last().copied().unwrap_or(to);
        }
    }
    // Last, and in a short transaction: whatever has written holds up the order of all events until it ends.
    write(&mut tx, consumer, question.floor).await?;
    tx.commit().await?;
    let overdue = if question.overdue {
        report(database, consumer, question.floor).await?;
        waiting(database, consumer, Some(OVERDUE_GRACE)).await?
    } else {
        Vec::new()
    };
    Ok(Look { question, wanted, to, overdue })
}

/// Writes a consumer's place down.
pub(super) async fn write(tx: &mut eventstore::Tx, consumer: &str, floor: i64) -> Result<(), sqlx::Error> {
    sqlx::query("update es.consumer set seq = $2, updated_at = now() where name = $1 and seq < $2")
        .bind(consumer)
        .bind(floor)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Tells the metrics how far a consumer is behind, and how much of it waits for a person.
pub(super) async fn report(
    database: &Database,
    consumer: &'static str,
    floor: i64,
) -> Result<(), StoreError> {
    let mut tx = database.begin(&Scope::Platform).await?;
    let (events, seconds, parked): (i64, f64, i64) = sqlx::query_as(
        "select greatest(s.seq - $2, 0),
                coalesce((select extract(epoch from clock_timestamp() - o.recorded_at)::float8
                            from es.order_log o where o.seq = $2 + 1), 0),
                (select count(*) from es.parked p where p.consumer = $1 and p.dropped_at is null)
           from es.sequencer s",
    )
    .bind(consumer)
    .bind(floor)
    .fetch_one(&mut *tx)
    .await?;
    tx.commit().await?;
    #[expect(clippy::cast_precision_loss, reason = "a gauge needs no more than 52 bits")]
    let gauge = |value: i64| value as f64;
    metrics::gauge!("messaging_consumer_lag_events", "consumer" => consumer).set(gauge(events));
    metrics::gauge!("messaging_consumer_lag_seconds", "consumer" => consumer).set(seconds.max(0.0));
    metrics::gauge!("messaging_parked", "consumer" => consumer).set(gauge(parked));
    Ok(())
}

/// A process that stands by must not go on claiming what was; not-a-number is left out wherever there is a number.
pub(super) fn report_nothing(consumer: &'static str) {
    for gauge in ["messaging_consumer_lag_events", "messaging_consumer_lag_seconds", "messaging_parked"] {
        metrics::gauge!(gauge, "consumer" => consumer).set(f64::NAN);
    }
}
