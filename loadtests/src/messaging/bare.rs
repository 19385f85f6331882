//! The broker without us: publishing with a window of confirms, and consuming.

use anyhow::{Context, Result, bail};
use futures_util::StreamExt;
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties,
    message::Delivery,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
        QueueDeclareOptions,
    },
    types::FieldTable,
};
use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

/// Messages that wait for their confirms at once: as many as the relay lets wait.
const WINDOW: usize = 1_000;

/// How many messages one acknowledgement answers for: as many as our consumer takes in at once.
const ACK_EVERY: usize = 100;

/// A broker that delivers nothing for so long has nothing.
const SILENCE: Duration = Duration::from_secs(20);

/// A message as the relay sends it.
#[derive(Clone)]
pub(crate) struct Message {
    pub(crate) exchange: String,
    pub(crate) key: String,
    pub(crate) properties: BasicProperties,
    pub(crate) body: Vec<u8>,
}

pub(crate) async fn connect(url: &str) -> Result<(Connection, Channel)> {
    let connection = Connection::connect(url, ConnectionProperties::default())
        .await
        .context("connecting to the broker")?;
    let channel = connection.create_channel().await.context("opening a channel")?;
    channel.confirm_select(ConfirmSelectOptions::default()).await.context("asking for confirms")?;
    Ok((connection, channel))
}

/// How many consumers a queue has; none if there is no such queue.
pub(crate) async fn consumers(url: &str, queue: &str) -> Result<u32> {
    let (connection, channel) = connect(url).await?;
    let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::durable() };
    // A queue that is not there costs the channel, which was made for this question.
    let declared = channel.queue_declare(queue.into(), options, FieldTable::default()).await;
    let count = declared.map_or(0, |queue| queue.consumer_count());
    connection.close(200, "done".into()).await?;
    Ok(count)
}

/// Publishes all of them; answers with how long it took until the last confirm.
pub(crate) async fn publish(url: String, messages: Arc<[Message]>) -> Result<Duration> {
    // As a task: the thread that waits for a whole bench is woken up at a price.
    let publishing = tokio::spawn(async move {
        let started = Instant::now();
        let (connection, channel) = connect(&url).await?;
        let mut unconfirmed = VecDeque::with_capacity(WINDOW);
        for message in messages.iter() {
            unconfirmed.push_back(send(&channel, message).await?);
            if unconfirmed.len() >= WINDOW
                && let Some(oldest) = unconfirmed.pop_front()
            {
                check(&oldest.await?)?;
            }
        }
        for confirm in unconfirmed {
            check(&confirm.await?)?;
        }
        let took = started.elapsed();
        connection.close(200, "done".into()).await?;
        anyhow::Ok(took)
    });
    publishing.await.context("the publisher panicked")?
}

/// Hands one message to the connection.
pub(crate) async fn send(
    channel: &Channel,
    message: &Message,
) -> Result<impl Future<Output = lapin::Result<Confirmation>> + use<>> {
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let Message { exchange, key, properties, body } = message;
    Ok(channel
        .basic_publish(exchange.as_str().into(), key.as_str().into(), options, body, properties.clone())
        .await?)
}

pub(crate) fn check(confirmation: &Confirmation) -> Result<()> {
    match confirmation {
        Confirmation::Ack(None) => Ok(()),
        Confirmation::Ack(Some(_)) => bail!("a message came back: its queue is not bound"),
        Confirmation::Nack(_) | Confirmation::NotRequested => bail!("the broker refused a message"),
    }
}

/// Consumes `count` messages; answers with the time from the first to the last acknowledgement, and calls `seen` with
/// each.
pub(crate) async fn consume(
    url: String,
    queue: &'static str,
    prefetch: u16,
    count: usize,
    mut seen: impl FnMut(Delivery) + Send + 'static,
) -> Result<Duration> {
    let consuming = tokio::spawn(async move {
        let (connection, channel) = connect(&url).await?;
        channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
        let (options, arguments) = (BasicConsumeOptions::default(), FieldTable::default());
        let mut deliveries = channel.basic_consume(queue.into(), "bare".into(), options, arguments).await?;
        let mut started = None;
        for number in 1..=count {
            let delivery = tokio::time::timeout(SILENCE, deliveries.next())
                .await
                .with_context(|| format!("message {number} of {count} did not come"))?
                .context("the broker ended the subscription")??;
            started.get_or_insert_with(Instant::now);
            let acker = delivery.acker.clone();
            seen(delivery);
            if number % ACK_EVERY == 0 || number == count {
                acker.ack(BasicAckOptions { multiple: true }).await?;
            }
        }
        let took = started.map(|at| at.elapsed()).unwrap_or_default();
        connection.close(200, "done".into()).await?;
        anyhow::Ok(took)
    });
    consuming.await.context("the consumer panicked")?
}
