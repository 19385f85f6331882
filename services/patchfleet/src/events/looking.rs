//! Reads events and prints them.

use super::{
    moment::Moment,
    paper::{self, Paper},
};
use anyhow::{Context, bail};
use chrono::{DateTime, TimeDelta, Utc};
use eventstore::{Database, EventFilter, Order, Reader};
use kernel::{CorrelationId, Envelope, Position, Scope, StreamId};
use runtime::{Clock, SystemClock};
use std::time::Duration;
use uuid::Uuid;

/// Events read at a time.
const PAGE: i64 = 500;
/// How often a follower looks for new ones: often enough for eyes, seldom enough for the database.
const FOLLOW_PAUSE: Duration = Duration::from_millis(500);
/// How far the clock of whoever made an event's id may be from the database's.
const CLOCK_SKEW: TimeDelta = TimeDelta::minutes(5);

#[derive(clap::Args)]
pub(crate) struct Tail {
    /// How many of the latest events to begin with.
    #[arg(long, short = 'n', default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    last: u32,
    /// Go on with every new event until Ctrl-C.
    #[arg(long, short)]
    follow: bool,
    /// Only events of this type, for example approvals.PatchApproved.
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// Only events of this kind of aggregate, for example approvals.approval.
    #[arg(long, value_name = "KIND")]
    category: Option<String>,
    /// Only what follows from this request.
    #[arg(long, value_name = "ID")]
    correlation: Option<Uuid>,
    /// Only what was recorded then or later: a time, a date (UTC), or an age such as 30s, 90m, 12h, 7d.
    #[arg(long, value_name = "TIME")]
    since: Option<Moment>,
    /// Only what was recorded before then.
    #[arg(long, value_name = "TIME", conflicts_with = "follow")]
    until: Option<Moment>,
    /// Only after this position.
    #[arg(long, value_name = "POSITION", default_value_t = 0)]
    after: i64,
}

impl Tail {
    pub(crate) async fn run(self, database: &Database, scope: &Scope, paper: Paper) -> anyhow::Result<()> {
        let reader = Reader::new(database.clone());
        let now = SystemClock.now();
        let mut filter = EventFilter {
            after: Position(self.after),
            event_type: self.event_type,
            stream: self.category,
            correlation_id: self.correlation.map(CorrelationId),
            recorded_from: self.since.map(|since| since.before(now)),
            recorded_before: self.until.map(|until| until.before(now)),
            ..EventFilter::default()
        };
        let mut latest = newest(&reader, scope, filter.clone(), i64::from(self.last)).await?;
        latest.reverse();
        if !paper.json {
            paper::line(&paper::brief_heading())?;
        }
        if let Some(last) = latest.last() {
            filter.after = last.seq;
        } else if self.last == 0 {
            filter.after = filter.after.max(eventstore::Log::new(database.clone()).head().await?);
        }
        print(&latest, paper)?;
        if self.follow { follow(&reader, scope, filter, paper).await } else { Ok(()) }
    }
}

/// Prints every new event for as long as the program runs.
async fn follow(reader: &Reader, scope: &Scope, mut filter: EventFilter, paper: Paper) -> anyhow::Result<()> {
    loop {
        let events = reader.events(scope, &filter, Order::OldestFirst, PAGE).await?;
        print(&events, paper)?;
        match events.last() {
            Some(last) => filter.after = last.seq,
            None => tokio::time::sleep(FOLLOW_PAUSE).await,
        }
    }
}

/// The latest `count` events, the newest first.
async fn newest(
    reader: &Reader,
    scope: &Scope,
    mut filter: EventFilter,
    count: i64,
) -> anyhow::Result<Vec<Envelope>> {
    let mut found = Vec::new();
    loop {
        let wanted = count - i64::try_from(found.len())?;
        if wanted <= 0 {
            return Ok(found);
        }
        let page = reader.events(scope, &filter, Order::NewestFirst, wanted.min(PAGE)).await?;
        let Some(last) = page.last() else { return Ok(found) };
        filter.before = Some(last.seq);
        found.extend(page);
    }
}

#[derive(clap::Args)]
pub(crate) struct Show {
    /// The event's position, or its id.
    event: String,
}

impl Show {
    pub(crate) async fn run(self, database: &Database, scope: &Scope, paper: Paper) -> anyhow::Result<()> {
        let reader = Reader::new(database.clone());
        let found = match (self.event.parse::<i64>(), self.event.parse::<Uuid>()) {
            (Ok(position), _) => at(&reader, scope, Position(position)).await?,
            (_, Ok(id)) => with_id(&reader, scope, id).await?,
            _ => bail!("{:?} is neither a position (a number) nor an event id (a UUID)", self.event),
        };
        let event = found.with_context(|| format!("there is no event {} in this scope", self.event))?;
        if paper.json { paper::json_line(&event) } else { paper::whole(&event) }
    }
}

pub(crate) async fn at(
    reader: &Reader,
    scope: &Scope,
    position: Position,
) -> anyhow::Result<Option<Envelope>> {
    let filter = EventFilter {
        after: Position(position.0.saturating_sub(1)),
        before: Some(Position(position.0.saturating_add(1))),
        ..EventFilter::default()
    };
    Ok(reader.events(scope, &filter, Order::OldestFirst, 1).await?.pop())
}

/// An event id says when it was made (RFC 9562, version 7): the events of the minutes around are looked through.
async fn with_id(reader: &Reader, scope: &Scope, id: Uuid) -> anyhow::Result<Option<Envelope>> {
    let made = made_at(id).with_context(|| format!("{id} is not the id of an event"))?;
    let mut filter = EventFilter {
        recorded_from: Some(made - CLOCK_SKEW),
        recorded_before: Some(made + CLOCK_SKEW),
        ..EventFilter::default()
    };
    loop {
        let page = reader.events(scope, &filter, Order::OldestFirst, PAGE).await?;
        let Some(last) = page.last().map(|event| event.seq) else { return Ok(None) };
        if let Some(event) = page.into_iter().find(|event| event.event_id.0 == id) {
            return Ok(Some(event));
        }
        filter.after = last;
    }
}

fn made_at(id: Uuid) -> Option<DateTime<Utc>> {
    let (seconds, nanos) = id.get_timestamp()?.to_unix();
    DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanos)
}

#[derive(clap::Args)]
pub(crate) struct Stream {
    /// The aggregate's stream.
    stream_id: Uuid,
}

impl Stream {
    pub(crate) async fn run(self, database: &Database, scope: &Scope, paper: Paper) -> anyhow::Result<()> {
        let reader = Reader::new(database.clone());
        let mut filter = EventFilter { stream_id: Some(StreamId(self.stream_id)), ..EventFilter::default() };
        let mut events = reader.events(scope, &filter, Order::OldestFirst, PAGE).await?;
        if events.is_empty() {
            bail!("there is no stream {} in this scope", self.stream_id);
        }
        if !paper.json {
            paper::line(&paper::brief_heading())?;
        }
        while let Some(last) = events.last() {
            print(&events, paper)?;
            filter.after = last.seq;
            events = reader.events(scope, &filter, Order::OldestFirst, PAGE).await?;
        }
        Ok(())
    }
}

fn print(events: &[Envelope], paper: Paper) -> anyhow::Result<()> {
    for event in events {
        if paper.json {
            paper::json_line(event)?;
        } else {
            paper::line(&paper::brief(event))?;
        }
    }
    Ok(())
}
