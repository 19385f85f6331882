//! Names of exchanges and queues, and how they are declared.

use crate::{BrokerError, broker::within};
use eventstore::StoreError;
use kernel::Envelope;
use lapin::{
    BasicProperties, Channel, ExchangeKind,
    options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable},
};
use std::time::Duration;

/// Waits before the next attempt, in order; after the last one a message is parked.
pub(crate) const RETRY_STEPS: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(30), Duration::from_mins(5)];

/// A crash between delivery and acknowledgement counts as a delivery; twenty crashes on one message are its fault.
const DELIVERY_LIMIT: i32 = 20;

/// `approvals.events`
pub(crate) fn exchange(event_type: &str) -> String {
    format!("{}.events", service(event_type))
}

/// `<aggregate>.<event>.<partner>`
pub(crate) fn routing_key(event: &Envelope) -> String {
    let aggregate = event.stream.split_once('.').map_or(event.stream.as_str(), |(_, aggregate)| aggregate);
    format!("{aggregate}.{}.{}", name(&event.event_type), event.tenant.partner_id)
}

/// Carries the position of the event before this one of the same type, where the relay knows it: whoever has not seen
/// that one has lost it.
pub(crate) const PREVIOUS: &str = "previous";

/// What a message carries beside its body.
pub(crate) fn properties(event: &Envelope, previous: Option<i64>) -> BasicProperties {
    let mut headers = FieldTable::default();
    headers.insert("seq".into(), AMQPValue::LongLongInt(event.seq.0));
    if let Some(previous) = previous {
        headers.insert(PREVIOUS.into(), AMQPValue::LongLongInt(previous));
    }
    headers.insert("partner-id".into(), text(&event.tenant.partner_id.to_string()));
    if let Some(customer_id) = event.tenant.customer_id {
        headers.insert("customer-id".into(), text(&customer_id.to_string()));
    }
    if let Some(traceparent) = &event.traceparent {
        headers.insert("traceparent".into(), text(traceparent));
    }
    BasicProperties::default()
        .with_delivery_mode(2)
        .with_content_type("application/json".into())
        .with_message_id(event.event_id.to_string().as_str().into())
        .with_type(event.event_type.as_str().into())
        .with_headers(headers)
}

/// A message's body: the event itself.
pub(crate) fn body(event: &Envelope) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(event)
        .map_err(|error| StoreError::Corrupt { what: format!("an event is not JSON: {error}") })
}

/// The queue of messages that the broker could not deliver; the consumer takes them from there into `es.parked`.
pub(crate) fn parking(queue: &str) -> String {
    format!("{queue}.parked")
}

/// The queue in which a message waits before its next attempt.
///
/// Those of before were called `<queue>.retry.<n>s` and could lose a message on its way back. A queue's arguments cannot
/// change, so the safe ones have another name; what still waits in the old ones comes back from them.
pub(crate) fn delay(queue: &str, step: Duration) -> String {
    format!("{queue}.delay.{}s", step.as_secs())
}

fn service(event_type: &str) -> &str {
    event_type.split_once('.').map_or(event_type, |(service, _)| service)
}

fn name(event_type: &str) -> &str {
    event_type.split_once('.').map_or(event_type, |(_, name)| name)
}

/// Whether an interest (`approvals.PatchApproved`, `approvals.*`) covers an event type.
pub(crate) fn covers(interest: &str, event_type: &str) -> bool {
    interest == event_type || (name(interest) == "*" && service(interest) == service(event_type))
}

/// Declares an exchange that events are published on.
pub(crate) async fn declare_exchange(channel: &Channel, exchange: &str) -> Result<(), lapin::Error> {
    let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    channel.exchange_declare(exchange.into(), ExchangeKind::Topic, options, FieldTable::default()).await
}

/// Declares a consumer's queue with its bindings, its delay queues and its parking queue.
pub(crate) async fn declare_consumer(
    channel: &Channel,
    queue: &str,
    interests: &[&str],
) -> Result<(), BrokerError> {
    let mut main = quorum();
    main.insert("x-delivery-limit".into(), AMQPValue::LongInt(DELIVERY_LIMIT));
    // One process at a time, so that a second one stands by and the order stays.
    main.insert("x-single-active-consumer".into(), AMQPValue::Boolean(true));
    main.insert("x-dead-letter-exchange".into(), text(""));
    main.insert("x-dead-letter-routing-key".into(), text(&parking(queue)));
    declare(channel, queue, main).await?;
    declare(channel, &parking(queue), quorum()).await?;
    for step in RETRY_STEPS {
        let mut waiting = quorum();
        let millis = i64::try_from(step.as_millis()).unwrap_or(i64::MAX);
        waiting.insert("x-message-ttl".into(), AMQPValue::LongLongInt(millis));
        // Through the default exchange: back to this consumer only.
        waiting.insert("x-dead-letter-exchange".into(), text(""));
        waiting.insert("x-dead-letter-routing-key".into(), text(queue));
        // It stays here until the consumer's queue has confirmed it; the broker allows that only to a queue that would
        // rather refuse a message than drop one.
        waiting.insert("x-dead-letter-strategy".into(), text("at-least-once"));
        waiting.insert("x-overflow".into(), text("reject-publish"));
        declare(channel, &delay(queue, step), waiting).await?;
    }
    for interest in interests {
        let exchange = exchange(interest);
        within("declaring an exchange", declare_exchange(channel, &exchange)).await?;
        let key = match name(interest) {
            "*" => "#".to_owned(),
            event => format!("*.{event}.*"),
        };
        within(
            "binding a queue",
            channel.queue_bind(
                queue.into(),
                exchange.as_str().into(),
                key.as_str().into(),
                QueueBindOptions::default(),
                FieldTable::default(),
            ),
        )
        .await?;
    }
    Ok(())
}

fn quorum() -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), text("quorum"));
    arguments
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

async fn declare(channel: &Channel, queue: &str, arguments: FieldTable) -> Result<(), BrokerError> {
    within(
        "declaring a queue",
        channel.queue_declare(queue.into(), QueueDeclareOptions::durable(), arguments),
    )
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::covers;

    #[test]
    fn an_interest_covers_its_event_or_all_of_a_service() {
        assert!(covers("approvals.PatchApproved", "approvals.PatchApproved"));
        assert!(covers("approvals.*", "approvals.PatchApproved"));
        assert!(!covers("approvals.*", "alerts.AlertRaised"));
        assert!(!covers("approvals.PatchApproved", "approvals.PatchRejected"));
    }
}
