//! What may be installed where, as people and rules decided it.

use super::rule_history::{with_inputs, without_next_change};
use super::rules::{RefusalReason, RuleInputs};
use super::scope::{ApprovalScope, at_customer};
use crate::DevicePlatform;
use chrono::{DateTime, Utc};
use kernel::{CustomerId, PatchId, RuleId, UserId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// By what a patch was approved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "SCREAMING_SNAKE_CASE")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum ApprovalMode {
    /// By a person.
    Manual {
        /// Who.
        approved_by: UserId,
        /// Why, in the person's words.
        comment: Option<String>,
    },
    /// By a rule.
    Auto {
        /// The rule.
        rule_id: RuleId,
        /// Its version at the time.
        rule_version: u32,
        /// What it looked at.
        inputs: RuleInputs,
        /// When the rule may say something else though nothing else changes; none where time changes nothing.
        next_change_at: Option<DateTime<Utc>>,
    },
}

/// Decisions held at customers only, and rules noted less of what they looked at.
fn at_customer_with_inputs(fact: Value) -> Result<Value, String> {
    with_inputs(at_customer(fact)?)
}

events! {
    /// Facts of the approval of one patch in one scope.
    ApprovalEvent in "approvals" {
        /// The patch was found missing at the customer for the first time and now waits for a decision.
        ApprovalOpened = 1 {
            /// The patch.
            patch_id: PatchId,
            /// The customer.
            customer_id: CustomerId,
            /// What the patch runs on.
            platform: DevicePlatform,
            /// The vendor's id of the patch.
            vendor_patch_id: String,
        },
        /// The patch may be installed.
        PatchApproved = 3 {
            /// The patch.
            patch_id: PatchId,
            /// Where.
            scope: ApprovalScope,
            /// By what.
            by: ApprovalMode,
        } upcast { 1 => Ok, 2 => at_customer_with_inputs },
        /// A rule will approve the patch at a known time, if nothing changes until then.
        ApprovalScheduled = 1 {
            /// The patch.
            patch_id: PatchId,
            /// Where.
            scope: ApprovalScope,
            /// The rule.
            rule_id: RuleId,
            /// Its version at the time.
            rule_version: u32,
            /// When.
            approves_at: DateTime<Utc>,
            /// What it looked at.
            inputs: RuleInputs,
        },
        /// Somebody approves, and the customer's policy asks for a second person.
        SecondApprovalRequested = 1 {
            /// The patch.
            patch_id: PatchId,
            /// Where.
            scope: ApprovalScope,
            /// Who.
            requested_by: UserId,
            /// Why, in the person's words.
            comment: Option<String>,
        },
        /// A second person agrees; the approval follows.
        SecondApprovalGiven = 1 {
            /// The patch.
            patch_id: PatchId,
            /// Where.
            scope: ApprovalScope,
            /// Who agrees.
            given_by: UserId,
            /// Who asked for it.
            requested_by: UserId,
            /// Why, in the second person's words.
            comment: Option<String>,
        },
        /// A rule looked at the patch and left it pending.
        AutoApprovalRefused = 2 {
            /// The patch.
            patch_id: PatchId,
            /// The customer.
            customer_id: CustomerId,
            /// The rule.
            rule_id: RuleId,
            /// Its version at the time.
            rule_version: u32,
            /// Why.
            reason: RefusalReason,
            /// When the rule may say something else though nothing else changes; none where time changes nothing.
            next_change_at: Option<DateTime<Utc>>,
        } upcast { 1 => without_next_change },
        /// The patch must not be installed.
        PatchRejected = 2 {
            /// The patch.
            patch_id: PatchId,
            /// Where.
            scope: ApprovalScope,
            /// Who.
            rejected_by: UserId,
            /// Why.
            comment: String,
        } upcast { 1 => at_customer },
        /// The patch must not be installed yet.
        PatchDeferred = 1 {
            /// The patch.
            patch_id: PatchId,
            /// Where.
            scope: ApprovalScope,
            /// Until when.
            until: DateTime<Utc>,
            /// Who.
            deferred_by: UserId,
            /// Why, in the person's words.
            comment: Option<String>,
        },
        /// The time of a deferral has come; the patch waits for a decision again.
        DeferralEnded = 1 {
            /// The patch.
            patch_id: PatchId,
            /// Where.
            scope: ApprovalScope,
            /// Until when it was deferred.
            until: DateTime<Utc>,
        },
        /// A decision was taken back; the patch waits again.
        ApprovalRevoked = 2 {
            /// The patch.
            patch_id: PatchId,
            /// Where.
            scope: ApprovalScope,
            /// Who.
            revoked_by: UserId,
            /// Why.
            comment: String,
        } upcast { 1 => at_customer },
        /// The patch was superseded or withdrawn, so that nothing is left to decide.
        ApprovalLapsed = 2 {
            /// The patch.
            patch_id: PatchId,
            /// Where.
            scope: ApprovalScope,
            /// The newer patch, if there is one.
            superseded_by: Option<PatchId>,
            /// Its vendor id.
            superseded_by_vendor_id: Option<String>,
        } upcast { 1 => at_customer },
    }
}

/// What many patches are decided to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "SCREAMING_SNAKE_CASE", deny_unknown_fields)]
pub enum PatchDecision {
    /// They may be installed.
    Approve,
    /// They must not be installed.
    Reject,
    /// They must not be installed yet.
    Defer {
        /// Until when.
        until: DateTime<Utc>,
    },
    /// The decisions are taken back.
    Revoke,
    /// A second person agrees.
    GiveSecondApproval,
}

/// What became of a decision on many patches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecidedPatches {
    /// How many patches were decided, each scope counted.
    pub decided: u32,
    /// How many were so already.
    pub unchanged: u32,
    /// Those that were not decided, with the reason.
    pub refused: Vec<RefusedDecision>,
}

/// A patch that was not decided in a scope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedDecision {
    /// The patch.
    pub patch_id: PatchId,
    /// Where.
    pub scope: ApprovalScope,
    /// Stable code.
    pub code: String,
    /// In words.
    pub message: String,
}

commands! {
    Approvals {
        /// Approves a patch.
        ApprovePatch -> (), needs ApprovePatches {
            /// The patch.
            patch_id: PatchId,
            /// Where.
            scope: ApprovalScope,
            /// Why, at most 2,000 characters.
            comment: Option<String>,
        }
        /// Agrees to an approval that somebody else asked for.
        GiveSecondApproval -> (), needs ApprovePatches {
            /// The patch.
            patch_id: PatchId,
            /// Where.
            scope: ApprovalScope,
            /// Why, at most 2,000 characters.
            comment: Option<String>,
        }
        /// Rejects a patch.
        RejectPatch -> (), needs ApprovePatches {
            /// The patch.
            patch_id: PatchId,
            /// Where.
            scope: ApprovalScope,
            /// Why, 1 to 2,000 characters.
            comment: String,
        }
        /// Puts a patch off.
        DeferPatch -> (), needs ApprovePatches {
            /// The patch.
            patch_id: PatchId,
            /// Where.
            scope: ApprovalScope,
            /// Until when, at most a year from now.
            until: DateTime<Utc>,
            /// Why, at most 2,000 characters.
            comment: Option<String>,
        }
        /// Takes a decision back.
        RevokeApproval -> (), needs ApprovePatches {
            /// The patch.
            patch_id: PatchId,
            /// Where.
            scope: ApprovalScope,
            /// Why, 1 to 2,000 characters.
            comment: String,
        }
        /// Decides on every one of the patches in every one of the scopes: all that can be decided is, the rest is listed.
        DecidePatches -> DecidedPatches, needs ApprovePatches {
            /// What they are decided to be.
            decision: PatchDecision,
            /// The patches.
            patch_ids: Vec<PatchId>,
            /// Where; patches times scopes are at most 5,000.
            scopes: Vec<ApprovalScope>,
            /// Why, at most 2,000 characters; needed to reject and to revoke.
            comment: Option<String>,
        }
    }
}
