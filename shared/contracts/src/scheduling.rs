//! Scans on request, deployments, runs and device jobs.

use crate::devices::{MissingPackage, PackageVersion};
use chrono::{DateTime, Utc};
use kernel::{CustomerId, DeploymentId, DeviceId, JobId, PatchId, RunId};
use serde::{Deserialize, Serialize};

/// Why a scan was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum ScanReason {
    /// The agent has just enrolled.
    Enrolled,
    /// A person asked.
    OnDemand,
}

/// Why a device had no part in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum SkipReason {
    /// Not in contact; devices must be up and running.
    DeviceOffline,
    /// None of the chosen patches is missing there.
    NotApplicable,
    /// None of the chosen patches is approved there.
    NotApproved,
    /// The agent only scans.
    NoAgent,
    /// The platform cannot be patched yet.
    UnsupportedPlatform,
}

/// One patch of a device job: approved, and missing on that device when the job was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PatchOrder {
    /// The patch.
    pub patch_id: PatchId,
    /// The vendor's id.
    pub vendor_patch_id: String,
    /// What to bring to which version.
    pub packages: Vec<MissingPackage>,
}

/// When to restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum RebootPolicy {
    /// Never; a pending reboot is reported.
    Never,
    /// If the update needs it.
    IfRequired,
}

/// How a device job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum JobOutcome {
    /// A scan after the install saw every patch of the job.
    Succeeded,
    /// It did not work.
    Failed,
    /// The device had no part.
    Skipped,
    /// No word for too long.
    TimedOut,
}

events! {
    /// Facts of a scan job.
    ScanJobEvent in "scheduling" {
        /// A scan was asked for.
        ScanRequested = 1 {
            /// The job.
            job_id: JobId,
            /// The device.
            device_id: DeviceId,
            /// Why.
            reason: ScanReason,
        },
        /// The agent has begun.
        ScanInitiated = 1 {
            /// The job.
            job_id: JobId,
            /// The device.
            device_id: DeviceId,
        },
        /// The result is in.
        ScanJobCompleted = 1 {
            /// The job.
            job_id: JobId,
            /// The device.
            device_id: DeviceId,
        },
        /// It did not work.
        ScanJobFailed = 1 {
            /// The job.
            job_id: JobId,
            /// The device.
            device_id: DeviceId,
            /// Why.
            reason: String,
        },
    }
}

events! {
    /// Facts of a deployment.
    DeploymentEvent in "scheduling" {
        /// Patches are to be brought to devices now.
        DeploymentPlanned = 1 {
            /// The deployment.
            deployment_id: DeploymentId,
            /// Its customer.
            customer_id: CustomerId,
            /// Display name.
            name: String,
            /// Devices in it, frozen.
            device_ids: Vec<DeviceId>,
            /// Patches in it; empty means all that are approved.
            patch_ids: Vec<PatchId>,
            /// When to restart.
            reboot_policy: RebootPolicy,
        },
    }
}

events! {
    /// Facts of a run.
    RunEvent in "scheduling" {
        /// A deployment's run began.
        RunStarted = 1 {
            /// The run.
            run_id: RunId,
            /// Its deployment.
            deployment_id: DeploymentId,
            /// One job per device of the deployment.
            job_ids: Vec<JobId>,
        },
        /// One device job reached its end.
        DeviceOutcomeRecorded = 1 {
            /// The run.
            run_id: RunId,
            /// The job.
            job_id: JobId,
            /// How it ended.
            outcome: JobOutcome,
        },
        /// Every device that took part succeeded.
        RunCompleted = 1 {
            /// The run.
            run_id: RunId,
            /// Its deployment.
            deployment_id: DeploymentId,
            /// Device jobs that succeeded.
            succeeded: u32,
            /// Device jobs that were skipped.
            skipped: u32,
        },
        /// At least one device failed.
        RunCompletedWithFailures = 1 {
            /// The run.
            run_id: RunId,
            /// Its deployment.
            deployment_id: DeploymentId,
            /// Device jobs that succeeded.
            succeeded: u32,
            /// Device jobs that failed or timed out.
            failed: u32,
            /// Device jobs that were skipped.
            skipped: u32,
        },
        /// No device took part.
        RunFoundNothingToDo = 1 {
            /// The run.
            run_id: RunId,
            /// Its deployment.
            deployment_id: DeploymentId,
            /// Device jobs that were skipped.
            skipped: u32,
        },
    }
}

events! {
    /// Facts of a device job.
    DeviceJobEvent in "scheduling" {
        /// A device is to install patches.
        DeviceJobQueued = 1 {
            /// The job.
            job_id: JobId,
            /// Its run.
            run_id: RunId,
            /// Its deployment.
            deployment_id: DeploymentId,
            /// The device.
            device_id: DeviceId,
            /// What to install: approved patch ids only.
            patches: Vec<PatchOrder>,
            /// When to restart.
            reboot_policy: RebootPolicy,
            /// The agent refuses the job after this.
            expires_at: DateTime<Utc>,
        },
        /// The device has no part in the run.
        DeviceJobSkipped = 1 {
            /// The job.
            job_id: JobId,
            /// Its run.
            run_id: RunId,
            /// Its deployment.
            deployment_id: DeploymentId,
            /// The device.
            device_id: DeviceId,
            /// Why.
            reason: SkipReason,
        },
        /// The agent fetched the job.
        DeviceJobDispatched = 1 {
            /// The job.
            job_id: JobId,
            /// The device.
            device_id: DeviceId,
        },
        /// The agent will do it.
        DeviceJobAcknowledged = 1 {
            /// The job.
            job_id: JobId,
            /// The device.
            device_id: DeviceId,
        },
        /// Packages are being fetched.
        DownloadInitiated = 1 {
            /// The job.
            job_id: JobId,
            /// The device.
            device_id: DeviceId,
            /// From where.
            source: String,
        },
        /// The package manager is at work.
        InstallStarted = 1 {
            /// The job.
            job_id: JobId,
            /// The device.
            device_id: DeviceId,
        },
        /// Installed, a restart is needed.
        RebootRequired = 1 {
            /// The job.
            job_id: JobId,
            /// The device.
            device_id: DeviceId,
        },
        /// The package manager is done; only a scan can say that it worked.
        VerificationStarted = 1 {
            /// The job.
            job_id: JobId,
            /// The device.
            device_id: DeviceId,
            /// What the package manager changed.
            packages: Vec<PackageVersion>,
        },
        /// A scan after the install saw every patch of the job.
        DeviceJobSucceeded = 1 {
            /// The job.
            job_id: JobId,
            /// Its run.
            run_id: RunId,
            /// The device.
            device_id: DeviceId,
            /// What is installed now.
            patch_ids: Vec<PatchId>,
        },
        /// It did not work.
        DeviceJobFailed = 1 {
            /// The job.
            job_id: JobId,
            /// Its run.
            run_id: RunId,
            /// The device.
            device_id: DeviceId,
            /// Failure class.
            class: String,
            /// Why, never empty.
            reason: String,
            /// The patches that the job was to install.
            patch_ids: Vec<PatchId>,
        },
        /// No word from the agent for too long.
        DeviceJobTimedOut = 1 {
            /// The job.
            job_id: JobId,
            /// Its run.
            run_id: RunId,
            /// The device.
            device_id: DeviceId,
            /// The stage in which it fell silent.
            stage: String,
        },
        /// A result arrived after the job had been given up.
        DeviceJobLateResultRecorded = 1 {
            /// The job.
            job_id: JobId,
            /// The device.
            device_id: DeviceId,
            /// What it really was.
            outcome: JobOutcome,
        },
    }
}

/// What a deployment was made with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartedDeployment {
    /// The deployment.
    pub deployment_id: DeploymentId,
    /// Its run.
    pub run_id: RunId,
}

commands! {
    Scheduling {
        /// Asks a device for a scan.
        RequestScan -> JobId, needs RequestScans {
            /// The device.
            device_id: DeviceId,
        }
        /// Makes a deployment and starts its one run at once. Approval is still needed.
        PatchNow -> StartedDeployment, needs Deploy {
            /// The customer.
            customer_id: CustomerId,
            /// Display name.
            name: String,
            /// Devices, 1 to 1,000.
            device_ids: Vec<DeviceId>,
            /// Patches; empty means all that are approved.
            patch_ids: Vec<PatchId>,
            /// When to restart.
            reboot_policy: RebootPolicy,
        }
    }
}
