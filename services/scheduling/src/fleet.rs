//! What other services' facts say of devices and patches: kept by the reactor, read when a run is planned.

use crate::approvals;
use contracts::DevicePlatform;
use contracts::approvals::{ApprovalEvent, Change};
use contracts::devices::{AgentMode, DeviceEvent, MissingPackage};
use contracts::feeds::{PatchEvent, PatchFacts};
use eventstore::{StoreError, Tx};
use kernel::{CustomerId, DeviceId, PartnerId, PatchId, Tenant};
use scheduling_domain::planner::{Device, Missing};
use sqlx::types::Json;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// Takes a fact about a device.
pub(crate) async fn apply_device(tx: &mut Tx, tenant: Tenant, fact: &DeviceEvent) -> Result<(), sqlx::Error> {
    match fact {
        DeviceEvent::AgentEnrolled(fact) => {
            // An agent that enrols is in contact.
            sqlx::query(
                "insert into scheduling.device (device_id, partner_id, customer_id, online, mode)
                 values ($1, $2, $3, true, $4)
                 on conflict (device_id) do update set online = true, mode = excluded.mode",
            )
            .bind(fact.device_id.0)
            .bind(tenant.partner_id.0)
            .bind(fact.customer_id.0)
            .bind(mode_name(fact.mode))
            .execute(&mut **tx)
            .await?;
        }
        DeviceEvent::DeviceCameOnline(fact) => set_online(tx, fact.device_id, true).await?,
        DeviceEvent::DeviceWentOffline(fact) => set_online(tx, fact.device_id, false).await?,
        DeviceEvent::PatchFoundMissing(fact) => {
            sqlx::query(
                "insert into scheduling.missing (device_id, patch_id, partner_id, customer_id, packages)
                 values ($1, $2, $3, $4, $5)
                 on conflict (device_id, patch_id) do update set packages = excluded.packages",
            )
            .bind(fact.device_id.0)
            .bind(fact.patch_id.0)
            .bind(tenant.partner_id.0)
            .bind(tenant.customer_id.map(|id| id.0))
            .bind(Json(&fact.packages))
            .execute(&mut **tx)
            .await?;
        }
        DeviceEvent::PatchFoundInstalled(fact) => not_missing(tx, fact.device_id, fact.patch_id).await?,
        DeviceEvent::PatchNoLongerApplicable(fact) => not_missing(tx, fact.device_id, fact.patch_id).await?,
        DeviceEvent::ScanCompleted(_)
        | DeviceEvent::ScanFailed(_)
        | DeviceEvent::AvailableUpdatesChanged(_)
        | DeviceEvent::DeviceExposureChanged(_)
        | DeviceEvent::DeviceRegionChanged(_)
        | DeviceEvent::JobDelivered(_)
        | DeviceEvent::JobReported(_) => {}
    }
    Ok(())
}

/// Takes a fact about an approval.
pub(crate) async fn apply_approval(
    tx: &mut Tx,
    tenant: Tenant,
    fact: &ApprovalEvent,
) -> Result<(), sqlx::Error> {
    if let ApprovalEvent::ApprovalOpened(fact) = fact {
        return name_patch(tx, fact.patch_id, &fact.vendor_patch_id, fact.platform).await;
    }
    match Change::of(fact) {
        Some(change) => approvals::keep(tx, tenant, &change).await,
        None => Ok(()),
    }
}

/// Takes a fact about a patch.
pub(crate) async fn apply_patch(tx: &mut Tx, fact: &PatchEvent) -> Result<(), sqlx::Error> {
    let known = |patch: &PatchFacts| (patch.patch_id, patch.vendor_patch_id.clone(), patch.platform);
    let (patch_id, vendor_patch_id, platform) = match fact {
        PatchEvent::PatchPublished(fact) => known(&fact.patch),
        PatchEvent::PatchRevised(fact) => known(&fact.patch),
        PatchEvent::PatchSuperseded(fact) => return not_installable(tx, fact.patch_id).await,
        PatchEvent::PatchWithdrawn(fact) => return not_installable(tx, fact.patch_id).await,
        PatchEvent::PatchMarkedOutOfBand(_) => return Ok(()),
    };
    name_patch(tx, patch_id, &vendor_patch_id, platform).await
}

async fn not_installable(tx: &mut Tx, patch_id: PatchId) -> Result<(), sqlx::Error> {
    sqlx::query("update scheduling.patch set installable = false where patch_id = $1")
        .bind(patch_id.0)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

async fn set_online(tx: &mut Tx, device_id: DeviceId, online: bool) -> Result<(), sqlx::Error> {
    sqlx::query("update scheduling.device set online = $2 where device_id = $1")
        .bind(device_id.0)
        .bind(online)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

async fn not_missing(tx: &mut Tx, device_id: DeviceId, patch_id: PatchId) -> Result<(), sqlx::Error> {
    sqlx::query("delete from scheduling.missing where device_id = $1 and patch_id = $2")
        .bind(device_id.0)
        .bind(patch_id.0)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

async fn name_patch(
    tx: &mut Tx,
    patch_id: PatchId,
    vendor_patch_id: &str,
    platform: DevicePlatform,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into scheduling.patch (patch_id, vendor_patch_id, platform)
         values ($1, $2, $3)
         on conflict (patch_id) do update
            set vendor_patch_id = excluded.vendor_patch_id, platform = excluded.platform
          where (patch.vendor_patch_id, patch.platform) is distinct from (excluded.vendor_patch_id, excluded.platform)",
    )
    .bind(patch_id.0)
    .bind(vendor_patch_id)
    .bind(approvals::platform_name(platform))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Whose device it is and whether it is in contact, if it exists in the transaction's scope.
pub(crate) async fn device(
    tx: &mut Tx,
    device_id: DeviceId,
) -> Result<Option<(Tenant, CustomerId, bool)>, sqlx::Error> {
    let row: Option<(Uuid, Uuid, bool)> =
        sqlx::query_as("select partner_id, customer_id, online from scheduling.device where device_id = $1")
            .bind(device_id.0)
            .fetch_optional(&mut **tx)
            .await?;
    Ok(row.map(|(partner_id, customer_id, online)| {
        let customer_id = CustomerId(customer_id);
        (Tenant::customer(PartnerId(partner_id), customer_id), customer_id, online)
    }))
}

#[derive(sqlx::FromRow)]
struct DeviceRow {
    device_id: Uuid,
    online: bool,
    mode: String,
}

#[derive(sqlx::FromRow)]
struct MissingRow {
    device_id: Uuid,
    patch_id: Uuid,
    vendor_patch_id: String,
    packages: Json<Vec<MissingPackage>>,
}

/// What the planner must know of those of the devices that are the customer's: which of the patches they miss, or all
/// that they miss if no patch is named.
pub(crate) async fn devices(
    tx: &mut Tx,
    customer_id: CustomerId,
    device_ids: &[DeviceId],
    patch_ids: &[PatchId],
) -> Result<Vec<Device>, StoreError> {
    let device_ids: Vec<Uuid> = device_ids.iter().map(|id| id.0).collect();
    let patch_ids: Vec<Uuid> = patch_ids.iter().map(|id| id.0).collect();
    let rows: Vec<DeviceRow> = sqlx::query_as(
        "select device_id, online, mode
           from scheduling.device
          where customer_id = $1 and device_id = any($2)",
    )
    .bind(customer_id.0)
    .bind(&device_ids)
    .fetch_all(&mut **tx)
    .await?;
    // A patch is published before it can be missing; its own id stands in should the log ever say otherwise.
    let missing: Vec<MissingRow> = sqlx::query_as(
        "select m.device_id,
                m.patch_id,
                coalesce(p.vendor_patch_id, m.patch_id::text) as vendor_patch_id,
                m.packages
           from scheduling.missing m
           left join scheduling.patch p using (patch_id)
          where m.customer_id = $1
            and m.device_id = any($2)
            and (cardinality($3::uuid[]) = 0 or m.patch_id = any($3))",
    )
    .bind(customer_id.0)
    .bind(&device_ids)
    .bind(&patch_ids)
    .fetch_all(&mut **tx)
    .await?;
    let mut missing_on: BTreeMap<Uuid, Vec<Missing>> = BTreeMap::new();
    for row in missing {
        missing_on.entry(row.device_id).or_default().push(Missing {
            patch_id: PatchId(row.patch_id),
            vendor_patch_id: row.vendor_patch_id,
            packages: row.packages.0,
        });
    }
    rows.into_iter()
        .map(|row| {
            Ok(Device {
                device_id: DeviceId(row.device_id),
                online: row.online,
                mode: mode_by_name(&row.mode, row.device_id)?,
                missing: missing_on.remove(&row.device_id).unwrap_or_default(),
            })
        })
        .collect()
}

/// Those of the patches that the catalogue has.
pub(crate) async fn known_patches(
    tx: &mut Tx,
    patch_ids: &[PatchId],
) -> Result<BTreeSet<PatchId>, sqlx::Error> {
    let patch_ids: Vec<Uuid> = patch_ids.iter().map(|id| id.0).collect();
    let ids: Vec<Uuid> = sqlx::query_scalar("select patch_id from scheduling.patch where patch_id = any($1)")
        .bind(patch_ids)
        .fetch_all(&mut **tx)
        .await?;
    Ok(ids.into_iter().map(PatchId).collect())
}

/// What is missing on a device now.
pub(crate) async fn missing_on(tx: &mut Tx, device_id: DeviceId) -> Result<Vec<PatchId>, sqlx::Error> {
    let ids: Vec<Uuid> = sqlx::query_scalar("select patch_id from scheduling.missing where device_id = $1")
        .bind(device_id.0)
        .fetch_all(&mut **tx)
        .await?;
    Ok(ids.into_iter().map(PatchId).collect())
}

fn mode_name(mode: AgentMode) -> &'static str {
    match mode {
        AgentMode::Full => "FULL",
        AgentMode::ScanOnly => "SCAN_ONLY",
    }
}

fn mode_by_name(name: &str, device_id: Uuid) -> Result<AgentMode, StoreError> {
    match name {
        "FULL" => Ok(AgentMode::Full),
        "SCAN_ONLY" => Ok(AgentMode::ScanOnly),
        _ => {
            Err(StoreError::Corrupt { what: format!("scheduling.device {device_id} has the mode {name:?}") })
        }
    }
}
