//! Publishes the log in its order. One leader at a time; the cursor moves after the broker's confirms.
//!
//! ```text
//! log ──page──▶ publish ──▶ window of unconfirmed messages ──confirms, in order──▶ cursor
//! ```
//! The three go on at the same time: the next page is read and published while confirms for the last one arrive.

mod cursor;
mod window;

use crate::{
    Broker, BrokerError,
    broker::{DEADLINE, hang_up, within_or_blocked},
    handling::chain,
    topology,
};
use cursor::Cursor;
use eventstore::{Database, Leadership, Log, StoreError};
use futures_util::FutureExt;
use kernel::{Envelope, Position};
use lapin::{Channel, Connection};
use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use window::Window;

/// Events read at a time.
const PAGE: i64 = 500;
/// The next page is read when fewer messages than this wait for their confirms; so there are a thousand at the most.
/// One by one would be twenty times slower.
const WINDOW: usize = 500;
/// Pauses when there is nothing to publish: short after work, longer in quiet times.
const PAUSE_MIN: Duration = Duration::from_millis(2);
const PAUSE_MAX: Duration = Duration::from_millis(20);
/// How often the connection, the leadership and the lag are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How often a relay that stands by asks whether it may lead.
const STANDBY_PAUSE: Duration = Duration::from_millis(250);
const RECONNECT_PAUSE: Duration = Duration::from_millis(500);
/// How long a stop waits for confirms of what is published already; what is not confirmed is published again.
const DRAIN_LIMIT: Duration = Duration::from_secs(3);

#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error(transparent)]
    Broker(#[from] BrokerError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("another relay has moved the cursor")]
    Overtaken,
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

    /// Publishes until `stop`, as leader or waiting to lead; begins anew after a loss of either side.
    pub async fn run(&self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let wait = match self.turn(&stop).await {
                Ok(true) => RECONNECT_PAUSE,
                Ok(false) => STANDBY_PAUSE,
                Err(lost) => {
                    tracing::warn!(error = %chain(&lost), "the relay lost a connection and will try again");
                    RECONNECT_PAUSE
                }
            };
            pause(&stop, wait).await;
        }
    }

    /// Publishes if no other relay does; false if one does.
    async fn turn(&self, stop: &CancellationToken) -> Result<bool, Lost> {
        // First of all: while the database is away, the broker is left in peace.
        let Some(leadership) = Leadership::seek(&self.database, "relay").await? else {
            cursor::report_nothing();
            return Ok(false);
        };
        let mut cursor = Cursor::read(self.database.clone()).await?;
        // While the broker is away as well.
        cursor.report().await?;
        let connection = self.broker.connect().await?;
        // Held to the end: a channel says goodbye as it is dropped, which a connection that ends does not expect.
        let channel = Broker::confirmed_channel(&connection).await?;
        let session = Session::open(self, leadership, cursor, &connection, channel.clone()).await?;
        tracing::info!("this process publishes the events");
        let ended = session.run(stop).await;
        metrics::gauge!("messaging_relay_blocked").set(0.0);
        hang_up(&connection).await;
        drop(channel);
        ended.map(|()| true)
    }
}

/// One connection's time of the relay.
struct Session<'a> {
    log: Log,
    leadership: Leadership,
    connection: &'a Connection,
    channel: Channel,
    cursor: Cursor,
    window: Window,
    /// The last position of each event type that was published.
    types: HashMap<String, i64>,
    /// How far was published.
    published: Position,
    declared: HashSet<String>,
    /// When the broker last gave a sign of life, or could not because it takes no messages.
    alive: Instant,
    blocked: bool,
}

impl<'a> Session<'a> {
    async fn open(
        relay: &Relay,
        leadership: Leadership,
        mut cursor: Cursor,
        connection: &'a Connection,
        channel: Channel,
    ) -> Result<Self, Lost> {
        Ok(Self {
            log: Log::new(relay.database.clone()),
            leadership,
            connection,
            channel,
            types: cursor.types().await?,
            published: cursor.at(),
            cursor,
            window: Window::default(),
            declared: HashSet::new(),
            alive: Instant::now(),
            blocked: false,
        })
    }

    async fn run(mut self, stop: &CancellationToken) -> Result<(), Lost> {
        let mut quiet = PAUSE_MIN;
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut reading = Box::pin(read(self.log.clone(), self.published, Duration::ZERO));
        while !stop.is_cancelled() {
            tokio::select! {
                () = stop.cancelled() => {}
                confirmed = self.window.next(), if !self.window.is_empty() => {
                    self.window.confirmed(confirmed)?;
                    while let Some(Some(confirmed)) = self.window.next().now_or_never() {
                        self.window.confirmed(Some(confirmed))?;
                    }
                    self.alive = Instant::now();
                }
                page = &mut reading, if self.window.len() < WINDOW => {
                    let events = page?;
                    quiet = if events.is_empty() { (quiet * 2).min(PAUSE_MAX) } else { PAUSE_MIN };
                    let wait = if events.is_empty() { quiet } else { Duration::ZERO };
                    self.publish(events).await?;
                    reading.set(read(self.log.clone(), self.published, wait));
                }
                moved = self.cursor.moved(), if self.cursor.is_moving() => moved?,
                _ = look.tick() => self.look().await?,
            }
            self.cursor.follow(&mut self.window);
        }
        self.drain().await
    }

    /// Publishes without waiting for confirms.
    async fn publish(&mut self, events: Vec<Envelope>) -> Result<(), Lost> {
        for event in events {
            let exchange = topology::exchange(&event.event_type);
            if !self.declared.contains(&exchange) {
                let declaring = topology::declare_exchange(&self.channel, &exchange);
                within_or_blocked(self.connection, "declaring an exchange", declaring).await?;
                self.declared.insert(exchange.clone());
            }
            let previous = self.types.insert(event.event_type.clone(), event.seq.0);
            self.published = event.seq;
            self.window.publish(&self.channel, exchange, event, previous)?;
        }
        Ok(())
    }

    /// Looks after the connection, the leadership and the lag.
    async fn look(&mut self) -> Result<(), Lost> {
        if !self.connection.status().connected() || !self.channel.status().connected() {
            return Err(Lost::Broker(BrokerError::Gone));
        }
        let blocked = self.connection.status().blocked();
        if blocked != self.blocked {
            self.blocked = blocked;
            metrics::gauge!("messaging_relay_blocked").set(f64::from(u8::from(blocked)));
            if blocked {
                tracing::warn!(
                    "the broker takes no messages: it is short of memory or disk; the relay waits"
                );
            } else {
                tracing::info!("the broker takes messages again");
            }
        }
        if blocked || self.window.is_empty() {
            self.alive = Instant::now();
        }
        if self.alive.elapsed() > DEADLINE {
            return Err(Lost::Broker(BrokerError::Silent { doing: "waiting for a confirm" }));
        }
        self.leadership.confirm().await?;
        self.cursor.report().await?;
        Ok(())
    }

    /// Waits for the confirms of what is published and writes down how far that is.
    async fn drain(mut self) -> Result<(), Lost> {
        let drained = tokio::time::timeout(DRAIN_LIMIT, async {
            while !self.window.is_empty() || self.cursor.is_moving() {
                tokio::select! {
                    confirmed = self.window.next(), if !self.window.is_empty() => self.window.confirmed(confirmed)?,
                    moved = self.cursor.moved(), if self.cursor.is_moving() => moved?,
                }
                self.cursor.follow(&mut self.window);
            }
            Ok::<_, Lost>(())
        });
        // What is not confirmed by then is published again by the next leader.
        drained.await.unwrap_or(Ok(()))
    }
}

async fn read(log: Log, after: Position, wait: Duration) -> Result<Vec<Envelope>, StoreError> {
    tokio::time::sleep(wait).await;
    log.page(after, PAGE).await
}

async fn pause(stop: &CancellationToken, duration: Duration) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = tokio::time::sleep(duration) => {}
    }
}
