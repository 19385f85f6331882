//! Decisions, told as given, when, then.

use super::*;
use scenario::given;
use uuid::Uuid;

const ALICE: UserId = UserId(Uuid::from_u128(1));
const BOB: UserId = UserId(Uuid::from_u128(2));
const RULE: RuleId = RuleId(Uuid::from_u128(3));

fn subject(platform: DevicePlatform) -> Subject {
    Subject {
        patch_id: PatchId(Uuid::from_u128(10)),
        vendor_patch_id: "KB5034123".into(),
        platform,
        scope: kernel::CustomerId(Uuid::from_u128(11)).into(),
    }
}

fn windows() -> Subject {
    subject(DevicePlatform::Windows)
}

fn opened(subject: &Subject) -> ApprovalEvent {
    open(&State::Unknown, subject).remove(0)
}

fn by(user: UserId) -> ApprovalMode {
    ApprovalMode::Manual { approved_by: user, comment: None }
}

fn by_rule() -> ApprovalMode {
    ApprovalMode::Auto {
        rule_id: RULE,
        rule_version: 1,
        inputs: super::looking::inputs(),
        next_change_at: None,
    }
}

fn approve_by(by: UserId) -> Command {
    Command::Approve { subject: windows(), standing: Standing::Published, by, comment: None }
}

#[test]
fn a_patch_found_missing_waits_for_a_decision() {
    given::<Approval>([]).when(Command::Open(windows())).then([opened(&windows())]);
}

#[test]
fn a_person_approves_a_pending_patch() {
    given::<Approval>([opened(&windows())]).when(approve_by(ALICE)).then([approved(&windows(), by(ALICE))]);
}

#[test]
fn a_decision_may_come_before_the_patch_is_found_missing() {
    given::<Approval>([]).when(approve_by(ALICE)).then([opened(&windows()), approved(&windows(), by(ALICE))]);
}

#[test]
fn the_second_of_two_admins_is_told_of_the_first_decision() {
    let refusal = Refusal::AlreadyDecided { state: "approved", by: format!("by user {ALICE}") };
    given::<Approval>([opened(&windows()), approved(&windows(), by(ALICE))])
        .when(approve_by(BOB))
        .then_refused(&refusal);
}

#[test]
fn an_approval_after_supersedence_is_refused_and_names_the_newer_patch() {
    let standing = Standing::Superseded { by: "KB5099999".into() };
    given::<Approval>([opened(&windows())])
        .when(Command::Approve { subject: windows(), standing, by: ALICE, comment: None })
        .then_refused(&Refusal::Superseded { newer: "KB5099999".into() });
}

#[test]
fn a_rule_approves_for_windows() {
    given::<Approval>([opened(&windows())])
        .when(Command::AutoApprove { subject: windows(), by: by_rule() })
        .then([approved(&windows(), by_rule())]);
}

#[test]
fn no_rule_ever_approves_for_linux() {
    let linux = subject(DevicePlatform::Linux);
    given::<Approval>([opened(&linux)])
        .when(Command::AutoApprove { subject: linux, by: by_rule() })
        .then_refused(&Refusal::PlatformNotEligible);
}

#[test]
fn a_rule_that_said_no_is_recorded_once_and_the_patch_stays_pending() {
    let linux = subject(DevicePlatform::Linux);
    let reason = RefusalReason::PlatformNotEligible;
    let refused = AutoApprovalRefused {
        patch_id: linux.patch_id,
        customer_id: linux.scope.customer_id().unwrap(),
        rule_id: RULE,
        rule_version: 1,
        reason,
        next_change_at: None,
    };
    given::<Approval>([opened(&linux)])
        .when(Command::NoteRefusal {
            subject: linux,
            rule_id: RULE,
            rule_version: 1,
            reason,
            next_change_at: None,
        })
        .then([refused.into()]);
}

#[test]
fn a_rule_does_not_overrule_a_persons_no() {
    let subject = windows();
    let rejected = PatchRejected {
        patch_id: subject.patch_id,
        scope: subject.scope,
        rejected_by: ALICE,
        comment: "breaks the till".into(),
    };
    given::<Approval>([opened(&subject), rejected.into()])
        .when(Command::AutoApprove { subject, by: by_rule() })
        .then_nothing();
}

#[test]
fn a_rejection_needs_a_reason() {
    given::<Approval>([opened(&windows())])
        .when(Command::Reject { subject: windows(), by: ALICE, comment: "  ".into() })
        .then_refused(&Refusal::InvalidComment { min: 1, length: 2 });
}

#[test]
fn a_revoked_approval_waits_again() {
    let events = [opened(&windows()), approved(&windows(), by(ALICE))];
    let revoke = Command::Revoke { subject: windows(), by: BOB, comment: "known issue".into() };
    let revoked = Approval::decide(&kernel::fold::<Approval>(&events), revoke).unwrap();
    let state = kernel::fold::<Approval>(events.iter().chain(&revoked));
    assert!(matches!(state, State::Pending { .. }), "{state:?}");
}

#[test]
fn an_approval_lapses_when_a_newer_patch_replaces_it() {
    let newer = (PatchId(Uuid::from_u128(20)), "KB5099999".to_owned());
    let lapsed = ApprovalLapsed {
        patch_id: windows().patch_id,
        scope: windows().scope,
        superseded_by: Some(newer.0),
        superseded_by_vendor_id: Some(newer.1.clone()),
    };
    given::<Approval>([opened(&windows()), approved(&windows(), by(ALICE))])
        .when(Command::Lapse { subject: windows(), newer: Some(newer) })
        .then([lapsed.into()]);
}
