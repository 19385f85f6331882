//! Names of exchanges and queues, and how they are declared.

use crate::{BrokerError, broker::within};
use kernel::Envelope;
use lapin::{
    Channel, ExchangeKind,
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

/// The queue of messages that nobody could handle.
pub(crate) fn parking(queue: &str) -> String {
    format!("{queue}.parked")
}

/// The queue in which a message waits before its next attempt.
pub(crate) fn retry(queue: &str, step: Duration) -> String {
    format!("{queue}.retry.{}s", step.as_secs())
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

/// Declares the exchange that an event type is published on.
pub(crate) async fn declare_exchange(channel: &Channel, event_type: &str) -> Result<String, BrokerError> {
    let exchange = exchange(event_type);
    let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    within(
        "declaring an exchange",
        channel.exchange_declare(
            exchange.as_str().into(),
            ExchangeKind::Topic,
            options,
            FieldTable::default(),
        ),
    )
    .await?;
    Ok(exchange)
}

/// Declares a consumer's queue with its bindings, its retry queues and its parking queue.
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
        declare(channel, &retry(queue, step), waiting).await?;
    }
    for interest in interests {
        let exchange = declare_exchange(channel, interest).await?;
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
