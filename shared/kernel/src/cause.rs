//! Who asked, and what it follows from.

use crate::{CommandId, CorrelationId, EventId};
use serde::{Deserialize, Serialize};

/// The kind of a cause's originator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum ActorKind {
    /// A person, or an integration with a person's rights.
    User,
    /// A device's agent.
    Agent,
    /// An auto-approval rule.
    Rule,
    /// Patchfleet itself: a timer or a reaction.
    System,
}

/// Who did it. Holds ids, never names or addresses: those are personal data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Actor {
    /// What kind of originator.
    pub kind: ActorKind,
    /// The user, device or rule id; the service's name for `system`.
    pub id: String,
    /// The user for whom it was done, where that differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<String>,
}

impl Actor {
    /// A reaction or timer of the service `name`.
    pub fn system(name: &str) -> Self {
        Self { kind: ActorKind::System, id: name.to_owned(), on_behalf_of: None }
    }

    /// A person.
    pub fn user(id: impl std::fmt::Display) -> Self {
        Self { kind: ActorKind::User, id: id.to_string(), on_behalf_of: None }
    }

    /// A device's agent.
    pub fn agent(id: impl std::fmt::Display) -> Self {
        Self { kind: ActorKind::Agent, id: id.to_string(), on_behalf_of: None }
    }

    /// An auto-approval rule.
    pub fn rule(id: impl std::fmt::Display) -> Self {
        Self { kind: ActorKind::Rule, id: id.to_string(), on_behalf_of: None }
    }
}

/// What every event of one command has in common.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// Repeating the same command id has no second effect.
    pub command_id: CommandId,
    /// Groups all that follows from one request.
    pub correlation_id: CorrelationId,
    /// The event this reacts to.
    pub causation_id: Option<EventId>,
    /// Who asked.
    pub actor: Actor,
    /// W3C Trace Context of the request, if it is traced.
    pub traceparent: Option<String>,
}
