//! What rules say of a pending patch, told as given, when, then.

use super::deciding::open;
use super::{
    Approval, ApprovalEvent, ApprovalMode, ApprovalScope, Command, Refusal, RefusalReason, RuleInputs, State,
    Subject,
};
use crate::evaluation::midnight;
use chrono::{DateTime, NaiveDate, Utc};
use contracts::approvals::{
    ApprovalLevel, ApprovalScheduled, AutoApprovalRefused, PatchApproved, PatchRejected, RuleTiming,
    WhitelistPattern,
};
use contracts::{Classification, DevicePlatform, Severity};
use kernel::{CustomerId, DeviceGroupId, PatchId, RuleId, UserId};
use scenario::given;
use uuid::Uuid;

const RULE: RuleId = RuleId(Uuid::from_u128(3));
const ACME: CustomerId = CustomerId(Uuid::from_u128(11));

pub(super) fn inputs() -> RuleInputs {
    RuleInputs {
        whitelist: WhitelistPattern::Classification(Classification::Security),
        whitelist_level: ApprovalLevel::Customer,
        severity: Severity::Critical,
        classification: Classification::Security,
        kev: Some(false),
        rating: None,
        release_date: NaiveDate::from_ymd_opt(2024, 1, 9),
        timing: RuleTiming::Delay { days: 7 },
    }
}

fn at(day: u32) -> DateTime<Utc> {
    midnight(NaiveDate::from_ymd_opt(2024, 1, day).unwrap())
}

fn subject(scope: ApprovalScope) -> Subject {
    Subject {
        patch_id: PatchId(Uuid::from_u128(10)),
        vendor_patch_id: "KB5034123".into(),
        platform: DevicePlatform::Windows,
        scope,
    }
}

fn at_acme() -> Subject {
    subject(ACME.into())
}

fn opened() -> ApprovalEvent {
    open(&State::Unknown, &at_acme()).remove(0)
}

fn schedule(subject: Subject, rule_version: u32, approves_at: DateTime<Utc>) -> Command {
    Command::Schedule { subject, rule_id: RULE, rule_version, approves_at, inputs: inputs() }
}

fn scheduled(subject: &Subject, rule_version: u32, approves_at: DateTime<Utc>) -> ApprovalEvent {
    let Subject { patch_id, scope, .. } = *subject;
    ApprovalScheduled { patch_id, scope, rule_id: RULE, rule_version, approves_at, inputs: inputs() }.into()
}

fn refuse(reason: RefusalReason) -> Command {
    let subject = at_acme();
    Command::NoteRefusal { subject, rule_id: RULE, rule_version: 1, reason, next_change_at: None }
}

fn refused(reason: RefusalReason) -> ApprovalEvent {
    let patch_id = at_acme().patch_id;
    AutoApprovalRefused {
        patch_id,
        customer_id: ACME,
        rule_id: RULE,
        rule_version: 1,
        reason,
        next_change_at: None,
    }
    .into()
}

#[test]
fn a_rule_whose_delay_runs_says_when_it_will_approve() {
    given::<Approval>([opened()]).when(schedule(at_acme(), 1, at(16))).then([scheduled(
        &at_acme(),
        1,
        at(16),
    )]);
}

#[test]
fn another_time_or_another_version_is_said_anew() {
    let past = || [opened(), scheduled(&at_acme(), 1, at(16))];
    given::<Approval>(past()).when(schedule(at_acme(), 1, at(20))).then([scheduled(&at_acme(), 1, at(20))]);
    given::<Approval>(past()).when(schedule(at_acme(), 2, at(16))).then([scheduled(&at_acme(), 2, at(16))]);
}

#[test]
fn what_a_rule_said_before_is_said_again_only_after_something_else() {
    let reason = RefusalReason::NotWhitelisted;
    given::<Approval>([opened(), refused(reason)]).when(refuse(reason)).then_nothing();
    given::<Approval>([opened(), refused(reason), scheduled(&at_acme(), 1, at(16))])
        .when(refuse(reason))
        .then([refused(reason)]);
}

#[test]
fn a_scheduled_approval_comes_to_pass() {
    let by = ApprovalMode::Auto { rule_id: RULE, rule_version: 1, inputs: inputs(), next_change_at: None };
    let Subject { patch_id, scope, .. } = at_acme();
    given::<Approval>([opened(), scheduled(&at_acme(), 1, at(16))])
        .when(Command::AutoApprove { subject: at_acme(), by: by.clone() })
        .then([PatchApproved { patch_id, scope, by }.into()]);
}

#[test]
fn a_rule_for_a_group_schedules_there() {
    let group =
        subject(ApprovalScope::Group { customer_id: ACME, group_id: DeviceGroupId(Uuid::from_u128(12)) });
    given::<Approval>([]).when(schedule(group.clone(), 1, at(16))).then([scheduled(&group, 1, at(16))]);
}

#[test]
fn nothing_is_scheduled_where_a_person_has_decided() {
    let Subject { patch_id, scope, .. } = at_acme();
    let rejected = PatchRejected {
        patch_id,
        scope,
        rejected_by: UserId(Uuid::from_u128(1)),
        comment: "breaks the till".into(),
    };
    given::<Approval>([opened(), rejected.into()]).when(schedule(at_acme(), 1, at(16))).then_nothing();
}

#[test]
fn point_87_no_approval_is_scheduled_for_linux() {
    let linux = Subject { platform: DevicePlatform::Linux, ..at_acme() };
    given::<Approval>([]).when(schedule(linux, 1, at(16))).then_refused(&Refusal::PlatformNotEligible);
}
