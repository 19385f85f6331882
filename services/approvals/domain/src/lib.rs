//! Rules of the whitelist, of auto-approval, and of decisions on patches.

pub mod approval;
pub mod block;
pub mod evaluation;
pub mod looks;
pub mod overlap;
pub mod policy;
pub mod rule;
pub mod simulation;
pub mod whitelist;

/// Characters of a comment at the most: a paragraph, not an essay.
pub const COMMENT_MAX: usize = 2_000;
