//! What an agent's words must be like before anything is made of them.

use chrono::{DateTime, TimeDelta, Utc};
use contracts::{
    DevicePlatform, OsRelease, VersionOrder,
    agent::{
        EnrolRequest, INVENTORY_ITEMS_MAX, InstalledPackage, Inventory, JobReport, PACKAGE_TEXT_BYTES_MAX,
        ScanReport, inventory_bytes,
    },
    devices::{AvailableUpdate, JobStep},
};
use kernel::Refused;
use sha2::{Digest, Sha256};
use std::fmt::Write;
use versions::Version;

/// Bytes of a device's name: a full DNS name has 253.
pub const NAME_BYTES_MAX: usize = 253;
/// Bytes of an operating system's readable name, of an agent's version, of a release.
pub const TEXT_BYTES_MAX: usize = 256;
/// Bytes of an update source's description or of a failure's reason: a few lines of what a tool says.
pub const PROSE_BYTES_MAX: usize = 4_096;
/// A device's clock may be wrong, but not by more than this into the future.
pub const CLOCK_AHEAD_MAX: TimeDelta = TimeDelta::days(1);
/// Before the year 2000 no agent existed: a clock without its battery.
const CLOCK_START: DateTime<Utc> = DateTime::from_timestamp_secs(946_684_800).unwrap();
/// Characters of a refused text that a message repeats.
const SHOWN_MAX: usize = 64;

/// Why a report is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidReport {
    /// Too long a list.
    #[error("{count} packages; {INVENTORY_ITEMS_MAX} are allowed")]
    TooManyPackages {
        /// How many.
        count: usize,
    },
    /// Too long a list of what the updater offers.
    #[error("{count} available updates; {INVENTORY_ITEMS_MAX} are allowed")]
    TooManyUpdates {
        /// How many.
        count: usize,
    },
    /// Too long, empty, or not printable.
    #[error("{field} is empty, longer than {max} bytes, or holds control characters")]
    InvalidText {
        /// Which.
        field: &'static str,
        /// Bytes that are allowed.
        max: usize,
    },
    /// Not what dpkg would take.
    #[error("{text:?} is not a package name")]
    InvalidPackageName {
        /// What was given.
        text: String,
    },
    /// Not what the package manager would take.
    #[error("{text:?} is not a version of {package}")]
    InvalidVersion {
        /// The package.
        package: String,
        /// What was given.
        text: String,
    },
    /// Not a KB number.
    #[error("{text:?} is not a KB number")]
    InvalidKb {
        /// What was given.
        text: String,
    },
    /// Windows updates of a Linux device, or the reverse.
    #[error("the inventory is not of the kind that a {platform} device has")]
    InventoryKind {
        /// What the device runs on.
        platform: &'static str,
    },
    /// Not the hash of the inventory that came with it.
    #[error("the inventory has the hash {computed}, not {given}")]
    InventoryHashMismatch {
        /// What the report says.
        given: String,
        /// What it is.
        computed: String,
    },
    /// Not a hash at all.
    #[error("the inventory hash is not 64 lowercase hex digits")]
    InvalidInventoryHash,
    /// A clock that cannot be right.
    #[error("{at} cannot be the time of the report")]
    ImplausibleTime {
        /// What the device's clock says.
        at: DateTime<Utc>,
    },
    /// Not a class that alerts know.
    #[error("{class:?} is not a failure class")]
    InvalidFailureClass {
        /// What was given.
        class: String,
    },
}

impl Refused for InvalidReport {
    fn code(&self) -> &'static str {
        match self {
            Self::TooManyPackages { .. } => "devices.too_many_packages",
            Self::TooManyUpdates { .. } => "devices.too_many_updates",
            Self::InvalidText { .. } => "devices.invalid_text",
            Self::InvalidPackageName { .. } => "devices.invalid_package_name",
            Self::InvalidVersion { .. } => "devices.invalid_version",
            Self::InvalidKb { .. } => "devices.invalid_kb",
            Self::InventoryKind { .. } => "devices.inventory_kind",
            Self::InventoryHashMismatch { .. } => "devices.inventory_hash_mismatch",
            Self::InvalidInventoryHash => "devices.invalid_inventory_hash",
            Self::ImplausibleTime { .. } => "devices.implausible_time",
            Self::InvalidFailureClass { .. } => "devices.invalid_failure_class",
        }
    }
}

/// The hash under which an inventory is kept: SHA-256, lowercase hex.
pub fn inventory_hash(os: &OsRelease, inventory: &Inventory) -> String {
    hex(&Sha256::digest(inventory_bytes(os, inventory)))
}

/// The hash under which an enrolment token is kept: SHA-256, lowercase hex.
pub fn token_hash(token: &str) -> String {
    hex(&Sha256::digest(token))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Checks a scan's report of a device that runs on `platform`.
pub fn check_scan(
    report: &ScanReport,
    platform: DevicePlatform,
    now: DateTime<Utc>,
) -> Result<(), InvalidReport> {
    plausible(report.scanned_at, now)?;
    release(&report.os)?;
    prose("source", &report.source)?;
    if !is_hash(&report.inventory_hash) {
        return Err(InvalidReport::InvalidInventoryHash);
    }
    if report.available.len() > INVENTORY_ITEMS_MAX {
        return Err(InvalidReport::TooManyUpdates { count: report.available.len() });
    }
    report.available.iter().try_for_each(available)?;
    let Some(content) = &report.inventory else { return Ok(()) };
    inventory(content, platform)?;
    let computed = inventory_hash(&report.os, content);
    if computed == report.inventory_hash {
        Ok(())
    } else {
        Err(InvalidReport::InventoryHashMismatch { given: report.inventory_hash.clone(), computed })
    }
}

/// Checks what an agent says of itself when it asks to be let in. The key is read elsewhere.
pub fn check_enrolment(request: &EnrolRequest) -> Result<(), InvalidReport> {
    text("name", &request.name, NAME_BYTES_MAX)?;
    text("os_name", &request.os_name, TEXT_BYTES_MAX)?;
    text("agent_version", &request.agent_version, TEXT_BYTES_MAX)?;
    text("token", &request.token, TEXT_BYTES_MAX)?;
    release(&request.os)
}

/// Checks what an agent says when it checks in.
pub fn check_in(inventory_hash: Option<&str>, agent_version: &str) -> Result<(), InvalidReport> {
    text("agent_version", agent_version, TEXT_BYTES_MAX)?;
    match inventory_hash {
        Some(hash) if !is_hash(hash) => Err(InvalidReport::InvalidInventoryHash),
        Some(_) | None => Ok(()),
    }
}

/// Failure classes that an agent may give.
const FAILURE_CLASSES: [&str; 11] = [
    "download",
    "install_script",
    "dependency",
    "disk_full",
    "locked",
    "not_offered",
    "timeout",
    "interrupted",
    "unsupported",
    "scan",
    "other",
];

/// Checks what an agent says of a job.
pub fn check_job(report: &JobReport, now: DateTime<Utc>) -> Result<(), InvalidReport> {
    plausible(report.occurred_at, now)?;
    match &report.report {
        JobStep::Acknowledged | JobStep::Installing | JobStep::PendingReboot => Ok(()),
        JobStep::Refused { code, reason } => {
            text("code", code, TEXT_BYTES_MAX)?;
            prose("reason", reason)
        }
        JobStep::Downloading { source } => prose("source", source),
        JobStep::Installed { packages } => {
            if packages.len() > INVENTORY_ITEMS_MAX {
                return Err(InvalidReport::TooManyPackages { count: packages.len() });
            }
            packages.iter().try_for_each(|package| {
                text("package name", &package.name, PACKAGE_TEXT_BYTES_MAX)?;
                optional("package version", &package.version)
            })
        }
        JobStep::Failed { class, reason } => {
            if !FAILURE_CLASSES.contains(&class.as_str()) {
                return Err(InvalidReport::InvalidFailureClass { class: shown(class) });
            }
            prose("reason", reason)
        }
    }
}

fn inventory(content: &Inventory, platform: DevicePlatform) -> Result<(), InvalidReport> {
    match (content, platform) {
        (Inventory::Packages { order, packages }, DevicePlatform::Linux) => {
            if packages.len() > INVENTORY_ITEMS_MAX {
                return Err(InvalidReport::TooManyPackages { count: packages.len() });
            }
            packages.iter().try_for_each(|it| package(*order, it))
        }
        (Inventory::WindowsUpdates { installed, applicable, build }, DevicePlatform::Windows) => {
            let count = installed.len() + applicable.len();
            if count > INVENTORY_ITEMS_MAX {
                return Err(InvalidReport::TooManyPackages { count });
            }
            text("build", build, TEXT_BYTES_MAX)?;
            installed.iter().chain(applicable).try_for_each(|kb| kb_number(kb))
        }
        (Inventory::WindowsUpdates { .. }, DevicePlatform::Linux) => {
            Err(InvalidReport::InventoryKind { platform: "Linux" })
        }
        (Inventory::Packages { .. }, DevicePlatform::Windows) => {
            Err(InvalidReport::InventoryKind { platform: "Windows" })
        }
    }
}

fn package(order: VersionOrder, package: &InstalledPackage) -> Result<(), InvalidReport> {
    package_name(&package.name)?;
    package_name(&package.source)?;
    text("architecture", &package.architecture, TEXT_BYTES_MAX)?;
    if let Some(module) = &package.module {
        text("module", module, PACKAGE_TEXT_BYTES_MAX)?;
    }
    version(order, &package.name, &package.version)?;
    version(order, &package.name, &package.source_version)
}

/// dpkg's own rule, which is laxer than Debian's policy and takes the names of rpm and apk as well: letters and digits
/// first, then also `+ - . _`.
fn package_name(name: &str) -> Result<(), InvalidReport> {
    let first = name.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    let rest = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-._".contains(&b));
    if first && rest && name.len() <= PACKAGE_TEXT_BYTES_MAX {
        Ok(())
    } else {
        Err(InvalidReport::InvalidPackageName { text: shown(name) })
    }
}

fn version(order: VersionOrder, package: &str, version: &str) -> Result<(), InvalidReport> {
    if version.len() <= PACKAGE_TEXT_BYTES_MAX && Version::read(order, version).is_ok() {
        Ok(())
    } else {
        Err(InvalidReport::InvalidVersion { package: package.to_owned(), text: shown(version) })
    }
}

fn kb_number(kb: &str) -> Result<(), InvalidReport> {
    let digits = kb.strip_prefix("KB").unwrap_or_default();
    if (1..=10).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) {
        Ok(())
    } else {
        Err(InvalidReport::InvalidKb { text: shown(kb) })
    }
}

fn available(update: &AvailableUpdate) -> Result<(), InvalidReport> {
    text("update name", &update.name, PACKAGE_TEXT_BYTES_MAX)?;
    optional("installed version", &update.installed_version)?;
    optional("candidate version", &update.candidate_version)?;
    optional("origin", &update.origin)
}

fn release(os: &OsRelease) -> Result<(), InvalidReport> {
    text("os.id", &os.id, TEXT_BYTES_MAX)?;
    text("os.version", &os.version, TEXT_BYTES_MAX)
}

fn plausible(at: DateTime<Utc>, now: DateTime<Utc>) -> Result<(), InvalidReport> {
    if at >= CLOCK_START && at <= now + CLOCK_AHEAD_MAX {
        Ok(())
    } else {
        Err(InvalidReport::ImplausibleTime { at })
    }
}

fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

fn text(field: &'static str, value: &str, max: usize) -> Result<(), InvalidReport> {
    let invalid = value.is_empty() || value.len() > max || value.chars().any(char::is_control);
    if invalid { Err(InvalidReport::InvalidText { field, max }) } else { Ok(()) }
}

fn optional(field: &'static str, value: &str) -> Result<(), InvalidReport> {
    if value.is_empty() { Ok(()) } else { text(field, value, PACKAGE_TEXT_BYTES_MAX) }
}

/// What a tool says may have several lines, but no bytes that PostgreSQL cannot keep.
fn prose(field: &'static str, value: &str) -> Result<(), InvalidReport> {
    let invalid = value.is_empty() || value.len() > PROSE_BYTES_MAX || value.contains('\0');
    if invalid { Err(InvalidReport::InvalidText { field, max: PROSE_BYTES_MAX }) } else { Ok(()) }
}

fn shown(text: &str) -> String {
    text.chars().take(SHOWN_MAX).collect()
}

#[cfg(test)]
mod tests;
