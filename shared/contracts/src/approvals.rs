//! Whitelists, auto-approval rules and decisions.

pub mod blocks;
pub mod decisions;
pub mod policies;
pub mod precedence;
pub mod rules;
mod scope;
pub mod standing;

pub use blocks::{BlockEvent, BlockPatch, PatchBlocked, PatchUnblocked, UnblockPatch};
pub use decisions::{
    ApprovalEvent, ApprovalLapsed, ApprovalMode, ApprovalOpened, ApprovalRevoked, ApprovePatch,
    AutoApprovalRefused, DecidePatches, DecidedPatches, DeferPatch, DeferralEnded, GiveSecondApproval,
    PatchApproved, PatchDecision, PatchDeferred, PatchRejected, RefusedDecision, RejectPatch, RevokeApproval,
    SecondApprovalGiven, SecondApprovalRequested,
};
pub use policies::{ApprovalPolicyEvent, ApprovalPolicySet, SetApprovalPolicy};
pub use precedence::effective;
pub use rules::{
    AddToWhitelist, ChangeRule, CreateRule, DisableRule, RefusalReason, RemoveFromWhitelist, RuleConditions,
    RuleCreated, RuleDisabled, RuleEnabled, RuleEvent, RuleVersionCreated, WhitelistEntryAdded,
    WhitelistEntryRemoved, WhitelistEvent, WhitelistPattern,
};
pub use scope::{ApprovalLevel, ApprovalScope};
pub use standing::{Change, Decisions};
