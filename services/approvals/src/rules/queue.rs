//! Which pending patches the rules look at again: now, because something changed, or when a delay ends.

use super::{ALL_CUSTOMERS, judging::Trigger};
use chrono::{DateTime, Utc};
use eventstore::{StoreError, Tx};
use kernel::{CorrelationId, CustomerId, EventId, PartnerId, PatchId, Tenant};
use uuid::Uuid;

/// What a change concerns.
pub(crate) enum Affected<'a> {
    /// Everything that is pending at the customer, or at all of the partner's.
    Tenant(Tenant),
    /// The patch, wherever it is pending.
    Patch(PatchId),
    /// The patch, at the customer or at all of the partner's.
    PatchAt(PatchId, Tenant),
    /// Whatever closes the vulnerability.
    Vulnerability(&'a str),
}

/// Lets rules look again at what is pending, in batches, as soon as the timer comes. Where no rule works, nobody looks.
pub(crate) async fn look_again(
    tx: &mut Tx,
    affected: Affected<'_>,
    trigger: &Trigger,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    let (tenant, patch_id, cve) = match affected {
        Affected::Tenant(tenant) => (Some(tenant), None, None),
        Affected::Patch(patch_id) => (None, Some(patch_id), None),
        Affected::PatchAt(patch_id, tenant) => (Some(tenant), Some(patch_id), None),
        Affected::Vulnerability(cve) => (None, None, Some(cve)),
    };
    sqlx::query(
        "insert into approvals.rule_due as d (customer_id, patch_id, partner_id, due_at, event_id, correlation_id,
                                              traceparent)
         select a.customer_id, a.patch_id, a.partner_id, $1, $2, $3, $4
           from approvals.approval a
          where a.pending
            and ($5::uuid is null or a.partner_id = $5)
            and ($6::uuid is null or a.customer_id = $6)
            and ($7::uuid is null or a.patch_id = $7)
            and ($8::text is null
                 or a.patch_id in (select c.patch_id from approvals.patch_cve c where c.cve = $8))
            and exists (select from approvals.rule r
                         where r.partner_id = a.partner_id
                           and r.customer_id = any (array[a.customer_id, $9])
                           and r.enabled)
         on conflict (customer_id, patch_id) do update
            set due_at = least(d.due_at, excluded.due_at),
                event_id = excluded.event_id,
                correlation_id = excluded.correlation_id,
                traceparent = excluded.traceparent",
    )
    .bind(at)
    .bind(trigger.event_id.0)
    .bind(trigger.correlation_id.0)
    .bind(&trigger.traceparent)
    .bind(tenant.map(|tenant| tenant.partner_id.0))
    .bind(tenant.and_then(|tenant| tenant.customer_id).map(|id| id.0))
    .bind(patch_id.map(|id| id.0))
    .bind(cve)
    .bind(ALL_CUSTOMERS.0)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Notes when rules look at the patch again, or that they need not.
pub(super) async fn plan(
    tx: &mut Tx,
    tenant: Tenant,
    patch_id: PatchId,
    next: Option<DateTime<Utc>>,
    trigger: &Trigger,
) -> Result<(), StoreError> {
    let Some(customer_id) = tenant.customer_id else { return Ok(()) };
    let Some(next) = next else {
        sqlx::query("delete from approvals.rule_due where customer_id = $1 and patch_id = $2")
            .bind(customer_id.0)
            .bind(patch_id.0)
            .execute(&mut **tx)
            .await?;
        return Ok(());
    };
    sqlx::query(
        "insert into approvals.rule_due (customer_id, patch_id, partner_id, due_at, event_id, correlation_id,
                                         traceparent)
         values ($1, $2, $3, $4, $5, $6, $7)
         on conflict (customer_id, patch_id) do update
            set due_at = excluded.due_at,
                event_id = excluded.event_id,
                correlation_id = excluded.correlation_id,
                traceparent = excluded.traceparent",
    )
    .bind(customer_id.0)
    .bind(patch_id.0)
    .bind(tenant.partner_id.0)
    .bind(next)
    .bind(trigger.event_id.0)
    .bind(trigger.correlation_id.0)
    .bind(&trigger.traceparent)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// A patch that is due.
pub(super) struct Due {
    pub(super) patch_id: PatchId,
    pub(super) trigger: Trigger,
}

#[derive(sqlx::FromRow)]
struct DueRow {
    patch_id: Uuid,
    due_at: DateTime<Utc>,
    event_id: Uuid,
    correlation_id: Uuid,
    traceparent: Option<String>,
}

/// Customers where something is due.
pub(super) async fn due_customers(
    tx: &mut Tx,
    now: DateTime<Utc>,
    without: &[CustomerId],
    limit: i64,
) -> Result<Vec<Tenant>, StoreError> {
    let without: Vec<Uuid> = without.iter().map(|id| id.0).collect();
    let rows: Vec<(Uuid, Uuid)> = sqlx::query_as(
        "select partner_id, customer_id
           from approvals.rule_due
          where due_at <= $1 and customer_id <> all ($2)
          group by partner_id, customer_id
          order by min(due_at), customer_id
          limit $3",
    )
    .bind(now)
    .bind(without)
    .bind(limit)
    .fetch_all(&mut **tx)
    .await?;
    let tenant = |(partner, customer)| Tenant::customer(PartnerId(partner), CustomerId(customer));
    Ok(rows.into_iter().map(tenant).collect())
}

/// What is due at the customer. No other process takes the same.
pub(super) async fn take_due(
    tx: &mut Tx,
    customer_id: CustomerId,
    now: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<Due>, StoreError> {
    let rows: Vec<DueRow> = sqlx::query_as(
        "select patch_id, due_at, event_id, correlation_id, traceparent
           from approvals.rule_due
          where customer_id = $1 and due_at <= $2
          order by due_at, patch_id
          limit $3
            for update skip locked",
    )
    .bind(customer_id.0)
    .bind(now)
    .bind(limit)
    .fetch_all(&mut **tx)
    .await?;
    let due = rows.into_iter().map(|row| Due {
        patch_id: PatchId(row.patch_id),
        trigger: Trigger {
            event_id: EventId(row.event_id),
            correlation_id: CorrelationId(row.correlation_id),
            traceparent: row.traceparent,
            // The same event lets rules look more than once: at once, and whenever a delay ends.
            occasion: format!("due {}", row.due_at.timestamp_micros()),
        },
    });
    Ok(due.collect())
}
