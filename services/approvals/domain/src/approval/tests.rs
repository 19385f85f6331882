//! Decisions, told as given, when, then.

use super::deciding::{approved, open};
use super::*;
use chrono::TimeDelta;
use contracts::approvals::{
    ApprovalLapsed, AutoApprovalRefused, DeferralEnded, PatchDeferred, PatchRejected, SecondApprovalGiven,
    SecondApprovalRequested,
};
use kernel::{CustomerId, DeviceGroupId, DeviceId, PartnerId};
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
    approve_at(windows(), by, false)
}

fn approve_at(subject: Subject, by: UserId, second_needed: bool) -> Command {
    Command::Approve { subject, standing: Standing::Published, by, comment: None, second_needed }
}

fn second_by(by: UserId) -> Command {
    Command::GiveSecond {
        subject: windows(),
        standing: Standing::Published,
        by,
        comment: Some("seen".into()),
    }
}

fn requested() -> ApprovalEvent {
    let Subject { patch_id, scope, .. } = windows();
    SecondApprovalRequested { patch_id, scope, requested_by: ALICE, comment: None }.into()
}

fn given_by(by: UserId) -> ApprovalEvent {
    let Subject { patch_id, scope, .. } = windows();
    SecondApprovalGiven { patch_id, scope, given_by: by, requested_by: ALICE, comment: Some("seen".into()) }
        .into()
}

fn noon() -> DateTime<Utc> {
    "2026-11-28T12:00:00Z".parse().unwrap()
}

fn defer_until(until: DateTime<Utc>, by: UserId) -> Command {
    let standing = Standing::Published;
    Command::Defer { subject: windows(), standing, until, now: noon(), by, comment: None }
}

fn deferred(until: DateTime<Utc>) -> ApprovalEvent {
    let Subject { patch_id, scope, .. } = windows();
    PatchDeferred { patch_id, scope, until, deferred_by: ALICE, comment: None }.into()
}

fn reject_by(by: UserId) -> Command {
    let standing = Standing::Published;
    Command::Reject { subject: windows(), standing, by, comment: "breaks the till".into() }
}

fn rejected_by(by: UserId) -> ApprovalEvent {
    let Subject { patch_id, scope, .. } = windows();
    PatchRejected { patch_id, scope, rejected_by: by, comment: "breaks the till".into() }.into()
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
        .when(Command::Approve {
            subject: windows(),
            standing,
            by: ALICE,
            comment: None,
            second_needed: false,
        })
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
        .when(Command::Reject {
            subject: windows(),
            standing: Standing::Published,
            by: ALICE,
            comment: "  ".into(),
        })
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

#[test]
fn in_a_narrower_or_wider_scope_nothing_is_opened_before_the_decision() {
    let customer_id = CustomerId(Uuid::from_u128(11));
    for scope in [
        ApprovalScope::Partner { partner_id: PartnerId(Uuid::from_u128(12)) },
        ApprovalScope::Group { customer_id, group_id: DeviceGroupId(Uuid::from_u128(13)) },
        ApprovalScope::Device { customer_id, device_id: DeviceId(Uuid::from_u128(14)) },
    ] {
        let subject = Subject { scope, ..windows() };
        given::<Approval>([])
            .when(approve_at(subject.clone(), ALICE, false))
            .then([approved(&subject, by(ALICE))]);
        given::<Approval>([]).when(Command::Open(subject)).then_nothing();
    }
}

#[test]
fn where_the_policy_asks_for_it_an_approval_waits_for_a_second_person() {
    given::<Approval>([opened(&windows())]).when(approve_at(windows(), ALICE, true)).then([requested()]);
}

#[test]
fn the_second_person_approves_what_the_first_one_asked_for() {
    given::<Approval>([opened(&windows()), requested()])
        .when(second_by(BOB))
        .then([given_by(BOB), approved(&windows(), by(ALICE))]);
}

#[test]
fn the_requester_cannot_give_the_second_approval() {
    given::<Approval>([opened(&windows()), requested()])
        .when(second_by(ALICE))
        .then_refused(&Refusal::OwnRequest);
}

#[test]
fn a_second_approval_needs_a_first_one() {
    given::<Approval>([opened(&windows())]).when(second_by(BOB)).then_refused(&Refusal::SecondNotRequested);
}

#[test]
fn another_approver_is_told_that_the_second_approval_is_what_is_missing() {
    given::<Approval>([opened(&windows()), requested()])
        .when(approve_at(windows(), BOB, true))
        .then_refused(&Refusal::AwaitingSecond { requested_by: ALICE });
}

#[test]
fn the_second_person_may_also_refuse() {
    given::<Approval>([opened(&windows()), requested()]).when(reject_by(BOB)).then([rejected_by(BOB)]);
}

#[test]
fn a_request_for_a_second_approval_can_be_taken_back() {
    let events = [opened(&windows()), requested()];
    let revoke = Command::Revoke { subject: windows(), by: ALICE, comment: "too early".into() };
    let revoked = Approval::decide(&kernel::fold::<Approval>(&events), revoke).unwrap();
    let state = kernel::fold::<Approval>(events.iter().chain(&revoked));
    assert!(matches!(state, State::Pending { .. }), "{state:?}");
}

#[test]
fn an_approval_that_waits_goes_through_once_the_policy_does_not_ask_any_more() {
    given::<Approval>([opened(&windows()), requested()])
        .when(approve_at(windows(), BOB, false))
        .then([approved(&windows(), by(BOB))]);
}

#[test]
fn a_second_approval_after_supersedence_is_refused_and_names_the_newer_patch() {
    let standing = Standing::Superseded { by: "KB5099999".into() };
    given::<Approval>([opened(&windows()), requested()])
        .when(Command::GiveSecond { subject: windows(), standing, by: BOB, comment: None })
        .then_refused(&Refusal::Superseded { newer: "KB5099999".into() });
}

#[test]
fn a_rules_approval_needs_no_second_person_and_waits_for_one_that_was_asked_for() {
    given::<Approval>([opened(&windows()), requested()])
        .when(Command::AutoApprove { subject: windows(), by: by_rule() })
        .then_nothing();
}

#[test]
fn a_patch_is_put_off_until_a_date() {
    let until = noon() + TimeDelta::days(7);
    given::<Approval>([opened(&windows())]).when(defer_until(until, ALICE)).then([deferred(until)]);
}

#[test]
fn a_deferral_ends_at_a_whole_second() {
    let until = noon() + TimeDelta::days(7);
    given::<Approval>([opened(&windows())])
        .when(defer_until(until + TimeDelta::nanoseconds(999_999_999), ALICE))
        .then([deferred(until)]);
}

#[test]
fn a_deferral_ends_in_the_future_and_within_a_year() {
    for until in [noon(), noon() - TimeDelta::hours(1), noon() + TimeDelta::days(DEFERRAL_DAYS_MAX + 1)] {
        given::<Approval>([opened(&windows())])
            .when(defer_until(until, ALICE))
            .then_refused(&Refusal::InvalidDeferral { until });
    }
}

#[test]
fn when_a_deferral_ends_the_patch_waits_again() {
    let until = noon() + TimeDelta::days(7);
    let Subject { patch_id, scope, .. } = windows();
    let ended: ApprovalEvent = DeferralEnded { patch_id, scope, until }.into();
    given::<Approval>([opened(&windows()), deferred(until)])
        .when(Command::EndDeferral { subject: windows(), until })
        .then([ended.clone()]);
    given::<Approval>([opened(&windows()), deferred(until), ended])
        .when(approve_by(BOB))
        .then([approved(&windows(), by(BOB))]);
}

#[test]
fn the_end_of_an_earlier_deferral_does_not_end_a_later_one() {
    let (until, later) = (noon() + TimeDelta::days(7), noon() + TimeDelta::days(9));
    given::<Approval>([opened(&windows()), deferred(later)])
        .when(Command::EndDeferral { subject: windows(), until })
        .then_nothing();
}

#[test]
fn what_is_put_off_is_decided_and_the_second_admin_is_told_so() {
    let until = noon() + TimeDelta::days(7);
    let refusal = Refusal::AlreadyDecided { state: "deferred", by: format!("by user {ALICE} until {until}") };
    for wish in [approve_by(BOB), reject_by(BOB), defer_until(until, BOB)] {
        given::<Approval>([opened(&windows()), deferred(until)]).when(wish).then_refused(&refusal);
    }
}

#[test]
fn no_rule_approves_what_a_person_has_put_off() {
    given::<Approval>([opened(&windows()), deferred(noon() + TimeDelta::days(7))])
        .when(Command::AutoApprove { subject: windows(), by: by_rule() })
        .then_nothing();
}

#[test]
fn nothing_is_decided_about_a_superseded_patch() {
    let standing = Standing::Superseded { by: "KB5099999".into() };
    let refusal = Refusal::Superseded { newer: "KB5099999".into() };
    let reject = Command::Reject {
        subject: windows(),
        standing: standing.clone(),
        by: ALICE,
        comment: "breaks the till".into(),
    };
    let until = noon() + TimeDelta::days(1);
    let defer = Command::Defer { subject: windows(), standing, until, now: noon(), by: ALICE, comment: None };
    for wish in [reject, defer] {
        given::<Approval>([]).when(wish).then_refused(&refusal);
    }
}
