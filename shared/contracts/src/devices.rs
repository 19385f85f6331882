//! Devices, their scans, and which patch is missing where.

pub mod groups;

pub use groups::{
    ChangeGroup, DefineGroup, DeviceQuery, GroupChanged, GroupDefined, GroupEvent, GroupMembers,
    GroupMembershipChanged, GroupRemoved, RemoveGroup, SetDeviceExposure, SetDeviceRegion,
};

use crate::{DevicePlatform, OsRelease};
use chrono::{DateTime, Utc};
use kernel::{CustomerId, DeviceId, EnrolmentTokenId, JobId, PatchId};
use serde::{Deserialize, Serialize};

/// What an agent is allowed to do on its device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum AgentMode {
    /// Scans and installs.
    Full,
    /// Scans; refuses every install.
    ScanOnly,
}

/// An update that the device's own package manager offers, whether or not an advisory names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AvailableUpdate {
    /// Binary package name or KB number.
    pub name: String,
    /// What is installed now; empty for a KB.
    pub installed_version: String,
    /// What would be installed.
    pub candidate_version: String,
    /// Where it would come from (`Debian-Security:12/stable-security`).
    pub origin: String,
    /// Whether that is a security source.
    pub security: bool,
}

/// A binary package that keeps a patch missing.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MissingPackage {
    /// Binary package name, or KB number.
    pub name: String,
    /// Installed version; empty for a KB.
    pub installed_version: String,
    /// First good version; empty for a KB.
    pub fixed_version: String,
}

/// What an agent says of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "SCREAMING_SNAKE_CASE", deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum JobStep {
    /// The agent has the job and will do it.
    Acknowledged,
    /// The agent will not do it.
    Refused {
        /// Stable code (`agent.job_expired` …).
        code: String,
        /// In words.
        reason: String,
    },
    /// Packages are being fetched.
    Downloading {
        /// From where.
        source: String,
    },
    /// The package manager is at work.
    Installing,
    /// Installed, a restart is needed for it to take effect.
    PendingReboot,
    /// The package manager is done; the verifying scan follows.
    Installed {
        /// Name and version of every package that was changed.
        packages: Vec<PackageVersion>,
    },
    /// It did not work.
    Failed {
        /// Failure class, stable: `download`, `install_script`, `dependency`, `disk_full`, `locked`, `not_offered`,
        /// `timeout`, `interrupted`, `unsupported`, `scan`, `other`.
        class: String,
        /// What the package manager said, bounded.
        reason: String,
    },
}

/// A package at a version.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PackageVersion {
    /// Binary package name or KB number.
    pub name: String,
    /// Version.
    pub version: String,
}

events! {
    /// Facts of an enrolment token.
    EnrolmentTokenEvent in "devices" {
        /// A single-use token was issued; only its hash is kept.
        EnrolmentTokenIssued = 1 {
            /// The token's id.
            token_id: EnrolmentTokenId,
            /// The customer that the device will belong to.
            customer_id: CustomerId,
            /// SHA-256 of the token, lowercase hex.
            token_sha256: String,
            /// Not valid from here on.
            expires_at: DateTime<Utc>,
        },
        /// A device used it.
        EnrolmentTokenUsed = 1 {
            /// The token's id.
            token_id: EnrolmentTokenId,
            /// The device.
            device_id: DeviceId,
        },
    }
}

events! {
    /// Facts of a device.
    DeviceEvent in "devices" {
        /// An agent enrolled with its own key.
        AgentEnrolled = 1 {
            /// The device.
            device_id: DeviceId,
            /// Its customer.
            customer_id: CustomerId,
            /// The name the device gives itself.
            name: String,
            /// What it runs on.
            platform: DevicePlatform,
            /// Its operating system release.
            os: OsRelease,
            /// Readable (`Debian GNU/Linux 12 (bookworm)`).
            os_name: String,
            /// The agent's Ed25519 public key, base64.
            public_key: String,
            /// What the agent may do.
            mode: AgentMode,
            /// The agent's version.
            agent_version: String,
        },
        /// The agent is in contact again.
        DeviceCameOnline = 1 {
            /// The device.
            device_id: DeviceId,
        },
        /// The agent has not been heard of for longer than allowed.
        DeviceWentOffline = 1 {
            /// The device.
            device_id: DeviceId,
            /// Last contact.
            last_contact_at: DateTime<Utc>,
        },
        /// It can be reached from the internet now, or no longer.
        DeviceExposureChanged = 1 {
            /// The device.
            device_id: DeviceId,
            /// Whether it can.
            exposed: bool,
        },
        /// It stands somewhere else.
        DeviceRegionChanged = 1 {
            /// The device.
            device_id: DeviceId,
            /// Where; none where nobody says.
            region: Option<String>,
        },
        /// A scan's report was taken.
        ScanCompleted = 1 {
            /// The device.
            device_id: DeviceId,
            /// The scan job it answers.
            job_id: Option<JobId>,
            /// SHA-256 of the canonical inventory, lowercase hex.
            inventory_hash: String,
            /// Packages (Linux) or installed KBs (Windows) in the inventory.
            item_count: u32,
            /// Which update source the device asked (`apt: http://deb.debian.org/debian …`).
            source: String,
            /// Installed, not effective until restart.
            pending_reboot: bool,
            /// Log position of the catalogue that the result was computed with.
            catalogue_position: i64,
            /// Missing patches after this scan.
            missing: u32,
        },
        /// A scan did not work.
        ScanFailed = 1 {
            /// The device.
            device_id: DeviceId,
            /// The scan job it answers.
            job_id: Option<JobId>,
            /// Why.
            reason: String,
        },
        /// The operating system's updater offers other updates than before.
        AvailableUpdatesChanged = 1 {
            /// The device.
            device_id: DeviceId,
            /// All that it offers now.
            updates: Vec<AvailableUpdate>,
        },
        /// A patch is applicable and not installed.
        PatchFoundMissing = 1 {
            /// The device.
            device_id: DeviceId,
            /// The patch.
            patch_id: PatchId,
            /// What keeps it missing.
            packages: Vec<MissingPackage>,
        },
        /// A patch that was missing is there now, seen by a scan.
        PatchFoundInstalled = 1 {
            /// The device.
            device_id: DeviceId,
            /// The patch.
            patch_id: PatchId,
            /// The scan's job, if a job asked for it.
            job_id: Option<JobId>,
        },
        /// A patch that was missing no longer applies (package removed, patch superseded or withdrawn).
        PatchNoLongerApplicable = 1 {
            /// The device.
            device_id: DeviceId,
            /// The patch.
            patch_id: PatchId,
            /// Why.
            reason: String,
        },
        /// A job was handed to the agent.
        JobDelivered = 1 {
            /// The device.
            device_id: DeviceId,
            /// The job.
            job_id: JobId,
        },
        /// The agent said how a job goes.
        JobReported = 1 {
            /// The device.
            device_id: DeviceId,
            /// The job.
            job_id: JobId,
            /// What it said.
            report: JobStep,
        },
    }
}

/// A new enrolment token. It is in this answer only, and the same when the command is repeated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuedToken {
    /// The token's id.
    pub token_id: EnrolmentTokenId,
    /// The secret itself; the same when the command is repeated, though only its hash is kept.
    pub token: Option<String>,
    /// Not valid from here on.
    pub expires_at: DateTime<Utc>,
}

commands! {
    Devices {
        /// Issues a single-use enrolment token for a customer.
        IssueEnrolmentToken -> IssuedToken, needs ManageDevices {
            /// The customer.
            customer_id: CustomerId,
            /// Validity in seconds, 60 to 604,800.
            valid_for_seconds: u32,
        }
    }
}
