//! Device jobs and the steps they went through.

use crate::reading::list::{ById, list};
use crate::views::Entry;
use crate::views::later::Later;
use crate::words::{DeviceJobState, name};
use chrono::{DateTime, Utc};
use contracts::scheduling::{
    DeviceJobAcknowledged, DeviceJobDispatched, DeviceJobEvent, DeviceJobFailed, DeviceJobLateResultRecorded,
    DeviceJobQueued, DeviceJobSkipped, DeviceJobSucceeded, DeviceJobTimedOut, DownloadInitiated,
    InstallStarted, JobOutcome, RebootRequired, SkipReason, VerificationStarted,
};
use eventstore::{StoreError, Tx};
use kernel::JobId;
use uuid::Uuid;

/// A device job as GraphQL shows it.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct DeviceJobRow {
    pub(crate) job_id: Uuid,
    pub(crate) deployment_id: Uuid,
    pub(crate) device_id: Uuid,
    pub(crate) customer_id: Option<Uuid>,
    pub(crate) state: DeviceJobState,
    pub(crate) reason_code: Option<String>,
    pub(crate) reason: Option<String>,
    pub(crate) patch_ids: Vec<Uuid>,
    pub(crate) queued_at: DateTime<Utc>,
    pub(crate) expires_at: Option<DateTime<Utc>>,
    pub(crate) finished_at: Option<DateTime<Utc>>,
}

macro_rules! columns {
    () => {
        "t.job_id, t.deployment_id, t.device_id, t.customer_id, t.state, t.reason_code, t.reason, t.patch_ids,
         t.queued_at, t.expires_at, t.finished_at, t.seq"
    };
}

impl ById for DeviceJobRow {
    const BY_IDS: &'static str =
        concat!("select t.job_id as key, ", columns!(), " from views.device_job t where t.job_id = any($1)");
}

list! {
    /// A deployment's device jobs.
    JOBS_OF_DEPLOYMENT: DeviceJobRow, columns from "views.device_job t"
    where "t.deployment_id = p.parent", oldest first by "t.seq"
}

/// One step of a device job.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct JobStepRow {
    pub(crate) state: DeviceJobState,
    pub(crate) detail: Option<String>,
    pub(crate) occurred_at: DateTime<Utc>,
    pub(crate) recorded_at: DateTime<Utc>,
}

macro_rules! step_columns {
    () => {
        "t.state, t.detail, t.occurred_at, t.recorded_at, t.seq"
    };
}

list! {
    /// A device job's steps.
    STEPS_OF_JOB: JobStepRow, step_columns from "views.job_step t"
    where "t.job_id = p.parent", oldest first by "t.seq"
}

pub(super) async fn apply(
    tx: &mut Tx,
    later: &mut Later,
    entry: Entry,
    fact: DeviceJobEvent,
) -> Result<(), StoreError> {
    use DeviceJobState as State;
    match fact {
        DeviceJobEvent::DeviceJobQueued(fact) => {
            queue(tx, entry, &fact).await?;
            step(tx, later, entry, fact.job_id, Step::of(State::Queued)).await
        }
        DeviceJobEvent::DeviceJobSkipped(fact) => {
            skip(tx, entry, &fact).await?;
            let step_of = Step { detail: Some(code(fact.reason).to_owned()), ..Step::of(State::Skipped) };
            step(tx, later, entry, fact.job_id, step_of).await
        }
        DeviceJobEvent::DeviceJobDispatched(DeviceJobDispatched { job_id, .. }) => {
            step(tx, later, entry, job_id, Step::of(State::Dispatched)).await
        }
        DeviceJobEvent::DeviceJobAcknowledged(DeviceJobAcknowledged { job_id, .. }) => {
            step(tx, later, entry, job_id, Step::of(State::Acknowledged)).await
        }
        DeviceJobEvent::DownloadInitiated(DownloadInitiated { job_id, source, .. }) => {
            step(tx, later, entry, job_id, Step { detail: Some(source), ..Step::of(State::Downloading) })
                .await
        }
        DeviceJobEvent::InstallStarted(InstallStarted { job_id, .. }) => {
            step(tx, later, entry, job_id, Step::of(State::Installing)).await
        }
        DeviceJobEvent::RebootRequired(RebootRequired { job_id, .. }) => {
            step(tx, later, entry, job_id, Step::of(State::PendingReboot)).await
        }
        DeviceJobEvent::VerificationStarted(VerificationStarted { job_id, packages, .. }) => {
            let changed: Vec<_> = packages.iter().map(|p| format!("{}={}", p.name, p.version)).collect();
            let detail = (!changed.is_empty()).then(|| changed.join(", "));
            step(tx, later, entry, job_id, Step { detail, ..Step::of(State::Verifying) }).await
        }
        DeviceJobEvent::DeviceJobSucceeded(DeviceJobSucceeded { job_id, .. }) => {
            step(tx, later, entry, job_id, Step::of(State::Succeeded)).await
        }
        DeviceJobEvent::DeviceJobFailed(DeviceJobFailed { job_id, class, reason, .. }) => {
            step(
                tx,
                later,
                entry,
                job_id,
                Step { code: Some(class), detail: Some(reason), state: State::Failed },
            )
            .await
        }
        DeviceJobEvent::DeviceJobTimedOut(DeviceJobTimedOut { job_id, stage, .. }) => {
            let reason = format!("no word from the agent while {stage}");
            step(tx, later, entry, job_id, Step { detail: Some(reason), ..Step::of(State::TimedOut) }).await
        }
        DeviceJobEvent::DeviceJobLateResultRecorded(DeviceJobLateResultRecorded {
            job_id, outcome, ..
        }) => {
            let state = match outcome {
                JobOutcome::Succeeded => State::Succeeded,
                JobOutcome::Failed => State::Failed,
                JobOutcome::Skipped => State::Skipped,
                JobOutcome::TimedOut => State::TimedOut,
            };
            let detail = Some("reported after the job had been given up".to_owned());
            step(tx, later, entry, job_id, Step { detail, ..Step::of(state) }).await
        }
    }
}

async fn queue(tx: &mut Tx, entry: Entry, fact: &DeviceJobQueued) -> Result<(), StoreError> {
    sqlx::query(
        "insert into device_job (job_id, run_id, deployment_id, device_id, partner_id, customer_id, state,
                                 patch_ids, queued_at, expires_at, changed, seq)
         values ($1, $2, $3, $4, $5, $6, 'QUEUED', $7, $8, $9, $10, $10)",
    )
    .bind(fact.job_id.0)
    .bind(fact.run_id.0)
    .bind(fact.deployment_id.0)
    .bind(fact.device_id.0)
    .bind(entry.partner_id)
    .bind(entry.customer_id)
    .bind(fact.patches.iter().map(|order| order.patch_id.0).collect::<Vec<_>>())
    .bind(entry.recorded_at)
    .bind(fact.expires_at)
    .bind(entry.seq)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn skip(tx: &mut Tx, entry: Entry, fact: &DeviceJobSkipped) -> Result<(), StoreError> {
    sqlx::query(
        "insert into device_job (job_id, run_id, deployment_id, device_id, partner_id, customer_id, state,
                                 reason_code, patch_ids, queued_at, changed, seq)
         values ($1, $2, $3, $4, $5, $6, 'SKIPPED', $7, '{}', $8, $9, $9)
         on conflict (job_id) do update
            set reason_code = excluded.reason_code",
    )
    .bind(fact.job_id.0)
    .bind(fact.run_id.0)
    .bind(fact.deployment_id.0)
    .bind(fact.device_id.0)
    .bind(entry.partner_id)
    .bind(entry.customer_id)
    .bind(code(fact.reason))
    .bind(entry.recorded_at)
    .bind(entry.seq)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

fn code(reason: SkipReason) -> &'static str {
    match reason {
        SkipReason::DeviceOffline => "DEVICE_OFFLINE",
        SkipReason::NotApplicable => "NOT_APPLICABLE",
        SkipReason::NotApproved => "NOT_APPROVED",
        SkipReason::NoAgent => "NO_AGENT",
        SkipReason::UnsupportedPlatform => "UNSUPPORTED_PLATFORM",
    }
}

/// One more step, with what it says about itself.
struct Step {
    state: DeviceJobState,
    code: Option<String>,
    detail: Option<String>,
}

impl Step {
    fn of(state: DeviceJobState) -> Self {
        Self { state, code: None, detail: None }
    }

    /// Whether the job has come to its end by it.
    fn is_last(&self) -> bool {
        use DeviceJobState as State;
        match self.state {
            State::Succeeded | State::Failed | State::Skipped | State::TimedOut => true,
            State::Queued
            | State::Dispatched
            | State::Acknowledged
            | State::Downloading
            | State::Installing
            | State::PendingReboot
            | State::Verifying => false,
        }
    }
}

async fn step(
    tx: &mut Tx,
    later: &mut Later,
    entry: Entry,
    job_id: JobId,
    step: Step,
) -> Result<(), StoreError> {
    let last = step.is_last();
    sqlx::query(
        "update device_job
            set state = $2,
                reason_code = coalesce($3, reason_code),
                reason = case when $5 then $4 else reason end,
                finished_at = case when $5 then $6 else finished_at end,
                changed = $7
          where job_id = $1",
    )
    .bind(job_id.0)
    .bind(step.state)
    .bind(step.code)
    .bind(step.detail.as_deref())
    .bind(last)
    .bind(entry.recorded_at)
    .bind(entry.seq)
    .execute(&mut **tx)
    .await?;
    later.steps.0.push((entry, job_id.0, step.state, step.detail));
    Ok(())
}

/// Steps to be added.
#[derive(Default)]
pub(super) struct Steps(Vec<(Entry, Uuid, DeviceJobState, Option<String>)>);

impl Steps {
    pub(super) async fn write(&mut self, tx: &mut Tx) -> Result<(), StoreError> {
        let rows = std::mem::take(&mut self.0);
        if rows.is_empty() {
            return Ok(());
        }
        sqlx::query(
            "insert into job_step (job_id, seq, partner_id, customer_id, state, detail, occurred_at, recorded_at)
             select *
               from unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::timestamptz[],
                           $8::timestamptz[])",
        )
        .bind(rows.iter().map(|(_, job_id, ..)| *job_id).collect::<Vec<_>>())
        .bind(rows.iter().map(|(entry, ..)| entry.seq).collect::<Vec<_>>())
        .bind(rows.iter().map(|(entry, ..)| entry.partner_id).collect::<Vec<_>>())
        .bind(rows.iter().map(|(entry, ..)| entry.customer_id).collect::<Vec<_>>())
        .bind(rows.iter().map(|(_, _, state, _)| name(*state)).collect::<Vec<_>>())
        .bind(rows.iter().map(|(.., detail)| detail.as_deref()).collect::<Vec<_>>())
        .bind(rows.iter().map(|(entry, ..)| entry.occurred_at).collect::<Vec<_>>())
        .bind(rows.iter().map(|(entry, ..)| entry.recorded_at).collect::<Vec<_>>())
        .execute(&mut **tx)
        .await?;
        Ok(())
    }
}
