//! The catalogue of patches: the platform's for everybody, a partner's for the partner and its customers.

pub(crate) mod history;
mod notes;
pub(crate) mod search;
pub(crate) mod words;

use crate::reading::list::{ById, list, offered};
use crate::views::Entry;
use crate::views::later::Later;
use crate::words::{
    Cadence, Classification, DevicePlatform, OutOfBandReason, PatchState, RebootBehaviour, Severity,
};
use chrono::NaiveDate;
use contracts::FixTarget;
use contracts::feeds::{
    PatchEvent, PatchMarkedOutOfBand, PatchPublished, PatchRevised, PatchSuperseded, PatchWithdrawn,
};
use eventstore::{StoreError, Tx};
use notes::Change;
pub(super) use notes::Changes;
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
    pub(crate) is_dated: bool,
    pub(crate) cves: Vec<String>,
    pub(crate) targets: Json<Vec<FixTarget>>,
    pub(crate) supersedes: Vec<String>,
    pub(crate) prerequisites: Vec<String>,
    pub(crate) advisories: Vec<String>,
    pub(crate) reboot: RebootBehaviour,
    pub(crate) url: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) size_bytes: Option<i64>,
    pub(crate) cadence: Cadence,
    pub(crate) out_of_band: Option<OutOfBandReason>,
    pub(crate) state: PatchState,
    pub(crate) superseded_by: Option<Uuid>,
    pub(crate) withdrawn_reason: Option<String>,
    pub(crate) is_kev: bool,
}

/// What the table of today and its history have in common.
macro_rules! columns {
    () => {
        "t.patch_id, t.feed_id, t.vendor_patch_id, t.name, t.platform, t.os_versions, t.vendor_severity,
         t.severity, t.classification, t.release_date, t.is_dated, t.cves, t.targets, t.supersedes, t.prerequisites,
         t.advisories, t.reboot, t.url, t.version, t.size_bytes, t.cadence, t.out_of_band, t.state, t.superseded_by,
         t.withdrawn_reason, t.urgency, t.seq"
    };
}
use columns;

macro_rules! all_columns {
    () => {
        concat!(columns!(), ", t.is_kev")
    };
}

impl ById for PatchRow {
    const BY_IDS: &'static str = concat!(
        "select t.patch_id as key, ",
        all_columns!(),
        " from views.patch t where t.patch_id = any($1) and ",
        offered!()
    );
}

// Two patches may carry one vendor id where it is an advisory's, which fixes several systems: hence the versions.
list! {
    /// The patches that one says it replaces, as far as they are known.
    REPLACED_BY_PATCH: PatchRow, all_columns from "views.patch o
        join views.patch_supersedes e on e.patch_id = o.patch_id
        join views.patch t on t.vendor_patch_id = e.supersedes"
    where offered "o.patch_id = p.parent
           and t.patch_id <> o.patch_id and t.platform = o.platform and t.os_versions && o.os_versions",
    newest first by "t.seq"
}

list! {
    /// The patches that say they replace one.
    REPLACING_PATCH: PatchRow, all_columns from "views.patch o
        join views.patch_supersedes e on e.supersedes = o.vendor_patch_id
        join views.patch t on t.patch_id = e.patch_id"
    where offered "o.patch_id = p.parent
           and t.patch_id <> o.patch_id and t.platform = o.platform and t.os_versions && o.os_versions",
    newest first by "t.seq"
}

list! {
    /// The patches that close a vulnerability.
    PATCHES_OF_VULNERABILITY: PatchRow, all_columns from "views.patch_cve c join views.patch t on t.patch_id = c.patch_id"
    where offered "c.cve_id = p.parent", newest first by "t.seq"
}

list! {
    /// The patches that wait for somebody's decision at a customer: missing on one of its devices where no decision holds.
    PENDING_OF_CUSTOMER: PatchRow, all_columns from "(select distinct m.patch_id
                 from views.device_patch m
                where m.customer_id = p.parent
                  and m.state <> 'INSTALLED'
                  and not exists (
                        select from views.decision d
                         where d.scope_id in (m.device_id, m.customer_id, m.partner_id)
                           and d.patch_id = m.patch_id
                           and d.rank is not null)
                  and not exists (
                        select from views.group_member g
                          join views.decision d on d.scope_id = g.group_id and d.patch_id = m.patch_id
                         where g.device_id = m.device_id and d.rank is not null)) w
        join views.patch t on t.patch_id = w.patch_id"
    where offered "t.state = 'PUBLISHED'", newest first by "t.seq"
}

pub(super) async fn apply(
    tx: &mut Tx,
    later: &mut Later,
    entry: Entry,
    fact: PatchEvent,
) -> Result<(), StoreError> {
    let (patch_id, change) = match fact {
        PatchEvent::PatchPublished(PatchPublished { patch })
        | PatchEvent::PatchRevised(PatchRevised { patch, changed: _ }) => {
            (patch.patch_id, Change::Described(Box::new(patch)))
        }
        PatchEvent::PatchSuperseded(PatchSuperseded {
            patch_id,
            superseded_by,
            superseded_by_vendor_id: _,
        }) => (patch_id, Change::Superseded { by: superseded_by }),
        PatchEvent::PatchMarkedOutOfBand(PatchMarkedOutOfBand { patch_id, reason }) => {
            (patch_id, Change::OutOfBand { reason })
        }
        PatchEvent::PatchWithdrawn(PatchWithdrawn { patch_id, reason }) => {
            (patch_id, Change::Withdrawn { reason })
        }
    };
    later.patches.note(tx, entry, patch_id, change).await
}
