//! One scan that was asked for.
//!
//! ```text
//! NotRequested --request--> Requested --begin--> Initiated --complete--> Ended
//!                               |                    '------fail-------> Ended
//!                               '---------complete (begin implied) or fail--> Ended
//! ```

use crate::reason;
use contracts::devices::JobStep;
use contracts::scheduling::{
    ScanInitiated, ScanJobCompleted, ScanJobEvent, ScanJobFailed, ScanReason, ScanRequested,
};
use kernel::{Aggregate, DeviceId, JobId, Refused};

/// A wish about a scan job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Asks the device for a scan.
    Request {
        /// The job.
        job_id: JobId,
        /// The device.
        device_id: DeviceId,
        /// Why.
        reason: ScanReason,
        /// Whether the device is in contact: a scan needs it up and running.
        online: bool,
    },
    /// The agent has begun.
    Begin,
    /// The result is in.
    Complete,
    /// It did not work.
    Fail {
        /// Why; words of our own stand in for an empty one.
        reason: String,
    },
    /// Nobody has heard of it for too long.
    GiveUp {
        /// For how long nobody has.
        silent_for_seconds: u64,
    },
}

/// What an agent's word on a scan job asks for; the steps of an install mean nothing here.
pub fn heard(step: JobStep) -> Option<Command> {
    match step {
        JobStep::Acknowledged => Some(Command::Begin),
        JobStep::Refused { code, reason } => Some(Command::Fail { reason: format!("{code}: {reason}") }),
        JobStep::Failed { class: _, reason } => Some(Command::Fail { reason }),
        JobStep::Downloading { .. }
        | JobStep::Installing
        | JobStep::PendingReboot
        | JobStep::Installed { .. } => None,
    }
}

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such job.
    #[error("there is no such scan job")]
    NotFound,
    /// The device is not in contact, so nothing could scan it.
    #[error("device {device_id} is offline, and a scan needs it up and running")]
    DeviceOffline {
        /// The device.
        device_id: DeviceId,
    },
}

impl Refused for Refusal {
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "scheduling.job_not_found",
            Self::DeviceOffline { .. } => "scheduling.device_offline",
        }
    }

    fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound)
    }
}

/// Where a scan job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum State {
    /// Nothing happened yet.
    #[default]
    NotRequested,
    /// Waits for the agent.
    Requested {
        /// The job.
        job_id: JobId,
        /// The device.
        device_id: DeviceId,
    },
    /// The agent is at it.
    Initiated {
        /// The job.
        job_id: JobId,
        /// The device.
        device_id: DeviceId,
    },
    /// Completed, failed or given up.
    Ended,
}

/// The consistency unit.
#[derive(Debug)]
pub enum ScanJob {}

impl Aggregate for ScanJob {
    const STREAM: &'static str = "scheduling.scan_job";
    type State = State;
    type Command = Command;
    type Event = ScanJobEvent;
    type Refusal = Refusal;

    fn decide(state: &State, command: Command) -> Result<Vec<ScanJobEvent>, Refusal> {
        let (job_id, device_id, begun) = match *state {
            State::NotRequested => {
                return match command {
                    Command::Request { device_id, online: false, .. } => {
                        Err(Refusal::DeviceOffline { device_id })
                    }
                    Command::Request { job_id, device_id, reason, online: true } => {
                        Ok(vec![ScanRequested { job_id, device_id, reason }.into()])
                    }
                    Command::Begin | Command::Complete | Command::Fail { .. } | Command::GiveUp { .. } => {
                        Err(Refusal::NotFound)
                    }
                };
            }
            State::Ended => return Ok(vec![]),
            State::Requested { job_id, device_id } => (job_id, device_id, false),
            State::Initiated { job_id, device_id } => (job_id, device_id, true),
        };
        let failed = |reason| vec![ScanJobFailed { job_id, device_id, reason }.into()];
        Ok(match command {
            Command::Request { .. } => vec![],
            Command::Begin if begun => vec![],
            Command::Begin => vec![ScanInitiated { job_id, device_id }.into()],
            Command::Complete if begun => vec![ScanJobCompleted { job_id, device_id }.into()],
            // A result proves that the agent had begun, even if its word of that was lost.
            Command::Complete => {
                vec![
                    ScanInitiated { job_id, device_id }.into(),
                    ScanJobCompleted { job_id, device_id }.into(),
                ]
            }
            Command::Fail { reason } => failed(reason::reason(&reason)),
            Command::GiveUp { silent_for_seconds } => {
                failed(format!("no word from the device for {silent_for_seconds} seconds"))
            }
        })
    }

    fn evolve(_: State, event: &ScanJobEvent) -> State {
        match *event {
            ScanJobEvent::ScanRequested(ScanRequested { job_id, device_id, .. }) => {
                State::Requested { job_id, device_id }
            }
            ScanJobEvent::ScanInitiated(ScanInitiated { job_id, device_id }) => {
                State::Initiated { job_id, device_id }
            }
            ScanJobEvent::ScanJobCompleted(_) | ScanJobEvent::ScanJobFailed(_) => State::Ended,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Command, Refusal, ScanJob, heard};
    use contracts::devices::JobStep;
    use contracts::scheduling::{
        ScanInitiated, ScanJobCompleted, ScanJobEvent, ScanJobFailed, ScanReason, ScanRequested,
    };
    use kernel::{DeviceId, JobId};
    use scenario::given;
    use uuid::Uuid;

    const JOB: JobId = JobId(Uuid::from_u128(1));
    const DEVICE: DeviceId = DeviceId(Uuid::from_u128(2));

    fn request(online: bool) -> Command {
        Command::Request { job_id: JOB, device_id: DEVICE, reason: ScanReason::OnDemand, online }
    }

    fn requested() -> ScanJobEvent {
        ScanRequested { job_id: JOB, device_id: DEVICE, reason: ScanReason::OnDemand }.into()
    }

    fn initiated() -> ScanJobEvent {
        ScanInitiated { job_id: JOB, device_id: DEVICE }.into()
    }

    fn completed() -> ScanJobEvent {
        ScanJobCompleted { job_id: JOB, device_id: DEVICE }.into()
    }

    fn failed(reason: &str) -> ScanJobEvent {
        ScanJobFailed { job_id: JOB, device_id: DEVICE, reason: reason.to_owned() }.into()
    }

    #[test]
    fn a_scan_is_requested_once() {
        given::<ScanJob>([]).when(request(true)).then([requested()]);
    }

    #[test]
    fn a_device_that_is_offline_cannot_be_scanned() {
        given::<ScanJob>([]).when(request(false)).then_refused(&Refusal::DeviceOffline { device_id: DEVICE });
    }

    #[test]
    fn the_agents_acknowledgement_begins_it() {
        given::<ScanJob>([requested()]).when(heard(JobStep::Acknowledged).unwrap()).then([initiated()]);
    }

    #[test]
    fn a_result_completes_it() {
        given::<ScanJob>([requested(), initiated()]).when(Command::Complete).then([completed()]);
    }

    #[test]
    fn a_result_without_an_acknowledgement_shows_that_the_agent_had_begun() {
        given::<ScanJob>([requested()]).when(Command::Complete).then([initiated(), completed()]);
    }

    #[test]
    fn a_failure_always_says_why() {
        given::<ScanJob>([requested(), initiated()])
            .when(Command::Fail { reason: " ".to_owned() })
            .then([failed("the agent gave no reason")]);
    }

    #[test]
    fn an_agents_refusal_is_a_failure_with_its_code() {
        let refused =
            JobStep::Refused { code: "agent.job_expired".to_owned(), reason: "too late".to_owned() };
        given::<ScanJob>([requested()])
            .when(heard(refused).unwrap())
            .then([failed("agent.job_expired: too late")]);
    }

    #[test]
    fn a_silent_device_is_given_up() {
        given::<ScanJob>([requested()])
            .when(Command::GiveUp { silent_for_seconds: 1800 })
            .then([failed("no word from the device for 1800 seconds")]);
    }

    #[test]
    fn nothing_follows_the_end() {
        for end in [completed(), failed("disk full")] {
            for command in [Command::Begin, Command::Complete, Command::GiveUp { silent_for_seconds: 1 }] {
                given::<ScanJob>([requested(), initiated(), end.clone()]).when(command).then_nothing();
            }
        }
    }

    #[test]
    fn a_scan_that_nobody_asked_for_is_not_found() {
        given::<ScanJob>([]).when(Command::Complete).then_refused(&Refusal::NotFound);
    }

    #[test]
    fn the_steps_of_an_install_mean_nothing_to_a_scan() {
        assert_eq!(heard(JobStep::Installing), None);
        assert_eq!(heard(JobStep::Installed { packages: vec![] }), None);
    }
}
