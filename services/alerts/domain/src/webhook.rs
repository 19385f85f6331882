//! One registered receiver of events.
//!
//! ```text
//! NotRegistered --register--> Active --disable--> Disabled
//! ```

use crate::subscription::{EVENT_TYPES_MAX, is_known};
use chrono::{DateTime, TimeDelta, Utc};
use contracts::alerts::{WebhookDisabled, WebhookEvent, WebhookRegistered};
use kernel::{Aggregate, CustomerId, Refused, WebhookId};

/// A receiver that took nothing for so long is switched off.
pub const FAILING_HOURS_MAX: i64 = 120;

/// A wish about a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Sends events there from now on. The address has been checked.
    Register {
        /// Derived from the command, so that a repeat registers nothing new.
        webhook_id: WebhookId,
        /// The customer whose events it gets; none means all of the partner's.
        customer_id: Option<CustomerId>,
        /// Where to.
        url: String,
        /// What it gets.
        event_types: Vec<String>,
    },
    /// Sends nothing there any more.
    Disable {
        /// The webhook.
        webhook_id: WebhookId,
        /// Why.
        reason: String,
    },
}

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such webhook for the caller.
    #[error("there is no webhook {webhook_id}")]
    NotFound {
        /// The id that was asked for.
        webhook_id: WebhookId,
    },
    /// None, or more than a webhook may name.
    #[error("a webhook names 1 to {EVENT_TYPES_MAX} event types, not {given}")]
    EventTypeCount {
        /// How many were given.
        given: usize,
    },
    /// No event has this type.
    #[error("{event_type:?} names no event type that can be delivered")]
    UnknownEventType {
        /// What was given.
        event_type: String,
    },
}

impl Refused for Refusal {
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "alerts.webhook_not_found",
            Self::EventTypeCount { .. } => "alerts.event_type_count",
            Self::UnknownEventType { .. } => "alerts.unknown_event_type",
        }
    }

    fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }
}

/// Where a webhook stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum State {
    /// Nothing happened yet.
    #[default]
    NotRegistered,
    /// It gets events.
    Active,
    /// It gets nothing any more.
    Disabled,
}

/// The consistency unit.
#[derive(Debug)]
pub enum Webhook {}

impl Aggregate for Webhook {
    const STREAM: &'static str = "alerts.webhook";
    type State = State;
    type Command = Command;
    type Event = WebhookEvent;
    type Refusal = Refusal;

    fn decide(state: &State, command: Command) -> Result<Vec<WebhookEvent>, Refusal> {
        match command {
            Command::Register { webhook_id, customer_id, url, event_types } => match state {
                State::NotRegistered => {
                    check_event_types(&event_types)?;
                    Ok(vec![WebhookRegistered { webhook_id, customer_id, url, event_types }.into()])
                }
                State::Active | State::Disabled => Ok(vec![]),
            },
            Command::Disable { webhook_id, reason } => match state {
                State::NotRegistered => Err(Refusal::NotFound { webhook_id }),
                State::Active => Ok(vec![WebhookDisabled { webhook_id, reason }.into()]),
                State::Disabled => Ok(vec![]),
            },
        }
    }

    fn evolve(_: State, event: &WebhookEvent) -> State {
        match event {
            WebhookEvent::WebhookRegistered(_) => State::Active,
            WebhookEvent::WebhookDisabled(_) => State::Disabled,
        }
    }
}

/// Why a receiver that has taken nothing since `failing_since` is to be switched off, if it is.
pub fn give_up_on(failing_since: DateTime<Utc>, now: DateTime<Utc>) -> Option<String> {
    (now - failing_since >= TimeDelta::hours(FAILING_HOURS_MAX))
        .then(|| format!("the receiver has taken nothing for {FAILING_HOURS_MAX} hours"))
}

fn check_event_types(event_types: &[String]) -> Result<(), Refusal> {
    if event_types.is_empty() || event_types.len() > EVENT_TYPES_MAX {
        return Err(Refusal::EventTypeCount { given: event_types.len() });
    }
    match event_types.iter().find(|event_type| !is_known(event_type)) {
        // Shortened: the text comes from outside and goes into an answer.
        Some(unknown) => Err(Refusal::UnknownEventType { event_type: unknown.chars().take(100).collect() }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Command, Refusal, Webhook, give_up_on};
    use chrono::{DateTime, TimeDelta};
    use contracts::alerts::{WebhookDisabled, WebhookEvent, WebhookRegistered};
    use kernel::WebhookId;
    use scenario::given;
    use uuid::Uuid;

    const WEBHOOK: WebhookId = WebhookId(Uuid::from_u128(1));
    const URL: &str = "https://receiver.example/hook";

    fn register(event_types: &[&str]) -> Command {
        Command::Register {
            webhook_id: WEBHOOK,
            customer_id: None,
            url: URL.to_owned(),
            event_types: event_types.iter().map(|&text| text.to_owned()).collect(),
        }
    }

    fn registered() -> WebhookEvent {
        WebhookRegistered {
            webhook_id: WEBHOOK,
            customer_id: None,
            url: URL.to_owned(),
            event_types: vec!["alerts.*".to_owned()],
        }
        .into()
    }

    fn disable() -> Command {
        Command::Disable { webhook_id: WEBHOOK, reason: "no longer needed".to_owned() }
    }

    fn disabled() -> WebhookEvent {
        WebhookDisabled { webhook_id: WEBHOOK, reason: "no longer needed".to_owned() }.into()
    }

    #[test]
    fn a_receiver_is_registered_once() {
        given::<Webhook>([]).when(register(&["alerts.*"])).then([registered()]);
    }

    #[test]
    fn a_webhook_without_event_types_is_refused() {
        given::<Webhook>([]).when(register(&[])).then_refused(&Refusal::EventTypeCount { given: 0 });
    }

    #[test]
    fn a_webhook_with_more_than_fifty_event_types_is_refused() {
        given::<Webhook>([])
            .when(register(&["alerts.*"; 51]))
            .then_refused(&Refusal::EventTypeCount { given: 51 });
    }

    #[test]
    fn an_event_type_that_does_not_exist_is_refused_by_name() {
        given::<Webhook>([])
            .when(register(&["alerts.AlertRaised", "alerts.AlertRised"]))
            .then_refused(&Refusal::UnknownEventType { event_type: "alerts.AlertRised".to_owned() });
    }

    #[test]
    fn a_registered_receiver_is_switched_off_once() {
        given::<Webhook>([registered()]).when(disable()).then([disabled()]);
    }

    #[test]
    fn a_webhook_that_was_never_registered_is_not_found() {
        given::<Webhook>([]).when(disable()).then_refused(&Refusal::NotFound { webhook_id: WEBHOOK });
    }

    #[test]
    fn a_repeated_registration_does_not_revive_a_disabled_webhook() {
        given::<Webhook>([registered(), disabled()]).when(register(&["alerts.*"])).then_nothing();
    }

    #[test]
    fn a_receiver_is_given_up_after_a_hundred_and_twenty_hours_and_not_earlier() {
        let since = DateTime::UNIX_EPOCH;
        assert_eq!(give_up_on(since, since + TimeDelta::hours(120) - TimeDelta::milliseconds(1)), None);
        assert_eq!(
            give_up_on(since, since + TimeDelta::hours(120)).as_deref(),
            Some("the receiver has taken nothing for 120 hours")
        );
    }
}
