//! Looks into the log in one tenant's scope: by position, stream, category, type, time and correlation.

mod stats;

pub use stats::{Fence, Follower, LogStats, Machinery};

use crate::{
    Database, StoreError,
    log::{Placed, REBUILD_PAGE_MAX, envelopes},
};
use chrono::{DateTime, Utc};
use kernel::{CorrelationId, Envelope, Position, Scope, StreamId};
use sqlx::{Postgres, QueryBuilder};

/// Which events to read; what is left out does not limit. Any combination is possible.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    /// Only after this position. The next page of [`Order::OldestFirst`] begins after the last event of this one.
    pub after: Position,
    /// Only before this position. The next page of [`Order::NewestFirst`] ends before the last event of this one.
    pub before: Option<Position>,
    /// Only this stream; its order is that of its versions.
    pub stream_id: Option<StreamId>,
    /// Only streams of this kind, for example `approvals.approval`.
    pub stream: Option<String>,
    /// Only events of this type, for example `approvals.PatchApproved`.
    pub event_type: Option<String>,
    /// Only what follows from this request.
    pub correlation_id: Option<CorrelationId>,
    /// Only what the store took at this time or later.
    pub recorded_from: Option<DateTime<Utc>>,
    /// Only what the store took before this time.
    pub recorded_before: Option<DateTime<Utc>>,
}

/// In which direction to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// As it happened.
    #[default]
    OldestFirst,
    /// The latest first.
    NewestFirst,
}

/// Reads the log.
#[derive(Debug, Clone)]
pub struct Reader {
    database: Database,
}

/// Positions between two bounds, both excluded.
struct Bounds {
    after: i64,
    before: i64,
}

impl Reader {
    /// A reader of the log in `database`.
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    /// Up to `limit` events of `scope` that `filter` lets through.
    pub async fn events(
        &self,
        scope: &Scope,
        filter: &EventFilter,
        order: Order,
        limit: i64,
    ) -> Result<Vec<Envelope>, StoreError> {
        let mut tx = self.database.begin(scope).await?;
        let Some(bounds) = bounds(&mut tx, filter).await? else { return Ok(Vec::new()) };
        let limit = limit.clamp(0, REBUILD_PAGE_MAX);
        let mut query = match filter.stream_id {
            Some(stream_id) => {
                refuse_incomplete(&mut tx, stream_id, &bounds).await?;
                let version = version_at(&mut tx, stream_id, bounds.after).await?;
                of_stream(stream_id, version, filter, &bounds, order, limit)
            }
            None => of_log(filter, &bounds, order, limit),
        };
        // Planned each time: the values decide which index is the right one.
        let placed: Vec<Placed> = query.build_query_as().persistent(false).fetch_all(&mut *tx).await?;
        tx.commit().await?;
        envelopes(&self.database, placed).await
    }
}

/// The positions that the filter leaves; none where it leaves none. A range of time is turned into positions by the
/// minutes, so that no index on the time is needed; the exact times are compared row by row.
async fn bounds(tx: &mut crate::Tx, filter: &EventFilter) -> Result<Option<Bounds>, StoreError> {
    let mut bounds =
        Bounds { after: filter.after.0, before: filter.before.map_or(i64::MAX, |before| before.0) };
    if filter.recorded_from.is_some() || filter.recorded_before.is_some() {
        let (first, last): (Option<i64>, Option<i64>) = sqlx::query_as(
            "select min(m.first_seq), max(m.last_seq)
               from es.order_minute m
              where ($1::timestamptz is null or m.minute >= date_trunc('minute', $1, 'UTC'))
                and ($2::timestamptz is null or m.minute < $2)",
        )
        .persistent(false)
        .bind(filter.recorded_from)
        .bind(filter.recorded_before)
        .fetch_one(&mut **tx)
        .await?;
        let (Some(first), Some(last)) = (first, last) else { return Ok(None) };
        bounds.after = bounds.after.max(first - 1);
        bounds.before = bounds.before.min(last.saturating_add(1));
    }
    Ok((bounds.after.saturating_add(1) < bounds.before).then_some(bounds))
}

/// The version that the stream had at a position that is one of its own; 0 elsewhere. A stream is paged by its versions,
/// so that a long one is not read from its beginning again for every page.
async fn version_at(tx: &mut crate::Tx, stream_id: StreamId, after: i64) -> Result<i64, StoreError> {
    let version: Option<i64> = sqlx::query_scalar(
        "select e.version
           from es.order_log o, lateral (
             select e.version from es.event e where e.xid = o.xid and e.pos = o.pos and e.stream_id = $2 limit 1
           ) e
          where o.seq = $1",
    )
    .persistent(false)
    .bind(after)
    .bind(stream_id.0)
    .fetch_optional(&mut **tx)
    .await?;
    Ok(version.unwrap_or(0))
}

/// A stream is read by its events, and would not miss those that were taken away.
async fn refuse_incomplete(
    tx: &mut crate::Tx,
    stream_id: StreamId,
    bounds: &Bounds,
) -> Result<(), StoreError> {
    let away: Option<(String, String, i64)> = sqlx::query_as(
        "select a.part, a.file, a.first_seq
           from es.archive a
          where a.detached_at is not null and a.last_seq > $2 and a.first_seq < $3
            and (select count(*) from es.event e where e.stream_id = $1)
                is distinct from (select s.version from es.stream s where s.stream_id = $1)
          order by a.from_pos
          limit 1",
    )
    .persistent(false)
    .bind(stream_id.0)
    .bind(bounds.after)
    .bind(bounds.before)
    .fetch_optional(&mut **tx)
    .await?;
    match away {
        None => Ok(()),
        Some((part, file, first)) => Err(StoreError::Archived { seq: Position(first), part, file }),
    }
}

const EVENT: &str =
    "e.stream_id, e.stream, e.version, e.event_id, e.event_type, e.schema_version, e.partner_id,
                     e.customer_id, e.command_id, e.occurred_at, e.recorded_at, e.meta, e.payload";

/// A stream by its own index, in the order of its versions, which is that of its positions.
fn of_stream(
    stream_id: StreamId,
    version: i64,
    filter: &EventFilter,
    bounds: &Bounds,
    order: Order,
    limit: i64,
) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::new("select o.seq, o.pos as arrived, ");
    query.push(EVENT).push(" from es.event e join es.order_log o on o.pos = e.pos where e.stream_id = ");
    query.push_bind(stream_id.0).push(" and e.version > ").push_bind(version);
    push_filter(&mut query, filter, bounds);
    query.push(match order {
        Order::OldestFirst => " order by e.version limit ",
        Order::NewestFirst => " order by e.version desc limit ",
    });
    query.push_bind(limit);
    query
}

/// The order first, by the index that fits, then each event by its place.
fn of_log(filter: &EventFilter, bounds: &Bounds, order: Order, limit: i64) -> QueryBuilder<Postgres> {
    let direction = match order {
        Order::OldestFirst => "o.seq",
        Order::NewestFirst => "o.seq desc",
    };
    let mut query = QueryBuilder::new("select o.seq, o.pos as arrived, ");
    query.push(EVENT).push(" from (select o.seq, o.xid, o.pos from es.order_log o where true");
    push_filter(&mut query, filter, bounds);
    query.push(" order by ").push(direction).push(" limit ").push_bind(limit);
    query.push(
        ") o left join lateral (select * from es.event e where e.xid = o.xid and e.pos = o.pos limit 1) e on true
           order by ",
    );
    query.push(direction);
    query
}

fn push_filter(query: &mut QueryBuilder<Postgres>, filter: &EventFilter, bounds: &Bounds) {
    query.push(" and o.seq > ").push_bind(bounds.after);
    query.push(" and o.seq < ").push_bind(bounds.before);
    if let Some(stream) = &filter.stream {
        query.push(" and o.stream = ").push_bind(stream.clone());
    }
    if let Some(event_type) = &filter.event_type {
        query.push(" and o.event_type = ").push_bind(event_type.clone());
    }
    if let Some(correlation_id) = filter.correlation_id {
        query.push(" and o.correlation_id = ").push_bind(correlation_id.0);
    }
    if let Some(from) = filter.recorded_from {
        query.push(" and o.recorded_at >= ").push_bind(from);
    }
    if let Some(before) = filter.recorded_before {
        query.push(" and o.recorded_at < ").push_bind(before);
    }
}
