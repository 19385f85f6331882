//! Gives every committed event its dense position. One leader at a time.

use crate::{Database, StoreError};
use kernel::{Position, Scope};
use std::time::Duration;
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

/// Events that get their position in one transaction. More at once is not faster, and holds the fence for longer.
const BATCH: i32 = 1_000;
/// Pauses when nothing is there: short after work, longer in quiet times. The longest is the delay of the first event
/// after a quiet time, where nobody pokes.
const PAUSE_MIN: Duration = Duration::from_millis(2);
const PAUSE_MAX: Duration = Duration::from_millis(25);
/// How often a standby asks whether it may lead.
const STANDBY_PAUSE: Duration = Duration::from_millis(500);
/// How often the leader measures what waits.
const MEASURE_INTERVAL: Duration = Duration::from_secs(1);
/// Waiting events are counted up to here; more are an alarm, whatever their number.
const WAITING_COUNTED_MAX: i64 = 10_000;
/// A server that takes longer for one batch is gone; another connection must lead.
const STEP_DEADLINE: Duration = Duration::from_secs(10);
/// How often it is said again that a restored database waits for its operator.
const REMINDER: Duration = Duration::from_mins(1);
/// Advisory lock of the leader; `es.begin_generation` knows it as well.
const LEADER_LOCK: i64 = 0x7066_7365_7100;

/// A leader's session. Its commits need not wait for the disk: positions follow from the events, which did wait, so that
/// a server that forgets the last ones in a crash is given the very same again. Whoever keeps something that depends on
/// a position waits for the disk, and thereby for that position.
const LEADER_SESSION: &str = "set role pf_platform; set synchronous_commit = off";

/// Wakes a leader in this process after a commit. Others find the event at their next look.
static COMMITTED: Notify = Notify::const_new();

/// Tells the sequencer, if it runs in this process, that there is something to do. Costs nothing otherwise.
pub(crate) fn poke() {
    COMMITTED.notify_one();
}

/// The sequencer.
#[derive(Debug, Clone)]
pub struct Sequencer {
    database: Database,
}

/// What one look brought.
#[derive(sqlx::FromRow)]
struct Look {
    seq: i64,
    given: i32,
    /// The oldest transaction that may still write.
    fence: Option<String>,
}

impl Sequencer {
    /// A sequencer in `database`.
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    /// Sequences until `stop`, as leader or waiting to lead; survives the loss of the database.
    pub async fn run(&self, stop: CancellationToken) {
        let mut reminded: Option<Instant> = None;
        while !stop.is_cancelled() {
            let ended = self.lead(&stop).await;
            report_leadership(false);
            match ended {
                Ok(Ended::Standby | Ended::Stopped) => {}
                Ok(Ended::Restored) => {
                    if reminded.is_none_or(|at| at.elapsed() >= REMINDER) {
                        tracing::error!(
                            "the database was restored into another cluster: nothing is given a position before `patchfleet restore`"
                        );
                        reminded = Some(Instant::now());
                    }
                }
                Err(error) => {
                    let error: &(dyn std::error::Error + 'static) = &error;
                    tracing::warn!(error, "the sequencer lost the database and will try again");
                }
            }
            pause(&stop, STANDBY_PAUSE).await;
        }
    }

    /// Leads as long as this connection lives.
    async fn lead(&self, stop: &CancellationToken) -> Result<Ended, StoreError> {
        let mut leader = self.database.pool().acquire().await?;
        let (leads,): (bool,) = sqlx::query_as("select pg_try_advisory_lock($1)")
            .bind(LEADER_LOCK)
            .fetch_one(&mut *leader)
            .await?;
        if !leads {
            return Ok(Ended::Standby);
        }
        // The lock belongs to the session: a pooled connection must not be handed on with it.
        let mut leader = leader.detach();
        sqlx::raw_sql(LEADER_SESSION).execute(&mut leader).await?;
        let restored: bool = sqlx::query_scalar("select es.is_restored()").fetch_one(&mut leader).await?;
        if restored {
            return Ok(Ended::Restored);
        }
        tracing::info!("this process gives the events their positions");
        report_leadership(true);
        let mut quiet = PAUSE_MIN;
        let mut fence = Fence::default();
        let mut measured: Option<Instant> = None;
        while !stop.is_cancelled() {
            let look = within(look(&mut leader)).await?;
            metrics::counter!("eventstore_sequenced_total").increment(u64::from(look.given.unsigned_abs()));
            let age = fence.observe(look.fence.as_deref(), Instant::now());
            if measured.is_none_or(|at| at.elapsed() >= MEASURE_INTERVAL) {
                let waiting = within(waiting(&mut leader)).await?;
                report(&look, age, waiting);
                measured = Some(Instant::now());
            }
            if look.given == BATCH {
                continue;
            }
            quiet = if look.given > 0 { PAUSE_MIN } else { (quiet * 2).min(PAUSE_MAX) };
            tokio::select! {
                () = pause(stop, quiet) => {}
                // Not at once: what comes together is given its positions together.
                () = COMMITTED.notified() => pause(stop, PAUSE_MIN).await,
            }
        }
        Ok(Ended::Stopped)
    }

    /// Gives positions once; answers with the last position given so far.
    pub async fn once(&self) -> Result<Position, StoreError> {
        let mut tx = self.database.begin(&Scope::Platform).await?;
        let look = look(&mut tx).await?;
        tx.commit().await?;
        Ok(Position(look.seq))
    }
}

/// Why somebody does not lead, or no longer.
enum Ended {
    /// Another one leads.
    Standby,
    /// The database waits for its operator.
    Restored,
    /// The process is to end.
    Stopped,
}

async fn look(session: &mut sqlx::PgConnection) -> Result<Look, StoreError> {
    Ok(sqlx::query_as("select seq, given, fence from es.sequence($1)").bind(BATCH).fetch_one(session).await?)
}

/// How many committed events have no position yet, as far as that is counted.
async fn waiting(session: &mut sqlx::PgConnection) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar("select es.waiting($1)").bind(WAITING_COUNTED_MAX).fetch_one(session).await?)
}

async fn within<T>(work: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    tokio::time::timeout(STEP_DEADLINE, work)
        .await
        .map_err(|_elapsed| StoreError::Database(sqlx::Error::PoolTimedOut))?
}

fn report_leadership(leads: bool) {
    metrics::gauge!("eventstore_sequencer_leads").set(if leads { 1.0 } else { 0.0 });
    if !leads {
        // Only a leader knows them; a former one must not go on claiming what was.
        metrics::gauge!("eventstore_fence_age_seconds").set(0.0);
        metrics::gauge!("eventstore_unsequenced_events").set(0.0);
    }
}

fn report(look: &Look, fence_age: Duration, waiting: i64) {
    metrics::gauge!("eventstore_fence_age_seconds").set(fence_age.as_secs_f64());
    #[expect(clippy::cast_precision_loss, reason = "a gauge is a float; no log has 2^53 events")]
    {
        metrics::gauge!("eventstore_head_position").set(look.seq as f64);
        metrics::gauge!("eventstore_unsequenced_events").set(waiting as f64);
    }
}

/// For how long the same transaction has been the oldest open one. Seen from outside, so that it needs no right to look
/// at other people's sessions, and counts prepared transactions as well.
#[derive(Default)]
struct Fence {
    held: Option<(String, Instant)>,
}

impl Fence {
    fn observe(&mut self, oldest: Option<&str>, now: Instant) -> Duration {
        match (oldest, &self.held) {
            (None, _) => self.held = None,
            (Some(oldest), Some((known, since))) if oldest == known => return now - *since,
            (Some(oldest), _) => self.held = Some((oldest.to_owned(), now)),
        }
        Duration::ZERO
    }
}

async fn pause(stop: &CancellationToken, duration: Duration) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = tokio::time::sleep(duration) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, Fence, Instant};

    #[test]
    fn the_fence_is_as_old_as_its_oldest_transaction_has_been_the_oldest() {
        let (mut fence, start) = (Fence::default(), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(fence.observe(Some("7"), after(0)), Duration::ZERO);
        assert_eq!(fence.observe(Some("7"), after(3)), Duration::from_secs(3));
        assert_eq!(fence.observe(Some("9"), after(4)), Duration::ZERO);
        assert_eq!(fence.observe(Some("9"), after(6)), Duration::from_secs(2));
        assert_eq!(fence.observe(None, after(7)), Duration::ZERO);
        assert_eq!(fence.observe(Some("9"), after(8)), Duration::ZERO);
    }
}
