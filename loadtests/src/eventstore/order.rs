//! How soon an event has its place in the log, and whether the sequencer keeps ahead of the writers.

use crate::{
    options::Options,
    report::{Figure, Goal, Progress},
    rounds::{Contender, per_second},
    server::Place,
    statistics::{Spread, percentile_ms},
    workload::{Meter, Streams, cause},
};
use anyhow::{Context, Result};
use eventstore::{Sequencer, Store, Target};
use sqlx::PgConnection;
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How often the observer looks for new places: the precision of the latency, and always to our disadvantage.
const LOOK: Duration = Duration::from_millis(1);

/// How long stragglers may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Connections beside the writers': sequencer, its measurements, spare.
const EXTRA_CONNECTIONS: u32 = 4;

/// How writers behave.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Load {
    /// This many events per second, by eight writers.
    Steady(u32),
    /// As fast as this many writers can.
    Full(u32),
}

impl Load {
    pub(crate) fn name(self) -> String {
        match self {
            Self::Steady(rate) => format!("{rate} commands/s"),
            Self::Full(writers) => format!("{} at full speed", super::plural(writers)),
        }
    }

    fn writers(self) -> u32 {
        match self {
            Self::Steady(_) => 8,
            Self::Full(writers) => writers,
        }
    }

    /// How often one writer writes.
    fn interval(self) -> Option<Duration> {
        match self {
            Self::Steady(rate) => Some(Duration::from_secs(1) * self.writers() / rate.max(1)),
            Self::Full(_) => None,
        }
    }
}

/// Writes through the store while the sequencer runs; how long after its commit each event had its position.
pub(crate) async fn latency(place: &Place, load: Load, duration: Duration) -> Result<Vec<Duration>> {
    let database = place.database(load.writers() + EXTRA_CONNECTIONS).await?;
    let store = Store::new(database.clone());
    let (stop, mut beside) = (CancellationToken::new(), JoinSet::new());
    let (sequencer, stopping) = (Sequencer::new(database.clone()), stop.clone());
    beside.spawn(async move { sequencer.run(stopping).await });
    sequenced(&mut place.owner().await?).await?;

    let observer = place.owner().await?;
    let (finished, mut observing) = (CancellationToken::new(), JoinSet::new());
    observing.spawn(observe(observer, finished.clone()));
    let mut writing = JoinSet::new();
    for _ in 0..load.writers() {
        writing.spawn(write(store.clone(), duration, load.interval()));
    }
    let mut committed = Vec::new();
    while let Some(done) = writing.join_next().await {
        committed.extend(done.context("a writer panicked")??);
    }
    sequenced(&mut place.owner().await?).await?;
    finished.cancel();
    let seen = observing.join_next().await.context("no observer")?.context("the observer panicked")??;
    stop.cancel();
    beside.join_all().await;
    database.close().await;
    committed
        .into_iter()
        .map(|(pos, at)| {
            let seen = seen.get(&pos).with_context(|| format!("the event at {pos} never got its place"))?;
            Ok(seen.saturating_duration_since(at))
        })
        .collect()
}

async fn write(store: Store, duration: Duration, interval: Option<Duration>) -> Result<Vec<(i64, Instant)>> {
    let mut streams = Streams::new();
    let deadline = Instant::now() + duration;
    let mut ticks = interval.map(tokio::time::interval);
    let mut committed = Vec::new();
    while Instant::now() < deadline {
        if let Some(ticks) = &mut ticks {
            ticks.tick().await;
        }
        let (stream_id, _) = streams.turn(1);
        let cause = cause();
        let target = Target {
            scope: &streams.scope,
            tenant: streams.tenant,
            stream_id,
            cause: &cause,
            occurred_at: None,
        };
        let pos = store.execute::<Meter>(target, 1).await?.pos.context("nothing was written")?;
        committed.push((pos, Instant::now()));
    }
    Ok(committed)
}

/// When each event was first seen with a position.
async fn observe(mut connection: PgConnection, finished: CancellationToken) -> Result<HashMap<i64, Instant>> {
    let mut cursor: i64 =
        sqlx::query_scalar("select seq from es.sequencer").fetch_one(&mut connection).await?;
    let mut seen = HashMap::new();
    loop {
        let over = finished.is_cancelled();
        let places: Vec<(i64, i64)> =
            sqlx::query_as("select seq, pos from es.order_log where seq > $1 order by seq limit 5000")
                .bind(cursor)
                .fetch_all(&mut connection)
                .await?;
        let now = Instant::now();
        for (seq, pos) in &places {
            cursor = *seq;
            seen.insert(*pos, now);
        }
        if places.is_empty() {
            if over {
                return Ok(seen);
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// Waits until every event has its position.
async fn sequenced(connection: &mut PgConnection) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let waiting: bool = sqlx::query_scalar(
            "select exists (select from es.event e, es.sequencer s where (e.xid, e.pos) > (s.xid, s.pos))",
        )
        .fetch_one(&mut *connection)
        .await?;
        if !waiting {
            return Ok(());
        }
        anyhow::ensure!(
            Instant::now() < deadline,
            "the sequencer gave no positions for {} s",
            PATIENCE.as_secs()
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Adds the percentiles of one load.
pub(crate) fn latency_figures(load: Load, setting: &str, times: &mut [Duration]) -> Vec<Figure> {
    let setting = format!("{setting}, {}", load.name());
    [(0.5, "commit to position, p50", None), (0.99, "commit to position, p99", Some(Goal::AtMost(50.0)))]
        .into_iter()
        .map(|(share, what, goal)| {
            let value = Spread::of(&[percentile_ms(times, share)]);
            Figure::alone("order", what, setting.clone(), value, "ms", goal)
        })
        .collect()
}

/// Rounds of writing without a sequencer, then sequencing what was written: events per second of both.
pub(crate) async fn drain(
    place: &Place,
    mut crew: Box<dyn Contender>,
    options: &Options,
    progress: &Progress,
) -> Result<(Spread, Spread, Spread)> {
    let mut owner = place.owner().await?;
    let database = place.database(EXTRA_CONNECTIONS).await?;
    let (mut drained, mut written, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=options.rounds() {
        progress.note(&format!("round {round}: writing a backlog"));
        let before: i64 =
            sqlx::query_scalar("select count(*) from es.order_log").fetch_one(&mut owner).await?;
        let writes = crew.measure().await?;
        progress.note(&format!("round {round}: sequencing it"));
        let stop = CancellationToken::new();
        let (sequencer, stopping) = (Sequencer::new(database.clone()), stop.clone());
        let started = Instant::now();
        let mut running = JoinSet::new();
        running.spawn(async move { sequencer.run(stopping).await });
        sequenced(&mut owner).await?;
        let elapsed = started.elapsed();
        stop.cancel();
        running.join_all().await;
        let after: i64 =
            sqlx::query_scalar("select count(*) from es.order_log").fetch_one(&mut owner).await?;
        let rate = per_second((after - before).unsigned_abs(), elapsed);
        if round > 0 {
            drained.push(rate);
            written.push(writes);
            ratios.push(rate / writes);
        }
    }
    database.close().await;
    Ok((Spread::of(&drained), Spread::of(&written), Spread::of(&ratios)))
}
