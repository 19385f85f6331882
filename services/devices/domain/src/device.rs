//! A device: contact, scans, jobs.
//!
//! ```text
//! NotEnrolled --enrol--> Enrolled (online <-> offline)
//! ```
//!
//! A patch counts as installed only when a scan has seen it so; a change of the catalogue can make it missing or take it
//! off the list, but never install it.

use crate::applicability::{Finding, Reason};
use crate::text::is_shown;
use chrono::{DateTime, Utc};
use contracts::devices::{
    AgentEnrolled, AvailableUpdate, AvailableUpdatesChanged, DeviceCameOnline, DeviceEvent,
    DeviceExposureChanged, DeviceRegionChanged, DeviceWentOffline, JobDelivered, JobReported, JobStep,
    MissingPackage, PatchFoundInstalled, PatchFoundMissing, PatchNoLongerApplicable, ScanCompleted,
    ScanFailed,
};
use kernel::{Aggregate, DeviceId, JobId, PatchId, Refused, Snapshot};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Patches that one command may move; with more, the caller compares several times. A command's batch of facts must
/// stay small enough for one transaction.
pub const DELTAS_MAX: usize = 900;
/// Characters of a region: a name on a map.
pub const REGION_CHARS_MAX: usize = 100;

/// A device.
pub struct Device;

/// What a decision needs to know of a device.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum State {
    /// There is none.
    #[default]
    NotEnrolled,
    /// An agent runs on it.
    Enrolled(Enrolled),
}

/// An enrolled device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolled {
    device_id: DeviceId,
    public_key: String,
    online: bool,
    missing: BTreeMap<PatchId, Vec<MissingPackage>>,
    available: Vec<AvailableUpdate>,
    /// Jobs that the agent has, with its last word on each.
    jobs: BTreeMap<JobId, Option<JobStep>>,
    exposed: bool,
    region: Option<String>,
}

/// A scan's result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    /// The job it answers.
    pub job_id: Option<JobId>,
    /// Hash of the inventory.
    pub inventory_hash: String,
    /// Packages or KBs in it.
    pub item_count: u32,
    /// Which update source was asked.
    pub source: String,
    /// Installed, not effective until restart.
    pub pending_reboot: bool,
    /// What the operating system's updater offers.
    pub available: Vec<AvailableUpdate>,
    /// What the catalogue says of the inventory.
    pub findings: BTreeMap<PatchId, Finding>,
    /// The log position of that catalogue.
    pub catalogue_position: i64,
}

/// How a difference was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// By a scan of the device.
    ByScan {
        /// The job it answers.
        job_id: Option<JobId>,
    },
    /// By a change of the catalogue, with the device as it was.
    InCatalogue,
}

/// What can be asked of a device.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Let it in.
    Enrol(Box<AgentEnrolled>),
    /// Its agent was heard of.
    Hear,
    /// Its agent has not been heard of for too long.
    Miss {
        /// Last contact.
        last_contact_at: DateTime<Utc>,
    },
    /// Say whether it can be reached from the internet.
    SetExposure {
        /// Whether it can.
        exposed: bool,
    },
    /// Say where it stands.
    SetRegion {
        /// Where; none to forget it.
        region: Option<String>,
    },
    /// Take a scan.
    RecordScan(Box<Scan>),
    /// Take what the catalogue says of it: by a scan of all patches, by a change of the catalogue of the changed ones.
    Compare {
        /// What the catalogue says.
        findings: BTreeMap<PatchId, Finding>,
        /// How that was seen.
        seen: Seen,
    },
    /// Its agent fetched a job.
    Deliver {
        /// The job.
        job_id: JobId,
    },
    /// Its agent says how a job goes.
    Report {
        /// The job.
        job_id: JobId,
        /// What it says.
        step: JobStep,
        /// Whether the job asks for nothing but a scan.
        is_scan: bool,
    },
}

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such device.
    #[error("the device is not enrolled")]
    NotEnrolled,
    /// There is one with another key.
    #[error("the device is enrolled with another key")]
    OtherKey,
    /// The agent never got it.
    #[error("job {job_id} was not delivered to the device")]
    JobNotDelivered {
        /// The job.
        job_id: JobId,
    },
    /// The region cannot be one.
    #[error(
        "a region has 1 to {REGION_CHARS_MAX} characters, none of them a control character, and no blanks around it"
    )]
    InvalidRegion,
}

impl Refused for Refusal {
    fn code(&self) -> &'static str {
        match self {
            Self::NotEnrolled => "devices.not_enrolled",
            Self::OtherKey => "devices.other_key",
            Self::JobNotDelivered { .. } => "devices.job_not_delivered",
            Self::InvalidRegion => "devices.region_invalid",
        }
    }

    fn is_not_found(&self) -> bool {
        match self {
            Self::NotEnrolled | Self::JobNotDelivered { .. } => true,
            Self::OtherKey | Self::InvalidRegion => false,
        }
    }

    fn is_conflict(&self) -> bool {
        *self == Self::OtherKey
    }
}

impl Aggregate for Device {
    const STREAM: &'static str = "devices.device";
    type State = State;
    // Every scan adds to the stream for as long as the device lives.
    const SNAPSHOT: Option<Snapshot<State>> = Some(Snapshot::json(2, 200));
    type Command = Command;
    type Event = DeviceEvent;
    type Refusal = Refusal;

    fn decide(state: &State, command: Command) -> Result<Vec<DeviceEvent>, Refusal> {
        let device = match (state, command) {
            (State::NotEnrolled, Command::Enrol(agent)) => {
                let online = DeviceCameOnline { device_id: agent.device_id };
                return Ok(vec![(*agent).into(), online.into()]);
            }
            (State::NotEnrolled, _) => return Err(Refusal::NotEnrolled),
            (State::Enrolled(device), command) => (device, command),
        };
        let (device, command) = device;
        let device_id = device.device_id;
        match command {
            Command::Enrol(agent) if agent.public_key == device.public_key => Ok(vec![]),
            Command::Enrol(_) => Err(Refusal::OtherKey),
            Command::Hear if device.online => Ok(vec![]),
            Command::Hear => Ok(vec![DeviceCameOnline { device_id }.into()]),
            Command::Miss { last_contact_at } if device.online => {
                Ok(vec![DeviceWentOffline { device_id, last_contact_at }.into()])
            }
            Command::Miss { .. } => Ok(vec![]),
            Command::SetExposure { exposed } if exposed == device.exposed => Ok(vec![]),
            Command::SetExposure { exposed } => Ok(vec![DeviceExposureChanged { device_id, exposed }.into()]),
            Command::SetRegion { region } => set_region(device, region),
            Command::RecordScan(scan) => Ok(record(device, *scan)),
            Command::Compare { findings, seen } => Ok(deltas(device, &findings, seen)),
            Command::Deliver { job_id } if device.jobs.contains_key(&job_id) => Ok(vec![]),
            Command::Deliver { job_id } => Ok(vec![JobDelivered { device_id, job_id }.into()]),
            Command::Report { job_id, step, is_scan } => match device.jobs.get(&job_id) {
                None => Err(Refusal::JobNotDelivered { job_id }),
                Some(Some(last)) if *last == step => Ok(vec![]),
                Some(_) => Ok(report(device_id, job_id, step, is_scan)),
            },
        }
    }

    fn evolve(state: State, event: &DeviceEvent) -> State {
        match (state, event) {
            (State::NotEnrolled, DeviceEvent::AgentEnrolled(agent)) => State::Enrolled(Enrolled {
                device_id: agent.device_id,
                public_key: agent.public_key.clone(),
                online: false,
                missing: BTreeMap::new(),
                available: Vec::new(),
                jobs: BTreeMap::new(),
                exposed: false,
                region: None,
            }),
            (State::NotEnrolled, _) => State::NotEnrolled,
            (State::Enrolled(mut device), event) => {
                device.take(event);
                State::Enrolled(device)
            }
        }
    }
}

impl Enrolled {
    fn take(&mut self, event: &DeviceEvent) {
        match event {
            DeviceEvent::AgentEnrolled(agent) => self.public_key.clone_from(&agent.public_key),
            DeviceEvent::DeviceCameOnline(_) => self.online = true,
            DeviceEvent::DeviceWentOffline(_) => self.online = false,
            DeviceEvent::DeviceExposureChanged(now) => self.exposed = now.exposed,
            DeviceEvent::DeviceRegionChanged(now) => self.region.clone_from(&now.region),
            DeviceEvent::ScanCompleted(_) | DeviceEvent::ScanFailed(_) => {}
            DeviceEvent::AvailableUpdatesChanged(now) => self.available.clone_from(&now.updates),
            DeviceEvent::PatchFoundMissing(found) => {
                self.missing.insert(found.patch_id, found.packages.clone());
            }
            DeviceEvent::PatchFoundInstalled(found) => {
                self.missing.remove(&found.patch_id);
            }
            DeviceEvent::PatchNoLongerApplicable(gone) => {
                self.missing.remove(&gone.patch_id);
            }
            DeviceEvent::JobDelivered(delivered) => {
                self.jobs.entry(delivered.job_id).or_default();
            }
            DeviceEvent::JobReported(reported) => {
                self.jobs.insert(reported.job_id, Some(reported.report.clone()));
            }
        }
    }
}

fn set_region(device: &Enrolled, region: Option<String>) -> Result<Vec<DeviceEvent>, Refusal> {
    if region.as_ref().is_some_and(|region| !is_shown(region, REGION_CHARS_MAX)) {
        return Err(Refusal::InvalidRegion);
    }
    if region == device.region {
        return Ok(vec![]);
    }
    Ok(vec![DeviceRegionChanged { device_id: device.device_id, region }.into()])
}

/// The deltas come first: who hears of the scan already knows what it has found.
fn record(device: &Enrolled, scan: Scan) -> Vec<DeviceEvent> {
    let device_id = device.device_id;
    let mut events = deltas(device, &scan.findings, Seen::ByScan { job_id: scan.job_id });
    let mut available = scan.available;
    available.sort_unstable();
    available.dedup();
    if available != device.available {
        events.push(AvailableUpdatesChanged { device_id, updates: available }.into());
    }
    let missing = scan.findings.values().filter(|finding| matches!(finding, Finding::Missing(_))).count();
    events.push(
        ScanCompleted {
            device_id,
            job_id: scan.job_id,
            inventory_hash: scan.inventory_hash,
            item_count: scan.item_count,
            source: scan.source,
            pending_reboot: scan.pending_reboot,
            catalogue_position: scan.catalogue_position,
            missing: u32::try_from(missing).unwrap_or(u32::MAX),
        }
        .into(),
    );
    events
}

/// What is news about patches, at the most [`DELTAS_MAX`].
fn deltas(device: &Enrolled, findings: &BTreeMap<PatchId, Finding>, seen: Seen) -> Vec<DeviceEvent> {
    let device_id = device.device_id;
    let gone = device.missing.keys().filter_map(|patch_id| {
        let patch_id = *patch_id;
        let not_applicable = |reason: String| -> Option<DeviceEvent> {
            Some(PatchNoLongerApplicable { device_id, patch_id, reason }.into())
        };
        match (findings.get(&patch_id), seen) {
            (Some(Finding::Missing(_)), _) | (None, Seen::InCatalogue) => None,
            (Some(Finding::Installed), Seen::ByScan { job_id }) => {
                Some(PatchFoundInstalled { device_id, patch_id, job_id }.into())
            }
            (Some(Finding::Installed), Seen::InCatalogue) => {
                not_applicable("what is installed is no longer below the fixed version".to_owned())
            }
            (Some(Finding::NotApplicable(reason)), _) => not_applicable(reason.to_string()),
            (None, Seen::ByScan { .. }) => not_applicable(Reason::NothingToPatch.to_string()),
        }
    });
    let found = findings.iter().filter_map(|(patch_id, finding)| match finding {
        Finding::Missing(packages) if device.missing.get(patch_id) != Some(packages) => {
            Some(PatchFoundMissing { device_id, patch_id: *patch_id, packages: packages.clone() }.into())
        }
        Finding::Missing(_) | Finding::Installed | Finding::NotApplicable(_) => None,
    });
    gone.chain(found).take(DELTAS_MAX).collect()
}

fn report(device_id: DeviceId, job_id: JobId, step: JobStep, is_scan: bool) -> Vec<DeviceEvent> {
    let failure = match &step {
        JobStep::Failed { reason, .. } | JobStep::Refused { reason, .. } if is_scan => Some(reason.clone()),
        JobStep::Failed { .. }
        | JobStep::Refused { .. }
        | JobStep::Acknowledged
        | JobStep::Downloading { .. }
        | JobStep::Installing
        | JobStep::PendingReboot
        | JobStep::Installed { .. } => None,
    };
    let mut events = vec![JobReported { device_id, job_id, report: step }.into()];
    if let Some(reason) = failure {
        events.push(ScanFailed { device_id, job_id: Some(job_id), reason }.into());
    }
    events
}

#[cfg(test)]
mod tests;
