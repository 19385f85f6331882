//! What a consumer is, and how one event is taken in exactly once in effect.

use eventstore::{Committed, Database, ExecuteError, StoreError, Tx};
use kernel::{Envelope, Refused, Scope};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// A consumer's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Done, or nothing to do. The transaction commits.
    Handled,
    /// Not yet: something it needs is not there. The transaction is rolled back and the event comes again.
    RetryAfter(Duration),
    /// Never: a person must look. The transaction is rolled back and the event is kept with the reason.
    Park(String),
}

/// The machinery failed; the event comes again.
#[derive(Debug, thiserror::Error)]
pub enum HandlerError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The event's shape is not what this consumer reads.
    #[error(transparent)]
    Malformed(#[from] kernel::MalformedEvent),
}

impl From<sqlx::Error> for HandlerError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(StoreError::Database(error))
    }
}

/// Reacts to events, one at a time and in their order.
#[async_trait::async_trait]
pub trait Consumer: Send + Sync + 'static {
    /// Name of the consumer and its queue: `<service>.<purpose>`.
    fn name(&self) -> &'static str;
    /// Event types it wants: `approvals.PatchApproved`, or `approvals.*`.
    fn interests(&self) -> &'static [&'static str];
    /// Whether the service's commands are decided by what this consumer keeps, and therefore wait for it.
    fn informs_commands(&self) -> bool {
        true
    }
    /// Reacts. `tx` is scoped to the event's partner (to the platform for platform facts); everything done in it
    /// commits together with the note that the event was handled.
    async fn handle(&self, tx: &mut Tx, event: &Envelope) -> Result<Outcome, HandlerError>;
}

/// A reaction's command: a rule's "no" is an answer like any other and is not tried again.
pub fn settled<R: Refused>(
    result: Result<Committed, ExecuteError<R>>,
) -> Result<Option<Committed>, HandlerError> {
    match result {
        Ok(committed) => Ok(Some(committed)),
        Err(ExecuteError::Refused(refusal)) => {
            tracing::debug!(code = refusal.code(), %refusal, "a reaction was refused by the rules");
            Ok(None)
        }
        Err(ExecuteError::Store(error)) => Err(error.into()),
    }
}

/// What became of an event.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken {
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

/// Takes one event in; waits in place as long as the database is out of reach, so that the order stays.
pub(crate) async fn take(
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
                outage_pause = (outage_pause * 2).min(Duration::from_secs(2));
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
    let mut tx = database.begin(&Scope::partner_of(event.tenant)).await?;
    let new = sqlx::query("insert into es.inbox (consumer, event_id) values ($1, $2) on conflict do nothing")
        .bind(consumer.name())
        .bind(event.event_id.0)
        .execute(&mut *tx)
        .await?
        .rows_affected();
    if new == 0 {
        metrics::counter!("messaging_duplicates_total", "consumer" => consumer.name()).increment(1);
        return Ok(Outcome::Handled);
    }
    let outcome = consumer.handle(&mut tx, event).await?;
    if outcome == Outcome::Handled {
        sqlx::query("update es.consumer set seq = $2, updated_at = now() where name = $1 and seq < $2")
            .bind(consumer.name())
            .bind(event.seq.0)
            .execute(&mut *tx)
            .await?;
        sqlx::query("delete from es.postponed where consumer = $1 and event_id = $2")
            .bind(consumer.name())
            .bind(event.event_id.0)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        metrics::counter!("messaging_handled_total", "consumer" => consumer.name()).increment(1);
    }
    Ok(outcome)
}

/// An error with all of its causes, for a log line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        text.push_str(": ");
        text.push_str(&source.to_string());
        cause = source.source();
    }
    text
}
