//! A single-use permission to enrol.
//!
//! ```text
//! NotIssued --issue--> Issued --use--> Used
//! ```

use chrono::{DateTime, TimeDelta, Utc};
use contracts::devices::{EnrolmentTokenEvent, EnrolmentTokenIssued, EnrolmentTokenUsed};
use kernel::{Aggregate, CustomerId, DeviceId, EnrolmentTokenId, Refused};

/// Shorter, and nobody could type it in.
pub const VALIDITY_SECONDS_MIN: u32 = 60;
/// A week: long enough for a technician's trip, short enough for a lost note.
pub const VALIDITY_SECONDS_MAX: u32 = 604_800;

/// An enrolment token.
pub struct EnrolmentToken;

/// Where a token stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum State {
    /// There is none.
    #[default]
    NotIssued,
    /// It waits for its device.
    Issued {
        /// Its id.
        token_id: EnrolmentTokenId,
        /// Not valid from here on.
        expires_at: DateTime<Utc>,
    },
    /// A device has used it.
    Used {
        /// Which one.
        device_id: DeviceId,
    },
}

/// What can be asked of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Make it known.
    Issue {
        /// Its id.
        token_id: EnrolmentTokenId,
        /// The customer that the device will belong to.
        customer_id: CustomerId,
        /// SHA-256 of the secret, lowercase hex.
        token_sha256: String,
        /// Validity.
        valid_for_seconds: u32,
        /// Now.
        at: DateTime<Utc>,
    },
    /// Let a device in.
    Use {
        /// The device.
        device_id: DeviceId,
        /// Now.
        at: DateTime<Utc>,
    },
}

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The validity is out of bounds.
    #[error(
        "a token is valid for {VALIDITY_SECONDS_MIN} to {VALIDITY_SECONDS_MAX} seconds, not for {seconds}"
    )]
    Validity {
        /// What was asked for.
        seconds: u32,
    },
    /// Nobody issued it.
    #[error("there is no such enrolment token")]
    Unknown,
    /// Too late.
    #[error("the enrolment token expired at {expires_at}")]
    Expired {
        /// When.
        expires_at: DateTime<Utc>,
    },
    /// Another device has used it.
    #[error("the enrolment token has been used")]
    Used,
}

impl Refused for Refusal {
    fn code(&self) -> &'static str {
        match self {
            Self::Validity { .. } => "devices.token_validity",
            Self::Unknown => "devices.token_unknown",
            Self::Expired { .. } => "devices.token_expired",
            Self::Used => "devices.token_used",
        }
    }

    fn is_conflict(&self) -> bool {
        *self == Self::Used
    }
}

impl Aggregate for EnrolmentToken {
    const STREAM: &'static str = "devices.enrolment_token";
    type State = State;
    type Command = Command;
    type Event = EnrolmentTokenEvent;
    type Refusal = Refusal;

    fn decide(state: &State, command: Command) -> Result<Vec<EnrolmentTokenEvent>, Refusal> {
        match command {
            Command::Issue { token_id, customer_id, token_sha256, valid_for_seconds, at } => {
                if !(VALIDITY_SECONDS_MIN..=VALIDITY_SECONDS_MAX).contains(&valid_for_seconds) {
                    return Err(Refusal::Validity { seconds: valid_for_seconds });
                }
                match state {
                    State::Issued { .. } | State::Used { .. } => Ok(vec![]),
                    State::NotIssued => {
                        let expires_at = at + TimeDelta::seconds(i64::from(valid_for_seconds));
                        Ok(vec![
                            EnrolmentTokenIssued { token_id, customer_id, token_sha256, expires_at }.into(),
                        ])
                    }
                }
            }
            Command::Use { device_id, at } => match *state {
                State::NotIssued => Err(Refusal::Unknown),
                State::Used { device_id: first } if first == device_id => Ok(vec![]),
                State::Used { .. } => Err(Refusal::Used),
                State::Issued { expires_at, .. } if expires_at <= at => Err(Refusal::Expired { expires_at }),
                State::Issued { token_id, .. } => Ok(vec![EnrolmentTokenUsed { token_id, device_id }.into()]),
            },
        }
    }

    fn evolve(_: State, event: &EnrolmentTokenEvent) -> State {
        match *event {
            EnrolmentTokenEvent::EnrolmentTokenIssued(EnrolmentTokenIssued {
                token_id, expires_at, ..
            }) => State::Issued { token_id, expires_at },
            EnrolmentTokenEvent::EnrolmentTokenUsed(EnrolmentTokenUsed { device_id, .. }) => {
                State::Used { device_id }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Command, EnrolmentToken, Refusal};
    use chrono::{DateTime, TimeDelta, Utc};
    use contracts::devices::{EnrolmentTokenEvent, EnrolmentTokenIssued, EnrolmentTokenUsed};
    use kernel::{CustomerId, DeviceId, EnrolmentTokenId};
    use scenario::given;
    use uuid::Uuid;

    const TOKEN: EnrolmentTokenId = EnrolmentTokenId(Uuid::from_u128(1));
    const CUSTOMER: CustomerId = CustomerId(Uuid::from_u128(2));
    const ALPHA: DeviceId = DeviceId(Uuid::from_u128(3));
    const BETA: DeviceId = DeviceId(Uuid::from_u128(4));

    fn noon() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    fn issue(valid_for_seconds: u32) -> Command {
        Command::Issue {
            token_id: TOKEN,
            customer_id: CUSTOMER,
            token_sha256: "ab".repeat(32),
            valid_for_seconds,
            at: noon(),
        }
    }

    fn issued() -> EnrolmentTokenEvent {
        EnrolmentTokenIssued {
            token_id: TOKEN,
            customer_id: CUSTOMER,
            token_sha256: "ab".repeat(32),
            expires_at: noon() + TimeDelta::seconds(60),
        }
        .into()
    }

    fn used() -> EnrolmentTokenEvent {
        EnrolmentTokenUsed { token_id: TOKEN, device_id: ALPHA }.into()
    }

    #[test]
    fn a_token_is_issued_for_a_time() {
        given::<EnrolmentToken>([]).when(issue(60)).then([issued()]);
    }

    #[test]
    fn a_validity_out_of_bounds_is_refused() {
        for seconds in [0, 59, 604_801] {
            given::<EnrolmentToken>([]).when(issue(seconds)).then_refused(&Refusal::Validity { seconds });
        }
    }

    #[test]
    fn a_token_lets_one_device_in() {
        given::<EnrolmentToken>([issued()])
            .when(Command::Use { device_id: ALPHA, at: noon() })
            .then([used()]);
    }

    #[test]
    fn a_second_device_is_refused() {
        given::<EnrolmentToken>([issued(), used()])
            .when(Command::Use { device_id: BETA, at: noon() })
            .then_refused(&Refusal::Used);
    }

    #[test]
    fn an_expired_token_is_refused() {
        let expires_at = noon() + TimeDelta::seconds(60);
        given::<EnrolmentToken>([issued()])
            .when(Command::Use { device_id: ALPHA, at: expires_at })
            .then_refused(&Refusal::Expired { expires_at });
    }

    #[test]
    fn a_token_that_nobody_issued_is_refused() {
        given::<EnrolmentToken>([])
            .when(Command::Use { device_id: ALPHA, at: noon() })
            .then_refused(&Refusal::Unknown);
    }
}
