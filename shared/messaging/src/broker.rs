//! A connection to the broker. Every await has a deadline: the library's recovery is young, ours is to begin anew.

use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties,
    options::{BasicPublishOptions, ConfirmSelectOptions},
    types::FieldTable,
};
use std::{future::Future, pin::pin, time::Duration};

/// Longer than a busy broker's answer, shorter than an operator's patience.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

/// The broker did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// It said no, or the connection is gone.
    #[error("the broker did not do as asked while {doing}")]
    Amqp {
        /// What was being done.
        doing: &'static str,
        /// Its answer.
        #[source]
        source: Box<lapin::Error>,
    },
    /// It said nothing.
    #[error("the broker gave no answer within {}s while {doing}", DEADLINE.as_secs())]
    Silent {
        /// What was being done.
        doing: &'static str,
    },
    /// It could not take a message.
    #[error("the broker refused a message to {queue}")]
    Refused {
        /// Where it was to go.
        queue: String,
    },
    /// It takes no messages at all: it is short of memory or disk.
    #[error("the broker takes no messages at the moment: it is short of memory or disk")]
    Blocked,
    /// The connection is gone.
    #[error("the connection to the broker is gone")]
    Gone,
}

/// How to reach the broker.
#[derive(Clone)]
pub struct Broker {
    url: String,
    name: String,
}

impl std::fmt::Debug for Broker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Broker").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Broker {
    /// The broker at `url`; `name` is what its operators see.
    pub fn new(url: impl Into<String>, name: impl Into<String>) -> Self {
        Self { url: url.into(), name: name.into() }
    }

    /// Opens a connection.
    pub async fn connect(&self) -> Result<Connection, BrokerError> {
        let properties = ConnectionProperties::default().with_connection_name(self.name.as_str().into());
        within("connecting", Connection::connect(&self.url, properties)).await
    }

    /// Waits for a broker that is not up yet, with a message a second; fails after `timeout`.
    pub async fn wait_until_up(&self, timeout: Duration) -> Result<(), BrokerError> {
        let deadline = tokio::time::Instant::now() + timeout;
        loop {
            let error = match self.connect().await {
                Ok(connection) => {
                    // It has served its purpose; a broker that minds is no reason to wait on.
                    let _ = within("disconnecting", connection.close(200, "ready".into())).await;
                    return Ok(());
                }
                Err(error) => error,
            };
            if tokio::time::Instant::now() >= deadline {
                return Err(error);
            }
            tracing::warn!(error = %crate::handling::chain(&error), "waiting for the broker");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// Opens a channel on which every publication is confirmed.
    pub(crate) async fn confirmed_channel(connection: &Connection) -> Result<Channel, BrokerError> {
        let channel = within("opening a channel", connection.create_channel()).await?;
        within("asking for confirms", channel.confirm_select(ConfirmSelectOptions::default())).await?;
        Ok(channel)
    }
}

/// A connection for single messages. Consumers have one beside the one they receive on: a broker that is short of
/// something stops reading from whoever publishes, acknowledgements included.
#[derive(Debug)]
pub(crate) struct Publisher {
    connection: Connection,
    channel: Channel,
}

impl Publisher {
    pub(crate) async fn connect(broker: &Broker) -> Result<Self, BrokerError> {
        let connection = broker.connect().await?;
        let channel = Broker::confirmed_channel(&connection).await?;
        Ok(Self { connection, channel })
    }

    /// Whether it can be used again.
    pub(crate) fn is_alive(&self) -> bool {
        self.connection.status().connected() && self.channel.status().connected()
    }

    /// Puts one message into a queue, and is told that it is there.
    pub(crate) async fn send(
        &self,
        queue: &str,
        body: &[u8],
        headers: FieldTable,
    ) -> Result<(), BrokerError> {
        if self.connection.status().blocked() {
            return Err(BrokerError::Blocked);
        }
        let properties = BasicProperties::default()
            .with_delivery_mode(2)
            .with_content_type("application/json".into())
            .with_headers(headers);
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let mut confirmed = pin!(within("sending a message", async {
            self.channel.basic_publish("".into(), queue.into(), options, body, properties).await?.await
        }));
        let confirmed = loop {
            match tokio::time::timeout(BLOCKED_LOOK, &mut confirmed).await {
                Ok(confirmed) => break confirmed?,
                // It learns of the shortage only by publishing.
                Err(_elapsed) if self.connection.status().blocked() => return Err(BrokerError::Blocked),
                Err(_elapsed) => {}
            }
        };
        match confirmed {
            Confirmation::Ack(None) => Ok(()),
            Confirmation::Ack(Some(_)) | Confirmation::Nack(_) | Confirmation::NotRequested => {
                Err(BrokerError::Refused { queue: queue.to_owned() })
            }
        }
    }

    /// Ends it in good order, which is a courtesy.
    pub(crate) async fn close(self) {
        hang_up(&self.connection).await;
    }
}

/// How often a waiting publisher looks whether the broker takes messages.
const BLOCKED_LOOK: Duration = Duration::from_millis(200);

/// Ends a connection in good order, which is a courtesy. A blocked one would not even carry the goodbye.
pub(crate) async fn hang_up(connection: &Connection) {
    if connection.status().connected() && !connection.status().blocked() {
        let _ = within("disconnecting", connection.close(200, "done".into())).await;
    }
}

/// Waits for one answer of the broker, but not for ever.
pub(crate) async fn within<T>(
    doing: &'static str,
    answer: impl Future<Output = Result<T, lapin::Error>>,
) -> Result<T, BrokerError> {
    match tokio::time::timeout(DEADLINE, answer).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(source)) => Err(BrokerError::Amqp { doing, source: Box::new(source) }),
        Err(_elapsed) => Err(BrokerError::Silent { doing }),
    }
}

/// The same on a connection that publishes: time in which the broker takes nothing from it does not count.
pub(crate) async fn within_or_blocked<T>(
    connection: &Connection,
    doing: &'static str,
    answer: impl Future<Output = Result<T, lapin::Error>>,
) -> Result<T, BrokerError> {
    let mut answer = pin!(answer);
    loop {
        match within(doing, &mut answer).await {
            Err(BrokerError::Silent { .. })
                if connection.status().blocked() && connection.status().connected() => {}
            answered => return answered,
        }
    }
}
