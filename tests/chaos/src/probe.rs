//! A queue of the driver's own behind every exchange: what the relay has really published.

use crate::send::lock;
use anyhow::{Context, Result, bail};
use contracts::Service;
use futures_util::StreamExt;
use journeys::chaos::Check;
use lapin::{
    Channel, Connection, ConnectionProperties, Consumer, ExchangeKind,
    message::Delivery,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicQosOptions, ExchangeDeclareOptions, QueueBindOptions,
        QueueDeclareOptions,
    },
    types::{AMQPValue, FieldTable, ShortString},
};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const QUEUE: &str = "chaos.probe";
/// The header with the position of the event of the same type before.
const PREVIOUS: &str = "previous";
const PREFETCH: u16 = 256;
/// A broker under attack answers late or never.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
const RECONNECT_PAUSE: Duration = Duration::from_millis(300);

/// What the probe knows of one event.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sighting {
    pub(crate) seq: i64,
    pub(crate) stream_id: Uuid,
    pub(crate) version: i64,
    /// The position of the event of this type before it, as the relay says.
    pub(crate) previous: Option<i64>,
    hash: [u8; 32],
}

/// All that was published.
pub(crate) struct Sightings {
    pub(crate) events: HashMap<Uuid, Sighting>,
    /// The highest version of each stream so far.
    reached: HashMap<Uuid, i64>,
    pub(crate) duplicates: u64,
    pub(crate) same_bytes: Check,
    pub(crate) in_order: Check,
}

impl Default for Sightings {
    fn default() -> Self {
        Self {
            events: HashMap::new(),
            reached: HashMap::new(),
            duplicates: 0,
            same_bytes: Check::new("an event that is published again has the same id and the same bytes"),
            in_order: Check::new("no event of a stream is published after a later one that was there first"),
        }
    }
}

#[derive(Deserialize)]
struct Published {
    seq: i64,
    event_id: Uuid,
    stream_id: Uuid,
    version: i64,
}

impl Sightings {
    fn see(&mut self, delivery: &Delivery) {
        let published: Published = match serde_json::from_slice(&delivery.data) {
            Ok(published) => published,
            Err(error) => return self.same_bytes.violate(format!("a message is not an event: {error}")),
        };
        let hash: [u8; 32] = Sha256::digest(&delivery.data).into();
        let id = published.event_id;
        let message_id = delivery.properties.message_id().as_ref().map(ShortString::as_str);
        if message_id != Some(id.to_string().as_str()) {
            self.same_bytes.violate(format!("event {id} was published with the message id {message_id:?}"));
        }
        if let Some(known) = self.events.get_mut(&id) {
            self.duplicates += 1;
            let differs = known.hash != hash;
            self.same_bytes
                .look(differs.then(|| format!("event {id} (position {}) came with other bytes", known.seq)));
            return;
        }
        let Published { seq, stream_id, version, .. } = published;
        let reached = self.reached.entry(stream_id).or_insert(0);
        // A broker that was killed gives back late what it had handed out and got no answer for: that is not the
        // publisher's doing, and says so.
        let late = version < *reached && !delivery.redelivered;
        self.in_order.look(late.then(|| {
            format!("stream {stream_id}: version {version} (position {seq}) came after version {reached}")
        }));
        *reached = version.max(*reached);
        self.events.insert(id, Sighting { seq, stream_id, version, previous: previous(delivery), hash });
    }
}

/// What the relay says of the event of the same type before.
fn previous(delivery: &Delivery) -> Option<i64> {
    let headers = delivery.properties.headers().as_ref()?;
    headers.inner().get(PREVIOUS)?.as_long_long_int()
}

/// The probe at work.
#[derive(Clone)]
pub(crate) struct Probe {
    pub(crate) seen: Arc<Mutex<Sightings>>,
}

impl Probe {
    /// Declares the queue, so that nothing is published before it is there, and listens until `stop`.
    pub(crate) async fn begin(
        url: &str,
        stop: CancellationToken,
    ) -> Result<(Self, impl Future<Output = ()> + use<>)> {
        let probe = Self { seen: Arc::default() };
        let connection = connect(url).await?;
        let _declared = subscribe(&connection).await?;
        let listening = {
            let (probe, url) = (probe.clone(), url.to_owned());
            async move { probe.listen(&url, &stop).await }
        };
        // Closed in order, so that the queue has one consumer only.
        _ = tokio::time::timeout(ANSWER_LIMIT, connection.close(200, "declared".into())).await;
        Ok((probe, listening))
    }

    pub(crate) fn count(&self) -> u64 {
        lock(&self.seen).events.len() as u64
    }

    async fn listen(&self, url: &str, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            // A loss is what is expected here; what was not acknowledged comes again.
            _ = self.session(url, stop).await;
            tokio::time::sleep(RECONNECT_PAUSE).await;
        }
    }

    async fn session(&self, url: &str, stop: &CancellationToken) -> Result<()> {
        let connection = connect(url).await?;
        let (channel, mut deliveries) = subscribe(&connection).await?;
        let mut alive = tokio::time::interval(Duration::from_secs(1));
        loop {
            let delivery = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                delivery = deliveries.next() => delivery.context("the subscription ended")??,
                // The stream may stay silent for ever after a lost connection.
                _ = alive.tick() => {
                    if !connection.status().connected() || !channel.status().connected() {
                        bail!("the connection is lost");
                    }
                    continue;
                }
            };
            lock(&self.seen).see(&delivery);
            within(delivery.ack(BasicAckOptions::default())).await?;
        }
    }
}

async fn connect(url: &str) -> Result<Connection> {
    let properties = ConnectionProperties::default().with_connection_name("chaos probe".into());
    within(Connection::connect(url, properties)).await
}

async fn subscribe(connection: &Connection) -> Result<(Channel, Consumer)> {
    let channel = within(connection.create_channel()).await?;
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    within(channel.queue_declare(QUEUE.into(), QueueDeclareOptions::durable(), arguments)).await?;
    for service in Service::ALL {
        let exchange = format!("{service}.events");
        let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        let declared = channel.exchange_declare(
            exchange.as_str().into(),
            ExchangeKind::Topic,
            options,
            FieldTable::default(),
        );
        within(declared).await?;
        let bound = channel.queue_bind(
            QUEUE.into(),
            exchange.as_str().into(),
            "#".into(),
            QueueBindOptions::default(),
            FieldTable::default(),
        );
        within(bound).await?;
    }
    within(channel.basic_qos(PREFETCH, BasicQosOptions::default())).await?;
    let deliveries = within(channel.basic_consume(
        QUEUE.into(),
        QUEUE.into(),
        BasicConsumeOptions::default(),
        FieldTable::default(),
    ))
    .await?;
    Ok((channel, deliveries))
}

async fn within<T>(answer: impl Future<Output = Result<T, lapin::Error>>) -> Result<T> {
    Ok(tokio::time::timeout(ANSWER_LIMIT, answer).await.context("the broker gave no answer")??)
}
