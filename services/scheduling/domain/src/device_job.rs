//! The part of a run for one device.
//!
//! ```text
//! NotPlanned --queue--> QUEUED > DISPATCHED > ACKNOWLEDGED > DOWNLOADING > INSTALLING > (PENDING_REBOOT) > VERIFYING
//!     '------skip-----> Ended                                                                                 |
//!                        any of them --fail--> Ended     --give up--> TimedOut --late result--> Ended         |
//!                        a scan after the install no longer finds the patches missing --> Ended <-------------'
//! ```
//! What the package manager says only moves a job to VERIFYING. It succeeds by a scan and by nothing else.

use crate::reason;
use contracts::devices::{JobStep, PackageVersion};
use contracts::scheduling::{
    DeviceJobAcknowledged, DeviceJobDispatched, DeviceJobEvent, DeviceJobFailed, DeviceJobLateResultRecorded,
    DeviceJobQueued, DeviceJobSkipped, DeviceJobSucceeded, DeviceJobTimedOut, DownloadInitiated,
    InstallStarted, JobOutcome, RebootRequired, VerificationStarted,
};
use kernel::{Aggregate, DeviceId, JobId, PatchId, Refused, RunId};

/// Failure class of a job whose patches a scan did not see installed.
pub const NOT_VERIFIED: &str = "not_verified";
/// Failure class of a job that the agent would not do.
pub const REFUSED: &str = "refused";

/// How far an unfinished job has come. The order is that of the life cycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Waits for the agent to fetch it.
    Queued,
    /// The agent fetched it.
    Dispatched,
    /// The agent will do it.
    Acknowledged,
    /// Packages are being fetched.
    Downloading,
    /// The package manager is at work.
    Installing,
    /// Installed, not effective until restart.
    PendingReboot,
    /// Waits for the scan after the install.
    Verifying,
}

impl Stage {
    /// The stage's name in facts and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "QUEUED",
            Self::Dispatched => "DISPATCHED",
            Self::Acknowledged => "ACKNOWLEDGED",
            Self::Downloading => "DOWNLOADING",
            Self::Installing => "INSTALLING",
            Self::PendingReboot => "PENDING_REBOOT",
            Self::Verifying => "VERIFYING",
        }
    }

    /// The stage with this name.
    pub fn by_name(name: &str) -> Option<Self> {
        [
            Self::Queued,
            Self::Dispatched,
            Self::Acknowledged,
            Self::Downloading,
            Self::Installing,
            Self::PendingReboot,
            Self::Verifying,
        ]
        .into_iter()
        .find(|stage| stage.name() == name)
    }
}

/// Something the agent did on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// It fetched the job.
    Dispatched,
    /// It will do it.
    Acknowledged,
    /// It fetches packages.
    Downloading {
        /// From where.
        source: String,
    },
    /// The package manager is at work.
    Installing,
    /// A restart is needed.
    PendingReboot,
    /// The package manager is done.
    Installed {
        /// What was changed.
        packages: Vec<PackageVersion>,
    },
}

/// A wish about a device job.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Gives the device something to install.
    Queue(DeviceJobQueued),
    /// Notes why the device has no part.
    Skip(DeviceJobSkipped),
    /// The agent did a step.
    Advance(Step),
    /// It did not work.
    Fail {
        /// Failure class.
        class: String,
        /// Why; words of our own stand in for an empty one.
        reason: String,
    },
    /// A scan that answers this job is in.
    Verify {
        /// Every patch that the scan finds missing on the device.
        missing: Vec<PatchId>,
    },
    /// There was no word for too long. Does nothing if the job has moved on meanwhile.
    GiveUp {
        /// Where the job stood when it was looked at.
        seen: Stage,
    },
}

/// What an agent's word on a device job asks for.
pub fn heard(step: JobStep) -> Command {
    match step {
        JobStep::Acknowledged => Command::Advance(Step::Acknowledged),
        JobStep::Downloading { source } => Command::Advance(Step::Downloading { source }),
        JobStep::Installing => Command::Advance(Step::Installing),
        JobStep::PendingReboot => Command::Advance(Step::PendingReboot),
        JobStep::Installed { packages } => Command::Advance(Step::Installed { packages }),
        JobStep::Refused { code, reason } => {
            Command::Fail { class: REFUSED.to_owned(), reason: format!("{code}: {reason}") }
        }
        JobStep::Failed { class, reason } => Command::Fail { class, reason },
    }
}

/// What a scan that failed means for the job that it was to verify.
pub fn unverifiable(reason: &str) -> Command {
    Command::Fail {
        class: NOT_VERIFIED.to_owned(),
        reason: format!("the scan after the install did not work: {}", reason::reason(reason)),
    }
}

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such job.
    #[error("there is no such device job")]
    NotFound,
    /// There is nothing to install.
    #[error("a device job needs at least one patch")]
    NoPatches,
}

impl Refused for Refusal {
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "scheduling.job_not_found",
            Self::NoPatches => "scheduling.job_without_patches",
        }
    }

    fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound)
    }
}

/// What the end of a job has to name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    job_id: JobId,
    run_id: RunId,
    device_id: DeviceId,
    /// Patches with the vendor's ids, which people know them by.
    patches: Vec<(PatchId, String)>,
}

/// Where a device job stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum State {
    /// Nothing happened yet.
    #[default]
    NotPlanned,
    /// On its way.
    Active {
        /// What it is to do.
        order: Order,
        /// How far it has come.
        stage: Stage,
        /// Whether the agent has asked for a restart.
        reboot_required: bool,
    },
    /// Given up; the truth may still arrive.
    TimedOut {
        /// What it was to do.
        order: Order,
    },
    /// Skipped, succeeded, failed, or timed out with a late result.
    Ended,
}

/// The consistency unit.
#[derive(Debug)]
pub enum DeviceJob {}

impl Aggregate for DeviceJob {
    const STREAM: &'static str = "scheduling.device_job";
    type State = State;
    type Command = Command;
    type Event = DeviceJobEvent;
    type Refusal = Refusal;

    fn decide(state: &State, command: Command) -> Result<Vec<DeviceJobEvent>, Refusal> {
        match state {
            State::NotPlanned => plan(command),
            State::Active { order, stage, reboot_required } => Ok(match command {
                Command::Queue(_) | Command::Skip(_) => vec![],
                Command::Advance(step) => advance(order, *stage, *reboot_required, step),
                Command::Fail { class, reason } => vec![failed(order, &class, &reason)],
                Command::Verify { missing } => verify(order, *stage, &missing),
                Command::GiveUp { seen } => give_up(order, *stage, seen),
            }),
            State::TimedOut { order } => Ok(match command {
                Command::Queue(_) | Command::Skip(_) | Command::Advance(_) | Command::GiveUp { .. } => vec![],
                Command::Verify { missing } if still_missing(order, &missing).is_empty() => {
                    vec![late(order, JobOutcome::Succeeded)]
                }
                Command::Verify { .. } | Command::Fail { .. } => vec![late(order, JobOutcome::Failed)],
            }),
            State::Ended => Ok(vec![]),
        }
    }

    fn evolve(state: State, event: &DeviceJobEvent) -> State {
        match event {
            DeviceJobEvent::DeviceJobQueued(queued) => {
                State::Active { order: Order::of(queued), stage: Stage::Queued, reboot_required: false }
            }
            DeviceJobEvent::DeviceJobDispatched(_) => state.reached(Stage::Dispatched),
            DeviceJobEvent::DeviceJobAcknowledged(_) => state.reached(Stage::Acknowledged),
            DeviceJobEvent::DownloadInitiated(_) => state.reached(Stage::Downloading),
            DeviceJobEvent::InstallStarted(_) => state.reached(Stage::Installing),
            DeviceJobEvent::RebootRequired(_) => state.asked_for_reboot(),
            DeviceJobEvent::VerificationStarted(_) => state.reached(Stage::Verifying),
            DeviceJobEvent::DeviceJobTimedOut(_) => match state {
                State::Active { order, .. } => State::TimedOut { order },
                State::NotPlanned | State::TimedOut { .. } | State::Ended => state,
            },
            DeviceJobEvent::DeviceJobSkipped(_)
            | DeviceJobEvent::DeviceJobSucceeded(_)
            | DeviceJobEvent::DeviceJobFailed(_)
            | DeviceJobEvent::DeviceJobLateResultRecorded(_) => State::Ended,
        }
    }
}

fn plan(command: Command) -> Result<Vec<DeviceJobEvent>, Refusal> {
    match command {
        Command::Queue(queued) if queued.patches.is_empty() => Err(Refusal::NoPatches),
        Command::Queue(queued) => Ok(vec![queued.into()]),
        Command::Skip(skipped) => Ok(vec![skipped.into()]),
        Command::Advance(_) | Command::Fail { .. } | Command::Verify { .. } | Command::GiveUp { .. } => {
            Err(Refusal::NotFound)
        }
    }
}

/// A step that lies behind the job's stage is old news. Steps in between may be missing: agents can lose a word.
fn advance(order: &Order, stage: Stage, reboot_required: bool, step: Step) -> Vec<DeviceJobEvent> {
    let Order { job_id, device_id, .. } = *order;
    let (reaches, event): (Stage, DeviceJobEvent) = match step {
        Step::Dispatched => (Stage::Dispatched, DeviceJobDispatched { job_id, device_id }.into()),
        Step::Acknowledged => (Stage::Acknowledged, DeviceJobAcknowledged { job_id, device_id }.into()),
        Step::Downloading { source } => {
            (Stage::Downloading, DownloadInitiated { job_id, device_id, source }.into())
        }
        Step::Installing => (Stage::Installing, InstallStarted { job_id, device_id }.into()),
        // Worth telling once, even if the package manager's last word came first.
        Step::PendingReboot if reboot_required => return vec![],
        Step::PendingReboot => return vec![RebootRequired { job_id, device_id }.into()],
        Step::Installed { packages } => {
            (Stage::Verifying, VerificationStarted { job_id, device_id, packages }.into())
        }
    };
    if reaches > stage { vec![event] } else { vec![] }
}

fn verify(order: &Order, stage: Stage, missing: &[PatchId]) -> Vec<DeviceJobEvent> {
    // A scan from before the install says nothing about it.
    if stage < Stage::Installing {
        return vec![];
    }
    let still = still_missing(order, missing);
    if still.is_empty() {
        let Order { job_id, run_id, device_id, .. } = *order;
        return vec![DeviceJobSucceeded { job_id, run_id, device_id, patch_ids: order.patch_ids() }.into()];
    }
    if stage < Stage::Verifying {
        return vec![];
    }
    let reason = format!("a scan after the install still finds {} missing", still.join(", "));
    vec![failed(order, NOT_VERIFIED, &reason)]
}

fn give_up(order: &Order, stage: Stage, seen: Stage) -> Vec<DeviceJobEvent> {
    if stage != seen {
        return vec![];
    }
    let Order { job_id, run_id, device_id, .. } = *order;
    vec![DeviceJobTimedOut { job_id, run_id, device_id, stage: stage.name().to_owned() }.into()]
}

/// The vendor's ids of the job's patches that are among `missing`.
fn still_missing<'a>(order: &'a Order, missing: &[PatchId]) -> Vec<&'a str> {
    order.patches.iter().filter(|(id, _)| missing.contains(id)).map(|(_, name)| name.as_str()).collect()
}

fn failed(order: &Order, class: &str, reason: &str) -> DeviceJobEvent {
    let Order { job_id, run_id, device_id, .. } = *order;
    DeviceJobFailed {
        job_id,
        run_id,
        device_id,
        class: reason::class(class),
        reason: reason::reason(reason),
        patch_ids: order.patch_ids(),
    }
    .into()
}

fn late(order: &Order, outcome: JobOutcome) -> DeviceJobEvent {
    DeviceJobLateResultRecorded { job_id: order.job_id, device_id: order.device_id, outcome }.into()
}

impl Order {
    fn of(queued: &DeviceJobQueued) -> Self {
        Self {
            job_id: queued.job_id,
            run_id: queued.run_id,
            device_id: queued.device_id,
            patches: queued.patches.iter().map(|p| (p.patch_id, p.vendor_patch_id.clone())).collect(),
        }
    }

    fn patch_ids(&self) -> Vec<PatchId> {
        self.patches.iter().map(|(id, _)| *id).collect()
    }
}

impl State {
    fn reached(self, reaches: Stage) -> Self {
        match self {
            Self::Active { order, stage, reboot_required } => {
                Self::Active { order, stage: stage.max(reaches), reboot_required }
            }
            Self::NotPlanned | Self::TimedOut { .. } | Self::Ended => self,
        }
    }

    fn asked_for_reboot(self) -> Self {
        match self {
            Self::Active { order, stage, .. } => {
                Self::Active { order, stage: stage.max(Stage::PendingReboot), reboot_required: true }
            }
            Self::NotPlanned | Self::TimedOut { .. } | Self::Ended => self,
        }
    }
}

#[cfg(test)]
mod tests;
