//! Whitelists, auto-approval rules and decisions.

pub mod decisions;
mod rule_answers;
mod rule_history;
pub mod rules;
mod scope;

pub use decisions::{
    ApprovalEvent, ApprovalLapsed, ApprovalMode, ApprovalOpened, ApprovalRevoked, ApprovalScheduled,
    ApprovePatch, AutoApprovalRefused, PatchApproved, PatchRejected, RejectPatch, RevokeApproval,
};
pub use rule_answers::{
    RefusedCount, RuleSimulation, RuleWarning, RuleWarningKind, SavedRule, SimulatedApproval, SimulatedKey,
};
pub use rules::{
    AddToWhitelist, ChangeRule, CreateRule, DisableRule, EnableRule, RefusalReason, RemoveFromWhitelist,
    RuleConditions, RuleContents, RuleCreated, RuleDisabled, RuleEnabled, RuleEvent, RuleInputs, RuleOwner,
    RuleSimulationEvent, RuleSimulationRequested, RuleTiming, RuleVersionCreated, SimulateRule,
    WhitelistEntryAdded, WhitelistEntryRemoved, WhitelistEvent, WhitelistPattern,
};
pub use scope::{ApprovalLevel, ApprovalScope};
