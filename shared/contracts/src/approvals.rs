//! Whitelists, auto-approval rules and decisions.

pub mod blocks;
pub mod decisions;
pub mod policies;
pub mod precedence;
mod rule_answers;
mod rule_history;
pub mod rules;
mod scope;
pub mod standing;

pub use blocks::{BlockEvent, BlockPatch, PatchBlocked, PatchUnblocked, UnblockPatch};
pub use decisions::{
    ApprovalEvent, ApprovalLapsed, ApprovalMode, ApprovalOpened, ApprovalRevoked, ApprovalScheduled,
    ApprovePatch, AutoApprovalRefused, DecidePatches, DecidedPatches, DeferPatch, DeferralEnded,
    GiveSecondApproval, PatchApproved, PatchDecision, PatchDeferred, PatchRejected, RefusedDecision,
    RejectPatch, RevokeApproval, SecondApprovalGiven, SecondApprovalRequested,
};
pub use policies::{ApprovalPolicyEvent, ApprovalPolicySet, SetApprovalPolicy};
pub use precedence::effective;
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
pub use standing::{Change, Decisions};
