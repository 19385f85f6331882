//! The catalogue of patches as far as it decides what is missing, and what it says of an inventory.

use crate::inventory;
use contracts::{FixTarget, feeds::PatchFacts};
use devices_domain::applicability::{CataloguePatch, Finding, Standing, assess};
use eventstore::{StoreError, Tx};
use kernel::{CustomerId, DeviceId, PartnerId, PatchId, Position, Tenant};
use sqlx::types::Json;
use std::collections::BTreeMap;
use uuid::Uuid;

/// What is judged stays judged by one catalogue until the judgement is recorded: a scan holds this lock together with
/// other scans, a change of the catalogue holds it alone. Else a device that is being scanned while an advisory arrives
/// would be seen by neither.
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

/// Holds the catalogue as it is, and answers with its position in the log.
pub(crate) async fn hold(tx: &mut Tx) -> Result<Position, StoreError> {
    sqlx::query("select pg_advisory_xact_lock_shared($1)").bind(LOCK).execute(&mut **tx).await?;
    let seq = sqlx::query_scalar("select seq from devices.catalogue").fetch_one(&mut **tx).await?;
    Ok(Position(seq))
}

/// Takes the catalogue for a change that the event at `position` brings.
pub(crate) async fn take(tx: &mut Tx, position: Position) -> Result<(), StoreError> {
    sqlx::query("select pg_advisory_xact_lock($1)").bind(LOCK).execute(&mut **tx).await?;
    sqlx::query("update devices.catalogue set seq = greatest(seq, $1)")
        .bind(position.0)
        .execute(&mut **tx)
        .await?;
    Ok(())
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

/// Notes that a newer patch replaces this one; false if it is not known.
pub(crate) async fn supersede(tx: &mut Tx, patch_id: PatchId, by: PatchId) -> Result<bool, StoreError> {
    let known = sqlx::query("update devices.catalogue_patch set superseded_by = $2 where patch_id = $1")
        .bind(patch_id.0)
        .bind(by.0)
        .execute(&mut **tx)
        .await?;
    Ok(known.rows_affected() == 1)
}

/// Notes that the publisher took a patch back; false if it is not known.
pub(crate) async fn withdraw(tx: &mut Tx, patch_id: PatchId) -> Result<bool, StoreError> {
    let known = sqlx::query("update devices.catalogue_patch set withdrawn = true where patch_id = $1")
        .bind(patch_id.0)
        .execute(&mut **tx)
        .await?;
    Ok(known.rows_affected() == 1)
}

/// Under what a patch's targets are found in the index.
pub(crate) async fn items(tx: &mut Tx, patch_id: PatchId) -> Result<Vec<String>, StoreError> {
    let items = sqlx::query_scalar("select item from devices.catalogue_item where patch_id = $1")
        .bind(patch_id.0)
        .fetch_all(&mut **tx)
        .await?;
    Ok(items)
}

/// All that the catalogue says of an inventory.
pub(crate) async fn judge(tx: &mut Tx, hash: &str) -> Result<Findings, StoreError> {
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
    judge_by(tx, hash, &patches).await
}

/// What these patches say of an inventory.
pub(crate) async fn judge_by(
    tx: &mut Tx,
    hash: &str,
    patches: &[CataloguePatch],
) -> Result<Findings, StoreError> {
    let items: Vec<String> = patches.iter().flat_map(|patch| &patch.targets).map(inventory::item).collect();
    let (os, content) = inventory::part(tx, hash, &items).await?;
    Ok(assess(&os, &content, patches))
}

/// A patch with all that it replaces or is replaced by.
pub(crate) async fn family(tx: &mut Tx, patch_id: PatchId) -> Result<Vec<CataloguePatch>, StoreError> {
    let rows: Vec<PatchRow> = sqlx::query_as(
        "with recursive family as (
           select $1::uuid as patch_id
           union
           select next.patch_id
             from family f
            cross join lateral (
              select p.superseded_by as patch_id
                from devices.catalogue_patch p
               where p.patch_id = f.patch_id and p.superseded_by is not null
              union all
              select p.patch_id
                from devices.catalogue_patch p
               where p.superseded_by = f.patch_id
            ) next
         )
         select p.patch_id, p.vendor_patch_id, p.targets, p.withdrawn, p.superseded_by
           from devices.catalogue_patch p
           join family f on f.patch_id = p.patch_id",
    )
    .bind(patch_id.0)
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.into_iter().map(CataloguePatch::from).collect())
}

/// A device that holds something an advisory names.
#[derive(Debug)]
pub(crate) struct Holder {
    /// The device.
    pub(crate) device_id: DeviceId,
    /// Whose it is.
    pub(crate) tenant: Tenant,
    /// Its inventory.
    pub(crate) hash: String,
}

/// The devices whose inventory holds one of the items, by inventory.
pub(crate) async fn holders(tx: &mut Tx, items: &[String]) -> Result<Vec<Holder>, StoreError> {
    let rows: Vec<(Uuid, Uuid, Uuid, String)> = sqlx::query_as(
        "select d.device_id, d.partner_id, d.customer_id, d.inventory_hash
           from devices.device d
          where d.inventory_hash in (select hash from devices.inventory_item where item = any($1))
          order by d.inventory_hash, d.device_id",
    )
    .bind(items)
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|(device, partner, customer, hash)| Holder {
            device_id: DeviceId(device),
            tenant: Tenant::customer(PartnerId(partner), CustomerId(customer)),
            hash,
        })
        .collect())
}
