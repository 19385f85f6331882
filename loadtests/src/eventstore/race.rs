//! Writers whose commits overtake each other, and who follows them without missing anything.

use crate::{
    server::Place,
    workload::{Meter, Streams, cause},
};
use anyhow::{Context, Result, bail};
use eventstore::{Database, ExecuteError, Log, Sequencer, Store, Target};
use kernel::{Position, StreamId};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use sqlx::PgConnection;
use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Writers at the same time.
pub(crate) const WRITERS: u32 = 16;
/// The longest pause between two steps of a transaction.
const PAUSE_MAX_MS: u64 = 20;
/// Streams that all of them write, so that order within a stream is put to the test.
const SHARED_STREAMS: usize = 8;
/// A follower's page, and its pause after an empty one.
const PAGE: i64 = 200;
const LOOK: Duration = Duration::from_millis(1);
/// How often a writer is overtaken on a shared stream before it gives that one up.
const TRIES_MAX: u32 = 50;

/// What a follower saw of all that was committed.
#[derive(Debug)]
pub(crate) struct Followed {
    pub(crate) name: &'static str,
    pub(crate) committed: usize,
    pub(crate) missed: usize,
    /// Events seen after a later one of their stream.
    pub(crate) inversions: usize,
}

/// Goes on from the greatest place it has seen.
const BY_PLACE: &str = "select pos, stream_id, version from es.event where pos > $1 order by pos limit $2";
/// The same, but leaves out what a running transaction may still overtake; its cursor is the wrong one.
const BY_PLACE_BELOW_THE_FENCE: &str = "select pos, stream_id, version from es.event
    where pos > $1 and xid < pg_snapshot_xmin(pg_current_snapshot()) order by pos limit $2";

/// Events by their stream and version, in the order in which they were seen.
type Seen = Vec<(Uuid, i64)>;

/// Lets the writers race for `duration` with three followers behind them.
pub(crate) async fn run(place: &Place, duration: Duration, seed: u64) -> Result<Vec<Followed>> {
    let database = place.database(WRITERS + 8).await?;
    let (stop, finished) = (CancellationToken::new(), CancellationToken::new());
    let mut sequencing = JoinSet::new();
    let (sequencer, stopping) = (Sequencer::new(database.clone()), stop.clone());
    sequencing.spawn(async move { sequencer.run(stopping).await });

    let mut following = JoinSet::new();
    for (name, statement) in
        [("pos > cursor", BY_PLACE), ("the same below the fence", BY_PLACE_BELOW_THE_FENCE)]
    {
        let (connection, finished) = (place.owner().await?, finished.clone());
        following.spawn(async move { Ok((name, follow_naively(connection, statement, finished).await?)) });
    }
    let (ours, over) = (database.clone(), finished.clone());
    following.spawn(async move { anyhow::Ok(("ours", follow_ours(ours, over).await?)) });

    let store = Store::new(database.clone());
    let shared: Vec<StreamId> = (0..SHARED_STREAMS).map(|_| StreamId(Uuid::new_v4())).collect();
    let tenant = Streams::new();
    let (scope, tenant) = (tenant.scope, tenant.tenant);
    let mut writing = JoinSet::new();
    for number in 0..WRITERS {
        let (store, shared) = (store.clone(), shared.clone());
        let random = StdRng::seed_from_u64(seed + u64::from(number));
        writing.spawn(async move { write(&store, scope, tenant, &shared, duration, random).await });
    }
    while let Some(done) = writing.join_next().await {
        done.context("a writer panicked")??;
    }
    finished.cancel();
    let mut views = Vec::new();
    while let Some(done) = following.join_next().await {
        views.push(done.context("a follower panicked")??);
    }
    stop.cancel();
    sequencing.join_all().await;
    database.close().await;
    let committed: Vec<(Uuid, i64)> = sqlx::query_as("select stream_id, version from es.event")
        .fetch_all(&mut place.owner().await?)
        .await?;
    let mut followed: Vec<Followed> =
        views.into_iter().map(|(name, seen)| judge(name, &seen, &committed)).collect();
    followed.sort_by_key(|follower| follower.name != "ours");
    Ok(followed)
}

fn judge(name: &'static str, seen: &Seen, committed: &[(Uuid, i64)]) -> Followed {
    let known: HashSet<&(Uuid, i64)> = seen.iter().collect();
    let missed = committed.iter().filter(|event| !known.contains(event)).count();
    let mut last: HashMap<Uuid, i64> = HashMap::new();
    let mut inversions = 0;
    for (stream, version) in seen {
        let before = last.entry(*stream).or_insert(0);
        if *version <= *before {
            inversions += 1;
        }
        *before = (*before).max(*version);
    }
    Followed { name, committed: committed.len(), missed, inversions }
}

/// Transactions that touch up to three streams, with pauses in between and before the commit.
async fn write(
    store: &Store,
    scope: kernel::Scope,
    tenant: kernel::Tenant,
    shared: &[StreamId],
    duration: Duration,
    mut random: StdRng,
) -> Result<()> {
    let own: Vec<StreamId> = (0..4).map(|_| StreamId(Uuid::new_v4())).collect();
    let deadline = Instant::now() + duration;
    while Instant::now() < deadline {
        let mut streams: Vec<StreamId> = (0..random.random_range(1..=3_usize))
            .map(|_| {
                let streams = if random.random_ratio(1, 4) { shared } else { &own };
                streams
                    .get(random.random_range(0..streams.len()))
                    .copied()
                    .unwrap_or(StreamId(Uuid::new_v4()))
            })
            .collect();
        // In one order for all, or two writers could wait for each other.
        streams.sort_by_key(|stream| stream.0);
        streams.dedup();
        for _ in 0..TRIES_MAX {
            let pauses: Vec<u64> = streams.iter().map(|_| random.random_range(0..=PAUSE_MAX_MS)).collect();
            match transaction(store, scope, tenant, &streams, &pauses).await {
                Ok(()) => break,
                Err(ExecuteError::Store(error)) if error.is_busy() => {}
                Err(error) => bail!(error),
            }
        }
    }
    Ok(())
}

async fn transaction(
    store: &Store,
    scope: kernel::Scope,
    tenant: kernel::Tenant,
    streams: &[StreamId],
    pauses: &[u64],
) -> Result<(), ExecuteError<crate::workload::Never>> {
    let mut tx = store.database().begin(&scope).await.map_err(ExecuteError::Store)?;
    let cause = cause();
    for (stream_id, pause) in streams.iter().zip(pauses) {
        let target =
            Target { scope: &scope, tenant, stream_id: *stream_id, cause: &cause, occurred_at: None };
        store.execute_in::<Meter>(&mut tx, target, 1).await?;
        tokio::time::sleep(Duration::from_millis(*pause)).await;
    }
    Ok(tx.commit().await?)
}

async fn follow_naively(
    mut connection: PgConnection,
    statement: &'static str,
    finished: CancellationToken,
) -> Result<Seen> {
    let (mut cursor, mut seen) = (0_i64, Seen::new());
    loop {
        let over = finished.is_cancelled();
        let rows: Vec<(i64, Uuid, i64)> =
            sqlx::query_as(statement).bind(cursor).bind(PAGE).fetch_all(&mut connection).await?;
        if rows.is_empty() {
            if over && nobody_writes(&mut connection).await? {
                return Ok(seen);
            }
            tokio::time::sleep(LOOK).await;
        }
        for (pos, stream, version) in rows {
            cursor = pos;
            seen.push((stream, version));
        }
    }
}

/// Whether everything committed lies below the fence.
async fn nobody_writes(connection: &mut PgConnection) -> Result<bool> {
    let behind: bool = sqlx::query_scalar(
        "select exists (select from es.event where xid >= pg_snapshot_xmin(pg_current_snapshot()))",
    )
    .fetch_one(connection)
    .await?;
    Ok(!behind)
}

async fn follow_ours(database: Database, finished: CancellationToken) -> Result<Seen> {
    let log = Log::new(database.clone());
    let (mut cursor, mut seen) = (Position(0), Seen::new());
    loop {
        let over = finished.is_cancelled();
        let page = log.page(cursor, PAGE).await?;
        if page.is_empty() {
            if over && all_have_positions(&database).await? && log.head().await? == cursor {
                return Ok(seen);
            }
            tokio::time::sleep(LOOK).await;
        }
        for event in page {
            cursor = event.seq;
            seen.push((event.stream_id.0, event.version));
        }
    }
}

async fn all_have_positions(database: &Database) -> Result<bool> {
    let mut tx = database.begin(&kernel::Scope::Platform).await?;
    let waiting: bool = sqlx::query_scalar(
        "select exists (select from es.event e, es.sequencer s where (e.xid, e.pos) > (s.xid, s.pos))",
    )
    .fetch_one(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(!waiting)
}

#[cfg(test)]
mod tests {
    use super::judge;
    use uuid::Uuid;

    #[test]
    fn a_follower_is_judged_by_what_it_missed_and_what_it_turned_round() {
        let stream = Uuid::nil();
        let committed = [(stream, 1), (stream, 2), (stream, 3), (stream, 4)];
        let judged = judge("some", &vec![(stream, 1), (stream, 3), (stream, 2)], &committed);
        assert_eq!((judged.committed, judged.missed, judged.inversions), (4, 1, 1));
    }
}
