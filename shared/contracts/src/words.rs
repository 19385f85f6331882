//! Words that several services use in their facts.

use serde::{Deserialize, Serialize};

/// What an agent runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum DevicePlatform {
    /// Any edition of Windows.
    Windows,
    /// Any Linux distribution.
    Linux,
}

/// One scale for all vendors' words. The order is that of urgency; unknown stays unknown and is below all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Severity {
    /// The vendor gives none.
    Unknown,
    /// The vendor says: no security relevance.
    None,
    /// Low.
    Low,
    /// Moderate, medium.
    Medium,
    /// Important, high.
    High,
    /// Critical.
    Critical,
}

/// Kind of update.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Classification {
    /// Closes a vulnerability.
    Security,
    /// Repairs something serious that is not a vulnerability.
    Critical,
    /// Brings something new.
    Feature,
    /// Device driver.
    Driver,
    /// Firmware.
    Firmware,
    /// Signatures and the like.
    Definition,
    /// Collection.
    ServicePack,
    /// Settings of the system itself.
    Configuration,
    /// Content, tools and services of a platform, published when they are ready.
    Content,
    /// The platform's own system software, apart from what closes vulnerabilities.
    System,
    /// Anything else.
    Other,
}

/// How regularly a kind of patch is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Cadence {
    /// When it is ready.
    Unscheduled,
    /// At intervals that the publisher keeps to.
    Regular,
    /// Once a month, on a known day.
    Monthly,
    /// Outside of the cycle that its kind otherwise has.
    OutOfBand,
}

/// Why a patch came outside of the regular cycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum OutOfBandReason {
    /// It closes a vulnerability that could not wait.
    SecurityFix,
    /// It repairs a known issue of an earlier patch.
    KnownIssue,
    /// The publisher does not say.
    NotSaid,
}

/// By whose rules versions of a package are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum VersionOrder {
    /// Debian's: `1:2.0~rc1-1`.
    #[default]
    Dpkg,
    /// RPM's epoch, version and release.
    Rpm,
    /// Alpine's: `1.2_p3-r0`.
    Apk,
}

/// What the vendor says about restarting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum RebootBehaviour {
    /// Never needed.
    Never,
    /// May be needed.
    Maybe,
    /// Always needed.
    Always,
    /// Not said.
    Unknown,
}

/// An operating system release, in the terms of `os-release(5)`; for Windows, `id` is `windows`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OsRelease {
    /// `debian`, `ubuntu`, `windows` …
    pub id: String,
    /// `12`, `22.04`, or the Windows product's name (`Windows 11 Version 22H2 for x64-based Systems`).
    pub version: String,
}

impl OsRelease {
    /// `debian:12`
    pub fn key(&self) -> String {
        format!("{}:{}", self.id, self.version)
    }
}

/// What must be on a device for a patch to count as installed there.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum FixTarget {
    /// Every binary package built from this source package is at or above the version.
    SourcePackage {
        /// Where this fix is valid.
        os: OsRelease,
        /// Source package.
        source: String,
        /// First good version, in the distribution's own order.
        fixed_version: String,
    },
    /// The update with this KB number.
    Kb {
        /// Where this fix is valid.
        os: OsRelease,
        /// `KB5034123`
        kb: String,
        /// Build after the update, where the vendor names one.
        fixed_build: Option<String>,
    },
    /// This binary package is at or above the version.
    BinaryPackage {
        /// Where this fix is valid.
        os: OsRelease,
        /// Binary package.
        package: String,
        /// First good version, with its epoch where it has one.
        fixed_version: String,
        /// By whose rules it is compared.
        order: VersionOrder,
        /// Processor architectures that the fix was built for, sorted; empty where it is for all.
        architectures: Vec<String>,
        /// Module stream that the package must come from (`nodejs:18`), where it comes from one.
        module: Option<String>,
    },
    /// This component of a manufacturer is at or above the version: a driver pack, a firmware, an appliance's software.
    OemComponent {
        /// Where this fix is valid.
        os: OsRelease,
        /// Manufacturer.
        vendor: String,
        /// Model or machine type and component, as the manufacturer names them.
        component: String,
        /// Version after the update.
        fixed_version: String,
    },
}

impl FixTarget {
    /// Where this fix is valid.
    pub fn os(&self) -> &OsRelease {
        match self {
            Self::SourcePackage { os, .. }
            | Self::Kb { os, .. }
            | Self::BinaryPackage { os, .. }
            | Self::OemComponent { os, .. } => os,
        }
    }
}
