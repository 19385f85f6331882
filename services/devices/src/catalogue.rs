//! The catalogue of patches as far as it decides what is missing, and what it says of an inventory.

use crate::inventory::{self, Known};
use contracts::{FixTarget, OsRelease, agent::Inventory, feeds::PatchFacts};
use devices_domain::applicability::{CataloguePatch, Finding, Standing, assess};
use eventstore::{StoreError, Tx};
use kernel::{PartnerId, PatchId, Position};
use sqlx::types::Json;
use std::collections::BTreeMap;
use uuid::Uuid;

/// A scan is judged by one catalogue until the judgement is recorded: it holds this lock together with other scans, a
/// change of the catalogue holds it alone. So a device that is being scanned while an advisory arrives is seen by one of
/// both: either the scan has been recorded, and the change finds the device's inventory among those to be judged; or the
/// change has been taken in, the scan is judged with it, and the device notes that it was.
const LOCK: i64 = 0x7066_6361_7461;

/// What the catalogue says of patches.
pub(crate) type Findings = BTreeMap<PatchId, Finding>;

#[derive(sqlx::FromRow)]
struct PatchRow {
    patch_id: Uuid,
    vendor_patch_id: String,
    targets: Json<Vec<FixTarget>>,
    withdrawn: bool,
    superseded_by: Option<Uuid>,
}

impl From<PatchRow> for CataloguePatch {
    fn from(row: PatchRow) -> Self {
        Self {
            patch_id: PatchId(row.patch_id),
            vendor_patch_id: row.vendor_patch_id,
            targets: row.targets.0,
            standing: match (row.withdrawn, row.superseded_by) {
                (true, _) => Standing::Withdrawn,
                (false, Some(by)) => Standing::Superseded { by: PatchId(by) },
                (false, None) => Standing::Current,
            },
        }
    }
}

/// The catalogue, which stays as it is until the transaction ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held {
    /// How far in the log it is.
    pub(crate) position: Position,
    /// The last change that was taken in.
    pub(crate) change: i64,
}

/// Holds the catalogue as it is.
pub(crate) async fn hold(tx: &mut Tx) -> Result<Held, StoreError> {
    sqlx::query("select pg_advisory_xact_lock_shared($1)").bind(LOCK).execute(&mut **tx).await?;
    let (seq, change) =
        sqlx::query_as("select seq, change from devices.catalogue").fetch_one(&mut **tx).await?;
    Ok(Held { position: Position(seq), change })
}

/// Takes the catalogue for a change that the event at `position` brings; answers with the number of the change.
pub(crate) async fn take(tx: &mut Tx, position: Position) -> Result<i64, StoreError> {
    sqlx::query("select pg_advisory_xact_lock($1)").bind(LOCK).execute(&mut **tx).await?;
    let change = sqlx::query_scalar(
        "update devices.catalogue set seq = greatest(seq, $1), change = change + 1 returning change",
    )
    .bind(position.0)
    .fetch_one(&mut **tx)
    .await?;
    Ok(change)
}

/// A patch as it is known now.
pub(crate) async fn known(tx: &mut Tx, patch_id: PatchId) -> Result<Option<CataloguePatch>, StoreError> {
    let row: Option<PatchRow> = sqlx::query_as(
        "select patch_id, vendor_patch_id, targets, withdrawn, superseded_by
           from devices.catalogue_patch
          where patch_id = $1",
    )
    .bind(patch_id.0)
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(CataloguePatch::from))
}

/// Keeps a patch as it is now: the platform's (the nil id) for everybody's devices, a partner's for its own.
pub(crate) async fn keep(tx: &mut Tx, owner: PartnerId, patch: &PatchFacts) -> Result<(), StoreError> {
    sqlx::query(
        "insert into devices.catalogue_patch (patch_id, vendor_patch_id, targets, partner_id)
         values ($1, $2, $3, $4)
         on conflict (patch_id) do update
            set vendor_patch_id = excluded.vendor_patch_id, targets = excluded.targets",
    )
    .bind(patch.patch_id.0)
    .bind(&patch.vendor_patch_id)
    .bind(Json(&patch.targets))
    .bind(owner.0)
    .execute(&mut **tx)
    .await?;
    let items: Vec<String> = patch.targets.iter().map(inventory::item).collect();
    sqlx::query("delete from devices.catalogue_item where patch_id = $1 and item <> all($2)")
        .bind(patch.patch_id.0)
        .bind(&items)
        .execute(&mut **tx)
        .await?;
    sqlx::query(
        "insert into devices.catalogue_item (item, patch_id, partner_id)
         select distinct new.item, $1::uuid, $3::uuid from unnest($2::text[]) as new (item)
         on conflict do nothing",
    )
    .bind(patch.patch_id.0)
    .bind(&items)
    .bind(owner.0)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Notes that a newer patch replaces this one.
pub(crate) async fn supersede(tx: &mut Tx, patch_id: PatchId, by: PatchId) -> Result<(), StoreError> {
    sqlx::query("update devices.catalogue_patch set superseded_by = $2 where patch_id = $1")
        .bind(patch_id.0)
        .bind(by.0)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Notes that the publisher took a patch back.
pub(crate) async fn withdraw(tx: &mut Tx, patch_id: PatchId) -> Result<(), StoreError> {
    sqlx::query("update devices.catalogue_patch set withdrawn = true where patch_id = $1")
        .bind(patch_id.0)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Under what a patch's targets are found in the index.
pub(crate) async fn items(tx: &mut Tx, patch_id: PatchId) -> Result<Vec<String>, StoreError> {
    let items = sqlx::query_scalar("select item from devices.catalogue_item where patch_id = $1")
        .bind(patch_id.0)
        .fetch_all(&mut **tx)
        .await?;
    Ok(items)
}

/// All that the catalogue says of an inventory, whose content is read unless it is at hand.
pub(crate) async fn judge(
    tx: &mut Tx,
    hash: &str,
    at_hand: Option<(&OsRelease, &Inventory)>,
) -> Result<Findings, StoreError> {
    // What replaces a patch belongs to its judgement, also where it applies to other things.
    let rows: Vec<PatchRow> = sqlx::query_as(
        "with recursive relevant as (
           select c.patch_id
             from devices.inventory_item i
             join devices.catalogue_item c on c.item = i.item
            where i.hash = $1
           union
           select p.superseded_by
             from relevant r
             join devices.catalogue_patch p on p.patch_id = r.patch_id
            where p.superseded_by is not null
         )
         select p.patch_id, p.vendor_patch_id, p.targets, p.withdrawn, p.superseded_by
           from devices.catalogue_patch p
           join relevant r on r.patch_id = p.patch_id",
    )
    .bind(hash)
    .fetch_all(&mut **tx)
    .await?;
    let patches: Vec<CataloguePatch> = rows.into_iter().map(CataloguePatch::from).collect();
    if let Some((os, content)) = at_hand {
        return Ok(assess(os, content, &patches));
    }
    let inventory = inventory::read(tx, &[hash], None).await?.remove(hash);
    let Known { os, content } =
        inventory.ok_or_else(|| StoreError::Corrupt { what: format!("devices.inventory has no {hash}") })?;
    Ok(assess(&os, &content, &patches))
}

/// These patches with all that they replace or are replaced by, as far as `owner` sees them: everybody's, and its own.
pub(crate) async fn families(
    tx: &mut Tx,
    owner: PartnerId,
    patches: &[Uuid],
) -> Result<Vec<CataloguePatch>, StoreError> {
    let rows: Vec<PatchRow> = sqlx::query_as(
        "with recursive family as (
           select unnest($1::uuid[]) as patch_id
           union
           select next.patch_id
             from family f
            cross join lateral (
              select p.superseded_by as patch_id
                from devices.catalogue_patch p
               where p.patch_id = f.patch_id and p.superseded_by is not null
                 and p.partner_id = any (array[$2, $3])
              union all
              select p.patch_id
                from devices.catalogue_patch p
               where p.superseded_by = f.patch_id
                 and p.partner_id = any (array[$2, $3])
            ) next
         )
         select p.patch_id, p.vendor_patch_id, p.targets, p.withdrawn, p.superseded_by
           from devices.catalogue_patch p
           join family f on f.patch_id = p.patch_id
          where p.partner_id = any (array[$2, $3])",
    )
    .bind(patches)
    .bind(owner.0)
    .bind(Uuid::nil())
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.into_iter().map(CataloguePatch::from).collect())
}
