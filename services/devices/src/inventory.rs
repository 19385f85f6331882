//! Inventories, kept once per content, with the index from what advisories name to who has it.

use contracts::{
    FixTarget, OsRelease, VersionOrder,
    agent::{InstalledPackage, Inventory},
};
use devices_domain::release;
use eventstore::{StoreError, Tx};
use sqlx::types::Json;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Under what an advisory's target is found in the index.
pub(crate) fn item(target: &FixTarget) -> String {
    match target {
        FixTarget::SourcePackage { os, source, .. } => source_item(os, source),
        FixTarget::Kb { kb, .. } => kb_item(kb),
        // Alpine's databases name what packages were built from.
        FixTarget::BinaryPackage { os, package, order: VersionOrder::Apk, .. } => source_item(os, package),
        FixTarget::BinaryPackage { os, package, order: VersionOrder::Dpkg | VersionOrder::Rpm, .. } => {
            binary_item(os, package)
        }
        FixTarget::OemComponent { os, vendor, component, .. } => {
            format!("{}/oem/{vendor}/{component}", os.key())
        }
    }
}

fn source_item(os: &OsRelease, source: &str) -> String {
    format!("{}/{source}", os.key())
}

fn binary_item(os: &OsRelease, package: &str) -> String {
    format!("{}/binary/{package}", os.key())
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
    let (count, order) = match content {
        Inventory::Packages { order, packages } => (packages.len(), *order),
        Inventory::WindowsUpdates { installed, .. } => (installed.len(), VersionOrder::default()),
    };
    let count = i32::try_from(count).unwrap_or(i32::MAX);
    let new = sqlx::query(
        "insert into devices.inventory (hash, os_id, os_version, item_count, version_order)
         values ($1, $2, $3, $4, $5)
         on conflict do nothing",
    )
    .bind(hash)
    .bind(&os.id)
    .bind(&os.version)
    .bind(count)
    .bind(word(order))
    .execute(&mut **tx)
    .await?
    .rows_affected();
    if new == 1 {
        match content {
            Inventory::Packages { order, packages } => keep_packages(tx, hash, os, *order, packages).await?,
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
    order: VersionOrder,
    packages: &[InstalledPackage],
) -> Result<(), StoreError> {
    let os = release::advised(os);
    let (by_source, by_name) = match order {
        VersionOrder::Dpkg => (true, true),
        VersionOrder::Rpm => (false, true),
        VersionOrder::Apk => (true, false),
    };
    let mut by_item: BTreeMap<String, Vec<&InstalledPackage>> = BTreeMap::new();
    for package in packages {
        if by_source {
            by_item.entry(source_item(&os, &package.source)).or_default().push(package);
        }
        if by_name {
            by_item.entry(binary_item(&os, &package.name)).or_default().push(package);
        }
    }
    let (items, lists): (Vec<String>, Vec<_>) =
        by_item.into_iter().map(|(item, list)| (item, Json(list))).unzip();
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

/// An inventory, or the part of it that somebody asked for.
#[derive(Debug)]
pub(crate) struct Known {
    /// The release, as the device gives it.
    pub(crate) os: OsRelease,
    /// What is installed.
    pub(crate) content: Inventory,
}

#[derive(sqlx::FromRow)]
struct InventoryRow {
    hash: String,
    os_id: String,
    os_version: String,
    version_order: String,
}

#[derive(sqlx::FromRow)]
struct ItemRow {
    hash: String,
    item: String,
    packages: Option<Json<Vec<InstalledPackage>>>,
    applicable: Option<bool>,
}

/// Several inventories by their hashes, with as much of their content as `items` name; without names, all of it.
pub(crate) async fn read(
    tx: &mut Tx,
    hashes: &[&str],
    items: Option<&[String]>,
) -> Result<HashMap<String, Known>, StoreError> {
    let heads: Vec<InventoryRow> = sqlx::query_as(
        "select hash, os_id, os_version, version_order from devices.inventory where hash = any($1)",
    )
    .bind(hashes)
    .fetch_all(&mut **tx)
    .await?;
    let rows: Vec<ItemRow> =
        match items {
            // By the item: the index begins with it, and so few are asked for.
            Some(items) => {
                sqlx::query_as(
                    "select hash, item, packages, applicable
                   from devices.inventory_item
                  where item = any($1) and hash = any($2)",
                )
                .bind(items)
                .bind(hashes)
                .fetch_all(&mut **tx)
                .await?
            }
            None => sqlx::query_as(
                "select hash, item, packages, applicable from devices.inventory_item where hash = any($1)",
            )
            .bind(hashes)
            .fetch_all(&mut **tx)
            .await?,
        };
    let mut contents: HashMap<String, Content> = HashMap::new();
    for row in rows {
        contents.entry(row.hash.clone()).or_default().add(row)?;
    }
    heads
        .into_iter()
        .map(|head| {
            let content = contents.remove(&head.hash).unwrap_or_default().whole(order(&head)?);
            let os = OsRelease { id: head.os_id, version: head.os_version };
            Ok((head.hash, Known { os, content }))
        })
        .collect()
}

/// What was read of an inventory so far.
#[derive(Default)]
struct Content {
    // A package is in the index by its own name and by its source's.
    packages: BTreeSet<InstalledPackage>,
    installed: Vec<String>,
    offered: Vec<String>,
}

impl Content {
    fn add(&mut self, row: ItemRow) -> Result<(), StoreError> {
        match (row.packages, row.applicable, row.item.strip_prefix(KB_PREFIX)) {
            (Some(Json(list)), None, None) => self.packages.extend(list),
            (None, Some(true), Some(kb)) => self.offered.push(kb.to_owned()),
            (None, Some(false), Some(kb)) => self.installed.push(kb.to_owned()),
            _ => {
                let what = format!("devices.inventory_item {} of {}", row.item, row.hash);
                return Err(StoreError::Corrupt { what });
            }
        }
        Ok(())
    }

    fn whole(self, order: VersionOrder) -> Inventory {
        if self.installed.is_empty() && self.offered.is_empty() {
            Inventory::Packages { order, packages: self.packages.into_iter().collect() }
        } else {
            Inventory::WindowsUpdates {
                installed: self.installed,
                applicable: self.offered,
                build: String::new(),
            }
        }
    }
}

fn word(order: VersionOrder) -> &'static str {
    match order {
        VersionOrder::Dpkg => "dpkg",
        VersionOrder::Rpm => "rpm",
        VersionOrder::Apk => "apk",
    }
}

fn order(row: &InventoryRow) -> Result<VersionOrder, StoreError> {
    [VersionOrder::Dpkg, VersionOrder::Rpm, VersionOrder::Apk]
        .into_iter()
        .find(|order| word(*order) == row.version_order)
        .ok_or_else(|| StoreError::Corrupt {
            what: format!("devices.inventory {} in the order {:?}", row.hash, row.version_order),
        })
}
