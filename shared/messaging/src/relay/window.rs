//! Messages that are published and not confirmed yet, in their order.

use super::Lost;
use crate::{BrokerError, topology};
use eventstore::StoreError;
use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesOrdered};
use kernel::{Envelope, Position};
use lapin::{Channel, Confirmation, options::BasicPublishOptions};
use std::collections::HashMap;

/// What is on its way to the broker.
#[derive(Default)]
pub(super) struct Window {
    unconfirmed: FuturesOrdered<BoxFuture<'static, Confirmed>>,
    progress: Option<Progress>,
}

/// The broker's answer to one message.
pub(super) struct Confirmed {
    seq: Position,
    event_type: String,
    answer: Result<Confirmation, lapin::Error>,
}

/// How far everything is confirmed, since it was last asked for.
#[derive(Debug)]
pub(super) struct Progress {
    pub(super) seq: Position,
    /// The last position of each event type among them.
    pub(super) types: HashMap<String, i64>,
    pub(super) count: u64,
}

impl Window {
    /// Hands one event to the connection, after those before it.
    pub(super) fn publish(
        &mut self,
        channel: &Channel,
        exchange: String,
        event: Envelope,
        previous: Option<i64>,
    ) -> Result<(), StoreError> {
        let body = topology::body(&event)?;
        let channel = channel.clone();
        let mut sending = async move {
            let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
            let (key, properties) = (topology::routing_key(&event), topology::properties(&event, previous));
            let sent = channel.basic_publish(
                exchange.as_str().into(),
                key.as_str().into(),
                options,
                &body,
                properties,
            );
            let answer = match sent.await {
                Ok(confirm) => confirm.await,
                Err(error) => Err(error),
            };
            Confirmed { seq: event.seq, event_type: event.event_type, answer }
        }
        .boxed();
        // The first poll puts the message into the connection's buffer: here, so that the order is ours.
        match (&mut sending).now_or_never() {
            Some(done) => self.unconfirmed.push_back(std::future::ready(done).boxed()),
            None => self.unconfirmed.push_back(sending),
        }
        Ok(())
    }

    /// The next answer.
    pub(super) async fn next(&mut self) -> Option<Confirmed> {
        self.unconfirmed.next().await
    }

    /// Takes an answer in.
    pub(super) fn confirmed(&mut self, confirmed: Option<Confirmed>) -> Result<(), Lost> {
        let Some(Confirmed { seq, event_type, answer }) = confirmed else { return Ok(()) };
        match answer.map_err(|source| BrokerError::Amqp { doing: "publishing", source: Box::new(source) })? {
            Confirmation::Ack(None) => {}
            // Nobody wants it yet; a consumer that comes later reads it from the log.
            Confirmation::Ack(Some(_)) => metrics::counter!("messaging_unrouted_total").increment(1),
            Confirmation::Nack(_) | Confirmation::NotRequested => {
                return Err(Lost::Broker(BrokerError::Refused { queue: topology::exchange(&event_type) }));
            }
        }
        let progress = self.progress.get_or_insert_with(|| Progress { seq, types: HashMap::new(), count: 0 });
        progress.seq = seq;
        progress.count += 1;
        progress.types.insert(event_type, seq.0);
        Ok(())
    }

    /// How far everything is confirmed, if that is further than at the last call.
    pub(super) fn progress(&mut self) -> Option<Progress> {
        self.progress.take()
    }

    pub(super) fn len(&self) -> usize {
        self.unconfirmed.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.unconfirmed.is_empty()
    }
}
