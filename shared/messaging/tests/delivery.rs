//! From the store through a real broker to a consumer, with losses on the way.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests fail by panicking, and end with their runtime"
)]

use eventstore::{Sequencer, Store, Target, Tx};
use kernel::{Aggregate, Envelope, MalformedEvent, Refused, Scope, Tenant};
use messaging::{Broker, Consumer, HandlerError, Outcome, Relay, consume, has_heard_all};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use testkit::{TestBroker, TestDatabase, cause, eventually, id};
use tokio_util::sync::CancellationToken;

/// Notes numbers.
struct Notes;

#[derive(Debug, Clone, PartialEq)]
struct Noted(i64);

impl kernel::EventData for Noted {
    fn event_type(&self) -> &'static str {
        "test.Noted"
    }
    fn schema_version(&self) -> i16 {
        1
    }
    fn payload(&self) -> serde_json::Value {
        serde_json::json!({ "number": self.0 })
    }
    fn read(_: &str, _: i16, payload: &serde_json::Value) -> Result<Self, MalformedEvent> {
        Ok(Self(payload["number"].as_i64().unwrap()))
    }
    fn owns(event_type: &str) -> bool {
        event_type == "test.Noted"
    }
}

#[derive(Debug, thiserror::Error)]
#[error("never")]
struct Never;

impl Refused for Never {
    fn code(&self) -> &'static str {
        "test.never"
    }
}

impl Aggregate for Notes {
    const STREAM: &'static str = "test.notes";
    type State = ();
    type Command = i64;
    type Event = Noted;
    type Refusal = Never;
    fn decide((): &(), number: i64) -> Result<Vec<Noted>, Never> {
        Ok(vec![Noted(number)])
    }
    fn evolve((): (), _: &Noted) {}
}

/// Remembers what it took in; says "later" to 1,300 twice, "much later" to 1,400 once, and cannot bear 99.
#[derive(Default)]
struct Reader {
    seen: Mutex<Vec<i64>>,
    thirteens: Mutex<u32>,
    fourteens: Mutex<u32>,
}

#[async_trait::async_trait]
impl Consumer for Reader {
    fn name(&self) -> &'static str {
        "test.reader"
    }
    fn interests(&self) -> &'static [&'static str] {
        &["test.Noted"]
    }
    async fn handle(&self, _: &mut Tx, event: &Envelope) -> Result<Outcome, HandlerError> {
        let Noted(number) = event.read()?;
        if number == 99 {
            return Ok(Outcome::Park("cannot bear 99".to_owned()));
        }
        if number == 1_300 {
            let mut thirteens = self.thirteens.lock().unwrap();
            *thirteens += 1;
            if *thirteens <= 2 {
                return Ok(Outcome::RetryAfter(Duration::from_secs(1)));
            }
        }
        if number == 1_400 {
            let mut fourteens = self.fourteens.lock().unwrap();
            *fourteens += 1;
            if *fourteens == 1 {
                return Ok(Outcome::RetryAfter(Duration::from_mins(5)));
            }
        }
        self.seen.lock().unwrap().push(number);
        Ok(Outcome::Handled)
    }
}

struct Fixture {
    _database: TestDatabase,
    broker: TestBroker,
    store: Store,
    tenant: Tenant,
    stop: CancellationToken,
    reader: Arc<Reader>,
}

impl Fixture {
    async fn start() -> Self {
        let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
        let connection = database.connect().await;
        let stop = CancellationToken::new();
        let sequencer = Sequencer::new(connection.clone());
        let relay = Relay::new(connection.clone(), Broker::new(broker.url(), "test relay"));
        let (a, b) = (stop.clone(), stop.clone());
        tokio::spawn(async move { sequencer.run(a).await });
        tokio::spawn(async move { relay.run(b).await });
        let fixture = Self {
            _database: database,
            broker,
            store: Store::new(connection),
            tenant: Tenant::customer(id(), id()),
            stop,
            reader: Arc::default(),
        };
        fixture.subscribe();
        fixture
    }

    fn subscribe(&self) {
        let (database, broker) =
            (self.store.database().clone(), Broker::new(self.broker.url(), "test reader"));
        let (reader, stop) = (self.reader.clone(), self.stop.clone());
        tokio::spawn(async move { consume(database, broker, reader.as_ref(), stop).await });
    }

    async fn note(&self, numbers: impl IntoIterator<Item = i64>) {
        let scope = Scope::partner_of(self.tenant);
        let stream_id = id();
        for number in numbers {
            let cause = cause();
            let target =
                Target { scope: &scope, tenant: self.tenant, stream_id, cause: &cause, occurred_at: None };
            self.store.execute::<Notes>(target, number).await.unwrap();
        }
    }

    async fn until_seen(&self, expected: impl IntoIterator<Item = i64>) {
        let expected: Vec<_> = expected.into_iter().collect();
        eventually("every number to arrive", async || {
            self.reader.seen.lock().unwrap().len() >= expected.len()
        })
        .await;
        assert_eq!(*self.reader.seen.lock().unwrap(), expected);
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_arrive_once_and_in_order_even_when_connections_are_cut() {
    let f = Fixture::start().await;
    f.note(0..20).await;
    f.until_seen(0..20).await;
    f.broker.cut_connections().await;
    f.note(20..40).await;
    f.until_seen(0..40).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happened_before_the_queue_existed_is_read_from_the_log() {
    let f = Fixture::start().await;
    f.note(0..5).await;
    f.until_seen(0..5).await;
    // A consumer with another name would start at the log's beginning; here the same one starts a second time.
    f.subscribe();
    f.note(5..6).await;
    f.until_seen(0..6).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_asks_for_time_comes_again_and_one_that_cannot_be_handled_is_parked() {
    let f = Fixture::start().await;
    f.note([1, 1_300, 99, 2]).await;
    f.until_seen([1, 2, 1_300]).await;
    eventually("99 to be parked", async || f.broker.queue_length("test.reader.parked").await == Some(1))
        .await;
    assert_eq!(*f.reader.thirteens.lock().unwrap(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_knows_whether_it_has_heard_of_everything() {
    let f = Fixture::start().await;
    f.note(0..3).await;
    let log = eventstore::Log::new(f.store.database().clone());
    eventually("positions to be given", async || log.head().await.unwrap().0 == 3).await;
    let heard = async |consumer, interests: &[&str], patience| {
        has_heard_all(f.store.database(), consumer, interests, None, patience).await.unwrap()
    };
    assert!(heard("test.reader", &["test.Noted"], Duration::from_mins(1)).await);
    assert_eq!(*f.reader.seen.lock().unwrap(), [0, 1, 2], "all of it was handled by then");
    assert!(
        !heard("test.nobody", &["test.*"], Duration::ZERO).await,
        "who never listens has heard of nothing"
    );
    assert!(heard("test.nobody", &["other.*"], Duration::ZERO).await, "except of what never happened");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_set_aside_is_not_lost_with_the_broker() {
    let f = Fixture::start().await;
    f.note([1_400, 2]).await;
    f.until_seen([2]).await;
    // The broker holds 1,400 back for five minutes; whoever connects anew reads it from the log, at once.
    f.broker.cut_connections().await;
    f.until_seen([2, 1_400]).await;
}
