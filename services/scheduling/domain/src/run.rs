//! One execution of a deployment. Its outcome derives from its device jobs' and nothing else.
//!
//! ```text
//! NotStarted --start--> Running --last outcome--> Ended
//! ```

use contracts::scheduling::{
    DeviceOutcomeRecorded, JobOutcome, RunCompleted, RunCompletedWithFailures, RunEvent, RunFoundNothingToDo,
    RunStarted,
};
use kernel::{Aggregate, DeploymentId, JobId, Refused, RunId, Snapshot};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A wish about a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Starts it.
    Start {
        /// The run.
        run_id: RunId,
        /// Its deployment.
        deployment_id: DeploymentId,
        /// One job per device.
        job_ids: Vec<JobId>,
    },
    /// A device job reached its end.
    RecordOutcome {
        /// The job.
        job_id: JobId,
        /// How it ended.
        outcome: JobOutcome,
    },
}

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such run.
    #[error("there is no such run")]
    NotFound,
    /// It has nothing to wait for.
    #[error("a run needs at least one device job")]
    NoJobs,
    /// The job belongs elsewhere.
    #[error("job {job_id} is not one of run {run_id}")]
    ForeignJob {
        /// The run.
        run_id: RunId,
        /// The job.
        job_id: JobId,
    },
}

impl Refused for Refusal {
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "scheduling.run_not_found",
            Self::NoJobs => "scheduling.run_without_jobs",
            Self::ForeignJob { .. } => "scheduling.foreign_job",
        }
    }

    fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound)
    }
}

/// Where a run stands.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum State {
    /// Nothing happened yet.
    #[default]
    NotStarted,
    /// At least one device job has not ended.
    Running {
        /// The run.
        run_id: RunId,
        /// Its deployment.
        deployment_id: DeploymentId,
        /// How each job ended, if it has.
        jobs: BTreeMap<JobId, Option<JobOutcome>>,
    },
    /// Every device job has ended.
    Ended,
}

/// The consistency unit.
#[derive(Debug)]
pub enum Run {}

impl Aggregate for Run {
    const STREAM: &'static str = "scheduling.run";
    type State = State;
    // One event for each device, and the stream is read for each of them.
    const SNAPSHOT: Option<Snapshot<State>> = Some(Snapshot::json(1, 200));
    type Command = Command;
    type Event = RunEvent;
    type Refusal = Refusal;

    fn decide(state: &State, command: Command) -> Result<Vec<RunEvent>, Refusal> {
        match (state, command) {
            (State::NotStarted, Command::Start { job_ids, .. }) if job_ids.is_empty() => Err(Refusal::NoJobs),
            (State::NotStarted, Command::Start { run_id, deployment_id, job_ids }) => {
                Ok(vec![RunStarted { run_id, deployment_id, job_ids }.into()])
            }
            (State::NotStarted, Command::RecordOutcome { .. }) => Err(Refusal::NotFound),
            (State::Running { .. } | State::Ended, Command::Start { .. })
            | (State::Ended, Command::RecordOutcome { .. }) => Ok(vec![]),
            (State::Running { run_id, deployment_id, jobs }, Command::RecordOutcome { job_id, outcome }) => {
                match jobs.get(&job_id) {
                    None => Err(Refusal::ForeignJob { run_id: *run_id, job_id }),
                    // The first outcome counts: a late result after a time-out stays in the job's own history.
                    Some(Some(_)) => Ok(vec![]),
                    Some(None) => Ok(record(*run_id, *deployment_id, jobs, job_id, outcome)),
                }
            }
        }
    }

    fn evolve(state: State, event: &RunEvent) -> State {
        match event {
            RunEvent::RunStarted(RunStarted { run_id, deployment_id, job_ids }) => State::Running {
                run_id: *run_id,
                deployment_id: *deployment_id,
                jobs: job_ids.iter().map(|id| (*id, None)).collect(),
            },
            RunEvent::DeviceOutcomeRecorded(DeviceOutcomeRecorded { job_id, outcome, .. }) => match state {
                State::Running { run_id, deployment_id, mut jobs } => {
                    jobs.insert(*job_id, Some(*outcome));
                    State::Running { run_id, deployment_id, jobs }
                }
                State::NotStarted | State::Ended => state,
            },
            RunEvent::RunCompleted(_)
            | RunEvent::RunCompletedWithFailures(_)
            | RunEvent::RunFoundNothingToDo(_) => State::Ended,
        }
    }
}

fn record(
    run_id: RunId,
    deployment_id: DeploymentId,
    jobs: &BTreeMap<JobId, Option<JobOutcome>>,
    job_id: JobId,
    outcome: JobOutcome,
) -> Vec<RunEvent> {
    let recorded = DeviceOutcomeRecorded { run_id, job_id, outcome }.into();
    let outcomes: Option<Vec<JobOutcome>> =
        jobs.iter().map(|(id, known)| if *id == job_id { Some(outcome) } else { *known }).collect();
    match outcomes {
        Some(outcomes) => vec![recorded, end(run_id, deployment_id, &outcomes)],
        None => vec![recorded],
    }
}

fn end(run_id: RunId, deployment_id: DeploymentId, outcomes: &[JobOutcome]) -> RunEvent {
    let (mut succeeded, mut failed, mut skipped) = (0, 0, 0);
    for outcome in outcomes {
        match outcome {
            JobOutcome::Succeeded => succeeded += 1,
            JobOutcome::Failed | JobOutcome::TimedOut => failed += 1,
            JobOutcome::Skipped => skipped += 1,
        }
    }
    if failed > 0 {
        RunCompletedWithFailures { run_id, deployment_id, succeeded, failed, skipped }.into()
    } else if succeeded > 0 {
        RunCompleted { run_id, deployment_id, succeeded, skipped }.into()
    } else {
        RunFoundNothingToDo { run_id, deployment_id, skipped }.into()
    }
}

#[cfg(test)]
mod tests;
