//! Many patches decided by one command.

use crate::fixtures::{linux, windows};
use crate::system::{System, caller};
use contracts::DevicePlatform;
use contracts::approvals::{
    ApprovalOpened, ApprovalScope, ApprovePatch, DecidePatches, DecidedPatches, PatchApproved, PatchDecision,
    PatchRejected, RefusedDecision,
};
use contracts::permissions::Role;
use kernel::{CommandId, PatchId};
use testkit::id;
use web::CommandFailure;

fn decide(decision: PatchDecision, patch_ids: &[PatchId], scopes: &[ApprovalScope]) -> DecidePatches {
    let comment = Some("month's end".to_owned());
    DecidePatches { decision, patch_ids: patch_ids.to_vec(), scopes: scopes.to_vec(), comment }
}

fn seen(failure: &CommandFailure) -> (u16, &str) {
    (failure.status, failure.code.as_str())
}

fn codes(answer: &DecidedPatches) -> Vec<(PatchId, ApprovalScope, &str)> {
    let of = |refused: &RefusedDecision| (refused.patch_id, refused.scope);
    let mut codes: Vec<_> =
        answer.refused.iter().map(|refused| (of(refused).0, of(refused).1, refused.code.as_str())).collect();
    codes.sort_unstable();
    codes
}

#[tokio::test]
async fn what_can_be_decided_is_and_the_rest_is_listed() {
    let system = System::start().await;
    let acme = system.customer().await;
    let bistro = system.customer_of(acme.partner_id).await;
    let (first, second, old, newer) = (linux(), windows(), linux(), linux());
    for patch in [&first, &second, &old, &newer] {
        system.published(patch).await;
    }
    system.superseded(old.patch_id, &newer).await;
    let device = system.device(acme, DevicePlatform::Linux).await;
    let customer = ApprovalScope::from(acme.customer_id.unwrap());
    let foreign = ApprovalScope::from(bistro.customer_id.unwrap());
    let unknown: PatchId = id();
    let (alice, bob) = (caller(Role::CustomerApprover, acme), caller(Role::CustomerAdmin, acme));
    let earlier = ApprovePatch { patch_id: first.patch_id, scope: customer, comment: None };
    system.send(&bob, earlier).await.unwrap();

    let patches = [first.patch_id, second.patch_id, old.patch_id, unknown];
    let wish = || decide(PatchDecision::Approve, &patches, &[customer, device, foreign]);
    let command_id: CommandId = id();
    let accepted = system.send_as(&alice, wish(), command_id).await.unwrap();
    let mut expected = vec![
        (first.patch_id, customer, "approvals.already_decided"),
        (second.patch_id, device, "approvals.patch_not_applicable"),
        (old.patch_id, customer, "approvals.patch_superseded"),
        (old.patch_id, device, "approvals.patch_superseded"),
        (unknown, customer, "approvals.patch_unknown"),
        (unknown, device, "approvals.patch_unknown"),
    ];
    expected.extend(patches.map(|patch_id| (patch_id, foreign, "approvals.customer_unknown")));
    expected.sort_unstable();
    assert_eq!(codes(&accepted.answer), expected);
    assert_eq!((accepted.answer.decided, accepted.answer.unchanged, accepted.repeated), (2, 0, false));
    let superseded =
        accepted.answer.refused.iter().find(|refused| refused.code == "approvals.patch_superseded").unwrap();
    assert!(superseded.message.contains(&newer.vendor_patch_id), "{}", superseded.message);
    let approved: Vec<PatchApproved> = system.facts(PatchApproved::TYPE).await;
    let mut decided: Vec<_> = approved.iter().skip(1).map(|fact| (fact.patch_id, fact.scope)).collect();
    decided.sort_unstable();
    let mut expected = [(first.patch_id, device), (second.patch_id, customer)];
    expected.sort_unstable();
    assert_eq!(decided, expected);

    let again = system.send_as(&alice, wish(), command_id).await.unwrap();
    assert_eq!((&again.answer, again.written, again.repeated), (&accepted.answer, accepted.written, true));
    assert_eq!(system.facts::<PatchApproved>(PatchApproved::TYPE).await.len(), 3);

    // The same wish anew: it is so already.
    let anew = system.send(&alice, decide(PatchDecision::Approve, &[second.patch_id], &[customer])).await;
    assert_eq!(anew.unwrap().answer, DecidedPatches { decided: 0, unchanged: 1, refused: vec![] });
    system.stop().await;
}

#[tokio::test]
async fn hundreds_of_patches_are_rejected_by_one_command() {
    let system = System::start().await;
    let acme = system.customer().await;
    let patches: Vec<_> = (0..150).map(|_| linux()).collect();
    for patch in &patches {
        system.published(patch).await;
    }
    let group = system.group(acme).await;
    let customer = ApprovalScope::from(acme.customer_id.unwrap());
    let ids: Vec<PatchId> = patches.iter().map(|patch| patch.patch_id).collect();
    let approver = caller(Role::CustomerApprover, acme);
    let twice: Vec<PatchId> = ids.iter().chain(&ids).copied().collect();
    let accepted = system.send(&approver, decide(PatchDecision::Reject, &twice, &[customer, group])).await;
    let answer = accepted.unwrap().answer;
    assert_eq!(answer, DecidedPatches { decided: 300, unchanged: 0, refused: vec![] });
    assert_eq!(system.count(PatchRejected::TYPE).await, 300);
    assert_eq!(system.count(ApprovalOpened::TYPE).await, 150);
    system.stop().await;
}

#[tokio::test]
async fn too_many_none_at_all_and_no_reason_are_refused_as_a_whole() {
    let system = System::start().await;
    let acme = system.customer().await;
    let customer = ApprovalScope::from(acme.customer_id.unwrap());
    let approver = caller(Role::CustomerApprover, acme);
    let many: Vec<PatchId> = (0..5_001).map(|_| id()).collect();
    for patches in [&many[..], &[]] {
        let refused =
            system.send(&approver, decide(PatchDecision::Approve, patches, &[customer])).await.unwrap_err();
        assert_eq!(seen(&refused), (422, "approvals.batch_size_invalid"));
    }
    let silent = DecidePatches { comment: None, ..decide(PatchDecision::Reject, &many[..1], &[customer]) };
    let refused = system.send(&approver, silent).await.unwrap_err();
    assert_eq!(seen(&refused), (422, "approvals.comment_invalid"));
    let until = "2020-01-01T00:00:00Z".parse().unwrap();
    let late = decide(PatchDecision::Defer { until }, &many[..1], &[customer]);
    let refused = system.send(&approver, late).await.unwrap_err();
    assert_eq!(seen(&refused), (422, "approvals.deferral_invalid"));
    system.stop().await;
}
