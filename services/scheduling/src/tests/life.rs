//! The life of jobs and runs, told by the facts of other services.

use super::world::World;
use contracts::devices::{AgentMode, DeviceEvent, JobStep, PackageVersion, ScanFailed};
use contracts::scheduling::{DeviceJobEvent, RunEvent, ScanJobEvent, ScanReason, StartedDeployment};
use kernel::{DeviceId, JobId, PatchId};

/// A world in which two patches wait on one device, with the device's job.
struct Waiting {
    world: World,
    device: DeviceId,
    patches: [PatchId; 2],
    started: StartedDeployment,
    job: JobId,
}

async fn waiting() -> Waiting {
    let world = World::new().await;
    let patches = [world.approved_patch("DSA-1").await, world.approved_patch("DSA-2").await];
    let device = world.device(AgentMode::Full, &patches).await;
    world.settle().await;
    let started = world.deploys(&[device], &[]).await;
    let job = job_of(&world, device).await;
    Waiting { world, device, patches, started, job }
}

pub(super) async fn job_of(world: &World, device: DeviceId) -> JobId {
    let log = world.log().await;
    let jobs = log.iter().filter(|event| event.event_type == "scheduling.DeviceJobQueued");
    let mut queued = jobs.filter_map(|event| match event.read() {
        Ok(DeviceJobEvent::DeviceJobQueued(queued)) => Some(queued),
        Ok(_) | Err(_) => None,
    });
    queued.find(|queued| queued.device_id == device).unwrap().job_id
}

fn installed() -> JobStep {
    JobStep::Installed { packages: vec![PackageVersion { name: "curl".into(), version: "2".into() }] }
}

async fn installs(Waiting { world, device, job, .. }: &Waiting) {
    world.delivered(*device, *job).await;
    let steps = [
        JobStep::Acknowledged,
        JobStep::Downloading { source: "apt".into() },
        JobStep::Installing,
        installed(),
    ];
    for step in steps {
        world.reports(*device, *job, step).await;
    }
    world.settle().await;
}

const UNTIL_VERIFYING: [&str; 6] = [
    "DeviceJobQueued",
    "DeviceJobDispatched",
    "DeviceJobAcknowledged",
    "DownloadInitiated",
    "InstallStarted",
    "VerificationStarted",
];

#[tokio::test]
async fn a_job_succeeds_when_a_scan_after_the_install_saw_every_patch() {
    let waiting = waiting().await;
    installs(&waiting).await;
    let Waiting { world, device, patches, started, job } = &waiting;
    assert_eq!(world.story(*job).await, UNTIL_VERIFYING, "the agent's word alone is no success");
    assert_eq!(world.story(started.run_id).await, ["RunStarted"]);

    world.scans(*device, *job, patches).await;
    world.settle().await;
    let DeviceJobEvent::DeviceJobSucceeded(done) = world.last(*job).await else { panic!() };
    assert_eq!((done.run_id, done.patch_ids.len()), (started.run_id, 2));
    assert_eq!(world.story(started.run_id).await, ["RunStarted", "DeviceOutcomeRecorded", "RunCompleted"]);
}

#[tokio::test]
async fn a_scan_that_still_finds_a_patch_missing_fails_the_job_and_names_it() {
    let waiting = waiting().await;
    installs(&waiting).await;
    let Waiting { world, device, patches, started, job } = &waiting;
    world.scans(*device, *job, &patches[..1]).await;
    world.settle().await;
    let DeviceJobEvent::DeviceJobFailed(failed) = world.last(*job).await else { panic!() };
    assert_eq!(failed.class, "not_verified");
    assert_eq!(failed.reason, "a scan after the install still finds DSA-2 missing");
    let RunEvent::RunCompletedWithFailures(end) = world.last(started.run_id).await else { panic!() };
    assert_eq!((end.succeeded, end.failed, end.skipped), (0, 1, 0));
}

#[tokio::test]
async fn a_failed_install_fails_the_job_at_once_and_the_scan_that_follows_changes_nothing() {
    let waiting = waiting().await;
    let Waiting { world, device, started, job, .. } = &waiting;
    world.delivered(*device, *job).await;
    let failure = JobStep::Failed { class: "install_script".into(), reason: "postinst ended with 1".into() };
    world.reports(*device, *job, failure).await;
    world.scans(*device, *job, &[]).await;
    world.settle().await;
    let DeviceJobEvent::DeviceJobFailed(failed) = world.last(*job).await else { panic!() };
    assert_eq!((failed.class.as_str(), failed.reason.as_str()), ("install_script", "postinst ended with 1"));
    assert_eq!(
        world.story(started.run_id).await,
        ["RunStarted", "DeviceOutcomeRecorded", "RunCompletedWithFailures"]
    );
}

#[tokio::test]
async fn a_verifying_scan_that_cannot_be_made_fails_the_job() {
    let waiting = waiting().await;
    installs(&waiting).await;
    let Waiting { world, device, job, .. } = &waiting;
    let lost = ScanFailed { device_id: *device, job_id: Some(*job), reason: "dpkg is locked".into() };
    world.tell_device(*device, vec![lost.into()]).await;
    world.settle().await;
    let DeviceJobEvent::DeviceJobFailed(failed) = world.last(*job).await else { panic!() };
    assert_eq!(failed.reason, "the scan after the install did not work: dpkg is locked");
}

#[tokio::test]
async fn a_run_of_skipped_devices_found_nothing_to_do() {
    let world = World::new().await;
    let offline = world.device(AgentMode::Full, &[]).await;
    let healthy = world.device(AgentMode::Full, &[]).await;
    world.goes_offline(offline).await;
    world.settle().await;
    let started = world.deploys(&[offline, healthy], &[]).await;
    let RunEvent::RunFoundNothingToDo(end) = world.last(started.run_id).await else { panic!() };
    assert_eq!(end.skipped, 2);
}

#[tokio::test]
async fn another_devices_word_on_a_job_counts_for_nothing() {
    let waiting = waiting().await;
    let Waiting { world, job, .. } = &waiting;
    let other = world.device(AgentMode::Full, &[]).await;
    world.delivered(other, *job).await;
    world.reports(other, *job, JobStep::Failed { class: "other".into(), reason: "x".into() }).await;
    world.settle().await;
    assert_eq!(world.story(*job).await, ["DeviceJobQueued"]);
}

#[tokio::test]
async fn an_enrolled_device_is_scanned_and_the_scan_job_lives_its_life() {
    let world = World::new().await;
    let device = world.device(AgentMode::Full, &[]).await;
    world.settle().await;
    let log = world.log().await;
    let requested: Vec<_> = log.iter().filter(|e| e.event_type == "scheduling.ScanRequested").collect();
    let [event] = &requested[..] else { panic!("{requested:?}") };
    let ScanJobEvent::ScanRequested(request) = event.read().unwrap() else { panic!() };
    assert_eq!((request.device_id, request.reason), (device, ScanReason::Enrolled));
    assert_eq!(event.causation_id, Some(log[0].event_id), "the enrolment is the cause");

    world.delivered(device, request.job_id).await;
    world.reports(device, request.job_id, JobStep::Acknowledged).await;
    world.scans(device, request.job_id, &[]).await;
    world.settle().await;
    assert_eq!(world.story(request.job_id).await, ["ScanRequested", "ScanInitiated", "ScanJobCompleted"]);
}

#[tokio::test]
async fn a_scan_that_failed_is_told_with_its_reason_once() {
    let world = World::new().await;
    let device = world.device(AgentMode::Full, &[]).await;
    world.settle().await;
    let job = world.request_scan(&world.admin(), device).await.unwrap().answer;
    let reason = || "apt is busy".to_owned();
    let words: [DeviceEvent; 2] = [
        contracts::devices::JobReported {
            device_id: device,
            job_id: job,
            report: JobStep::Failed { class: "locked".into(), reason: reason() },
        }
        .into(),
        ScanFailed { device_id: device, job_id: Some(job), reason: reason() }.into(),
    ];
    world.tell_device(device, words.to_vec()).await;
    world.settle().await;
    assert_eq!(world.story(job).await, ["ScanRequested", "ScanJobFailed"]);
}
