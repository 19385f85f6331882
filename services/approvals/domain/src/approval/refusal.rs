//! Why a decision is not taken.

use super::DEFERRAL_DAYS_MAX;
use crate::COMMENT_MAX;
use chrono::{DateTime, Utc};
use contracts::DevicePlatform;
use kernel::{Refused, UserId};

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Somebody was faster, or decided before.
    #[error("the patch is {state} in this scope already ({by}); revoke that decision first")]
    AlreadyDecided {
        /// `approved`, `rejected` or `deferred`.
        state: &'static str,
        /// By whom or by which rule.
        by: String,
    },
    /// Somebody else has approved and waits for a second person.
    #[error(
        "user {requested_by} has approved the patch and waits for a second approver; give that, or reject it"
    )]
    AwaitingSecond {
        /// Who.
        requested_by: UserId,
    },
    /// The requester cannot be the second person.
    #[error("the person who requested an approval cannot give the second one")]
    OwnRequest,
    /// Nobody waits for a second person.
    #[error("nobody waits for a second approval of the patch in this scope")]
    SecondNotRequested,
    /// The end of a deferral is past, or too far away.
    #[error("a deferral must end in the future and within {DEFERRAL_DAYS_MAX} days, not at {until}")]
    InvalidDeferral {
        /// The end.
        until: DateTime<Utc>,
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
    /// The patch is for another platform than the device's.
    #[error("the patch is for {patch:?} and the device runs {device:?}")]
    NotApplicable {
        /// What the patch is for.
        patch: DevicePlatform,
        /// What the device runs.
        device: DevicePlatform,
    },
    /// There is nothing to take back.
    #[error("nothing is decided about the patch in this scope")]
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
            Self::AwaitingSecond { .. } => "approvals.second_approval_needed",
            Self::OwnRequest => "approvals.own_request",
            Self::SecondNotRequested => "approvals.second_approval_not_requested",
            Self::InvalidDeferral { .. } => "approvals.deferral_invalid",
            Self::Superseded { .. } => "approvals.patch_superseded",
            Self::Withdrawn => "approvals.patch_withdrawn",
            Self::PlatformNotEligible => "approvals.platform_not_eligible",
            Self::NotApplicable { .. } => "approvals.patch_not_applicable",
            Self::NotDecided => "approvals.not_decided",
            Self::InvalidComment { .. } => "approvals.comment_invalid",
        }
    }

    fn is_conflict(&self) -> bool {
        matches!(self, Self::AlreadyDecided { .. } | Self::AwaitingSecond { .. })
    }
}
