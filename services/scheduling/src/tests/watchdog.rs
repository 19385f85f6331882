//! Jobs of which nobody hears.

use super::life::job_of;
use super::world::{STALLED_AFTER, VALID_FOR, World};
use chrono::TimeDelta;
use contracts::devices::{AgentMode, JobStep};
use contracts::scheduling::{DeviceJobEvent, JobOutcome, RunEvent, ScanJobEvent, StartedDeployment};
use kernel::{DeviceId, JobId, PatchId, Scope};

const A_BIT: TimeDelta = TimeDelta::seconds(60);

async fn queued() -> (World, DeviceId, PatchId, StartedDeployment, JobId) {
    let world = World::new().await;
    let patch = world.approved_patch("DSA-1").await;
    let device = world.device(AgentMode::Full, &[patch]).await;
    world.settle().await;
    let started = world.deploys(&[device], &[]).await;
    let job = job_of(&world, device).await;
    // The scan that follows an enrolment is not what these tests are about.
    for event in world.log().await {
        if let Ok(ScanJobEvent::ScanRequested(scan)) = event.read() {
            world.scans(device, scan.job_id, &[]).await;
        }
    }
    world.settle().await;
    (world, device, patch, started, job)
}

#[tokio::test]
async fn a_queued_job_waits_until_it_expires() {
    let (world, _, _, started, job) = queued().await;
    assert_eq!(world.watchdog(STALLED_AFTER + A_BIT).look().await.unwrap(), 0);
    assert_eq!(world.watchdog(VALID_FOR + A_BIT).look().await.unwrap(), 1);
    world.settle().await;
    let DeviceJobEvent::DeviceJobTimedOut(lost) = world.last(job).await else { panic!() };
    assert_eq!(lost.stage, "QUEUED");
    let RunEvent::RunCompletedWithFailures(end) = world.last(started.run_id).await else { panic!() };
    assert_eq!(end.failed, 1);
}

#[tokio::test]
async fn a_job_that_an_agent_has_is_given_up_when_it_falls_silent_and_the_truth_may_come_late() {
    let (world, device, patch, started, job) = queued().await;
    world.delivered(device, job).await;
    world.reports(device, job, JobStep::Installing).await;
    world.settle().await;
    assert_eq!(world.watchdog(STALLED_AFTER - A_BIT).look().await.unwrap(), 0);
    let watchdog = world.watchdog(STALLED_AFTER + A_BIT);
    assert_eq!(watchdog.look().await.unwrap(), 1);
    assert_eq!(watchdog.look().await.unwrap(), 0, "a timer that fires twice does no harm");
    world.settle().await;
    let DeviceJobEvent::DeviceJobTimedOut(lost) = world.last(job).await else { panic!() };
    assert_eq!(lost.stage, "INSTALLING");

    world.reports(device, job, JobStep::Installed { packages: vec![] }).await;
    world.scans(device, job, &[patch]).await;
    world.settle().await;
    let DeviceJobEvent::DeviceJobLateResultRecorded(late) = world.last(job).await else { panic!() };
    assert_eq!(late.outcome, JobOutcome::Succeeded);
    assert_eq!(
        world.story(started.run_id).await,
        ["RunStarted", "DeviceOutcomeRecorded", "RunCompletedWithFailures"]
    );
}

#[tokio::test]
async fn a_restart_asked_for_after_the_install_does_not_hide_a_silent_job() {
    let (world, device, _, _, job) = queued().await;
    world.reports(device, job, JobStep::Installed { packages: vec![] }).await;
    world.reports(device, job, JobStep::PendingReboot).await;
    world.settle().await;
    assert_eq!(world.watchdog(STALLED_AFTER + A_BIT).look().await.unwrap(), 1);
    let DeviceJobEvent::DeviceJobTimedOut(lost) = world.last(job).await else { panic!() };
    assert_eq!(lost.stage, "VERIFYING");
}

#[tokio::test]
async fn a_scan_that_nobody_begins_is_given_up() {
    let (world, device, ..) = queued().await;
    let context = world.admin();
    let job = world.request_scan(&context, device).await.unwrap().answer;
    world.settle().await;
    assert_eq!(world.watchdog(STALLED_AFTER + A_BIT).look().await.unwrap(), 1);
    let ScanJobEvent::ScanJobFailed(failed) = world.last(job).await else { panic!() };
    assert_eq!(failed.reason, "no word from the device for 1800 seconds");
    let log = world.log().await;
    let event = log.last().unwrap();
    assert_eq!(
        event.correlation_id, context.cause.correlation_id,
        "it belongs to the request that asked for it"
    );
}

#[tokio::test]
async fn jobs_that_cannot_be_given_up_do_not_stand_in_the_others_way() {
    let (world, device, _, _, job) = queued().await;
    world.delivered(device, job).await;
    world.settle().await;
    // As many as one look takes, older than the real one: one that nobody can read, and others without a stream.
    let mut tx = world.store.database().begin(&Scope::Platform).await.unwrap();
    sqlx::query(
        "insert into scheduling.job (job_id, partner_id, customer_id, device_id, kind, stage, heard_at, correlation_id)
         select gen_random_uuid(), $1, $2, $3, 'INSTALL', case n when 1 then 'DANCING' else 'INSTALLING' end,
                now() - interval '1 day', gen_random_uuid()
           from generate_series(1, 100) n",
    )
    .bind(world.tenant.partner_id.0)
    .bind(world.customer().0)
    .bind(device.0)
    .execute(&mut *tx)
    .await
    .unwrap();
    tx.commit().await.unwrap();
    let watchdog = world.watchdog(STALLED_AFTER + A_BIT);
    assert_eq!(watchdog.look().await.unwrap(), 0);
    assert_eq!(watchdog.look().await.unwrap(), 1);
    let DeviceJobEvent::DeviceJobTimedOut(_) = world.last(job).await else { panic!() };
}
