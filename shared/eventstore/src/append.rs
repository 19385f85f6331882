//! One statement that appends a batch to one stream: at the version that was read, or at whatever version it is.

use crate::{
    Committed, PrivacyError, StoreError,
    database::{per_role, scope_parameters},
    privacy::ClearPayload,
};
use chrono::{DateTime, Utc};
use kernel::{Cause, EventData, Scope, StreamId, Tenant, canonical_json};
use sqlx::PgExecutor;
use uuid::Uuid;

/// Events of one command on one stream at the most: a batch beyond it is a sign of an aggregate that is too large.
pub(crate) const BATCH_MAX: usize = 1_000;

/// An event before the store has taken it.
#[derive(Debug, Clone)]
pub struct NewEvent {
    pub(crate) event_type: &'static str,
    pub(crate) schema_version: i16,
    pub(crate) payload: Vec<u8>,
    /// What must be sealed before there are bytes.
    pub(crate) clear: Option<ClearPayload>,
}

impl NewEvent {
    /// Takes down a fact in its canonical bytes, which a fact with personal texts gets when it is sealed.
    pub fn of<E: EventData>(event: &E) -> Self {
        let (event_type, schema_version) = (event.event_type(), event.schema_version());
        let (payload, clear) = match ClearPayload::of(event.payload()) {
            Ok(clear) => (Vec::new(), Some(clear)),
            Err(payload) => (canonical_json(&payload), None),
        };
        Self { event_type, schema_version, payload, clear }
    }

    /// Whether it holds personal texts that nobody has sealed yet.
    pub(crate) fn is_clear(&self) -> bool {
        self.clear.is_some()
    }
}

/// Where a batch goes.
pub(crate) struct Batch<'a> {
    pub(crate) stream_id: StreamId,
    pub(crate) stream: &'static str,
    /// The version that was read; none to append at whatever version it is, once for the command.
    pub(crate) expected: Option<i64>,
    pub(crate) tenant: Tenant,
    pub(crate) cause: &'a Cause,
    pub(crate) occurred_at: Option<DateTime<Utc>>,
    pub(crate) events: &'a [NewEvent],
}

/// What became of a batch.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Appended {
    Written {
        version: i64,
        pos: i64,
    },
    /// The same command was there before; this is what it wrote then.
    Repeated {
        version: i64,
        pos: i64,
    },
    /// Another writer came first: the stream is at `found`.
    Conflict {
        found: i64,
    },
    /// The transaction is older than the stream's last writer.
    Order,
    Foreign,
    /// The stream is expected to be there, and is not.
    Missing,
}

#[derive(sqlx::FromRow)]
struct AppendedRow {
    status: String,
    version: Option<i64>,
    pos: Option<i64>,
}

/// Appends; `begin` says that the statement is a transaction of its own, which has no scope yet.
pub(crate) async fn append(
    executor: impl PgExecutor<'_>,
    scope: &Scope,
    begin: bool,
    batch: &Batch<'_>,
) -> Result<Appended, StoreError> {
    if batch.events.len() > BATCH_MAX {
        return Err(StoreError::Corrupt { what: format!("{} events in one batch", batch.events.len()) });
    }
    if let Some(clear) = batch.events.iter().find(|event| event.is_clear()) {
        return Err(PrivacyError::NotSealed { event_type: clear.event_type }.into());
    }
    let (_, scope_partner, scope_customer) = scope_parameters(scope);
    let ids: Vec<Uuid> = batch.events.iter().map(|_| new_event_id()).collect();
    let types: Vec<&str> = batch.events.iter().map(|event| event.event_type).collect();
    let schemas: Vec<i16> = batch.events.iter().map(|event| event.schema_version).collect();
    let payloads: Vec<&[u8]> = batch.events.iter().map(|event| event.payload.as_slice()).collect();
    let statement = match batch.expected {
        Some(_) => per_role!(
            scope,
            "select status, version, pos from es.append_",
            "($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)"
        ),
        None => per_role!(
            scope,
            "select status, version, pos from es.append_blind_",
            "($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)"
        ),
    };
    let mut query = sqlx::query_as(statement)
        .bind(begin)
        .bind(scope_partner)
        .bind(scope_customer)
        .bind(batch.stream_id.0)
        .bind(batch.stream);
    if let Some(expected) = batch.expected {
        query = query.bind(expected);
    }
    let row: AppendedRow = query
        .bind(batch.tenant.partner_id.0)
        .bind(batch.tenant.customer_id.map(|id| id.0))
        .bind(batch.cause.command_id.0)
        .bind(batch.cause.correlation_id.0)
        .bind(batch.occurred_at)
        .bind(meta(batch.cause))
        .bind(ids)
        .bind(types)
        .bind(schemas)
        .bind(payloads)
        .fetch_one(executor)
        .await?;
    let appended = Appended::read(&row.status, row.version, row.pos)?;
    // Inside a longer transaction there is nothing to see yet.
    if begin && matches!(appended, Appended::Written { .. }) {
        crate::sequencer::poke();
    }
    Ok(appended)
}

impl Appended {
    /// Reads an answer of `es.append` and its like.
    pub(crate) fn read(status: &str, version: Option<i64>, pos: Option<i64>) -> Result<Self, StoreError> {
        match (status, version, pos) {
            ("ok", Some(version), Some(pos)) => Ok(Self::Written { version, pos }),
            ("repeated", Some(version), Some(pos)) => Ok(Self::Repeated { version, pos }),
            ("conflict", Some(found), None) => Ok(Self::Conflict { found }),
            ("order", ..) => Ok(Self::Order),
            ("foreign", ..) => Ok(Self::Foreign),
            ("missing", ..) => Ok(Self::Missing),
            _ => Err(StoreError::Corrupt { what: format!("an append was answered with {status:?}") }),
        }
    }

    /// What was written, now or before; none when others were in the way for a moment.
    pub(crate) fn settle(self, stream_id: StreamId) -> Result<Option<Committed>, StoreError> {
        let conflict = |kind: &'static str| {
            metrics::counter!("eventstore_append_conflicts_total", "kind" => kind).increment(1);
        };
        match self {
            Self::Written { version, pos } => {
                Ok(Some(Committed { version, pos: Some(pos), repeated: false }))
            }
            Self::Repeated { version, pos } => {
                Ok(Some(Committed { version, pos: Some(pos), repeated: true }))
            }
            Self::Conflict { found } => {
                tracing::debug!(stream.id = %stream_id, stream.version = found, "another writer came first");
                conflict("version");
                Ok(None)
            }
            Self::Order => {
                conflict("order");
                Ok(None)
            }
            Self::Foreign => Err(StoreError::Foreign { stream_id }),
            Self::Missing => Err(StoreError::Corrupt {
                what: format!("stream {stream_id} is expected and does not exist"),
            }),
        }
    }
}

/// The part of the envelope that is about the cause.
#[derive(serde::Serialize, serde::Deserialize)]
pub(crate) struct Meta {
    pub(crate) actor: kernel::Actor,
    pub(crate) correlation_id: kernel::CorrelationId,
    pub(crate) causation_id: Option<kernel::EventId>,
    pub(crate) traceparent: Option<String>,
}

pub(crate) fn meta(cause: &Cause) -> Vec<u8> {
    canonical_json(&serde_json::json!({
        "actor": cause.actor,
        "correlation_id": cause.correlation_id,
        "causation_id": cause.causation_id,
        "traceparent": cause.traceparent,
    }))
}

#[expect(clippy::disallowed_methods, reason = "event ids are the store's own and carry no meaning for rules")]
pub(crate) fn new_event_id() -> Uuid {
    Uuid::now_v7()
}
