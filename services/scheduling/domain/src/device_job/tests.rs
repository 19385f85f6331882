//! The life of a device job, one sentence each.

use super::{Command, DeviceJob, Refusal, Stage, Step, heard, unverifiable};
use chrono::DateTime;
use contracts::devices::{JobStep, MissingPackage, PackageVersion};
use contracts::scheduling::{
    DeviceJobAcknowledged, DeviceJobDispatched, DeviceJobEvent, DeviceJobFailed, DeviceJobLateResultRecorded,
    DeviceJobQueued, DeviceJobSkipped, DeviceJobSucceeded, DeviceJobTimedOut, DownloadInitiated,
    InstallStarted, JobOutcome, PatchOrder, RebootPolicy, RebootRequired, SkipReason, VerificationStarted,
};
use kernel::{DeploymentId, DeviceId, JobId, PatchId, RunId};
use scenario::given;
use uuid::Uuid;

const JOB: JobId = JobId(Uuid::from_u128(1));
const RUN: RunId = RunId(Uuid::from_u128(2));
const DEPLOYMENT: DeploymentId = DeploymentId(Uuid::from_u128(3));
const DEVICE: DeviceId = DeviceId(Uuid::from_u128(4));
const CURL: PatchId = PatchId(Uuid::from_u128(5));
const OPENSSL: PatchId = PatchId(Uuid::from_u128(6));
const UNRELATED: PatchId = PatchId(Uuid::from_u128(7));

fn order(patch_id: PatchId, vendor_patch_id: &str) -> PatchOrder {
    PatchOrder {
        patch_id,
        vendor_patch_id: vendor_patch_id.to_owned(),
        packages: vec![MissingPackage {
            name: "curl".to_owned(),
            installed_version: "1".to_owned(),
            fixed_version: "2".to_owned(),
        }],
    }
}

fn queue() -> DeviceJobQueued {
    DeviceJobQueued {
        job_id: JOB,
        run_id: RUN,
        deployment_id: DEPLOYMENT,
        device_id: DEVICE,
        patches: vec![order(CURL, "DSA-1"), order(OPENSSL, "DSA-2")],
        reboot_policy: RebootPolicy::Never,
        expires_at: DateTime::UNIX_EPOCH,
    }
}

fn skip() -> DeviceJobSkipped {
    DeviceJobSkipped {
        job_id: JOB,
        run_id: RUN,
        deployment_id: DEPLOYMENT,
        device_id: DEVICE,
        reason: SkipReason::DeviceOffline,
    }
}

fn queued() -> DeviceJobEvent {
    queue().into()
}

fn dispatched() -> DeviceJobEvent {
    DeviceJobDispatched { job_id: JOB, device_id: DEVICE }.into()
}

fn acknowledged() -> DeviceJobEvent {
    DeviceJobAcknowledged { job_id: JOB, device_id: DEVICE }.into()
}

fn downloading() -> DeviceJobEvent {
    DownloadInitiated { job_id: JOB, device_id: DEVICE, source: "apt".to_owned() }.into()
}

fn installing() -> DeviceJobEvent {
    InstallStarted { job_id: JOB, device_id: DEVICE }.into()
}

fn reboot_required() -> DeviceJobEvent {
    RebootRequired { job_id: JOB, device_id: DEVICE }.into()
}

fn packages() -> Vec<PackageVersion> {
    vec![PackageVersion { name: "curl".to_owned(), version: "2".to_owned() }]
}

fn verifying() -> DeviceJobEvent {
    VerificationStarted { job_id: JOB, device_id: DEVICE, packages: packages() }.into()
}

fn succeeded() -> DeviceJobEvent {
    DeviceJobSucceeded { job_id: JOB, run_id: RUN, device_id: DEVICE, patch_ids: vec![CURL, OPENSSL] }.into()
}

fn failed(class: &str, reason: &str) -> DeviceJobEvent {
    DeviceJobFailed {
        job_id: JOB,
        run_id: RUN,
        device_id: DEVICE,
        class: class.to_owned(),
        reason: reason.to_owned(),
        patch_ids: vec![CURL, OPENSSL],
    }
    .into()
}

fn timed_out(stage: &str) -> DeviceJobEvent {
    DeviceJobTimedOut { job_id: JOB, run_id: RUN, device_id: DEVICE, stage: stage.to_owned() }.into()
}

fn late(outcome: JobOutcome) -> DeviceJobEvent {
    DeviceJobLateResultRecorded { job_id: JOB, device_id: DEVICE, outcome }.into()
}

fn verify(missing: &[PatchId]) -> Command {
    Command::Verify { missing: missing.to_vec() }
}

fn installed_so_far() -> Vec<DeviceJobEvent> {
    vec![queued(), dispatched(), acknowledged(), downloading(), installing(), verifying()]
}

#[test]
fn a_job_is_queued_once() {
    given::<DeviceJob>([]).when(Command::Queue(queue())).then([queued()]);
}

#[test]
fn a_job_without_patches_is_refused() {
    let empty = DeviceJobQueued { patches: vec![], ..queue() };
    given::<DeviceJob>([]).when(Command::Queue(empty)).then_refused(&Refusal::NoPatches);
}

#[test]
fn a_skipped_device_has_its_reason_and_no_more_to_come() {
    given::<DeviceJob>([]).when(Command::Skip(skip())).then([skip().into()]);
    given::<DeviceJob>([skip().into()]).when(Command::Advance(Step::Dispatched)).then_nothing();
}

#[test]
fn every_step_of_the_agent_is_a_fact_once() {
    let steps = [
        (Command::Advance(Step::Dispatched), dispatched()),
        (heard(JobStep::Acknowledged), acknowledged()),
        (heard(JobStep::Downloading { source: "apt".to_owned() }), downloading()),
        (heard(JobStep::Installing), installing()),
        (heard(JobStep::PendingReboot), reboot_required()),
        (heard(JobStep::Installed { packages: packages() }), verifying()),
    ];
    let mut past = vec![queued()];
    for (command, fact) in steps {
        given::<DeviceJob>(past.clone()).when(command).then([fact.clone()]);
        past.push(fact);
    }
}

#[test]
fn a_step_that_lies_behind_is_old_news() {
    for step in [Step::Dispatched, Step::Acknowledged, Step::Installing] {
        given::<DeviceJob>(installed_so_far()).when(Command::Advance(step)).then_nothing();
    }
}

#[test]
fn a_lost_word_in_between_does_not_stop_the_job() {
    given::<DeviceJob>([queued()]).when(heard(JobStep::Installing)).then([installing()]);
}

#[test]
fn a_restart_asked_for_after_the_install_is_told_and_changes_nothing_else() {
    given::<DeviceJob>(installed_so_far()).when(heard(JobStep::PendingReboot)).then([reboot_required()]);
    let past = installed_so_far().into_iter().chain([reboot_required()]);
    given::<DeviceJob>(past).when(verify(&[])).then([succeeded()]);
}

#[test]
fn the_package_managers_word_alone_is_no_success() {
    given::<DeviceJob>([queued(), installing()])
        .when(heard(JobStep::Installed { packages: packages() }))
        .then([verifying()]);
}

#[test]
fn a_scan_that_no_longer_finds_the_patches_missing_is_the_success() {
    given::<DeviceJob>(installed_so_far()).when(verify(&[UNRELATED])).then([succeeded()]);
}

#[test]
fn a_scan_that_still_finds_a_patch_missing_is_a_failure_that_names_it() {
    given::<DeviceJob>(installed_so_far())
        .when(verify(&[OPENSSL, UNRELATED]))
        .then([failed("not_verified", "a scan after the install still finds DSA-2 missing")]);
    given::<DeviceJob>(installed_so_far())
        .when(verify(&[OPENSSL, CURL]))
        .then([failed("not_verified", "a scan after the install still finds DSA-1, DSA-2 missing")]);
}

#[test]
fn a_scan_before_the_install_decides_nothing() {
    for past in [vec![queued()], vec![queued(), dispatched(), acknowledged(), downloading()]] {
        given::<DeviceJob>(past.clone()).when(verify(&[])).then_nothing();
        given::<DeviceJob>(past).when(verify(&[CURL])).then_nothing();
    }
}

#[test]
fn a_scan_during_the_install_can_prove_success_but_not_failure() {
    given::<DeviceJob>([queued(), installing()]).when(verify(&[CURL])).then_nothing();
    given::<DeviceJob>([queued(), installing()]).when(verify(&[])).then([succeeded()]);
}

#[test]
fn a_scan_that_cannot_be_made_leaves_the_install_unproven() {
    given::<DeviceJob>(installed_so_far())
        .when(unverifiable("dpkg is locked"))
        .then([failed("not_verified", "the scan after the install did not work: dpkg is locked")]);
}

#[test]
fn a_failure_keeps_its_class_and_reason() {
    let step = JobStep::Failed { class: "install_script".to_owned(), reason: "postinst: 1".to_owned() };
    given::<DeviceJob>([queued(), installing()])
        .when(heard(step))
        .then([failed("install_script", "postinst: 1")]);
}

#[test]
fn a_failure_without_words_gets_some() {
    let step = JobStep::Failed { class: String::new(), reason: "\n".to_owned() };
    given::<DeviceJob>([queued()]).when(heard(step)).then([failed("other", "the agent gave no reason")]);
}

#[test]
fn an_agent_that_will_not_do_it_fails_the_job_with_its_code() {
    let step = JobStep::Refused { code: "agent.scan_only".to_owned(), reason: "this agent scans".to_owned() };
    given::<DeviceJob>([queued(), dispatched()])
        .when(heard(step))
        .then([failed("refused", "agent.scan_only: this agent scans")]);
}

#[test]
fn a_silent_job_is_given_up_in_the_stage_in_which_it_fell_silent() {
    given::<DeviceJob>([queued(), dispatched()])
        .when(Command::GiveUp { seen: Stage::Dispatched })
        .then([timed_out("DISPATCHED")]);
}

#[test]
fn a_job_that_has_moved_on_is_not_given_up() {
    given::<DeviceJob>([queued(), dispatched(), installing()])
        .when(Command::GiveUp { seen: Stage::Dispatched })
        .then_nothing();
}

#[test]
fn a_result_after_the_time_out_is_recorded_as_late() {
    let past = || vec![queued(), installing(), timed_out("INSTALLING")];
    given::<DeviceJob>(past()).when(verify(&[])).then([late(JobOutcome::Succeeded)]);
    given::<DeviceJob>(past()).when(verify(&[CURL])).then([late(JobOutcome::Failed)]);
    let failure = JobStep::Failed { class: "other".to_owned(), reason: "x".to_owned() };
    given::<DeviceJob>(past()).when(heard(failure)).then([late(JobOutcome::Failed)]);
}

#[test]
fn a_step_after_the_time_out_changes_nothing() {
    given::<DeviceJob>([queued(), timed_out("QUEUED")]).when(heard(JobStep::Installing)).then_nothing();
}

#[test]
fn nothing_follows_the_end() {
    for end in [succeeded(), failed("other", "x"), skip().into()] {
        let past = || installed_so_far().into_iter().chain([end.clone()]);
        given::<DeviceJob>(past()).when(verify(&[CURL])).then_nothing();
        given::<DeviceJob>(past()).when(Command::GiveUp { seen: Stage::Verifying }).then_nothing();
        given::<DeviceJob>(past()).when(heard(JobStep::Installing)).then_nothing();
    }
}

#[test]
fn a_job_that_was_never_planned_is_not_found() {
    given::<DeviceJob>([]).when(verify(&[])).then_refused(&Refusal::NotFound);
}

#[test]
fn a_stage_is_found_by_its_name() {
    assert_eq!(Stage::by_name(Stage::PendingReboot.name()), Some(Stage::PendingReboot));
    assert_eq!(Stage::by_name("QUEUD"), None);
}
