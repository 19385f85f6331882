//! Who publishes a patch, what release it is for, and the one id under which every document finds it again.

pub mod cpe;
pub mod ecosystem;
mod linux;
mod red_hat;

pub use linux::{named, of_dist_tag, without_zero_epoch};
pub use red_hat::is_minor_of;

use chrono::NaiveDate;
use contracts::feeds::PatchFacts;
use contracts::{
    Cadence, Classification, DevicePlatform, NAMESPACE, OsRelease, RebootBehaviour, Severity, VersionOrder,
};
use kernel::{FeedId, PatchId};

/// Publishers of patches. The same advisory in several formats (CSAF, OVAL, OSV, updateinfo) is one patch per release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "names of publishers")]
pub enum Vendor {
    Microsoft,
    Debian,
    Ubuntu,
    RedHat,
    CentOs,
    AlmaLinux,
    Rocky,
    Oracle,
    Amazon,
    Fedora,
    Suse,
    Alpine,
    Wolfi,
    AzureLinux,
    Dell,
    Lenovo,
    AzureStack,
}

impl Vendor {
    /// The publisher's word in ids; it never changes.
    pub fn word(self) -> &'static str {
        match self {
            Self::Microsoft => "microsoft",
            Self::Debian => "debian",
            Self::Ubuntu => "ubuntu",
            Self::RedHat => "redhat",
            Self::CentOs => "centos",
            Self::AlmaLinux => "almalinux",
            Self::Rocky => "rocky",
            Self::Oracle => "oracle",
            Self::Amazon => "amazon",
            Self::Fedora => "fedora",
            Self::Suse => "suse",
            Self::Alpine => "alpine",
            Self::Wolfi => "wolfi",
            Self::AzureLinux => "azurelinux",
            Self::Dell => "dell",
            Self::Lenovo => "lenovo",
            Self::AzureStack => "azurestack",
        }
    }

    /// How the versions of its packages are ordered; those of firmware and of Windows are in no order of packages.
    pub fn version_order(self) -> VersionOrder {
        match self {
            Self::Debian | Self::Ubuntu => VersionOrder::Dpkg,
            Self::Alpine | Self::Wolfi => VersionOrder::Apk,
            Self::RedHat
            | Self::CentOs
            | Self::AlmaLinux
            | Self::Rocky
            | Self::Oracle
            | Self::Amazon
            | Self::Fedora
            | Self::Suse
            | Self::AzureLinux
            | Self::Microsoft
            | Self::Dell
            | Self::Lenovo
            | Self::AzureStack => VersionOrder::Rpm,
        }
    }

    /// Whose advisory it is, by the form of its id.
    pub fn of_advisory(id: &str) -> Option<Self> {
        let is = |prefixes: &[&str]| prefixes.iter().any(|prefix| id.starts_with(prefix));
        if is(&["RHSA-", "RHBA-", "RHEA-"]) {
            Some(Self::RedHat)
        } else if is(&["DSA-", "DLA-"]) {
            Some(Self::Debian)
        } else if is(&["USN-", "LSN-"]) {
            Some(Self::Ubuntu)
        } else if is(&["CESA-", "CEBA-", "CEEA-", "CESA_", "CEBA_", "CEEA_"]) {
            Some(Self::CentOs)
        } else if is(&["ALSA-", "ALBA-", "ALEA-"]) {
            Some(Self::AlmaLinux)
        } else if is(&["RLSA-", "RLBA-", "RLEA-", "RXSA-"]) {
            Some(Self::Rocky)
        } else if is(&["ELSA-", "ELBA-", "ELEA-"]) {
            Some(Self::Oracle)
        } else if is(&["ALAS"]) {
            Some(Self::Amazon)
        } else if is(&["FEDORA-"]) {
            Some(Self::Fedora)
        } else if is(&["SUSE-", "openSUSE-"]) {
            Some(Self::Suse)
        } else {
            None
        }
    }
}

/// What kind of update an advisory is, by the letters of its id: Red Hat's `RHBA-…` repairs bugs and `RHEA-…` adds
/// features, and so do those of its rebuilds; SUSE's are recommended, optional and feature updates (`SUSE-RU-…`).
pub fn classification(advisory: &str) -> Classification {
    let mut parts = advisory.split(['-', '_']);
    let first = parts.next().unwrap_or_default();
    let kind = if first.ends_with("SUSE") { parts.next() } else { first.get(2..) };
    match kind {
        Some("BA" | "RU" | "OU") => Classification::Other,
        Some("EA" | "FU") => Classification::Feature,
        Some(_) | None => Classification::Security,
    }
}

/// The id of a vendor's patch for one release (`debian:12`); the same whatever document describes it.
pub fn patch_id(vendor: Vendor, vendor_patch_id: &str, os: &OsRelease) -> PatchId {
    PatchId::derived(NAMESPACE, &format!("{}/{vendor_patch_id}/{}", vendor.word(), os.key()))
}

/// The id of a patch that is the same on every product it is for: a KB, a driver pack.
pub fn patch_id_for_all(vendor: Vendor, vendor_patch_id: &str) -> PatchId {
    PatchId::derived(NAMESPACE, &format!("{}/{vendor_patch_id}", vendor.word()))
}

/// A release in the terms of `os-release(5)`.
pub fn os(id: &str, version: &str) -> OsRelease {
    OsRelease { id: id.to_owned(), version: version.to_owned() }
}

/// A distribution's name as people write it: `Debian 12`, `Red Hat Enterprise Linux 9`.
pub fn readable(os: &OsRelease) -> String {
    let name = match os.id.as_str() {
        "debian" => "Debian",
        "ubuntu" => "Ubuntu",
        "rhel" => "Red Hat Enterprise Linux",
        "centos" => "CentOS Linux",
        "almalinux" => "AlmaLinux",
        "rocky" => "Rocky Linux",
        "ol" => "Oracle Linux",
        "amzn" => "Amazon Linux",
        "fedora" => "Fedora",
        "sles" => "SUSE Linux Enterprise Server",
        "sles_sap" => "SUSE Linux Enterprise Server for SAP Applications",
        "sled" => "SUSE Linux Enterprise Desktop",
        "sle_hpc" => "SUSE Linux Enterprise High Performance Computing",
        "sle-micro" => "SUSE Linux Enterprise Micro",
        "sl-micro" => "SUSE Linux Micro",
        "opensuse" => "openSUSE",
        "opensuse-leap" => "openSUSE Leap",
        "opensuse-tumbleweed" => "openSUSE Tumbleweed",
        "mariner" => "CBL-Mariner",
        "alpine" => "Alpine Linux",
        "wolfi" => "Wolfi",
        "azurelinux" => "Azure Linux",
        other => other,
    };
    format!("{name} {}", os.version).trim_end().to_owned()
}

/// Debian's releases: codename and `VERSION_ID`.
const DEBIAN: &[(&str, &str)] = &[
    ("slink", "2.1"),
    ("potato", "2.2"),
    ("woody", "3.0"),
    ("sarge", "3.1"),
    ("etch", "4.0"),
    ("lenny", "5.0"),
    ("squeeze", "6.0"),
    ("wheezy", "7"),
    ("jessie", "8"),
    ("stretch", "9"),
    ("buster", "10"),
    ("bullseye", "11"),
    ("bookworm", "12"),
    ("trixie", "13"),
    ("forky", "14"),
    ("duke", "15"),
];

/// Ubuntu's releases: codename and `VERSION_ID`.
const UBUNTU: &[(&str, &str)] = &[
    ("warty", "4.10"),
    ("hoary", "5.04"),
    ("breezy", "5.10"),
    ("dapper", "6.06"),
    ("edgy", "6.10"),
    ("feisty", "7.04"),
    ("gutsy", "7.10"),
    ("hardy", "8.04"),
    ("intrepid", "8.10"),
    ("jaunty", "9.04"),
    ("karmic", "9.10"),
    ("lucid", "10.04"),
    ("maverick", "10.10"),
    ("natty", "11.04"),
    ("oneiric", "11.10"),
    ("precise", "12.04"),
    ("quantal", "12.10"),
    ("raring", "13.04"),
    ("saucy", "13.10"),
    ("trusty", "14.04"),
    ("utopic", "14.10"),
    ("vivid", "15.04"),
    ("wily", "15.10"),
    ("xenial", "16.04"),
    ("yakkety", "16.10"),
    ("zesty", "17.04"),
    ("artful", "17.10"),
    ("bionic", "18.04"),
    ("cosmic", "18.10"),
    ("disco", "19.04"),
    ("eoan", "19.10"),
    ("focal", "20.04"),
    ("groovy", "20.10"),
    ("hirsute", "21.04"),
    ("impish", "21.10"),
    ("jammy", "22.04"),
    ("kinetic", "22.10"),
    ("lunar", "23.04"),
    ("mantic", "23.10"),
    ("noble", "24.04"),
    ("oracular", "24.10"),
    ("plucky", "25.04"),
    ("questing", "25.10"),
    ("resolute", "26.04"),
];

/// A release of Debian, by its codename.
pub fn debian(codename: &str) -> Option<OsRelease> {
    DEBIAN.iter().find(|(name, _)| *name == codename).map(|(_, version)| os("debian", version))
}

/// A release of Ubuntu, by its codename.
pub fn ubuntu(codename: &str) -> Option<OsRelease> {
    UBUNTU.iter().find(|(name, _)| *name == codename).map(|(_, version)| os("ubuntu", version))
}

/// A patch of which nothing is known but who, what and when; a parser adds what its document says.
pub(crate) fn blank(
    feed_id: FeedId,
    patch_id: PatchId,
    vendor_patch_id: &str,
    platform: DevicePlatform,
    release_date: NaiveDate,
) -> PatchFacts {
    PatchFacts {
        patch_id,
        feed_id,
        vendor_patch_id: vendor_patch_id.to_owned(),
        name: vendor_patch_id.to_owned(),
        platform,
        os_versions: Vec::new(),
        vendor_severity: String::new(),
        severity: Severity::Unknown,
        classification: Classification::Security,
        release_date,
        cves: Vec::new(),
        targets: Vec::new(),
        supersedes: Vec::new(),
        reboot: RebootBehaviour::Unknown,
        url: None,
        advisories: Vec::new(),
        version: None,
        size_bytes: None,
        cadence: Cadence::Unscheduled,
        out_of_band: None,
        prerequisites: Vec::new(),
        is_dated: true,
    }
}
