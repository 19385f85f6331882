//! Gives up jobs of which nobody has heard for too long. A timer that fires early, late or twice does no harm.

use crate::jobs::{self, Silent, SilentStage};
use chrono::TimeDelta;
use eventstore::{Committed, ExecuteError, Store, StoreError, Target};
use kernel::{Actor, Aggregate, Cause, CommandId, Refused, Scope, StreamId};
use runtime::{Clock, Lifecycle};
use scheduling_domain::device_job::{self, DeviceJob};
use scheduling_domain::scan_job::{self, ScanJob};
use std::sync::Arc;
use std::time::Duration;

/// The timer and what it looks at.
pub(crate) struct Watchdog {
    store: Store,
    clock: Arc<dyn Clock>,
    stalled_after: TimeDelta,
}

impl Watchdog {
    pub(crate) fn new(store: Store, clock: Arc<dyn Clock>, stalled_after: TimeDelta) -> Self {
        Self { store, clock, stalled_after }
    }

    /// Looks again and again until the process stops.
    pub(crate) async fn run(self, interval: Duration, lifecycle: Lifecycle) {
        while !lifecycle.stopped_within(interval).await {
            match self.look().await {
                Ok(0) => {}
                Ok(given_up) => tracing::warn!(jobs = given_up, "jobs were given up"),
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "the watchdog could not look");
                }
            }
        }
    }

    /// Gives up what is silent now; answers with how many jobs that were.
    pub(crate) async fn look(&self) -> Result<usize, StoreError> {
        let now = self.clock.now();
        let mut tx = self.store.database().begin(&Scope::Platform).await?;
        let silent = jobs::silent(&mut tx, now, now - self.stalled_after).await?;
        tx.commit().await?;
        let mut given_up = 0;
        for job in silent {
            let outcome = match &job {
                Ok(job) => self.try_to_give_up(job).await,
                Err(unreadable) => {
                    tracing::error!(error = unreadable as &dyn std::error::Error, "a job cannot be read");
                    continue;
                }
            };
            match outcome {
                Ok(written) => given_up += usize::from(written),
                Err(error) if error.is_outage() => return Err(error),
                // Its turn comes again; the others need not wait for it.
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "a job could not be given up");
                }
            }
        }
        Ok(given_up)
    }

    /// Whether that was written down now.
    async fn try_to_give_up(&self, job: &Silent) -> Result<bool, StoreError> {
        let committed = match job.stage {
            SilentStage::Scan => {
                let silent_for_seconds = self.stalled_after.num_seconds().unsigned_abs();
                self.give_up::<ScanJob>(job, "scan", scan_job::Command::GiveUp { silent_for_seconds }).await?
            }
            SilentStage::Install(seen) => {
                self.give_up::<DeviceJob>(job, seen.name(), device_job::Command::GiveUp { seen }).await?
            }
        };
        Ok(committed.is_some_and(|written| written.pos.is_some() && !written.repeated))
    }

    async fn give_up<A: Aggregate>(
        &self,
        job: &Silent,
        stage: &str,
        command: A::Command,
    ) -> Result<Option<Committed>, StoreError> {
        let cause = Cause {
            command_id: CommandId::derived(job.job_id.0, &format!("scheduling/give up {stage}")),
            correlation_id: job.correlation_id,
            causation_id: None,
            actor: Actor::system("scheduling"),
            traceparent: job.traceparent.clone(),
        };
        let target = Target {
            scope: &Scope::partner_of(job.tenant),
            tenant: job.tenant,
            stream_id: StreamId(job.job_id.0),
            cause: &cause,
            occurred_at: None,
        };
        match self.store.execute::<A>(target, command).await {
            Ok(committed) => Ok(Some(committed)),
            Err(ExecuteError::Refused(refusal)) => {
                tracing::warn!(code = refusal.code(), job.id = %job.job_id, "a job cannot be given up");
                Ok(None)
            }
            Err(ExecuteError::Store(error)) => Err(error),
        }
    }
}
