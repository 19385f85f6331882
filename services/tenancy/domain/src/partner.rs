//! A partner: registered once.

use crate::{InvalidText, text::check_name};
use contracts::tenancy::{PartnerEvent, PartnerRegistered};
use kernel::{Aggregate, PartnerId, Refused};

/// The aggregate.
#[derive(Debug)]
pub struct Partner;

/// Whether it exists.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum State {
    /// Not known.
    #[default]
    Unknown,
    /// Registered under this name.
    Registered {
        /// The name.
        name: String,
    },
}

/// What may be wished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Registers the partner.
    Register {
        /// Its id.
        partner_id: PartnerId,
        /// Its name.
        name: String,
    },
}

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The name cannot be one.
    #[error(transparent)]
    InvalidName(#[from] InvalidText),
    /// The id is taken.
    #[error("partner {partner_id} is registered already")]
    Exists {
        /// The id.
        partner_id: PartnerId,
    },
}

impl Refused for Refusal {
    fn code(&self) -> &'static str {
        match self {
            Self::InvalidName(_) => "tenancy.name_invalid",
            Self::Exists { .. } => "tenancy.partner_exists",
        }
    }

    fn is_conflict(&self) -> bool {
        matches!(self, Self::Exists { .. })
    }
}

impl Aggregate for Partner {
    const STREAM: &'static str = "tenancy.partner";
    type State = State;
    type Command = Command;
    type Event = PartnerEvent;
    type Refusal = Refusal;

    fn decide(state: &State, command: Command) -> Result<Vec<PartnerEvent>, Refusal> {
        let Command::Register { partner_id, name } = command;
        match state {
            State::Unknown => {
                check_name("name", &name)?;
                Ok(vec![PartnerRegistered { partner_id, name }.into()])
            }
            State::Registered { name: known } if *known == name => Ok(vec![]),
            State::Registered { .. } => Err(Refusal::Exists { partner_id }),
        }
    }

    fn evolve(_: State, event: &PartnerEvent) -> State {
        match event {
            PartnerEvent::PartnerRegistered(fact) => State::Registered { name: fact.name.clone() },
        }
    }
}
