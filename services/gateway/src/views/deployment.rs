//! Deployments and their runs.

use crate::reading::list::{ById, list};
use crate::views::Entry;
use crate::words::{RebootPolicy, RunState};
use chrono::{DateTime, Utc};
use contracts::scheduling::{
    DeploymentEvent, DeploymentPlanned, RunCompleted, RunCompletedWithFailures, RunEvent,
    RunFoundNothingToDo, RunStarted,
};
use eventstore::{StoreError, Tx};
use kernel::RunId;
use uuid::Uuid;

/// A deployment as GraphQL shows it.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct DeploymentRow {
    pub(crate) deployment_id: Uuid,
    pub(crate) customer_id: Uuid,
    pub(crate) name: String,
    pub(crate) reboot_policy: RebootPolicy,
    pub(crate) planned_at: DateTime<Utc>,
}

macro_rules! columns {
    () => {
        "t.deployment_id, t.customer_id, t.name, t.reboot_policy, t.planned_at, t.seq"
    };
}

impl ById for DeploymentRow {
    const BY_IDS: &'static str = concat!(
        "select t.deployment_id as key, ",
        columns!(),
        " from views.deployment t where t.deployment_id = any($1)"
    );
}

list! {
    /// A customer's deployments.
    DEPLOYMENTS_OF_CUSTOMER: DeploymentRow, columns from "views.deployment t"
    where "t.customer_id = p.parent", newest first by "t.seq"
}

/// The last run of a deployment, with what its device jobs came to so far.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct RunRow {
    pub(crate) state: RunState,
    pub(crate) started_at: DateTime<Utc>,
    pub(crate) finished_at: Option<DateTime<Utc>>,
    pub(crate) active: i64,
    pub(crate) succeeded: i64,
    pub(crate) failed: i64,
    pub(crate) skipped: i64,
    pub(crate) timed_out: i64,
}

/// By the deployment's id.
impl ById for RunRow {
    const BY_IDS: &'static str = "
        select distinct on (r.deployment_id)
               r.deployment_id as key,
               r.state,
               r.started_at,
               r.finished_at,
               j.active,
               j.succeeded,
               j.failed,
               j.skipped,
               j.timed_out
          from views.run r
         cross join lateral (
               select count(*) filter (where j.state not in ('SUCCEEDED', 'FAILED', 'SKIPPED', 'TIMED_OUT')) as active,
                      count(*) filter (where j.state = 'SUCCEEDED') as succeeded,
                      count(*) filter (where j.state = 'FAILED') as failed,
                      count(*) filter (where j.state = 'SKIPPED') as skipped,
                      count(*) filter (where j.state = 'TIMED_OUT') as timed_out
                 from views.device_job j
                where j.run_id = r.run_id) j
         where r.deployment_id = any($1)
         order by r.deployment_id, r.seq desc";
}

/// The last event that a subscriber to a deployment would see a change by.
pub(crate) const LAST_CHANGE: &str = "
    select greatest(
        (select d.seq from views.deployment d where d.deployment_id = $1),
        (select max(r.changed) from views.run r where r.deployment_id = $1),
        (select max(j.changed) from views.device_job j where j.deployment_id = $1)
    )";

pub(super) async fn apply(tx: &mut Tx, entry: Entry, fact: DeploymentEvent) -> Result<(), StoreError> {
    match fact {
        DeploymentEvent::DeploymentPlanned(DeploymentPlanned {
            deployment_id,
            customer_id,
            name,
            reboot_policy,
            ..
        }) => {
            sqlx::query(
                "insert into deployment (deployment_id, partner_id, customer_id, name, reboot_policy, planned_at,
                                         seq)
                 values ($1, $2, $3, $4, $5, $6, $7)",
            )
            .bind(deployment_id.0)
            .bind(entry.partner_id)
            .bind(customer_id.0)
            .bind(name)
            .bind(RebootPolicy::from(reboot_policy))
            .bind(entry.recorded_at)
            .bind(entry.seq)
            .execute(&mut **tx)
            .await?;
        }
    }
    Ok(())
}

pub(super) async fn apply_run(tx: &mut Tx, entry: Entry, fact: RunEvent) -> Result<(), StoreError> {
    match fact {
        RunEvent::RunStarted(RunStarted { run_id, deployment_id, .. }) => {
            sqlx::query(
                "insert into run (run_id, deployment_id, partner_id, customer_id, state, started_at, changed, seq)
                 values ($1, $2, $3, $4, 'RUNNING', $5, $6, $6)",
            )
            .bind(run_id.0)
            .bind(deployment_id.0)
            .bind(entry.partner_id)
            .bind(entry.customer_id)
            .bind(entry.recorded_at)
            .bind(entry.seq)
            .execute(&mut **tx)
            .await?;
            Ok(())
        }
        // The device jobs say it themselves.
        RunEvent::DeviceOutcomeRecorded(_) => Ok(()),
        RunEvent::RunCompleted(RunCompleted { run_id, .. }) => {
            end(tx, entry, run_id, RunState::Completed).await
        }
        RunEvent::RunCompletedWithFailures(RunCompletedWithFailures { run_id, .. }) => {
            end(tx, entry, run_id, RunState::CompletedWithFailures).await
        }
        RunEvent::RunFoundNothingToDo(RunFoundNothingToDo { run_id, .. }) => {
            end(tx, entry, run_id, RunState::NothingToDo).await
        }
    }
}

async fn end(tx: &mut Tx, entry: Entry, run_id: RunId, state: RunState) -> Result<(), StoreError> {
    sqlx::query(
        "update run
            set state = $2,
                finished_at = $3,
                changed = $4
          where run_id = $1",
    )
    .bind(run_id.0)
    .bind(state)
    .bind(entry.recorded_at)
    .bind(entry.seq)
    .execute(&mut **tx)
    .await?;
    Ok(())
}
