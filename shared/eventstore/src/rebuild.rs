//! Builds a projection anew from the first event, beside the live one, and puts it in its place.
//!
//! ```text
//! clone ──▶ fold up to the live one ──▶ hold the live follower ──▶ fold the rest ──▶ wait for older readers ──▶ rename
//! ```
//!
//! Readers are never locked out. Before the names change, both have the same content for every transaction that can still
//! see either, so that an answer which reads some tables before and some after the switch is right all the same.

mod compare;
mod fold;
mod overview;
mod owner;

pub use compare::{ColumnDifference, Difference, DifferenceKind, TableChecked};
pub use overview::{Overview, overview};

use crate::{Database, FollowError, Projection, StoreError, follower::Place};
use fold::Fold;
use kernel::Position;
use owner::Owner;
use std::time::Duration;
use tokio::time::Instant;

/// Where the live follower stands when few enough events are left to be folded while it is held.
const REST_MAX: i64 = 500;

/// Rounds of catching up with a follower that moves on meanwhile; then the rest is folded while it is held, long or not.
const ROUNDS_MAX: u32 = 20;

/// How long the transactions may take that are open when everything is folded. Nobody waits meanwhile.
const PATIENCE: Duration = Duration::from_mins(1);

/// The same while the live follower is held. Who asks for a position waits five seconds for it.
const PATIENCE_HELD: Duration = Duration::from_secs(2);

/// How to rebuild.
#[derive(Debug, Clone, Copy, Default)]
pub struct RebuildOptions {
    /// Goes on where an interrupted rebuild stopped, instead of beginning anew.
    pub resume: bool,
    /// Keeps the replaced tables in the schema `<schema>_old`.
    pub keep_old: bool,
}

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The tables are made.
    Preparing,
    /// The log is folded.
    Folding,
    /// The new tables take the place of the old ones.
    Switching,
    /// Every row is compared.
    Comparing,
    /// What is not needed any more is dropped.
    Cleaning,
}

/// How far it is.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// What is being done.
    pub stage: Stage,
    /// The last position that was folded.
    pub position: Position,
    /// The position to reach, as far as it is known: the live follower may move on.
    pub target: Position,
}

/// Hears of progress.
pub type Told<'a> = &'a (dyn Fn(Progress) + Send + Sync);

/// A rebuild that is done.
#[derive(Debug, Clone, Copy)]
pub struct Rebuilt {
    /// Positions that were folded: the whole log up to the switch, unless it went on where another one had stopped.
    pub events: u64,
    /// How long the folding took.
    pub folding: Duration,
    /// How long the live follower stood still.
    pub held: Duration,
    /// How long everything took.
    pub took: Duration,
    /// The position at which the new one took the place of the old one.
    pub position: Position,
}

impl Rebuilt {
    /// How fast the log was folded.
    #[expect(clippy::cast_precision_loss, reason = "a rate; below 2^53 nothing is lost")]
    pub fn events_per_second(&self) -> f64 {
        self.events as f64 / self.folding.as_secs_f64().max(f64::EPSILON)
    }
}

/// Why a projection was not rebuilt, or not checked.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// Somebody else works on it.
    #[error("{projection} is being rebuilt or checked by somebody else")]
    Busy {
        /// The projection.
        projection: &'static str,
    },
    /// The schema holds what the projection does not keep, or lacks what it keeps.
    #[error(
        "schema {schema} is not what the projection keeps (unknown tables: {unknown:?}, missing tables: {missing:?}): \
         is the database migrated?"
    )]
    Tables {
        /// The schema.
        schema: &'static str,
        /// Tables that the projection does not name.
        unknown: String,
        /// Tables that are not there.
        missing: String,
    },
    /// A migration came in between.
    #[error("{schema} was begun when {live} had other columns, indexes or grants: begin anew")]
    Unlike {
        /// The schema that cannot be gone on with.
        schema: String,
        /// The live one.
        live: &'static str,
    },
    /// Somebody reads for a long time.
    #[error(
        "transactions of other sessions did not end within {patience:?} (process ids {pids:?} in pg_stat_activity); \
         what was built is kept, and the rebuild can go on from there"
    )]
    OpenTransactions {
        /// The sessions' processes.
        pids: Vec<i32>,
        /// How long was waited.
        patience: Duration,
    },
    /// A follower of an older program went on although it was held.
    #[error(
        "{projection} moved on while it was held: stop older programs that keep it, and go on from there"
    )]
    Moved {
        /// The projection.
        projection: &'static str,
    },
    /// The log could not be folded.
    #[error(transparent)]
    Follow(#[from] FollowError),
    /// The machinery failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for RebuildError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Builds `projection` anew and puts it in the place of the live one. Services go on reading and following meanwhile.
///
/// `database` is signed in as a service, `owner_url` names the owner of the tables. An interrupted rebuild leaves the live
/// one as it is; the next one begins anew, or goes on from there.
pub async fn rebuild(
    database: &Database,
    owner_url: &str,
    projection: &dyn Projection,
    options: RebuildOptions,
    told: Told<'_>,
) -> Result<Rebuilt, RebuildError> {
    let mut owner = Owner::sign_in(owner_url, projection).await?;
    let rebuilt =
        Beside::of(projection, "next").rebuild(database, projection, &mut owner, options, told).await;
    owner.sign_out().await;
    rebuilt
}

/// What a check found.
#[derive(Debug, Clone)]
pub struct Checked {
    /// The position at which both were compared.
    pub position: Position,
    /// How long folding the log took.
    pub folding: Duration,
    /// How long the live follower stood still.
    pub held: Duration,
    /// How long everything took.
    pub took: Duration,
    /// Every table of the projection.
    pub tables: Vec<TableChecked>,
}

impl Checked {
    /// Rows that are not what the log says.
    pub fn differing(&self) -> i64 {
        self.tables.iter().map(|table| table.differing).sum()
    }
}

/// Folds the log freshly, beside the live `projection`, and compares every row at one position. Services go on meanwhile.
pub async fn check(
    database: &Database,
    owner_url: &str,
    projection: &dyn Projection,
    told: Told<'_>,
) -> Result<Checked, RebuildError> {
    let mut owner = Owner::sign_in(owner_url, projection).await?;
    let fresh = Beside::of(projection, "check");
    let checked = fresh.check(database, projection, &mut owner, told).await;
    let discarded = owner.discard(&fresh.schema, &fresh.cursor).await;
    owner.sign_out().await;
    let checked = checked?;
    discarded?;
    Ok(checked)
}

/// Drops what interrupted rebuilds and checks of `projection` left behind, and tables that were kept; answers with the
/// schemas that were there.
pub async fn discard(owner_url: &str, projection: &dyn Projection) -> Result<Vec<String>, RebuildError> {
    let mut owner = Owner::sign_in(owner_url, projection).await?;
    let dropped = async {
        let mut dropped = Vec::new();
        for what in ["next", "check", "old"] {
            let beside = Beside::of(projection, what);
            if owner.discard(&beside.schema, &beside.cursor).await? {
                dropped.push(beside.schema);
            }
        }
        Ok(dropped)
    }
    .await;
    owner.sign_out().await;
    dropped
}

/// A second copy of a projection.
struct Beside {
    schema: String,
    cursor: String,
}

impl Beside {
    fn of(projection: &dyn Projection, what: &str) -> Self {
        Self {
            schema: format!("{}_{what}", projection.schema()),
            cursor: format!("{}@{what}", projection.name()),
        }
    }

    /// Makes the tables, or finds those of an interrupted rebuild; answers with how far they are.
    async fn prepare(&self, owner: &mut Owner, resume: bool) -> Result<Position, RebuildError> {
        if resume && let Some(stopped) = owner.resume(&self.schema, &self.cursor).await? {
            return Ok(stopped);
        }
        owner.begin_anew(&self.schema, &self.cursor).await?;
        Ok(Position(0))
    }

    /// Folds until few events are left to the live follower's place; never past it, so that no reader is ahead of the
    /// position that the answer says.
    async fn catch_up(
        &self,
        database: &Database,
        projection: &dyn Projection,
        owner: &mut Owner,
        from: Position,
        told: Told<'_>,
    ) -> Result<Position, RebuildError> {
        let mut reached = from;
        for _ in 0..ROUNDS_MAX {
            let target = owner.position().await?;
            let progress = |position| told(Progress { stage: Stage::Folding, position, target });
            self.fold(database, projection, reached, target, &progress).await?;
            let folded = target.0 - reached.0;
            reached = reached.max(target);
            if folded <= REST_MAX {
                break;
            }
        }
        Ok(reached)
    }

    async fn rebuild(
        &self,
        database: &Database,
        projection: &dyn Projection,
        owner: &mut Owner,
        options: RebuildOptions,
        told: Told<'_>,
    ) -> Result<Rebuilt, RebuildError> {
        let begun = Instant::now();
        let old = format!("{}_old", projection.schema());
        let target = owner.position().await?;
        told(Progress { stage: Stage::Preparing, position: Position(0), target });
        let from = self.prepare(owner, options.resume).await?;

        let folding = Instant::now();
        let mut reached = self.catch_up(database, projection, owner, from, told).await?;
        owner.analyze(&self.schema, projection.tables()).await?;
        let folding = folding.elapsed();

        told(Progress { stage: Stage::Switching, position: reached, target: reached });
        owner.drop_schema(&old).await?;
        owner.outlive_open_transactions(PATIENCE).await?;
        let holding = Instant::now();
        let held = async {
            let live = owner.hold().await?;
            self.fold(database, projection, reached, live, &|_| {}).await?;
            reached = live;
            owner.outlive_open_transactions(PATIENCE_HELD).await?;
            owner.switch(&self.schema, &old, &self.cursor, live).await
        }
        .await;
        let released = owner.release().await;
        let held_for = holding.elapsed();
        held.and(released)?;

        told(Progress { stage: Stage::Cleaning, position: reached, target: reached });
        if !options.keep_old {
            // Whoever began to read before the switch may still be at it.
            owner.outlive_open_transactions(PATIENCE).await?;
            owner.drop_schema(&old).await?;
        }
        Ok(Rebuilt {
            events: u64::try_from(reached.0 - from.0).unwrap_or(0),
            folding,
            held: held_for,
            took: begun.elapsed(),
            position: reached,
        })
    }

    async fn check(
        &self,
        database: &Database,
        projection: &dyn Projection,
        owner: &mut Owner,
        told: Told<'_>,
    ) -> Result<Checked, RebuildError> {
        let begun = Instant::now();
        let target = owner.position().await?;
        told(Progress { stage: Stage::Preparing, position: Position(0), target });
        self.prepare(owner, false).await?;
        let folding = Instant::now();
        let reached = self.catch_up(database, projection, owner, Position(0), told).await?;
        let folding = folding.elapsed();

        // The snapshot is taken while both stand at the same position; comparing it may take its time.
        let holding = Instant::now();
        let held = async {
            let live = owner.hold().await?;
            self.fold(database, projection, reached, live, &|_| {}).await?;
            Ok::<_, RebuildError>((live, compare::snapshot(database).await?))
        }
        .await;
        let released = owner.release().await;
        let holding = holding.elapsed();
        let (position, mut snapshot) = held?;
        released?;

        told(Progress { stage: Stage::Comparing, position, target: position });
        let mut tables = Vec::new();
        for table in projection.tables() {
            tables.push(compare::compare(&mut snapshot, projection.schema(), &self.schema, table).await?);
        }
        snapshot.commit().await?;
        told(Progress { stage: Stage::Cleaning, position, target: position });
        Ok(Checked { position, folding, held: holding, took: begun.elapsed(), tables })
    }

    async fn fold(
        &self,
        database: &Database,
        projection: &dyn Projection,
        from: Position,
        to: Position,
        told: &(dyn Fn(Position) + Send + Sync),
    ) -> Result<(), RebuildError> {
        let place = Place { cursor: &self.cursor, schema: &self.schema, beside: true };
        Ok(Fold { database, projection, place, told }.run(from, to).await?)
    }
}
