//! Everything the service listens to, in the order of the log: keeps the local tables and moves jobs and runs on.
//!
//! | fact | reaction |
//! |---|---|
//! | an agent enrolled | a first scan is requested |
//! | a job was delivered, or an agent reported on it | the scan job or device job moves on |
//! | a scan that answers a job completed or failed | the job succeeds or fails |
//! | a device job ended | its run records the outcome, and with the last one ends |

use crate::jobs::{self, Kind};
use crate::{approvals, fleet};
use contracts::approvals::{ApprovalEvent, BlockEvent};
use contracts::devices::{AgentEnrolled, DeviceEvent, GroupEvent};
use contracts::feeds::PatchEvent;
use contracts::scheduling::{DeviceJobEvent, JobOutcome, ScanJobEvent, ScanReason};
use eventstore::{Store, Target, Tx};
use kernel::{Aggregate, DeviceId, Envelope, EventData, JobId, RunId, Scope, StreamId};
use messaging::{Consumer, HandlerError, Outcome, settled};
use scheduling_domain::device_job::{self, DeviceJob, Step};
use scheduling_domain::run::{self, Run};
use scheduling_domain::scan_job::{self, ScanJob};

/// The service's one consumer.
#[derive(Debug, Clone)]
pub(crate) struct Reactor {
    store: Store,
}

#[async_trait::async_trait]
impl Consumer for Reactor {
    fn name(&self) -> &'static str {
        "scheduling.reactor"
    }

    fn interests(&self) -> &'static [&'static str] {
        &[
            "feeds.PatchPublished",
            "feeds.PatchRevised",
            "feeds.PatchSuperseded",
            "feeds.PatchWithdrawn",
            "devices.AgentEnrolled",
            "devices.DeviceCameOnline",
            "devices.DeviceWentOffline",
            "devices.PatchFoundMissing",
            "devices.PatchFoundInstalled",
            "devices.PatchNoLongerApplicable",
            "devices.ScanCompleted",
            "devices.ScanFailed",
            "devices.JobDelivered",
            "devices.JobReported",
            "devices.GroupMembershipChanged",
            "devices.GroupRemoved",
            "approvals.ApprovalOpened",
            "approvals.PatchApproved",
            "approvals.PatchRejected",
            "approvals.ApprovalRevoked",
            "approvals.PatchDeferred",
            "approvals.DeferralEnded",
            "approvals.ApprovalLapsed",
            "approvals.PatchBlocked",
            "approvals.PatchUnblocked",
            "scheduling.*",
        ]
    }

    async fn handle(&self, tx: &mut Tx, event: &Envelope) -> Result<Outcome, HandlerError> {
        let event_type = event.event_type.as_str();
        if DeviceEvent::owns(event_type) {
            self.on_device(tx, event, event.read()?).await?;
        } else if ApprovalEvent::owns(event_type) {
            fleet::apply_approval(tx, event.tenant, &event.read()?).await?;
        } else if BlockEvent::owns(event_type) {
            approvals::keep_block(tx, &event.read()?).await?;
        } else if GroupEvent::owns(event_type) {
            approvals::keep_group(tx, event.tenant, &event.read()?).await?;
        } else if PatchEvent::owns(event_type) {
            fleet::apply_patch(tx, &event.read()?).await?;
        } else if ScanJobEvent::owns(event_type) {
            jobs::apply_scan(tx, event, &event.read()?).await?;
        } else if DeviceJobEvent::owns(event_type) {
            self.on_device_job(tx, event, &event.read()?).await?;
        }
        Ok(Outcome::Handled)
    }
}

impl Reactor {
    pub(crate) fn new(store: Store) -> Self {
        Self { store }
    }

    async fn on_device(&self, tx: &mut Tx, event: &Envelope, fact: DeviceEvent) -> Result<(), HandlerError> {
        fleet::apply_device(tx, event.tenant, &fact).await?;
        match fact {
            DeviceEvent::AgentEnrolled(fact) => self.request_first_scan(tx, event, &fact).await,
            DeviceEvent::JobDelivered(fact) => {
                let install = device_job::Command::Advance(Step::Dispatched);
                self.tell(tx, event, (fact.job_id, fact.device_id), install, None).await
            }
            DeviceEvent::JobReported(fact) => {
                let (install, scan) = (device_job::heard(fact.report.clone()), scan_job::heard(fact.report));
                self.tell(tx, event, (fact.job_id, fact.device_id), install, scan).await
            }
            DeviceEvent::ScanCompleted(fact) => {
                let Some(job_id) = fact.job_id else { return Ok(()) };
                // A scan's findings come before its completion, so the table shows what it has found.
                let missing = fleet::missing_on(tx, fact.device_id).await?;
                let install = device_job::Command::Verify { missing };
                self.tell(tx, event, (job_id, fact.device_id), install, Some(scan_job::Command::Complete))
                    .await
            }
            DeviceEvent::ScanFailed(fact) => {
                let Some(job_id) = fact.job_id else { return Ok(()) };
                let install = device_job::unverifiable(&fact.reason);
                let scan = scan_job::Command::Fail { reason: fact.reason };
                self.tell(tx, event, (job_id, fact.device_id), install, Some(scan)).await
            }
            DeviceEvent::DeviceCameOnline(_)
            | DeviceEvent::DeviceWentOffline(_)
            | DeviceEvent::AvailableUpdatesChanged(_)
            | DeviceEvent::DeviceExposureChanged(_)
            | DeviceEvent::DeviceRegionChanged(_)
            | DeviceEvent::PatchFoundMissing(_)
            | DeviceEvent::PatchFoundInstalled(_)
            | DeviceEvent::PatchNoLongerApplicable(_) => Ok(()),
        }
    }

    async fn request_first_scan(
        &self,
        tx: &mut Tx,
        event: &Envelope,
        fact: &AgentEnrolled,
    ) -> Result<(), HandlerError> {
        let job_id = JobId::derived(event.event_id.0, "first scan");
        let request = scan_job::Command::Request {
            job_id,
            device_id: fact.device_id,
            reason: ScanReason::Enrolled,
            online: true,
        };
        self.execute::<ScanJob>(tx, event, StreamId(job_id.0), request).await
    }

    /// Passes on what was heard of a job to whichever kind of job it is; a job that is not this device's is nobody's.
    async fn tell(
        &self,
        tx: &mut Tx,
        event: &Envelope,
        (job_id, device_id): (JobId, DeviceId),
        install: device_job::Command,
        scan: Option<scan_job::Command>,
    ) -> Result<(), HandlerError> {
        match (jobs::kind_of(tx, job_id, device_id).await?, scan) {
            (Some(Kind::Install), _) => {
                self.execute::<DeviceJob>(tx, event, StreamId(job_id.0), install).await
            }
            (Some(Kind::Scan), Some(scan)) => {
                self.execute::<ScanJob>(tx, event, StreamId(job_id.0), scan).await
            }
            (Some(Kind::Scan), None) => Ok(()),
            (None, _) => {
                tracing::debug!(job.id = %job_id, device.id = %device_id, "a word on a job that is not the device's");
                Ok(())
            }
        }
    }

    async fn on_device_job(
        &self,
        tx: &mut Tx,
        event: &Envelope,
        fact: &DeviceJobEvent,
    ) -> Result<(), HandlerError> {
        jobs::apply_install(tx, event, fact).await?;
        let Some((run_id, job_id, outcome)) = ending(fact) else { return Ok(()) };
        self.execute::<Run>(tx, event, StreamId(run_id.0), run::Command::RecordOutcome { job_id, outcome })
            .await
    }

    async fn execute<A: Aggregate>(
        &self,
        tx: &mut Tx,
        event: &Envelope,
        stream_id: StreamId,
        command: A::Command,
    ) -> Result<(), HandlerError> {
        let cause = event.reaction("scheduling", A::STREAM);
        let target = Target {
            scope: &Scope::partner_of(event.tenant),
            tenant: event.tenant,
            stream_id,
            cause: &cause,
            occurred_at: Some(event.occurred_at),
        };
        settled(self.store.execute_in::<A>(tx, target, command).await)?;
        Ok(())
    }
}

/// How a device job ended, if this is its end. A late result is none: the run has recorded the time-out.
fn ending(fact: &DeviceJobEvent) -> Option<(RunId, JobId, JobOutcome)> {
    match fact {
        DeviceJobEvent::DeviceJobSkipped(fact) => Some((fact.run_id, fact.job_id, JobOutcome::Skipped)),
        DeviceJobEvent::DeviceJobSucceeded(fact) => Some((fact.run_id, fact.job_id, JobOutcome::Succeeded)),
        DeviceJobEvent::DeviceJobFailed(fact) => Some((fact.run_id, fact.job_id, JobOutcome::Failed)),
        DeviceJobEvent::DeviceJobTimedOut(fact) => Some((fact.run_id, fact.job_id, JobOutcome::TimedOut)),
        DeviceJobEvent::DeviceJobQueued(_)
        | DeviceJobEvent::DeviceJobDispatched(_)
        | DeviceJobEvent::DeviceJobAcknowledged(_)
        | DeviceJobEvent::DownloadInitiated(_)
        | DeviceJobEvent::InstallStarted(_)
        | DeviceJobEvent::RebootRequired(_)
        | DeviceJobEvent::VerificationStarted(_)
        | DeviceJobEvent::DeviceJobLateResultRecorded(_) => None,
    }
}
