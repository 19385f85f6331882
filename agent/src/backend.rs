//! Where a device's patches come from and go to.

mod apk;
mod apt;
mod os_release;
mod recorded;
mod rpm;
mod tool;

use crate::AgentError;
use crate::config::{BackendKind, Config, Mode};
use contracts::agent::{INVENTORY_ITEMS_MAX, Inventory, inventory_bytes};
use contracts::devices::AvailableUpdate;
use contracts::{DevicePlatform, OsRelease};
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::path::Path;

pub use apk::Apk;
pub use apt::{Apt, Change, Failure, Plan};
pub use recorded::Recorded;
pub use rpm::Rpm;

/// What a scan found.
#[derive(Debug, Clone, PartialEq)]
pub struct Scan {
    /// The release.
    pub os: OsRelease,
    /// What is installed.
    pub inventory: Inventory,
    /// What is offered, sorted.
    pub available: Vec<AvailableUpdate>,
    /// Which update source was asked.
    pub source: String,
    /// Installed, not effective until restart.
    pub pending_reboot: bool,
}

impl Scan {
    /// SHA-256 of the canonical inventory, lowercase hex.
    pub fn inventory_hash(&self) -> String {
        let digest = Sha256::digest(inventory_bytes(&self.os, &self.inventory));
        digest.iter().fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    fn checked(self) -> Result<Self, AgentError> {
        let items = match &self.inventory {
            Inventory::Packages { packages, .. } => packages.len(),
            Inventory::WindowsUpdates { installed, applicable, .. } => installed.len() + applicable.len(),
        };
        if items > INVENTORY_ITEMS_MAX {
            let detail = format!("{items} items are more than the {INVENTORY_ITEMS_MAX} of one report");
            return Err(AgentError::Tool { tool: "scan".to_owned(), detail });
        }
        Ok(self)
    }
}

/// What the device is, for enrolment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// What it runs on.
    pub platform: DevicePlatform,
    /// The release.
    pub os: OsRelease,
    /// Readable.
    pub os_name: String,
}

/// One of the ways to look for patches.
pub enum Backend {
    /// dpkg and apt.
    Apt(Apt),
    /// rpm.
    Rpm(Rpm),
    /// apk.
    Apk(Apk),
    /// A recorded answer of Windows Update.
    Recorded(Recorded),
}

impl Backend {
    /// Opens what the configuration names. `work` is a folder for caches and settings of the tools.
    pub fn open(config: &Config, work: &Path) -> Result<Self, AgentError> {
        match (config.backend, &config.recorded_answer) {
            (BackendKind::Recorded, Some(path)) => Ok(Self::Recorded(Recorded::new(path))),
            (BackendKind::Recorded, None) => {
                Err(AgentError::Config { detail: "backend recorded needs recorded_answer".to_owned() })
            }
            (BackendKind::Apt, _) => Apt::open(config, work).map(Self::Apt),
            (BackendKind::Rpm, _) => Rpm::open(config).map(Self::Rpm),
            (BackendKind::Apk, _) => Ok(Self::Apk(Apk::open(config))),
        }
    }

    /// Says what the device is.
    pub fn describe(&self) -> Result<Description, AgentError> {
        match self {
            Self::Apt(apt) => apt.describe(),
            Self::Rpm(rpm) => rpm.describe(),
            Self::Apk(apk) => apk.describe(),
            Self::Recorded(recorded) => recorded.describe(),
        }
    }

    /// Finds what is installed and what is offered.
    pub async fn scan(&self) -> Result<Scan, AgentError> {
        match self {
            Self::Apt(apt) => apt.scan().await?.checked(),
            Self::Rpm(rpm) => rpm.scan().await?.checked(),
            Self::Apk(apk) => apk.scan()?.checked(),
            Self::Recorded(recorded) => recorded.scan()?.checked(),
        }
    }

    /// What installs here, if anything does.
    pub fn installer(&self, mode: Mode) -> Result<&Apt, Failure> {
        match (self, mode) {
            (Self::Apt(apt), Mode::Full) => Ok(apt),
            (Self::Apt(_) | Self::Rpm(_) | Self::Apk(_) | Self::Recorded(_), Mode::ScanOnly) => {
                Err(Failure::new("unsupported", "this agent only scans"))
            }
            (Self::Rpm(_), Mode::Full) => {
                Err(Failure::new("unsupported", "this agent does not install packages of rpm"))
            }
            (Self::Apk(_), Mode::Full) => {
                Err(Failure::new("unsupported", "this agent does not install packages of apk"))
            }
            (Self::Recorded(_), Mode::Full) => Err(Failure::new(
                "unsupported",
                "a recorded answer of Windows Update cannot install anything",
            )),
        }
    }
}
