//! A second person, where a customer's policy asks for one.

use crate::fixtures::{linux, windows};
use crate::system::{System, caller};
use contracts::Severity;
use contracts::approvals::{
    ApprovalMode, ApprovalPolicySet, ApprovalScope, ApprovePatch, GiveSecondApproval, PatchApproved,
    SecondApprovalGiven, SecondApprovalRequested, SetApprovalPolicy, WhitelistPattern,
};
use contracts::permissions::Role;
use kernel::{CommandId, PatchId, Tenant};
use testkit::id;
use web::CommandFailure;

fn approve(patch_id: PatchId, scope: impl Into<ApprovalScope>) -> ApprovePatch {
    ApprovePatch { patch_id, scope: scope.into(), comment: Some("tested".to_owned()) }
}

fn second(patch_id: PatchId, scope: impl Into<ApprovalScope>) -> GiveSecondApproval {
    GiveSecondApproval { patch_id, scope: scope.into(), comment: None }
}

fn policy(tenant: Tenant, second_approver: bool) -> SetApprovalPolicy {
    SetApprovalPolicy { customer_id: tenant.customer_id.unwrap(), second_approver }
}

fn seen(failure: &CommandFailure) -> (u16, &str) {
    (failure.status, failure.code.as_str())
}

async fn approved(system: &System) -> Vec<PatchApproved> {
    system.facts(PatchApproved::TYPE).await
}

#[tokio::test]
async fn an_approval_becomes_one_when_somebody_else_agrees() {
    let system = System::start().await;
    let acme = system.customer().await;
    let customer_id = acme.customer_id.unwrap();
    let patch_id = system.published(&linux()).await;
    system.has_read_all().await;
    system.send(&caller(Role::CustomerAdmin, acme), policy(acme, true)).await.unwrap();
    let (alice, bob) = (caller(Role::CustomerApprover, acme), caller(Role::CustomerAdmin, acme));

    let refused = system.send(&bob, second(patch_id, customer_id)).await.unwrap_err();
    assert_eq!(seen(&refused), (422, "approvals.second_approval_not_requested"));
    system.send(&alice, approve(patch_id, customer_id)).await.unwrap();
    assert_eq!(approved(&system).await, []);
    let refused = system.send(&alice, second(patch_id, customer_id)).await.unwrap_err();
    assert_eq!(seen(&refused), (422, "approvals.own_request"));
    let refused = system.send(&bob, approve(patch_id, customer_id)).await.unwrap_err();
    assert_eq!(seen(&refused), (409, "approvals.second_approval_needed"));
    assert!(refused.message.contains(&alice.user_id.to_string()), "{}", refused.message);

    let command_id: CommandId = id();
    let first = system.send_as(&bob, second(patch_id, customer_id), command_id).await.unwrap();
    let again = system.send_as(&bob, second(patch_id, customer_id), command_id).await.unwrap();
    assert_eq!((again.written, again.repeated), (first.written, true));
    let given: Vec<SecondApprovalGiven> = system.facts(SecondApprovalGiven::TYPE).await;
    assert_eq!(given.len(), 1);
    assert_eq!((given[0].given_by, given[0].requested_by), (bob.user_id, alice.user_id));
    let by = ApprovalMode::Manual { approved_by: alice.user_id, comment: Some("tested".to_owned()) };
    assert_eq!(approved(&system).await, [PatchApproved { patch_id, scope: customer_id.into(), by }]);
    system.stop().await;
}

#[tokio::test]
async fn the_policy_holds_for_the_customers_groups_and_for_what_the_partner_approves_everywhere() {
    let system = System::start().await;
    let acme = system.customer().await;
    let bistro = system.customer_of(acme.partner_id).await;
    let patch_id = system.published(&linux()).await;
    let group = system.group(acme).await;
    let partner = ApprovalScope::Partner { partner_id: acme.partner_id };
    system.send(&caller(Role::PartnerAdmin, acme), policy(acme, true)).await.unwrap();
    let admin = caller(Role::PartnerAdmin, acme);
    for scope in [group, partner, bistro.customer_id.unwrap().into()] {
        system.send(&admin, approve(patch_id, scope)).await.unwrap();
    }
    let requested: Vec<SecondApprovalRequested> = system.facts(SecondApprovalRequested::TYPE).await;
    assert_eq!(requested.iter().map(|fact| fact.scope).collect::<Vec<_>>(), [group, partner]);
    // The other customer does not ask for it.
    let scopes: Vec<ApprovalScope> = approved(&system).await.iter().map(|fact| fact.scope).collect();
    assert_eq!(scopes, [bistro.customer_id.unwrap().into()]);
    system.stop().await;
}

#[tokio::test]
async fn a_rules_approval_needs_no_second_person() {
    let system = System::start().await;
    let acme = system.customer().await;
    let patch_id = system.published(&windows()).await;
    system.send(&caller(Role::CustomerAdmin, acme), policy(acme, true)).await.unwrap();
    system.whitelists(acme, WhitelistPattern::Product("windows 11".to_owned())).await;
    system.rule(acme, &[Severity::Critical]).await;
    system.missing(acme, patch_id).await;
    assert!(matches!(approved(&system).await[..], [PatchApproved { by: ApprovalMode::Auto { .. }, .. }]));
    system.stop().await;
}

#[tokio::test]
async fn who_may_set_the_policy_is_said_by_the_roles_and_nothing_changes_twice() {
    let system = System::start().await;
    let acme = system.customer().await;
    let stranger = system.customer().await;
    for role in [Role::PartnerOperator, Role::CustomerApprover, Role::CustomerAuditor] {
        let refused = system.send(&caller(role, acme), policy(acme, true)).await.unwrap_err();
        assert_eq!(seen(&refused), (403, "access.forbidden"), "{role:?}");
    }
    let refused = system.send(&caller(Role::PartnerAdmin, stranger), policy(acme, true)).await.unwrap_err();
    assert_eq!(seen(&refused), (404, "approvals.customer_unknown"));
    for role in [Role::CustomerAdmin, Role::PartnerAdmin] {
        system.send(&caller(role, acme), policy(acme, true)).await.unwrap();
    }
    let set: Vec<ApprovalPolicySet> = system.facts(ApprovalPolicySet::TYPE).await;
    assert_eq!(set.len(), 1);
    system.stop().await;
}
