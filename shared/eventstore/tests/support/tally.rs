//! Two small aggregates to write with: batches of numbers, folded to their sum.

use eventstore::{Committed, Database, ExecuteError, Store, Target};
use kernel::{Aggregate, Cause, CommandId, MalformedEvent, Refused, Scope, StreamId, Tenant};
use serde_json::json;

/// Numbers that are added up; each kind is a category and an event type of its own.
pub(crate) struct Tally<const KIND: u8>;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Counted<const KIND: u8>(pub(crate) i64);

pub(crate) const COUNTED: [&str; 2] = ["test.Counted", "test.Noted"];
pub(crate) const KINDS: [&str; 2] = ["test.tally", "test.note"];

impl<const KIND: u8> kernel::EventData for Counted<KIND> {
    fn event_type(&self) -> &'static str {
        COUNTED[usize::from(KIND)]
    }
    fn schema_version(&self) -> i16 {
        1
    }
    fn payload(&self) -> serde_json::Value {
        json!({ "by": self.0 })
    }
    fn read(
        event_type: &str,
        schema_version: i16,
        payload: &serde_json::Value,
    ) -> Result<Self, MalformedEvent> {
        payload["by"].as_i64().map(Self).ok_or(MalformedEvent {
            event_type: event_type.to_owned(),
            schema_version,
            reason: "no number".to_owned(),
        })
    }
    fn owns(event_type: &str) -> bool {
        event_type == COUNTED[usize::from(KIND)]
    }
}

#[derive(Debug, thiserror::Error)]
#[error("never refused")]
pub(crate) struct Never;

impl Refused for Never {
    fn code(&self) -> &'static str {
        "test.never"
    }
}

impl<const KIND: u8> Aggregate for Tally<KIND> {
    const STREAM: &'static str = KINDS[KIND as usize];
    type State = i64;
    type Command = Vec<i64>;
    type Event = Counted<KIND>;
    type Refusal = Never;
    fn decide(_: &i64, numbers: Vec<i64>) -> Result<Vec<Counted<KIND>>, Never> {
        Ok(numbers.into_iter().map(Counted).collect())
    }
    fn evolve(state: i64, event: &Counted<KIND>) -> i64 {
        state + event.0
    }
}

/// A writer for one tenant.
#[derive(Clone)]
pub(crate) struct Writer {
    pub(crate) store: Store,
    pub(crate) tenant: Tenant,
    pub(crate) scope: Scope,
}

pub(crate) type Outcome = Result<Committed, ExecuteError<Never>>;

impl Writer {
    pub(crate) fn new(database: Database, tenant: Tenant) -> Self {
        Self { store: Store::new(database), tenant, scope: Scope::partner_of(tenant) }
    }

    pub(crate) async fn write<const KIND: u8>(
        &self,
        stream_id: StreamId,
        cause: &Cause,
        numbers: &[i64],
    ) -> Outcome {
        self.store.execute::<Tally<KIND>>(self.target(stream_id, cause), numbers.to_vec()).await
    }

    pub(crate) fn target<'a>(&'a self, stream_id: StreamId, cause: &'a Cause) -> Target<'a> {
        Target { scope: &self.scope, tenant: self.tenant, stream_id, cause, occurred_at: None }
    }
}

/// A cause whose command has this id.
pub(crate) fn command(id: CommandId) -> Cause {
    Cause { command_id: id, ..testkit::cause() }
}
