//! What may be installed where, as people and rules decided it.

use super::rules::{RefusalReason, WhitelistPattern};
use super::scope::{ApprovalScope, at_customer};
use crate::{Classification, DevicePlatform, Severity};
use kernel::{CustomerId, PatchId, RuleId, UserId};
use serde::{Deserialize, Serialize};

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
        /// The whitelist pattern that let it through.
        whitelist: WhitelistPattern,
        /// The patch's severity at the time.
        severity: Severity,
        /// The patch's classification at the time.
        classification: Classification,
    },
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
        } upcast { 1 => Ok, 2 => at_customer },
        /// A rule looked at the patch and left it pending.
        AutoApprovalRefused = 1 {
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
        },
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
