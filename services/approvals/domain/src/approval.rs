//! The approval of one patch in one scope.
//!
//! ```text
//! Unknown --open--> Pending --approve--> Approved --revoke--> Pending
//!                      |-----approve---> AwaitingSecond --second--> Approved
//!                      |-----reject----> Rejected --revoke--> Pending
//!                      |-----defer-----> Deferred --its time--> Pending
//!                  (any) ----lapse-----> Lapsed
//! ```
//! A decision may be taken before the patch is found missing anywhere. The first one stands until it is taken back.

mod deciding;
mod refusal;

pub use deciding::{check_applicable, check_comment, check_deferral};
pub use refusal::Refusal;

use crate::looks::{Look, Looks};
use chrono::{DateTime, Utc};
use contracts::DevicePlatform;
use contracts::approvals::{ApprovalEvent, ApprovalMode, ApprovalScope, RefusalReason, RuleInputs};
use kernel::{Aggregate, PatchId, RuleId, UserId};

/// Days that a decision may be put off at the most: what is wanted for longer is a rejection.
pub const DEFERRAL_DAYS_MAX: i64 = 366;

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
    /// Somebody approves; somebody else must agree.
    AwaitingSecond {
        /// What the patch runs on.
        platform: DevicePlatform,
        /// Who approves.
        requested_by: UserId,
        /// Why.
        comment: Option<String>,
    },
    /// May be installed.
    Approved {
        /// What the patch runs on.
        platform: DevicePlatform,
        /// By what.
        by: ApprovalMode,
        /// Who agreed, where that was needed.
        second: Option<UserId>,
    },
    /// Must not be installed.
    Rejected {
        /// What the patch runs on.
        platform: DevicePlatform,
        /// Who.
        by: UserId,
    },
    /// Must not be installed yet.
    Deferred {
        /// What the patch runs on.
        platform: DevicePlatform,
        /// Until when.
        until: DateTime<Utc>,
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
        /// Whether the policy asks for a second person.
        second_needed: bool,
    },
    /// A second person agrees.
    GiveSecond {
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
        /// How the patch stands in the catalogue.
        standing: Standing,
        /// Who.
        by: UserId,
        /// Why.
        comment: String,
    },
    /// A person puts the patch off.
    Defer {
        /// What.
        subject: Subject,
        /// How the patch stands in the catalogue.
        standing: Standing,
        /// Until when.
        until: DateTime<Utc>,
        /// The time.
        now: DateTime<Utc>,
        /// Who.
        by: UserId,
        /// Why.
        comment: Option<String>,
    },
    /// The time of a deferral has come.
    EndDeferral {
        /// What.
        subject: Subject,
        /// Which deferral, by its end: a later one goes on.
        until: DateTime<Utc>,
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

impl Aggregate for Approval {
    const STREAM: &'static str = "approvals.approval";
    type State = State;
    type Command = Command;
    type Event = ApprovalEvent;
    type Refusal = Refusal;

    fn decide(state: &State, command: Command) -> Result<Vec<ApprovalEvent>, Refusal> {
        deciding::decide(state, command)
    }

    fn evolve(state: State, event: &ApprovalEvent) -> State {
        match event {
            ApprovalEvent::ApprovalOpened(fact) => pending(fact.platform),
            ApprovalEvent::SecondApprovalRequested(fact) => State::AwaitingSecond {
                platform: state.platform(),
                requested_by: fact.requested_by,
                comment: fact.comment.clone(),
            },
            ApprovalEvent::SecondApprovalGiven(fact) => State::Approved {
                platform: state.platform(),
                by: ApprovalMode::Manual {
                    approved_by: fact.requested_by,
                    comment: state.requests_comment().map(ToOwned::to_owned),
                },
                second: Some(fact.given_by),
            },
            ApprovalEvent::PatchApproved(fact) => {
                State::Approved { platform: state.platform(), by: fact.by.clone(), second: state.second() }
            }
            ApprovalEvent::AutoApprovalRefused(fact) => state.looked_at(fact.rule_id, fact.into()),
            ApprovalEvent::ApprovalScheduled(fact) => state.looked_at(fact.rule_id, fact.into()),
            ApprovalEvent::PatchRejected(fact) => {
                State::Rejected { platform: state.platform(), by: fact.rejected_by }
            }
            ApprovalEvent::PatchDeferred(fact) => {
                State::Deferred { platform: state.platform(), until: fact.until, by: fact.deferred_by }
            }
            ApprovalEvent::DeferralEnded(_) | ApprovalEvent::ApprovalRevoked(_) => pending(state.platform()),
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
            Self::Unknown
            | Self::AwaitingSecond { .. }
            | Self::Approved { .. }
            | Self::Rejected { .. }
            | Self::Deferred { .. }
            | Self::Lapsed => Looks::default(),
        };
        Self::Pending { platform, looked_at: looked_at.with(rule_id, look) }
    }

    /// What the patch runs on. What nobody has opened does not ask.
    fn platform(&self) -> DevicePlatform {
        match self {
            Self::Pending { platform, .. }
            | Self::AwaitingSecond { platform, .. }
            | Self::Approved { platform, .. }
            | Self::Rejected { platform, .. }
            | Self::Deferred { platform, .. } => *platform,
            Self::Unknown | Self::Lapsed => DevicePlatform::Linux,
        }
    }

    /// Who agreed to the approval.
    fn second(&self) -> Option<UserId> {
        match self {
            Self::Approved { second, .. } => *second,
            Self::Unknown
            | Self::Pending { .. }
            | Self::AwaitingSecond { .. }
            | Self::Rejected { .. }
            | Self::Deferred { .. }
            | Self::Lapsed => None,
        }
    }

    /// Why the first person wants to approve.
    fn requests_comment(&self) -> Option<&str> {
        match self {
            Self::AwaitingSecond { comment, .. } => comment.as_deref(),
            Self::Unknown
            | Self::Pending { .. }
            | Self::Approved { .. }
            | Self::Rejected { .. }
            | Self::Deferred { .. }
            | Self::Lapsed => None,
        }
    }
}

fn pending(platform: DevicePlatform) -> State {
    State::Pending { platform, looked_at: Looks::default() }
}

#[cfg(test)]
mod looking;
#[cfg(test)]
mod tests;
