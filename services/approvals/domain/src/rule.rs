//! An auto-approval rule and its versions.

use contracts::approvals::{
    RuleConditions, RuleCreated, RuleDisabled, RuleEnabled, RuleEvent, RuleVersionCreated,
};
use kernel::{Aggregate, CustomerId, Refused, RuleId};

/// Characters of a rule's name at the most.
const NAME_MAX: usize = 200;

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
        /// Current version.
        version: u32,
        /// When it matches.
        conditions: RuleConditions,
        /// Whether it works.
        enabled: bool,
    },
}

/// What may be wished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Creates the rule.
    Create {
        /// Its id.
        rule_id: RuleId,
        /// The customer.
        customer_id: CustomerId,
        /// Its name.
        name: String,
        /// When it matches.
        conditions: RuleConditions,
    },
    /// Makes a new version.
    Change {
        /// Its id.
        rule_id: RuleId,
        /// When it matches now.
        conditions: RuleConditions,
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
}

impl Refused for Refusal {
    fn code(&self) -> &'static str {
        match self {
            Self::Unknown => "approvals.rule_unknown",
            Self::InvalidName { .. } => "approvals.rule_name_invalid",
            Self::NoCondition => "approvals.rule_without_condition",
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
            (Command::Create { rule_id, customer_id, name, conditions }, State::Unknown) => {
                let length = name.chars().count();
                if name.trim().is_empty() || length > NAME_MAX {
                    return Err(Refusal::InvalidName { length });
                }
                check(&conditions)?;
                Ok(vec![RuleCreated { rule_id, customer_id, name, conditions }.into()])
            }
            (Command::Create { .. }, State::Known { .. }) => Ok(vec![]),
            (Command::Change { .. } | Command::Disable { .. } | Command::Enable { .. }, State::Unknown) => {
                Err(Refusal::Unknown)
            }
            (Command::Change { rule_id, conditions }, State::Known { version, conditions: known, .. }) => {
                check(&conditions)?;
                if conditions == *known {
                    return Ok(vec![]);
                }
                Ok(vec![RuleVersionCreated { rule_id, rule_version: version + 1, conditions }.into()])
            }
            (Command::Disable { rule_id }, State::Known { enabled, .. }) => {
                Ok(if *enabled { vec![RuleDisabled { rule_id }.into()] } else { vec![] })
            }
            (Command::Enable { rule_id }, State::Known { enabled, .. }) => {
                Ok(if *enabled { vec![] } else { vec![RuleEnabled { rule_id }.into()] })
            }
        }
    }

    fn evolve(state: State, event: &RuleEvent) -> State {
        match (event, state) {
            (RuleEvent::RuleCreated(fact), _) => {
                State::Known { version: 1, conditions: fact.conditions.clone(), enabled: true }
            }
            (_, State::Unknown) => State::Unknown,
            (RuleEvent::RuleVersionCreated(fact), State::Known { enabled, .. }) => {
                State::Known { version: fact.rule_version, conditions: fact.conditions.clone(), enabled }
            }
            (RuleEvent::RuleDisabled(_), State::Known { version, conditions, .. }) => {
                State::Known { version, conditions, enabled: false }
            }
            (RuleEvent::RuleEnabled(_), State::Known { version, conditions, .. }) => {
                State::Known { version, conditions, enabled: true }
            }
        }
    }
}

fn check(conditions: &RuleConditions) -> Result<(), Refusal> {
    if conditions.severities.is_empty() && conditions.classifications.is_empty() {
        return Err(Refusal::NoCondition);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use contracts::Severity;
    use scenario::given;
    use uuid::Uuid;

    const RULE: RuleId = RuleId(Uuid::from_u128(1));
    const ACME: CustomerId = CustomerId(Uuid::from_u128(2));

    fn on(severity: Severity) -> RuleConditions {
        RuleConditions { severities: vec![severity], classifications: vec![] }
    }

    fn created() -> RuleEvent {
        let conditions = on(Severity::Critical);
        RuleCreated { rule_id: RULE, customer_id: ACME, name: "critical".into(), conditions }.into()
    }

    #[test]
    fn a_change_makes_a_new_version() {
        let conditions = on(Severity::High);
        given::<Rule>([created()])
            .when(Command::Change { rule_id: RULE, conditions: conditions.clone() })
            .then([RuleVersionCreated { rule_id: RULE, rule_version: 2, conditions }.into()]);
    }

    #[test]
    fn a_rule_without_condition_is_refused() {
        let conditions = RuleConditions { severities: vec![], classifications: vec![] };
        given::<Rule>([])
            .when(Command::Create { rule_id: RULE, customer_id: ACME, name: "all".into(), conditions })
            .then_refused(&Refusal::NoCondition);
    }

    #[test]
    fn nobody_can_disable_what_is_not_there() {
        given::<Rule>([]).when(Command::Disable { rule_id: RULE }).then_refused(&Refusal::Unknown);
    }
}
