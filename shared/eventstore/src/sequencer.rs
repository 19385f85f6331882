//! Gives every committed event its dense position. One leader at a time.

use crate::{Database, StoreError};
use kernel::{Position, Scope};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Events that get their position in one transaction.
const BATCH: i32 = 1_000;
/// Pauses when nothing is there: short after work, longer in quiet times.
const PAUSE_MIN: Duration = Duration::from_millis(2);
const PAUSE_MAX: Duration = Duration::from_millis(50);
/// How often a standby asks whether it may lead, and a leader looks for partitions.
const STANDBY_PAUSE: Duration = Duration::from_secs(1);
/// A server that takes longer for one batch is gone; another connection must lead.
const STEP_DEADLINE: Duration = Duration::from_secs(10);
/// Advisory lock of the leader.
const LEADER_LOCK: i64 = 0x7066_7365_7100;

/// The sequencer.
#[derive(Debug, Clone)]
pub struct Sequencer {
    database: Database,
}

impl Sequencer {
    /// A sequencer in `database`.
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    /// Sequences until `stop`, as leader or waiting to lead; survives the loss of the database.
    pub async fn run(&self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            if let Err(error) = self.lead(&stop).await {
                tracing::warn!(error = %error, "the sequencer lost the database and will try again");
            }
            pause(&stop, STANDBY_PAUSE).await;
        }
    }

    /// Leads as long as this connection lives.
    async fn lead(&self, stop: &CancellationToken) -> Result<(), StoreError> {
        let mut leader = self.database.pool().acquire().await?;
        let (leads,): (bool,) = sqlx::query_as("select pg_try_advisory_lock($1)")
            .bind(LEADER_LOCK)
            .fetch_one(&mut *leader)
            .await?;
        if !leads {
            return Ok(());
        }
        // The lock belongs to the session: a pooled connection must not be handed on with it.
        let mut leader = leader.detach();
        tracing::info!("this process gives the events their positions");
        let mut quiet = PAUSE_MIN;
        let mut partitions_seen = tokio::time::Instant::now();
        while !stop.is_cancelled() {
            let answer = tokio::time::timeout(STEP_DEADLINE, step(&mut leader)).await;
            let given = answer.map_err(|_elapsed| sqlx::Error::PoolTimedOut)??;
            metrics::counter!("eventstore_sequenced_total").increment(given);
            if partitions_seen.elapsed() > STANDBY_PAUSE {
                sqlx::query("select es.ensure_partitions()").execute(&mut leader).await?;
                partitions_seen = tokio::time::Instant::now();
            }
            if given > 0 {
                quiet = PAUSE_MIN;
                continue;
            }
            pause(stop, quiet).await;
            quiet = (quiet * 2).min(PAUSE_MAX);
        }
        Ok(())
    }

    /// Gives positions once; answers with the last position given so far.
    pub async fn once(&self) -> Result<Position, StoreError> {
        let mut tx = self.database.begin(&Scope::Platform).await?;
        let (seq, _): (i64, i32) =
            sqlx::query_as("select seq, given from es.sequence($1)").bind(BATCH).fetch_one(&mut *tx).await?;
        tx.commit().await?;
        Ok(Position(seq))
    }
}

async fn step(leader: &mut sqlx::PgConnection) -> Result<u64, StoreError> {
    let mut tx =
        sqlx::Connection::begin_with(leader, "begin; select es.set_scope('pf_platform', null, null)").await?;
    let (_, given): (i64, i32) =
        sqlx::query_as("select seq, given from es.sequence($1)").bind(BATCH).fetch_one(&mut *tx).await?;
    tx.commit().await?;
    Ok(u64::try_from(given).unwrap_or(0))
}

async fn pause(stop: &CancellationToken, duration: Duration) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = tokio::time::sleep(duration) => {}
    }
}
