//! What a run's outcome derives from.

use super::{Command, Refusal, Run};
use contracts::scheduling::{
    DeviceOutcomeRecorded, JobOutcome, RunCompleted, RunCompletedWithFailures, RunEvent, RunFoundNothingToDo,
    RunStarted,
};
use kernel::{Aggregate, DeploymentId, JobId, RunId, fold};
use scenario::given;
use uuid::Uuid;

const RUN: RunId = RunId(Uuid::from_u128(1));
const DEPLOYMENT: DeploymentId = DeploymentId(Uuid::from_u128(2));
const A: JobId = JobId(Uuid::from_u128(10));
const B: JobId = JobId(Uuid::from_u128(11));

fn started() -> RunEvent {
    RunStarted { run_id: RUN, deployment_id: DEPLOYMENT, job_ids: vec![A, B] }.into()
}

fn recorded(job_id: JobId, outcome: JobOutcome) -> RunEvent {
    DeviceOutcomeRecorded { run_id: RUN, job_id, outcome }.into()
}

fn record(job_id: JobId, outcome: JobOutcome) -> Command {
    Command::RecordOutcome { job_id, outcome }
}

/// The run's end after A ended with the first and B with the second.
#[track_caller]
fn ends(first: JobOutcome, second: JobOutcome, end: impl Into<RunEvent>) {
    given::<Run>([started(), recorded(A, first)])
        .when(record(B, second))
        .then([recorded(B, second), end.into()]);
}

#[test]
fn a_run_starts_once() {
    let start = Command::Start { run_id: RUN, deployment_id: DEPLOYMENT, job_ids: vec![A, B] };
    given::<Run>([]).when(start).then([started()]);
}

#[test]
fn a_run_without_a_job_would_never_end_and_is_refused() {
    let start = Command::Start { run_id: RUN, deployment_id: DEPLOYMENT, job_ids: vec![] };
    given::<Run>([]).when(start).then_refused(&Refusal::NoJobs);
}

#[test]
fn it_goes_on_until_the_last_job_has_ended() {
    given::<Run>([started()])
        .when(record(A, JobOutcome::Succeeded))
        .then([recorded(A, JobOutcome::Succeeded)]);
}

#[test]
fn all_who_took_part_succeeded() {
    let completed =
        |succeeded, skipped| RunCompleted { run_id: RUN, deployment_id: DEPLOYMENT, succeeded, skipped };
    ends(JobOutcome::Succeeded, JobOutcome::Succeeded, completed(2, 0));
    ends(JobOutcome::Succeeded, JobOutcome::Skipped, completed(1, 1));
    ends(JobOutcome::Skipped, JobOutcome::Succeeded, completed(1, 1));
}

#[test]
fn one_failure_or_time_out_is_a_run_with_failures() {
    let with_failures = |succeeded, failed, skipped| RunCompletedWithFailures {
        run_id: RUN,
        deployment_id: DEPLOYMENT,
        succeeded,
        failed,
        skipped,
    };
    ends(JobOutcome::Succeeded, JobOutcome::Failed, with_failures(1, 1, 0));
    ends(JobOutcome::TimedOut, JobOutcome::Succeeded, with_failures(1, 1, 0));
    ends(JobOutcome::Skipped, JobOutcome::TimedOut, with_failures(0, 1, 1));
    ends(JobOutcome::Failed, JobOutcome::TimedOut, with_failures(0, 2, 0));
}

#[test]
fn nobody_took_part() {
    ends(
        JobOutcome::Skipped,
        JobOutcome::Skipped,
        RunFoundNothingToDo { run_id: RUN, deployment_id: DEPLOYMENT, skipped: 2 },
    );
}

#[test]
fn the_first_outcome_of_a_job_counts() {
    given::<Run>([started(), recorded(A, JobOutcome::TimedOut)])
        .when(record(A, JobOutcome::Succeeded))
        .then_nothing();
}

#[test]
fn an_ended_run_stays_as_it_is() {
    let end = RunFoundNothingToDo { run_id: RUN, deployment_id: DEPLOYMENT, skipped: 2 }.into();
    let past = [started(), recorded(A, JobOutcome::Skipped), recorded(B, JobOutcome::Skipped), end];
    given::<Run>(past).when(record(A, JobOutcome::Failed)).then_nothing();
}

#[test]
fn a_job_of_another_run_is_refused() {
    let other = JobId(Uuid::from_u128(12));
    given::<Run>([started()])
        .when(record(other, JobOutcome::Failed))
        .then_refused(&Refusal::ForeignJob { run_id: RUN, job_id: other });
    given::<Run>([]).when(record(A, JobOutcome::Failed)).then_refused(&Refusal::NotFound);
}

/// A kept state that is read in another sense than it was written would decide wrongly: a change of it, or of `evolve`,
/// needs another shape number beside the text below.
#[test]
fn the_kept_state_has_the_form_of_its_shape_number() {
    let snapshot = <Run as Aggregate>::SNAPSHOT.unwrap();
    let state = fold::<Run>(&[started(), recorded(A, JobOutcome::Succeeded)]);
    let kept = (snapshot.write)(&state).unwrap();
    assert_eq!((snapshot.read)(&kept), Some(state));
    let expected = format!(
        r#"{{"Running":{{"run_id":"{RUN}","deployment_id":"{DEPLOYMENT}","jobs":{{"{A}":"SUCCEEDED","{B}":null}}}}}}"#
    );
    assert_eq!((snapshot.shape, String::from_utf8(kept).unwrap()), (1, expected));
}
