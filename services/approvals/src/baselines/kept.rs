//! What the use cases of baselines know of the world: tables, read and written in the caller's transaction.

use approvals_domain::baseline::State;
use contracts::approvals::{ApprovalLevel, ApprovalScope};
use eventstore::{StoreError, Tx};
use kernel::{BaselineId, CustomerId, PartnerId, PatchId, Tenant};
use uuid::Uuid;

/// A baseline as it is kept.
pub(super) struct Kept {
    pub(super) owner: Tenant,
    pub(super) retired: bool,
}

/// What a scope is the scope of: a partner's, customer's, group's or device's id.
pub(super) fn target_of(scope: ApprovalScope) -> Uuid {
    match scope {
        ApprovalScope::Partner { partner_id } => partner_id.0,
        ApprovalScope::Customer { customer_id } => customer_id.0,
        ApprovalScope::Group { group_id, .. } => group_id.0,
        ApprovalScope::Device { device_id, .. } => device_id.0,
    }
}

fn level(scope: ApprovalScope) -> &'static str {
    match scope.level() {
        ApprovalLevel::Partner => "PARTNER",
        ApprovalLevel::Customer => "CUSTOMER",
        ApprovalLevel::Group => "GROUP",
        ApprovalLevel::Device => "DEVICE",
    }
}

fn tenant((partner, customer): (Uuid, Option<Uuid>)) -> Tenant {
    Tenant { partner_id: PartnerId(partner), customer_id: customer.map(CustomerId) }
}

/// The customer with its partner, if the transaction's scope sees it.
pub(super) async fn tenant_of_customer(
    tx: &mut Tx,
    customer_id: CustomerId,
) -> Result<Option<Tenant>, StoreError> {
    crate::facts::tenant_of_customer(tx, customer_id).await
}

/// Whose devices are in a scope, if it exists in the transaction's scope.
pub(super) async fn tenant_of_scope(tx: &mut Tx, scope: ApprovalScope) -> Result<Option<Tenant>, StoreError> {
    let (statement, customer_id) = match scope {
        ApprovalScope::Partner { partner_id } => return Ok(Some(Tenant::partner(partner_id))),
        ApprovalScope::Customer { customer_id } => return tenant_of_customer(tx, customer_id).await,
        ApprovalScope::Group { customer_id, .. } => (
            "select partner_id, customer_id
               from approvals.compliance_group
              where group_id = $1 and customer_id = $2",
            customer_id,
        ),
        ApprovalScope::Device { customer_id, .. } => (
            "select partner_id, customer_id
               from approvals.compliance_device
              where device_id = $1 and customer_id = $2",
            customer_id,
        ),
    };
    let row: Option<(Uuid, Option<Uuid>)> = sqlx::query_as(statement)
        .bind(target_of(scope))
        .bind(customer_id.0)
        .fetch_optional(&mut **tx)
        .await?;
    Ok(row.map(tenant))
}

/// The baseline, if the transaction's scope sees it.
pub(super) async fn baseline(tx: &mut Tx, baseline_id: BaselineId) -> Result<Option<Kept>, StoreError> {
    let row: Option<(Uuid, Option<Uuid>, bool)> = sqlx::query_as(
        "select partner_id, customer_id, retired from approvals.baseline where baseline_id = $1",
    )
    .bind(baseline_id.0)
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(|(partner, customer, retired)| Kept { owner: tenant((partner, customer)), retired }))
}

/// Notes a baseline as it is now.
pub(super) async fn keep_baseline(
    tx: &mut Tx,
    owner: Tenant,
    baseline_id: BaselineId,
    state: &State,
) -> Result<(), StoreError> {
    let (version, content) = match state {
        State::Unknown => return Ok(()),
        State::Retired { .. } => {
            sqlx::query("update approvals.baseline set retired = true where baseline_id = $1")
                .bind(baseline_id.0)
                .execute(&mut **tx)
                .await?;
            return Ok(());
        }
        State::Known { version, content } => (*version, content),
    };
    let content = serde_json::to_value(content)
        .map_err(|error| StoreError::Corrupt { what: format!("a baseline cannot be written: {error}") })?;
    sqlx::query(
        "insert into approvals.baseline (baseline_id, partner_id, customer_id, baseline_version, content, retired)
         values ($1, $2, $3, $4, $5, false)
         on conflict (baseline_id) do update
            set baseline_version = excluded.baseline_version,
                content = excluded.content",
    )
    .bind(baseline_id.0)
    .bind(owner.partner_id.0)
    .bind(owner.customer_id.map(|id| id.0))
    .bind(i32::try_from(version).unwrap_or(i32::MAX))
    .bind(content)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Notes or forgets where a baseline holds.
pub(super) async fn keep_assignment(
    tx: &mut Tx,
    tenant: Tenant,
    baseline_id: BaselineId,
    scope: ApprovalScope,
    assigned: bool,
) -> Result<(), StoreError> {
    let statement = if assigned {
        "insert into approvals.baseline_assignment (target_id, baseline_id, level, partner_id, customer_id)
         values ($1, $2, $3, $4, $5)
         on conflict do nothing"
    } else {
        "delete from approvals.baseline_assignment
          where target_id = $1 and baseline_id = $2 and level = $3 and partner_id = $4
            and customer_id is not distinct from $5"
    };
    sqlx::query(statement)
        .bind(target_of(scope))
        .bind(baseline_id.0)
        .bind(level(scope))
        .bind(tenant.partner_id.0)
        .bind(tenant.customer_id.map(|id| id.0))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// The first of these patches that is not in the catalogue.
pub(super) async fn unknown_patch(tx: &mut Tx, named: &[&PatchId]) -> Result<Option<PatchId>, StoreError> {
    if named.is_empty() {
        return Ok(None);
    }
    let unknown: Option<Uuid> = sqlx::query_scalar(
        "select n.patch_id
           from unnest($1::uuid[]) as n (patch_id)
          where not exists (select from approvals.patch p where p.patch_id = n.patch_id)
          limit 1",
    )
    .bind(named.iter().map(|patch_id| patch_id.0).collect::<Vec<_>>())
    .fetch_optional(&mut **tx)
    .await?;
    Ok(unknown.map(PatchId))
}
