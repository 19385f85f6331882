//! What an append writes and what it refuses, against a real PostgreSQL.

use eventstore::{Store, Target};
use kernel::{Aggregate, Refused, Scope, Tenant};
use serde_json::json;
use testkit::{TestDatabase, cause, id};

/// A bag into which anything may be put.
struct Bag;

#[derive(Debug, Clone, PartialEq)]
struct Put(i64);

impl kernel::EventData for Put {
    fn event_type(&self) -> &'static str {
        "test.Put"
    }
    fn schema_version(&self) -> i16 {
        1
    }
    fn payload(&self) -> serde_json::Value {
        json!({ "what": self.0 })
    }
    fn read(
        event_type: &str,
        schema_version: i16,
        payload: &serde_json::Value,
    ) -> Result<Self, kernel::MalformedEvent> {
        payload["what"].as_i64().map(Self).ok_or(kernel::MalformedEvent {
            event_type: event_type.to_owned(),
            schema_version,
            reason: "no number".to_owned(),
        })
    }
    fn owns(event_type: &str) -> bool {
        event_type == "test.Put"
    }
}

#[derive(Debug, PartialEq, thiserror::Error)]
#[error("never")]
struct Never;

impl Refused for Never {
    fn code(&self) -> &'static str {
        "test.never"
    }
}

impl Aggregate for Bag {
    const STREAM: &'static str = "test.bag";
    type State = i64;
    type Command = Vec<i64>;
    type Event = Put;
    type Refusal = Never;
    fn decide(_: &i64, what: Vec<i64>) -> Result<Vec<Put>, Never> {
        Ok(what.into_iter().map(Put).collect())
    }
    fn evolve(state: i64, event: &Put) -> i64 {
        state + event.0
    }
}

#[tokio::test]
async fn every_event_of_a_command_carries_its_correlation_id() {
    let database = TestDatabase::create().await;
    let store = Store::new(database.connect().await);
    let tenant = Tenant::customer(id(), id());
    let scope = Scope::partner_of(tenant);
    let cause = cause();
    let target = Target { scope: &scope, tenant, stream_id: id(), cause: &cause, occurred_at: None };
    store.execute::<Bag>(target, vec![1, 2, 3]).await.unwrap();
    let found: i64 = sqlx::query_scalar("select count(*) from es.event where correlation_id = $1")
        .bind(cause.correlation_id.0)
        .fetch_one(&mut database.owner().await)
        .await
        .unwrap();
    assert_eq!(found, 3);
}
