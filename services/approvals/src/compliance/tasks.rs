//! Sets of devices that have to be measured anew. A set that is added again begins anew: one row is enough for it.

use eventstore::{StoreError, Tx};
use kernel::{BaselineId, CustomerId, DeviceGroupId, DeviceId, Envelope, PartnerId, PatchId};
use uuid::Uuid;

/// What a scan or a change of the catalogue says of a device comes in several events: they are given this time to be there,
/// so that no half of them is measured.
const SETTLING_SECONDS: f64 = 1.0;

/// Which devices.
#[derive(Debug, Clone, Copy)]
pub(super) enum Set<'a> {
    /// All of a partner.
    Partner(PartnerId),
    /// All of a customer.
    Customer(CustomerId),
    /// All of a group.
    Group(DeviceGroupId),
    /// These.
    Devices(&'a [DeviceId]),
    /// All that a patch is missing on.
    Patch(PatchId),
    /// All that a patch of the vulnerability is missing on.
    Cve(&'a str),
    /// All that a baseline is measured on.
    Baseline(BaselineId),
}

/// A set with how far it is.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct Task {
    pub(super) kind: String,
    pub(super) target_id: Uuid,
    pub(super) partner_id: Uuid,
    pub(super) after_device: Uuid,
    pub(super) event_id: Uuid,
    pub(super) correlation_id: Uuid,
}

/// What every statement that adds tasks has in common.
macro_rules! adding {
    ($select:literal) => {
        concat!(
            "insert into approvals.compliance_task (kind, target_id, partner_id, customer_id, due_at, event_id, correlation_id) ",
            $select,
            " on conflict (kind, target_id, partner_id) do update
                 set after_device = excluded.after_device,
                     due_at = excluded.due_at,
                     event_id = excluded.event_id,
                     correlation_id = excluded.correlation_id"
        )
    };
}

/// Notes that a set has to be measured because of `event`.
pub(super) async fn add(tx: &mut Tx, event: &Envelope, set: Set<'_>) -> Result<(), StoreError> {
    let one = |kind, target: Uuid| (kind, vec![target]);
    let (kind, targets) = match set {
        Set::Partner(id) => one("PARTNER", id.0),
        Set::Customer(id) => one("CUSTOMER", id.0),
        Set::Group(id) => one("GROUP", id.0),
        Set::Devices(ids) => ("DEVICE", ids.iter().map(|id| id.0).collect()),
        Set::Patch(id) => return add_of_patches(tx, event, Some(id), None).await,
        Set::Cve(cve) => return add_of_patches(tx, event, None, Some(cve)).await,
        Set::Baseline(id) => return add_of_baseline(tx, event, id).await,
    };
    sqlx::query(adding!(
        "select $1, t.target_id, $2, $3, clock_timestamp() + make_interval(secs => $4), $5, $6
           from (select distinct target_id from unnest($7::uuid[]) as u (target_id)) t"
    ))
    .bind(kind)
    .bind(event.tenant.partner_id.0)
    .bind(event.tenant.customer_id.map(|id| id.0))
    .bind(SETTLING_SECONDS)
    .bind(event.event_id.0)
    .bind(event.correlation_id.0)
    .bind(targets)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// One per patch and partner: the catalogue is everybody's, the devices are not.
async fn add_of_patches(
    tx: &mut Tx,
    event: &Envelope,
    patch_id: Option<PatchId>,
    cve: Option<&str>,
) -> Result<(), StoreError> {
    sqlx::query(adding!(
        "select distinct 'PATCH', m.patch_id, m.partner_id, null::uuid,
                clock_timestamp() + make_interval(secs => $1), $2::uuid, $3::uuid
           from approvals.compliance_missing m
          where m.patch_id = $4
             or m.patch_id in (select c.patch_id from approvals.compliance_patch_cve c where c.cve = $5)"
    ))
    .bind(SETTLING_SECONDS)
    .bind(event.event_id.0)
    .bind(event.correlation_id.0)
    .bind(patch_id.map(|id| id.0))
    .bind(cve)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn add_of_baseline(tx: &mut Tx, event: &Envelope, baseline_id: BaselineId) -> Result<(), StoreError> {
    sqlx::query(adding!("values ('BASELINE', $1, $2, $3, clock_timestamp(), $4, $5)"))
        .bind(baseline_id.0)
        .bind(event.tenant.partner_id.0)
        .bind(event.tenant.customer_id.map(|id| id.0))
        .bind(event.event_id.0)
        .bind(event.correlation_id.0)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// The device is measured now.
pub(super) async fn settle(tx: &mut Tx, device_id: DeviceId) -> Result<(), StoreError> {
    sqlx::query("delete from approvals.compliance_task where kind = 'DEVICE' and target_id = $1")
        .bind(device_id.0)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Takes the set that is due for the longest time, for as long as the transaction lasts: that is its lease.
pub(super) async fn take(tx: &mut Tx) -> Result<Option<Task>, StoreError> {
    Ok(sqlx::query_as(
        "select kind, target_id, partner_id, after_device, event_id, correlation_id
           from approvals.compliance_task
          where due_at <= clock_timestamp()
          order by due_at
          limit 1
            for update skip locked",
    )
    .fetch_optional(&mut **tx)
    .await?)
}

/// The next devices of the set, in their order.
pub(super) async fn devices_of(tx: &mut Tx, task: &Task, limit: i64) -> Result<Vec<Uuid>, StoreError> {
    let statement = match task.kind.as_str() {
        "PARTNER" => {
            "select device_id from approvals.compliance_device
              where partner_id = $1 and device_id > $2 order by device_id limit $3"
        }
        "CUSTOMER" => {
            "select device_id from approvals.compliance_device
              where customer_id = $1 and device_id > $2 order by device_id limit $3"
        }
        "GROUP" => {
            "select device_id from approvals.compliance_group_member
              where group_id = $1 and device_id > $2 order by device_id limit $3"
        }
        "PATCH" => {
            "select device_id from approvals.compliance_missing
              where patch_id = $1 and device_id > $2 order by device_id limit $3"
        }
        "BASELINE" => {
            "select device_id from approvals.compliance_record
              where baseline_id = $1 and device_id > $2 and evaluated is not null order by device_id limit $3"
        }
        _ => {
            "select device_id from approvals.compliance_device
              where device_id = $1 and device_id > $2 order by device_id limit $3"
        }
    };
    Ok(sqlx::query_scalar(statement)
        .bind(task.target_id)
        .bind(task.after_device)
        .bind(limit)
        .fetch_all(&mut **tx)
        .await?)
}

/// Notes how far the set is, or that it is done.
pub(super) async fn move_on(tx: &mut Tx, task: &Task, after_device: Option<Uuid>) -> Result<(), StoreError> {
    let statement = match after_device {
        Some(_) => {
            "update approvals.compliance_task set after_device = $4
              where kind = $1 and target_id = $2 and partner_id = $3"
        }
        None => {
            "delete from approvals.compliance_task
              where kind = $1 and target_id = $2 and partner_id = $3 and $4::uuid is null"
        }
    };
    sqlx::query(statement)
        .bind(&task.kind)
        .bind(task.target_id)
        .bind(task.partner_id)
        .bind(after_device)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Devices that another transaction was at, or of which time has changed the result, each as a set of its own.
pub(super) async fn add_devices(
    tx: &mut Tx,
    devices: &[Uuid],
    (event_id, correlation_id): (Uuid, Uuid),
) -> Result<(), StoreError> {
    sqlx::query(adding!(
        "select 'DEVICE', d.device_id, d.partner_id, d.customer_id, clock_timestamp(), $1, $2
           from approvals.compliance_device d
          where d.device_id = any($3)"
    ))
    .bind(event_id)
    .bind(correlation_id)
    .bind(devices)
    .execute(&mut **tx)
    .await?;
    Ok(())
}
