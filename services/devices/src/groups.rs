//! Who belongs to which group, in the tables; what becomes of it in the log says the domain.
//!
//! Locks, in this order: device, its stream, customer, group, its stream. Who defines a group has the customer for itself,
//! who changes a device shares it with others of the kind: so no change of a device is missed by a group that is being
//! defined, nor the reverse.

use crate::fault::Fault;
use contracts::{
    DevicePlatform,
    devices::{DeviceQuery, GroupMembers},
};
use devices_domain::{Group, GroupCommand, Surroundings};
use eventstore::{Committed, Store, StoreError, Target, Tx};
use kernel::{Cause, CustomerId, DeviceGroupId, DeviceId, Scope, StreamId, Tenant};
use uuid::Uuid;

/// Whether the device `d` has all that is asked for by `g`.
macro_rules! finds {
    () => {
        "(g.platform is null or g.platform = d.platform)
         and (g.os_id is null or g.os_id = d.os_id)
         and (g.os_version is null or g.os_version = d.os_version)
         and (g.region is null or g.region is not distinct from d.region)
         and (g.exposed is null or g.exposed = d.exposed)
         and (g.name_contains is null or position(lower(g.name_contains) in lower(d.name)) > 0)"
    };
}

/// The word that the contract uses, which is how rows are read back.
pub(crate) fn platform_text(platform: DevicePlatform) -> &'static str {
    match platform {
        DevicePlatform::Windows => "WINDOWS",
        DevicePlatform::Linux => "LINUX",
    }
}

/// Keeps everybody else away from the groups of a customer, and changes of its devices from them.
pub(crate) async fn lock(tx: &mut Tx, customer_id: CustomerId) -> Result<(), StoreError> {
    sqlx::query("select from devices.customer where customer_id = $1 for update")
        .bind(customer_id.0)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// What a rule must know of the customer to say whether the group can be so.
pub(crate) async fn surroundings(
    tx: &mut Tx,
    customer_id: CustomerId,
    group_id: DeviceGroupId,
    name: &str,
    members: &GroupMembers,
) -> Result<Surroundings, StoreError> {
    let (other_groups, name_taken): (i64, bool) = sqlx::query_as(
        "select count(*), coalesce(bool_or(lower(name) = lower($3)), false)
           from devices.device_group
          where customer_id = $1 and group_id <> $2 and not removed",
    )
    .bind(customer_id.0)
    .bind(group_id.0)
    .bind(name)
    .fetch_one(&mut **tx)
    .await?;
    let devices = match members {
        GroupMembers::Listed { device_ids } => listed(tx, customer_id, device_ids).await?,
        GroupMembers::Found { query } => found(tx, customer_id, query).await?,
    };
    Ok(Surroundings {
        name_taken,
        other_groups: usize::try_from(other_groups).unwrap_or(usize::MAX),
        devices: devices.into_iter().map(DeviceId).collect(),
    })
}

async fn listed(
    tx: &mut Tx,
    customer_id: CustomerId,
    device_ids: &[DeviceId],
) -> Result<Vec<Uuid>, StoreError> {
    let ids: Vec<Uuid> = device_ids.iter().map(|id| id.0).collect();
    let own = sqlx::query_scalar(
        "select device_id from devices.device where customer_id = $1 and device_id = any($2)",
    )
    .bind(customer_id.0)
    .bind(ids)
    .fetch_all(&mut **tx)
    .await?;
    Ok(own)
}

async fn found(tx: &mut Tx, customer_id: CustomerId, query: &DeviceQuery) -> Result<Vec<Uuid>, StoreError> {
    let found = sqlx::query_scalar(concat!(
        "select d.device_id
           from devices.device d
          cross join (select $2::text as platform, $3::text as os_id, $4::text as os_version, $5::text as region,
                             $6::boolean as exposed, $7::text as name_contains) g
          where d.customer_id = $1
            and ",
        finds!()
    ))
    .bind(customer_id.0)
    .bind(query.platform.map(platform_text))
    .bind(&query.os_id)
    .bind(&query.os_version)
    .bind(&query.region)
    .bind(query.exposed)
    .bind(&query.name_contains)
    .fetch_all(&mut **tx)
    .await?;
    Ok(found)
}

/// Keeps a group as it is now, with its devices.
pub(crate) async fn keep(
    tx: &mut Tx,
    tenant: Tenant,
    group_id: DeviceGroupId,
    name: &str,
    members: &GroupMembers,
    devices: impl IntoIterator<Item = &DeviceId>,
) -> Result<(), StoreError> {
    let (is_found, query) = match members {
        GroupMembers::Listed { .. } => (false, &DeviceQuery::default()),
        GroupMembers::Found { query } => (true, query),
    };
    sqlx::query(
        "insert into devices.device_group
           (group_id, partner_id, customer_id, name, is_found, platform, os_id, os_version, region, exposed,
            name_contains)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
         on conflict (group_id) do update
            set name = excluded.name,
                is_found = excluded.is_found,
                platform = excluded.platform,
                os_id = excluded.os_id,
                os_version = excluded.os_version,
                region = excluded.region,
                exposed = excluded.exposed,
                name_contains = excluded.name_contains",
    )
    .bind(group_id.0)
    .bind(tenant.partner_id.0)
    .bind(tenant.customer_id.map(|id| id.0))
    .bind(name)
    .bind(is_found)
    .bind(query.platform.map(platform_text))
    .bind(&query.os_id)
    .bind(&query.os_version)
    .bind(&query.region)
    .bind(query.exposed)
    .bind(&query.name_contains)
    .execute(&mut **tx)
    .await?;
    let devices: Vec<Uuid> = devices.into_iter().map(|id| id.0).collect();
    sqlx::query(
        "delete from devices.group_member m
          where m.group_id = $1
            and not exists (select from unnest($2::uuid[]) as now (device_id) where now.device_id = m.device_id)",
    )
    .bind(group_id.0)
    .bind(&devices)
    .execute(&mut **tx)
    .await?;
    sqlx::query(
        "insert into devices.group_member (group_id, device_id, partner_id, customer_id)
         select $1, now.device_id, $3, $4
           from unnest($2::uuid[]) as now (device_id)
             on conflict do nothing",
    )
    .bind(group_id.0)
    .bind(&devices)
    .bind(tenant.partner_id.0)
    .bind(tenant.customer_id.map(|id| id.0))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Forgets a group and its devices; its name is free again.
pub(crate) async fn forget(tx: &mut Tx, group_id: DeviceGroupId) -> Result<(), StoreError> {
    sqlx::query("delete from devices.group_member where group_id = $1")
        .bind(group_id.0)
        .execute(&mut **tx)
        .await?;
    sqlx::query("update devices.device_group set removed = true where group_id = $1")
        .bind(group_id.0)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Puts a device that has changed into the groups whose queries find it now, and takes it out of those whose do not any
/// more; answers with what was written last. The transaction has the device's row.
pub(crate) async fn device_changed(
    tx: &mut Tx,
    store: &Store,
    scope: &Scope,
    tenant: Tenant,
    device_id: DeviceId,
    cause: &Cause,
) -> Result<Option<Committed>, Fault> {
    sqlx::query("select from devices.customer where customer_id = $1 for share")
        .bind(tenant.customer_id.map(|id| id.0))
        .execute(&mut **tx)
        .await?;
    // One at a time changes a group, the others wait here instead of meeting in its stream.
    let moved: Vec<(Uuid, bool)> = sqlx::query_as(concat!(
        "select g.group_id, m.device_id is null
           from devices.device_group g
           join devices.device d on d.customer_id = g.customer_id
           left join devices.group_member m on m.group_id = g.group_id and m.device_id = d.device_id
          where d.device_id = $1
            and g.is_found
            and not g.removed
            and (",
        finds!(),
        ") <> (m.device_id is not null)
          order by g.group_id
            for update of g"
    ))
    .bind(device_id.0)
    .fetch_all(&mut **tx)
    .await?;
    let mut last = None;
    for (group_id, belongs) in moved {
        let target = Target { scope, tenant, stream_id: StreamId(group_id), cause, occurred_at: None };
        let command = GroupCommand::Move { device_id, belongs };
        last = Some(store.execute_in::<Group>(tx, target, command).await?);
        let statement = if belongs {
            "insert into devices.group_member (group_id, device_id, partner_id, customer_id)
             values ($1, $2, $3, $4)"
        } else {
            "delete from devices.group_member
              where group_id = $1 and device_id = $2 and partner_id = $3 and customer_id = $4"
        };
        sqlx::query(statement)
            .bind(group_id)
            .bind(device_id.0)
            .bind(tenant.partner_id.0)
            .bind(tenant.customer_id.map(|id| id.0))
            .execute(&mut **tx)
            .await?;
    }
    Ok(last)
}
