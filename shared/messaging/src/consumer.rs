//! The one loop in which every consumer runs: wait for its turn, declare, read the log, consume, and begin anew after a
//! loss.

mod acks;
mod aside;
mod lanes;
mod looking;
mod place;
mod session;
mod taking;

use crate::{
    Broker, BrokerError, Consumer,
    broker::{hang_up, within},
    handling::chain,
};
use aside::Aside;
use eventstore::{Database, Leadership, StoreError};
use session::Session;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

/// Wait before a lost connection is built again.
const RECONNECT_PAUSE: Duration = Duration::from_millis(500);
/// How often a process that stands by asks whether it is its turn.
const STANDBY_PAUSE: Duration = Duration::from_millis(250);

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error(transparent)]
    Broker(#[from] BrokerError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the broker ended the subscription")]
    Ended,
}

/// What the lanes of one session work with.
struct Context<'a> {
    database: &'a Database,
    consumer: &'a dyn Consumer,
    leadership: Mutex<Leadership>,
    aside: Aside<'a>,
    /// The interests as patterns of SQL's `like`.
    patterns: Vec<String>,
    stop: &'a CancellationToken,
}

/// Consumes until `stop`; what is in work is finished first.
///
/// Among several processes one works and the others stand by: a lock in the database says which. It covers reading from
/// the log as well, which the broker's own single active consumer does not know of.
pub async fn consume(database: Database, broker: Broker, consumer: &dyn Consumer, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let pause = match turn(&database, &broker, consumer, &stop).await {
            Ok(true) => RECONNECT_PAUSE,
            Ok(false) => STANDBY_PAUSE,
            Err(lost) => {
                tracing::warn!(consumer = consumer.name(), error = %chain(&lost), "reconnecting a consumer");
                RECONNECT_PAUSE
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Consumes if it is this process's turn; false if it is another's.
async fn turn(
    database: &Database,
    broker: &Broker,
    consumer: &dyn Consumer,
    stop: &CancellationToken,
) -> Result<bool, Lost> {
    // First of all: while the database is away, the broker is left in peace.
    let what = format!("consumer {}", consumer.name());
    let Some(leadership) = Leadership::seek(database, &what).await? else {
        looking::report_nothing(consumer.name());
        return Ok(false);
    };
    let context = Context {
        database,
        consumer,
        leadership: Mutex::new(leadership),
        aside: Aside::new(database, broker, consumer.name()),
        patterns: consumer.interests().iter().map(|interest| interest.replace('*', "%")).collect(),
        stop,
    };
    let place = session::place(&context).await?;
    // While the broker is away as well.
    looking::report(database, consumer.name(), place).await?;
    let connection = broker.connect().await?;
    // Held to the end: a channel says goodbye as it is dropped, which a connection that ends does not expect.
    let channel = within("opening a channel", connection.create_channel()).await?;
    let ended = match Session::open(&context, &connection, channel.clone(), place).await {
        Ok(session) => session.run().await,
        Err(lost) => Err(lost),
    };
    hang_up(&connection).await;
    drop(channel);
    context.aside.close().await;
    ended.map(|()| true)
}
