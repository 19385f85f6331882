//! The one loop in which every consumer runs: declare, catch up from the log, consume, and begin anew after a loss.

use crate::{
    Broker, BrokerError, Consumer,
    broker::within,
    handling::{Taken, chain, take},
    topology,
};
use eventstore::{Database, Log, StoreError};
use futures_util::StreamExt;
use kernel::{Envelope, Position, Scope};
use lapin::{
    BasicProperties, Channel, Confirmation,
    message::Delivery,
    options::{BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions},
    types::{AMQPValue, FieldTable},
};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// Events on their way to one consumer: enough to hide the round trip, few enough to hand over quickly.
const PREFETCH: u16 = 64;
/// Wait before a lost connection is built again.
const RECONNECT_PAUSE: Duration = Duration::from_millis(500);
/// Events read from the log at a time while catching up.
const CATCH_UP_PAGE: i64 = 500;
/// Carries how often a message was tried.
const ATTEMPT: &str = "attempt";
/// Carries why a message was parked or tried again.
const REASON: &str = "reason";

#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error(transparent)]
    Broker(#[from] BrokerError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the broker ended the subscription")]
    Ended,
}

/// Consumes until `stop`; a message in work is finished first.
pub async fn consume(database: Database, broker: Broker, consumer: &dyn Consumer, stop: CancellationToken) {
    while !stop.is_cancelled() {
        match session(&database, &broker, consumer, &stop).await {
            Ok(()) => break,
            Err(lost) => {
                tracing::warn!(consumer = consumer.name(), error = %chain(&lost), "reconnecting a consumer");
            }
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(RECONNECT_PAUSE) => {}
        }
    }
}

async fn session(
    database: &Database,
    broker: &Broker,
    consumer: &dyn Consumer,
    stop: &CancellationToken,
) -> Result<(), Lost> {
    let connection = broker.connect().await?;
    let channel = Broker::confirmed_channel(&connection).await?;
    topology::declare_consumer(&channel, consumer.name(), consumer.interests()).await?;
    catch_up(database, &channel, consumer, stop).await?;
    within("limiting the prefetch", channel.basic_qos(PREFETCH, BasicQosOptions::default())).await?;
    let mut deliveries = within(
        "subscribing",
        channel.basic_consume(
            consumer.name().into(),
            consumer.name().into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        ),
    )
    .await?;
    tracing::info!(consumer = consumer.name(), "a consumer is ready");
    // The stream may stay silent for ever after a lost connection, so the connection is looked at as well.
    let mut alive = tokio::time::interval(Duration::from_secs(1));
    loop {
        let delivery = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            delivery = deliveries.next() => delivery,
            _ = alive.tick() => {
                if !connection.status().connected() || !channel.status().connected() {
                    return Err(Lost::Ended);
                }
                continue;
            }
        };
        let delivery = delivery
            .ok_or(Lost::Ended)?
            .map_err(|source| BrokerError::Amqp { doing: "receiving", source: Box::new(source) })?;
        receive(database, &channel, consumer, delivery, stop).await?;
    }
}

/// Reads from the log what the broker may never have had: events from before the queue, or lost with an old broker.
async fn catch_up(
    database: &Database,
    channel: &Channel,
    consumer: &dyn Consumer,
    stop: &CancellationToken,
) -> Result<(), Lost> {
    let log = Log::new(database.clone());
    for seq in postponed(database, consumer.name()).await? {
        // One page of one event: the log is read by position.
        for event in log.page(Position(seq - 1), 1).await? {
            if !settle(database, channel, consumer, &event, stop).await? {
                return Ok(());
            }
        }
    }
    let mut cursor = place(database, consumer.name()).await?;
    loop {
        let page = log.page(cursor, CATCH_UP_PAGE).await?;
        let Some(last) = page.last().map(|event| event.seq) else { break };
        let wanted = page.iter().filter(|event| {
            consumer.interests().iter().any(|interest| topology::covers(interest, &event.event_type))
        });
        for event in wanted {
            if stop.is_cancelled() || !settle(database, channel, consumer, event, stop).await? {
                return Ok(());
            }
        }
        remember(database, consumer.name(), last).await?;
        cursor = last;
    }
    Ok(())
}

/// Handles one event of the log or sets it aside; false when the process is to stop.
async fn settle(
    database: &Database,
    channel: &Channel,
    consumer: &dyn Consumer,
    event: &Envelope,
    stop: &CancellationToken,
) -> Result<bool, Lost> {
    match take_traced(database, consumer, event, stop).await {
        Taken::Done => {}
        Taken::Stopped => return Ok(false),
        again @ (Taken::RetryAfter(..) | Taken::Park(_)) => {
            let body = message_body(event)?;
            postpone(database, consumer.name(), event).await?;
            if set_aside(channel, consumer.name(), &body, 0, again).await? == Aside::Parked {
                close(database, consumer.name(), event).await?;
            }
        }
    }
    Ok(true)
}

/// Events that were set aside and not handled since: a broker that was emptied meanwhile has lost them.
async fn postponed(database: &Database, name: &str) -> Result<Vec<i64>, StoreError> {
    let mut tx = database.begin(&Scope::Platform).await?;
    let seqs = sqlx::query_scalar("select seq from es.postponed where consumer = $1 order by seq limit $2")
        .bind(name)
        .bind(CATCH_UP_PAGE)
        .fetch_all(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(seqs)
}

/// Remembers an event before it is set aside.
async fn postpone(database: &Database, name: &str, event: &Envelope) -> Result<(), StoreError> {
    let mut tx = database.begin(&Scope::partner_of(event.tenant)).await?;
    sqlx::query(
        "insert into es.postponed (consumer, event_id, seq) values ($1, $2, $3) on conflict do nothing",
    )
    .bind(name)
    .bind(event.event_id.0)
    .bind(event.seq.0)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(())
}

async fn place(database: &Database, name: &str) -> Result<Position, StoreError> {
    let mut tx = database.begin(&Scope::Platform).await?;
    sqlx::query("insert into es.consumer (name) values ($1) on conflict do nothing")
        .bind(name)
        .execute(&mut *tx)
        .await?;
    let seq: i64 = sqlx::query_scalar("select seq from es.consumer where name = $1")
        .bind(name)
        .fetch_one(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(Position(seq))
}

async fn remember(database: &Database, name: &str, reached: Position) -> Result<(), StoreError> {
    let mut tx = database.begin(&Scope::Platform).await?;
    sqlx::query("update es.consumer set seq = $2, updated_at = now() where name = $1 and seq < $2")
        .bind(name)
        .bind(reached.0)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(())
}

/// Handles one delivery and answers for it.
async fn receive(
    database: &Database,
    channel: &Channel,
    consumer: &dyn Consumer,
    delivery: Delivery,
    stop: &CancellationToken,
) -> Result<(), Lost> {
    let event = eventstore::read_envelope(&delivery.data);
    let taken = match &event {
        Ok(event) => take_traced(database, consumer, event, stop).await,
        Err(error) => Taken::Park(error.to_string()),
    };
    match taken {
        Taken::Done => {}
        Taken::Stopped => return Ok(()),
        again @ (Taken::RetryAfter(..) | Taken::Park(_)) => {
            if let Ok(event) = &event {
                postpone(database, consumer.name(), event).await?;
            }
            let aside =
                set_aside(channel, consumer.name(), &delivery.data, attempt(&delivery), again).await?;
            if let (Aside::Parked, Ok(event)) = (aside, &event) {
                close(database, consumer.name(), event).await?;
            }
        }
    }
    within("acknowledging", delivery.ack(BasicAckOptions::default())).await?;
    Ok(())
}

async fn take_traced(
    database: &Database,
    consumer: &dyn Consumer,
    event: &Envelope,
    stop: &CancellationToken,
) -> Taken {
    let span = tracing::info_span!(
        "consume",
        consumer = consumer.name(),
        event.type = %event.event_type,
        event.seq = event.seq.0,
    );
    if let Some(traceparent) = &event.traceparent {
        runtime::telemetry::follow(&span, traceparent);
    }
    take(database, consumer, event, stop).instrument(span).await
}

fn attempt(delivery: &Delivery) -> usize {
    let headers = delivery.properties.headers().as_ref();
    match headers.and_then(|table| table.inner().get(ATTEMPT)) {
        Some(AMQPValue::LongLongInt(attempt)) => usize::try_from(*attempt).unwrap_or(0),
        _ => 0,
    }
}

fn message_body(event: &Envelope) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(event)
        .map_err(|error| StoreError::Corrupt { what: format!("an event is not JSON: {error}") })
}

/// Where a message went.
#[derive(Debug, PartialEq, Eq)]
enum Aside {
    Waiting,
    Parked,
}

/// Notes that a parked event is dealt with, so that another copy of it is not parked as well.
async fn close(database: &Database, name: &str, event: &Envelope) -> Result<(), StoreError> {
    let mut tx = database.begin(&Scope::partner_of(event.tenant)).await?;
    sqlx::query("insert into es.inbox (consumer, event_id) values ($1, $2) on conflict do nothing")
        .bind(name)
        .bind(event.event_id.0)
        .execute(&mut *tx)
        .await?;
    sqlx::query("delete from es.postponed where consumer = $1 and event_id = $2")
        .bind(name)
        .bind(event.event_id.0)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(())
}

/// Puts a message into a retry queue, or into the parking queue after the last step.
async fn set_aside(
    channel: &Channel,
    queue: &str,
    body: &[u8],
    attempt: usize,
    taken: Taken,
) -> Result<Aside, BrokerError> {
    let (target, reason) = match taken {
        Taken::Done | Taken::Stopped => return Ok(Aside::Waiting),
        Taken::Park(reason) => (topology::parking(queue), reason),
        Taken::RetryAfter(delay, reason) => {
            let step = topology::RETRY_STEPS.iter().skip(attempt).find(|step| **step >= delay);
            match step.or_else(|| topology::RETRY_STEPS.get(attempt)) {
                Some(step) => (topology::retry(queue, *step), reason),
                None => (topology::parking(queue), format!("gave up after {attempt} attempts: {reason}")),
            }
        }
    };
    tracing::warn!(queue = %target, attempt, %reason, "a message was set aside");
    metrics::counter!("messaging_set_aside_total", "queue" => target.clone()).increment(1);
    let mut headers = FieldTable::default();
    headers.insert(ATTEMPT.into(), AMQPValue::LongLongInt(i64::try_from(attempt + 1).unwrap_or(i64::MAX)));
    headers.insert(REASON.into(), AMQPValue::LongString(reason.as_str().into()));
    let properties = BasicProperties::default().with_delivery_mode(2).with_headers(headers);
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let confirmed = within("setting a message aside", async {
        channel.basic_publish("".into(), target.as_str().into(), options, body, properties).await?.await
    })
    .await?;
    match confirmed {
        Confirmation::Ack(None) if target == topology::parking(queue) => Ok(Aside::Parked),
        Confirmation::Ack(None) => Ok(Aside::Waiting),
        Confirmation::Ack(Some(_)) | Confirmation::Nack(_) | Confirmation::NotRequested => {
            Err(BrokerError::Refused { queue: target })
        }
    }
}
