//! Judges inventories by the changes that wait for them, each inventory once for all of its changes.

use crate::{
    catalogue,
    inventory::{self, Known},
};
use devices_domain::applicability::{CataloguePatch, Finding, assess, news};
use eventstore::{StoreError, Tx};
use kernel::{PartnerId, PatchId};
use sqlx::types::Json;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use uuid::Uuid;

/// Judgements of one transaction. Reading and judging one takes some 50 µs.
const JUDGEMENTS_MAX: i64 = 1_000;

/// A change that an inventory waits to be judged by.
#[derive(sqlx::FromRow)]
struct WaitingRow {
    change: i64,
    hash: String,
    partner_id: Uuid,
    patch_id: Uuid,
    before: Option<Json<CataloguePatch>>,
}

/// An inventory's news.
struct Judged {
    change: i64,
    hash: String,
    news: BTreeMap<PatchId, Finding>,
}

/// Judges some inventories; false if none waits.
pub(super) async fn some(tx: &mut Tx) -> Result<bool, StoreError> {
    let rows = waiting(tx).await?;
    let Some(first) = rows.first() else { return Ok(false) };
    let owner = PartnerId(first.partner_id);
    let patches: BTreeSet<Uuid> = rows.iter().flat_map(WaitingRow::patches).collect();
    let patches: Vec<Uuid> = patches.into_iter().collect();
    let families = Families::of(catalogue::families(tx, owner, &patches).await?, &rows);
    let hashes: BTreeSet<&str> = rows.iter().map(|row| row.hash.as_str()).collect();
    let hashes: Vec<&str> = hashes.into_iter().collect();
    let inventories = inventory::read(tx, &hashes, Some(&families.items(&rows))).await?;
    let mut judged = Vec::new();
    for waiting in rows.chunk_by(|a, b| a.hash == b.hash) {
        let Some(last) = waiting.last() else { continue };
        if let Some(known) = inventories.get(&last.hash) {
            let news = families.news(known, waiting);
            judged.push(Judged { change: last.change, hash: last.hash.clone(), news });
        }
    }
    keep(tx, &rows, judged).await?;
    Ok(true)
}

/// What waits, by inventory: all changes of one inventory that are of one owner come together.
async fn waiting(tx: &mut Tx) -> Result<Vec<WaitingRow>, StoreError> {
    let mut rows: Vec<WaitingRow> = sqlx::query_as(
        "select j.change, j.hash, j.partner_id, c.patch_id, c.before
           from devices.judgement j
           join devices.catalogue_change c using (change)
          where j.findings is null
          order by j.partner_id, j.hash, j.change
          limit $1",
    )
    .bind(JUDGEMENTS_MAX)
    .fetch_all(&mut **tx)
    .await?;
    let owner = rows.first().map(|row| row.partner_id);
    rows.retain(|row| Some(row.partner_id) == owner);
    Ok(rows)
}

/// Keeps what is news with the last of an inventory's changes, and takes the rest off the list.
async fn keep(tx: &mut Tx, rows: &[WaitingRow], judged: Vec<Judged>) -> Result<(), StoreError> {
    let judged: Vec<Judged> = judged.into_iter().filter(|judged| !judged.news.is_empty()).collect();
    let to_tell: BTreeSet<(i64, &str)> =
        judged.iter().map(|judged| (judged.change, judged.hash.as_str())).collect();
    let done = rows.iter().filter(|row| !to_tell.contains(&(row.change, row.hash.as_str())));
    let (changes, hashes): (Vec<i64>, Vec<&str>) = done.map(|row| (row.change, row.hash.as_str())).unzip();
    sqlx::query(
        "delete from devices.judgement j
          using unnest($1::bigint[], $2::text[]) as done (change, hash)
          where j.change = done.change and j.hash = done.hash",
    )
    .bind(changes)
    .bind(hashes)
    .execute(&mut **tx)
    .await?;
    let changes: Vec<i64> = judged.iter().map(|judged| judged.change).collect();
    let hashes: Vec<&str> = judged.iter().map(|judged| judged.hash.as_str()).collect();
    // As pairs: in JSON, an object's key cannot be an id with a type of its own.
    let news: Vec<Json<Vec<(&PatchId, &Finding)>>> =
        judged.iter().map(|judged| Json(judged.news.iter().collect())).collect();
    sqlx::query(
        "update devices.judgement j
            set findings = judged.findings
           from unnest($1::bigint[], $2::text[], $3::jsonb[]) as judged (change, hash, findings)
          where j.change = judged.change and j.hash = judged.hash",
    )
    .bind(changes)
    .bind(hashes)
    .bind(news)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

impl WaitingRow {
    /// The patch, and what replaced it before.
    fn patches(&self) -> impl Iterator<Item = Uuid> {
        let replaced = self.before.as_ref().and_then(|before| before.successor());
        std::iter::once(self.patch_id).chain(replaced.map(|by| by.0))
    }
}

/// Patches that depend on one another, now or before, by each of them.
struct Families {
    members: Vec<Vec<CataloguePatch>>,
    of: HashMap<PatchId, usize>,
}

impl Families {
    fn of(patches: Vec<CataloguePatch>, rows: &[WaitingRow]) -> Self {
        let mut links: Vec<(PatchId, PatchId)> =
            patches.iter().filter_map(|patch| Some((patch.patch_id, patch.successor()?))).collect();
        for row in rows {
            let successor = row.before.as_ref().and_then(|before| before.successor());
            links.extend(successor.map(|by| (PatchId(row.patch_id), by)));
        }
        let mut neighbours: HashMap<PatchId, Vec<PatchId>> = HashMap::new();
        for (one, other) in links {
            neighbours.entry(one).or_default().push(other);
            neighbours.entry(other).or_default().push(one);
        }
        let mut of: HashMap<PatchId, usize> = HashMap::new();
        let mut count = 0;
        for patch in &patches {
            if of.contains_key(&patch.patch_id) {
                continue;
            }
            let mut ahead = vec![patch.patch_id];
            while let Some(id) = ahead.pop() {
                if of.insert(id, count).is_none() {
                    ahead.extend(neighbours.get(&id).into_iter().flatten());
                }
            }
            count += 1;
        }
        let mut members = vec![Vec::new(); count];
        for patch in patches {
            if let Some(family) = of.get(&patch.patch_id).and_then(|at| members.get_mut(*at)) {
                family.push(patch);
            }
        }
        Self { members, of }
    }

    /// Under what all of them are found in inventories, as they are and as they were.
    fn items(&self, rows: &[WaitingRow]) -> Vec<String> {
        let before = rows.iter().filter_map(|row| row.before.as_deref());
        let patches = self.members.iter().flatten().chain(before);
        let items: BTreeSet<String> = patches.flat_map(|patch| &patch.targets).map(inventory::item).collect();
        items.into_iter().collect()
    }

    /// What is said of an inventory now, and was not said before the first of these changes.
    fn news(&self, known: &Known, waiting: &[WaitingRow]) -> BTreeMap<PatchId, Finding> {
        let families: BTreeSet<usize> = waiting
            .iter()
            .flat_map(WaitingRow::patches)
            .filter_map(|id| self.of.get(&PatchId(id)).copied())
            .collect();
        let now: Vec<CataloguePatch> =
            families.iter().filter_map(|at| self.members.get(*at)).flatten().cloned().collect();
        let mut then: BTreeMap<PatchId, CataloguePatch> =
            now.iter().map(|patch| (patch.patch_id, patch.clone())).collect();
        // From the last to the first: what stays is how each patch was before all of them.
        for row in waiting.iter().rev() {
            match row.before.as_deref() {
                Some(before) => then.insert(before.patch_id, before.clone()),
                None => then.remove(&PatchId(row.patch_id)),
            };
        }
        let then: Vec<CataloguePatch> = then.into_values().collect();
        news(&assess(&known.os, &known.content, &then), assess(&known.os, &known.content, &now))
    }
}
