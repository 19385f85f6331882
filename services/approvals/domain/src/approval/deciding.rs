//! What follows from a wish about an approval.

use super::{Command, DEFERRAL_DAYS_MAX, Refusal, Standing, State, Subject};
use crate::COMMENT_MAX;
use crate::looks::Look;
use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use contracts::DevicePlatform;
use contracts::approvals::{
    ApprovalEvent, ApprovalLapsed, ApprovalMode, ApprovalOpened, ApprovalRevoked, ApprovalScheduled,
    AutoApprovalRefused, DeferralEnded, PatchApproved, PatchDeferred, PatchRejected, SecondApprovalGiven,
    SecondApprovalRequested,
};
use kernel::{PatchId, RuleId, UserId};

pub(super) fn decide(state: &State, command: Command) -> Result<Vec<ApprovalEvent>, Refusal> {
    match command {
        Command::Open(subject) => Ok(open(state, &subject)),
        Command::Approve { subject, standing, by, comment, second_needed } => {
            approve(state, &subject, &standing, (by, comment), second_needed)
        }
        Command::GiveSecond { subject, standing, by, comment } => {
            give_second(state, &subject, &standing, by, comment)
        }
        Command::AutoApprove { subject, by } => auto_approve(state, &subject, by),
        Command::NoteRefusal { subject, rule_id, rule_version, reason, next_change_at } => {
            let Some(customer_id) = subject.scope.customer_id() else { return Ok(vec![]) };
            let patch_id = subject.patch_id;
            let fact =
                AutoApprovalRefused { patch_id, customer_id, rule_id, rule_version, reason, next_change_at };
            Ok(note_look(state, &subject, rule_id, (&fact).into(), fact.into()))
        }
        Command::Schedule { subject, rule_id, rule_version, approves_at, inputs } => {
            if subject.platform == DevicePlatform::Linux {
                return Err(Refusal::PlatformNotEligible);
            }
            let (patch_id, scope) = (subject.patch_id, subject.scope);
            let fact = ApprovalScheduled { patch_id, scope, rule_id, rule_version, approves_at, inputs };
            Ok(note_look(state, &subject, rule_id, (&fact).into(), fact.into()))
        }
        Command::Reject { subject, standing, by, comment } => reject(state, &subject, &standing, by, comment),
        Command::Defer { subject, standing, until, now, by, comment } => {
            defer(state, &subject, &standing, (by, comment), until, now)
        }
        Command::EndDeferral { subject, until } => Ok(end_deferral(state, &subject, until)),
        Command::Revoke { subject, by, comment } => revoke(state, &subject, by, comment),
        Command::Lapse { subject, newer } => Ok(lapse(state, &subject, newer)),
    }
}

/// The opening, where it has not happened yet: a decision may be taken before the patch is found missing.
/// Only a whole customer waits for decisions; nearer and wider scopes have none until somebody takes one.
pub(super) fn open(state: &State, subject: &Subject) -> Vec<ApprovalEvent> {
    let Some(customer_id) = subject.scope.whole_customer() else { return vec![] };
    match state {
        State::Unknown => vec![
            ApprovalOpened {
                patch_id: subject.patch_id,
                customer_id,
                platform: subject.platform,
                vendor_patch_id: subject.vendor_patch_id.clone(),
            }
            .into(),
        ],
        State::Pending { .. }
        | State::AwaitingSecond { .. }
        | State::Approved { .. }
        | State::Rejected { .. }
        | State::Deferred { .. }
        | State::Lapsed => vec![],
    }
}

fn approve(
    state: &State,
    subject: &Subject,
    standing: &Standing,
    (by, comment): (UserId, Option<String>),
    second_needed: bool,
) -> Result<Vec<ApprovalEvent>, Refusal> {
    check_comment(comment.as_deref().unwrap_or_default(), 0)?;
    match state {
        State::Approved { by: ApprovalMode::Manual { approved_by, .. }, .. } if *approved_by == by => {
            return Ok(vec![]);
        }
        State::AwaitingSecond { requested_by, .. } if *requested_by == by && second_needed => {
            return Ok(vec![]);
        }
        State::AwaitingSecond { requested_by, .. } if second_needed => {
            return Err(Refusal::AwaitingSecond { requested_by: *requested_by });
        }
        // The policy does not ask for a second person any more.
        State::AwaitingSecond { .. } | State::Unknown | State::Pending { .. } | State::Lapsed => {}
        State::Approved { .. } | State::Rejected { .. } | State::Deferred { .. } => {
            return Err(already_decided(state));
        }
    }
    can_be_decided(state, standing)?;
    let mut events = open(state, subject);
    events.push(if second_needed {
        let (patch_id, scope) = (subject.patch_id, subject.scope);
        SecondApprovalRequested { patch_id, scope, requested_by: by, comment }.into()
    } else {
        approved(subject, ApprovalMode::Manual { approved_by: by, comment })
    });
    Ok(events)
}

fn give_second(
    state: &State,
    subject: &Subject,
    standing: &Standing,
    by: UserId,
    comment: Option<String>,
) -> Result<Vec<ApprovalEvent>, Refusal> {
    check_comment(comment.as_deref().unwrap_or_default(), 0)?;
    match state {
        State::Approved { second: Some(second), .. } if *second == by => Ok(vec![]),
        State::AwaitingSecond { requested_by, .. } if *requested_by == by => Err(Refusal::OwnRequest),
        State::AwaitingSecond { requested_by, comment: reason, .. } => {
            can_be_decided(state, standing)?;
            let given = SecondApprovalGiven {
                patch_id: subject.patch_id,
                scope: subject.scope,
                given_by: by,
                requested_by: *requested_by,
                comment,
            };
            let mode = ApprovalMode::Manual { approved_by: *requested_by, comment: reason.clone() };
            Ok(vec![given.into(), approved(subject, mode)])
        }
        State::Approved { .. } | State::Rejected { .. } | State::Deferred { .. } => {
            Err(already_decided(state))
        }
        State::Unknown | State::Pending { .. } | State::Lapsed => {
            can_be_decided(state, standing)?;
            Err(Refusal::SecondNotRequested)
        }
    }
}

fn auto_approve(state: &State, subject: &Subject, by: ApprovalMode) -> Result<Vec<ApprovalEvent>, Refusal> {
    if subject.platform == DevicePlatform::Linux {
        return Err(Refusal::PlatformNotEligible);
    }
    match state {
        State::Unknown | State::Pending { .. } => {
            let mut events = open(state, subject);
            events.push(approved(subject, by));
            Ok(events)
        }
        // A person's word, or an earlier rule's, stands.
        State::AwaitingSecond { .. }
        | State::Approved { .. }
        | State::Rejected { .. }
        | State::Deferred { .. }
        | State::Lapsed => Ok(vec![]),
    }
}

/// What a rule said, unless it said the same before or somebody has decided.
fn note_look(
    state: &State,
    subject: &Subject,
    rule_id: RuleId,
    look: Look,
    fact: ApprovalEvent,
) -> Vec<ApprovalEvent> {
    let known = match state {
        State::Pending { looked_at, .. } => looked_at.has(rule_id, look),
        State::Unknown => false,
        State::AwaitingSecond { .. }
        | State::Approved { .. }
        | State::Rejected { .. }
        | State::Deferred { .. }
        | State::Lapsed => true,
    };
    if known {
        return vec![];
    }
    let mut events = open(state, subject);
    events.push(fact);
    events
}

fn reject(
    state: &State,
    subject: &Subject,
    standing: &Standing,
    by: UserId,
    comment: String,
) -> Result<Vec<ApprovalEvent>, Refusal> {
    check_comment(&comment, 1)?;
    match state {
        State::Rejected { by: first, .. } if *first == by => return Ok(vec![]),
        State::Approved { .. } | State::Rejected { .. } | State::Deferred { .. } => {
            return Err(already_decided(state));
        }
        // Whoever was asked to agree may also refuse.
        State::AwaitingSecond { .. } | State::Unknown | State::Pending { .. } | State::Lapsed => {}
    }
    can_be_decided(state, standing)?;
    let mut events = open(state, subject);
    let (patch_id, scope) = (subject.patch_id, subject.scope);
    events.push(PatchRejected { patch_id, scope, rejected_by: by, comment }.into());
    Ok(events)
}

fn defer(
    state: &State,
    subject: &Subject,
    standing: &Standing,
    (by, comment): (UserId, Option<String>),
    until: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<Vec<ApprovalEvent>, Refusal> {
    check_comment(comment.as_deref().unwrap_or_default(), 0)?;
    // Tables keep less of a second than facts do, and a timer must recognise the end.
    let until = until.trunc_subsecs(0);
    match state {
        State::Deferred { until: known, by: first, .. } if *known == until && *first == by => {
            return Ok(vec![]);
        }
        State::Approved { .. } | State::Rejected { .. } | State::Deferred { .. } => {
            return Err(already_decided(state));
        }
        State::AwaitingSecond { requested_by, .. } => {
            return Err(Refusal::AwaitingSecond { requested_by: *requested_by });
        }
        State::Unknown | State::Pending { .. } | State::Lapsed => {}
    }
    check_deferral(until, now)?;
    can_be_decided(state, standing)?;
    let mut events = open(state, subject);
    let (patch_id, scope) = (subject.patch_id, subject.scope);
    events.push(PatchDeferred { patch_id, scope, until, deferred_by: by, comment }.into());
    Ok(events)
}

fn end_deferral(state: &State, subject: &Subject, until: DateTime<Utc>) -> Vec<ApprovalEvent> {
    match state {
        State::Deferred { until: known, .. } if *known == until => {
            vec![DeferralEnded { patch_id: subject.patch_id, scope: subject.scope, until }.into()]
        }
        State::Unknown
        | State::Pending { .. }
        | State::AwaitingSecond { .. }
        | State::Approved { .. }
        | State::Rejected { .. }
        | State::Deferred { .. }
        | State::Lapsed => vec![],
    }
}

fn revoke(
    state: &State,
    subject: &Subject,
    by: UserId,
    comment: String,
) -> Result<Vec<ApprovalEvent>, Refusal> {
    check_comment(&comment, 1)?;
    match state {
        State::AwaitingSecond { .. }
        | State::Approved { .. }
        | State::Rejected { .. }
        | State::Deferred { .. } => Ok(vec![
            ApprovalRevoked { patch_id: subject.patch_id, scope: subject.scope, revoked_by: by, comment }
                .into(),
        ]),
        State::Unknown | State::Pending { .. } | State::Lapsed => Err(Refusal::NotDecided),
    }
}

fn lapse(state: &State, subject: &Subject, newer: Option<(PatchId, String)>) -> Vec<ApprovalEvent> {
    match state {
        State::Pending { .. }
        | State::AwaitingSecond { .. }
        | State::Approved { .. }
        | State::Rejected { .. }
        | State::Deferred { .. } => {
            let (superseded_by, superseded_by_vendor_id) = newer.unzip();
            let (patch_id, scope) = (subject.patch_id, subject.scope);
            vec![ApprovalLapsed { patch_id, scope, superseded_by, superseded_by_vendor_id }.into()]
        }
        State::Unknown | State::Lapsed => vec![],
    }
}

/// Nothing is decided about a patch whose time is over.
fn can_be_decided(state: &State, standing: &Standing) -> Result<(), Refusal> {
    match (state, standing) {
        (_, Standing::Superseded { by }) => Err(Refusal::Superseded { newer: by.clone() }),
        (State::Lapsed, _) | (_, Standing::Withdrawn) => Err(Refusal::Withdrawn),
        (_, Standing::Published) => Ok(()),
    }
}

pub(super) fn approved(subject: &Subject, by: ApprovalMode) -> ApprovalEvent {
    PatchApproved { patch_id: subject.patch_id, scope: subject.scope, by }.into()
}

/// Names the decision that is in the way.
fn already_decided(state: &State) -> Refusal {
    let (state, by) = match state {
        State::Approved { by: ApprovalMode::Manual { approved_by, .. }, .. } => {
            ("approved", format!("by user {approved_by}"))
        }
        State::Approved { by: ApprovalMode::Auto { rule_id, rule_version, .. }, .. } => {
            ("approved", format!("by rule {rule_id} version {rule_version}"))
        }
        State::Rejected { by, .. } => ("rejected", format!("by user {by}")),
        State::Deferred { by, until, .. } => ("deferred", format!("by user {by} until {until}")),
        State::AwaitingSecond { requested_by, .. } => {
            return Refusal::AwaitingSecond { requested_by: *requested_by };
        }
        State::Unknown | State::Pending { .. } | State::Lapsed => return Refusal::NotDecided,
    };
    Refusal::AlreadyDecided { state, by }
}

/// Whether a patch for `patch` can be wanted on a device that runs `device`.
pub fn check_applicable(patch: DevicePlatform, device: Option<DevicePlatform>) -> Result<(), Refusal> {
    match device {
        Some(device) if device != patch => Err(Refusal::NotApplicable { patch, device }),
        Some(_) | None => Ok(()),
    }
}

/// Whether a deferral may end then.
pub fn check_deferral(until: DateTime<Utc>, now: DateTime<Utc>) -> Result<(), Refusal> {
    if until <= now || until > now + TimeDelta::days(DEFERRAL_DAYS_MAX) {
        return Err(Refusal::InvalidDeferral { until });
    }
    Ok(())
}

/// Whether a comment has the right length.
pub fn check_comment(comment: &str, min: usize) -> Result<(), Refusal> {
    let length = comment.chars().count();
    if length > COMMENT_MAX || comment.trim().chars().count() < min {
        return Err(Refusal::InvalidComment { min, length });
    }
    Ok(())
}
