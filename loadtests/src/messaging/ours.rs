//! The relay and a consumer that keeps a small view, as services run them.

use crate::server::Place;
use ::messaging::{Broker, Consumer, HandlerError, Outcome, Relay};
use anyhow::{Context, Result};
use eventstore::{Database, Tx};
use kernel::{CommandId, Envelope};
use sqlx::PgConnection;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use testkit::TestBroker;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// The queues, each of a consumer of its own.
pub(crate) const GROUPS: [&str; 6] = [
    "loadtests.first",
    "loadtests.second",
    "loadtests.third",
    "loadtests.fourth",
    "loadtests.fifth",
    "loadtests.sixth",
];

/// Messages on their way to a consumer that only keeps rows.
pub(crate) const PREFETCH: u16 = 256;
/// Events in one transaction of it.
const BATCH: usize = 100;

/// How long everything may take.
const PATIENCE: Duration = Duration::from_mins(3);

/// What the consumers keep: how many readings each meter has, and the last one.
pub(crate) const TABLES: &str = "
create schema bench_kept;
call es.open_schema('bench_kept');
create table bench_kept.meter (
  consumer    text   not null,
  stream_id   uuid   not null,
  partner_id  uuid   not null,
  customer_id uuid,
  readings    bigint not null,
  last        bigint not null,
  primary key (consumer, stream_id)
);
call es.protect('bench_kept.meter');
create schema bench_view;
call es.open_schema('bench_view');
create table bench_view.meter (
  stream_id   uuid   primary key,
  partner_id  uuid   not null,
  customer_id uuid,
  readings    bigint not null,
  last        bigint not null
);
call es.protect('bench_view.meter');";

/// Keeps the view, with one statement for a whole batch.
pub(crate) struct Keeper {
    name: &'static str,
    heard: Mutex<Heard>,
}

/// What a consumer has heard.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) count: usize,
    pub(crate) first: Option<Instant>,
    pub(crate) at: Vec<(CommandId, Instant)>,
}

impl Keeper {
    pub(crate) fn new(name: &'static str) -> Arc<Self> {
        Arc::new(Self { name, heard: Mutex::default() })
    }

    /// How much it has heard, and when the first of it.
    pub(crate) fn progress(&self) -> (usize, Option<Instant>) {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        (heard.count, heard.first)
    }

    /// When it heard of each command's event.
    pub(crate) fn take(&self) -> Vec<(CommandId, Instant)> {
        std::mem::take(&mut self.heard.lock().unwrap_or_else(PoisonError::into_inner).at)
    }

    fn note(&self, events: &[Envelope]) {
        let now = Instant::now();
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.count += events.len();
        heard.first.get_or_insert(now);
        heard.at.extend(events.iter().map(|event| (event.command_id, now)));
    }
}

#[async_trait::async_trait]
impl Consumer for Keeper {
    fn name(&self) -> &'static str {
        self.name
    }
    fn interests(&self) -> &'static [&'static str] {
        &["loadtests.*"]
    }
    fn prefetch(&self) -> u16 {
        PREFETCH
    }
    fn batch(&self) -> usize {
        BATCH
    }
    async fn handle(&self, tx: &mut Tx, event: &Envelope) -> Result<Outcome, HandlerError> {
        self.handle_batch(tx, std::slice::from_ref(event)).await
    }
    async fn handle_batch(&self, tx: &mut Tx, events: &[Envelope]) -> Result<Outcome, HandlerError> {
        self.note(events);
        let meters = Meters::of(events);
        sqlx::query(
            "insert into bench_kept.meter as m (consumer, stream_id, partner_id, customer_id, readings, last)
             select $1, t.stream_id, t.partner_id, t.customer_id, t.readings, t.last
               from unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::bigint[], $6::bigint[])
                    as t (stream_id, partner_id, customer_id, readings, last)
             on conflict (consumer, stream_id) do update
                set readings = m.readings + excluded.readings, last = excluded.last",
        )
        .bind(self.name)
        .bind(meters.stream_ids)
        .bind(meters.partner_ids)
        .bind(meters.customer_ids)
        .bind(meters.readings)
        .bind(meters.last)
        .execute(&mut **tx)
        .await?;
        Ok(Outcome::Handled)
    }
}

/// Events of a batch, folded to one row a meter.
#[derive(Debug, Default)]
pub(crate) struct Meters {
    pub(crate) stream_ids: Vec<Uuid>,
    pub(crate) partner_ids: Vec<Uuid>,
    pub(crate) customer_ids: Vec<Option<Uuid>>,
    pub(crate) readings: Vec<i64>,
    pub(crate) last: Vec<i64>,
}

impl Meters {
    pub(crate) fn of(events: &[Envelope]) -> Self {
        let mut meters = Self::default();
        let mut rows: HashMap<Uuid, usize> = HashMap::new();
        for event in events {
            let row = *rows.entry(event.stream_id.0).or_insert_with(|| {
                meters.stream_ids.push(event.stream_id.0);
                meters.partner_ids.push(event.tenant.partner_id.0);
                meters.customer_ids.push(event.tenant.customer_id.map(|id| id.0));
                meters.readings.push(0);
                meters.last.push(0);
                meters.stream_ids.len() - 1
            });
            if let (Some(readings), Some(last)) = (meters.readings.get_mut(row), meters.last.get_mut(row)) {
                *readings += 1;
                *last = event.version;
            }
        }
        meters
    }
}

/// Parts of us at work, each until the stop.
pub(crate) struct AtWork {
    stop: CancellationToken,
    parts: JoinSet<()>,
}

impl AtWork {
    pub(crate) fn new() -> Self {
        Self { stop: CancellationToken::new(), parts: JoinSet::new() }
    }

    pub(crate) fn sequencer(&mut self, database: &Database) {
        let (sequencer, stop) = (eventstore::Sequencer::new(database.clone()), self.stop.clone());
        self.parts.spawn(async move { sequencer.run(stop).await });
    }

    pub(crate) fn relay(&mut self, database: &Database, broker: &TestBroker) {
        let relay = Relay::new(database.clone(), Broker::new(broker.url(), "bench relay"));
        let stop = self.stop.clone();
        self.parts.spawn(async move { relay.run(stop).await });
    }

    pub(crate) fn consumer(&mut self, database: &Database, broker: &TestBroker, keeper: &Arc<Keeper>) {
        let (database, keeper, stop) = (database.clone(), keeper.clone(), self.stop.clone());
        let broker = Broker::new(broker.url(), keeper.name);
        self.parts.spawn(async move { ::messaging::consume(database, broker, keeper.as_ref(), stop).await });
    }

    pub(crate) async fn end(self) {
        self.stop.cancel();
        self.parts.join_all().await;
    }
}

/// Declares the consumers' queues and leaves nobody there; `empty` is a database without events.
pub(crate) async fn declare(empty: &Place, broker: &TestBroker, groups: &[&'static str]) -> Result<()> {
    let database = empty.database(8).await?;
    let mut at_work = AtWork::new();
    for group in groups {
        at_work.consumer(&database, broker, &Keeper::new(group));
    }
    for group in groups {
        ready(broker, group).await?;
    }
    at_work.end().await;
    database.close().await;
    Ok(())
}

/// Waits until a consumer has subscribed to its queue.
pub(crate) async fn ready(broker: &TestBroker, group: &str) -> Result<()> {
    until("a consumer's subscription", async || Ok(super::bare::consumers(&broker.url(), group).await? > 0))
        .await
}

/// Waits until the relay has published everything up to `count`.
pub(crate) async fn relayed(owner: &mut PgConnection, count: usize) -> Result<()> {
    let count = i64::try_from(count)?;
    let owner = tokio::sync::Mutex::new(owner);
    until("the relay", async || {
        let mut owner = owner.lock().await;
        let reached: i64 =
            sqlx::query_scalar("select max(seq) from es.relay").fetch_one(&mut **owner).await?;
        Ok(reached >= count)
    })
    .await
}

/// Waits until what the consumer keeps counts so many events, committed.
pub(crate) async fn kept(owner: &mut PgConnection, keeper: &Keeper, count: usize) -> Result<()> {
    until("a consumer's first events", async || Ok(keeper.progress().0 >= count)).await?;
    let owner = tokio::sync::Mutex::new(owner);
    until("a consumer", async || {
        let mut owner = owner.lock().await;
        let kept: Option<i64> =
            sqlx::query_scalar("select sum(readings)::bigint from bench_kept.meter where consumer = $1")
                .bind(keeper.name)
                .fetch_one(&mut **owner)
                .await?;
        Ok(kept.unwrap_or(0).unsigned_abs() >= count as u64)
    })
    .await
}

async fn until(who: &str, condition: impl AsyncFn() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !condition().await? {
        anyhow::ensure!(Instant::now() < deadline, "{who} was not done after {} s", PATIENCE.as_secs());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(())
}

/// The messages as the relay sends them, taken from a queue.
pub(crate) async fn sample(
    template: &Place,
    server: &crate::server::Server,
    empty: &Place,
    count: usize,
) -> Result<Arc<[super::bare::Message]>> {
    let broker = TestBroker::create().await;
    declare(empty, &broker, &GROUPS[..1]).await?;
    let place = server.copy(template, "sample").await?;
    let database = place.database(8).await?;
    let mut at_work = AtWork::new();
    at_work.relay(&database, &broker);
    let (taken, messages) = std::sync::mpsc::channel();
    super::bare::consume(broker.url(), GROUPS[0], PREFETCH, count, move |delivery| {
        // Nobody minds a message after the last.
        _ = taken.send(super::bare::Message {
            exchange: delivery.exchange.to_string(),
            key: delivery.routing_key.to_string(),
            properties: delivery.properties,
            body: delivery.data,
        });
    })
    .await
    .context("taking samples of the relay's messages")?;
    at_work.end().await;
    database.close().await;
    server.drop(&place).await?;
    Ok(messages.into_iter().collect())
}
