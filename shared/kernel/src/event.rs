//! Facts and their envelope.

use crate::{Actor, Cause, CommandId, CorrelationId, EventId, StreamId, Tenant};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// A place in the one log: dense, starting at 1, given by the sequencer. 0 is before the first event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Position(pub i64);

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// A stored event that its type cannot read.
#[derive(Debug, thiserror::Error)]
#[error("event {event_type} v{schema_version} cannot be read: {reason}")]
pub struct MalformedEvent {
    /// The stored type.
    pub event_type: String,
    /// The stored version of the shape.
    pub schema_version: i16,
    /// What is wrong with it.
    pub reason: String,
}

/// The events of one aggregate: a closed set of named, versioned shapes.
pub trait EventData: Sized + Clone + Send + Sync + 'static {
    /// `<service>.<EventName>`, for example `approvals.PatchApproved`.
    fn event_type(&self) -> &'static str;
    /// The version of the shape that is written today.
    fn schema_version(&self) -> i16;
    /// The fact itself.
    fn payload(&self) -> serde_json::Value;
    /// Reads a stored fact of any version ever written.
    fn read(
        event_type: &str,
        schema_version: i16,
        payload: &serde_json::Value,
    ) -> Result<Self, MalformedEvent>;
    /// Whether a stored type belongs to this set.
    fn owns(event_type: &str) -> bool;
}

/// A recorded event as everyone outside the store sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Envelope {
    /// Position in the log.
    pub seq: Position,
    /// Unique, stable over redeliveries.
    pub event_id: EventId,
    /// The aggregate's stream.
    pub stream_id: StreamId,
    /// The kind of aggregate, for example `approvals.approval`.
    pub stream: String,
    /// Position in the stream, from 1.
    pub version: i64,
    /// `<service>.<EventName>`.
    pub event_type: String,
    /// Version of the payload's shape.
    pub schema_version: i16,
    /// Whose fact it is.
    #[serde(flatten)]
    pub tenant: Tenant,
    /// When it happened, by the clock of the device, vendor or server that saw it.
    pub occurred_at: DateTime<Utc>,
    /// When the store took it, by the database's clock.
    pub recorded_at: DateTime<Utc>,
    /// Who did it.
    pub actor: Actor,
    /// The command that caused it.
    pub command_id: CommandId,
    /// The request all of it follows from.
    pub correlation_id: CorrelationId,
    /// The event it reacts to.
    pub causation_id: Option<EventId>,
    /// W3C Trace Context of the cause.
    pub traceparent: Option<String>,
    /// The fact.
    pub payload: serde_json::Value,
}

impl Envelope {
    /// Reads the payload as one of the events of `E`.
    pub fn read<E: EventData>(&self) -> Result<E, MalformedEvent> {
        E::read(&self.event_type, self.schema_version, &self.payload)
    }

    /// The cause of a reaction to this event, named so that a redelivery repeats the same command.
    pub fn reaction(&self, service: &str, what: &str) -> Cause {
        Cause {
            command_id: CommandId::derived(self.event_id.0, &format!("{service}/{what}")),
            correlation_id: self.correlation_id,
            causation_id: Some(self.event_id),
            actor: Actor::system(service),
            traceparent: self.traceparent.clone(),
        }
    }
}
