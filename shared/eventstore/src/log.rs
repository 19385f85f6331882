//! Reads the one log by position. Crosses tenants: only for the backbone, the views and the auditors.

use crate::{Database, StoreError, append::Meta, database::scope_parameters};
use chrono::{DateTime, Utc};
use kernel::{CommandId, CustomerId, Envelope, EventId, PartnerId, Position, Scope, StreamId, Tenant};
use sqlx::{FromRow, Row, postgres::PgRow};
use std::time::Duration;
use uuid::Uuid;

/// Events in a page of a live follower at the most: a megabyte or so of small facts.
pub(crate) const PAGE_MAX: i64 = 500;
/// Events in any page at the most: what a rebuild takes at once, some ten megabytes.
pub const REBUILD_PAGE_MAX: i64 = 5_000;
/// Positions that one page looks at, at the most, in search of the types it is asked for: some ten milliseconds.
const WINDOW_MAX: i64 = 50_000;

/// The log of all tenants.
#[derive(Debug, Clone)]
pub struct Log {
    database: Database,
}

/// A piece of the log.
#[derive(Debug, Clone)]
pub struct Page {
    /// The events asked for, in their order.
    pub events: Vec<Envelope>,
    /// How far was looked: every event asked for up to here is in `events`, and the next page begins after it.
    pub reached: Position,
}

#[derive(sqlx::FromRow)]
pub(crate) struct EventRow {
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

/// An event's place in the order, and the event, unless its partition was taken away.
pub(crate) struct Placed {
    seq: i64,
    pos: i64,
    event: Option<EventRow>,
}

impl sqlx::FromRow<'_, PgRow> for Placed {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        let there: Option<Uuid> = row.try_get("event_id")?;
        Ok(Self {
            seq: row.try_get("seq")?,
            pos: row.try_get("arrived")?,
            event: there.map(|_| EventRow::from_row(row)).transpose()?,
        })
    }
}

impl Log {
    /// The log in `database`.
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    /// Up to `limit` events after `after`, in order and without holes.
    pub async fn page(&self, after: Position, limit: i64) -> Result<Vec<Envelope>, StoreError> {
        Ok(self.page_of(after, limit, &[]).await?.events)
    }

    /// The same, of these event types only (of all, where none is named), in one round trip. A page may hold few events,
    /// or none, and still have reached far.
    pub async fn page_of(&self, after: Position, limit: i64, types: &[&str]) -> Result<Page, StoreError> {
        let limit = limit.min(REBUILD_PAGE_MAX);
        let window = if types.is_empty() { limit } else { WINDOW_MAX };
        let (role, partner, customer) = scope_parameters(&Scope::Platform);
        let rows = sqlx::query(
            "select reached, seq, arrived, stream_id, stream, version, event_id, event_type, schema_version,
                    partner_id, customer_id, command_id, occurred_at, recorded_at, meta, payload
               from es.read_log($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(role)
        .bind(partner)
        .bind(customer)
        .bind(after.0)
        .bind(i32::try_from(limit).unwrap_or(i32::MAX))
        .bind((!types.is_empty()).then_some(types))
        .bind(window)
        .fetch_all(self.database.pool())
        .await?;
        let Some(first) = rows.first() else {
            return Err(StoreError::Corrupt { what: "es.read_log answered nothing".to_owned() });
        };
        let reached = Position(first.try_get("reached")?);
        // A page without events still says how far it looked.
        if first.try_get::<Option<i64>, _>("seq")?.is_none() {
            return Ok(Page { events: Vec::new(), reached });
        }
        let placed = rows.iter().map(Placed::from_row).collect::<Result<Vec<_>, _>>()?;
        Ok(Page { events: envelopes(&self.database, placed).await?, reached })
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

/// Opens the rows; an event that is not there ends it with the reason.
pub(crate) async fn envelopes(database: &Database, placed: Vec<Placed>) -> Result<Vec<Envelope>, StoreError> {
    let mut events = Vec::with_capacity(placed.len());
    for place in placed {
        match place.event {
            Some(row) => events.push(envelope(row)?),
            None => return Err(missing(database, place.seq, place.pos).await),
        }
    }
    Ok(events)
}

/// Why the event at `seq`, which arrived at `pos`, is not in the table.
async fn missing(database: &Database, seq: i64, pos: i64) -> StoreError {
    match archived(database, pos).await {
        Ok(Some((part, file))) => StoreError::Archived { seq: Position(seq), part, file },
        Ok(None) => {
            StoreError::Corrupt { what: format!("the event at position {seq} (arrived at {pos}) is missing") }
        }
        Err(error) => error,
    }
}

/// The partition that was taken away with the event that arrived at `pos`, and its file.
async fn archived(database: &Database, pos: i64) -> Result<Option<(String, String)>, StoreError> {
    let mut tx = database.begin(&Scope::Platform).await?;
    let found = sqlx::query_as(
        "select part, file from es.archive
          where detached_at is not null and from_pos <= $1 and until_pos > $1",
    )
    .bind(pos)
    .fetch_optional(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(found)
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
