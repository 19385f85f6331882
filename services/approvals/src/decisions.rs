//! What the service knows of the places that decisions are for, and which decisions stand.

use crate::facts::{text, word};
use chrono::{DateTime, Utc};
use contracts::DevicePlatform;
use contracts::approvals::{ApprovalEvent, ApprovalLevel, ApprovalScope};
use contracts::devices::{AgentEnrolled, GroupEvent};
use eventstore::{StoreError, Tx};
use kernel::{CustomerId, DeviceGroupId, DeviceId, PartnerId, PatchId, Scope, StreamId, Tenant};
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// The stream of a patch's approval in a scope.
pub(crate) fn decision_stream(patch_id: PatchId, scope: ApprovalScope) -> StreamId {
    let name = match scope {
        ApprovalScope::Partner { partner_id } => format!("approval/partner/{partner_id}"),
        ApprovalScope::Customer { customer_id } => format!("approval/{customer_id}"),
        ApprovalScope::Group { group_id, .. } => format!("approval/group/{group_id}"),
        ApprovalScope::Device { device_id, .. } => format!("approval/device/{device_id}"),
    };
    StreamId::derived(patch_id.0, &name)
}

/// Where a decision would hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) tenant: Tenant,
    /// What the device runs on, where it is one.
    pub(crate) platform: Option<DevicePlatform>,
    /// Whether an approval there needs a second person. What holds at all customers needs one as soon as one of them
    /// asks for it.
    pub(crate) second_needed: bool,
}

/// The place, if it exists in the transaction's scope.
pub(crate) async fn place(
    tx: &mut Tx,
    seen: &Scope,
    scope: ApprovalScope,
) -> Result<Option<Place>, StoreError> {
    Ok(places(tx, seen, &[scope]).await?.remove(&scope))
}

/// Those of the places that exist in the transaction's scope, which is `seen`.
pub(crate) async fn places(
    tx: &mut Tx,
    seen: &Scope,
    scopes: &[ApprovalScope],
) -> Result<HashMap<ApprovalScope, Place>, StoreError> {
    let customers = customers(tx, scopes).await?;
    let groups = groups(tx, scopes).await?;
    let devices = devices(tx, scopes).await?;
    let somewhere_second = match seen.partner_id() {
        Some(partner_id) if scopes.iter().any(|scope| scope.customer_id().is_none()) => {
            asks_for_second(tx, partner_id).await?
        }
        Some(_) | None => false,
    };
    let found = |scope: ApprovalScope| -> Option<Place> {
        let (customer_id, platform) = match scope {
            ApprovalScope::Partner { partner_id } => {
                return (seen.partner_id() == Some(partner_id)).then_some(Place {
                    tenant: Tenant::partner(partner_id),
                    platform: None,
                    second_needed: somewhere_second,
                });
            }
            ApprovalScope::Customer { customer_id } => (customer_id, None),
            ApprovalScope::Group { customer_id, group_id } => {
                groups.contains(&(customer_id, group_id)).then_some((customer_id, None))?
            }
            ApprovalScope::Device { customer_id, device_id } => {
                (customer_id, Some(*devices.get(&(customer_id, device_id))?))
            }
        };
        let (partner_id, second_needed) = *customers.get(&customer_id)?;
        Some(Place { tenant: Tenant::customer(partner_id, customer_id), platform, second_needed })
    };
    Ok(scopes.iter().filter_map(|scope| found(*scope).map(|place| (*scope, place))).collect())
}

async fn customers(
    tx: &mut Tx,
    scopes: &[ApprovalScope],
) -> Result<HashMap<CustomerId, (PartnerId, bool)>, StoreError> {
    let ids: HashSet<Uuid> = scopes.iter().filter_map(|scope| scope.customer_id()).map(|id| id.0).collect();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let rows: Vec<(Uuid, Uuid, bool)> = sqlx::query_as(
        "select c.customer_id, c.partner_id, coalesce(p.second_approver, false)
           from approvals.customer c
           left join approvals.policy p using (customer_id)
          where c.customer_id = any($1)",
    )
    .bind(ids.into_iter().collect::<Vec<_>>())
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|(customer_id, partner_id, second)| (CustomerId(customer_id), (PartnerId(partner_id), second)))
        .collect())
}

async fn groups(
    tx: &mut Tx,
    scopes: &[ApprovalScope],
) -> Result<HashSet<(CustomerId, DeviceGroupId)>, StoreError> {
    let ids: Vec<Uuid> = scopes
        .iter()
        .filter_map(|scope| match scope {
            ApprovalScope::Group { group_id, .. } => Some(group_id.0),
            ApprovalScope::Partner { .. } | ApprovalScope::Customer { .. } | ApprovalScope::Device { .. } => {
                None
            }
        })
        .collect();
    if ids.is_empty() {
        return Ok(HashSet::new());
    }
    let rows: Vec<(Uuid, Uuid)> =
        sqlx::query_as("select customer_id, group_id from approvals.device_group where group_id = any($1)")
            .bind(ids)
            .fetch_all(&mut **tx)
            .await?;
    Ok(rows.into_iter().map(|(customer, group)| (CustomerId(customer), DeviceGroupId(group))).collect())
}

async fn devices(
    tx: &mut Tx,
    scopes: &[ApprovalScope],
) -> Result<HashMap<(CustomerId, DeviceId), DevicePlatform>, StoreError> {
    let ids: Vec<Uuid> = scopes
        .iter()
        .filter_map(|scope| match scope {
            ApprovalScope::Device { device_id, .. } => Some(device_id.0),
            ApprovalScope::Partner { .. } | ApprovalScope::Customer { .. } | ApprovalScope::Group { .. } => {
                None
            }
        })
        .collect();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let rows: Vec<(Uuid, Uuid, String)> = sqlx::query_as(
        "select customer_id, device_id, platform from approvals.device where device_id = any($1)",
    )
    .bind(ids)
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter()
        .map(|(customer, device, platform)| Ok(((CustomerId(customer), DeviceId(device)), word(platform)?)))
        .collect()
}

async fn asks_for_second(tx: &mut Tx, partner_id: PartnerId) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar(
        "select exists (select from approvals.policy where partner_id = $1 and second_approver)",
    )
    .bind(partner_id.0)
    .fetch_one(&mut **tx)
    .await?)
}

/// Notes a customer's policy.
pub(crate) async fn keep_policy(
    tx: &mut Tx,
    tenant: Tenant,
    second_approver: bool,
) -> Result<(), StoreError> {
    sqlx::query(
        "insert into approvals.policy (customer_id, partner_id, second_approver)
         values ($1, $2, $3)
         on conflict (customer_id) do update set second_approver = excluded.second_approver",
    )
    .bind(tenant.customer_id.map(|id| id.0))
    .bind(tenant.partner_id.0)
    .bind(second_approver)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Notes where many approvals of whole customers stand.
pub(crate) async fn keep_approvals(
    tx: &mut Tx,
    kept: &[(Tenant, PatchId)],
    pending: bool,
) -> Result<(), StoreError> {
    sqlx::query(
        "insert into approvals.approval (patch_id, customer_id, partner_id, pending)
         select k.patch_id, k.customer_id, k.partner_id, $4
           from unnest($1::uuid[], $2::uuid[], $3::uuid[]) as k (patch_id, customer_id, partner_id)
          order by k.customer_id, k.patch_id
         on conflict (customer_id, patch_id) do update set pending = excluded.pending",
    )
    .bind(kept.iter().map(|(_, patch_id)| patch_id.0).collect::<Vec<_>>())
    .bind(kept.iter().filter_map(|(tenant, _)| tenant.customer_id.map(|id| id.0)).collect::<Vec<_>>())
    .bind(kept.iter().map(|(tenant, _)| tenant.partner_id.0).collect::<Vec<_>>())
    .bind(pending)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Takes a device in.
pub(crate) async fn keep_device(
    tx: &mut Tx,
    partner_id: PartnerId,
    fact: &AgentEnrolled,
) -> Result<(), StoreError> {
    sqlx::query(
        "insert into approvals.device (device_id, partner_id, customer_id, platform)
         values ($1, $2, $3, $4)
         on conflict (device_id) do update set platform = excluded.platform",
    )
    .bind(fact.device_id.0)
    .bind(partner_id.0)
    .bind(fact.customer_id.0)
    .bind(text(&fact.platform)?)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Takes a group in, or forgets it.
pub(crate) async fn keep_group(
    tx: &mut Tx,
    partner_id: PartnerId,
    fact: &GroupEvent,
) -> Result<(), StoreError> {
    match fact {
        GroupEvent::GroupDefined(fact) => {
            sqlx::query(
                "insert into approvals.device_group (group_id, partner_id, customer_id)
                 values ($1, $2, $3)
                 on conflict do nothing",
            )
            .bind(fact.group_id.0)
            .bind(partner_id.0)
            .bind(fact.customer_id.0)
            .execute(&mut **tx)
            .await?;
        }
        GroupEvent::GroupRemoved(fact) => {
            sqlx::query("delete from approvals.device_group where group_id = $1")
                .bind(fact.group_id.0)
                .execute(&mut **tx)
                .await?;
        }
        GroupEvent::GroupChanged(_) | GroupEvent::GroupMembershipChanged(_) => {}
    }
    Ok(())
}

/// A decision that stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Decision {
    pub(crate) patch_id: PatchId,
    pub(crate) scope: ApprovalScope,
    pub(crate) tenant: Tenant,
    /// The end of a deferral.
    pub(crate) ends_at: Option<DateTime<Utc>>,
}

#[derive(sqlx::FromRow)]
pub(crate) struct DecisionRow {
    scope_id: Uuid,
    patch_id: Uuid,
    level: String,
    partner_id: Uuid,
    customer_id: Option<Uuid>,
    ends_at: Option<DateTime<Utc>>,
}

impl TryFrom<DecisionRow> for Decision {
    type Error = StoreError;

    fn try_from(row: DecisionRow) -> Result<Self, StoreError> {
        let customer_id = row.customer_id.map(CustomerId);
        let scope = ApprovalLevel::read(&row.level)
            .and_then(|level| ApprovalScope::of(level, row.scope_id, customer_id))
            .ok_or_else(|| StoreError::Corrupt {
                what: format!("approvals.decision {} has no scope {}", row.scope_id, row.level),
            })?;
        Ok(Self {
            patch_id: PatchId(row.patch_id),
            scope,
            tenant: Tenant { partner_id: PartnerId(row.partner_id), customer_id },
            ends_at: row.ends_at,
        })
    }
}

/// Takes a fact about a decision; answers with what stands by it now, if something does.
pub(crate) async fn keep(
    tx: &mut Tx,
    tenant: Tenant,
    fact: &ApprovalEvent,
) -> Result<Option<Decision>, StoreError> {
    let stands = |patch_id, scope, ends_at| Decision { patch_id, scope, tenant, ends_at };
    let (state, decision) = match fact {
        ApprovalEvent::SecondApprovalRequested(fact) => {
            ("AWAITING_SECOND", stands(fact.patch_id, fact.scope, None))
        }
        ApprovalEvent::PatchApproved(fact) => ("APPROVED", stands(fact.patch_id, fact.scope, None)),
        ApprovalEvent::PatchRejected(fact) => ("REJECTED", stands(fact.patch_id, fact.scope, None)),
        ApprovalEvent::PatchDeferred(fact) => {
            ("DEFERRED", stands(fact.patch_id, fact.scope, Some(fact.until)))
        }
        ApprovalEvent::DeferralEnded(fact) => return forget(tx, fact.scope, fact.patch_id).await,
        ApprovalEvent::ApprovalRevoked(fact) => return forget(tx, fact.scope, fact.patch_id).await,
        ApprovalEvent::ApprovalLapsed(fact) => return forget(tx, fact.scope, fact.patch_id).await,
        ApprovalEvent::ApprovalOpened(_)
        | ApprovalEvent::SecondApprovalGiven(_)
        | ApprovalEvent::AutoApprovalRefused(_)
        | ApprovalEvent::ApprovalScheduled(_) => return Ok(None),
    };
    sqlx::query(
        "insert into approvals.decision (scope_id, patch_id, level, partner_id, customer_id, state, ends_at)
         values ($1, $2, $3, $4, $5, $6, $7)
         on conflict (scope_id, patch_id) do update
            set state = excluded.state, ends_at = excluded.ends_at, leased_until = null",
    )
    .bind(decision.scope.id())
    .bind(decision.patch_id.0)
    .bind(decision.scope.level().word())
    .bind(tenant.partner_id.0)
    .bind(tenant.customer_id.map(|id| id.0))
    .bind(state)
    .bind(decision.ends_at)
    .execute(&mut **tx)
    .await?;
    Ok(Some(decision))
}

async fn forget(
    tx: &mut Tx,
    scope: ApprovalScope,
    patch_id: PatchId,
) -> Result<Option<Decision>, StoreError> {
    sqlx::query("delete from approvals.decision where scope_id = $1 and patch_id = $2")
        .bind(scope.id())
        .bind(patch_id.0)
        .execute(&mut **tx)
        .await?;
    Ok(None)
}

/// Decisions about the patch that are not those of whole customers.
pub(crate) async fn outside_customers(tx: &mut Tx, patch_id: PatchId) -> Result<Vec<Decision>, StoreError> {
    let rows: Vec<DecisionRow> = sqlx::query_as(
        "select scope_id, patch_id, level, partner_id, customer_id, ends_at
           from approvals.decision
          where patch_id = $1 and level <> 'CUSTOMER'
          order by scope_id",
    )
    .bind(patch_id.0)
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}
