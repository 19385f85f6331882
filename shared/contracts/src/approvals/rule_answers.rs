//! What the services answer to commands on rules.

use super::rules::RefusalReason;
use chrono::{DateTime, Utc};
use kernel::{CustomerId, DeviceId, PatchId, RuleId};
use serde::{Deserialize, Serialize};

/// A rule that was saved, with what its author should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedRule {
    /// The rule.
    pub rule_id: RuleId,
    /// How it gets on with the other rules and the whitelist.
    pub warnings: Vec<RuleWarning>,
}

/// Something about a rule that its author may not have meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleWarning {
    /// What it is.
    pub kind: RuleWarningKind,
    /// The other rule.
    pub other: Option<RuleId>,
    /// Which of both approves where both match.
    pub wins: Option<RuleId>,
    /// In words.
    pub message: String,
}

/// What there is to say about a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RuleWarningKind {
    /// Another rule says the same.
    Duplicate,
    /// The winning rule approves everything that the other one would, and not later: the other never decides.
    NeverDecides,
    /// Some patches match both.
    Overlaps,
    /// Nothing can match.
    NeverMatches,
}

/// Where an entry of a simulation stands in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SimulatedKey {
    /// The patch.
    pub patch_id: PatchId,
    /// The customer.
    pub customer_id: CustomerId,
}

/// What a rule would have approved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleSimulation {
    /// From when on patches that were missing were looked at.
    pub from: DateTime<Utc>,
    /// Until when.
    pub until: DateTime<Utc>,
    /// Patches at customers that were looked at.
    pub looked_at: u64,
    /// Patches that would have been approved somewhere.
    pub patches: u64,
    /// Approvals: each patch counts once for each customer.
    pub approvals: u64,
    /// Devices that would have been allowed to install one of them.
    pub devices: u64,
    /// Installations that would have been allowed: each patch counts once for each device.
    pub installs: u64,
    /// Approvals that would still have to come.
    pub scheduled: u64,
    /// Patches at customers that were superseded or withdrawn before the rule would have approved them.
    pub ended_before: u64,
    /// Why the others would not have been approved.
    pub refused: Vec<RefusedCount>,
    /// Approvals in the order of their keys, a page of them.
    pub items: Vec<SimulatedApproval>,
    /// Where the next page begins; none after the last one.
    pub next: Option<SimulatedKey>,
}

/// How often a rule would have refused for a reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedCount {
    /// The reason.
    pub reason: RefusalReason,
    /// Patches at customers.
    pub count: u64,
}

/// An approval that there would have been.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SimulatedApproval {
    /// The patch.
    pub patch_id: PatchId,
    /// The vendor's id of it.
    pub vendor_patch_id: String,
    /// The customer.
    pub customer_id: CustomerId,
    /// When.
    pub approves_at: DateTime<Utc>,
    /// Devices that were still without it then, or found to be later.
    pub devices: u64,
    /// The first of them.
    pub device_ids: Vec<DeviceId>,
}
