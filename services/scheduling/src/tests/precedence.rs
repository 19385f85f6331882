//! Only what is approved in effect goes to a device, whoever decided it and wherever.

use super::world::World;
use contracts::approvals::{
    ApprovalEvent, ApprovalMode, ApprovalRevoked, ApprovalScope, BlockEvent, DeferralEnded, PatchApproved,
    PatchBlocked, PatchDeferred, PatchRejected, PatchUnblocked,
};
use contracts::devices::{AgentMode, GroupEvent, GroupMembershipChanged, GroupRemoved};
use contracts::feeds::{PatchEvent, PatchSuperseded};
use contracts::scheduling::{DeviceJobEvent, SkipReason};
use kernel::{DeviceGroupId, DeviceId, PatchId, StreamId, Tenant};
use runtime::{Clock, SystemClock};
use testkit::id;

fn approved(patch_id: PatchId, scope: ApprovalScope) -> ApprovalEvent {
    let by = ApprovalMode::Manual { approved_by: id(), comment: None };
    PatchApproved { patch_id, scope, by }.into()
}

fn rejected(patch_id: PatchId, scope: ApprovalScope) -> ApprovalEvent {
    PatchRejected { patch_id, scope, rejected_by: id(), comment: "breaks the till".to_owned() }.into()
}

fn revoked(patch_id: PatchId, scope: ApprovalScope) -> ApprovalEvent {
    ApprovalRevoked { patch_id, scope, revoked_by: id(), comment: "after all".to_owned() }.into()
}

impl World {
    fn at_partner(&self) -> ApprovalScope {
        ApprovalScope::Partner { partner_id: self.tenant.partner_id }
    }

    fn at_group(&self, group_id: DeviceGroupId) -> ApprovalScope {
        ApprovalScope::Group { customer_id: self.customer(), group_id }
    }

    fn at_device(&self, device_id: DeviceId) -> ApprovalScope {
        ApprovalScope::Device { customer_id: self.customer(), device_id }
    }

    async fn decided(&self, facts: Vec<ApprovalEvent>) {
        for fact in facts {
            let partners =
                matches!(&fact, ApprovalEvent::PatchApproved(fact) if fact.scope.customer_id().is_none());
            let tenant = if partners { Tenant::partner(self.tenant.partner_id) } else { self.tenant };
            self.tell(tenant, id(), vec![fact]).await;
        }
        self.settle().await;
    }

    async fn group(&self, added: &[DeviceId], removed: &[DeviceId], group_id: DeviceGroupId) {
        let (customer_id, added, removed) = (self.customer(), added.to_vec(), removed.to_vec());
        let changed = GroupMembershipChanged { group_id, customer_id, added, removed };
        self.tell::<GroupEvent>(self.tenant, StreamId(group_id.0), vec![changed.into()]).await;
        self.settle().await;
    }

    /// Whether a run would install the patch on the device.
    async fn installs(&self, device: DeviceId, patch: PatchId) -> bool {
        let started = self.deploys(&[device], &[patch]).await;
        let log = self.log().await;
        let jobs = log.iter().filter(|event| event.stream == "scheduling.device_job");
        let of_run =
            jobs.filter_map(|event| event.read::<DeviceJobEvent>().ok()).find_map(|fact| match fact {
                DeviceJobEvent::DeviceJobQueued(fact) if fact.run_id == started.run_id => Some(true),
                DeviceJobEvent::DeviceJobSkipped(fact) if fact.run_id == started.run_id => {
                    assert_eq!(fact.reason, SkipReason::NotApproved);
                    Some(false)
                }
                DeviceJobEvent::DeviceJobQueued(_)
                | DeviceJobEvent::DeviceJobSkipped(_)
                | DeviceJobEvent::DeviceJobDispatched(_)
                | DeviceJobEvent::DeviceJobAcknowledged(_)
                | DeviceJobEvent::DownloadInitiated(_)
                | DeviceJobEvent::InstallStarted(_)
                | DeviceJobEvent::RebootRequired(_)
                | DeviceJobEvent::VerificationStarted(_)
                | DeviceJobEvent::DeviceJobSucceeded(_)
                | DeviceJobEvent::DeviceJobFailed(_)
                | DeviceJobEvent::DeviceJobTimedOut(_)
                | DeviceJobEvent::DeviceJobLateResultRecorded(_) => None,
            });
        of_run.unwrap()
    }
}

#[tokio::test]
async fn point_102_nothing_is_installed_that_is_not_approved_in_effect() {
    let world = World::new().await;
    let patch = world.patch("DSA-1").await;
    let device = world.device(AgentMode::Full, &[patch]).await;
    let other = world.device(AgentMode::Full, &[patch]).await;
    world.settle().await;
    assert!(!world.installs(device, patch).await);

    // What is nearer decides, and what is taken back decides no more.
    world.decided(vec![approved(patch, world.at_partner())]).await;
    assert!(world.installs(device, patch).await);
    world.decided(vec![rejected(patch, world.customer().into())]).await;
    assert!(!world.installs(device, patch).await);
    let group: DeviceGroupId = id();
    world.group(&[device], &[], group).await;
    world.decided(vec![approved(patch, world.at_group(group))]).await;
    assert!(world.installs(device, patch).await);
    assert!(!world.installs(other, patch).await, "it is not in the group");
    world.decided(vec![rejected(patch, world.at_device(device))]).await;
    assert!(!world.installs(device, patch).await);
    world.decided(vec![revoked(patch, world.at_device(device))]).await;
    assert!(world.installs(device, patch).await);

    // In a second group that rejects it.
    let stricter: DeviceGroupId = id();
    world.group(&[device], &[], stricter).await;
    world.decided(vec![rejected(patch, world.at_group(stricter))]).await;
    assert!(!world.installs(device, patch).await);
    world.group(&[], &[device], stricter).await;
    assert!(world.installs(device, patch).await);
    let removed = GroupRemoved { group_id: group, customer_id: world.customer() };
    world.tell::<GroupEvent>(world.tenant, StreamId(group.0), vec![removed.into()]).await;
    world.settle().await;
    assert!(!world.installs(device, patch).await, "the customer's rejection counts again");
}

#[tokio::test]
async fn what_is_put_off_waits_for_the_fact_of_its_end() {
    let world = World::new().await;
    let patch = world.approved_patch("DSA-1").await;
    let device = world.device(AgentMode::Full, &[patch]).await;
    world.settle().await;
    let (scope, until) = (world.at_device(device), SystemClock.now());
    let deferred = PatchDeferred { patch_id: patch, scope, until, deferred_by: id(), comment: None };
    world.decided(vec![deferred.into()]).await;
    assert!(!world.installs(device, patch).await);
    world.decided(vec![DeferralEnded { patch_id: patch, scope, until }.into()]).await;
    assert!(world.installs(device, patch).await);
}

#[tokio::test]
async fn a_partners_block_keeps_a_patch_from_every_device() {
    let world = World::new().await;
    let patch = world.approved_patch("DSA-1").await;
    let device = world.device(AgentMode::Full, &[patch]).await;
    world.decided(vec![approved(patch, world.at_device(device))]).await;
    let (partner_id, comment) = (world.tenant.partner_id, "breaks printing".to_owned());
    let blocked = PatchBlocked { patch_id: patch, partner_id, blocked_by: id(), comment: comment.clone() };
    world.tell::<BlockEvent>(Tenant::partner(partner_id), id(), vec![blocked.into()]).await;
    world.settle().await;
    assert!(!world.installs(device, patch).await);
    // Somebody else's block is not ours.
    let theirs =
        PatchUnblocked { patch_id: patch, partner_id: id(), unblocked_by: id(), comment: comment.clone() };
    world.tell::<BlockEvent>(Tenant::partner(theirs.partner_id), id(), vec![theirs.into()]).await;
    world.settle().await;
    assert!(!world.installs(device, patch).await);
    let ended = PatchUnblocked { patch_id: patch, partner_id, unblocked_by: id(), comment };
    world.tell::<BlockEvent>(Tenant::partner(partner_id), id(), vec![ended.into()]).await;
    world.settle().await;
    assert!(world.installs(device, patch).await);
}

#[tokio::test]
async fn a_superseded_patch_is_not_installed_even_before_its_approval_has_lapsed() {
    let world = World::new().await;
    let patch = world.approved_patch("DSA-1").await;
    let device = world.device(AgentMode::Full, &[patch]).await;
    world.settle().await;
    assert!(world.installs(device, patch).await);
    let superseded =
        PatchSuperseded { patch_id: patch, superseded_by: id(), superseded_by_vendor_id: "DSA-2".to_owned() };
    world.tell::<PatchEvent>(Tenant::PLATFORM, StreamId(patch.0), vec![superseded.into()]).await;
    world.settle().await;
    assert!(!world.installs(device, patch).await);
}
