//! A customer: registered once, below one partner.

use crate::{InvalidText, text::check_name};
use contracts::tenancy::{CustomerEvent, CustomerRegistered};
use kernel::{Aggregate, CustomerId, PartnerId, Refused};

/// The aggregate.
#[derive(Debug)]
pub struct Customer;

/// Whether it exists.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum State {
    /// Not known.
    #[default]
    Unknown,
    /// Registered.
    Registered {
        /// The name.
        name: String,
    },
}

/// What may be wished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Registers the customer.
    Register {
        /// Its id.
        customer_id: CustomerId,
        /// Its partner.
        partner_id: PartnerId,
        /// Its name.
        name: String,
        /// IANA time zone.
        time_zone: String,
    },
}

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The name cannot be one.
    #[error(transparent)]
    InvalidName(#[from] InvalidText),
    /// The time zone is not in the form of the IANA database.
    #[error("time zone {time_zone:?} is not in the form Area/Location or UTC")]
    InvalidTimeZone {
        /// What was given.
        time_zone: String,
    },
    /// The id is taken.
    #[error("customer {customer_id} is registered already")]
    Exists {
        /// The id.
        customer_id: CustomerId,
    },
}

impl Refused for Refusal {
    fn code(&self) -> &'static str {
        match self {
            Self::InvalidName(_) => "tenancy.name_invalid",
            Self::InvalidTimeZone { .. } => "tenancy.time_zone_invalid",
            Self::Exists { .. } => "tenancy.customer_exists",
        }
    }

    fn is_conflict(&self) -> bool {
        matches!(self, Self::Exists { .. })
    }
}

impl Aggregate for Customer {
    const STREAM: &'static str = "tenancy.customer";
    type State = State;
    type Command = Command;
    type Event = CustomerEvent;
    type Refusal = Refusal;

    fn decide(state: &State, command: Command) -> Result<Vec<CustomerEvent>, Refusal> {
        let Command::Register { customer_id, partner_id, name, time_zone } = command;
        match state {
            State::Unknown => {
                check_name("name", &name)?;
                check_time_zone(&time_zone)?;
                Ok(vec![CustomerRegistered { customer_id, partner_id, name, time_zone }.into()])
            }
            State::Registered { name: known } if *known == name => Ok(vec![]),
            State::Registered { .. } => Err(Refusal::Exists { customer_id }),
        }
    }

    fn evolve(_: State, event: &CustomerEvent) -> State {
        match event {
            CustomerEvent::CustomerRegistered(fact) => State::Registered { name: fact.name.clone() },
        }
    }
}

/// The form only: which zones exist changes several times a year, and windows (which need the rules) come with a table.
fn check_time_zone(time_zone: &str) -> Result<(), Refusal> {
    let part = |text: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '+'))
    };
    let parts: Vec<&str> = time_zone.split('/').collect();
    let fine = time_zone == "UTC" || ((2..=3).contains(&parts.len()) && parts.into_iter().all(part));
    if fine && time_zone.len() <= 64 {
        Ok(())
    } else {
        Err(Refusal::InvalidTimeZone { time_zone: time_zone.chars().take(64).collect() })
    }
}
