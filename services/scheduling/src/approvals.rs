//! What was decided about patches, kept by the reactor, and what of it holds on a device when a run is planned.

use contracts::DevicePlatform;
use contracts::approvals::precedence::{CatalogueState, Decided, EffectiveState, Place, Ruling};
use contracts::approvals::{ApprovalLevel, ApprovalScope, BlockEvent, Change, Decisions};
use contracts::devices::GroupEvent;
use eventstore::{StoreError, Tx};
use kernel::{CustomerId, DeviceGroupId, DeviceId, PartnerId, PatchId, Tenant};
use scheduling_domain::planner::{Approved, Device};
use std::collections::{BTreeSet, HashMap};
use uuid::Uuid;

/// Takes a change of the decisions that stand.
pub(crate) async fn keep(tx: &mut Tx, tenant: Tenant, change: &Change) -> Result<(), sqlx::Error> {
    let scope = change.scope();
    let Some(Decided { ruling, .. }) = change.decided() else {
        sqlx::query("delete from scheduling.decision where scope_id = $1 and patch_id = $2")
            .bind(scope.id())
            .bind(change.patch_id().0)
            .execute(&mut **tx)
            .await?;
        return Ok(());
    };
    sqlx::query(
        "insert into scheduling.decision (scope_id, patch_id, level, partner_id, customer_id, ruling, ends_at)
         values ($1, $2, $3, $4, $5, $6, $7)
         on conflict (scope_id, patch_id) do update
            set ruling = excluded.ruling, ends_at = excluded.ends_at",
    )
    .bind(scope.id())
    .bind(change.patch_id().0)
    .bind(scope.level().word())
    .bind(tenant.partner_id.0)
    .bind(scope.customer_id().map(|id| id.0))
    .bind(ruling.word())
    .bind(ruling.until())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Takes a partner's hard block, or its end.
pub(crate) async fn keep_block(tx: &mut Tx, fact: &BlockEvent) -> Result<(), sqlx::Error> {
    let (patch_id, partner_id, blocked) = fact.now();
    let statement = if blocked {
        "insert into scheduling.block (partner_id, patch_id) values ($1, $2) on conflict do nothing"
    } else {
        "delete from scheduling.block where partner_id = $1 and patch_id = $2"
    };
    sqlx::query(statement).bind(partner_id.0).bind(patch_id.0).execute(&mut **tx).await?;
    Ok(())
}

/// Takes what changed about a group.
pub(crate) async fn keep_group(tx: &mut Tx, tenant: Tenant, fact: &GroupEvent) -> Result<(), sqlx::Error> {
    match fact {
        GroupEvent::GroupMembershipChanged(fact) => {
            let ids = |devices: &[DeviceId]| devices.iter().map(|id| id.0).collect::<Vec<_>>();
            sqlx::query("delete from scheduling.group_member where group_id = $1 and device_id = any($2)")
                .bind(fact.group_id.0)
                .bind(ids(&fact.removed))
                .execute(&mut **tx)
                .await?;
            sqlx::query(
                "insert into scheduling.group_member (device_id, group_id, partner_id, customer_id)
                 select device_id, $2, $3, $4 from unnest($1::uuid[]) as added (device_id)
                 on conflict do nothing",
            )
            .bind(ids(&fact.added))
            .bind(fact.group_id.0)
            .bind(tenant.partner_id.0)
            .bind(fact.customer_id.0)
            .execute(&mut **tx)
            .await?;
        }
        GroupEvent::GroupRemoved(fact) => {
            sqlx::query("delete from scheduling.group_member where group_id = $1")
                .bind(fact.group_id.0)
                .execute(&mut **tx)
                .await?;
        }
        GroupEvent::GroupDefined(_) | GroupEvent::GroupChanged(_) => {}
    }
    Ok(())
}

/// Which of what the devices miss may be installed on which of them.
pub(crate) async fn approved(
    tx: &mut Tx,
    tenant: Tenant,
    customer_id: CustomerId,
    devices: &[Device],
) -> Result<Approved, StoreError> {
    let places = places(tx, tenant.partner_id, customer_id, devices).await?;
    let patches: BTreeSet<PatchId> =
        devices.iter().flat_map(|device| &device.missing).map(|missing| missing.patch_id).collect();
    let patches: Vec<Uuid> = patches.into_iter().map(|id| id.0).collect();
    let decisions = decisions(tx, tenant.partner_id, &places, &patches).await?;
    let mut approved = Approved::new();
    for device in devices {
        let Some(place) = places.get(&device.device_id) else { continue };
        for missing in &device.missing {
            let holds = decisions.of(missing.patch_id, place).state;
            if matches!(holds, EffectiveState::Approved { .. }) {
                approved.insert((device.device_id, missing.patch_id));
            }
        }
    }
    Ok(approved)
}

async fn places(
    tx: &mut Tx,
    partner_id: PartnerId,
    customer_id: CustomerId,
    devices: &[Device],
) -> Result<HashMap<DeviceId, Place>, StoreError> {
    let place = |device_id| Place { partner_id, customer_id, group_ids: BTreeSet::new(), device_id };
    let mut places: HashMap<DeviceId, Place> =
        devices.iter().map(|device| (device.device_id, place(device.device_id))).collect();
    let rows: Vec<(Uuid, Uuid)> = sqlx::query_as(
        "select device_id, group_id from scheduling.group_member where customer_id = $1 and device_id = any($2)",
    )
    .bind(customer_id.0)
    .bind(devices.iter().map(|device| device.device_id.0).collect::<Vec<_>>())
    .fetch_all(&mut **tx)
    .await?;
    for (device_id, group_id) in rows {
        if let Some(place) = places.get_mut(&DeviceId(device_id)) {
            place.group_ids.insert(DeviceGroupId(group_id));
        }
    }
    Ok(places)
}

#[derive(sqlx::FromRow)]
struct DecisionRow {
    scope_id: Uuid,
    patch_id: Uuid,
    level: String,
    customer_id: Option<Uuid>,
    ruling: String,
    ends_at: Option<chrono::DateTime<chrono::Utc>>,
}

impl TryFrom<DecisionRow> for (PatchId, Decided) {
    type Error = StoreError;

    fn try_from(row: DecisionRow) -> Result<Self, StoreError> {
        let scope = ApprovalLevel::read(&row.level)
            .and_then(|level| ApprovalScope::of(level, row.scope_id, row.customer_id.map(CustomerId)));
        let decided = scope.zip(Ruling::read(&row.ruling, row.ends_at));
        let (scope, ruling) = decided.ok_or_else(|| StoreError::Corrupt {
            what: format!("scheduling.decision {} says {} {}", row.scope_id, row.level, row.ruling),
        })?;
        Ok((PatchId(row.patch_id), Decided { scope, ruling }))
    }
}

/// Everything that was decided about the patches where the devices belong.
async fn decisions(
    tx: &mut Tx,
    partner_id: PartnerId,
    places: &HashMap<DeviceId, Place>,
    patches: &[Uuid],
) -> Result<Decisions, StoreError> {
    let scopes: BTreeSet<Uuid> =
        places.values().flat_map(|place| place.scopes().map(ApprovalScope::id).collect::<Vec<_>>()).collect();
    let mut decisions = Decisions::default();
    let rows: Vec<DecisionRow> = sqlx::query_as(
        "select scope_id, patch_id, level, customer_id, ruling, ends_at
           from scheduling.decision
          where scope_id = any($1) and patch_id = any($2)",
    )
    .bind(scopes.into_iter().collect::<Vec<_>>())
    .bind(patches)
    .fetch_all(&mut **tx)
    .await?;
    for row in rows {
        let (patch_id, decided) = row.try_into()?;
        decisions.decide(patch_id, decided);
    }
    let blocked: Vec<Uuid> = sqlx::query_scalar(
        "select patch_id from scheduling.block where partner_id = $1 and patch_id = any($2)",
    )
    .bind(partner_id.0)
    .bind(patches)
    .fetch_all(&mut **tx)
    .await?;
    for patch_id in blocked {
        decisions.block(PatchId(patch_id), partner_id);
    }
    let known: Vec<(Uuid, bool, Option<String>)> = sqlx::query_as(
        "select patch_id, installable, platform from scheduling.patch where patch_id = any($1)",
    )
    .bind(patches)
    .fetch_all(&mut **tx)
    .await?;
    for (patch_id, installable, platform) in known {
        let state = if installable { CatalogueState::Published } else { CatalogueState::Withdrawn };
        decisions.catalogue(PatchId(patch_id), state, platform_by_name(platform.as_deref()));
    }
    Ok(decisions)
}

/// Approvals by rules of patches that were taken in before their platform was kept are for Windows: there are no others.
fn platform_by_name(name: Option<&str>) -> DevicePlatform {
    match name {
        Some(LINUX) => DevicePlatform::Linux,
        Some(_) | None => DevicePlatform::Windows,
    }
}

const LINUX: &str = "LINUX";

/// How a platform is kept.
pub(crate) fn platform_name(platform: DevicePlatform) -> &'static str {
    match platform {
        DevicePlatform::Linux => LINUX,
        DevicePlatform::Windows => "WINDOWS",
    }
}
