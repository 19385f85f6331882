//! The approval of one patch in one scope.
//!
//! ```text
//! Unknown --open--> Pending --approve--> Approved --revoke--> Pending
//!                      |-----reject----> Rejected --revoke--> Pending
//!                  (any) ----lapse-----> Lapsed
//! ```

use crate::COMMENT_MAX;
use crate::looks::{Look, Looks};
use chrono::{DateTime, Utc};
use contracts::DevicePlatform;
use contracts::approvals::{
    ApprovalEvent, ApprovalLapsed, ApprovalMode, ApprovalOpened, ApprovalRevoked, ApprovalScheduled,
    ApprovalScope, AutoApprovalRefused, PatchApproved, PatchRejected, RefusalReason, RuleInputs,
};
use kernel::{Aggregate, PatchId, Refused, RuleId, UserId};

/// The aggregate.
#[derive(Debug)]
pub struct Approval;

/// Where the decision stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum State {
    /// Never missing anywhere, never decided.
    #[default]
    Unknown,
    /// Waits for a decision.
    Pending {
        /// What the patch runs on; unknown only for decisions that were taken before the patch was found missing.
        platform: DevicePlatform,
        /// What rules said of it that left it pending.
        looked_at: Looks,
    },
    /// May be installed.
    Approved {
        /// What the patch runs on.
        platform: DevicePlatform,
        /// By what.
        by: ApprovalMode,
    },
    /// Must not be installed.
    Rejected {
        /// What the patch runs on.
        platform: DevicePlatform,
        /// Who.
        by: UserId,
    },
    /// Nothing is left to decide.
    Lapsed,
}

/// What the catalogue says of the patch at the time of a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Published.
    Published,
    /// Replaced by a newer patch.
    Superseded {
        /// The newer patch's vendor id.
        by: String,
    },
    /// Taken back by its publisher.
    Withdrawn,
}

/// Which patch in which scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The patch.
    pub patch_id: PatchId,
    /// The vendor's id of it.
    pub vendor_patch_id: String,
    /// What it runs on.
    pub platform: DevicePlatform,
    /// Where.
    pub scope: ApprovalScope,
}

/// What may be wished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// The patch was found missing.
    Open(Subject),
    /// A person approves.
    Approve {
        /// What.
        subject: Subject,
        /// How the patch stands in the catalogue.
        standing: Standing,
        /// Who.
        by: UserId,
        /// Why.
        comment: Option<String>,
    },
    /// A rule approves.
    AutoApprove {
        /// What.
        subject: Subject,
        /// The rule and its inputs; always [`ApprovalMode::Auto`].
        by: ApprovalMode,
    },
    /// A rule looked and said no.
    NoteRefusal {
        /// What.
        subject: Subject,
        /// The rule.
        rule_id: RuleId,
        /// Its version.
        rule_version: u32,
        /// Why.
        reason: RefusalReason,
        /// When time alone may change it.
        next_change_at: Option<DateTime<Utc>>,
    },
    /// A rule will approve.
    Schedule {
        /// What.
        subject: Subject,
        /// The rule.
        rule_id: RuleId,
        /// Its version.
        rule_version: u32,
        /// When.
        approves_at: DateTime<Utc>,
        /// What it looked at.
        inputs: RuleInputs,
    },
    /// A person rejects.
    Reject {
        /// What.
        subject: Subject,
        /// Who.
        by: UserId,
        /// Why.
        comment: String,
    },
    /// A person takes the decision back.
    Revoke {
        /// What.
        subject: Subject,
        /// Who.
        by: UserId,
        /// Why.
        comment: String,
    },
    /// The patch was superseded or withdrawn.
    Lapse {
        /// What.
        subject: Subject,
        /// The newer patch with its vendor id, if there is one.
        newer: Option<(PatchId, String)>,
    },
}

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Somebody was faster, or decided before.
    #[error("the patch is {state} at this customer already ({by}); revoke that decision first")]
    AlreadyDecided {
        /// `approved` or `rejected`.
        state: &'static str,
        /// By whom or by which rule.
        by: String,
    },
    /// A newer patch is there.
    #[error("the patch is superseded by {newer}; decide on that one")]
    Superseded {
        /// The newer patch's vendor id.
        newer: String,
    },
    /// The publisher took it back.
    #[error("the patch was withdrawn by its publisher")]
    Withdrawn,
    /// Auto-approval exists for Windows only.
    #[error("rules approve patches for Windows only; a person must approve this one")]
    PlatformNotEligible,
    /// There is nothing to take back.
    #[error("the patch is neither approved nor rejected at this customer")]
    NotDecided,
    /// A comment is too long, or missing where one is needed.
    #[error("the comment must have {min} to {COMMENT_MAX} characters, and has {length}")]
    InvalidComment {
        /// Least number of characters.
        min: usize,
        /// Its length.
        length: usize,
    },
}

impl Refused for Refusal {
    fn code(&self) -> &'static str {
        match self {
            Self::AlreadyDecided { .. } => "approvals.already_decided",
            Self::Superseded { .. } => "approvals.patch_superseded",
            Self::Withdrawn => "approvals.patch_withdrawn",
            Self::PlatformNotEligible => "approvals.platform_not_eligible",
            Self::NotDecided => "approvals.not_decided",
            Self::InvalidComment { .. } => "approvals.comment_invalid",
        }
    }

    fn is_conflict(&self) -> bool {
        matches!(self, Self::AlreadyDecided { .. })
    }
}

impl Aggregate for Approval {
    const STREAM: &'static str = "approvals.approval";
    type State = State;
    type Command = Command;
    type Event = ApprovalEvent;
    type Refusal = Refusal;

    fn decide(state: &State, command: Command) -> Result<Vec<ApprovalEvent>, Refusal> {
        match command {
            Command::Open(subject) => Ok(open(state, &subject)),
            Command::Approve { subject, standing, by, comment } => {
                approve(state, &subject, &standing, by, comment)
            }
            Command::AutoApprove { subject, by } => auto_approve(state, &subject, by),
            Command::NoteRefusal { subject, rule_id, rule_version, reason, next_change_at } => {
                let Some(customer_id) = subject.scope.customer_id() else { return Ok(vec![]) };
                let patch_id = subject.patch_id;
                let fact = AutoApprovalRefused {
                    patch_id,
                    customer_id,
                    rule_id,
                    rule_version,
                    reason,
                    next_change_at,
                };
                Ok(note_look(state, &subject, rule_id, (&fact).into(), fact.into()))
            }
            Command::Schedule { subject, rule_id, rule_version, approves_at, inputs } => {
                if subject.platform == DevicePlatform::Linux {
                    return Err(Refusal::PlatformNotEligible);
                }
                let Subject { patch_id, scope, .. } = subject;
                let fact = ApprovalScheduled { patch_id, scope, rule_id, rule_version, approves_at, inputs };
                Ok(note_look(state, &subject, rule_id, (&fact).into(), fact.into()))
            }
            Command::Reject { subject, by, comment } => reject(state, &subject, by, comment),
            Command::Revoke { subject, by, comment } => revoke(state, &subject, by, comment),
            Command::Lapse { subject, newer } => Ok(lapse(state, &subject, newer)),
        }
    }

    fn evolve(state: State, event: &ApprovalEvent) -> State {
        match event {
            ApprovalEvent::ApprovalOpened(fact) => pending(fact.platform),
            ApprovalEvent::PatchApproved(fact) => {
                State::Approved { platform: state.platform(), by: fact.by.clone() }
            }
            ApprovalEvent::AutoApprovalRefused(fact) => state.looked_at(fact.rule_id, fact.into()),
            ApprovalEvent::ApprovalScheduled(fact) => state.looked_at(fact.rule_id, fact.into()),
            ApprovalEvent::PatchRejected(fact) => {
                State::Rejected { platform: state.platform(), by: fact.rejected_by }
            }
            ApprovalEvent::ApprovalRevoked(_) => pending(state.platform()),
            ApprovalEvent::ApprovalLapsed(_) => State::Lapsed,
        }
    }
}

impl State {
    /// Pending, with what a rule said.
    fn looked_at(self, rule_id: RuleId, look: Look) -> Self {
        let platform = self.platform();
        let looked_at = match self {
            Self::Pending { looked_at, .. } => looked_at,
            Self::Unknown | Self::Approved { .. } | Self::Rejected { .. } | Self::Lapsed => Looks::default(),
        };
        Self::Pending { platform, looked_at: looked_at.with(rule_id, look) }
    }

    /// What the patch runs on. A decision is always preceded by the opening, so `Unknown` never asks.
    fn platform(&self) -> DevicePlatform {
        match self {
            Self::Pending { platform, .. }
            | Self::Approved { platform, .. }
            | Self::Rejected { platform, .. } => *platform,
            Self::Unknown | Self::Lapsed => DevicePlatform::Linux,
        }
    }
}

fn pending(platform: DevicePlatform) -> State {
    State::Pending { platform, looked_at: Looks::default() }
}

/// The opening, where it has not happened yet: a decision may be taken before the patch is found missing.
/// Only a whole customer waits for decisions; nearer and wider scopes have none until somebody takes one.
fn open(state: &State, subject: &Subject) -> Vec<ApprovalEvent> {
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
        State::Pending { .. } | State::Approved { .. } | State::Rejected { .. } | State::Lapsed => vec![],
    }
}

fn approve(
    state: &State,
    subject: &Subject,
    standing: &Standing,
    by: UserId,
    comment: Option<String>,
) -> Result<Vec<ApprovalEvent>, Refusal> {
    check_comment(comment.as_deref().unwrap_or_default(), 0)?;
    match (state, standing) {
        (State::Approved { by: ApprovalMode::Manual { approved_by, .. }, .. }, _) if *approved_by == by => {
            Ok(vec![])
        }
        (State::Approved { by, .. }, _) => Err(already_approved(by)),
        (State::Rejected { by, .. }, _) => Err(already_rejected(*by)),
        (_, Standing::Superseded { by }) => Err(Refusal::Superseded { newer: by.clone() }),
        (State::Lapsed, _) | (_, Standing::Withdrawn) => Err(Refusal::Withdrawn),
        (State::Unknown | State::Pending { .. }, Standing::Published) => {
            let mut events = open(state, subject);
            events.push(approved(subject, ApprovalMode::Manual { approved_by: by, comment }));
            Ok(events)
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
        State::Approved { .. } | State::Rejected { .. } | State::Lapsed => Ok(vec![]),
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
        State::Approved { .. } | State::Rejected { .. } | State::Lapsed => true,
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
    by: UserId,
    comment: String,
) -> Result<Vec<ApprovalEvent>, Refusal> {
    check_comment(&comment, 1)?;
    match state {
        State::Rejected { by: first, .. } if *first == by => Ok(vec![]),
        State::Rejected { by, .. } => Err(already_rejected(*by)),
        State::Approved { by, .. } => Err(already_approved(by)),
        State::Lapsed => Err(Refusal::Withdrawn),
        State::Unknown | State::Pending { .. } => {
            let mut events = open(state, subject);
            let rejected =
                PatchRejected { patch_id: subject.patch_id, scope: subject.scope, rejected_by: by, comment };
            events.push(rejected.into());
            Ok(events)
        }
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
        State::Approved { .. } | State::Rejected { .. } => Ok(vec![
            ApprovalRevoked { patch_id: subject.patch_id, scope: subject.scope, revoked_by: by, comment }
                .into(),
        ]),
        State::Unknown | State::Pending { .. } | State::Lapsed => Err(Refusal::NotDecided),
    }
}

fn lapse(state: &State, subject: &Subject, newer: Option<(PatchId, String)>) -> Vec<ApprovalEvent> {
    match state {
        State::Pending { .. } | State::Approved { .. } | State::Rejected { .. } => {
            let (superseded_by, superseded_by_vendor_id) = newer.unzip();
            vec![
                ApprovalLapsed {
                    patch_id: subject.patch_id,
                    scope: subject.scope,
                    superseded_by,
                    superseded_by_vendor_id,
                }
                .into(),
            ]
        }
        State::Unknown | State::Lapsed => vec![],
    }
}

fn approved(subject: &Subject, by: ApprovalMode) -> ApprovalEvent {
    PatchApproved { patch_id: subject.patch_id, scope: subject.scope, by }.into()
}

fn already_approved(by: &ApprovalMode) -> Refusal {
    let by = match by {
        ApprovalMode::Manual { approved_by, .. } => format!("by user {approved_by}"),
        ApprovalMode::Auto { rule_id, rule_version, .. } => {
            format!("by rule {rule_id} version {rule_version}")
        }
    };
    Refusal::AlreadyDecided { state: "approved", by }
}

fn already_rejected(by: UserId) -> Refusal {
    Refusal::AlreadyDecided { state: "rejected", by: format!("by user {by}") }
}

fn check_comment(comment: &str, min: usize) -> Result<(), Refusal> {
    let length = comment.chars().count();
    if length > COMMENT_MAX || comment.trim().chars().count() < min {
        return Err(Refusal::InvalidComment { min, length });
    }
    Ok(())
}

#[cfg(test)]
mod looking;
#[cfg(test)]
mod tests;
