//! An auto-approval rule and its versions.

use contracts::approvals::{
    RuleContents, RuleCreated, RuleDisabled, RuleEnabled, RuleEvent, RuleOwner, RuleTiming,
    RuleVersionCreated,
};
use kernel::{Aggregate, DeviceGroupId, Refused, RuleId};

/// Characters of a rule's name at the most.
const NAME_MAX: usize = 200;
/// Entries of each of a rule's lists at the most: beyond it, a shorter text or a second rule says it better.
const LIST_MAX: usize = 50;
/// Characters of one text at the most, as in a whitelist.
const TEXT_MAX: usize = 200;
/// Groups of a rule at the most.
const GROUPS_MAX: usize = 100;
/// Days of a delay or a minimum age at the most: a longer one lets patches be superseded before they are approved.
pub const DAYS_MAX: u16 = 360;
/// The highest rating.
const RATING_MAX: u8 = 5;
/// Rules of one owner at the most: each of them looks at each patch.
pub const RULES_MAX: usize = 200;

/// The aggregate.
#[derive(Debug)]
pub struct Rule;

/// Whether it exists, and how it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum State {
    /// Not known.
    #[default]
    Unknown,
    /// Known.
    Known {
        /// Whose it is.
        owner: RuleOwner,
        /// Current version.
        version: u32,
        /// What it says.
        contents: RuleContents,
        /// Whether it works.
        enabled: bool,
    },
}

/// How much of what is pending a rule would approve, now or later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// Installations that it would allow: each patch counts once for each device.
    pub installs: u64,
    /// Installations that wait for a decision.
    pub pending: u64,
    /// Above this share of them, in percent, somebody has to confirm it.
    pub confirm_above_percent: u8,
    /// Fewer installations than this are never a large share: a new customer has few of anything.
    pub confirm_from_installs: u64,
    /// Whether somebody did.
    pub confirmed: bool,
}

/// What was looked up for the decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Surroundings {
    /// Rules that the owner has already.
    pub rules: usize,
    /// A group that the rule names and the owner does not have.
    pub unknown_group: Option<DeviceGroupId>,
    /// How much it would approve.
    pub reach: Reach,
}

/// What may be wished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Creates the rule.
    Create {
        /// Its id.
        rule_id: RuleId,
        /// Whose it is.
        owner: RuleOwner,
        /// Its name.
        name: String,
        /// What it says.
        contents: RuleContents,
        /// What was looked up.
        surroundings: Surroundings,
    },
    /// Makes a new version.
    Change {
        /// Its id.
        rule_id: RuleId,
        /// What it says now.
        contents: RuleContents,
        /// What was looked up.
        surroundings: Surroundings,
    },
    /// Switches it off.
    Disable {
        /// Its id.
        rule_id: RuleId,
    },
    /// Switches it on.
    Enable {
        /// Its id.
        rule_id: RuleId,
        /// How much it would approve.
        reach: Reach,
    },
}

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No such rule.
    #[error("there is no such rule")]
    Unknown,
    /// The name cannot be one.
    #[error("a rule's name must have 1 to {NAME_MAX} characters, and has {length}")]
    InvalidName {
        /// Its length.
        length: usize,
    },
    /// It would never match.
    #[error("a rule needs at least one severity or classification")]
    NoCondition,
    /// A list is too long, or a text in it cannot be one.
    #[error("{list} must be at most {LIST_MAX} texts of 1 to {TEXT_MAX} characters")]
    InvalidList {
        /// Which list.
        list: &'static str,
    },
    /// There is no such rating.
    #[error("a minimum rating must be 1 to {RATING_MAX}, and is {rating}")]
    InvalidRating {
        /// What was given.
        rating: u8,
    },
    /// It would wait too long.
    #[error("a delay or a minimum age must be 0 to {DAYS_MAX} days, and is {days}")]
    TooLong {
        /// What was given.
        days: u16,
    },
    /// More groups than a rule can have.
    #[error("a rule has at most {GROUPS_MAX} groups")]
    TooManyGroups,
    /// Groups are customers'.
    #[error("a partner's rule works for all of its customers and cannot name their groups")]
    GroupsOfPartner,
    /// No such group.
    #[error("the customer has no group {group_id}")]
    GroupUnknown {
        /// The group.
        group_id: DeviceGroupId,
    },
    /// More rules than anybody can oversee.
    #[error("there are {RULES_MAX} rules already")]
    TooMany,
    /// It would approve a large share of what is pending.
    #[error(
        "the rule would approve {installs} of {pending} pending installations, more than {percent} percent: confirm that"
    )]
    TooBroad {
        /// Installations that it would allow.
        installs: u64,
        /// Installations that wait for a decision.
        pending: u64,
        /// The share that needs no confirmation.
        percent: u8,
    },
}

impl Refused for Refusal {
    fn code(&self) -> &'static str {
        match self {
            Self::Unknown => "approvals.rule_unknown",
            Self::InvalidName { .. } => "approvals.rule_name_invalid",
            Self::NoCondition => "approvals.rule_without_condition",
            Self::InvalidList { .. } => "approvals.rule_list_invalid",
            Self::InvalidRating { .. } => "approvals.rule_rating_invalid",
            Self::TooLong { .. } => "approvals.rule_delay_invalid",
            Self::TooManyGroups => "approvals.rule_groups_too_many",
            Self::GroupsOfPartner => "approvals.rule_groups_of_partner",
            Self::GroupUnknown { .. } => "approvals.rule_group_unknown",
            Self::TooMany => "approvals.rules_too_many",
            Self::TooBroad { .. } => "approvals.rule_too_broad",
        }
    }

    fn is_not_found(&self) -> bool {
        matches!(self, Self::Unknown)
    }
}

impl Aggregate for Rule {
    const STREAM: &'static str = "approvals.rule";
    type State = State;
    type Command = Command;
    type Event = RuleEvent;
    type Refusal = Refusal;

    fn decide(state: &State, command: Command) -> Result<Vec<RuleEvent>, Refusal> {
        match (command, state) {
            (Command::Create { rule_id, owner, name, contents, surroundings }, State::Unknown) => {
                let length = name.chars().count();
                if name.trim().is_empty() || length > NAME_MAX {
                    return Err(Refusal::InvalidName { length });
                }
                check(owner, &contents, surroundings.unknown_group)?;
                if surroundings.rules >= RULES_MAX {
                    return Err(Refusal::TooMany);
                }
                surroundings.reach.check()?;
                Ok(vec![RuleCreated { rule_id, owner, name, contents }.into()])
            }
            (Command::Create { .. }, State::Known { .. })
            | (Command::Enable { .. }, State::Known { enabled: true, .. }) => Ok(vec![]),
            (Command::Change { .. } | Command::Disable { .. } | Command::Enable { .. }, State::Unknown) => {
                Err(Refusal::Unknown)
            }
            (
                Command::Change { rule_id, contents, surroundings },
                State::Known { owner, version, contents: known, enabled },
            ) => {
                check(*owner, &contents, surroundings.unknown_group)?;
                if contents == *known {
                    return Ok(vec![]);
                }
                // One that is switched off approves nothing yet.
                if *enabled {
                    surroundings.reach.check()?;
                }
                Ok(vec![RuleVersionCreated { rule_id, rule_version: version + 1, contents }.into()])
            }
            (Command::Disable { rule_id }, State::Known { enabled, .. }) => {
                Ok(if *enabled { vec![RuleDisabled { rule_id }.into()] } else { vec![] })
            }
            (Command::Enable { rule_id, reach }, State::Known { enabled: false, .. }) => {
                reach.check()?;
                Ok(vec![RuleEnabled { rule_id }.into()])
            }
        }
    }

    fn evolve(state: State, event: &RuleEvent) -> State {
        match (event, state) {
            (RuleEvent::RuleCreated(fact), _) => {
                State::Known { owner: fact.owner, version: 1, contents: fact.contents.clone(), enabled: true }
            }
            (_, State::Unknown) => State::Unknown,
            (RuleEvent::RuleVersionCreated(fact), State::Known { owner, enabled, .. }) => {
                State::Known { owner, version: fact.rule_version, contents: fact.contents.clone(), enabled }
            }
            (RuleEvent::RuleDisabled(_), State::Known { owner, version, contents, .. }) => {
                State::Known { owner, version, contents, enabled: false }
            }
            (RuleEvent::RuleEnabled(_), State::Known { owner, version, contents, .. }) => {
                State::Known { owner, version, contents, enabled: true }
            }
        }
    }
}

impl Reach {
    fn check(&self) -> Result<(), Refusal> {
        let Self { installs, pending, confirm_above_percent: percent, confirm_from_installs, confirmed } =
            *self;
        // In 128 bits: a share of anything fits.
        let is_large = u128::from(installs) * 100 > u128::from(pending) * u128::from(percent);
        if is_large && installs >= confirm_from_installs && !confirmed {
            return Err(Refusal::TooBroad { installs, pending, percent });
        }
        Ok(())
    }
}

/// Whether somebody can have a rule that says this.
pub fn check(
    owner: RuleOwner,
    contents: &RuleContents,
    unknown_group: Option<DeviceGroupId>,
) -> Result<(), Refusal> {
    let RuleContents { groups, conditions, timing } = contents;
    if conditions.severities.is_empty() && conditions.classifications.is_empty() {
        return Err(Refusal::NoCondition);
    }
    if conditions.severities.len() > LIST_MAX {
        return Err(Refusal::InvalidList { list: "severities" });
    }
    if conditions.classifications.len() > LIST_MAX {
        return Err(Refusal::InvalidList { list: "classifications" });
    }
    for (list, texts) in [
        ("products", &conditions.products),
        ("vendors", &conditions.vendors),
        ("OS releases", &conditions.os_releases),
    ] {
        let is_text = |text: &String| !text.trim().is_empty() && text.chars().count() <= TEXT_MAX;
        if texts.len() > LIST_MAX || !texts.iter().all(is_text) {
            return Err(Refusal::InvalidList { list });
        }
    }
    if let Some(rating) = conditions.minimum_rating.filter(|rating| !(1..=RATING_MAX).contains(rating)) {
        return Err(Refusal::InvalidRating { rating });
    }
    let delay = match timing {
        RuleTiming::Delay { days } => *days,
        RuleTiming::CutOff { .. } => 0,
    };
    let days = delay.max(conditions.minimum_age_days.unwrap_or(0));
    if days > DAYS_MAX {
        return Err(Refusal::TooLong { days });
    }
    if groups.len() > GROUPS_MAX {
        return Err(Refusal::TooManyGroups);
    }
    if owner.customer_id().is_none() && !groups.is_empty() {
        return Err(Refusal::GroupsOfPartner);
    }
    match unknown_group {
        Some(group_id) => Err(Refusal::GroupUnknown { group_id }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
