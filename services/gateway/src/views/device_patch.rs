//! What is known of each patch on each device.
//!
//! ```text
//! MISSING ─job─▶ DOWNLOADING ▶ INSTALLING ▶ PENDING_REBOOT ▶ VERIFYING ─a scan sees it─▶ INSTALLED
//!    ▲                                          └── FAILED ──a scan sees it─────────────────┘
//!    └── a scan misses it again ─────────────────────────────────────────────────────────── ┘
//! ```
//! Only a scan makes a patch INSTALLED, so what a job says later does not change it any more.

use crate::reading::list::list;
use crate::views::Entry;
use crate::views::decision::decisive_rank;
use crate::views::later::{Later, column};
use crate::words::{DevicePatchState, name};
use chrono::{DateTime, Utc};
use contracts::devices::{
    DeviceEvent, MissingPackage, PatchFoundInstalled, PatchFoundMissing, PatchNoLongerApplicable,
};
use contracts::scheduling::{
    DeviceJobEvent, DeviceJobFailed, DeviceJobQueued, DeviceJobTimedOut, DownloadInitiated, InstallStarted,
    RebootRequired, VerificationStarted,
};
use eventstore::{StoreError, Tx};
use kernel::{DeviceId, JobId, PatchId};
use sqlx::types::Json;
use std::collections::BTreeMap;
use uuid::Uuid;

/// A patch on a device as GraphQL shows it.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct DevicePatchRow {
    pub(crate) device_id: Uuid,
    pub(crate) patch_id: Uuid,
    pub(crate) state: DevicePatchState,
    pub(crate) reason: Option<String>,
    pub(crate) packages: Json<Vec<MissingPackage>>,
    pub(crate) job_id: Option<Uuid>,
    pub(crate) since: DateTime<Utc>,
    pub(crate) missing_since: Option<DateTime<Utc>>,
}

macro_rules! columns {
    () => {
        concat!(
            "t.device_id,
         t.patch_id,
         case when t.state = 'MISSING' and ",
            decisive_rank!(),
            " % 10 = 2 then 'APPROVED_WAITING' else t.state end as state,
         t.reason, t.packages, t.job_id, t.since, t.missing_since, t.seq"
        )
    };
}

list! {
    /// What keeps a device from being compliant: applicable and not installed.
    MISSING_OF_DEVICE: DevicePatchRow,
    columns from "views.device_patch t"
    where "t.device_id = p.parent and t.state <> 'INSTALLED'", oldest first by "t.seq"
}

list! {
    /// All that is known of a device's patches, filtered by state.
    PATCHES_OF_DEVICE: DevicePatchRow,
    columns from "views.device_patch t"
    where "t.device_id = p.parent" only "t.state", oldest first by "t.seq"
}

list! {
    /// The devices of the caller's partner that a patch is missing on; the filter names the customers to be seen.
    MISSING_OF_PATCH: DevicePatchRow,
    columns from "views.device_patch t"
    where "t.partner_id = (select nullif(current_setting('app.partner_id', true), '')::uuid)
           and t.patch_id = p.parent and t.state <> 'INSTALLED'"
    only "t.customer_id::text", oldest first by "t.seq"
}

/// The row of patch `$2` on device `$1`.
pub(crate) const PATCH_ON_DEVICE: &str =
    concat!("select ", columns!(), " from views.device_patch t where t.device_id = $1 and t.patch_id = $2");

/// What scans saw of patches on devices: it replaces what was known.
#[derive(Default)]
pub(super) struct Sightings(BTreeMap<(Uuid, Uuid), Sighting>);

struct Sighting {
    partner_id: Uuid,
    customer_id: Option<Uuid>,
    state: DevicePatchState,
    /// None leaves those that were known.
    packages: Option<Json<Vec<MissingPackage>>>,
    since: DateTime<Utc>,
    /// Since when it is missing, as far as these sightings say.
    missing_since: Option<DateTime<Utc>>,
    /// Whether it was seen installed meanwhile: then it is missing anew.
    came_back: bool,
    /// Of the first one: it made the row.
    seq: i64,
}

impl Sightings {
    fn note(
        &mut self,
        entry: Entry,
        (device_id, patch_id): (DeviceId, PatchId),
        state: DevicePatchState,
        packages: Option<Vec<MissingPackage>>,
    ) {
        let sighting = self.0.entry((device_id.0, patch_id.0)).or_insert(Sighting {
            partner_id: entry.partner_id,
            customer_id: entry.customer_id,
            state,
            packages: None,
            since: entry.recorded_at,
            missing_since: None,
            came_back: false,
            seq: entry.seq,
        });
        if state == DevicePatchState::Missing {
            sighting.missing_since.get_or_insert(entry.recorded_at);
        } else {
            sighting.missing_since = None;
            sighting.came_back = true;
        }
        sighting.state = state;
        sighting.since = entry.recorded_at;
        if let Some(packages) = packages {
            sighting.packages = Some(Json(packages));
        }
    }

    pub(super) async fn write(&mut self, tx: &mut Tx) -> Result<(), StoreError> {
        let rows = std::mem::take(&mut self.0);
        if rows.is_empty() {
            return Ok(());
        }
        // What is left of the packages is known to the row alone: `excluded` cannot tell none from those of a new row.
        sqlx::query(
            "insert into device_patch (device_id, patch_id, partner_id, customer_id, state, packages, since, seq,
                                       missing_since)
             select s.device_id, s.patch_id, s.partner_id, s.customer_id, s.state,
                    coalesce(s.packages, k.packages, '[]'), s.since, s.seq,
                    case when s.state <> 'MISSING' then null
                         when s.came_back then s.missing_since
                         else coalesce(k.missing_since, s.missing_since)
                    end
               from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::jsonb[], $7::timestamptz[],
                           $8::bigint[], $9::timestamptz[], $10::boolean[])
                    as s (device_id, patch_id, partner_id, customer_id, state, packages, since, seq, missing_since,
                          came_back)
               left join device_patch k on k.device_id = s.device_id and k.patch_id = s.patch_id
             on conflict (device_id, patch_id) do update
                set state = excluded.state,
                    reason = null,
                    packages = excluded.packages,
                    since = excluded.since,
                    missing_since = excluded.missing_since",
        )
        .bind(column(&rows, |key, _| key.0))
        .bind(column(&rows, |key, _| key.1))
        .bind(column(&rows, |_, row| row.partner_id))
        .bind(column(&rows, |_, row| row.customer_id))
        .bind(column(&rows, |_, row| name(row.state)))
        .bind(column(&rows, |_, row| row.packages.as_ref()))
        .bind(column(&rows, |_, row| row.since))
        .bind(column(&rows, |_, row| row.seq))
        .bind(column(&rows, |_, row| row.missing_since))
        .bind(column(&rows, |_, row| row.came_back))
        .execute(&mut **tx)
        .await?;
        Ok(())
    }
}

pub(super) async fn apply(
    tx: &mut Tx,
    later: &mut Later,
    entry: Entry,
    fact: DeviceEvent,
) -> Result<(), StoreError> {
    match fact {
        DeviceEvent::PatchFoundMissing(PatchFoundMissing { device_id, patch_id, packages }) => {
            let of = (device_id, patch_id);
            later.sightings.note(entry, of, DevicePatchState::Missing, Some(packages));
        }
        DeviceEvent::PatchFoundInstalled(PatchFoundInstalled { device_id, patch_id, job_id: _ }) => {
            later.sightings.note(entry, (device_id, patch_id), DevicePatchState::Installed, None);
        }
        DeviceEvent::PatchNoLongerApplicable(PatchNoLongerApplicable { device_id, patch_id, reason: _ }) => {
            later.sightings.write(tx).await?;
            sqlx::query("delete from device_patch where device_id = $1 and patch_id = $2")
                .bind(device_id.0)
                .bind(patch_id.0)
                .execute(&mut **tx)
                .await?;
        }
        DeviceEvent::AgentEnrolled(_)
        | DeviceEvent::DeviceCameOnline(_)
        | DeviceEvent::DeviceWentOffline(_)
        | DeviceEvent::ScanCompleted(_)
        | DeviceEvent::ScanFailed(_)
        | DeviceEvent::AvailableUpdatesChanged(_)
        | DeviceEvent::DeviceExposureChanged(_)
        | DeviceEvent::DeviceRegionChanged(_)
        | DeviceEvent::JobDelivered(_)
        | DeviceEvent::JobReported(_) => {}
    }
    Ok(())
}

pub(super) async fn apply_job(
    tx: &mut Tx,
    later: &mut Later,
    entry: Entry,
    fact: &DeviceJobEvent,
) -> Result<(), StoreError> {
    match fact {
        DeviceJobEvent::DeviceJobQueued(DeviceJobQueued { job_id, device_id, patches, .. }) => {
            later.sightings.write(tx).await?;
            let patch_ids: Vec<Uuid> = patches.iter().map(|order| order.patch_id.0).collect();
            // A new attempt: what the last one failed on is history.
            sqlx::query(
                "update device_patch
                    set job_id = $3,
                        since = case when state = 'FAILED' then $4 else since end,
                        reason = null,
                        state = case when state = 'FAILED' then 'MISSING' else state end
                  where device_id = $1 and patch_id = any($2) and state <> 'INSTALLED'",
            )
            .bind(device_id.0)
            .bind(patch_ids)
            .bind(job_id.0)
            .bind(entry.recorded_at)
            .execute(&mut **tx)
            .await?;
            Ok(())
        }
        DeviceJobEvent::DownloadInitiated(DownloadInitiated { job_id, .. }) => {
            step(tx, later, entry, *job_id, DevicePatchState::Downloading, None).await
        }
        DeviceJobEvent::InstallStarted(InstallStarted { job_id, .. }) => {
            step(tx, later, entry, *job_id, DevicePatchState::Installing, None).await
        }
        DeviceJobEvent::RebootRequired(RebootRequired { job_id, .. }) => {
            step(tx, later, entry, *job_id, DevicePatchState::PendingReboot, None).await
        }
        DeviceJobEvent::VerificationStarted(VerificationStarted { job_id, .. }) => {
            step(tx, later, entry, *job_id, DevicePatchState::Verifying, None).await
        }
        DeviceJobEvent::DeviceJobFailed(DeviceJobFailed { job_id, reason, .. }) => {
            step(tx, later, entry, *job_id, DevicePatchState::Failed, Some(reason)).await
        }
        DeviceJobEvent::DeviceJobTimedOut(DeviceJobTimedOut { job_id, stage, .. }) => {
            let reason = format!("no word from the agent while {stage}");
            step(tx, later, entry, *job_id, DevicePatchState::Failed, Some(&reason)).await
        }
        DeviceJobEvent::DeviceJobSkipped(_)
        | DeviceJobEvent::DeviceJobDispatched(_)
        | DeviceJobEvent::DeviceJobAcknowledged(_)
        | DeviceJobEvent::DeviceJobSucceeded(_)
        | DeviceJobEvent::DeviceJobLateResultRecorded(_) => Ok(()),
    }
}

/// What a job says of the patches that no scan has seen yet.
async fn step(
    tx: &mut Tx,
    later: &mut Later,
    entry: Entry,
    job_id: JobId,
    state: DevicePatchState,
    reason: Option<&str>,
) -> Result<(), StoreError> {
    later.sightings.write(tx).await?;
    sqlx::query(
        "update device_patch
            set state = $3,
                reason = $4,
                since = $5
          where job_id = $1
            and device_id = (select device_id from device_job where job_id = $1)
            and state <> $2",
    )
    .bind(job_id.0)
    .bind(DevicePatchState::Installed)
    .bind(state)
    .bind(reason)
    .bind(entry.recorded_at)
    .execute(&mut **tx)
    .await?;
    Ok(())
}
