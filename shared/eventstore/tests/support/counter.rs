//! An aggregate that is easy to reckon with.

use kernel::{Aggregate, Refused};
use serde_json::json;

/// A counter that goes up to a limit.
pub(crate) struct Counter;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Counted(pub(crate) i64);

impl kernel::EventData for Counted {
    fn event_type(&self) -> &'static str {
        "test.Counted"
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
    ) -> Result<Self, kernel::MalformedEvent> {
        payload["by"].as_i64().map(Self).ok_or(kernel::MalformedEvent {
            event_type: event_type.to_owned(),
            schema_version,
            reason: "no number".to_owned(),
        })
    }
    fn owns(event_type: &str) -> bool {
        event_type == "test.Counted"
    }
}

#[derive(Debug, PartialEq, thiserror::Error)]
#[error("{0} is too far")]
pub(crate) struct TooFar(pub(crate) i64);

impl Refused for TooFar {
    fn code(&self) -> &'static str {
        "test.too_far"
    }
}

impl Aggregate for Counter {
    const STREAM: &'static str = "test.counter";
    type State = i64;
    type Command = i64;
    type Event = Counted;
    type Refusal = TooFar;
    fn decide(state: &i64, by: i64) -> Result<Vec<Counted>, TooFar> {
        if state + by > 1_000 {
            return Err(TooFar(state + by));
        }
        Ok((by != 0).then_some(Counted(by)).into_iter().collect())
    }
    fn evolve(state: i64, event: &Counted) -> i64 {
        state + event.0
    }
}
