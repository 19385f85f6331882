//! What compliance is measured with: devices, what is missing on them, groups, and the catalogue as baselines look at it.

use chrono::{DateTime, Utc};
use contracts::feeds::PatchFacts;
use eventstore::{StoreError, Tx};
use kernel::{CustomerId, DeviceGroupId, DeviceId, PartnerId, PatchId};
use uuid::Uuid;

/// Writes a word of one of our enums as it stands in facts.
fn text<T: serde::Serialize>(word: &T) -> Result<String, StoreError> {
    match serde_json::to_value(word) {
        Ok(serde_json::Value::String(text)) => Ok(text),
        other => Err(StoreError::Corrupt { what: format!("{other:?} is not a word") }),
    }
}

/// Takes a device in that may be known already.
pub(super) async fn keep_device(
    tx: &mut Tx,
    partner_id: PartnerId,
    customer_id: CustomerId,
    device_id: DeviceId,
) -> Result<(), StoreError> {
    sqlx::query(
        "insert into approvals.compliance_device (device_id, partner_id, customer_id)
         values ($1, $2, $3)
         on conflict do nothing",
    )
    .bind(device_id.0)
    .bind(partner_id.0)
    .bind(customer_id.0)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Notes what a scan says of the device itself.
pub(super) async fn keep_scan(
    tx: &mut Tx,
    device_id: DeviceId,
    at: DateTime<Utc>,
    pending_reboot: bool,
) -> Result<(), StoreError> {
    sqlx::query(
        "update approvals.compliance_device
            set scanned_at = greatest(scanned_at, $2),
                pending_reboot = $3
          where device_id = $1",
    )
    .bind(device_id.0)
    .bind(at)
    .bind(pending_reboot)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// A patch is missing on a device.
pub(super) async fn keep_missing(
    tx: &mut Tx,
    partner_id: PartnerId,
    customer_id: CustomerId,
    device_id: DeviceId,
    patch_id: PatchId,
) -> Result<(), StoreError> {
    sqlx::query(
        "insert into approvals.compliance_missing (device_id, patch_id, partner_id, customer_id)
         values ($1, $2, $3, $4)
         on conflict do nothing",
    )
    .bind(device_id.0)
    .bind(patch_id.0)
    .bind(partner_id.0)
    .bind(customer_id.0)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// It is not missing any more.
pub(super) async fn forget_missing(
    tx: &mut Tx,
    device_id: DeviceId,
    patch_id: PatchId,
) -> Result<(), StoreError> {
    sqlx::query("delete from approvals.compliance_missing where device_id = $1 and patch_id = $2")
        .bind(device_id.0)
        .bind(patch_id.0)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Takes a group in.
pub(super) async fn keep_group(
    tx: &mut Tx,
    partner_id: PartnerId,
    customer_id: CustomerId,
    group_id: DeviceGroupId,
) -> Result<(), StoreError> {
    sqlx::query(
        "insert into approvals.compliance_group (group_id, partner_id, customer_id)
         values ($1, $2, $3)
         on conflict do nothing",
    )
    .bind(group_id.0)
    .bind(partner_id.0)
    .bind(customer_id.0)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Devices came to a group or left it.
pub(super) async fn keep_members(
    tx: &mut Tx,
    (partner_id, customer_id, group_id): (PartnerId, CustomerId, DeviceGroupId),
    added: &[DeviceId],
    removed: &[DeviceId],
) -> Result<(), StoreError> {
    let ids = |devices: &[DeviceId]| devices.iter().map(|id| id.0).collect::<Vec<Uuid>>();
    if !removed.is_empty() {
        sqlx::query(
            "delete from approvals.compliance_group_member where group_id = $1 and device_id = any($2)",
        )
        .bind(group_id.0)
        .bind(ids(removed))
        .execute(&mut **tx)
        .await?;
    }
    if !added.is_empty() {
        sqlx::query(
            "insert into approvals.compliance_group_member (group_id, device_id, partner_id, customer_id)
             select $1, d.device_id, $2, $3 from unnest($4::uuid[]) as d (device_id)
             on conflict do nothing",
        )
        .bind(group_id.0)
        .bind(partner_id.0)
        .bind(customer_id.0)
        .bind(ids(added))
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

/// A group is gone; answers with devices that had not left it before.
pub(super) async fn forget_group(tx: &mut Tx, group_id: DeviceGroupId) -> Result<Vec<DeviceId>, StoreError> {
    sqlx::query("delete from approvals.compliance_group where group_id = $1")
        .bind(group_id.0)
        .execute(&mut **tx)
        .await?;
    let left: Vec<Uuid> = sqlx::query_scalar(
        "delete from approvals.compliance_group_member where group_id = $1 returning device_id",
    )
    .bind(group_id.0)
    .fetch_all(&mut **tx)
    .await?;
    Ok(left.into_iter().map(DeviceId).collect())
}

/// Takes a patch in, new or changed.
pub(super) async fn keep_patch(tx: &mut Tx, owner: PartnerId, patch: &PatchFacts) -> Result<(), StoreError> {
    sqlx::query(
        "insert into approvals.compliance_patch (patch_id, partner_id, name, os_versions, severity, classification,
                                                 release_date)
         values ($1, $2, $3, $4, $5, $6, $7)
         on conflict (patch_id) do update
            set name = excluded.name,
                os_versions = excluded.os_versions,
                severity = excluded.severity,
                classification = excluded.classification,
                release_date = excluded.release_date",
    )
    .bind(patch.patch_id.0)
    .bind(owner.0)
    .bind(&patch.name)
    .bind(&patch.os_versions)
    .bind(text(&patch.severity)?)
    .bind(text(&patch.classification)?)
    .bind(patch.release_date)
    .execute(&mut **tx)
    .await?;
    sqlx::query("delete from approvals.compliance_patch_cve where patch_id = $1 and cve <> all ($2)")
        .bind(patch.patch_id.0)
        .bind(&patch.cves)
        .execute(&mut **tx)
        .await?;
    sqlx::query(
        "insert into approvals.compliance_patch_cve (cve, patch_id, partner_id)
         select c.cve, $1, $2 from unnest($3::text[]) as c (cve)
         on conflict do nothing",
    )
    .bind(patch.patch_id.0)
    .bind(owner.0)
    .bind(&patch.cves)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// A vulnerability is known to be exploited, or is not any more.
pub(super) async fn keep_exploited(tx: &mut Tx, cve: &str, listed: bool) -> Result<(), StoreError> {
    let statement = if listed {
        "insert into approvals.compliance_kev (cve) values ($1) on conflict do nothing"
    } else {
        "delete from approvals.compliance_kev where cve = $1"
    };
    sqlx::query(statement).bind(cve).execute(&mut **tx).await?;
    Ok(())
}
