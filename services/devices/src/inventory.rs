//! Inventories, kept once per content, with the index from what advisories name to who has it.

use contracts::{
    FixTarget, OsRelease,
    agent::{InstalledPackage, Inventory},
};
use eventstore::{StoreError, Tx};
use sqlx::types::Json;
use std::collections::BTreeMap;

/// Under what an advisory's target is found in the index.
pub(crate) fn item(target: &FixTarget) -> String {
    match target {
        FixTarget::SourcePackage { os, source, .. } => source_item(os, source),
        FixTarget::Kb { kb, .. } => kb_item(kb),
        FixTarget::BinaryPackage { os, package, .. } => format!("{}/binary/{package}", os.key()),
        FixTarget::OemComponent { os, vendor, component, .. } => {
            format!("{}/oem/{vendor}/{component}", os.key())
        }
    }
}

fn source_item(os: &OsRelease, source: &str) -> String {
    format!("{}/{source}", os.key())
}

fn kb_item(kb: &str) -> String {
    format!("{KB_PREFIX}{kb}")
}

/// No release has this key, which always holds a colon.
const KB_PREFIX: &str = "kb/";

/// Keeps an inventory whose hash was checked; answers with the number of its items.
pub(crate) async fn keep(
    tx: &mut Tx,
    hash: &str,
    os: &OsRelease,
    content: &Inventory,
) -> Result<i32, StoreError> {
    let count = match content {
        Inventory::Packages { packages } => packages.len(),
        Inventory::WindowsUpdates { installed, .. } => installed.len(),
    };
    let count = i32::try_from(count).unwrap_or(i32::MAX);
    let new = sqlx::query(
        "insert into devices.inventory (hash, os_id, os_version, item_count)
         values ($1, $2, $3, $4)
         on conflict do nothing",
    )
    .bind(hash)
    .bind(&os.id)
    .bind(&os.version)
    .bind(count)
    .execute(&mut **tx)
    .await?
    .rows_affected();
    if new == 1 {
        match content {
            Inventory::Packages { packages } => keep_packages(tx, hash, os, packages).await?,
            Inventory::WindowsUpdates { installed, applicable, .. } => {
                keep_updates(tx, hash, installed, applicable).await?;
            }
        }
    }
    Ok(count)
}

async fn keep_packages(
    tx: &mut Tx,
    hash: &str,
    os: &OsRelease,
    packages: &[InstalledPackage],
) -> Result<(), StoreError> {
    let mut by_source: BTreeMap<&str, Vec<&InstalledPackage>> = BTreeMap::new();
    for package in packages {
        by_source.entry(&package.source).or_default().push(package);
    }
    let items: Vec<String> = by_source.keys().map(|source| source_item(os, source)).collect();
    let lists: Vec<Json<Vec<&InstalledPackage>>> = by_source.into_values().map(Json).collect();
    sqlx::query(
        "insert into devices.inventory_item (item, hash, packages)
         select new.item, $1, new.packages
           from unnest($2::text[], $3::jsonb[]) as new (item, packages)",
    )
    .bind(hash)
    .bind(items)
    .bind(lists)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn keep_updates(
    tx: &mut Tx,
    hash: &str,
    installed: &[String],
    applicable: &[String],
) -> Result<(), StoreError> {
    // What is offered again although it is installed is not installed well.
    let updates: BTreeMap<&String, bool> =
        installed.iter().map(|kb| (kb, false)).chain(applicable.iter().map(|kb| (kb, true))).collect();
    let items: Vec<String> = updates.keys().map(|kb| kb_item(kb)).collect();
    let applicable: Vec<bool> = updates.into_values().collect();
    sqlx::query(
        "insert into devices.inventory_item (item, hash, applicable)
         select new.item, $1, new.applicable
           from unnest($2::text[], $3::boolean[]) as new (item, applicable)",
    )
    .bind(hash)
    .bind(items)
    .bind(applicable)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The number of items of an inventory, if its content is known.
pub(crate) async fn item_count(tx: &mut Tx, hash: &str) -> Result<Option<i32>, StoreError> {
    let count = sqlx::query_scalar("select item_count from devices.inventory where hash = $1")
        .bind(hash)
        .fetch_optional(&mut **tx)
        .await?;
    Ok(count)
}

#[derive(sqlx::FromRow)]
struct ItemRow {
    item: String,
    packages: Option<Json<Vec<InstalledPackage>>>,
    applicable: Option<bool>,
}

/// The release of an inventory, and as much of its content as `items` name.
pub(crate) async fn part(
    tx: &mut Tx,
    hash: &str,
    items: &[String],
) -> Result<(OsRelease, Inventory), StoreError> {
    let (id, version): (String, String) =
        sqlx::query_as("select os_id, os_version from devices.inventory where hash = $1")
            .bind(hash)
            .fetch_one(&mut **tx)
            .await?;
    let rows: Vec<ItemRow> = sqlx::query_as(
        "select item, packages, applicable
           from devices.inventory_item
          where hash = $1 and item = any($2)",
    )
    .bind(hash)
    .bind(items)
    .fetch_all(&mut **tx)
    .await?;
    let (mut packages, mut installed, mut offered) = (Vec::new(), Vec::new(), Vec::new());
    for row in rows {
        match (row.packages, row.applicable, row.item.strip_prefix(KB_PREFIX)) {
            (Some(Json(list)), None, None) => packages.extend(list),
            (None, Some(true), Some(kb)) => offered.push(kb.to_owned()),
            (None, Some(false), Some(kb)) => installed.push(kb.to_owned()),
            _ => {
                return Err(StoreError::Corrupt {
                    what: format!("devices.inventory_item {} of {hash}", row.item),
                });
            }
        }
    }
    let content = if installed.is_empty() && offered.is_empty() {
        Inventory::Packages { packages }
    } else {
        Inventory::WindowsUpdates { installed, applicable: offered, build: String::new() }
    };
    Ok((OsRelease { id, version }, content))
}
