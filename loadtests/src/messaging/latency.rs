//! From a commit to the consumers, at a steady rate.

use super::{
    bare,
    ours::{AtWork, GROUPS, Keeper, PREFETCH, ready},
};
use crate::{
    server::Place,
    workload::{Meter, Streams, cause},
};
use anyhow::{Context, Result, ensure};
use eventstore::{Store, Target};
use kernel::CommandId;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use testkit::TestBroker;
use tokio::task::JoinSet;

/// Events per second.
pub(crate) const RATE: u32 = 500;
/// Those who write them.
const WRITERS: u32 = 4;
/// How long the last events may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// From the commit of each event to each of the consumers.
pub(crate) async fn ours(place: &Place, groups: usize, duration: Duration) -> Result<Vec<Duration>> {
    let broker = TestBroker::create().await;
    let database = place.database(WRITERS + 4 * 6).await?;
    let keepers: Vec<Arc<Keeper>> = GROUPS.iter().take(groups).map(|name| Keeper::new(name)).collect();
    let mut at_work = AtWork::new();
    for keeper in &keepers {
        at_work.consumer(&database, &broker, keeper);
    }
    for group in GROUPS.iter().take(groups) {
        ready(&broker, group).await?;
    }
    at_work.sequencer(&database);
    at_work.relay(&database, &broker);
    // A first second for connections and plans.
    let store = Store::new(database.clone());
    write(&store, Duration::from_secs(1)).await?;
    let committed = write(&store, duration).await?;
    let expected = committed.len();
    let mut heard: Vec<HashMap<CommandId, Instant>> = keepers.iter().map(|_| HashMap::new()).collect();
    let deadline = Instant::now() + PATIENCE;
    let complete = |heard: &[HashMap<CommandId, Instant>]| {
        heard.iter().all(|heard| committed.iter().all(|(command, _)| heard.contains_key(command)))
    };
    while !complete(&heard) {
        ensure!(Instant::now() < deadline, "{expected} events did not reach every consumer");
        tokio::time::sleep(Duration::from_millis(50)).await;
        for (keeper, heard) in keepers.iter().zip(&mut heard) {
            for (command, at) in keeper.take() {
                heard.entry(command).or_insert(at);
            }
        }
    }
    at_work.end().await;
    database.close().await;
    let times = heard.iter().flat_map(|heard| {
        committed
            .iter()
            .filter_map(|(command, at)| heard.get(command).map(|heard| heard.saturating_duration_since(*at)))
    });
    Ok(times.collect())
}

async fn write(store: &Store, duration: Duration) -> Result<Vec<(CommandId, Instant)>> {
    let mut writing = JoinSet::new();
    for _ in 0..WRITERS {
        let store = store.clone();
        writing.spawn(async move {
            let (mut streams, mut committed) = (Streams::new(), Vec::new());
            let mut ticks = tokio::time::interval(Duration::from_secs(1) * WRITERS / RATE);
            let deadline = Instant::now() + duration;
            while Instant::now() < deadline {
                ticks.tick().await;
                let ((stream_id, _), cause) = (streams.turn(1), cause());
                let (scope, tenant) = (&streams.scope, streams.tenant);
                let target = Target { scope, tenant, stream_id, cause: &cause, occurred_at: None };
                store.execute::<Meter>(target, 1).await?;
                committed.push((cause.command_id, Instant::now()));
            }
            anyhow::Ok(committed)
        });
    }
    let mut committed = Vec::new();
    while let Some(done) = writing.join_next().await {
        committed.extend(done.context("a writer panicked")??);
    }
    Ok(committed)
}

/// From bare publishing to bare consumers.
pub(crate) async fn bare(
    empty: &Place,
    messages: &[bare::Message],
    groups: usize,
    duration: Duration,
) -> Result<Vec<Duration>> {
    let broker = TestBroker::create().await;
    let groups: Vec<&'static str> = GROUPS.into_iter().take(groups).collect();
    super::ours::declare(empty, &broker, &groups).await?;
    let count = usize::try_from(duration.as_millis() * u128::from(RATE) / 1_000)?.min(messages.len());
    let mut consuming = JoinSet::new();
    for group in groups {
        let url = broker.url();
        let heard = Arc::new(Mutex::new(Vec::with_capacity(count)));
        consuming.spawn(async move {
            let noting = heard.clone();
            bare::consume(url, group, PREFETCH, count, move |_| {
                noting.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
            })
            .await?;
            let heard = std::mem::take(&mut *heard.lock().unwrap_or_else(PoisonError::into_inner));
            anyhow::Ok(heard)
        });
    }
    let (connection, channel) = bare::connect(&broker.url()).await?;
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / RATE);
    let (mut sent, mut confirms) = (Vec::with_capacity(count), Vec::with_capacity(count));
    for message in messages.iter().take(count) {
        ticks.tick().await;
        sent.push(Instant::now());
        confirms.push(bare::send(&channel, message).await?);
    }
    for confirm in confirms {
        bare::check(&confirm.await?)?;
    }
    let mut times = Vec::new();
    while let Some(done) = consuming.join_next().await {
        let heard = done.context("a consumer panicked")??;
        times.extend(heard.iter().zip(&sent).map(|(heard, sent)| heard.saturating_duration_since(*sent)));
    }
    connection.close(200, "done".into()).await?;
    Ok(times)
}
