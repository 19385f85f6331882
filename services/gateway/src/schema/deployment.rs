//! Deployments, their runs and device jobs.

use crate::reading::{Page, Seen};
use crate::schema::connection::{ConnectionOf, page_cost};
use crate::schema::global_id::{Kind, global};
use crate::views::customer::CustomerRow;
use crate::views::deployment::{DeploymentRow, RunRow};
use crate::views::device::DeviceRow;
use crate::views::device_job::{DeviceJobRow, JOBS_OF_DEPLOYMENT, JobStepRow, STEPS_OF_JOB};
use crate::views::int;
use crate::views::patch::PatchRow;
use crate::words::{DeviceJobState, RebootPolicy, RunState};
use async_graphql::{ID, Object, Result};
use chrono::{DateTime, Utc};

/// More steps than a device job can have.
const STEPS_MAX: usize = 100;

/// An intent to bring approved patches to devices.
#[Object(name = "Deployment")]
impl Seen<DeploymentRow> {
    pub(crate) async fn id(&self) -> ID {
        global(Kind::Deployment, self.row.deployment_id)
    }

    async fn customer(&self) -> Result<Seen<CustomerRow>> {
        self.view.existing(self.row.customer_id).await
    }

    async fn name(&self) -> &str {
        &self.row.name
    }

    async fn reboot_policy(&self) -> RebootPolicy {
        self.row.reboot_policy
    }

    async fn planned_at(&self) -> DateTime<Utc> {
        self.row.planned_at
    }

    /// The last execution.
    async fn run(&self) -> Result<Option<Seen<RunRow>>> {
        self.view.find(self.row.deployment_id).await
    }

    #[graphql(complexity = "page_cost(first, child_complexity)")]
    async fn jobs(&self, first: Option<i32>, after: Option<String>) -> Result<ConnectionOf<DeviceJobRow>> {
        self.view.page(&JOBS_OF_DEPLOYMENT, self.row.deployment_id, Page::new(first, after)).await
    }
}

/// One execution of a deployment, with the number of its device jobs by how they ended.
#[Object(name = "Run")]
impl Seen<RunRow> {
    async fn state(&self) -> RunState {
        self.row.state
    }

    async fn started_at(&self) -> DateTime<Utc> {
        self.row.started_at
    }

    async fn finished_at(&self) -> Option<DateTime<Utc>> {
        self.row.finished_at
    }

    /// Device jobs that have not ended yet.
    async fn active(&self) -> i32 {
        int(self.row.active)
    }

    async fn succeeded(&self) -> i32 {
        int(self.row.succeeded)
    }

    async fn failed(&self) -> i32 {
        int(self.row.failed)
    }

    async fn skipped(&self) -> i32 {
        int(self.row.skipped)
    }

    async fn timed_out(&self) -> i32 {
        int(self.row.timed_out)
    }
}

/// The part of a run for one device.
#[Object(name = "DeviceJob")]
impl Seen<DeviceJobRow> {
    pub(crate) async fn id(&self) -> ID {
        global(Kind::DeviceJob, self.row.job_id)
    }

    async fn device(&self) -> Result<Seen<DeviceRow>> {
        self.view.existing(self.row.device_id).await
    }

    async fn deployment(&self) -> Result<Seen<DeploymentRow>> {
        self.view.existing(self.row.deployment_id).await
    }

    async fn state(&self) -> DeviceJobState {
        self.row.state
    }

    /// Why it failed or timed out, in words; why it was skipped, as a code.
    async fn reason(&self) -> Option<&str> {
        self.row.reason.as_deref()
    }

    /// Failure class (`install_script` …) or reason of a skip (`DEVICE_OFFLINE` …).
    async fn reason_code(&self) -> Option<&str> {
        self.row.reason_code.as_deref()
    }

    /// What it is to install.
    async fn patches(&self) -> Result<Vec<Seen<PatchRow>>> {
        self.view.find_all(&self.row.patch_ids).await
    }

    async fn steps(&self) -> Result<Vec<Seen<JobStepRow>>> {
        let steps = self.view.rows(&STEPS_OF_JOB, self.row.job_id, None, None, STEPS_MAX).await?;
        Ok(steps.into_iter().map(|(_, step)| self.view.seen(step)).collect())
    }

    async fn queued_at(&self) -> DateTime<Utc> {
        self.row.queued_at
    }

    /// The agent refuses the job after this.
    async fn expires_at(&self) -> Option<DateTime<Utc>> {
        self.row.expires_at
    }

    async fn finished_at(&self) -> Option<DateTime<Utc>> {
        self.row.finished_at
    }
}

/// A step that a device job went through.
#[Object(name = "JobStep")]
impl Seen<JobStepRow> {
    async fn state(&self) -> DeviceJobState {
        self.row.state
    }

    async fn detail(&self) -> Option<&str> {
        self.row.detail.as_deref()
    }

    /// By the clock of whoever saw it.
    async fn occurred_at(&self) -> DateTime<Utc> {
        self.row.occurred_at
    }

    /// By the database's clock.
    async fn recorded_at(&self) -> DateTime<Utc> {
        self.row.recorded_at
    }
}
