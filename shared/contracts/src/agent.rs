//! What a device's agent and the devices service say to each other over HTTP.
//!
//! | request | body | answer |
//! |---|---|---|
//! | `POST /agent/v1/enrol` (unsigned, token inside) | [`EnrolRequest`] | 201 [`EnrolAnswer`] |
//! | `POST /agent/v1/checkin` | [`CheckIn`] | 200 [`CheckInAnswer`] |
//! | `POST /agent/v1/scans` | [`ScanReport`] | 202 [`Receipt`] |
//! | `GET /agent/v1/jobs?wait=25` (long poll) | | 200 [`SignedJob`] or 204 |
//! | `POST /agent/v1/jobs/{id}/reports` | [`JobReport`] | 202 [`Receipt`] |
//!
//! All but the first are signed by the device's Ed25519 key as HTTP Message Signatures (RFC 9421) over `@method`,
//! `@path`, `@query`, `content-digest` (RFC 9530, sha-256, over the empty body for GET) with the parameters
//! `created`, `nonce`, `keyid` (the device id) and `alg="ed25519"`. Refusals are `application/problem+json` with a
//! stable `code`. Every POST carries a `report_id` / `nonce` so that a repetition has no second effect.

use crate::devices::{AgentMode, AvailableUpdate, JobStep};
use crate::scheduling::{PatchOrder, RebootPolicy};
use crate::{DevicePlatform, OsRelease, VersionOrder};
use chrono::{DateTime, Utc};
use kernel::{CustomerId, DeviceId, JobId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Packages in one scan report. A large desktop has about 5,000.
pub const INVENTORY_ITEMS_MAX: usize = 10_000;
/// Bytes of one request body: 10,000 packages of 200 bytes, and air.
pub const AGENT_BODY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes of one package name or version; dpkg's longest are near 100.
pub const PACKAGE_TEXT_BYTES_MAX: usize = 256;
/// Seconds by which a signature's `created` may differ from the server's clock.
pub const SIGNATURE_WINDOW_SECONDS: i64 = 300;
/// Seconds a job request may wait for a job.
pub const JOB_WAIT_SECONDS_MAX: u64 = 30;

/// An agent asks to be let in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnrolRequest {
    /// The one-time token.
    pub token: String,
    /// The agent's own Ed25519 public key, base64 (32 bytes).
    pub public_key: String,
    /// The device's name.
    pub name: String,
    /// What it runs on.
    pub platform: DevicePlatform,
    /// Its operating system release.
    pub os: OsRelease,
    /// Readable.
    pub os_name: String,
    /// What the agent may do.
    pub mode: AgentMode,
    /// The agent's version.
    pub agent_version: String,
}

/// The agent is in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolAnswer {
    /// Its device id from now on.
    pub device_id: DeviceId,
    /// Its customer.
    pub customer_id: CustomerId,
    /// The key that signs this device's jobs: Ed25519, base64 (32 bytes).
    pub job_public_key: String,
}

/// "I am here."
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckIn {
    /// Hash of the inventory the agent holds, if it has scanned.
    pub inventory_hash: Option<String>,
    /// The agent's version.
    pub agent_version: String,
    /// Reports that wait in the agent's queue.
    pub queued_reports: u32,
}

/// What the server wants next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckInAnswer {
    /// The server does not know this inventory: send it with the next scan report.
    pub inventory_wanted: bool,
    /// Check in again after so many seconds.
    pub check_in_after_seconds: u32,
}

/// An installed package.
///
/// Of rpm, a version is `version-release`, with its epoch in front where that is not zero, and the source is that of the
/// source package's file, which knows no epoch. Of apk, the source is the origin, which has the package's own version.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstalledPackage {
    /// Binary package name.
    pub name: String,
    /// Installed version.
    pub version: String,
    /// Architecture.
    pub architecture: String,
    /// Source package.
    pub source: String,
    /// Version of the source package.
    pub source_version: String,
    /// Module stream that it was installed from (`nodejs:18`), where rpm says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
}

/// What is installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Inventory {
    /// Packages of a distribution, sorted.
    Packages {
        /// By whose rules their versions are compared. Left out for dpkg: older agents know no other, and the hash of an
        /// inventory must not depend on the agent's age.
        #[serde(default, skip_serializing_if = "is_dpkg")]
        order: VersionOrder,
        /// The packages.
        packages: Vec<InstalledPackage>,
    },
    /// What Windows Update says, sorted.
    WindowsUpdates {
        /// Installed KB numbers (`KB5034123`).
        installed: Vec<String>,
        /// KB numbers that apply and are not installed.
        applicable: Vec<String>,
        /// Build (`10.0.22621.3007`).
        build: String,
    },
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_dpkg(order: &VersionOrder) -> bool {
    *order == VersionOrder::Dpkg
}

/// The bytes whose SHA-256 (lowercase hex) is the inventory's hash: the canonical JSON of release and inventory.
///
/// Shared by both sides, so that they cannot disagree.
pub fn inventory_bytes(os: &OsRelease, inventory: &Inventory) -> Vec<u8> {
    kernel::canonical_json(&serde_json::json!({ "os": os, "inventory": inventory }))
}

/// The result of a scan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScanReport {
    /// Unique per report; the same report again has no second effect.
    pub report_id: Uuid,
    /// The job it answers (scan job, or the install job it verifies).
    pub job_id: Option<JobId>,
    /// When the scan ended, by the device's clock.
    pub scanned_at: DateTime<Utc>,
    /// The release that was scanned.
    pub os: OsRelease,
    /// Hash of the inventory.
    pub inventory_hash: String,
    /// The inventory itself; only when the server asked for it or could not know it.
    pub inventory: Option<Inventory>,
    /// What the operating system's updater offers, sorted.
    pub available: Vec<AvailableUpdate>,
    /// Which update source was asked.
    pub source: String,
    /// Installed, not effective until restart.
    pub pending_reboot: bool,
}

/// A report was stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The inventory's content is needed: send the same report again with it.
    pub inventory_wanted: bool,
}

/// What an agent is to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Work {
    /// Scan and report.
    Scan,
    /// Install by the operating system's own package manager, then scan and report.
    Install {
        /// Approved patches.
        patches: Vec<PatchOrder>,
        /// When to restart.
        reboot_policy: RebootPolicy,
    },
}

/// A job in clear.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// The job.
    pub job_id: JobId,
    /// The only device that may do it.
    pub device_id: DeviceId,
    /// Grows with every job of the device; an older number is refused.
    pub number: i64,
    /// Refused after this.
    pub expires_at: DateTime<Utc>,
    /// What to do.
    pub work: Work,
    /// W3C Trace Context; the agent sends it back with what it reports.
    pub traceparent: Option<String>,
}

/// A job as it travels: the exact bytes that were signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedJob {
    /// The JSON of a [`Job`], base64.
    pub payload: String,
    /// Ed25519 over those bytes prefixed with [`JOB_SIGNATURE_CONTEXT`], base64.
    pub signature: String,
}

/// Keeps a job's signature from being valid for anything else.
pub const JOB_SIGNATURE_CONTEXT: &[u8] = b"patchfleet job v1\n";

/// How a job goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobReport {
    /// Unique per report.
    pub report_id: Uuid,
    /// When, by the device's clock.
    pub occurred_at: DateTime<Utc>,
    /// What happened.
    pub report: JobStep,
}
