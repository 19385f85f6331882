//! What vendors publish.

use crate::{Classification, DevicePlatform, FixTarget, RebootBehaviour, Severity};
use chrono::{DateTime, NaiveDate, Utc};
use kernel::{FeedId, PatchId};
use serde::{Deserialize, Serialize};

/// Who stands behind a feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum FeedKind {
    /// The operating system's vendor.
    OsVendor,
    /// A software package provider.
    PackageProvider,
    /// A partner who manages published packages.
    Partner,
}

/// How a feed's documents are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum FeedFormat {
    /// The Debian security tracker's `DSA/list` (line text).
    DebianDsaList,
    /// The Debian security tracker's JSON (source package, CVE, release): adds urgencies to known patches.
    DebianTracker,
    /// Microsoft's monthly CVRF v3 document (XML or JSON).
    MsrcCvrf,
}

/// All that is known of one patch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PatchFacts {
    /// The patch: derived from vendor and vendor id, so that every import finds the same one.
    pub patch_id: PatchId,
    /// The feed that published it.
    pub feed_id: FeedId,
    /// The vendor's own id: `KB5034123`, `DSA-5380-1`.
    pub vendor_patch_id: String,
    /// Title.
    pub name: String,
    /// What it runs on.
    pub platform: DevicePlatform,
    /// Operating system versions it is for, readable.
    pub os_versions: Vec<String>,
    /// The vendor's severity word, empty if none.
    pub vendor_severity: String,
    /// On our one scale.
    pub severity: Severity,
    /// Kind of update.
    pub classification: Classification,
    /// Day of first publication.
    pub release_date: NaiveDate,
    /// `CVE-2024-20674` …, sorted.
    pub cves: Vec<String>,
    /// What must be on a device for the patch to count as installed.
    pub targets: Vec<FixTarget>,
    /// Vendor ids of patches that this one replaces.
    pub supersedes: Vec<String>,
    /// Restart needed?
    pub reboot: RebootBehaviour,
    /// Where a person reads more.
    pub url: Option<String>,
}

events! {
    /// Facts of a feed.
    FeedEvent in "feeds" {
        /// A feed was registered.
        FeedRegistered = 1 {
            /// The feed.
            feed_id: FeedId,
            /// Display name.
            name: String,
            /// Who stands behind it.
            kind: FeedKind,
            /// How it is written.
            format: FeedFormat,
            /// Where its documents come from: a path or an http(s) URL.
            source: String,
        },
        /// A document was taken in.
        FeedSyncCompleted = 1 {
            /// The feed.
            feed_id: FeedId,
            /// SHA-256 of the document, lowercase hex.
            document_sha256: String,
            /// The publisher's own date of the document, where it has one.
            document_date: Option<DateTime<Utc>>,
            /// New patches.
            published: u32,
            /// Changed patches.
            revised: u32,
            /// Patches as they were.
            unchanged: u32,
            /// Records left out, each with its reason (the first 100).
            quarantined: Vec<String>,
        },
        /// A document was refused; what is known stays as it was.
        FeedSyncFailed = 1 {
            /// The feed.
            feed_id: FeedId,
            /// Stable code.
            code: String,
            /// What is wrong.
            reason: String,
        },
    }
}

events! {
    /// Facts of a patch.
    PatchEvent in "feeds" {
        /// A patch became known.
        PatchPublished = 1 {
            /// All of it.
            patch: PatchFacts,
        },
        /// The vendor changed it.
        PatchRevised = 1 {
            /// All of it, as it is now.
            patch: PatchFacts,
            /// Names of the changed fields.
            changed: Vec<String>,
        },
        /// A newer patch replaces it.
        PatchSuperseded = 1 {
            /// The old one.
            patch_id: PatchId,
            /// The newer one.
            superseded_by: PatchId,
            /// The newer one's vendor id.
            superseded_by_vendor_id: String,
        },
        /// The publisher took it back.
        PatchWithdrawn = 1 {
            /// The patch.
            patch_id: PatchId,
            /// Why.
            reason: String,
        },
    }
}

/// What an import did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportReport {
    /// The feed.
    pub feed_id: FeedId,
    /// SHA-256 of the document.
    pub document_sha256: String,
    /// New patches.
    pub published: u32,
    /// Changed patches.
    pub revised: u32,
    /// Patches as they were.
    pub unchanged: u32,
    /// Records left out, with reasons.
    pub quarantined: Vec<String>,
}

commands! {
    Feeds {
        /// Registers a feed.
        RegisterFeed -> FeedId, needs ManageFeeds {
            /// Display name.
            name: String,
            /// Who stands behind it.
            kind: FeedKind,
            /// How it is written.
            format: FeedFormat,
            /// A path below the configured import folder, or an http(s) URL.
            source: String,
        }
        /// Reads the feed's source now and takes in what is new.
        SyncFeed -> ImportReport, needs ManageFeeds {
            /// The feed.
            feed_id: FeedId,
        }
    }
}
