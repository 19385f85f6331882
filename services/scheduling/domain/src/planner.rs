//! Who takes part in a run, with which patches, and why everything else is held back.
//!
//! A device takes part if it is in contact, may install, and misses a chosen patch that is approved. Otherwise the first
//! of these reasons is given, in this order:
//!
//! 1. `DEVICE_OFFLINE`: a device must be up to take part, whatever else may be true of it;
//! 2. `NO_AGENT`: its agent only scans, so no choice of patches could change the answer;
//! 3. `NOT_APPLICABLE`: none of the chosen patches is missing there;
//! 4. `NOT_APPROVED`: some are missing there, and none of those is approved.
//!
//! No platform is left out as such: a device whose agent has no way to install refuses the job, and says so.

use contracts::devices::{AgentMode, MissingPackage};
use contracts::scheduling::{PatchOrder, SkipReason};
use kernel::{DeviceId, PatchId};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What is known of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// The device.
    pub device_id: DeviceId,
    /// Whether it is in contact.
    pub online: bool,
    /// What its agent may do.
    pub mode: AgentMode,
    /// What it misses.
    pub missing: Vec<Missing>,
}

/// A patch that is missing on a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// The patch.
    pub patch_id: PatchId,
    /// The vendor's id.
    pub vendor_patch_id: String,
    /// What keeps it missing.
    pub packages: Vec<MissingPackage>,
}

/// Which patches a run is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chosen {
    /// All that are approved.
    EveryApproved,
    /// These, if they are approved.
    Only(BTreeSet<PatchId>),
}

impl Chosen {
    /// The choice as commands write it: an empty list means all that are approved.
    pub fn of(patch_ids: &[PatchId]) -> Self {
        if patch_ids.is_empty() {
            Self::EveryApproved
        } else {
            Self::Only(patch_ids.iter().copied().collect())
        }
    }

    fn covers(&self, patch_id: PatchId) -> bool {
        match self {
            Self::EveryApproved => true,
            Self::Only(ids) => ids.contains(&patch_id),
        }
    }
}

/// One device's part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DevicePlan {
    /// The device.
    pub device_id: DeviceId,
    /// What it is to do.
    pub part: Part,
}

/// What a device is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Install these.
    Queue {
        /// Approved, missing and chosen.
        patches: Vec<PatchOrder>,
        /// Chosen and left out, with the reason.
        held_back: Vec<HeldBack>,
    },
    /// Nothing.
    Skip {
        /// Why.
        reason: SkipReason,
    },
}

/// A chosen patch that a device is not to install.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct HeldBack {
    /// The patch.
    pub patch_id: PatchId,
    /// Why.
    pub because: HoldReason,
}

/// Why a device that takes part does not install a chosen patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HoldReason {
    /// It is not missing there.
    NotApplicable,
    /// It is missing there and not approved.
    NotApproved,
}

/// Which patches may be installed on which devices.
pub type Approved = BTreeSet<(DeviceId, PatchId)>;

/// Gives every device its part: one plan per device, in the order of their ids.
pub fn plan(devices: &[Device], approved: &Approved, chosen: &Chosen) -> Vec<DevicePlan> {
    let distinct: BTreeMap<DeviceId, &Device> =
        devices.iter().map(|device| (device.device_id, device)).collect();
    distinct
        .into_iter()
        .map(|(device_id, device)| DevicePlan { device_id, part: part_of(device, approved, chosen) })
        .collect()
}

fn part_of(device: &Device, approved: &Approved, chosen: &Chosen) -> Part {
    let is_approved = |patch_id| approved.contains(&(device.device_id, patch_id));
    if !device.online {
        return Part::Skip { reason: SkipReason::DeviceOffline };
    }
    match device.mode {
        AgentMode::Full => {}
        AgentMode::ScanOnly => return Part::Skip { reason: SkipReason::NoAgent },
    }
    let missing: BTreeMap<PatchId, &Missing> = device
        .missing
        .iter()
        .filter(|missing| chosen.covers(missing.patch_id))
        .map(|missing| (missing.patch_id, missing))
        .collect();
    if missing.is_empty() {
        return Part::Skip { reason: SkipReason::NotApplicable };
    }
    let patches: Vec<PatchOrder> =
        missing.values().filter(|missing| is_approved(missing.patch_id)).map(|m| m.order()).collect();
    if patches.is_empty() {
        return Part::Skip { reason: SkipReason::NotApproved };
    }
    Part::Queue { patches, held_back: held_back(&missing, is_approved, chosen) }
}

fn held_back(
    missing: &BTreeMap<PatchId, &Missing>,
    is_approved: impl Fn(PatchId) -> bool,
    chosen: &Chosen,
) -> Vec<HeldBack> {
    let unapproved = missing
        .keys()
        .filter(|id| !is_approved(**id))
        .map(|id| HeldBack { patch_id: *id, because: HoldReason::NotApproved });
    let not_missing: Vec<HeldBack> = match chosen {
        Chosen::EveryApproved => vec![],
        Chosen::Only(ids) => ids
            .iter()
            .filter(|id| !missing.contains_key(id))
            .map(|id| HeldBack { patch_id: *id, because: HoldReason::NotApplicable })
            .collect(),
    };
    let mut all: Vec<HeldBack> = unapproved.chain(not_missing).collect();
    all.sort_unstable();
    all
}

impl Missing {
    fn order(&self) -> PatchOrder {
        PatchOrder {
            patch_id: self.patch_id,
            vendor_patch_id: self.vendor_patch_id.clone(),
            packages: self.packages.clone(),
        }
    }
}

impl fmt::Display for DevicePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.part {
            Part::Skip { reason } => write!(f, "{}: skip, {reason:?}", self.device_id),
            Part::Queue { patches, held_back } => {
                write!(f, "{}: install", self.device_id)?;
                for patch in patches {
                    write!(f, " {}", patch.vendor_patch_id)?;
                }
                for held in held_back {
                    write!(f, "; hold back {}, {:?}", held.patch_id, held.because)?;
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests;
