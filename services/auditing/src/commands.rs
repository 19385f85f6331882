//! The one use case: a page of the trail, in the scope of whoever asks.

use crate::{reading::Readings, trail};
use access::{Caller, Denied, Reach};
use actix_web::http::StatusCode;
use actix_web::web::ServiceConfig;
use contracts::Accepted;
use contracts::auditing::{AuditFilter, AuditPage, AuditRecord, AuditRecordRead, ReadAuditTrail};
use contracts::permissions::Permission;
use eventstore::{Privacy, StoreError, Target, Tx};
use foundation::{Foundation, accepted, store_failed};
use kernel::{Envelope, Position, Scope, StreamId, Tenant};
use uuid::Uuid;
use web::{ApiError, CommandContext};

/// Records in a page at the most: what a person reads at once.
const LIMIT_MAX: u32 = 100;
/// Event types in a filter at the most: more than exist.
const EVENT_TYPES_MAX: usize = 200;

/// The routes of the service's commands.
pub(crate) fn routes(foundation: &Foundation, routes: &mut ServiceConfig) {
    let commands = foundation.commands();
    routes.service(commands.route(foundation, read_audit_trail));
}

async fn read_audit_trail(
    foundation: Foundation,
    context: CommandContext,
    command: ReadAuditTrail,
) -> Result<Accepted<AuditPage>, ApiError> {
    let sight = Sight::of(&context.caller)?;
    let ReadAuditTrail { filter, before, limit } = command;
    check(&filter, limit)?;
    let page = read(&foundation, &sight, &filter, before, limit).await.map_err(store_failed)?;
    let fact = AuditRecordRead {
        user_id: context.caller.user_id,
        filter,
        returned: u32::try_from(page.records.len()).unwrap_or(u32::MAX),
    };
    let target = Target {
        scope: &sight.writes,
        tenant: sight.tenant,
        stream_id: StreamId::derived(
            sight.tenant.customer_id.map_or(sight.tenant.partner_id.0, |id| id.0),
            "readings",
        ),
        cause: &context.cause,
        occurred_at: None,
    };
    let committed =
        foundation.store.record::<Readings>(target, &[fact.into()]).await.map_err(store_failed)?;
    Ok(accepted(page, committed))
}

/// What a caller may see of the trail, and whose fact it is that they looked.
struct Sight {
    reads: Scope,
    writes: Scope,
    tenant: Tenant,
    /// Only these customers' records, where the caller's roles do not hold in the whole scope.
    customers: Option<Vec<Uuid>>,
}

impl Sight {
    fn of(caller: &Caller) -> Result<Self, Denied> {
        caller.require_anywhere(Permission::ReadAudit)?;
        let customers = match caller.reach(Permission::ReadAudit) {
            Reach::Everywhere => None,
            Reach::Customers(ids) => Some(ids.into_iter().map(|id| id.0).collect()),
        };
        Ok(match caller.scope {
            // The operator's own facts are those of the nil partner; the tenants' are none of the operator's business.
            Scope::Platform => Self {
                reads: Scope::Partner { partner_id: Tenant::PLATFORM.partner_id },
                writes: Scope::Platform,
                tenant: Tenant::PLATFORM,
                customers,
            },
            scope @ Scope::Partner { partner_id } => {
                Self { reads: scope, writes: scope, tenant: Tenant::partner(partner_id), customers }
            }
            scope @ Scope::Customer { partner_id, customer_id } => Self {
                reads: scope,
                writes: scope,
                tenant: Tenant::customer(partner_id, customer_id),
                customers,
            },
        })
    }
}

/// Refuses what cannot find anything, before the database has to.
fn check(filter: &AuditFilter, limit: u32) -> Result<(), ApiError> {
    if !(1..=LIMIT_MAX).contains(&limit) {
        let message = format!("limit must be 1 to {LIMIT_MAX}, and is {limit}");
        return Err(refused("auditing.limit_invalid", message));
    }
    let types = filter.event_types.len();
    if types > EVENT_TYPES_MAX {
        let message = format!("a filter takes at most {EVENT_TYPES_MAX} event types, and has {types}");
        return Err(refused("auditing.filter_invalid", message));
    }
    let texts = filter.event_types.iter().chain(&filter.subject_id).chain(&filter.actor_id);
    for text in texts {
        if trail::as_id(text).is_none() {
            let max = trail::ID_MAX;
            let message = format!(
                "event types and ids have 1 to {max} characters without control characters, and one has {}",
                text.chars().count()
            );
            return Err(refused("auditing.filter_invalid", message));
        }
    }
    Ok(())
}

fn refused(code: &'static str, message: String) -> ApiError {
    ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, code, message)
}

#[derive(sqlx::FromRow)]
struct RecordRow {
    seq: i64,
    envelope: Vec<u8>,
    leaf_hash: String,
}

async fn read(
    foundation: &Foundation,
    sight: &Sight,
    filter: &AuditFilter,
    before: Option<Position>,
    limit: u32,
) -> Result<AuditPage, StoreError> {
    let mut tx = foundation.database.begin(&sight.reads).await?;
    let as_of = reached(&mut tx).await?;
    // Nothing above the position that the answer names, although the follower may be further by now.
    let below = before.map_or(as_of.0.saturating_add(1), |before| before.0.min(as_of.0.saturating_add(1)));
    let rows: Vec<RecordRow> = sqlx::query_as(
        "select seq, envelope, encode(leaf, 'hex') as leaf_hash
           from auditing.record
          where seq < $1
            and (cardinality($2::text[]) = 0 or event_type = any($2))
            and ($3::text is null or subject_ids @> array[$3])
            and ($4::text is null or actor_id = $4)
            and ($5::uuid is null or correlation_id = $5)
            and ($6::uuid[] is null or customer_id = any($6))
          order by seq desc
          limit $7",
    )
    .bind(below)
    .bind(&filter.event_types)
    .bind(filter.subject_id.as_deref().and_then(trail::as_id))
    .bind(filter.actor_id.as_deref().and_then(trail::as_id))
    .bind(filter.correlation_id.map(|id| id.0))
    .bind(&sight.customers)
    .bind(i64::from(limit) + 1)
    .fetch_all(&mut *tx)
    .await?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let has_more = rows.len() > limit;
    let mut records = rows.into_iter().take(limit).map(record).collect::<Result<Vec<_>, _>>()?;
    // What the reader may read is opened here; the record, and the leaf that proves it, hold it sealed.
    let payloads = records.iter_mut().map(|record| &mut record.payload);
    Privacy::new(foundation.database.clone()).open(&mut tx, payloads).await?;
    tx.commit().await?;
    Ok(AuditPage { records, has_more, as_of })
}

/// How far the trail follows the log.
async fn reached(tx: &mut Tx) -> Result<Position, StoreError> {
    let seq: Option<i64> = sqlx::query_scalar("select seq from es.follower where name = $1")
        .bind(trail::NAME)
        .fetch_optional(&mut **tx)
        .await?;
    Ok(Position(seq.unwrap_or(0)))
}

fn record(row: RecordRow) -> Result<AuditRecord, StoreError> {
    let event: Envelope = serde_json::from_slice(&row.envelope).map_err(|error| StoreError::Corrupt {
        what: format!("auditing.record {} holds no event: {error}", row.seq),
    })?;
    Ok(AuditRecord {
        trace_id: event.traceparent.as_deref().and_then(trace_id),
        position: event.seq,
        event_id: event.event_id,
        event_type: event.event_type,
        partner_id: event.tenant.partner_id,
        customer_id: event.tenant.customer_id,
        occurred_at: event.occurred_at,
        recorded_at: event.recorded_at,
        actor: event.actor,
        correlation_id: event.correlation_id,
        payload: event.payload,
        leaf_hash: row.leaf_hash,
    })
}

/// The second field of `traceparent`: `00-<trace>-<span>-<flags>`.
fn trace_id(traceparent: &str) -> Option<String> {
    traceparent.split('-').nth(1).map(ToOwned::to_owned)
}
