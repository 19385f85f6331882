//! What people ask for: who may, what they get, and what a repetition does.

use super::world::{VALID_FOR, World, operator, with_role};
use crate::{approvals, fleet};
use contracts::devices::AgentMode;
use contracts::permissions::Role;
use contracts::scheduling::{
    DeploymentEvent, DeviceJobEvent, RunEvent, ScanJobEvent, ScanReason, SkipReason,
};
use kernel::{DeviceId, Envelope, JobId, PatchId, Tenant};
use runtime::{Clock, SystemClock};
use testkit::{cause, id};
use web::{ApiError, CommandContext};

fn code<T>(result: Result<T, ApiError>) -> (u16, String) {
    let error = result.err().unwrap();
    (error.status.as_u16(), error.code.into_owned())
}

async fn own_facts(world: &World) -> Vec<Envelope> {
    world.log().await.into_iter().filter(|event| event.event_type.starts_with("scheduling.")).collect()
}

/// The parts of the devices in the order in which they were written.
async fn parts(world: &World) -> Vec<DeviceJobEvent> {
    let facts = own_facts(world).await;
    let jobs = facts.iter().filter(|event| event.stream == "scheduling.device_job");
    jobs.map(|event| event.read().unwrap()).collect()
}

#[tokio::test]
async fn patch_now_gives_every_device_its_part_in_one_go() {
    let world = World::new().await;
    let curl = world.approved_patch("DSA-1").await;
    let pending = world.patch("DSA-2").await;
    let online = world.device(AgentMode::Full, &[curl, pending]).await;
    let offline = world.device(AgentMode::Full, &[curl]).await;
    let scan_only = world.device(AgentMode::ScanOnly, &[curl]).await;
    let unapproved = world.device(AgentMode::Full, &[pending]).await;
    let healthy = world.device(AgentMode::Full, &[]).await;
    world.goes_offline(offline).await;
    world.settle().await;

    let devices = [online, offline, scan_only, unapproved, healthy];
    let before = SystemClock.now();
    let context = world.admin();
    let started = world.patch_now(&context, world.patch_now_command(&devices, &[])).await.unwrap();
    assert!(!started.repeated);

    let reason_of = |device: DeviceId| match device {
        d if d == offline => SkipReason::DeviceOffline,
        d if d == scan_only => SkipReason::NoAgent,
        d if d == unapproved => SkipReason::NotApproved,
        _ => SkipReason::NotApplicable,
    };
    let parts = parts(&world).await;
    assert_eq!(parts.len(), devices.len());
    for part in parts {
        if let DeviceJobEvent::DeviceJobSkipped(skipped) = part {
            assert_eq!(skipped.reason, reason_of(skipped.device_id));
            continue;
        }
        let DeviceJobEvent::DeviceJobQueued(queued) = part else { panic!("{part:?}") };
        assert_eq!(queued.device_id, online);
        assert_eq!(queued.run_id, started.answer.run_id);
        assert_eq!(queued.deployment_id, started.answer.deployment_id);
        let [order] = &queued.patches[..] else { panic!("{queued:?}") };
        assert_eq!((order.patch_id, order.vendor_patch_id.as_str()), (curl, "DSA-1"));
        assert_eq!(order.packages[0].fixed_version, "2");
        assert!(queued.expires_at >= before + VALID_FOR);
    }
    let DeploymentEvent::DeploymentPlanned(planned) = world.last(started.answer.deployment_id).await;
    assert_eq!((planned.device_ids.len(), planned.customer_id), (5, world.customer()));
    let RunEvent::RunStarted(run) = world.last(started.answer.run_id).await else { panic!() };
    assert_eq!(run.job_ids.len(), 5);

    let facts = own_facts(&world).await;
    let of_command: Vec<_> = facts.iter().filter(|e| e.command_id == context.cause.command_id).collect();
    assert_eq!(of_command.len(), 7, "deployment, run and five jobs");
    assert!(of_command.iter().all(|e| e.correlation_id == context.cause.correlation_id));
}

#[tokio::test]
async fn a_repeated_command_answers_as_the_first_time_whatever_happened_since() {
    let world = World::new().await;
    let curl = world.approved_patch("DSA-1").await;
    let device = world.device(AgentMode::Full, &[curl]).await;
    world.settle().await;
    let context = world.admin();
    let command = world.patch_now_command(&[device], &[curl]);
    let first = world.patch_now(&context, command.clone()).await.unwrap();
    world.goes_offline(device).await;
    world.settle().await;
    let facts = world.log().await.len();

    let again = world.patch_now(&context, command).await.unwrap();
    assert_eq!((again.answer, again.written, again.repeated), (first.answer, first.written, true));
    assert!(again.written.is_some());
    assert_eq!(world.log().await.len(), facts);
}

#[tokio::test]
async fn a_used_command_id_with_other_devices_adds_nothing_to_the_first_deployment() {
    let world = World::new().await;
    let devices = [world.device(AgentMode::Full, &[]).await, world.device(AgentMode::Full, &[]).await];
    world.settle().await;
    let context = world.admin();
    let first = world.patch_now(&context, world.patch_now_command(&devices[..1], &[])).await.unwrap();
    let facts = world.log().await.len();
    let again = world.patch_now(&context, world.patch_now_command(&devices, &[])).await.unwrap();
    assert_eq!((again.answer, again.repeated), (first.answer, true));
    assert_eq!(world.log().await.len(), facts);
}

#[tokio::test]
async fn the_same_command_twice_at_the_same_time_has_one_effect() {
    let world = World::new().await;
    let curl = world.approved_patch("DSA-1").await;
    let device = world.device(AgentMode::Full, &[curl]).await;
    world.settle().await;
    let context = world.admin();
    let command = world.patch_now_command(&[device], &[]);
    let (one, other) =
        tokio::join!(world.patch_now(&context, command.clone()), world.patch_now(&context, command.clone()));
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_eq!((&one.answer, one.written), (&other.answer, other.written));
    assert_ne!(one.repeated, other.repeated);
    assert_eq!(parts(&world).await.len(), 1);
}

#[tokio::test]
async fn what_does_not_exist_is_not_found_and_nothing_is_written() {
    let world = World::new().await;
    let curl = world.approved_patch("DSA-1").await;
    let device = world.device(AgentMode::Full, &[curl]).await;
    world.settle().await;
    let facts = world.log().await.len();

    let no_device = world.patch_now_command(&[device, id()], &[]);
    assert_eq!(
        code(world.patch_now(&world.admin(), no_device).await),
        (404, "scheduling.device_not_found".to_owned())
    );
    let no_patch = world.patch_now_command(&[device], &[curl, id::<PatchId>()]);
    assert_eq!(
        code(world.patch_now(&world.admin(), no_patch).await),
        (404, "scheduling.patch_not_found".to_owned())
    );
    let no_devices = world.patch_now_command(&[], &[curl]);
    assert_eq!(
        code(world.patch_now(&world.admin(), no_devices).await),
        (422, "scheduling.device_count".to_owned())
    );
    assert_eq!(world.log().await.len(), facts);
}

#[tokio::test]
async fn another_tenants_devices_and_customers_are_not_found() {
    let world = World::new().await;
    let device = world.device(AgentMode::Full, &[]).await;
    world.settle().await;
    let not_found = |what: &str| (404, format!("scheduling.{what}_not_found"));

    // Another customer of the same partner, with all rights at home.
    let neighbour = Tenant::customer(world.tenant.partner_id, id());
    let admin = || with_role(neighbour, Role::CustomerAdmin);
    let theirs = world.patch_now_command(&[device], &[]);
    assert_eq!(code(world.patch_now(&admin(), theirs.clone()).await), not_found("customer"));
    let mut own = theirs.clone();
    own.customer_id = neighbour.customer_id.unwrap();
    assert_eq!(code(world.patch_now(&admin(), own).await), not_found("device"));
    assert_eq!(code(world.request_scan(&admin(), device).await), not_found("device"));

    // Another partner's operator.
    let foreign = || operator(id());
    assert_eq!(code(world.patch_now(&foreign(), theirs).await), not_found("device"));
    assert_eq!(code(world.request_scan(&foreign(), device).await), not_found("device"));

    // The own partner's operator may.
    assert!(world.request_scan(&operator(world.tenant.partner_id), device).await.is_ok());
}

#[tokio::test]
async fn who_may_only_look_is_told_so() {
    let world = World::new().await;
    let device = world.device(AgentMode::Full, &[]).await;
    world.settle().await;
    let auditor = with_role(world.tenant, Role::CustomerAuditor);
    let forbidden = (403, "access.forbidden".to_owned());
    let command = world.patch_now_command(&[device], &[]);
    assert_eq!(code(world.patch_now(&auditor, command).await), forbidden);
    assert_eq!(code(world.request_scan(&auditor, device).await), forbidden);
}

#[tokio::test]
async fn a_scan_is_requested_from_a_device_in_contact_only() {
    let world = World::new().await;
    let device = world.device(AgentMode::ScanOnly, &[]).await;
    world.settle().await;
    let context = world.admin();
    let accepted = world.request_scan(&context, device).await.unwrap();
    let ScanJobEvent::ScanRequested(requested) = world.last(accepted.answer).await else { panic!() };
    assert_eq!((requested.device_id, requested.reason), (device, ScanReason::OnDemand));

    world.goes_offline(device).await;
    world.settle().await;
    assert_eq!(
        code(world.request_scan(&world.admin(), device).await),
        (422, "scheduling.device_offline".to_owned())
    );
    let again = world.request_scan(&context, device).await.unwrap();
    assert_eq!((again.answer, again.written, again.repeated), (accepted.answer, accepted.written, true));
}

#[tokio::test]
async fn a_revoked_approval_counts_no_more() {
    use contracts::approvals::{ApprovalEvent, ApprovalRevoked};
    let world = World::new().await;
    let curl = world.approved_patch("DSA-1").await;
    let device = world.device(AgentMode::Full, &[curl]).await;
    let revoked: ApprovalEvent = ApprovalRevoked {
        patch_id: curl,
        scope: world.customer().into(),
        revoked_by: id(),
        comment: "not yet".to_owned(),
    }
    .into();
    world.tell_customer(curl, vec![revoked]).await;
    world.settle().await;
    world.deploys(&[device], &[curl]).await;
    let parts = parts(&world).await;
    let [DeviceJobEvent::DeviceJobSkipped(skipped)] = &parts[..] else { panic!("{parts:?}") };
    assert_eq!(skipped.reason, SkipReason::NotApproved);
}

#[tokio::test]
async fn only_what_the_command_is_about_is_looked_up() {
    let world = World::new().await;
    let (curl, bash) = (world.approved_patch("DSA-1").await, world.approved_patch("DSA-2").await);
    let unapproved = world.patch("DSA-3").await;
    let device = world.device(AgentMode::Full, &[curl, bash, unapproved]).await;
    world.settle().await;
    let mut tx = world.store.database().begin(&kernel::Scope::partner_of(world.tenant)).await.unwrap();
    for (named, expected) in [(vec![bash], 1), (vec![], 3), (vec![id()], 0)] {
        let devices = fleet::devices(&mut tx, world.customer(), &[device], &named).await.unwrap();
        assert_eq!(devices[0].missing.len(), expected, "{named:?}");
        let approved = approvals::approved(&mut tx, world.tenant, world.customer(), &devices).await.unwrap();
        let of_these: Vec<PatchId> = [curl, bash]
            .into_iter()
            .filter(|patch| devices[0].missing.iter().any(|missing| missing.patch_id == *patch))
            .collect();
        assert_eq!(approved, of_these.into_iter().map(|patch| (device, patch)).collect());
    }
}

#[tokio::test]
async fn two_commands_make_two_deployments() {
    let world = World::new().await;
    let device = world.device(AgentMode::Full, &[]).await;
    world.settle().await;
    let one = world.deploys(&[device], &[]).await;
    let other = world.deploys(&[device], &[]).await;
    assert_ne!(one, other);
    let context = CommandContext { cause: cause(), ..world.admin() };
    let job: JobId = world.request_scan(&context, device).await.unwrap().answer;
    assert_ne!(job, world.request_scan(&world.admin(), device).await.unwrap().answer);
}
