//! A partner's hard block of one patch: it is kept from all customers, whatever they decide.
//!
//! ```text
//! NotBlocked --block--> Blocked --unblock--> NotBlocked
//! ```

use crate::COMMENT_MAX;
use contracts::approvals::{BlockEvent, PatchBlocked, PatchUnblocked};
use kernel::{Aggregate, PartnerId, PatchId, Refused, UserId};

/// The aggregate.
#[derive(Debug)]
pub struct Block;

/// Where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum State {
    /// As it is decided.
    #[default]
    NotBlocked,
    /// Kept from everybody.
    Blocked {
        /// Who did it.
        by: UserId,
    },
}

/// What may be wished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Keeps the patch away.
    Block {
        /// The patch.
        patch_id: PatchId,
        /// The partner.
        partner_id: PartnerId,
        /// Who.
        by: UserId,
        /// Why.
        comment: String,
    },
    /// Lets decisions count again.
    Unblock {
        /// The patch.
        patch_id: PatchId,
        /// The partner.
        partner_id: PartnerId,
        /// Who.
        by: UserId,
        /// Why.
        comment: String,
    },
}

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Somebody was faster.
    #[error("the patch is blocked already, by user {by}")]
    AlreadyBlocked {
        /// Who.
        by: UserId,
    },
    /// There is nothing to end.
    #[error("the patch is not blocked")]
    NotBlocked,
    /// A block needs a reason.
    #[error("the comment must have 1 to {COMMENT_MAX} characters, and has {length}")]
    InvalidComment {
        /// Its length.
        length: usize,
    },
}

impl Refused for Refusal {
    fn code(&self) -> &'static str {
        match self {
            Self::AlreadyBlocked { .. } => "approvals.already_blocked",
            Self::NotBlocked => "approvals.not_blocked",
            Self::InvalidComment { .. } => "approvals.comment_invalid",
        }
    }

    fn is_conflict(&self) -> bool {
        matches!(self, Self::AlreadyBlocked { .. })
    }
}

impl Aggregate for Block {
    const STREAM: &'static str = "approvals.block";
    type State = State;
    type Command = Command;
    type Event = BlockEvent;
    type Refusal = Refusal;

    fn decide(state: &State, command: Command) -> Result<Vec<BlockEvent>, Refusal> {
        match command {
            Command::Block { patch_id, partner_id, by, comment } => {
                check_comment(&comment)?;
                match state {
                    State::Blocked { by: first } if *first == by => Ok(vec![]),
                    State::Blocked { by } => Err(Refusal::AlreadyBlocked { by: *by }),
                    State::NotBlocked => {
                        Ok(vec![PatchBlocked { patch_id, partner_id, blocked_by: by, comment }.into()])
                    }
                }
            }
            Command::Unblock { patch_id, partner_id, by, comment } => {
                check_comment(&comment)?;
                match state {
                    State::Blocked { .. } => {
                        Ok(vec![PatchUnblocked { patch_id, partner_id, unblocked_by: by, comment }.into()])
                    }
                    State::NotBlocked => Err(Refusal::NotBlocked),
                }
            }
        }
    }

    fn evolve(_: State, event: &BlockEvent) -> State {
        match event {
            BlockEvent::PatchBlocked(fact) => State::Blocked { by: fact.blocked_by },
            BlockEvent::PatchUnblocked(_) => State::NotBlocked,
        }
    }
}

fn check_comment(comment: &str) -> Result<(), Refusal> {
    let length = comment.chars().count();
    if length > COMMENT_MAX || comment.trim().is_empty() {
        return Err(Refusal::InvalidComment { length });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use scenario::given;
    use uuid::Uuid;

    const ALICE: UserId = UserId(Uuid::from_u128(1));
    const BOB: UserId = UserId(Uuid::from_u128(2));
    const PATCH: PatchId = PatchId(Uuid::from_u128(3));
    const MSP: PartnerId = PartnerId(Uuid::from_u128(4));

    fn block(by: UserId) -> Command {
        Command::Block { patch_id: PATCH, partner_id: MSP, by, comment: "breaks printing".into() }
    }

    fn blocked() -> BlockEvent {
        let comment = "breaks printing".into();
        PatchBlocked { patch_id: PATCH, partner_id: MSP, blocked_by: ALICE, comment }.into()
    }

    fn unblock() -> Command {
        Command::Unblock { patch_id: PATCH, partner_id: MSP, by: BOB, comment: "corrected".into() }
    }

    #[test]
    fn a_partner_blocks_a_patch_once() {
        given::<Block>([]).when(block(ALICE)).then([blocked()]);
        given::<Block>([blocked()]).when(block(BOB)).then_refused(&Refusal::AlreadyBlocked { by: ALICE });
    }

    #[test]
    fn a_block_can_be_ended_and_made_again() {
        let ended = PatchUnblocked {
            patch_id: PATCH,
            partner_id: MSP,
            unblocked_by: BOB,
            comment: "corrected".into(),
        };
        let facts = Block::decide(&kernel::fold::<Block>(&[blocked()]), unblock());
        assert_eq!(facts, Ok(vec![ended.clone().into()]));
        given::<Block>([blocked(), ended.into()]).when(block(ALICE)).then([blocked()]);
    }

    #[test]
    fn what_is_not_blocked_cannot_be_unblocked() {
        given::<Block>([]).when(unblock()).then_refused(&Refusal::NotBlocked);
    }

    #[test]
    fn a_block_needs_a_reason() {
        let silent = Command::Block { patch_id: PATCH, partner_id: MSP, by: ALICE, comment: " ".into() };
        given::<Block>([]).when(silent).then_refused(&Refusal::InvalidComment { length: 1 });
    }
}
