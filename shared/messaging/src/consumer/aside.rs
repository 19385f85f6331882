//! Setting events aside: for another attempt after a delay, or for a person.

use super::taking::Taken;
use crate::{
    Broker, BrokerError,
    broker::Publisher,
    handling::chain,
    parked,
    postponed::postpone,
    topology::{self, RETRY_STEPS},
};
use eventstore::{Database, StoreError};
use kernel::Envelope;
use lapin::types::{AMQPValue, FieldTable};
use std::time::Duration;
use tokio::{sync::Mutex, time::Instant};

/// Carries how often a message was tried.
pub(super) const ATTEMPT: &str = "attempt";
/// After a failure, the database alone keeps what is set aside for so long.
const PUBLISHER_PAUSE: Duration = Duration::from_secs(5);

/// Where events go that are not handled now.
#[derive(Debug)]
pub(super) struct Aside<'a> {
    database: &'a Database,
    broker: &'a Broker,
    consumer: &'static str,
    publisher: Mutex<Sending>,
}

/// The connection to the delay queues, made when it is needed.
#[derive(Debug)]
enum Sending {
    Connected(Box<Publisher>),
    NotBefore(Instant),
}

impl<'a> Aside<'a> {
    pub(super) fn new(database: &'a Database, broker: &'a Broker, consumer: &'static str) -> Self {
        let publisher = Mutex::new(Sending::NotBefore(Instant::now()));
        Self { database, broker, consumer, publisher }
    }

    /// Sets an event aside that was tried `attempt` times before.
    pub(super) async fn set(&self, event: &Envelope, attempt: i32, taken: Taken) -> Result<(), StoreError> {
        match taken {
            Taken::Done | Taken::Stopped => Ok(()),
            Taken::Park(reason) => self.park(event, attempt + 1, &reason).await,
            Taken::RetryAfter(wished, reason) => {
                let tried = attempt + 1;
                if let Some(delay) = step(attempt, wished) {
                    return self.postpone(event, tried, delay, &reason).await;
                }
                self.park(event, tried, &format!("gave up after {tried} attempts: {reason}")).await
            }
        }
    }

    async fn park(&self, event: &Envelope, attempts: i32, reason: &str) -> Result<(), StoreError> {
        if parked::park(self.database, self.consumer, event, attempts, reason).await? {
            let (consumer, seq) = (self.consumer, event.seq.0);
            tracing::warn!(consumer, event.type = %event.event_type, event.seq = seq, attempts, reason, "an event was parked");
            metrics::counter!("messaging_parked_total", "consumer" => consumer).increment(1);
        }
        Ok(())
    }

    async fn postpone(
        &self,
        event: &Envelope,
        attempt: i32,
        delay: Duration,
        reason: &str,
    ) -> Result<(), StoreError> {
        if !postpone(self.database, self.consumer, event, attempt, delay).await? {
            return Ok(());
        }
        let (consumer, seq) = (self.consumer, event.seq.0);
        tracing::warn!(consumer, event.type = %event.event_type, event.seq = seq, attempt, reason, "an event comes again later");
        metrics::counter!("messaging_retried_total", "consumer" => consumer).increment(1);
        if let Err(error) = self.send(event, attempt, delay).await? {
            // It is remembered in the database, and taken from the log some seconds after its time.
            tracing::warn!(consumer, error = %chain(&error), "the broker does not keep an event that comes again later");
        }
        Ok(())
    }

    async fn send(
        &self,
        event: &Envelope,
        attempt: i32,
        delay: Duration,
    ) -> Result<Result<(), BrokerError>, StoreError> {
        let body = topology::body(event)?;
        let mut headers = FieldTable::default();
        headers.insert(ATTEMPT.into(), AMQPValue::LongLongInt(attempt.into()));
        let queue = topology::delay(self.consumer, delay);
        let mut sending = self.publisher.lock().await;
        Ok(match self.connected(&mut sending).await {
            Ok(publisher) => {
                let sent = publisher.send(&queue, &body, headers).await;
                if sent.is_err() {
                    *sending = Sending::NotBefore(Instant::now() + PUBLISHER_PAUSE);
                }
                sent
            }
            Err(error) => {
                *sending = Sending::NotBefore(Instant::now() + PUBLISHER_PAUSE);
                Err(error)
            }
        })
    }

    async fn connected<'s>(&self, sending: &'s mut Sending) -> Result<&'s Publisher, BrokerError> {
        let usable = match sending {
            Sending::Connected(publisher) => publisher.is_alive(),
            Sending::NotBefore(at) if *at > Instant::now() => return Err(BrokerError::Gone),
            Sending::NotBefore(_) => false,
        };
        if !usable {
            *sending = Sending::Connected(Box::new(Publisher::connect(self.broker).await?));
        }
        match sending {
            Sending::Connected(publisher) => Ok(publisher),
            Sending::NotBefore(_) => Err(BrokerError::Gone),
        }
    }

    /// Ends the connection to the delay queues.
    pub(super) async fn close(self) {
        if let Sending::Connected(publisher) = self.publisher.into_inner() {
            publisher.close().await;
        }
    }
}

/// The delay before the next attempt: as long as wished, as far as there are steps left; none after the last.
fn step(attempt: i32, wished: Duration) -> Option<Duration> {
    let attempt = usize::try_from(attempt).unwrap_or(0);
    let left = RETRY_STEPS.get(attempt..).unwrap_or_default();
    left.iter().find(|step| **step >= wished).or(left.first()).copied()
}

#[cfg(test)]
mod tests {
    use super::step;
    use std::time::Duration;

    #[test]
    fn delays_grow_with_the_attempts_and_end() {
        let delays: Vec<_> = (0..5).map(|attempt| step(attempt, Duration::from_secs(1))).collect();
        let seconds = |n| Some(Duration::from_secs(n));
        assert_eq!(delays, [seconds(1), seconds(5), seconds(30), seconds(300), None]);
    }

    #[test]
    fn a_longer_delay_is_granted_as_far_as_there_is_one() {
        assert_eq!(step(0, Duration::from_secs(20)), Some(Duration::from_secs(30)));
        assert_eq!(step(1, Duration::from_hours(1)), Some(Duration::from_secs(5)));
    }
}
