//! Writes what a page of events says of patches: the row of each, what it is found by, and its history.

use super::words;
use crate::views::Entry;
use crate::views::later::{column, planned_anew};
use crate::words::{OutOfBandReason, name};
use chrono::{DateTime, Utc};
use contracts::feeds::PatchFacts;
use eventstore::{StoreError, Tx};
use kernel::PatchId;
use serde::Serialize;
use sqlx::types::Json;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// What an event does to a patch.
pub(super) enum Change {
    /// All of it is said anew.
    Described(Box<PatchFacts>),
    Superseded {
        by: PatchId,
    },
    Withdrawn {
        reason: String,
    },
    OutOfBand {
        reason: contracts::OutOfBandReason,
    },
}

/// At most one change of each patch: a second one has the first written before, since each is a row of the history.
#[derive(Default)]
pub(in crate::views) struct Changes(BTreeMap<Uuid, Noted>);

struct Noted {
    entry: Entry,
    change: Change,
}

impl Changes {
    pub(super) async fn note(
        &mut self,
        tx: &mut Tx,
        entry: Entry,
        patch_id: PatchId,
        change: Change,
    ) -> Result<(), StoreError> {
        if self.0.contains_key(&patch_id.0) {
            self.write(tx).await?;
        }
        self.0.insert(patch_id.0, Noted { entry, change });
        Ok(())
    }

    pub(in crate::views) async fn write(&mut self, tx: &mut Tx) -> Result<(), StoreError> {
        let changes = std::mem::take(&mut self.0);
        if changes.is_empty() {
            return Ok(());
        }
        let mut described = Vec::new();
        let (mut superseded, mut withdrawn, mut marked) = (Vec::new(), Vec::new(), Vec::new());
        for (patch_id, Noted { entry, change }) in &changes {
            let of = (*patch_id, entry.partner_id);
            match change {
                Change::Described(facts) => described.push(Described::of(*entry, facts)),
                Change::Superseded { by } => superseded.push((of, by.0)),
                Change::Withdrawn { reason } => withdrawn.push((of, reason.as_str())),
                Change::OutOfBand { reason } => marked.push((of, name(OutOfBandReason::from(*reason)))),
            }
        }
        describe(tx, described).await?;
        supersede(tx, superseded).await?;
        withdraw(tx, withdrawn).await?;
        mark(tx, marked).await?;
        remember(tx, &changes).await
    }
}

/// A patch as the table has it: its facts under their own names, and what follows from them.
#[derive(Serialize)]
struct Described<'a> {
    #[serde(flatten)]
    facts: &'a PatchFacts,
    partner_id: Uuid,
    urgency: i16,
    words: BTreeSet<String>,
    product_words: BTreeSet<String>,
    kbs: BTreeSet<String>,
    seq: i64,
}

impl<'a> Described<'a> {
    fn of(entry: Entry, facts: &'a PatchFacts) -> Self {
        Self {
            facts,
            partner_id: entry.partner_id,
            urgency: words::urgency(facts.severity),
            words: words::of_text(facts),
            product_words: words::of_products(facts),
            kbs: words::kbs(facts),
            seq: entry.seq,
        }
    }
}

async fn describe(tx: &mut Tx, patches: Vec<Described<'_>>) -> Result<(), StoreError> {
    if patches.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = patches.iter().map(|patch| patch.facts.patch_id.0).collect();
    // A revision changes what is said of the patch, not where it stands or its place in the catalogue; and nobody
    // speaks of another one's patch.
    sqlx::query(include_str!("../../sql/describe_patches.sql"))
        .bind(Json(patches))
        .execute(&mut **tx)
        .await?;
    for statement in FOUND_BY {
        sqlx::query(statement).bind(&ids).execute(&mut **tx).await?;
    }
    Ok(())
}

/// Brings what patches are found by to what their rows say: first what is not true any more, then what is new.
const FOUND_BY: [&str; 10] = [
    "delete from patch_word f using patch p
      where p.patch_id = any($1) and f.patch_id = p.patch_id and f.word <> all(p.words)",
    "insert into patch_word (word, patch_id, partner_id)
     select f.word, p.patch_id, p.partner_id from patch p cross join lateral unnest(p.words) as f (word)
      where p.patch_id = any($1)
         on conflict do nothing",
    "delete from patch_product_word f using patch p
      where p.patch_id = any($1) and f.patch_id = p.patch_id and f.word <> all(p.product_words)",
    "insert into patch_product_word (word, patch_id, partner_id)
     select f.word, p.patch_id, p.partner_id from patch p cross join lateral unnest(p.product_words) as f (word)
      where p.patch_id = any($1)
         on conflict do nothing",
    "delete from patch_kb f using patch p
      where p.patch_id = any($1) and f.patch_id = p.patch_id and f.kb <> all(p.kbs)",
    "insert into patch_kb (kb, patch_id, partner_id)
     select f.kb, p.patch_id, p.partner_id from patch p cross join lateral unnest(p.kbs) as f (kb)
      where p.patch_id = any($1)
         on conflict do nothing",
    "delete from patch_supersedes f using patch p
      where p.patch_id = any($1) and f.patch_id = p.patch_id and f.supersedes <> all(p.supersedes)",
    "insert into patch_supersedes (patch_id, supersedes, partner_id)
     select p.patch_id, f.vendor_id, p.partner_id from patch p cross join lateral unnest(p.supersedes) as f (vendor_id)
      where p.patch_id = any($1)
         on conflict do nothing",
    "delete from patch_cve f using patch p
      where p.patch_id = any($1) and f.patch_id = p.patch_id and f.cve <> all(p.cves)",
    "insert into patch_cve (cve, patch_id, partner_id, place)
     select f.cve, p.patch_id, p.partner_id, min(f.place)
       from patch p cross join lateral unnest(p.cves) with ordinality as f (cve, place)
      where p.patch_id = any($1)
      group by f.cve, p.patch_id, p.partner_id
         on conflict (cve, patch_id) do update set place = excluded.place where patch_cve.place <> excluded.place",
];

async fn supersede(tx: &mut Tx, patches: Vec<((Uuid, Uuid), Uuid)>) -> Result<(), StoreError> {
    if patches.is_empty() {
        return Ok(());
    }
    let (of, by): (Vec<_>, Vec<_>) = patches.into_iter().unzip();
    let (ids, partners): (Vec<_>, Vec<_>) = of.into_iter().unzip();
    sqlx::query(
        "update patch p
            set state = 'SUPERSEDED',
                superseded_by = c.superseded_by
           from unnest($1::uuid[], $2::uuid[], $3::uuid[]) as c (patch_id, partner_id, superseded_by)
          where p.patch_id = c.patch_id and p.partner_id = c.partner_id",
    )
    .bind(ids)
    .bind(partners)
    .bind(by)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn withdraw(tx: &mut Tx, patches: Vec<((Uuid, Uuid), &str)>) -> Result<(), StoreError> {
    if patches.is_empty() {
        return Ok(());
    }
    let (of, reasons): (Vec<_>, Vec<_>) = patches.into_iter().unzip();
    let (ids, partners): (Vec<_>, Vec<_>) = of.into_iter().unzip();
    sqlx::query(
        "update patch p
            set state = 'WITHDRAWN',
                withdrawn_reason = c.reason
           from unnest($1::uuid[], $2::uuid[], $3::text[]) as c (patch_id, partner_id, reason)
          where p.patch_id = c.patch_id and p.partner_id = c.partner_id",
    )
    .bind(ids)
    .bind(partners)
    .bind(reasons)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn mark(tx: &mut Tx, patches: Vec<((Uuid, Uuid), &str)>) -> Result<(), StoreError> {
    if patches.is_empty() {
        return Ok(());
    }
    let (of, reasons): (Vec<_>, Vec<_>) = patches.into_iter().unzip();
    let (ids, partners): (Vec<_>, Vec<_>) = of.into_iter().unzip();
    sqlx::query(
        "update patch p
            set cadence = 'OUT_OF_BAND',
                out_of_band = c.reason
           from unnest($1::uuid[], $2::uuid[], $3::text[]) as c (patch_id, partner_id, reason)
          where p.patch_id = c.patch_id and p.partner_id = c.partner_id",
    )
    .bind(ids)
    .bind(partners)
    .bind(reasons)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Ends what was known of each patch, and notes what is known from now on: the row as it stands.
async fn remember(tx: &mut Tx, changes: &BTreeMap<Uuid, Noted>) -> Result<(), StoreError> {
    let ids: Vec<Uuid> = column(changes, |patch_id, _| *patch_id);
    let partners: Vec<Uuid> = column(changes, |_, noted| noted.entry.partner_id);
    let times: Vec<DateTime<Utc>> = column(changes, |_, noted| noted.entry.recorded_at);
    let positions: Vec<i64> = column(changes, |_, noted| noted.entry.seq);
    for statement in [
        "update patch_version v
            set known_until = c.recorded_at
           from unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::bigint[]) as c (patch_id, partner_id, recorded_at, changed)
          where v.patch_id = c.patch_id and v.partner_id = c.partner_id and v.known_until is null",
        include_str!("../../sql/remember_patches.sql"),
    ] {
        planned_anew(statement)
            .bind(&ids)
            .bind(&partners)
            .bind(&times)
            .bind(&positions)
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}
