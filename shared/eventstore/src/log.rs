//! Reads the one log by position. Crosses tenants: only for the backbone, the views and the auditors.

use crate::{Database, StoreError, append::Meta};
use chrono::{DateTime, Utc};
use kernel::{CommandId, CustomerId, Envelope, EventId, PartnerId, Position, Scope, StreamId, Tenant};
use std::time::Duration;
use uuid::Uuid;

/// Events in a page at the most: a megabyte or so of small facts.
pub(crate) const PAGE_MAX: i64 = 500;

/// The log of all tenants.
#[derive(Debug, Clone)]
pub struct Log {
    database: Database,
}

#[derive(sqlx::FromRow)]
struct EventRow {
    seq: i64,
    stream_id: Uuid,
    stream: String,
    version: i64,
    event_id: Uuid,
    event_type: String,
    schema_version: i16,
    partner_id: Uuid,
    customer_id: Option<Uuid>,
    command_id: Uuid,
    occurred_at: DateTime<Utc>,
    recorded_at: DateTime<Utc>,
    meta: Vec<u8>,
    payload: Vec<u8>,
}

impl Log {
    /// The log in `database`.
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    /// Up to `limit` events after `after`, in order and without holes.
    pub async fn page(&self, after: Position, limit: i64) -> Result<Vec<Envelope>, StoreError> {
        let mut tx = self.database.begin(&Scope::Platform).await?;
        let places: Vec<(i64, i64, i64)> = sqlx::query_as(
            "select seq, xid::text::bigint, pos from es.order_log where seq > $1 order by seq limit $2",
        )
        .bind(after.0)
        .bind(limit.min(PAGE_MAX))
        .fetch_all(&mut *tx)
        .await?;
        if places.is_empty() {
            return Ok(Vec::new());
        }
        let seqs: Vec<i64> = places.iter().map(|place| place.0).collect();
        let xids: Vec<i64> = places.iter().map(|place| place.1).collect();
        let positions: Vec<i64> = places.iter().map(|place| place.2).collect();
        let bounds = (positions.iter().min().copied(), positions.iter().max().copied());
        // By (xid, pos), the only index that leads to an event's place; the bounds leave out the other partitions.
        let rows: Vec<EventRow> = sqlx::query_as(
            "select o.seq, e.stream_id, e.stream, e.version, e.event_id, e.event_type, e.schema_version,
                    e.partner_id, e.customer_id, e.command_id, e.occurred_at, e.recorded_at, e.meta, e.payload
               from unnest($1::bigint[], $2::bigint[], $3::bigint[]) as o (seq, xid, pos)
               join es.event e on e.xid = o.xid::text::xid8 and e.pos = o.pos and e.pos between $4 and $5
              order by o.seq",
        )
        .bind(&seqs)
        .bind(&xids)
        .bind(&positions)
        .bind(bounds.0)
        .bind(bounds.1)
        .fetch_all(&mut *tx)
        .await?;
        tx.commit().await?;
        if rows.len() != seqs.len() {
            return Err(StoreError::Corrupt { what: format!("events are missing after position {after}") });
        }
        rows.into_iter().map(envelope).collect()
    }

    /// The last position that the sequencer has given.
    pub async fn head(&self) -> Result<Position, StoreError> {
        let mut tx = self.database.begin(&Scope::Platform).await?;
        let seq: i64 = sqlx::query_scalar("select seq from es.sequencer").fetch_one(&mut *tx).await?;
        tx.commit().await?;
        Ok(Position(seq))
    }

    /// The position of the event that arrived at `pos`, as soon as the sequencer has given it; none after `timeout`.
    pub async fn position_of(&self, pos: i64, timeout: Duration) -> Result<Option<Position>, StoreError> {
        let deadline = tokio::time::Instant::now() + timeout;
        let mut pause = Duration::from_millis(2);
        loop {
            let mut tx = self.database.begin(&Scope::Platform).await?;
            let seq: Option<i64> = sqlx::query_scalar("select seq from es.order_log where pos = $1")
                .bind(pos)
                .fetch_optional(&mut *tx)
                .await?;
            tx.commit().await?;
            if let Some(seq) = seq {
                return Ok(Some(Position(seq)));
            }
            if tokio::time::Instant::now() + pause > deadline {
                return Ok(None);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(50));
        }
    }
}

fn envelope(row: EventRow) -> Result<Envelope, StoreError> {
    let corrupt = |what: &str, error: serde_json::Error| StoreError::Corrupt {
        what: format!("the {what} of event {} is not what it should be: {error}", row.event_id),
    };
    let meta: Meta = serde_json::from_slice(&row.meta).map_err(|error| corrupt("meta", error))?;
    let payload = serde_json::from_slice(&row.payload).map_err(|error| corrupt("payload", error))?;
    Ok(Envelope {
        seq: Position(row.seq),
        event_id: EventId(row.event_id),
        stream_id: StreamId(row.stream_id),
        stream: row.stream,
        version: row.version,
        event_type: row.event_type,
        schema_version: row.schema_version,
        tenant: Tenant {
            partner_id: PartnerId(row.partner_id),
            customer_id: row.customer_id.map(CustomerId),
        },
        occurred_at: row.occurred_at,
        recorded_at: row.recorded_at,
        actor: meta.actor,
        command_id: CommandId(row.command_id),
        correlation_id: meta.correlation_id,
        causation_id: meta.causation_id,
        traceparent: meta.traceparent,
        payload,
    })
}

/// Reads an envelope from the bytes of a message.
pub fn read_envelope(bytes: &[u8]) -> Result<Envelope, StoreError> {
    serde_json::from_slice(bytes)
        .map_err(|error| StoreError::Corrupt { what: format!("a message is not an event: {error}") })
}
