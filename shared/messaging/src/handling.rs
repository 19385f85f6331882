//! What a consumer is and what it may answer.

use eventstore::{Committed, ExecuteError, StoreError, Tx};
use kernel::{Envelope, Refused, Scope, Tenant};
use std::time::Duration;
use uuid::Uuid;

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

/// Which events a consumer takes in at the same time.
#[derive(Debug, Clone, Copy)]
pub enum Concurrency {
    /// One after the other, in the order of the log.
    InOrder,
    /// Events of one key one after the other; events of different keys side by side.
    PerKey {
        /// How many at the same time. Each takes a connection to the database.
        lanes: usize,
        /// The key: what must stay in order.
        key: fn(&Envelope) -> Uuid,
    },
}

/// Enough on the way to hide the round trip, few enough to hand over quickly.
const PREFETCH: u16 = 64;
/// Few: a transaction that appends events holds up the order of everything until it ends.
const BATCH: usize = 8;

/// Reacts to events, in their order. One process at a time does so under one name; others stand by.
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
    /// Messages on their way to it. A consumer that only keeps rows takes 256.
    fn prefetch(&self) -> u16 {
        PREFETCH
    }
    /// Events that share one transaction when so many are there; none waits for others. A consumer that only keeps rows
    /// takes a hundred.
    fn batch(&self) -> usize {
        BATCH
    }
    /// Which events it takes in at the same time.
    fn concurrency(&self) -> Concurrency {
        Concurrency::InOrder
    }
    /// Reacts. `tx` is scoped to the event's partner (to the platform for platform facts); everything done in it
    /// commits together with the note that the event was handled.
    async fn handle(&self, tx: &mut Tx, event: &Envelope) -> Result<Outcome, HandlerError>;
    /// Reacts to several events in one transaction. Whoever has a statement for many events writes it here; `tx` is then
    /// scoped to the platform, unless all of them are one partner's. With any other answer than `Handled`, the
    /// transaction is rolled back and the events go to `handle`, each in a transaction of its own.
    async fn handle_batch(&self, tx: &mut Tx, events: &[Envelope]) -> Result<Outcome, HandlerError> {
        let mut scope = None;
        for event in events {
            if scope.replace(event.tenant.partner_id) != Some(event.tenant.partner_id) {
                narrow(tx, event.tenant).await?;
            }
            let outcome = self.handle(tx, event).await?;
            if outcome != Outcome::Handled {
                return Ok(outcome);
            }
        }
        Ok(Outcome::Handled)
    }
}

/// The scope in which several events are taken in.
pub(crate) fn scope_of(events: &[Envelope]) -> Scope {
    let mut partners = events.iter().map(|event| event.tenant.partner_id);
    match (partners.next(), events.first()) {
        (Some(first), Some(event)) if partners.all(|partner| partner == first) => {
            Scope::partner_of(event.tenant)
        }
        _ => Scope::Platform,
    }
}

/// Gives the rest of a transaction the scope of another tenant's partner.
async fn narrow(tx: &mut Tx, tenant: Tenant) -> Result<(), sqlx::Error> {
    let (role, partner) = match Scope::partner_of(tenant) {
        Scope::Platform => ("pf_platform", None),
        Scope::Partner { partner_id } | Scope::Customer { partner_id, .. } => {
            ("pf_partner", Some(partner_id.0))
        }
    };
    sqlx::query("select es.set_scope($1, $2, null)").bind(role).bind(partner).execute(&mut **tx).await?;
    Ok(())
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
