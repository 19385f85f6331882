//! What people may decide, and how a refusal looks to them.

use crate::fixtures::{linux, windows};
use crate::system::{System, caller, contents};
use contracts::approvals::{
    AddToWhitelist, ApprovalMode, ApprovalOpened, ApprovalRevoked, ApprovePatch, ChangeRule, CreateRule,
    DisableRule, PatchApproved, PatchRejected, RejectPatch, RevokeApproval, WhitelistEntryAdded,
    WhitelistPattern,
};
use contracts::permissions::Role;
use contracts::{Severity, approvals::RuleCreated};
use kernel::{Actor, CommandId, PatchId, Tenant};
use testkit::id;
use web::CommandFailure;

fn approve(tenant: Tenant, patch_id: PatchId) -> ApprovePatch {
    ApprovePatch { patch_id, scope: tenant.customer_id.unwrap().into(), comment: None }
}

fn reject(tenant: Tenant, patch_id: PatchId, comment: &str) -> RejectPatch {
    RejectPatch { patch_id, scope: tenant.customer_id.unwrap().into(), comment: comment.to_owned() }
}

fn revoke(tenant: Tenant, patch_id: PatchId) -> RevokeApproval {
    let comment = "breaks printing".to_owned();
    RevokeApproval { patch_id, scope: tenant.customer_id.unwrap().into(), comment }
}

fn seen(failure: &CommandFailure) -> (u16, &str) {
    (failure.status, failure.code.as_str())
}

#[tokio::test]
async fn who_may_approve_is_said_by_the_roles() {
    let system = System::start().await;
    let acme = system.customer().await;
    let patch_id = system.published(&linux()).await;
    system.has_read_all().await;
    for role in [Role::PartnerViewer, Role::PartnerOperator, Role::CustomerAuditor] {
        let refused = system.send(&caller(role, acme), approve(acme, patch_id)).await.unwrap_err();
        assert_eq!(seen(&refused), (403, "access.forbidden"), "{role:?}");
    }
    assert_eq!(system.facts::<ApprovalOpened>(ApprovalOpened::TYPE).await, []);
    for role in [Role::PartnerAdmin, Role::CustomerAdmin, Role::CustomerApprover] {
        let caller = caller(role, acme);
        system.send(&caller, approve(acme, patch_id)).await.unwrap();
        let log = system.log().await;
        let approved = log.iter().rfind(|event| event.event_type == PatchApproved::TYPE).unwrap();
        assert_eq!((approved.actor.clone(), approved.tenant), (Actor::user(caller.user_id), acme));
        system.send(&caller, revoke(acme, patch_id)).await.unwrap();
    }
    system.stop().await;
}

#[tokio::test]
async fn another_tenants_customer_and_rules_do_not_exist() {
    let system = System::start().await;
    let acme = system.customer().await;
    let bistro = system.customer_of(acme.partner_id).await;
    let stranger = system.customer().await;
    let patch_id = system.published(&linux()).await;
    let rule_id = system.rule(acme, &[Severity::Critical]).await;
    let before = system.log().await.len();
    for caller in [
        caller(Role::CustomerApprover, bistro),
        caller(Role::CustomerAdmin, bistro),
        caller(Role::PartnerAdmin, stranger),
    ] {
        let refused = system.send(&caller, approve(acme, patch_id)).await.unwrap_err();
        assert_eq!(seen(&refused), (404, "approvals.customer_unknown"), "{caller:?}");
    }
    for caller in [caller(Role::CustomerAdmin, bistro), caller(Role::PartnerOperator, stranger)] {
        let change = ChangeRule { rule_id, contents: contents(&[Severity::Low]), confirm: false };
        let refused = system.send(&caller, change).await.unwrap_err();
        assert_eq!(seen(&refused), (404, "approvals.rule_unknown"));
        let refused = system.send(&caller, DisableRule { rule_id }).await.unwrap_err();
        assert_eq!(seen(&refused), (404, "approvals.rule_unknown"));
    }
    assert_eq!(system.log().await.len(), before);
    system.stop().await;
}

#[tokio::test]
async fn what_nobody_knows_cannot_be_decided() {
    let system = System::start().await;
    let acme = system.customer().await;
    let approver = caller(Role::CustomerApprover, acme);
    let refused = system.send(&approver, approve(acme, id())).await.unwrap_err();
    assert_eq!(seen(&refused), (404, "approvals.patch_unknown"));
    let nowhere = Tenant::customer(acme.partner_id, id());
    let patch_id = system.published(&linux()).await;
    system.has_read_all().await;
    let partner = caller(Role::PartnerAdmin, acme);
    let refused = system.send(&partner, approve(nowhere, patch_id)).await.unwrap_err();
    assert_eq!(seen(&refused), (404, "approvals.customer_unknown"));
    let refused = system.send(&approver, revoke(acme, patch_id)).await.unwrap_err();
    assert_eq!(seen(&refused), (422, "approvals.not_decided"));
    system.stop().await;
}

#[tokio::test]
async fn the_same_command_twice_has_one_answer_and_one_effect() {
    let system = System::start().await;
    let acme = system.customer().await;
    let patch_id = system.published(&linux()).await;
    system.has_read_all().await;
    let approver = caller(Role::CustomerApprover, acme);
    let command_id: CommandId = id();
    let first = system.send_as(&approver, approve(acme, patch_id), command_id).await.unwrap();
    assert!(!first.repeated);
    let again = system.send_as(&approver, approve(acme, patch_id), command_id).await.unwrap();
    assert!(again.repeated);
    assert_eq!((again.answer, again.written), (first.answer, first.written));
    // Also once something else has happened since.
    system.send(&approver, revoke(acme, patch_id)).await.unwrap();
    let late = system.send_as(&approver, approve(acme, patch_id), command_id).await.unwrap();
    assert!(late.repeated);
    assert_eq!(late.written, first.written);
    assert_eq!(system.facts::<PatchApproved>(PatchApproved::TYPE).await.len(), 1);

    let admin = caller(Role::CustomerAdmin, acme);
    let create = || CreateRule {
        customer_id: acme.customer_id,
        name: "urgent ones".to_owned(),
        contents: contents(&[Severity::Critical]),
        confirm: false,
    };
    let command_id: CommandId = id();
    let first = system.send_as(&admin, create(), command_id).await.unwrap();
    let again = system.send_as(&admin, create(), command_id).await.unwrap();
    assert_eq!((again.answer, again.written), (first.answer, first.written));
    assert_eq!(system.facts::<RuleCreated>(RuleCreated::TYPE).await.len(), 1);
    system.stop().await;
}

#[tokio::test]
async fn the_first_of_two_decisions_stands_until_it_is_revoked() {
    let system = System::start().await;
    let acme = system.customer().await;
    let patch_id = system.published(&linux()).await;
    system.missing(acme, patch_id).await;
    system.has_read_all().await;
    let (alice, bob) = (caller(Role::CustomerApprover, acme), caller(Role::CustomerAdmin, acme));
    let refused = system.send(&bob, reject(acme, patch_id, " ")).await.unwrap_err();
    assert_eq!(seen(&refused), (422, "approvals.comment_invalid"));
    system.send(&bob, reject(acme, patch_id, "no restart before Monday")).await.unwrap();
    let refused = system.send(&alice, approve(acme, patch_id)).await.unwrap_err();
    assert_eq!(seen(&refused), (409, "approvals.already_decided"));
    assert!(refused.message.contains(&bob.user_id.to_string()), "{}", refused.message);
    system.send(&alice, revoke(acme, patch_id)).await.unwrap();
    system.send(&alice, approve(acme, patch_id)).await.unwrap();

    let rejected: Vec<PatchRejected> = system.facts(PatchRejected::TYPE).await;
    assert_eq!((rejected.len(), rejected[0].comment.as_str()), (1, "no restart before Monday"));
    let revoked: Vec<ApprovalRevoked> = system.facts(ApprovalRevoked::TYPE).await;
    assert_eq!((revoked.len(), revoked[0].revoked_by), (1, alice.user_id));
    let approved: Vec<PatchApproved> = system.facts(PatchApproved::TYPE).await;
    assert_eq!(approved.len(), 1);
    system.stop().await;
}

#[tokio::test]
async fn of_many_approvers_at_once_one_decides() {
    let system = System::start().await;
    let acme = system.customer().await;
    let patch_id = system.published(&linux()).await;
    system.missing(acme, patch_id).await;
    system.has_read_all().await;
    let approvers: Vec<_> = (0..24).map(|_| caller(Role::CustomerApprover, acme)).collect();
    let wishes = approvers.iter().map(|approver| system.send(approver, approve(acme, patch_id)));
    let answers = futures_util::future::join_all(wishes).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "{answers:?}");
    let approved: Vec<PatchApproved> = system.facts(PatchApproved::TYPE).await;
    let [PatchApproved { by: ApprovalMode::Manual { approved_by, .. }, .. }] = &approved[..] else {
        panic!("{approved:?}")
    };
    for refused in answers.iter().filter_map(|answer| answer.as_ref().err()) {
        assert_eq!(seen(refused), (409, "approvals.already_decided"));
        assert!(refused.message.contains(&approved_by.to_string()), "{}", refused.message);
    }
    system.stop().await;
}

#[tokio::test]
async fn what_the_rules_are_made_of_must_make_sense() {
    let system = System::start().await;
    let acme = system.customer().await;
    let customer_id = acme.customer_id.unwrap();
    let admin = caller(Role::CustomerAdmin, acme);
    for (name, severities, code) in [
        ("", vec![Severity::Critical], "approvals.rule_name_invalid"),
        ("nothing", vec![], "approvals.rule_without_condition"),
    ] {
        let name = name.to_owned();
        let contents = contents(&severities);
        let create = CreateRule { customer_id: Some(customer_id), name, contents, confirm: false };
        assert_eq!(seen(&system.send(&admin, create).await.unwrap_err()), (422, code));
    }
    for pattern in [WhitelistPattern::Product(" ".to_owned()), WhitelistPattern::Product("x".repeat(300))] {
        let add = AddToWhitelist { customer_id: Some(customer_id), pattern };
        let refused = system.send(&admin, add).await.unwrap_err();
        assert_eq!(seen(&refused), (422, "approvals.pattern_invalid"));
    }
    assert_eq!(system.facts::<WhitelistEntryAdded>(WhitelistEntryAdded::TYPE).await, []);
    let patch_id = system.published(&windows()).await;
    system.has_read_all().await;
    let comment = Some("x".repeat(2_001));
    let refused =
        system.send(&admin, ApprovePatch { patch_id, scope: customer_id.into(), comment }).await.unwrap_err();
    assert_eq!(seen(&refused), (422, "approvals.comment_invalid"));
    system.stop().await;
}
