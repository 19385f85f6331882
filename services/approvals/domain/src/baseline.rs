//! A baseline and its versions.
//!
//! ```text
//! Unknown --create--> Known (version 1, 2, …) --retire--> Retired
//! ```

use contracts::approvals::{
    BaselineContent, BaselineCreated, BaselineEvent, BaselineRetired, BaselineRule, BaselineVersionCreated,
};
use kernel::{Aggregate, BaselineId, CustomerId, PatchId, Refused};
use std::collections::HashSet;

/// Characters of a baseline's name at the most.
const NAME_MAX: usize = 200;
/// Rules at the most: one is enough to match, so more of them say little more.
const RULES_MAX: usize = 20;
/// Product texts of one rule at the most: each is looked for in every patch that is missing somewhere.
const PRODUCTS_MAX: usize = 50;
/// Characters of a product text at the most.
const PRODUCT_MAX: usize = 200;
/// Patches that are named one by one, of each kind, at the most: beyond it a rule is the better tool.
pub const NAMED_PATCHES_MAX: usize = 5_000;
/// Days at the most: a patch that is a year old has mostly been superseded.
const AGE_DAYS_MAX: u16 = 360;

/// The aggregate.
#[derive(Debug)]
pub struct Baseline;

/// Whether it exists, and how it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum State {
    /// Not known.
    #[default]
    Unknown,
    /// Devices may be measured against it.
    Known {
        /// Current version.
        version: u32,
        /// What it asks for.
        content: BaselineContent,
    },
    /// Nothing is measured against it any more.
    Retired {
        /// Its last version.
        version: u32,
    },
}

/// What may be wished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Creates the baseline.
    Create {
        /// Its id.
        baseline_id: BaselineId,
        /// Whose it is; none for the partner's own.
        customer_id: Option<CustomerId>,
        /// Its name.
        name: String,
        /// What it asks for.
        content: BaselineContent,
    },
    /// Makes a new version.
    Change {
        /// Its id.
        baseline_id: BaselineId,
        /// What it asks for now.
        content: BaselineContent,
    },
    /// Ends it.
    Retire {
        /// Its id.
        baseline_id: BaselineId,
    },
}

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No such baseline.
    #[error("there is no such baseline")]
    Unknown,
    /// It was retired: create another one.
    #[error("the baseline is retired")]
    Retired,
    /// The name cannot be one.
    #[error("a baseline's name must have 1 to {NAME_MAX} characters, and has {length}")]
    InvalidName {
        /// Its length.
        length: usize,
    },
    /// Every device would be compliant.
    #[error("a baseline needs at least one rule or one included patch")]
    Empty,
    /// Too much of something.
    #[error("a baseline has at most {max} {what}, and this one has {given}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there may be.
        max: usize,
        /// How many there are.
        given: usize,
    },
    /// A text that is in every name or in none.
    #[error("a product text must have 1 to {PRODUCT_MAX} characters, and has {length}")]
    InvalidProduct {
        /// Its length.
        length: usize,
    },
    /// Too old to be of use.
    #[error("a minimum age may be 0 to {AGE_DAYS_MAX} days, and is {days}")]
    InvalidAge {
        /// What was given.
        days: u16,
    },
    /// A patch is asked for and not asked for.
    #[error("patch {patch_id} is both included and excluded")]
    Contradiction {
        /// Which one.
        patch_id: PatchId,
    },
}

impl Refused for Refusal {
    fn code(&self) -> &'static str {
        match self {
            Self::Unknown => "approvals.baseline_unknown",
            Self::Retired => "approvals.baseline_retired",
            Self::InvalidName { .. } => "approvals.baseline_name_invalid",
            Self::Empty => "approvals.baseline_empty",
            Self::TooMany { .. } => "approvals.baseline_too_large",
            Self::InvalidProduct { .. } => "approvals.baseline_product_invalid",
            Self::InvalidAge { .. } => "approvals.baseline_age_invalid",
            Self::Contradiction { .. } => "approvals.baseline_contradiction",
        }
    }

    fn is_not_found(&self) -> bool {
        matches!(self, Self::Unknown)
    }
}

impl Aggregate for Baseline {
    const STREAM: &'static str = "approvals.baseline";
    type State = State;
    type Command = Command;
    type Event = BaselineEvent;
    type Refusal = Refusal;

    fn decide(state: &State, command: Command) -> Result<Vec<BaselineEvent>, Refusal> {
        match command {
            Command::Create { baseline_id, customer_id, name, content } => {
                create(state, baseline_id, customer_id, name, content)
            }
            Command::Change { baseline_id, content } => change(state, baseline_id, content),
            Command::Retire { baseline_id } => match state {
                State::Unknown => Err(Refusal::Unknown),
                State::Retired { .. } => Ok(vec![]),
                State::Known { .. } => Ok(vec![BaselineRetired { baseline_id }.into()]),
            },
        }
    }

    fn evolve(state: State, event: &BaselineEvent) -> State {
        match event {
            BaselineEvent::BaselineCreated(fact) => {
                State::Known { version: 1, content: fact.content.clone() }
            }
            BaselineEvent::BaselineVersionCreated(fact) => {
                State::Known { version: fact.baseline_version, content: fact.content.clone() }
            }
            BaselineEvent::BaselineRetired(_) => State::Retired { version: state.version() },
        }
    }
}

impl State {
    fn version(&self) -> u32 {
        match self {
            Self::Unknown => 0,
            Self::Known { version, .. } | Self::Retired { version } => *version,
        }
    }
}

fn create(
    state: &State,
    baseline_id: BaselineId,
    customer_id: Option<CustomerId>,
    name: String,
    content: BaselineContent,
) -> Result<Vec<BaselineEvent>, Refusal> {
    match state {
        State::Known { .. } | State::Retired { .. } => Ok(vec![]),
        State::Unknown => {
            let length = name.chars().count();
            if name.trim().is_empty() || length > NAME_MAX {
                return Err(Refusal::InvalidName { length });
            }
            let content = checked(content)?;
            Ok(vec![BaselineCreated { baseline_id, customer_id, name, content }.into()])
        }
    }
}

fn change(
    state: &State,
    baseline_id: BaselineId,
    content: BaselineContent,
) -> Result<Vec<BaselineEvent>, Refusal> {
    match state {
        State::Unknown => Err(Refusal::Unknown),
        State::Retired { .. } => Err(Refusal::Retired),
        State::Known { version, content: now } => {
            let content = checked(content)?;
            if content == *now {
                return Ok(vec![]);
            }
            let baseline_version = version.saturating_add(1);
            Ok(vec![BaselineVersionCreated { baseline_id, baseline_version, content }.into()])
        }
    }
}

/// The content as it is kept: patches in order and once each, so that the same wish is the same fact.
fn checked(mut content: BaselineContent) -> Result<BaselineContent, Refusal> {
    if content.rules.is_empty() && content.included.is_empty() {
        return Err(Refusal::Empty);
    }
    at_most("rules", RULES_MAX, content.rules.len())?;
    at_most("included patches", NAMED_PATCHES_MAX, content.included.len())?;
    at_most("excluded patches", NAMED_PATCHES_MAX, content.excluded.len())?;
    for patches in [&mut content.included, &mut content.excluded] {
        patches.sort_unstable();
        patches.dedup();
    }
    let excluded: HashSet<PatchId> = content.excluded.iter().copied().collect();
    if let Some(patch_id) = content.included.iter().copied().find(|patch_id| excluded.contains(patch_id)) {
        return Err(Refusal::Contradiction { patch_id });
    }
    content.rules.iter().try_for_each(check_rule)?;
    Ok(content)
}

fn check_rule(rule: &BaselineRule) -> Result<(), Refusal> {
    at_most("products in a rule", PRODUCTS_MAX, rule.products.len())?;
    // Each word once is all there can be; more are a sign of a mistake, and would be kept for ever.
    at_most("severities in a rule", 6, rule.severities.len())?;
    at_most("classifications in a rule", 11, rule.classifications.len())?;
    for product in &rule.products {
        let length = product.chars().count();
        if product.trim().is_empty() || length > PRODUCT_MAX {
            return Err(Refusal::InvalidProduct { length });
        }
    }
    if rule.minimum_age_days > AGE_DAYS_MAX {
        return Err(Refusal::InvalidAge { days: rule.minimum_age_days });
    }
    Ok(())
}

fn at_most(what: &'static str, max: usize, given: usize) -> Result<(), Refusal> {
    if given > max { Err(Refusal::TooMany { what, max, given }) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
