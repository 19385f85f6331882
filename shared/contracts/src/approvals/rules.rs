//! Whitelists and auto-approval rules.

use super::rule_answers::{RuleSimulation, SavedRule, SimulatedKey};
use super::rule_history::{of_customer, with_contents, with_owner_and_contents};
use super::scope::ApprovalLevel;
use crate::{Classification, Severity};
use chrono::NaiveDate;
use kernel::{CustomerId, DeviceGroupId, PartnerId, RuleId, Tenant};
use serde::{Deserialize, Serialize};

/// Whose a rule or a whitelist entry is. A partner's holds at all of its customers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "level", rename_all = "SCREAMING_SNAKE_CASE", deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum RuleOwner {
    /// A partner.
    Partner {
        /// The partner.
        partner_id: PartnerId,
    },
    /// A customer.
    Customer {
        /// The customer.
        customer_id: CustomerId,
    },
}

impl RuleOwner {
    /// The customer; none where it is a partner.
    pub fn customer_id(self) -> Option<CustomerId> {
        match self {
            Self::Partner { .. } => None,
            Self::Customer { customer_id } => Some(customer_id),
        }
    }

    /// How near to a device the owner is.
    pub fn level(self) -> ApprovalLevel {
        match self {
            Self::Partner { .. } => ApprovalLevel::Partner,
            Self::Customer { .. } => ApprovalLevel::Customer,
        }
    }
}

impl From<Tenant> for RuleOwner {
    fn from(tenant: Tenant) -> Self {
        match tenant.customer_id {
            Some(customer_id) => Self::Customer { customer_id },
            None => Self::Partner { partner_id: tenant.partner_id },
        }
    }
}

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

/// When a rule matches. The whitelist must hold as well, and everything that is given here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RuleConditions {
    /// Severities that match. A patch whose severity is unknown matches only where [`Severity::Unknown`] is among them.
    pub severities: Vec<Severity>,
    /// Classifications that match, whatever the known severity. A patch needs a severity or a classification that is chosen.
    pub classifications: Vec<Classification>,
    /// Texts of which the patch's name or one of its OS versions must contain one, ignoring case; any patch where none is
    /// given.
    pub products: Vec<String>,
    /// Texts of which the name of the patch's feed or of its publisher must contain one, ignoring case.
    pub vendors: Vec<String>,
    /// Texts of which one of the patch's OS versions must contain one, ignoring case.
    pub os_releases: Vec<String>,
    /// The least rating, 1 to 5, that the customer or its partner must have given; an unrated patch does not match then.
    pub minimum_rating: Option<u8>,
    /// Whether a vulnerability that the patch closes must be in CISA's list of known exploited ones.
    pub kev_only: bool,
    /// Days since the patch's release, counted in UTC, before which the rule does not look at it.
    pub minimum_age_days: Option<u16>,
}

/// From when on a rule approves what matches, or how long patches were released that it approves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "SCREAMING_SNAKE_CASE", deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum RuleTiming {
    /// So many days after the release, at midnight in UTC.
    Delay {
        /// 0 to 360.
        days: u16,
    },
    /// At once, but only what was released until that day.
    CutOff {
        /// The last day of release that counts.
        released_until: NaiveDate,
    },
}

/// All that a version of a rule says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RuleContents {
    /// The customer's groups for whose devices it approves; for the whole customer where there are none.
    pub groups: Vec<DeviceGroupId>,
    /// When it matches.
    pub conditions: RuleConditions,
    /// When it approves.
    pub timing: RuleTiming,
}

/// What a rule looked at when it approved a patch, or foresaw that it would.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RuleInputs {
    /// The whitelist pattern that let the patch through.
    pub whitelist: WhitelistPattern,
    /// On whose whitelist it stands: the customer's or the partner's.
    pub whitelist_level: ApprovalLevel,
    /// The patch's severity at the time.
    pub severity: Severity,
    /// The patch's classification at the time.
    pub classification: Classification,
    /// Whether it closed a vulnerability that was known to be exploited; nobody asked in early facts.
    pub kev: Option<bool>,
    /// The customer's rating of it, or else the partner's, where there was one.
    pub rating: Option<u8>,
    /// The day of its release; not in early facts.
    pub release_date: Option<NaiveDate>,
    /// The rule's timing.
    pub timing: RuleTiming,
}

/// Why a rule did not approve a patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum RefusalReason {
    /// Auto-approval exists for Windows only.
    PlatformNotEligible,
    /// Not on the whitelist.
    NotWhitelisted,
    /// Neither severity nor classification matches, or the severity is unknown and was not asked for.
    SeverityNotChosen,
    /// Superseded or withdrawn.
    NotInstallable,
    /// Not one of the rule's products.
    ProductNotChosen,
    /// Not of one of the rule's vendors.
    VendorNotChosen,
    /// Not for one of the rule's OS releases.
    OsReleaseNotChosen,
    /// Not rated, or not high enough.
    RatingTooLow,
    /// Closes nothing that is known to be exploited.
    NotExploited,
    /// Released after the rule's last day.
    ReleasedTooLate,
    /// Released too few days ago.
    TooYoung,
}

events! {
    /// Facts of a whitelist.
    WhitelistEvent in "approvals" {
        /// An entry was added.
        WhitelistEntryAdded = 3 {
            /// Whose whitelist it is.
            owner: RuleOwner,
            /// What is let through.
            pattern: WhitelistPattern,
        } upcast { 1 => Ok, 2 => of_customer },
        /// An entry was removed.
        WhitelistEntryRemoved = 3 {
            /// Whose whitelist it is.
            owner: RuleOwner,
            /// What was let through.
            pattern: WhitelistPattern,
        } upcast { 1 => Ok, 2 => of_customer },
    }
}

events! {
    /// Facts of an auto-approval rule.
    RuleEvent in "approvals" {
        /// A rule was created, enabled, as version 1.
        RuleCreated = 3 {
            /// The rule.
            rule_id: RuleId,
            /// Whose it is.
            owner: RuleOwner,
            /// Display name.
            name: String,
            /// What it says.
            contents: RuleContents,
        } upcast { 1 => Ok, 2 => with_owner_and_contents },
        /// A rule was changed.
        RuleVersionCreated = 3 {
            /// The rule.
            rule_id: RuleId,
            /// The new version, from 2.
            rule_version: u32,
            /// What it says now.
            contents: RuleContents,
        } upcast { 1 => Ok, 2 => with_contents },
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
    /// What was asked about a rule that does not exist yet.
    RuleSimulationEvent in "approvals" {
        /// Somebody asked what a rule would have approved.
        RuleSimulationRequested = 1 {
            /// Whose the rule would be.
            owner: RuleOwner,
            /// What it would say.
            contents: RuleContents,
            /// How many months to look back.
            months: u8,
        },
    }
}

commands! {
    Approvals {
        /// Lets patches through to the rules.
        AddToWhitelist -> (), needs ManageRules {
            /// The customer; the partner's own whitelist, which holds at all of its customers, where there is none.
            customer_id: Option<CustomerId>,
            /// What is let through.
            pattern: WhitelistPattern,
        }
        /// Takes a whitelist entry away.
        RemoveFromWhitelist -> (), needs ManageRules {
            /// The customer; the partner's own whitelist where there is none.
            customer_id: Option<CustomerId>,
            /// What was let through.
            pattern: WhitelistPattern,
        }
        /// Creates an auto-approval rule, enabled.
        CreateRule -> SavedRule, needs ManageRules {
            /// The customer it works for; all of the partner's where there is none.
            customer_id: Option<CustomerId>,
            /// Display name.
            name: String,
            /// What it says.
            contents: RuleContents,
            /// Whether it may approve a large share of what is pending.
            confirm: bool,
        }
        /// Makes a new version of a rule.
        ChangeRule -> SavedRule, needs ManageRules {
            /// The rule.
            rule_id: RuleId,
            /// What it says now.
            contents: RuleContents,
            /// Whether it may approve a large share of what is pending.
            confirm: bool,
        }
        /// Switches a rule off.
        DisableRule -> (), needs ManageRules {
            /// The rule.
            rule_id: RuleId,
        }
        /// Switches a rule on again.
        EnableRule -> SavedRule, needs ManageRules {
            /// The rule.
            rule_id: RuleId,
            /// Whether it may approve a large share of what is pending.
            confirm: bool,
        }
        /// Says what a rule would have approved in the last months. Changes nothing.
        SimulateRule -> RuleSimulation, needs ManageRules {
            /// The customer it would work for; all of the partner's where there is none.
            customer_id: Option<CustomerId>,
            /// What it would say.
            contents: RuleContents,
            /// How many months to look back, 1 to 24.
            months: u8,
            /// Where the list goes on; its beginning where there is none.
            after: Option<SimulatedKey>,
        }
    }
}
