//! The facts that are written: some 250 bytes each, as a decision about a patch is.

use chrono::{DateTime, Utc};
use kernel::{
    Actor, Aggregate, Cause, CommandId, CorrelationId, CustomerId, EventData, Journal, MalformedEvent,
    PartnerId, Refused, Scope, StreamId, Tenant,
};
use uuid::Uuid;

/// Events of a stream before a writer turns to a new one: an aggregate has a life of some length.
const STREAM_LENGTH: i64 = 20;

/// Streams that a writer has in work at once.
const STREAMS_AT_ONCE: usize = 16;

/// The type of every event of the bench.
pub(crate) const EVENT_TYPE: &str = "loadtests.ReadingTaken";

/// One reading of many.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ReadingTaken {
    pub(crate) number: i64,
}

impl EventData for ReadingTaken {
    fn event_type(&self) -> &'static str {
        EVENT_TYPE
    }
    fn schema_version(&self) -> i16 {
        1
    }
    fn payload(&self) -> serde_json::Value {
        serde_json::json!({
            "number": self.number,
            "device_id": "6e0f5a3b-0c51-4c0e-9f83-0f7a0c3a5d11",
            "patch_id": "0b8f3bb4-8d3e-5a7e-93b5-a7f0c1d2e3f4",
            "because": "missing on the device and approved by a rule of the customer",
            "ring": "pilot",
            "severity": "critical",
            "deadline": "2027-01-31T00:00:00Z",
        })
    }
    fn read(
        event_type: &str,
        schema_version: i16,
        payload: &serde_json::Value,
    ) -> Result<Self, MalformedEvent> {
        payload["number"].as_i64().map(|number| Self { number }).ok_or_else(|| MalformedEvent {
            event_type: event_type.to_owned(),
            schema_version,
            reason: "no number".to_owned(),
        })
    }
    fn owns(event_type: &str) -> bool {
        event_type == EVENT_TYPE
    }
}

/// Takes as many readings at once as it is told to.
pub(crate) struct Meter;

/// A meter refuses nothing.
#[derive(Debug, thiserror::Error)]
#[error("never")]
pub(crate) struct Never;

impl Refused for Never {
    fn code(&self) -> &'static str {
        "loadtests.never"
    }
}

impl Aggregate for Meter {
    const STREAM: &'static str = "loadtests.meter";
    type State = i64;
    type Command = i64;
    type Event = ReadingTaken;
    type Refusal = Never;
    fn decide(state: &i64, count: i64) -> Result<Vec<ReadingTaken>, Never> {
        Ok((1..=count).map(|n| ReadingTaken { number: state + n }).collect())
    }
    fn evolve(_: i64, event: &ReadingTaken) -> i64 {
        event.number
    }
}

/// The same without a decision.
impl Journal for Meter {
    const STREAM: &'static str = "loadtests.meter";
    type Event = ReadingTaken;
}

/// The streams of one writer, in turns, each with the version it has reached.
#[derive(Debug)]
pub(crate) struct Streams {
    pub(crate) tenant: Tenant,
    pub(crate) scope: Scope,
    open: Vec<(StreamId, i64)>,
    next: usize,
}

impl Streams {
    /// Of a customer of its own.
    pub(crate) fn new() -> Self {
        let tenant = Tenant::customer(PartnerId(Uuid::new_v4()), CustomerId(Uuid::new_v4()));
        let open = (0..STREAMS_AT_ONCE).map(|_| (StreamId(Uuid::new_v4()), 0)).collect();
        Self { tenant, scope: Scope::partner_of(tenant), open, next: 0 }
    }

    /// The stream whose turn it is, before `count` events are written to it.
    pub(crate) fn turn(&mut self, count: i64) -> (StreamId, i64) {
        self.next = (self.next + 1) % self.open.len();
        let (stream_id, version) = &mut self.open[self.next];
        if *version > 0 && *version + count > STREAM_LENGTH {
            (*stream_id, *version) = (StreamId(Uuid::new_v4()), 0);
        }
        let before = *version;
        *version += count;
        (*stream_id, before)
    }
}

/// A new command of a person.
pub(crate) fn cause() -> Cause {
    Cause {
        command_id: CommandId(Uuid::new_v4()),
        correlation_id: CorrelationId(Uuid::new_v4()),
        causation_id: None,
        actor: Actor::user("2f1b6a52-6f0e-4a3c-8c5e-0d9b7f3e1a20"),
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
    }
}

/// The columns of one event, for those who write it without the store.
pub(crate) struct Columns {
    pub(crate) stream_id: Uuid,
    pub(crate) version: i64,
    pub(crate) event_id: Uuid,
    pub(crate) partner_id: Uuid,
    pub(crate) customer_id: Option<Uuid>,
    pub(crate) command_id: Uuid,
    pub(crate) correlation_id: Uuid,
    pub(crate) occurred_at: DateTime<Utc>,
    pub(crate) meta: Vec<u8>,
    pub(crate) payload: Vec<u8>,
}

impl Columns {
    /// One event with the bytes that the store would write.
    pub(crate) fn new(tenant: Tenant, stream_id: StreamId, version: i64) -> Self {
        let cause = cause();
        Self {
            stream_id: stream_id.0,
            version,
            event_id: Uuid::now_v7(),
            partner_id: tenant.partner_id.0,
            customer_id: tenant.customer_id.map(|id| id.0),
            command_id: cause.command_id.0,
            correlation_id: cause.correlation_id.0,
            occurred_at: Utc::now(),
            meta: meta(&cause),
            payload: kernel::canonical_json(&ReadingTaken { number: version }.payload()),
        }
    }
}

/// The store's own bytes of a cause.
fn meta(cause: &Cause) -> Vec<u8> {
    kernel::canonical_json(&serde_json::json!({
        "actor": cause.actor,
        "correlation_id": cause.correlation_id,
        "causation_id": cause.causation_id,
        "traceparent": cause.traceparent,
    }))
}
