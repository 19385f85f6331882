//! The shared catalogue of patches.

use crate::reading::list::ById;
use crate::views::Entry;
use crate::words::{Classification, DevicePlatform, PatchState, RebootBehaviour, Severity};
use chrono::NaiveDate;
use contracts::FixTarget;
use contracts::feeds::{
    PatchEvent, PatchFacts, PatchPublished, PatchRevised, PatchSuperseded, PatchWithdrawn,
};
use eventstore::{StoreError, Tx};
use sqlx::types::Json;
use uuid::Uuid;

/// A patch as GraphQL shows it.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct PatchRow {
    pub(crate) patch_id: Uuid,
    pub(crate) feed_id: Uuid,
    pub(crate) vendor_patch_id: String,
    pub(crate) name: String,
    pub(crate) platform: DevicePlatform,
    pub(crate) os_versions: Vec<String>,
    pub(crate) vendor_severity: String,
    pub(crate) severity: Severity,
    pub(crate) classification: Classification,
    pub(crate) release_date: NaiveDate,
    pub(crate) cves: Vec<String>,
    pub(crate) targets: Json<Vec<FixTarget>>,
    pub(crate) supersedes: Vec<String>,
    pub(crate) reboot: RebootBehaviour,
    pub(crate) url: Option<String>,
    pub(crate) state: PatchState,
    pub(crate) superseded_by: Option<Uuid>,
}

macro_rules! columns {
    () => {
        "t.patch_id, t.feed_id, t.vendor_patch_id, t.name, t.platform, t.os_versions, t.vendor_severity,
         t.severity, t.classification, t.release_date, t.cves, t.targets, t.supersedes, t.reboot, t.url,
         t.state, t.superseded_by, t.seq"
    };
}

impl ById for PatchRow {
    const BY_IDS: &'static str =
        concat!("select t.patch_id as key, ", columns!(), " from views.patch t where t.patch_id = any($1)");
}

macro_rules! wanted {
    () => {
        " from views.patch t
         where ($1::text is null
                or t.name ilike $1
                or t.vendor_patch_id ilike $1
                or exists (select from unnest(t.cves) as c (cve) where c.cve ilike $1))
           and ($2::text is null or t.platform = $2)
           and ($3::text[] is null or t.severity = any($3))"
    };
}

/// Search pattern, platform, severities, key to start after, limit.
pub(crate) const SEARCH: &str = concat!(
    "select ",
    columns!(),
    wanted!(),
    " and ($4::bigint is null or t.seq < $4) order by t.seq desc limit $5"
);

/// Search pattern, platform, severities.
pub(crate) const SEARCH_COUNT: &str = concat!("select count(*)", wanted!());

pub(super) async fn apply(tx: &mut Tx, entry: Entry, fact: PatchEvent) -> Result<(), StoreError> {
    match fact {
        PatchEvent::PatchPublished(PatchPublished { patch })
        | PatchEvent::PatchRevised(PatchRevised { patch, changed: _ }) => keep(tx, entry, patch).await?,
        PatchEvent::PatchSuperseded(PatchSuperseded {
            patch_id,
            superseded_by,
            superseded_by_vendor_id: _,
        }) => {
            sqlx::query("update patch set state = 'SUPERSEDED', superseded_by = $2 where patch_id = $1")
                .bind(patch_id.0)
                .bind(superseded_by.0)
                .execute(&mut **tx)
                .await?;
        }
        PatchEvent::PatchMarkedOutOfBand(_) => {}
        PatchEvent::PatchWithdrawn(PatchWithdrawn { patch_id, reason }) => {
            sqlx::query("update patch set state = 'WITHDRAWN', withdrawn_reason = $2 where patch_id = $1")
                .bind(patch_id.0)
                .bind(reason)
                .execute(&mut **tx)
                .await?;
        }
    }
    Ok(())
}

async fn keep(tx: &mut Tx, entry: Entry, patch: PatchFacts) -> Result<(), StoreError> {
    // A revision changes what is said of the patch, not where it stands or its place in the catalogue.
    sqlx::query(
        "insert into patch (patch_id, feed_id, vendor_patch_id, name, platform, os_versions, vendor_severity,
                            severity, classification, release_date, cves, targets, supersedes, reboot, url,
                            state, seq)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, 'PUBLISHED', $16)
         on conflict (patch_id) do update
            set feed_id = excluded.feed_id,
                vendor_patch_id = excluded.vendor_patch_id,
                name = excluded.name,
                platform = excluded.platform,
                os_versions = excluded.os_versions,
                vendor_severity = excluded.vendor_severity,
                severity = excluded.severity,
                classification = excluded.classification,
                release_date = excluded.release_date,
                cves = excluded.cves,
                targets = excluded.targets,
                supersedes = excluded.supersedes,
                reboot = excluded.reboot,
                url = excluded.url",
    )
    .bind(patch.patch_id.0)
    .bind(patch.feed_id.0)
    .bind(patch.vendor_patch_id)
    .bind(patch.name)
    .bind(DevicePlatform::from(patch.platform))
    .bind(patch.os_versions)
    .bind(patch.vendor_severity)
    .bind(Severity::from(patch.severity))
    .bind(Classification::from(patch.classification))
    .bind(patch.release_date)
    .bind(patch.cves)
    .bind(Json(patch.targets))
    .bind(patch.supersedes)
    .bind(RebootBehaviour::from(patch.reboot))
    .bind(patch.url)
    .bind(entry.seq)
    .execute(&mut **tx)
    .await?;
    Ok(())
}
