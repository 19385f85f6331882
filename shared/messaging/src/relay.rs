//! Publishes the log in its order. One leader at a time; the cursor moves after the broker's confirms.

use crate::{Broker, BrokerError, broker::within, handling::chain, topology};
use eventstore::{Database, Log, StoreError};
use kernel::{Envelope, Position, Scope};
use lapin::{
    BasicProperties, Channel, Confirmation,
    options::BasicPublishOptions,
    types::{AMQPValue, FieldTable},
};
use std::{collections::HashSet, time::Duration};
use tokio_util::sync::CancellationToken;

/// Publications that wait for their confirms at once; one by one would be twenty times slower.
const CONFIRM_WINDOW: i64 = 256;
const PAUSE_MIN: Duration = Duration::from_millis(2);
const PAUSE_MAX: Duration = Duration::from_millis(50);
const RECONNECT_PAUSE: Duration = Duration::from_millis(500);
/// The name of this relay's cursor.
const NAME: &str = "amqp";

#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error(transparent)]
    Broker(#[from] BrokerError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The relay.
#[derive(Debug, Clone)]
pub struct Relay {
    database: Database,
    broker: Broker,
}

impl Relay {
    /// A relay from `database` to `broker`.
    pub fn new(database: Database, broker: Broker) -> Self {
        Self { database, broker }
    }

    /// Publishes until `stop`; begins anew after a loss of either side.
    pub async fn run(&self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            match self.session(&stop).await {
                Ok(()) => break,
                Err(lost) => {
                    tracing::warn!(error = %chain(&lost), "the relay lost a connection and will try again");
                }
            }
            pause(&stop, RECONNECT_PAUSE).await;
        }
    }

    async fn session(&self, stop: &CancellationToken) -> Result<(), Lost> {
        let connection = self.broker.connect().await?;
        let channel = Broker::confirmed_channel(&connection).await?;
        let log = Log::new(self.database.clone());
        let mut declared = HashSet::new();
        let mut quiet = PAUSE_MIN;
        tracing::info!("the relay is ready");
        while !stop.is_cancelled() {
            let published = self.page(&log, &channel, &mut declared).await?;
            if published > 0 {
                quiet = PAUSE_MIN;
                continue;
            }
            if !connection.status().connected() {
                return Err(Lost::Broker(BrokerError::Silent { doing: "publishing" }));
            }
            pause(stop, quiet).await;
            quiet = (quiet * 2).min(PAUSE_MAX);
        }
        Ok(())
    }

    /// Publishes one page. A second relay publishing the same page at the same time only makes duplicates, which every
    /// inbox stops.
    async fn page(
        &self,
        log: &Log,
        channel: &Channel,
        declared: &mut HashSet<String>,
    ) -> Result<usize, Lost> {
        let cursor = self.cursor().await?;
        let events = log.page(cursor, CONFIRM_WINDOW).await?;
        let Some(last) = events.last() else { return Ok(0) };
        let mut confirms = Vec::with_capacity(events.len());
        for event in &events {
            let exchange = topology::exchange(&event.event_type);
            if !declared.contains(&exchange) {
                topology::declare_exchange(channel, &event.event_type).await?;
                declared.insert(exchange.clone());
            }
            confirms.push(publish(channel, &exchange, event).await?);
        }
        for confirm in confirms {
            match within("waiting for a confirm", confirm).await? {
                Confirmation::Ack(None) => {}
                // Nobody wants it yet; a consumer that comes later reads it from the log.
                Confirmation::Ack(Some(_)) => metrics::counter!("messaging_unrouted_total").increment(1),
                Confirmation::Nack(_) | Confirmation::NotRequested => {
                    return Err(Lost::Broker(BrokerError::Refused { queue: "an exchange".to_owned() }));
                }
            }
        }
        self.advance(cursor, last.seq).await?;
        metrics::counter!("messaging_relayed_total").increment(events.len() as u64);
        metrics::counter!("messaging_relay_position").absolute(u64::try_from(last.seq.0).unwrap_or(0));
        Ok(events.len())
    }

    async fn cursor(&self) -> Result<Position, StoreError> {
        let mut tx = self.database.begin(&Scope::Platform).await?;
        let seq: i64 = sqlx::query_scalar("select seq from es.relay where name = $1")
            .bind(NAME)
            .fetch_one(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(Position(seq))
    }

    async fn advance(&self, from: Position, to: Position) -> Result<(), StoreError> {
        let mut tx = self.database.begin(&Scope::Platform).await?;
        sqlx::query("update es.relay set seq = $3 where name = $1 and seq = $2")
            .bind(NAME)
            .bind(from.0)
            .bind(to.0)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }
}

async fn publish(
    channel: &Channel,
    exchange: &str,
    event: &Envelope,
) -> Result<impl Future<Output = Result<Confirmation, lapin::Error>> + use<>, Lost> {
    let body = serde_json::to_vec(event)
        .map_err(|error| StoreError::Corrupt { what: format!("an event is not JSON: {error}") })?;
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let key = topology::routing_key(event);
    Ok(within(
        "publishing",
        channel.basic_publish(exchange.into(), key.as_str().into(), options, &body, properties(event)),
    )
    .await?)
}

fn properties(event: &Envelope) -> BasicProperties {
    let text = |value: String| AMQPValue::LongString(value.into());
    let mut headers = FieldTable::default();
    headers.insert("seq".into(), AMQPValue::LongLongInt(event.seq.0));
    headers.insert("partner-id".into(), text(event.tenant.partner_id.to_string()));
    if let Some(customer_id) = event.tenant.customer_id {
        headers.insert("customer-id".into(), text(customer_id.to_string()));
    }
    if let Some(traceparent) = &event.traceparent {
        headers.insert("traceparent".into(), text(traceparent.clone()));
    }
    BasicProperties::default()
        .with_delivery_mode(2)
        .with_content_type("application/json".into())
        .with_message_id(event.event_id.to_string().as_str().into())
        .with_type(event.event_type.as_str().into())
        .with_headers(headers)
}

async fn pause(stop: &CancellationToken, duration: Duration) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = tokio::time::sleep(duration) => {}
    }
}
