//! Decisions for a partner, a group and a device.

use crate::fixtures::{linux, windows};
use crate::system::{System, caller};
use contracts::DevicePlatform;
use contracts::approvals::{
    ApprovalLapsed, ApprovalOpened, ApprovalScope, ApprovePatch, BlockPatch, PatchApproved, PatchBlocked,
    PatchUnblocked, RejectPatch, RevokeApproval, UnblockPatch,
};
use contracts::permissions::Role;
use kernel::{PatchId, Tenant};
use testkit::id;
use web::CommandFailure;

fn approve(patch_id: PatchId, scope: ApprovalScope) -> ApprovePatch {
    ApprovePatch { patch_id, scope, comment: None }
}

fn seen(failure: &CommandFailure) -> (u16, &str) {
    (failure.status, failure.code.as_str())
}

fn partner(tenant: Tenant) -> ApprovalScope {
    ApprovalScope::Partner { partner_id: tenant.partner_id }
}

#[tokio::test]
async fn each_scope_has_a_decision_of_its_own_and_all_of_them_lapse_with_the_patch() {
    let system = System::start().await;
    let acme = system.customer().await;
    let old = linux();
    let patch_id = system.published(&old).await;
    let (device, group) = (system.device(acme, DevicePlatform::Linux).await, system.group(acme).await);
    let customer = ApprovalScope::from(acme.customer_id.unwrap());
    let admin = caller(Role::PartnerAdmin, acme);
    for scope in [device, group, customer, partner(acme)] {
        system.send(&admin, approve(patch_id, scope)).await.unwrap();
        let refused = system.send(&caller(Role::PartnerAdmin, acme), approve(patch_id, scope)).await;
        assert_eq!(seen(&refused.unwrap_err()), (409, "approvals.already_decided"), "{scope:?}");
    }
    let approved: Vec<PatchApproved> = system.facts(PatchApproved::TYPE).await;
    assert_eq!(
        approved.iter().map(|fact| fact.scope).collect::<Vec<_>>(),
        [device, group, customer, partner(acme)]
    );
    // Only a customer waits for decisions.
    assert_eq!(system.facts::<ApprovalOpened>(ApprovalOpened::TYPE).await.len(), 1);
    let log = system.log().await;
    let last = log.iter().rfind(|event| event.event_type == PatchApproved::TYPE).unwrap();
    assert_eq!(last.tenant, Tenant::partner(acme.partner_id));

    let newer = linux();
    system.published(&newer).await;
    system.superseded(patch_id, &newer).await;
    let lapsed: Vec<ApprovalLapsed> = system.facts(ApprovalLapsed::TYPE).await;
    let mut scopes: Vec<ApprovalScope> = lapsed.iter().map(|fact| fact.scope).collect();
    scopes.sort_unstable();
    let mut expected = vec![device, group, customer, partner(acme)];
    expected.sort_unstable();
    assert_eq!(scopes, expected);
    assert!(lapsed.iter().all(|fact| fact.superseded_by == Some(newer.patch_id)), "{lapsed:?}");

    // It is over: nothing is left to lapse a second time, and nothing can be decided.
    let before = system.log().await.len();
    system.redelivers_everything().await;
    assert_eq!(system.log().await.len(), before);
    let refused = system.send(&admin, approve(patch_id, group)).await.unwrap_err();
    assert_eq!(seen(&refused), (422, "approvals.patch_superseded"));
    system.stop().await;
}

#[tokio::test]
async fn a_place_of_another_tenant_does_not_exist() {
    let system = System::start().await;
    let acme = system.customer().await;
    let bistro = system.customer_of(acme.partner_id).await;
    let stranger = system.customer().await;
    let patch_id = system.published(&linux()).await;
    let (device, group) = (system.device(acme, DevicePlatform::Linux).await, system.group(acme).await);
    let before = system.log().await.len();
    let bistro_id = bistro.customer_id.unwrap();
    for (caller, scope, code) in [
        (caller(Role::CustomerAdmin, bistro), device, "approvals.device_unknown"),
        (caller(Role::PartnerAdmin, stranger), device, "approvals.device_unknown"),
        (caller(Role::CustomerAdmin, bistro), group, "approvals.group_unknown"),
        (caller(Role::PartnerAdmin, stranger), group, "approvals.group_unknown"),
        (caller(Role::PartnerAdmin, stranger), partner(acme), "approvals.partner_unknown"),
        // The own partner's, and still not that customer's.
        (caller(Role::PartnerAdmin, acme), in_customer(device, bistro), "approvals.device_unknown"),
        (caller(Role::PartnerAdmin, acme), in_customer(group, bistro), "approvals.group_unknown"),
        (
            caller(Role::PartnerAdmin, acme),
            ApprovalScope::Group { customer_id: bistro_id, group_id: id() },
            "approvals.group_unknown",
        ),
    ] {
        let refused = system.send(&caller, approve(patch_id, scope)).await.unwrap_err();
        assert_eq!(seen(&refused), (404, code), "{caller:?} {scope:?}");
    }
    assert_eq!(system.log().await.len(), before);
    system.stop().await;
}

fn in_customer(scope: ApprovalScope, tenant: Tenant) -> ApprovalScope {
    let customer_id = tenant.customer_id.unwrap();
    match scope {
        ApprovalScope::Group { group_id, .. } => ApprovalScope::Group { customer_id, group_id },
        ApprovalScope::Device { device_id, .. } => ApprovalScope::Device { customer_id, device_id },
        ApprovalScope::Partner { .. } | ApprovalScope::Customer { .. } => customer_id.into(),
    }
}

#[tokio::test]
async fn a_customers_people_do_not_decide_for_all_of_the_partners_customers() {
    let system = System::start().await;
    let acme = system.customer().await;
    let patch_id = system.published(&linux()).await;
    system.has_read_all().await;
    let admin = caller(Role::CustomerAdmin, acme);
    let refused = system.send(&admin, approve(patch_id, partner(acme))).await.unwrap_err();
    assert_eq!(seen(&refused), (403, "access.forbidden"));
    let comment = "breaks printing".to_owned();
    let refused = system.send(&admin, BlockPatch { patch_id, comment }).await.unwrap_err();
    assert_eq!(seen(&refused), (403, "access.forbidden"));
    system.stop().await;
}

#[tokio::test]
async fn a_patch_for_another_platform_is_not_decided_for_a_device() {
    let system = System::start().await;
    let acme = system.customer().await;
    let patch_id = system.published(&windows()).await;
    let device = system.device(acme, DevicePlatform::Linux).await;
    let approver = caller(Role::CustomerApprover, acme);
    let refused = system.send(&approver, approve(patch_id, device)).await.unwrap_err();
    assert_eq!(seen(&refused), (422, "approvals.patch_not_applicable"));
    system.stop().await;
}

#[tokio::test]
async fn a_removed_group_is_no_place_for_decisions() {
    let system = System::start().await;
    let acme = system.customer().await;
    let patch_id = system.published(&linux()).await;
    let group = system.group(acme).await;
    let ApprovalScope::Group { group_id, .. } = group else { panic!() };
    system.group_is_removed(acme, group_id).await;
    let approver = caller(Role::CustomerApprover, acme);
    let refused = system.send(&approver, approve(patch_id, group)).await.unwrap_err();
    assert_eq!(seen(&refused), (404, "approvals.group_unknown"));
    system.stop().await;
}

#[tokio::test]
async fn a_partner_blocks_a_patch_and_lets_it_go_again() {
    let system = System::start().await;
    let acme = system.customer().await;
    let patch_id = system.published(&linux()).await;
    system.has_read_all().await;
    let (alice, bob) = (caller(Role::PartnerAdmin, acme), caller(Role::PartnerAdmin, acme));
    let block = || BlockPatch { patch_id, comment: "breaks printing".to_owned() };
    let unblock = || UnblockPatch { patch_id, comment: "corrected".to_owned() };
    let refused = system.send(&alice, unblock()).await.unwrap_err();
    assert_eq!(seen(&refused), (422, "approvals.not_blocked"));
    system.send(&alice, block()).await.unwrap();
    let refused = system.send(&bob, block()).await.unwrap_err();
    assert_eq!(seen(&refused), (409, "approvals.already_blocked"));
    assert!(refused.message.contains(&alice.user_id.to_string()), "{}", refused.message);
    system.send(&bob, unblock()).await.unwrap();
    let blocked: Vec<PatchBlocked> = system.facts(PatchBlocked::TYPE).await;
    assert_eq!((blocked.len(), blocked[0].partner_id), (1, acme.partner_id));
    let unblocked: Vec<PatchUnblocked> = system.facts(PatchUnblocked::TYPE).await;
    assert_eq!((unblocked.len(), unblocked[0].unblocked_by), (1, bob.user_id));
    let unknown = BlockPatch { patch_id: id(), comment: "?".to_owned() };
    let refused = system.send(&alice, unknown).await.unwrap_err();
    assert_eq!(seen(&refused), (404, "approvals.patch_unknown"));
    system.stop().await;
}

#[tokio::test]
async fn a_decision_for_a_group_is_taken_back_and_taken_anew() {
    let system = System::start().await;
    let acme = system.customer().await;
    let patch_id = system.published(&linux()).await;
    let scope = system.group(acme).await;
    let approver = caller(Role::CustomerApprover, acme);
    let comment = "breaks the till".to_owned();
    let refused = system.send(&approver, RevokeApproval { patch_id, scope, comment: comment.clone() }).await;
    assert_eq!(seen(&refused.unwrap_err()), (422, "approvals.not_decided"));
    system.send(&approver, approve(patch_id, scope)).await.unwrap();
    system.send(&approver, RevokeApproval { patch_id, scope, comment: comment.clone() }).await.unwrap();
    system.send(&approver, RejectPatch { patch_id, scope, comment }).await.unwrap();
    let refused = system.send(&approver, approve(patch_id, scope)).await.unwrap_err();
    assert_eq!(seen(&refused), (409, "approvals.already_decided"));
    system.stop().await;
}
