//! Whitelist, auto-approval rules and decisions.

use crate::{Classification, DevicePlatform, Severity};
use kernel::{CustomerId, PatchId, RuleId, UserId};
use serde::{Deserialize, Serialize};

/// What a whitelist entry lets through.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", content = "value", rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum WhitelistPattern {
    /// One patch, by the vendor's id.
    VendorPatchId(String),
    /// Every patch whose name or OS version contains this text, ignoring case.
    Product(String),
    /// Every patch of the classification.
    Classification(Classification),
}

/// When a rule matches. Both the whitelist and this must hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RuleConditions {
    /// Severities that match. [`Severity::Unknown`] matches only if named here.
    pub severities: Vec<Severity>,
    /// Classifications that match, whatever the severity.
    pub classifications: Vec<Classification>,
}

/// Why a rule did not approve a patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum RefusalReason {
    /// Auto-approval exists for Windows only.
    PlatformNotEligible,
    /// Not on the whitelist.
    NotWhitelisted,
    /// Neither severity nor classification matches.
    SeverityNotChosen,
    /// Superseded or withdrawn.
    NotInstallable,
}

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
    /// Facts of a customer's whitelist.
    WhitelistEvent in "approvals" {
        /// An entry was added.
        WhitelistEntryAdded = 2 {
            /// The customer.
            customer_id: CustomerId,
            /// What is let through.
            pattern: WhitelistPattern,
        } upcast { 1 => Ok },
        /// An entry was removed.
        WhitelistEntryRemoved = 2 {
            /// The customer.
            customer_id: CustomerId,
            /// What was let through.
            pattern: WhitelistPattern,
        } upcast { 1 => Ok },
    }
}

events! {
    /// Facts of an auto-approval rule.
    RuleEvent in "approvals" {
        /// A rule was created, enabled, as version 1.
        RuleCreated = 2 {
            /// The rule.
            rule_id: RuleId,
            /// The customer it works for.
            customer_id: CustomerId,
            /// Display name.
            name: String,
            /// When it matches.
            conditions: RuleConditions,
        } upcast { 1 => Ok },
        /// A rule was changed.
        RuleVersionCreated = 2 {
            /// The rule.
            rule_id: RuleId,
            /// The new version, from 2.
            rule_version: u32,
            /// When it matches now.
            conditions: RuleConditions,
        } upcast { 1 => Ok },
        /// A rule was switched off.
        RuleDisabled = 1 {
            /// The rule.
            rule_id: RuleId,
        },
        /// A rule was switched on again.
        RuleEnabled = 1 {
            /// The rule.
            rule_id: RuleId,
        },
    }
}

events! {
    /// Facts of the approval of one patch at one customer.
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
        PatchApproved = 2 {
            /// The patch.
            patch_id: PatchId,
            /// The customer.
            customer_id: CustomerId,
            /// By what.
            by: ApprovalMode,
        } upcast { 1 => Ok },
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
        PatchRejected = 1 {
            /// The patch.
            patch_id: PatchId,
            /// The customer.
            customer_id: CustomerId,
            /// Who.
            rejected_by: UserId,
            /// Why.
            comment: String,
        },
        /// An approval was taken back; the patch waits again.
        ApprovalRevoked = 1 {
            /// The patch.
            patch_id: PatchId,
            /// The customer.
            customer_id: CustomerId,
            /// Who.
            revoked_by: UserId,
            /// Why.
            comment: String,
        },
        /// The patch was superseded or withdrawn, so that nothing is left to decide.
        ApprovalLapsed = 1 {
            /// The patch.
            patch_id: PatchId,
            /// The customer.
            customer_id: CustomerId,
            /// The newer patch, if there is one.
            superseded_by: Option<PatchId>,
            /// Its vendor id.
            superseded_by_vendor_id: Option<String>,
        },
    }
}

commands! {
    Approvals {
        /// Lets patches through to the rules.
        AddToWhitelist -> (), needs ManageRules {
            /// The customer.
            customer_id: CustomerId,
            /// What is let through.
            pattern: WhitelistPattern,
        }
        /// Takes a whitelist entry away.
        RemoveFromWhitelist -> (), needs ManageRules {
            /// The customer.
            customer_id: CustomerId,
            /// What was let through.
            pattern: WhitelistPattern,
        }
        /// Creates an auto-approval rule, enabled.
        CreateRule -> RuleId, needs ManageRules {
            /// The customer it works for.
            customer_id: CustomerId,
            /// Display name.
            name: String,
            /// When it matches.
            conditions: RuleConditions,
        }
        /// Makes a new version of a rule.
        ChangeRule -> (), needs ManageRules {
            /// The rule.
            rule_id: RuleId,
            /// When it matches now.
            conditions: RuleConditions,
        }
        /// Switches a rule off.
        DisableRule -> (), needs ManageRules {
            /// The rule.
            rule_id: RuleId,
        }
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
