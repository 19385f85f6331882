//! One connection's time of a consumer: what comes from queue and log goes through the lanes and is answered for.

use super::{
    Context, Lost,
    acks::Acks,
    aside::ATTEMPT,
    lanes::{Item, Lanes},
    looking::{self, Look, Question},
    place::Place,
    taking::{Taken, take, take_together},
};
use crate::{
    BrokerError,
    broker::within,
    handling::chain,
    parked,
    postponed::{Postponed, waiting},
    topology,
};
use eventstore::{Log, Page, StoreError};
use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use kernel::{Envelope, Position, Scope};
use lapin::{
    Channel, Connection, Consumer as Deliveries,
    message::Delivery,
    options::{BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicQosOptions},
    types::{AMQPValue, FieldTable},
};
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior};

/// Events read from the log at a time.
const PAGE: i64 = 500;
/// How often the place is compared with the log and written down.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// So many positions are enough to do it earlier.
const LOOK_AFTER: usize = 5_000;
/// How often overdue events, the lag and the connection are looked at; after so long without a message the queue counts
/// as empty.
const IDLE_EVERY: Duration = Duration::from_secs(1);
/// How long a stop waits for what is in work. The process gives its parts some seconds more.
const DRAIN_LIMIT: Duration = Duration::from_secs(15);
/// Messages from the parking queue at a time; there are hardly ever any.
const PARKED_PREFETCH: u16 = 10;
/// Header of a message that a program of before parked.
const REASON: &str = "reason";

/// A consumer with its connection.
pub(super) struct Session<'a> {
    context: &'a Context<'a>,
    connection: &'a Connection,
    channel: Channel,
    log: Log,
    lanes: Lanes,
    running: FuturesUnordered<BoxFuture<'a, Result<Done, Lost>>>,
    acks: Acks,
    place: Place,
    looking: bool,
    /// When the last message came.
    heard: Instant,
    /// An event that the relay has published and that did not come, at the last look.
    suspected: Option<i64>,
    /// When overdue events were looked for.
    looked_idle: Instant,
}

/// What was going on and is over.
enum Done {
    Worked { lane: usize, settled: Vec<(i64, Option<u64>)> },
    Looked(Look),
    Answered,
}

impl<'a> Session<'a> {
    /// Declares what the consumer needs at the broker.
    pub(super) async fn open(
        context: &'a Context<'a>,
        connection: &'a Connection,
        channel: Channel,
        place: i64,
    ) -> Result<Self, Lost> {
        let consumer = context.consumer;
        topology::declare_consumer(&channel, consumer.name(), consumer.interests()).await?;
        Ok(Self {
            context,
            connection,
            channel,
            log: Log::new(context.database.clone()),
            lanes: Lanes::of(consumer),
            running: FuturesUnordered::new(),
            acks: Acks::default(),
            place: Place::at(place),
            looking: false,
            heard: Instant::now(),
            suspected: None,
            looked_idle: Instant::now(),
        })
    }

    /// Consumes until the stop signal or a loss.
    pub(super) async fn run(mut self) -> Result<(), Lost> {
        let name = self.context.consumer.name();
        self.recall(waiting(self.context.database, name, None).await?).await?;
        self.catch_up().await?;
        let mut deliveries = self.subscribe(name, self.context.consumer.prefetch()).await?;
        let mut parking = self.subscribe(&topology::parking(name), PARKED_PREFETCH).await?;
        tracing::info!(consumer = name, position = self.place.floor(), "a consumer is ready");
        let mut tick = tokio::time::interval(LOOK_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !self.context.stop.is_cancelled() {
            tokio::select! {
                biased;
                () = self.context.stop.cancelled() => {}
                Some(done) = self.running.next(), if !self.running.is_empty() => self.done(done?).await?,
                delivery = deliveries.next() => {
                    self.arrived(delivered(delivery)?).await?;
                    // Whatever is there already goes into the same batch.
                    while let Some(delivery) = deliveries.next().now_or_never() {
                        self.arrived(delivered(delivery)?).await?;
                    }
                    self.start();
                }
                message = parking.next() => self.given_up(delivered(message)?).await?,
                _ = tick.tick() => self.ticked()?,
            }
            if self.place.scattered() >= LOOK_AFTER {
                self.look(false);
            }
        }
        self.drain().await
    }

    async fn subscribe(&mut self, queue: &str, prefetch: u16) -> Result<Deliveries, BrokerError> {
        within("limiting the prefetch", self.channel.basic_qos(prefetch, BasicQosOptions::default())).await?;
        let options = BasicConsumeOptions::default();
        let subscribed =
            self.channel.basic_consume(queue.into(), queue.into(), options, FieldTable::default());
        within("subscribing", subscribed).await
    }

    /// Reads from the log what the broker may never have had: events from before the queue, or lost with an old broker.
    async fn catch_up(&mut self) -> Result<(), Lost> {
        // What comes after this is in the queue, which is bound by now; under load the log's end would never be reached.
        let head = self.log.head().await?.0;
        loop {
            let page = self.page().await?;
            let reached = page.reached.0;
            self.feed(page.events.into_iter().map(|event| Item { event, tag: None, attempt: 0 })).await?;
            if self.context.stop.is_cancelled() || reached == self.place.floor() {
                return Ok(());
            }
            self.place.raise(reached);
            self.write_place().await?;
            looking::report(self.context.database, self.context.consumer.name(), reached).await?;
            self.context.leadership.lock().await.confirm().await?;
            if reached >= head {
                return Ok(());
            }
        }
    }

    /// The next wanted events of the log that may not be dealt with.
    async fn page(&mut self) -> Result<Page, StoreError> {
        let interests = self.context.consumer.interests();
        // The log knows whole types only; what else it gives is left out later.
        let types = if interests.iter().any(|interest| interest.ends_with('*')) { &[] } else { interests };
        self.log.page_of(Position(self.place.floor()), PAGE, types).await
    }

    async fn write_place(&mut self) -> Result<(), StoreError> {
        let mut tx = self.context.database.begin(&Scope::Platform).await?;
        looking::write(&mut tx, self.context.consumer.name(), self.place.floor()).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Takes in what the log has up to `to` and the broker lost, after all that came before it.
    async fn recover(&mut self, to: i64) -> Result<(), Lost> {
        self.settle_all().await?;
        let (name, from) = (self.context.consumer.name(), self.place.floor());
        let mut holes = 0;
        while self.place.floor() < to && !self.context.stop.is_cancelled() {
            let page = self.page().await?;
            let reached = page.reached.0.min(to);
            if reached == self.place.floor() {
                break;
            }
            let missing: Vec<Item> = page
                .events
                .into_iter()
                .filter(|event| event.seq.0 <= to && !self.place.is_settled(event.seq.0) && self.wants(event))
                .map(|event| Item { event, tag: None, attempt: 0 })
                .collect();
            holes += missing.len();
            self.feed(missing).await?;
            if !self.context.stop.is_cancelled() {
                self.place.raise(reached);
            }
        }
        if holes > 0 {
            tracing::warn!(
                consumer = name,
                from,
                to,
                holes,
                "the broker lost events, which the log gave back"
            );
            metrics::counter!("messaging_holes_total", "consumer" => name).increment(holes as u64);
        }
        Ok(())
    }

    /// Takes in events that were set aside, at the next best moment.
    async fn recall(&mut self, postponed: Vec<Postponed>) -> Result<(), Lost> {
        for Postponed { seq, attempt, due } in postponed {
            // Before its time it does not count as an attempt: its copy at the broker is on its way.
            let attempt = if due { attempt } else { (attempt - 1).max(0) };
            // One page of one event: the log is read by position.
            let page = self.log.page(Position(seq - 1), 1).await?;
            self.feed(page.into_iter().map(|event| Item { event, tag: None, attempt })).await?;
        }
        Ok(())
    }

    fn wants(&self, event: &Envelope) -> bool {
        let mut interests = self.context.consumer.interests().iter();
        interests.any(|interest| topology::covers(interest, &event.event_type))
    }

    /// Takes wanted events in and waits for them.
    async fn feed(&mut self, items: impl IntoIterator<Item = Item>) -> Result<(), Lost> {
        for item in items {
            if self.wants(&item.event) {
                self.place.opened(item.event.seq.0, &item.event.event_type);
                self.lanes.push(item);
            }
        }
        self.start();
        self.settle_all().await
    }

    /// Waits until nothing is in work; at a stop, until what is in work is finished.
    async fn settle_all(&mut self) -> Result<(), Lost> {
        while !self.lanes.are_idle() {
            if self.context.stop.is_cancelled() {
                self.lanes.clear();
                if !self.lanes.are_at_work() {
                    break;
                }
            }
            match self.running.next().await {
                Some(done) => match done? {
                    Done::Worked { lane, settled } => self.worked(lane, settled),
                    // What it says is not true any more; the next one comes soon.
                    Done::Looked(_) => self.looking = false,
                    Done::Answered => {}
                },
                None => break,
            }
        }
        Ok(())
    }

    /// A message came.
    async fn arrived(&mut self, delivery: Delivery) -> Result<(), Lost> {
        self.heard = Instant::now();
        self.acks.opened(delivery.delivery_tag);
        let event = match eventstore::read_envelope(&delivery.data) {
            Ok(event) => event,
            Err(error) => {
                let name = self.context.consumer.name();
                parked::park_unreadable(self.context.database, name, &delivery.data, &chain(&error)).await?;
                self.acks.settled(delivery.delivery_tag);
                self.acknowledge();
                return Ok(());
            }
        };
        let previous = header(&delivery, topology::PREVIOUS);
        if previous.is_some_and(|previous| self.place.misses(&event.event_type, previous)) {
            self.recover(event.seq.0 - 1).await?;
        }
        self.place.opened(event.seq.0, &event.event_type);
        let attempt = header(&delivery, ATTEMPT).and_then(|attempt| i32::try_from(attempt).ok());
        self.lanes.push(Item { event, tag: Some(delivery.delivery_tag), attempt: attempt.unwrap_or(0) });
        Ok(())
    }

    /// A message came from the parking queue. The broker puts there what it delivered in vain too often; if that is an
    /// event, the log has it, and it was taken from there. What is no event is kept, as is what a program of before
    /// parked there.
    async fn given_up(&mut self, delivery: Delivery) -> Result<(), Lost> {
        let (database, name) = (self.context.database, self.context.consumer.name());
        self.acks.opened(delivery.delivery_tag);
        let parked_before = text(&delivery, REASON).filter(|_| !has(&delivery, "x-death"));
        match (eventstore::read_envelope(&delivery.data), parked_before) {
            (Ok(event), Some(reason)) => {
                let attempts = header(&delivery, ATTEMPT).and_then(|n| i32::try_from(n).ok()).unwrap_or(1);
                parked::adopt(database, name, &event, attempts, &reason).await?;
            }
            (Ok(event), None) => {
                tracing::warn!(
                    consumer = name,
                    event.seq = event.seq.0,
                    "the broker delivered a message in vain too often"
                );
            }
            (Err(error), _) => {
                parked::park_unreadable(database, name, &delivery.data, &chain(&error)).await?;
            }
        }
        self.acks.settled(delivery.delivery_tag);
        self.acknowledge();
        Ok(())
    }

    /// Sets every lane to work that has something to do.
    fn start(&mut self) {
        if self.context.stop.is_cancelled() {
            return;
        }
        while let Some((lane, items)) = self.lanes.next() {
            self.running.push(work(self.context, lane, items).boxed());
        }
    }

    async fn done(&mut self, done: Done) -> Result<(), Lost> {
        match done {
            Done::Worked { lane, settled } => self.worked(lane, settled),
            Done::Looked(look) => {
                self.looking = false;
                self.looked(look).await?;
            }
            Done::Answered => {}
        }
        Ok(())
    }

    fn worked(&mut self, lane: usize, settled: Vec<(i64, Option<u64>)>) {
        for (seq, tag) in settled {
            self.place.settled(seq);
            if let Some(tag) = tag {
                self.acks.settled(tag);
            }
        }
        self.lanes.done(lane);
        self.start();
        self.acknowledge();
    }

    /// Answers for what is dealt with, without waiting for the connection.
    fn acknowledge(&mut self) {
        if let Some(tag) = self.acks.ready() {
            let channel = self.channel.clone();
            let answer = async move {
                within("acknowledging", channel.basic_ack(tag, BasicAckOptions { multiple: true })).await?;
                Ok(Done::Answered)
            };
            self.running.push(answer.boxed());
        }
    }

    fn ticked(&mut self) -> Result<(), Lost> {
        // The stream may stay silent for ever after a lost connection.
        if !self.connection.status().connected() || !self.channel.status().connected() {
            return Err(Lost::Ended);
        }
        let idle = self.looked_idle.elapsed() >= IDLE_EVERY;
        if idle || self.place.has_news() {
            self.look(idle);
        }
        Ok(())
    }

    /// Begins to compare the place with the log.
    fn look(&mut self, overdue: bool) {
        if self.looking {
            return;
        }
        self.looking = true;
        if overdue {
            self.looked_idle = Instant::now();
        }
        let question = Question {
            floor: self.place.floor(),
            ready: self.place.ready(),
            beyond: overdue && self.lanes.are_idle() && self.heard.elapsed() >= IDLE_EVERY,
            overdue,
        };
        let context = self.context;
        self.running.push(
            async move {
                if overdue {
                    context.leadership.lock().await.confirm().await?;
                }
                let look =
                    looking::look(context.database, context.consumer.name(), &context.patterns, question);
                Ok(Done::Looked(look.await?))
            }
            .boxed(),
        );
    }

    async fn looked(&mut self, look: Look) -> Result<(), Lost> {
        let Question { ready, beyond, .. } = look.question;
        match self.place.compare(&look.wanted, look.to) {
            // All before it came in order, so it will not come any more.
            Some(missing) if missing <= ready => self.recover(self.place.received()).await?,
            // The relay has published it. It may be on its way; if nothing came until the next look, it is not.
            Some(missing) if beyond && self.heard.elapsed() >= IDLE_EVERY => {
                if self.suspected.replace(missing) == Some(missing) {
                    self.suspected = None;
                    self.recover(look.to).await?;
                }
            }
            Some(_) | None => self.suspected = None,
        }
        self.recall(look.overdue).await
    }

    /// Takes no more messages, finishes what is in work, answers for it and writes the place down.
    async fn drain(mut self) -> Result<(), Lost> {
        let name = self.context.consumer.name();
        let drained = tokio::time::timeout(DRAIN_LIMIT, async {
            for queue in [name.to_owned(), topology::parking(name)] {
                let cancelled =
                    self.channel.basic_cancel(queue.as_str().into(), BasicCancelOptions::default());
                within("ending the subscription", cancelled).await?;
            }
            self.settle_all().await?;
            while let Some(done) = self.running.next().await {
                // Only answers are left, and perhaps a look that is of no use any more.
                done?;
            }
            let question = Question {
                floor: self.place.floor(),
                ready: self.place.ready(),
                beyond: false,
                overdue: false,
            };
            let look = looking::look(self.context.database, name, &self.context.patterns, question).await?;
            self.place.compare(&look.wanted, look.to);
            self.write_place().await?;
            Ok::<_, Lost>(())
        });
        match drained.await {
            Ok(drained) => drained?,
            Err(_elapsed) => tracing::warn!(consumer = name, "stopping in the middle of an event"),
        }
        tracing::info!(consumer = name, position = self.place.floor(), "a consumer has stopped");
        Ok(())
    }
}

/// Takes the events of one batch in.
async fn work<'a>(context: &'a Context<'a>, lane: usize, items: Vec<Item>) -> Result<Done, Lost> {
    let mut tickets = Vec::with_capacity(items.len());
    let mut events = Vec::with_capacity(items.len());
    for Item { event, tag, attempt } in items {
        tickets.push((event.seq.0, tag, attempt));
        events.push(event);
    }
    let mut settled = Vec::with_capacity(events.len());
    if events.len() > 1 && take_together(context.database, context.consumer, &events).await {
        settled.extend(tickets.into_iter().map(|(seq, tag, _)| (seq, tag)));
        return Ok(Done::Worked { lane, settled });
    }
    for (event, (seq, tag, attempt)) in events.iter().zip(tickets) {
        match take(context.database, context.consumer, event, context.stop).await {
            Taken::Stopped => break,
            taken @ (Taken::Done | Taken::RetryAfter(..) | Taken::Park(_)) => {
                context.aside.set(event, attempt, taken).await?;
            }
        }
        settled.push((seq, tag));
    }
    Ok(Done::Worked { lane, settled })
}

/// The consumer's place, which begins before the first event.
pub(super) async fn place(context: &Context<'_>) -> Result<i64, StoreError> {
    let mut tx = context.database.begin(&Scope::Platform).await?;
    sqlx::query("insert into es.consumer (name) values ($1) on conflict do nothing")
        .bind(context.consumer.name())
        .execute(&mut *tx)
        .await?;
    let seq: i64 = sqlx::query_scalar("select seq from es.consumer where name = $1")
        .bind(context.consumer.name())
        .fetch_one(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(seq)
}

fn delivered(delivery: Option<Result<Delivery, lapin::Error>>) -> Result<Delivery, Lost> {
    let delivery = delivery.ok_or(Lost::Ended)?;
    Ok(delivery.map_err(|source| BrokerError::Amqp { doing: "receiving", source: Box::new(source) })?)
}

fn value<'d>(delivery: &'d Delivery, name: &str) -> Option<&'d AMQPValue> {
    delivery.properties.headers().as_ref()?.inner().get(name)
}

fn has(delivery: &Delivery, name: &str) -> bool {
    value(delivery, name).is_some()
}

fn header(delivery: &Delivery, name: &str) -> Option<i64> {
    match value(delivery, name) {
        Some(AMQPValue::LongLongInt(number)) => Some(*number),
        _ => None,
    }
}

fn text(delivery: &Delivery, name: &str) -> Option<String> {
    match value(delivery, name) {
        Some(AMQPValue::LongString(text)) => Some(text.to_string()),
        _ => None,
    }
}
