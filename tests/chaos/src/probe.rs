//! A queue of the driver's own behind every exchange: what the relay has really published.

use crate::{
    send::lock,
    sightings::{Message, Sightings},
};
use anyhow::{Context, Result, bail};
use contracts::Service;
use futures_util::StreamExt;
use lapin::{
    Channel, Connection, ConnectionProperties, Consumer, ExchangeKind,
    message::Delivery,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicQosOptions, ExchangeDeclareOptions, QueueBindOptions,
        QueueDeclareOptions,
    },
    types::{AMQPValue, FieldTable, ShortString},
};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio_util::sync::CancellationToken;

const QUEUE: &str = "chaos.probe";
/// The header with the position of the event of the same type before.
const PREVIOUS: &str = "previous";
const PREFETCH: u16 = 256;
/// A broker under attack answers late or never.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
const RECONNECT_PAUSE: Duration = Duration::from_millis(300);

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
            lock(&self.seen).see(&Message {
                body: &delivery.data,
                id: delivery.properties.message_id().as_ref().map(ShortString::as_str),
                previous: previous(&delivery),
                redelivered: delivery.redelivered,
            });
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
