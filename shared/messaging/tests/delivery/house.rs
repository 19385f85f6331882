//! A database, a broker, a sequencer, and what a test starts in between.

use eventstore::{Log, Sequencer, Store, StoreError, Target, Tx};
use kernel::{Aggregate, Envelope, EventData, MalformedEvent, Position, Refused, Scope, StreamId, Tenant};
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties,
    options::{
        BasicPublishOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions, QueuePurgeOptions,
    },
    types::{AMQPValue, FieldTable},
};
use messaging::{Broker, Concurrency, Consumer, HandlerError, Outcome, Relay, consume};
use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
};
use testkit::{TestBroker, TestDatabase, cause, eventually, id};
use tokio::{sync::Semaphore, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// Notes and marks numbers.
struct Numbers;

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Number {
    Noted(i64),
    Marked(i64),
}

impl Number {
    fn value(&self) -> i64 {
        match self {
            Self::Noted(number) | Self::Marked(number) => *number,
        }
    }
}

impl EventData for Number {
    fn event_type(&self) -> &'static str {
        match self {
            Self::Noted(_) => "test.Noted",
            Self::Marked(_) => "test.Marked",
        }
    }
    fn schema_version(&self) -> i16 {
        1
    }
    fn payload(&self) -> serde_json::Value {
        serde_json::json!({ "number": self.value() })
    }
    fn read(event_type: &str, _: i16, payload: &serde_json::Value) -> Result<Self, MalformedEvent> {
        let number = payload["number"].as_i64().unwrap();
        Ok(if event_type == "test.Noted" { Self::Noted(number) } else { Self::Marked(number) })
    }
    fn owns(event_type: &str) -> bool {
        event_type.starts_with("test.")
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

impl Aggregate for Numbers {
    const STREAM: &'static str = "test.numbers";
    type State = ();
    type Command = Number;
    type Event = Number;
    type Refusal = Never;
    fn decide((): &(), number: Number) -> Result<Vec<Number>, Never> {
        Ok(vec![number])
    }
    fn evolve((): (), _: &Number) {}
}

/// A consumer that notes each number in a table and does otherwise as it is told.
pub(crate) struct Probe {
    pub(crate) name: &'static str,
    pub(crate) interests: &'static [&'static str],
    pub(crate) prefetch: u16,
    pub(crate) batch: usize,
    pub(crate) concurrency: Concurrency,
    /// What it says to a number at first, instead of handling it.
    pub(crate) answers: Mutex<HashMap<i64, VecDeque<Outcome>>>,
    /// Numbers that are in nobody's way but wait in place until the gate has a permit for each. (A transaction that
    /// waited would hold up the order of all events.)
    pub(crate) gated: Vec<i64>,
    /// A number at which it waits for the gate within its transaction.
    pub(crate) slow_at: Option<i64>,
    pub(crate) gate: Semaphore,
    /// A number at which it panics.
    pub(crate) panics_at: Option<i64>,
    /// Every call.
    pub(crate) calls: Mutex<Vec<i64>>,
}

impl Default for Probe {
    fn default() -> Self {
        Self {
            name: "test.probe",
            interests: &["test.*"],
            prefetch: 64,
            batch: 1,
            concurrency: Concurrency::InOrder,
            answers: Mutex::default(),
            gated: Vec::new(),
            slow_at: None,
            gate: Semaphore::new(0),
            panics_at: None,
            calls: Mutex::default(),
        }
    }
}

impl Probe {
    pub(crate) fn answering(self, number: i64, outcomes: impl IntoIterator<Item = Outcome>) -> Self {
        self.answers.lock().unwrap().insert(number, outcomes.into_iter().collect());
        self
    }

    pub(crate) fn calls(&self) -> Vec<i64> {
        self.calls.lock().unwrap().clone()
    }

    pub(crate) async fn until_called_with(&self, number: i64) {
        eventually("a number to be in work", async || self.calls().contains(&number)).await;
    }
}

#[async_trait::async_trait]
impl Consumer for Probe {
    fn name(&self) -> &'static str {
        self.name
    }
    fn interests(&self) -> &'static [&'static str] {
        self.interests
    }
    fn prefetch(&self) -> u16 {
        self.prefetch
    }
    fn batch(&self) -> usize {
        self.batch
    }
    fn concurrency(&self) -> Concurrency {
        self.concurrency
    }
    async fn handle(&self, tx: &mut Tx, event: &Envelope) -> Result<Outcome, HandlerError> {
        let number = event.read::<Number>()?.value();
        let again = self.calls.lock().unwrap().last() == Some(&number);
        if !(again && self.gated.contains(&number)) {
            self.calls.lock().unwrap().push(number);
        }
        if self.gated.contains(&number) {
            let Ok(permit) = self.gate.try_acquire() else { return Err(busy(event)) };
            permit.forget();
        }
        if self.slow_at == Some(number) {
            self.gate.acquire().await.unwrap().forget();
        }
        assert!(self.panics_at != Some(number), "cannot bear {number}");
        let answer = self.answers.lock().unwrap().get_mut(&number).and_then(VecDeque::pop_front);
        // Row-level security refuses it in another partner's scope.
        sqlx::query(
            "insert into public.effect (consumer, number, partner_id, customer_id) values ($1, $2, $3, $4)",
        )
        .bind(self.name)
        .bind(number)
        .bind(event.tenant.partner_id.0)
        .bind(event.tenant.customer_id.map(|id| id.0))
        .execute(&mut **tx)
        .await?;
        Ok(answer.unwrap_or(Outcome::Handled))
    }
}

fn busy(event: &Envelope) -> HandlerError {
    StoreError::Conflict { stream_id: event.stream_id, attempts: 1 }.into()
}

/// Something that was started and can be stopped, or killed by dropping it.
pub(crate) struct Running {
    pub(crate) stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    pub(crate) fn start<F: Future<Output = ()> + Send + 'static>(
        work: impl FnOnce(CancellationToken) -> F,
    ) -> Self {
        let stop = CancellationToken::new();
        Self { task: tokio::spawn(work(stop.clone())), stop }
    }

    pub(crate) async fn stopped(mut self) {
        self.stop.cancel();
        (&mut self.task).await.unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(crate) struct House {
    _sequencer: Running,
    pub(crate) broker: TestBroker,
    pub(crate) store: Store,
    pub(crate) log: Log,
    pub(crate) tenant: Tenant,
    pub(crate) database: TestDatabase,
}

impl House {
    /// With a sequencer, but nothing between log and broker.
    pub(crate) async fn build() -> Self {
        if std::env::var_os("RUST_LOG").is_some() {
            let _ = tracing_subscriber::fmt().with_test_writer().try_init();
        }
        let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
        sqlx::raw_sql(
            "create table public.effect (at bigint generated always as identity, consumer text, number bigint,
                                         partner_id uuid not null, customer_id uuid);
             call es.protect('public.effect')",
        )
        .execute(&mut database.owner().await)
        .await
        .unwrap();
        let connection = database.connect().await;
        let sequencer = Sequencer::new(connection.clone());
        Self {
            _sequencer: Running::start(async move |stop| sequencer.run(stop).await),
            broker,
            log: Log::new(connection.clone()),
            store: Store::new(connection),
            tenant: Tenant::customer(id(), id()),
            database,
        }
    }

    pub(crate) fn relay(&self) -> Running {
        self.relay_to(&self.broker.url())
    }

    pub(crate) fn relay_to(&self, url: &str) -> Running {
        let relay = Relay::new(self.store.database().clone(), Broker::new(url, "test relay"));
        Running::start(async move |stop| relay.run(stop).await)
    }

    pub(crate) fn consumer(&self, probe: &Arc<Probe>) -> Running {
        self.consumer_at(probe, &self.broker.url())
    }

    pub(crate) fn consumer_at(&self, probe: &Arc<Probe>, url: &str) -> Running {
        let (database, broker) = (self.store.database().clone(), Broker::new(url, "test consumer"));
        let probe = probe.clone();
        Running::start(async move |stop| consume(database, broker, probe.as_ref(), stop).await)
    }

    /// A consumer that has its queue and is at the end of the log.
    pub(crate) async fn ready_consumer(&self, probe: &Arc<Probe>) -> Running {
        let consumer = self.consumer(probe);
        eventually("the consumer to be ready", async || self.consumers_of(probe.name).await > 0).await;
        consumer
    }

    pub(crate) fn service_broker(&self) -> Broker {
        Broker::new(self.broker.url(), "test")
    }

    /// Notes the numbers on one stream.
    pub(crate) async fn note(&self, numbers: impl IntoIterator<Item = i64>) {
        self.append(self.tenant, id(), numbers.into_iter().map(Number::Noted)).await;
    }

    pub(crate) async fn append(
        &self,
        tenant: Tenant,
        stream_id: StreamId,
        numbers: impl IntoIterator<Item = Number>,
    ) {
        let scope = Scope::partner_of(tenant);
        for number in numbers {
            let cause = cause();
            let target = Target { scope: &scope, tenant, stream_id, cause: &cause, occurred_at: None };
            self.store.execute::<Numbers>(target, number).await.unwrap();
        }
    }

    /// The log, once everything has its position.
    pub(crate) async fn events(&self) -> Vec<Envelope> {
        eventually("positions to be given", async || {
            self.count("select (select count(*) from es.event) - (select count(*) from es.order_log)").await
                == 0
        })
        .await;
        self.log.page(Position(0), 500).await.unwrap()
    }

    pub(crate) async fn event(&self, number: i64) -> Envelope {
        let mut events = self.events().await.into_iter();
        events.find(|event| event.read::<Number>().unwrap().value() == number).unwrap()
    }

    /// The numbers that had an effect, in their order.
    pub(crate) async fn effects(&self, consumer: &str) -> Vec<i64> {
        sqlx::query_scalar("select number from public.effect where consumer = $1 order by at")
            .bind(consumer)
            .fetch_all(&mut self.database.owner().await)
            .await
            .unwrap()
    }

    /// Waits for as many effects and compares them.
    pub(crate) async fn until_effects(&self, consumer: &str, expected: impl IntoIterator<Item = i64>) {
        let expected: Vec<_> = expected.into_iter().collect();
        eventually("every number to have its effect", async || {
            self.effects(consumer).await.len() >= expected.len()
        })
        .await;
        assert_eq!(self.effects(consumer).await, expected);
    }

    pub(crate) async fn count(&self, question: &'static str) -> i64 {
        sqlx::query_scalar(question).fetch_one(&mut self.database.owner().await).await.unwrap()
    }

    pub(crate) async fn tell(&self, statement: &'static str) {
        sqlx::raw_sql(statement).execute(&mut self.database.owner().await).await.unwrap();
    }

    /// The consumer's place.
    pub(crate) async fn place(&self) -> i64 {
        self.count("select coalesce(max(seq), 0) from es.consumer").await
    }

    pub(crate) async fn until_place(&self, at_least: i64) {
        eventually("the consumer's place to move", async || self.place().await >= at_least).await;
    }

    /// A channel of the test's own. The connection must be kept.
    pub(crate) async fn channel(&self) -> (Connection, Channel) {
        let connection =
            Connection::connect(&self.broker.url(), ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        (connection, channel)
    }

    /// Messages in a queue that nobody has yet, and its consumers.
    async fn look_at(&self, queue: &str) -> Option<(u32, u32)> {
        let (_connection, channel) = self.channel().await;
        let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let queue = channel.queue_declare(queue.into(), options, FieldTable::default()).await.ok()?;
        Some((queue.message_count(), queue.consumer_count()))
    }

    pub(crate) async fn until_waiting(&self, queue: &str, messages: u32) {
        eventually("messages to wait in a queue", async || {
            self.look_at(queue).await.is_some_and(|(waiting, _)| waiting == messages)
        })
        .await;
    }

    async fn consumers_of(&self, queue: &str) -> u32 {
        self.look_at(queue).await.map_or(0, |(_, consumers)| consumers)
    }

    /// What the broker could do at its worst: forget messages that it had confirmed.
    pub(crate) async fn purge(&self, queue: &str) {
        let (_connection, channel) = self.channel().await;
        channel.queue_purge(queue.into(), QueuePurgeOptions::default()).await.unwrap();
    }

    /// Puts a message into a queue.
    pub(crate) async fn send(&self, queue: &str, body: &[u8], reason: Option<&str>) {
        let (_connection, channel) = self.channel().await;
        channel.confirm_select(lapin::options::ConfirmSelectOptions::default()).await.unwrap();
        let mut headers = FieldTable::default();
        if let Some(reason) = reason {
            headers.insert("reason".into(), AMQPValue::LongString(reason.into()));
        }
        let properties = BasicProperties::default().with_headers(headers);
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let sent = channel.basic_publish("".into(), queue.into(), options, body, properties).await.unwrap();
        assert_eq!(sent.await.unwrap(), lapin::Confirmation::Ack(None));
    }

    /// A queue that gets a copy of everything that is published.
    pub(crate) async fn listen_in(&self) {
        let (_connection, channel) = self.channel().await;
        let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        channel
            .exchange_declare(
                "test.events".into(),
                lapin::ExchangeKind::Topic,
                durable,
                FieldTable::default(),
            )
            .await
            .unwrap();
        let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        channel.queue_declare("copies".into(), options, FieldTable::default()).await.unwrap();
        let (queue, exchange) = ("copies".into(), "test.events".into());
        channel
            .queue_bind(queue, exchange, "#".into(), QueueBindOptions::default(), FieldTable::default())
            .await
            .unwrap();
    }

    /// Everything that was published since the last call.
    async fn published(&self) -> Vec<lapin::message::Delivery> {
        let (_connection, channel) = self.channel().await;
        let mut copies = Vec::new();
        let options = lapin::options::BasicGetOptions { no_ack: true };
        while let Some(message) = channel.basic_get("copies".into(), options).await.unwrap() {
            copies.push(message.delivery);
        }
        copies
    }

    /// The positions of everything that was published since the last call.
    pub(crate) async fn copies(&self) -> Vec<i64> {
        let published = self.published().await.into_iter();
        published.map(|copy| eventstore::read_envelope(&copy.data).unwrap().seq.0).collect()
    }

    /// What those messages say about the event before them.
    pub(crate) async fn previous(&self) -> Vec<Option<i64>> {
        let published = self.published().await.into_iter();
        let previous = |copy: lapin::message::Delivery| {
            copy.properties.headers().as_ref()?.inner().get("previous")?.as_long_long_int()
        };
        published.map(previous).collect()
    }
}
