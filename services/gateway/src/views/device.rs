//! Devices, and what their own package managers offer.

use crate::reading::list::{ById, list};
use crate::views::Entry;
use crate::views::later::{Later, column};
use crate::words::{AgentMode, DevicePlatform};
use chrono::{DateTime, Utc};
use contracts::devices::{
    AgentEnrolled, AvailableUpdate, AvailableUpdatesChanged, DeviceCameOnline, DeviceEvent,
    DeviceExposureChanged, DeviceRegionChanged, DeviceWentOffline, JobDelivered, JobReported, ScanCompleted,
    ScanFailed,
};
use eventstore::{StoreError, Tx};
use kernel::DeviceId;
use std::collections::BTreeMap;
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
    pub(crate) exposed: bool,
    pub(crate) region: Option<String>,
}

macro_rules! device_columns {
    () => {
        "t.device_id, t.customer_id, t.name, t.platform, t.os_release, t.os_name, t.mode, t.agent_version,
         t.online, t.last_contact_at, t.last_scan_at, t.scan_source, t.pending_reboot, t.exposed, t.region, t.seq"
    };
}
pub(super) use device_columns;

impl ById for DeviceRow {
    const BY_IDS: &'static str = concat!(
        "select t.device_id as key, ",
        device_columns!(),
        " from views.device t where t.device_id = any($1)"
    );
}

list! {
    /// A customer's devices; the filter is region, exposure and group, each empty where it is not asked for.
    DEVICES_OF_CUSTOMER: DeviceRow, device_columns from "views.device t"
    where "t.customer_id = p.parent"
    filter "($2[1] = '' or t.region = $2[1])
            and ($2[2] = '' or t.exposed = ($2[2] = 'true'))
            and ($2[3] = '' or exists (select from views.group_member m
                                        where m.device_id = t.device_id and m.group_id = nullif($2[3], '')::uuid))",
    oldest first by "t.seq"
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

/// What is heard of devices: the last that each was in touch, and what was learnt by it.
#[derive(Default)]
pub(super) struct Contacts(BTreeMap<Uuid, Contact>);

#[derive(Default)]
struct Contact {
    at: DateTime<Utc>,
    online: Option<bool>,
    scan: Option<Scan>,
}

struct Scan {
    at: DateTime<Utc>,
    source: String,
    pending_reboot: bool,
}

impl Contacts {
    fn note(&mut self, device_id: DeviceId, at: DateTime<Utc>) -> &mut Contact {
        let contact = self.0.entry(device_id.0).or_default();
        contact.at = contact.at.max(at);
        contact
    }

    pub(super) async fn write(&mut self, tx: &mut Tx) -> Result<(), StoreError> {
        let rows = std::mem::take(&mut self.0);
        if rows.is_empty() {
            return Ok(());
        }
        sqlx::query(
            "update device d
                set online = coalesce(c.online, d.online),
                    last_contact_at = greatest(c.at, d.last_contact_at),
                    last_scan_at = coalesce(c.scanned_at, d.last_scan_at),
                    scan_source = coalesce(c.scan_source, d.scan_source),
                    pending_reboot = coalesce(c.pending_reboot, d.pending_reboot)
               from unnest($1::uuid[], $2::timestamptz[], $3::boolean[], $4::timestamptz[], $5::text[], $6::boolean[])
                    as c (device_id, at, online, scanned_at, scan_source, pending_reboot)
              where d.device_id = c.device_id",
        )
        .bind(column(&rows, |id, _| *id))
        .bind(column(&rows, |_, contact| contact.at))
        .bind(column(&rows, |_, contact| contact.online))
        .bind(column(&rows, |_, contact| contact.scan.as_ref().map(|scan| scan.at)))
        .bind(column(&rows, |_, contact| contact.scan.as_ref().map(|scan| scan.source.as_str())))
        .bind(column(&rows, |_, contact| contact.scan.as_ref().map(|scan| scan.pending_reboot)))
        .execute(&mut **tx)
        .await?;
        Ok(())
    }
}

pub(super) async fn apply(
    tx: &mut Tx,
    later: &mut Later,
    entry: Entry,
    fact: &DeviceEvent,
) -> Result<(), StoreError> {
    match fact {
        DeviceEvent::AgentEnrolled(fact) => {
            later.contacts.write(tx).await?;
            enrol(tx, entry, fact).await?;
        }
        DeviceEvent::DeviceCameOnline(DeviceCameOnline { device_id }) => {
            later.contacts.note(*device_id, entry.recorded_at).online = Some(true);
        }
        DeviceEvent::DeviceWentOffline(DeviceWentOffline { device_id, last_contact_at }) => {
            later.contacts.note(*device_id, *last_contact_at).online = Some(false);
        }
        DeviceEvent::ScanCompleted(ScanCompleted { device_id, source, pending_reboot, .. }) => {
            let scan =
                Scan { at: entry.recorded_at, source: source.clone(), pending_reboot: *pending_reboot };
            later.contacts.note(*device_id, entry.recorded_at).scan = Some(scan);
        }
        DeviceEvent::AvailableUpdatesChanged(AvailableUpdatesChanged { device_id, updates }) => {
            offer(tx, entry, *device_id, updates).await?;
        }
        DeviceEvent::ScanFailed(ScanFailed { device_id, .. })
        | DeviceEvent::JobDelivered(JobDelivered { device_id, .. })
        | DeviceEvent::JobReported(JobReported { device_id, .. }) => {
            later.contacts.note(*device_id, entry.recorded_at);
        }
        DeviceEvent::DeviceExposureChanged(DeviceExposureChanged { device_id, exposed }) => {
            later.contacts.write(tx).await?;
            sqlx::query("update device set exposed = $2 where device_id = $1")
                .bind(device_id.0)
                .bind(exposed)
                .execute(&mut **tx)
                .await?;
        }
        DeviceEvent::DeviceRegionChanged(DeviceRegionChanged { device_id, region }) => {
            later.contacts.write(tx).await?;
            sqlx::query("update device set region = $2 where device_id = $1")
                .bind(device_id.0)
                .bind(region)
                .execute(&mut **tx)
                .await?;
        }
        DeviceEvent::PatchFoundMissing(_)
        | DeviceEvent::PatchFoundInstalled(_)
        | DeviceEvent::PatchNoLongerApplicable(_) => {}
    }
    Ok(())
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
