//! Whitelists, auto-approval rules, decisions, baselines and compliance.

pub mod baselines;
pub mod compliance;
pub mod decisions;
pub mod rules;
mod scope;

pub use baselines::{
    AssignBaseline, BaselineAssigned, BaselineAssignmentEvent, BaselineContent, BaselineCreated,
    BaselineEvent, BaselineRetired, BaselineRule, BaselineUnassigned, BaselineVersionCreated, ChangeBaseline,
    CreateBaseline, RetireBaseline, UnassignBaseline,
};
pub use compliance::{
    ComplianceEnded, ComplianceEvaluated, ComplianceEvent, ComplianceState, DeviceBecameCompliant,
    DeviceBecameNonCompliant, NotAssessedReason, SeverityCounts,
};
pub use decisions::{
    ApprovalEvent, ApprovalLapsed, ApprovalMode, ApprovalOpened, ApprovalRevoked, ApprovePatch,
    AutoApprovalRefused, PatchApproved, PatchRejected, RejectPatch, RevokeApproval,
};
pub use rules::{
    AddToWhitelist, ChangeRule, CreateRule, DisableRule, RefusalReason, RemoveFromWhitelist, RuleConditions,
    RuleCreated, RuleDisabled, RuleEnabled, RuleEvent, RuleVersionCreated, WhitelistEntryAdded,
    WhitelistEntryRemoved, WhitelistEvent, WhitelistPattern,
};
pub use scope::{ApprovalLevel, ApprovalScope};
