//! A whitelist, a partner's or a customer's: patterns that let patches through to the rules.

use contracts::approvals::{
    RuleOwner, WhitelistEntryAdded, WhitelistEntryRemoved, WhitelistEvent, WhitelistPattern,
};
use kernel::{Aggregate, Refused};
use std::collections::HashSet;

/// Entries of one whitelist at the most: beyond it a pattern is the better tool.
const ENTRIES_MAX: usize = 5_000;
/// Characters of a pattern at the most.
const PATTERN_MAX: usize = 200;

/// The aggregate.
#[derive(Debug)]
pub struct Whitelist;

/// What may be wished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Lets patches through.
    Add {
        /// Whose whitelist it is.
        owner: RuleOwner,
        /// Which patches.
        pattern: WhitelistPattern,
    },
    /// Lets them through no more.
    Remove {
        /// Whose whitelist it is.
        owner: RuleOwner,
        /// Which patches.
        pattern: WhitelistPattern,
    },
}

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The pattern would match everything or nothing.
    #[error("a whitelist pattern must have 1 to {PATTERN_MAX} characters, and has {length}")]
    InvalidPattern {
        /// Its length.
        length: usize,
    },
    /// Too many entries.
    #[error("a whitelist has at most {ENTRIES_MAX} entries")]
    Full,
}

impl Refused for Refusal {
    fn code(&self) -> &'static str {
        match self {
            Self::InvalidPattern { .. } => "approvals.pattern_invalid",
            Self::Full => "approvals.whitelist_full",
        }
    }
}

impl Aggregate for Whitelist {
    const STREAM: &'static str = "approvals.whitelist";
    type State = HashSet<WhitelistPattern>;
    type Command = Command;
    type Event = WhitelistEvent;
    type Refusal = Refusal;

    fn decide(state: &Self::State, command: Command) -> Result<Vec<WhitelistEvent>, Refusal> {
        match command {
            Command::Add { pattern, .. } if state.contains(&pattern) => Ok(vec![]),
            Command::Add { .. } if state.len() >= ENTRIES_MAX => Err(Refusal::Full),
            Command::Add { owner, pattern } => {
                check(&pattern)?;
                Ok(vec![WhitelistEntryAdded { owner, pattern }.into()])
            }
            Command::Remove { pattern, .. } if !state.contains(&pattern) => Ok(vec![]),
            Command::Remove { owner, pattern } => Ok(vec![WhitelistEntryRemoved { owner, pattern }.into()]),
        }
    }

    fn evolve(mut state: Self::State, event: &WhitelistEvent) -> Self::State {
        match event {
            WhitelistEvent::WhitelistEntryAdded(fact) => {
                state.insert(fact.pattern.clone());
            }
            WhitelistEvent::WhitelistEntryRemoved(fact) => {
                state.remove(&fact.pattern);
            }
        }
        state
    }
}

fn check(pattern: &WhitelistPattern) -> Result<(), Refusal> {
    let text = match pattern {
        WhitelistPattern::VendorPatchId(text) | WhitelistPattern::Product(text) => text,
        WhitelistPattern::Classification(_) => return Ok(()),
    };
    let length = text.chars().count();
    if text.trim().is_empty() || length > PATTERN_MAX {
        return Err(Refusal::InvalidPattern { length });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::{CustomerId, PartnerId};
    use scenario::given;
    use uuid::Uuid;

    const ACME: RuleOwner = RuleOwner::Customer { customer_id: CustomerId(Uuid::from_u128(1)) };
    const PARTNER: RuleOwner = RuleOwner::Partner { partner_id: PartnerId(Uuid::from_u128(2)) };

    fn product(text: &str) -> WhitelistPattern {
        WhitelistPattern::Product(text.into())
    }

    #[test]
    fn an_entry_is_added_once() {
        given::<Whitelist>([])
            .when(Command::Add { owner: ACME, pattern: product("Windows 11") })
            .then([WhitelistEntryAdded { owner: ACME, pattern: product("Windows 11") }.into()]);
    }

    #[test]
    fn a_partner_has_a_whitelist_as_well() {
        let entry = WhitelistPattern::Classification(contracts::Classification::Security);
        given::<Whitelist>([])
            .when(Command::Add { owner: PARTNER, pattern: entry.clone() })
            .then([WhitelistEntryAdded { owner: PARTNER, pattern: entry }.into()]);
    }

    #[test]
    fn an_empty_pattern_would_let_everything_through() {
        given::<Whitelist>([])
            .when(Command::Add { owner: ACME, pattern: product(" ") })
            .then_refused(&Refusal::InvalidPattern { length: 1 });
    }
}
