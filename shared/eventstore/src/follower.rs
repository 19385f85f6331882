//! Follows the log by position and keeps a projection: rows and cursor change in one transaction.

use crate::{Database, Log, StoreError, Tx, log::Page};
use chrono::{DateTime, Utc};
use kernel::{Envelope, EventId, Position, Scope};
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

const PAUSE_MIN: Duration = Duration::from_millis(5);
const PAUSE_MAX: Duration = Duration::from_millis(50);
const ERROR_PAUSE: Duration = Duration::from_secs(1);

/// Seeds the advisory lock that every page of a follower holds shared, and whoever needs it to stand still exclusively.
pub(crate) const HOLD_SEED: i64 = 0x7066_686f_6c64;

/// A read model that follows the log.
///
/// Its statements name no schema: they write where they are pointed, so that it can be built a second time beside the
/// live one. Its rows may depend on the events alone (and on who is forgotten), never on the clock or on what else
/// is in the database.
#[async_trait::async_trait]
pub trait Projection: Send + Sync + 'static {
    /// Its name, which is that of its cursor.
    fn name(&self) -> &'static str;
    /// The schema of its live tables. Nothing else may be kept there: a rebuild replaces the whole schema.
    fn schema(&self) -> &'static str;
    /// Every table of that schema.
    fn tables(&self) -> &'static [&'static str];
    /// The types of the events that it takes in; none named means every event.
    fn event_types(&self) -> &'static [&'static str] {
        &[]
    }
    /// The types of the events whose personal texts it gets opened; the texts of all others stay sealed.
    fn opened_types(&self) -> &'static [&'static str] {
        &[]
    }
    /// Takes one event in. Runs at platform level: the rows carry the event's tenant.
    async fn apply(&self, tx: &mut Tx, event: &Envelope) -> Result<(), StoreError>;
    /// Takes a page in; the same as each event of it by itself, only faster.
    async fn apply_page(&self, tx: &mut Tx, events: &[Envelope]) -> Result<(), StoreError> {
        for event in events {
            self.apply(tx, event).await?;
        }
        Ok(())
    }
}

/// Why a projection does not go on.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// It cannot take in this event.
    #[error("{projection} cannot take in event {event_id} ({event_type}) at position {seq}")]
    Event {
        /// The projection.
        projection: &'static str,
        /// The event's position.
        seq: Position,
        /// The event.
        event_id: EventId,
        /// Its type.
        event_type: String,
        /// What went wrong.
        #[source]
        source: StoreError,
    },
    /// The machinery failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for FollowError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Follows until `stop`, telling `position` after every page. Several processes may follow under one name: the
/// cursor's row lock lets one at a time work, and the others see its progress.
pub async fn follow(
    database: Database,
    projection: &dyn Projection,
    position: watch::Sender<Position>,
    stop: CancellationToken,
) {
    let log = Log::new(database.clone());
    let mut quiet = PAUSE_MIN;
    while !stop.is_cancelled() {
        let wait = match page(&database, &log, projection, &position).await {
            Ok(count) => {
                quiet = if count > 0 { PAUSE_MIN } else { (quiet * 2).min(PAUSE_MAX) };
                if count > 0 { Duration::ZERO } else { quiet }
            }
            Err(error) => {
                let error: &(dyn std::error::Error + 'static) = &error;
                tracing::error!(
                    projection = projection.name(),
                    error,
                    "a projection stands still and will try again"
                );
                ERROR_PAUSE
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// Looks first and locks only when there is work: an idle follower must not hold the sequencer's fence.
async fn page(
    database: &Database,
    log: &Log,
    projection: &dyn Projection,
    position: &watch::Sender<Position>,
) -> Result<usize, FollowError> {
    let standing = standing(database, projection.name()).await?;
    tell(position, standing.cursor);
    if standing.head == standing.cursor {
        measure(projection, standing, None);
        return Ok(0);
    }
    let page = log.page_of(standing.cursor, crate::log::PAGE_MAX, projection.event_types()).await?;
    measure(projection, standing, page.events.first());
    let place = Place { cursor: projection.name(), schema: projection.schema(), beside: false };
    let Some(reached) = take(database, projection, place, standing.cursor, &page).await? else {
        return Ok(0);
    };
    tell(position, reached);
    metrics::counter!("eventstore_followed_total", "projection" => projection.name())
        .increment(u64::try_from(reached.0 - standing.cursor.0).unwrap_or(0));
    Ok(page.events.len().max(1))
}

fn tell(position: &watch::Sender<Position>, reached: Position) {
    position.send_if_modified(|known| {
        let moved = *known != reached;
        *known = reached;
        moved
    });
}

/// How far it is behind: in events, and by the age of the first one that it has not taken in.
#[expect(clippy::cast_precision_loss, reason = "a gauge; below 2^53 nothing is lost")]
fn measure(projection: &dyn Projection, standing: Standing, next: Option<&Envelope>) {
    let age = next.map_or(0, |event| (standing.now - event.recorded_at).num_milliseconds().max(0));
    metrics::gauge!("eventstore_follower_lag_events", "projection" => projection.name())
        .set((standing.head.0 - standing.cursor.0) as f64);
    metrics::gauge!("eventstore_follower_lag_seconds", "projection" => projection.name())
        .set(age as f64 / 1_000.0);
}

/// Where a follower is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Standing {
    pub(crate) cursor: Position,
    pub(crate) head: Position,
    pub(crate) now: DateTime<Utc>,
}

pub(crate) async fn standing(database: &Database, cursor: &str) -> Result<Standing, StoreError> {
    let mut tx = database.begin(&Scope::Platform).await?;
    let (cursor, head, now) = sqlx::query_as(
        "select coalesce(f.seq, 0), s.seq, clock_timestamp()
           from es.sequencer s
           left join es.follower f on f.name = $1",
    )
    .bind(cursor)
    .fetch_one(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(Standing { cursor: Position(cursor), head: Position(head), now })
}

/// Where a projection is written: the live one, or one beside it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) cursor: &'a str,
    pub(crate) schema: &'a str,
    pub(crate) beside: bool,
}

/// Takes a page in and moves the cursor from `after` to its end; none if somebody else was faster or holds it.
/// Where the page fails, everything before the event that it fails on is kept, and the event is named.
pub(crate) async fn take(
    database: &Database,
    projection: &dyn Projection,
    place: Place<'_>,
    after: Position,
    page: &Page,
) -> Result<Option<Position>, FollowError> {
    let error = match take_whole(database, projection, place, after, &page.events, page.reached).await {
        Ok(taken) => return Ok(taken.then_some(page.reached)),
        Err(error) if error.is_outage() || error.is_busy() => return Err(error.into()),
        Err(error) => error,
    };
    let mut before = after;
    for event in &page.events {
        let only = std::slice::from_ref(event);
        match take_whole(database, projection, place, before, only, event.seq).await {
            Ok(true) => before = event.seq,
            Ok(false) => return Ok(None),
            Err(source) if source.is_outage() || source.is_busy() => return Err(source.into()),
            Err(source) => {
                return Err(FollowError::Event {
                    projection: projection.name(),
                    seq: event.seq,
                    event_id: event.event_id,
                    event_type: event.event_type.clone(),
                    source,
                });
            }
        }
    }
    // Each by itself went well: the page as a whole is what fails.
    Err(error.into())
}

async fn take_whole(
    database: &Database,
    projection: &dyn Projection,
    place: Place<'_>,
    after: Position,
    events: &[Envelope],
    reached: Position,
) -> Result<bool, StoreError> {
    let mut tx = database.begin(&Scope::Platform).await?;
    if !lock(&mut tx, place, after).await? {
        return Ok(false);
    }
    let opened = crate::privacy::opened(database, &mut tx, projection.opened_types(), events).await?;
    projection.apply_page(&mut tx, &opened).await?;
    sqlx::query("update es.follower set seq = $2, updated_at = now() where name = $1")
        .bind(place.cursor)
        .bind(reached.0)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(true)
}

/// Points the transaction at the place and locks its cursor; whether it may go on from `after`.
async fn lock(tx: &mut Tx, place: Place<'_>, after: Position) -> Result<bool, StoreError> {
    loop {
        // What is built beside the live one need not be safe page by page: rows and cursor are lost together, and the
        // switch is safe.
        let locked: Option<(i64, bool, String, Option<String>)> = sqlx::query_as(
            "select f.seq,
                    pg_try_advisory_xact_lock_shared(hashtextextended($1, $2)),
                    set_config('search_path', $3, true),
                    case when $4 then set_config('synchronous_commit', 'off', true) end
               from es.follower f
              where f.name = $1
                for update",
        )
        .bind(place.cursor)
        .bind(HOLD_SEED)
        .bind(place.schema)
        .bind(place.beside)
        .fetch_optional(&mut **tx)
        .await?;
        if let Some((seq, free, ..)) = locked {
            return Ok(free && seq == after.0);
        }
        sqlx::query("insert into es.follower (name) values ($1) on conflict do nothing")
            .bind(place.cursor)
            .execute(&mut **tx)
            .await?;
    }
}
