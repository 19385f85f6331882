//! Whitelists, auto-approval rules and decisions.

pub mod decisions;
pub mod precedence;
pub mod rules;
mod scope;

pub use decisions::{
    ApprovalEvent, ApprovalLapsed, ApprovalMode, ApprovalOpened, ApprovalRevoked, ApprovePatch,
    AutoApprovalRefused, PatchApproved, PatchRejected, RejectPatch, RevokeApproval,
};
pub use precedence::effective;
pub use rules::{
    AddToWhitelist, ChangeRule, CreateRule, DisableRule, RefusalReason, RemoveFromWhitelist, RuleConditions,
    RuleCreated, RuleDisabled, RuleEnabled, RuleEvent, RuleVersionCreated, WhitelistEntryAdded,
    WhitelistEntryRemoved, WhitelistEvent, WhitelistPattern,
};
pub use scope::{ApprovalLevel, ApprovalScope};
