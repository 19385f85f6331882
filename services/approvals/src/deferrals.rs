//! Ends deferrals when their time has come. A timer that fires early, late or twice does no harm.

use crate::decisions::{Decision, DecisionRow, decision_stream};
use crate::facts;
use approvals_domain::approval::{Approval, Command};
use chrono::TimeDelta;
use eventstore::{ExecuteError, Store, StoreError, Target};
use kernel::{Actor, Cause, CommandId, CorrelationId, Refused, Scope};
use runtime::{Clock, Lifecycle};
use std::sync::Arc;
use std::time::Duration;

/// The pause between two looks: nobody counts the seconds of a deferral.
const INTERVAL: Duration = Duration::from_secs(10);

/// Deferrals ended in one go: a whole month of them may be due at once.
const DUE_MAX: i64 = 200;

/// How long a process that took some is believed to be at them: their end is one small append each.
const LEASE: TimeDelta = TimeDelta::seconds(60);

/// The timer.
pub struct Deferrals {
    store: Store,
    clock: Arc<dyn Clock>,
}

impl Deferrals {
    /// A timer that appends to `store`, by `clock`.
    pub fn new(store: Store, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }

    /// Looks again and again until the process stops.
    pub(crate) async fn run(self, lifecycle: Lifecycle) {
        while !lifecycle.stopped_within(INTERVAL).await {
            // What is left over comes at once, not after the pause.
            while !lifecycle.stop.is_cancelled() {
                match self.look().await {
                    Ok(0) => break,
                    Ok(ended) => tracing::info!(deferrals = ended, "deferrals have ended"),
                    Err(error) => {
                        tracing::warn!(
                            error = &error as &dyn std::error::Error,
                            "deferrals could not be ended"
                        );
                        break;
                    }
                }
            }
        }
    }

    /// Ends what is due now; answers with how many deferrals that were.
    pub async fn look(&self) -> Result<usize, StoreError> {
        let mut ended = 0;
        for decision in self.claim().await? {
            match self.end(&decision).await {
                Ok(written) => ended += usize::from(written),
                Err(error) if error.is_outage() => return Err(error),
                // Its turn comes again when the lease is over; the others need not wait for it.
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "a deferral could not be ended");
                }
            }
        }
        Ok(ended)
    }

    /// Takes those that are due and that nobody is at.
    async fn claim(&self) -> Result<Vec<Decision>, StoreError> {
        let now = self.clock.now();
        let mut tx = self.store.database().begin(&Scope::Platform).await?;
        let rows: Vec<DecisionRow> = sqlx::query_as(
            "with due as (
               select scope_id, patch_id
                 from approvals.decision
                where state = 'DEFERRED'
                  and ends_at <= $1
                  and (leased_until is null or leased_until < $1)
                order by ends_at
                limit $3
                  for update skip locked
             )
             update approvals.decision d
                set leased_until = $2
               from due
              where d.scope_id = due.scope_id and d.patch_id = due.patch_id
            returning d.scope_id, d.patch_id, d.level, d.partner_id, d.customer_id, d.ends_at",
        )
        .bind(now)
        .bind(now + LEASE)
        .bind(DUE_MAX)
        .fetch_all(&mut *tx)
        .await?;
        tx.commit().await?;
        rows.into_iter().map(TryInto::try_into).collect()
    }

    /// Whether that was written down now.
    async fn end(&self, decision: &Decision) -> Result<bool, StoreError> {
        let Some(until) = decision.ends_at else { return Ok(false) };
        let scope = Scope::partner_of(decision.tenant);
        let mut tx = self.store.database().begin(&scope).await?;
        let Some(patch) = facts::patch(&mut tx, decision.patch_id).await? else { return Ok(false) };
        let stream_id = decision_stream(decision.patch_id, decision.scope);
        let name = format!("approvals/end of the deferral until {until}");
        let cause = Cause {
            command_id: CommandId::derived(stream_id.0, &name),
            correlation_id: CorrelationId::derived(stream_id.0, &name),
            causation_id: None,
            actor: Actor::system("approvals"),
            traceparent: None,
        };
        let target =
            Target { scope: &scope, tenant: decision.tenant, stream_id, cause: &cause, occurred_at: None };
        let command = Command::EndDeferral { subject: patch.at(decision.scope), until };
        match self.store.execute_in::<Approval>(&mut tx, target, command).await {
            Ok(committed) => {
                tx.commit().await?;
                Ok(committed.pos.is_some() && !committed.repeated)
            }
            Err(ExecuteError::Refused(refusal)) => {
                tracing::warn!(code = refusal.code(), "a deferral cannot be ended");
                Ok(false)
            }
            Err(ExecuteError::Store(error)) => Err(error),
        }
    }
}
