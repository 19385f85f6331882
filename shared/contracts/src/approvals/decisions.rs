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
        /// An approval was taken back; the patch waits again.
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

commands! {
    Approvals {
        /// Approves a patch at a customer.
        ApprovePatch -> (), needs ApprovePatches {
            /// The patch.
            patch_id: PatchId,
            /// The customer.
            customer_id: CustomerId,
            /// Why, at most 2,000 characters.
            comment: Option<String>,
        }
        /// Rejects a patch at a customer.
        RejectPatch -> (), needs ApprovePatches {
            /// The patch.
            patch_id: PatchId,
            /// The customer.
            customer_id: CustomerId,
            /// Why, 1 to 2,000 characters.
            comment: String,
        }
        /// Takes an approval back.
        RevokeApproval -> (), needs ApprovePatches {
            /// The patch.
            patch_id: PatchId,
            /// The customer.
            customer_id: CustomerId,
            /// Why, 1 to 2,000 characters.
            comment: String,
        }
    }
}
