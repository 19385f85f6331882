//! Taking events in: a batch in one transaction where all goes well, else one by one.

use crate::{
    Consumer, HandlerError, Outcome,
    handling::{chain, scope_of},
    inbox,
};
use eventstore::{Database, Tx};
use futures_util::FutureExt;
use kernel::{Envelope, Scope};
use std::{panic::AssertUnwindSafe, time::Duration};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// What became of an event.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    Done,
    RetryAfter(Duration, String),
    Park(String),
    /// The process is to end; the event stays with the broker.
    Stopped,
}

/// The longest pause, in milliseconds, when other writers come first.
const CONFLICT_PAUSE_MAX: u64 = 500;
/// Wait after an unexpected failure; the broker holds the event meanwhile.
const FAILURE_DELAY: Duration = Duration::from_secs(1);
/// How long an outage of the database is slept through at a time.
const OUTAGE_PAUSE_MAX: Duration = Duration::from_secs(2);

/// Takes several events in, all in one transaction; false when that did not go well and nothing was done.
pub(super) async fn take_together(database: &Database, consumer: &dyn Consumer, events: &[Envelope]) -> bool {
    let span = tracing::info_span!("consume", consumer = consumer.name(), events = events.len());
    if let Some(traceparent) = events.first().and_then(|event| event.traceparent.as_deref()) {
        runtime::telemetry::follow(&span, traceparent);
    }
    let all = async {
        let mut tx = database.begin(&scope_of(events)).await?;
        let mut new = inbox::enter(&mut tx, consumer.name(), events).await?;
        let entered = new.len();
        let outcome = if entered == events.len() {
            guarded(consumer.handle_batch(&mut tx, events)).await?
        } else if entered == 0 {
            Outcome::Handled
        } else {
            // Each once: a relay that begins anew may put the same event into a batch twice.
            let fresh: Vec<Envelope> =
                events.iter().filter(|event| new.remove(&event.event_id.0)).cloned().collect();
            guarded(consumer.handle_batch(&mut tx, &fresh)).await?
        };
        if outcome == Outcome::Handled {
            tx.commit().await?;
            count(consumer, entered, events.len());
        }
        Ok::<_, HandlerError>(outcome)
    };
    match all.instrument(span).await {
        Ok(outcome) => outcome == Outcome::Handled,
        Err(error) => {
            tracing::debug!(consumer = consumer.name(), error = %chain(&error), "a batch is taken one by one");
            false
        }
    }
}

/// Takes one event in; waits in place as long as the database is out of reach, so that the order stays.
pub(super) async fn take(
    database: &Database,
    consumer: &dyn Consumer,
    event: &Envelope,
    stop: &CancellationToken,
) -> Taken {
    let span = tracing::info_span!(
        "consume",
        consumer = consumer.name(),
        event.type = %event.event_type,
        event.seq = event.seq.0,
    );
    if let Some(traceparent) = &event.traceparent {
        runtime::telemetry::follow(&span, traceparent);
    }
    take_patiently(database, consumer, event, stop).instrument(span).await
}

async fn take_patiently(
    database: &Database,
    consumer: &dyn Consumer,
    event: &Envelope,
    stop: &CancellationToken,
) -> Taken {
    let mut conflicts: u32 = 0;
    let mut outage_pause = Duration::from_millis(100);
    loop {
        let error = match try_once(database, consumer, event).await {
            Ok(Outcome::Handled) => return Taken::Done,
            Ok(Outcome::RetryAfter(delay)) => {
                return Taken::RetryAfter(delay, "asked for another attempt".to_owned());
            }
            Ok(Outcome::Park(reason)) => return Taken::Park(reason),
            Err(error) => error,
        };
        let pause = match &error {
            HandlerError::Store(store) if store.is_outage() => {
                tracing::warn!(consumer = consumer.name(), error = %chain(&error), "waiting for the database");
                outage_pause = (outage_pause * 2).min(OUTAGE_PAUSE_MAX);
                outage_pause
            }
            // In place: an event that is set aside is overtaken by later ones, such as the revocation of its approval.
            HandlerError::Store(store) if store.is_busy() => {
                conflicts += 1;
                Duration::from_millis((u64::from(conflicts) * 5).min(CONFLICT_PAUSE_MAX))
            }
            HandlerError::Malformed(malformed) => return Taken::Park(malformed.to_string()),
            HandlerError::Store(_) => return Taken::RetryAfter(FAILURE_DELAY, chain(&error)),
        };
        tokio::select! {
            () = stop.cancelled() => return Taken::Stopped,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

async fn try_once(
    database: &Database,
    consumer: &dyn Consumer,
    event: &Envelope,
) -> Result<Outcome, HandlerError> {
    let mut tx: Tx = database.begin(&Scope::partner_of(event.tenant)).await?;
    let new = inbox::enter(&mut tx, consumer.name(), std::slice::from_ref(event)).await?;
    let outcome =
        if new.is_empty() { Outcome::Handled } else { guarded(consumer.handle(&mut tx, event)).await? };
    if outcome == Outcome::Handled {
        tx.commit().await?;
        count(consumer, new.len(), 1);
    }
    Ok(outcome)
}

/// A handler that panics has found an event that a person must look at; its service goes on.
async fn guarded(
    handling: impl Future<Output = Result<Outcome, HandlerError>>,
) -> Result<Outcome, HandlerError> {
    match AssertUnwindSafe(handling).catch_unwind().await {
        Ok(answer) => answer,
        Err(panic) => {
            let text = panic
                .downcast_ref::<&str>()
                .map(|text| (*text).to_owned())
                .or_else(|| panic.downcast_ref::<String>().cloned());
            Ok(Outcome::Park(format!("the handler panicked: {}", text.unwrap_or_default())))
        }
    }
}

fn count(consumer: &dyn Consumer, new: usize, all: usize) {
    metrics::counter!("messaging_handled_total", "consumer" => consumer.name()).increment(new as u64);
    if new < all {
        metrics::counter!("messaging_duplicates_total", "consumer" => consumer.name())
            .increment((all - new) as u64);
    }
}
