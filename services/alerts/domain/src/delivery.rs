//! One delivery of one event to one webhook.
//!
//! ```text
//! Pending --2xx--> Delivered
//!    |               ^
//!    '--no--> Retrying --no, attempts used up or gone--> DeadLettered
//! ```

use chrono::{DateTime, TimeDelta, Utc};
use contracts::alerts::{DeliveryDeadLettered, DeliveryEvent, DeliveryRetryScheduled, DeliverySucceeded};
use kernel::{Aggregate, EventId, Refused, StreamId, WebhookId};

/// A receiver may ask for a later attempt, but not for one after this many seconds: the longest step of the standard table.
pub const RETRY_AFTER_SECONDS_MAX: i64 = 10 * 60 * 60;
/// Waits are spread by up to a fifth, so that receivers that came back are not hit by all senders at once.
pub const JITTER_PERMILLE_MAX: i32 = 200;

/// The waits of the standard table, in seconds.
const UNITS: [i32; 7] = [5, 5 * 60, 30 * 60, 2 * 3_600, 5 * 3_600, 10 * 3_600, 10 * 3_600];

/// When each attempt is made, counted from the one before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryTable {
    waits: Vec<TimeDelta>,
}

impl RetryTable {
    /// At once, then after 5 s, 5 min, 30 min, 2 h, 5 h, 10 h and 10 h.
    pub fn standard() -> Self {
        Self::in_units_of(TimeDelta::seconds(1))
    }

    /// The standard table with another unit in the place of the second.
    pub fn in_units_of(unit: TimeDelta) -> Self {
        Self { waits: UNITS.map(|units| unit * units).to_vec() }
    }

    /// How often an event is sent before it is given up.
    pub fn attempts(&self) -> usize {
        self.waits.len() + 1
    }

    fn wait_after(&self, attempts: u32) -> Option<TimeDelta> {
        self.waits.get(usize::try_from(attempts).ok()?.checked_sub(1)?).copied()
    }
}

/// What became of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The receiver answered.
    Status {
        /// The HTTP status.
        status: u16,
        /// When it asks to be tried again, in seconds from now.
        retry_after_seconds: Option<i64>,
    },
    /// There was no answer.
    None {
        /// What went wrong.
        reason: String,
    },
}

/// A wish about a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// An attempt was made.
    RecordAttempt {
        /// The webhook.
        webhook_id: WebhookId,
        /// The delivered event.
        event_id: EventId,
        /// Its number, from 1.
        attempt: u32,
        /// What became of it.
        answer: Answer,
        /// When.
        at: DateTime<Utc>,
        /// When further attempts are made.
        table: RetryTable,
        /// By how many thousandths the next wait is longer or shorter; drawn by the caller.
        jitter_permille: i32,
    },
    /// No attempt will be made any more.
    GiveUp {
        /// The webhook.
        webhook_id: WebhookId,
        /// The event.
        event_id: EventId,
        /// Why.
        reason: String,
    },
}

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// An attempt that nobody was to make.
    #[error("attempt {attempt} was recorded after {recorded} attempts")]
    OutOfOrder {
        /// The recorded number.
        attempt: u32,
        /// How many there were.
        recorded: u32,
    },
}

impl Refused for Refusal {
    fn code(&self) -> &'static str {
        match self {
            Self::OutOfOrder { .. } => "alerts.attempt_out_of_order",
        }
    }

    fn is_conflict(&self) -> bool {
        true
    }
}

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum State {
    /// No attempt yet.
    #[default]
    Pending,
    /// The receiver did not take it; another attempt follows.
    Retrying {
        /// Attempts so far.
        attempts: u32,
    },
    /// The receiver took it.
    Delivered,
    /// Given up.
    DeadLettered,
}

/// The consistency unit.
#[derive(Debug)]
pub enum Delivery {}

impl Delivery {
    /// The stream of the delivery of this event to this webhook.
    pub fn stream_id(webhook_id: WebhookId, event_id: EventId) -> StreamId {
        StreamId::derived(webhook_id.0, &format!("delivery/{event_id}"))
    }
}

impl Aggregate for Delivery {
    const STREAM: &'static str = "alerts.delivery";
    type State = State;
    type Command = Command;
    type Event = DeliveryEvent;
    type Refusal = Refusal;

    fn decide(state: &State, command: Command) -> Result<Vec<DeliveryEvent>, Refusal> {
        let attempts = match *state {
            State::Pending => 0,
            State::Retrying { attempts } => attempts,
            State::Delivered | State::DeadLettered => return Ok(vec![]),
        };
        match command {
            // The worker died after the fact was written and made its note again.
            Command::RecordAttempt { attempt, .. } if attempt <= attempts => Ok(vec![]),
            Command::RecordAttempt { attempt, .. } if attempt != attempts + 1 => {
                Err(Refusal::OutOfOrder { attempt, recorded: attempts })
            }
            Command::RecordAttempt { webhook_id, event_id, attempt, answer, at, table, jitter_permille } => {
                let wait = table.wait_after(attempt).map(|wait| spread(wait, jitter_permille));
                Ok(vec![consequence(webhook_id, event_id, attempt, answer, at, wait)])
            }
            Command::GiveUp { webhook_id, event_id, reason } => {
                Ok(vec![DeliveryDeadLettered { webhook_id, event_id, attempts, reason }.into()])
            }
        }
    }

    fn evolve(_: State, event: &DeliveryEvent) -> State {
        match event {
            DeliveryEvent::DeliverySucceeded(_) => State::Delivered,
            DeliveryEvent::DeliveryRetryScheduled(fact) => State::Retrying { attempts: fact.attempts },
            DeliveryEvent::DeliveryDeadLettered(_) => State::DeadLettered,
        }
    }
}

fn consequence(
    webhook_id: WebhookId,
    event_id: EventId,
    attempts: u32,
    answer: Answer,
    at: DateTime<Utc>,
    wait: Option<TimeDelta>,
) -> DeliveryEvent {
    let (status, retry_after, reason) = match answer {
        Answer::Status { status: status @ 200..=299, .. } => {
            return DeliverySucceeded { webhook_id, event_id, attempts, status }.into();
        }
        Answer::Status { status: 410, .. } => {
            let reason = "the receiver is gone: it answered 410".to_owned();
            return DeliveryDeadLettered { webhook_id, event_id, attempts, reason }.into();
        }
        Answer::Status { status, retry_after_seconds } => {
            (Some(status), retry_after_seconds, format!("the receiver answered {status}"))
        }
        Answer::None { reason } => (None, None, reason),
    };
    match wait {
        Some(wait) => {
            let asked = TimeDelta::seconds(retry_after.unwrap_or(0).clamp(0, RETRY_AFTER_SECONDS_MAX));
            let next_attempt_at = at + wait.max(asked);
            DeliveryRetryScheduled { webhook_id, event_id, attempts, status, reason, next_attempt_at }.into()
        }
        None => DeliveryDeadLettered { webhook_id, event_id, attempts, reason }.into(),
    }
}

fn spread(wait: TimeDelta, jitter_permille: i32) -> TimeDelta {
    let factor = 1_000 + i64::from(jitter_permille.clamp(-JITTER_PERMILLE_MAX, JITTER_PERMILLE_MAX));
    TimeDelta::milliseconds(wait.num_milliseconds().saturating_mul(factor) / 1_000)
}

#[cfg(test)]
#[path = "delivery_tests.rs"]
mod tests;
