//! A connection to the broker. Every await has a deadline: the library's recovery is young, ours is to begin anew.

use lapin::{Channel, Connection, ConnectionProperties, options::ConfirmSelectOptions};
use std::{future::Future, time::Duration};

/// Longer than a busy broker's answer, shorter than an operator's patience.
const DEADLINE: Duration = Duration::from_secs(10);

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
