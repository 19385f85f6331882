//! One alert: a message about a condition that someone should know.
//!
//! ```text
//! NotRaised --raise--> Open --acknowledge--> Acknowledged --resolve--> Resolved
//!                        '------------------resolve--------------------^
//! ```

use contracts::alerts::{
    AlertAcknowledged, AlertEvent, AlertRaised, AlertResolved, AlertSeverity, AlertType,
};
use kernel::{Aggregate, AlertId, CustomerId, DeviceId, JobId, PatchId, Refused, UserId};

/// What an alert says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// What it is about.
    pub alert_type: AlertType,
    /// How much it matters.
    pub severity: AlertSeverity,
    /// One sentence for people.
    pub message: String,
    /// Why, never empty for critical ones.
    pub reason: Option<String>,
    /// The device.
    pub device_id: Option<DeviceId>,
    /// The job.
    pub job_id: Option<JobId>,
    /// The patches.
    pub patch_ids: Vec<PatchId>,
}

/// A wish about an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// A condition arose.
    Raise {
        /// Derived from the event that showed the condition, so that a redelivery raises the same alert.
        alert_id: AlertId,
        /// Whose devices it is about.
        customer_id: Option<CustomerId>,
        /// What is the matter.
        condition: Condition,
    },
    /// A person has seen it.
    Acknowledge {
        /// The alert.
        alert_id: AlertId,
        /// Who.
        by: UserId,
    },
    /// It is over.
    Resolve {
        /// The alert.
        alert_id: AlertId,
        /// Who, where a person said so.
        by: Option<UserId>,
    },
}

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such alert for the caller.
    #[error("there is no alert {alert_id}")]
    NotFound {
        /// The id that was asked for.
        alert_id: AlertId,
    },
    /// A critical alert must say why.
    #[error("a critical alert needs a reason")]
    ReasonRequired,
    /// It was resolved before it was acknowledged.
    #[error("alert {alert_id} is already resolved")]
    AlreadyResolved {
        /// The alert.
        alert_id: AlertId,
    },
}

impl Refused for Refusal {
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "alerts.alert_not_found",
            Self::ReasonRequired => "alerts.reason_required",
            Self::AlreadyResolved { .. } => "alerts.already_resolved",
        }
    }

    fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }

    fn is_conflict(&self) -> bool {
        matches!(self, Self::AlreadyResolved { .. })
    }
}

/// Where an alert stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum State {
    /// Nothing happened yet.
    #[default]
    NotRaised,
    /// Nobody has reacted.
    Open,
    /// A person has seen it.
    Acknowledged,
    /// It is over.
    Resolved,
}

/// The consistency unit.
#[derive(Debug)]
pub enum Alert {}

impl Aggregate for Alert {
    const STREAM: &'static str = "alerts.alert";
    type State = State;
    type Command = Command;
    type Event = AlertEvent;
    type Refusal = Refusal;

    fn decide(state: &State, command: Command) -> Result<Vec<AlertEvent>, Refusal> {
        match command {
            Command::Raise { alert_id, customer_id, condition } => match state {
                State::NotRaised => raise(alert_id, customer_id, condition),
                State::Open | State::Acknowledged | State::Resolved => Ok(vec![]),
            },
            Command::Acknowledge { alert_id, by } => match state {
                State::NotRaised => Err(Refusal::NotFound { alert_id }),
                State::Open => Ok(vec![AlertAcknowledged { alert_id, acknowledged_by: by }.into()]),
                State::Acknowledged => Ok(vec![]),
                State::Resolved => Err(Refusal::AlreadyResolved { alert_id }),
            },
            Command::Resolve { alert_id, by } => match state {
                State::NotRaised => Err(Refusal::NotFound { alert_id }),
                State::Open | State::Acknowledged => {
                    Ok(vec![AlertResolved { alert_id, resolved_by: by }.into()])
                }
                State::Resolved => Ok(vec![]),
            },
        }
    }

    fn evolve(_: State, event: &AlertEvent) -> State {
        match event {
            AlertEvent::AlertRaised(_) => State::Open,
            AlertEvent::AlertAcknowledged(_) => State::Acknowledged,
            AlertEvent::AlertResolved(_) => State::Resolved,
        }
    }
}

fn raise(
    alert_id: AlertId,
    customer_id: Option<CustomerId>,
    condition: Condition,
) -> Result<Vec<AlertEvent>, Refusal> {
    let Condition { alert_type, severity, message, reason, device_id, job_id, patch_ids } = condition;
    let has_reason = reason.as_deref().is_some_and(|reason| !reason.trim().is_empty());
    if severity == AlertSeverity::Critical && !has_reason {
        return Err(Refusal::ReasonRequired);
    }
    Ok(vec![
        AlertRaised {
            alert_id,
            alert_type,
            severity,
            message,
            reason,
            customer_id,
            device_id,
            job_id,
            patch_ids,
        }
        .into(),
    ])
}

#[cfg(test)]
mod tests {
    use super::{Alert, Command, Condition, Refusal};
    use contracts::alerts::{
        AlertAcknowledged, AlertEvent, AlertRaised, AlertResolved, AlertSeverity, AlertType,
    };
    use kernel::{AlertId, UserId};
    use scenario::given;
    use uuid::Uuid;

    const ALERT: AlertId = AlertId(Uuid::from_u128(1));
    const ALICE: UserId = UserId(Uuid::from_u128(2));

    fn condition(severity: AlertSeverity, reason: Option<&str>) -> Condition {
        Condition {
            alert_type: AlertType::PatchFailed,
            severity,
            message: "Patching failed.".to_owned(),
            reason: reason.map(str::to_owned),
            device_id: None,
            job_id: None,
            patch_ids: vec![],
        }
    }

    fn raise(severity: AlertSeverity, reason: Option<&str>) -> Command {
        Command::Raise { alert_id: ALERT, customer_id: None, condition: condition(severity, reason) }
    }

    fn raised() -> AlertEvent {
        AlertRaised {
            alert_id: ALERT,
            alert_type: AlertType::PatchFailed,
            severity: AlertSeverity::Critical,
            message: "Patching failed.".to_owned(),
            reason: Some("disk full".to_owned()),
            customer_id: None,
            device_id: None,
            job_id: None,
            patch_ids: vec![],
        }
        .into()
    }

    fn acknowledged() -> AlertEvent {
        AlertAcknowledged { alert_id: ALERT, acknowledged_by: ALICE }.into()
    }

    fn resolved() -> AlertEvent {
        AlertResolved { alert_id: ALERT, resolved_by: Some(ALICE) }.into()
    }

    #[test]
    fn a_condition_raises_one_alert_however_often_it_is_delivered() {
        given::<Alert>([]).when(raise(AlertSeverity::Critical, Some("disk full"))).then([raised()]);
    }

    #[test]
    fn a_critical_alert_without_a_reason_is_refused() {
        for reason in [None, Some(""), Some(" \n")] {
            given::<Alert>([])
                .when(raise(AlertSeverity::Critical, reason))
                .then_refused(&Refusal::ReasonRequired);
        }
    }

    #[test]
    fn a_redelivered_condition_does_not_reopen_a_resolved_alert() {
        given::<Alert>([raised(), resolved()])
            .when(raise(AlertSeverity::Critical, Some("disk full")))
            .then_nothing();
    }

    #[test]
    fn an_open_alert_is_acknowledged_once() {
        given::<Alert>([raised()])
            .when(Command::Acknowledge { alert_id: ALERT, by: ALICE })
            .then([acknowledged()]);
    }

    #[test]
    fn an_alert_can_be_resolved_with_or_without_having_been_acknowledged() {
        for past in [vec![raised()], vec![raised(), acknowledged()]] {
            given::<Alert>(past)
                .when(Command::Resolve { alert_id: ALERT, by: Some(ALICE) })
                .then([resolved()]);
        }
    }

    #[test]
    fn a_resolved_alert_cannot_be_acknowledged() {
        given::<Alert>([raised(), resolved()])
            .when(Command::Acknowledge { alert_id: ALERT, by: ALICE })
            .then_refused(&Refusal::AlreadyResolved { alert_id: ALERT });
    }

    #[test]
    fn an_alert_that_was_never_raised_is_not_found() {
        for command in [
            Command::Acknowledge { alert_id: ALERT, by: ALICE },
            Command::Resolve { alert_id: ALERT, by: None },
        ] {
            given::<Alert>([]).when(command).then_refused(&Refusal::NotFound { alert_id: ALERT });
        }
    }
}
