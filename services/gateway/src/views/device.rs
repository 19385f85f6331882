//! Devices, and what their own package managers offer.

use crate::reading::list::{ById, list};
use crate::views::Entry;
use crate::words::{AgentMode, DevicePlatform};
use chrono::{DateTime, Utc};
use contracts::devices::{
    AgentEnrolled, AvailableUpdate, AvailableUpdatesChanged, DeviceCameOnline, DeviceEvent,
    DeviceWentOffline, JobDelivered, JobReported, ScanCompleted, ScanFailed,
};
use eventstore::{StoreError, Tx};
use kernel::DeviceId;
use uuid::Uuid;

/// A device as GraphQL shows it.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct DeviceRow {
    pub(crate) device_id: Uuid,
    pub(crate) customer_id: Uuid,
    pub(crate) name: String,
    pub(crate) platform: DevicePlatform,
    pub(crate) os_release: String,
    pub(crate) os_name: String,
    pub(crate) mode: AgentMode,
    pub(crate) agent_version: String,
    pub(crate) online: bool,
    pub(crate) last_contact_at: DateTime<Utc>,
    pub(crate) last_scan_at: Option<DateTime<Utc>>,
    pub(crate) scan_source: Option<String>,
    pub(crate) pending_reboot: bool,
}

macro_rules! columns {
    () => {
        "t.device_id, t.customer_id, t.name, t.platform, t.os_release, t.os_name, t.mode, t.agent_version,
         t.online, t.last_contact_at, t.last_scan_at, t.scan_source, t.pending_reboot, t.seq"
    };
}

impl ById for DeviceRow {
    const BY_IDS: &'static str = concat!(
        "select t.device_id as key, ",
        columns!(),
        " from views.device t where t.device_id = any($1)"
    );
}

list! {
    /// A customer's devices.
    DEVICES_OF_CUSTOMER: DeviceRow, columns from "views.device t"
    where "t.customer_id = p.parent", oldest first by "t.seq"
}

/// An update that the device's own package manager offers.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct AvailableUpdateRow {
    pub(crate) name: String,
    pub(crate) installed_version: String,
    pub(crate) candidate_version: String,
    pub(crate) origin: String,
    pub(crate) security: bool,
}

macro_rules! update_columns {
    () => {
        "t.name, t.installed_version, t.candidate_version, t.origin, t.security, t.seq"
    };
}

list! {
    /// A device's available updates, in its own order.
    UPDATES_OF_DEVICE: AvailableUpdateRow, update_columns from "views.available_update t"
    where "t.device_id = p.parent", oldest first by "t.seq"
}

pub(super) async fn apply(tx: &mut Tx, entry: Entry, fact: &DeviceEvent) -> Result<(), StoreError> {
    match fact {
        DeviceEvent::AgentEnrolled(fact) => enrol(tx, entry, fact).await,
        DeviceEvent::DeviceCameOnline(DeviceCameOnline { device_id }) => {
            sqlx::query("update device set online = true where device_id = $1")
                .bind(device_id.0)
                .execute(&mut **tx)
                .await?;
            contact(tx, *device_id, entry.recorded_at).await
        }
        DeviceEvent::DeviceWentOffline(DeviceWentOffline { device_id, last_contact_at }) => {
            sqlx::query("update device set online = false where device_id = $1")
                .bind(device_id.0)
                .execute(&mut **tx)
                .await?;
            contact(tx, *device_id, *last_contact_at).await
        }
        DeviceEvent::ScanCompleted(ScanCompleted { device_id, source, pending_reboot, .. }) => {
            sqlx::query(
                "update device
                    set last_scan_at = $2,
                        scan_source = $3,
                        pending_reboot = $4
                  where device_id = $1",
            )
            .bind(device_id.0)
            .bind(entry.recorded_at)
            .bind(source)
            .bind(pending_reboot)
            .execute(&mut **tx)
            .await?;
            contact(tx, *device_id, entry.recorded_at).await
        }
        DeviceEvent::AvailableUpdatesChanged(AvailableUpdatesChanged { device_id, updates }) => {
            offer(tx, entry, *device_id, updates).await
        }
        DeviceEvent::ScanFailed(ScanFailed { device_id, .. })
        | DeviceEvent::JobDelivered(JobDelivered { device_id, .. })
        | DeviceEvent::JobReported(JobReported { device_id, .. }) => {
            contact(tx, *device_id, entry.recorded_at).await
        }
        DeviceEvent::PatchFoundMissing(_)
        | DeviceEvent::PatchFoundInstalled(_)
        | DeviceEvent::PatchNoLongerApplicable(_) => Ok(()),
    }
}

async fn enrol(tx: &mut Tx, entry: Entry, fact: &AgentEnrolled) -> Result<(), StoreError> {
    sqlx::query(
        "insert into device (device_id, partner_id, customer_id, name, platform, os_release, os_name, mode,
                             agent_version, online, last_contact_at, seq)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, false, $10, $11)",
    )
    .bind(fact.device_id.0)
    .bind(entry.partner_id)
    .bind(fact.customer_id.0)
    .bind(&fact.name)
    .bind(DevicePlatform::from(fact.platform))
    .bind(fact.os.key())
    .bind(&fact.os_name)
    .bind(AgentMode::from(fact.mode))
    .bind(&fact.agent_version)
    .bind(entry.recorded_at)
    .bind(entry.seq)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn contact(tx: &mut Tx, device_id: DeviceId, at: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query("update device set last_contact_at = $2 where device_id = $1 and last_contact_at < $2")
        .bind(device_id.0)
        .bind(at)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

async fn offer(
    tx: &mut Tx,
    entry: Entry,
    device_id: DeviceId,
    updates: &[AvailableUpdate],
) -> Result<(), StoreError> {
    let texts = |of: fn(&AvailableUpdate) -> &str| updates.iter().map(of).collect::<Vec<_>>();
    sqlx::query("delete from available_update where device_id = $1")
        .bind(device_id.0)
        .execute(&mut **tx)
        .await?;
    sqlx::query(
        "insert into available_update (device_id, seq, partner_id, customer_id, name, installed_version,
                                       candidate_version, origin, security)
         select $1, u.n, $2, $3, u.name, u.installed_version, u.candidate_version, u.origin, u.security
           from unnest($4::text[], $5::text[], $6::text[], $7::text[], $8::boolean[])
                with ordinality as u (name, installed_version, candidate_version, origin, security, n)",
    )
    .bind(device_id.0)
    .bind(entry.partner_id)
    .bind(entry.customer_id)
    .bind(texts(|update| &update.name))
    .bind(texts(|update| &update.installed_version))
    .bind(texts(|update| &update.candidate_version))
    .bind(texts(|update| &update.origin))
    .bind(updates.iter().map(|update| update.security).collect::<Vec<_>>())
    .execute(&mut **tx)
    .await?;
    Ok(())
}
