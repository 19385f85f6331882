//! Whitelists and auto-approval rules.

use crate::{Classification, Severity};
use kernel::{CustomerId, RuleId};
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
    }
}
