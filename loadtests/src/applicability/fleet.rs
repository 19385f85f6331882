//! A fleet in the tables of the devices service, as if it had enrolled and been scanned.

use super::agent;
use crate::server::Place;
use anyhow::Result;
use contracts::feeds::PatchFacts;
use contracts::{Cadence, Classification, DevicePlatform, FixTarget, OsRelease, RebootBehaviour, Severity};
use kernel::{FeedId, PatchId};
use sqlx::PgConnection;
use uuid::Uuid;

/// Packages of every inventory.
pub(super) const PACKAGES: u64 = 300;
/// Older advisories for each package.
const ADVISORIES: i64 = 5;
/// Devices in one statement.
const STEP: u64 = 100_000;

/// What is installed of a package by an inventory: seven versions, so that inventories differ.
pub(super) fn version(inventory: u64, package: u64) -> String {
    format!("2.{}-1", (inventory / (1 + package % 5) + package) % 7)
}

pub(super) fn package(number: u64) -> String {
    format!("package-{number:03}")
}

pub(super) fn bookworm() -> OsRelease {
    OsRelease { id: "debian".to_owned(), version: "12".to_owned() }
}

/// An advisory that everybody lacks.
pub(super) fn advisory(number: u64) -> PatchFacts {
    let id = format!("DSA-9{number:03}-1");
    PatchFacts {
        patch_id: PatchId(Uuid::new_v4()),
        feed_id: FeedId(Uuid::nil()),
        vendor_patch_id: id.clone(),
        name: id,
        platform: DevicePlatform::Linux,
        os_versions: vec!["Debian 12".to_owned()],
        vendor_severity: String::new(),
        severity: Severity::Unknown,
        classification: Classification::Security,
        release_date: chrono::NaiveDate::default(),
        cves: Vec::new(),
        targets: vec![FixTarget::SourcePackage {
            os: bookworm(),
            source: package(number % PACKAGES),
            fixed_version: "3.0-1".to_owned(),
        }],
        supersedes: Vec::new(),
        reboot: RebootBehaviour::Unknown,
        url: None,
        advisories: Vec::new(),
        version: None,
        size_bytes: None,
        cadence: Cadence::Unscheduled,
        out_of_band: None,
        prerequisites: Vec::new(),
        is_dated: true,
    }
}

/// Puts a fleet into the tables.
pub(super) async fn fill(place: &Place, devices: u64, inventories: u64, note: impl Fn(&str)) -> Result<()> {
    let mut owner = place.owner().await?;
    sqlx::raw_sql("set statement_timeout = 0").execute(&mut owner).await?;
    note("storing the catalogue");
    fill_catalogue(&mut owner).await?;
    for inventory in 0..inventories {
        if inventory % 100 == 0 {
            note(&format!("storing inventories: {inventory} of {inventories}"));
        }
        fill_inventory(&mut owner, inventory).await?;
    }
    let mut first = 0;
    while first < devices {
        note(&format!("storing devices: {first} of {devices}"));
        let end = (first + STEP).min(devices);
        fill_devices(&mut owner, first, end, inventories).await?;
        first = end;
    }
    sqlx::raw_sql(
        "analyze devices.device; analyze devices.inventory; analyze devices.inventory_item;
         analyze devices.catalogue_patch; analyze devices.catalogue_item; analyze es.stream; analyze es.event",
    )
    .execute(&mut owner)
    .await?;
    Ok(())
}

async fn fill_catalogue(owner: &mut PgConnection) -> Result<()> {
    let (mut ids, mut names, mut targets, mut items) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for number in 0..PACKAGES {
        for nth in 0..ADVISORIES {
            ids.push(Uuid::new_v4());
            names.push(format!("DSA-{}-1", i64::try_from(number)? * ADVISORIES + nth));
            let (os, source) = (bookworm(), package(number));
            items.push(format!("{}/{source}", os.key()));
            let fix = FixTarget::SourcePackage { os, source, fixed_version: format!("1.{nth}-1") };
            targets.push(serde_json::to_value([fix])?);
        }
    }
    sqlx::query(
        "insert into devices.catalogue_patch (patch_id, vendor_patch_id, targets)
         select * from unnest($1::uuid[], $2::text[], $3::jsonb[])",
    )
    .bind(&ids)
    .bind(names)
    .bind(targets)
    .execute(&mut *owner)
    .await?;
    sqlx::query(
        "insert into devices.catalogue_item (patch_id, item) select * from unnest($1::uuid[], $2::text[])",
    )
    .bind(&ids)
    .bind(items)
    .execute(owner)
    .await?;
    Ok(())
}

/// By the service's own shape: a package is found by its source and by its own name.
async fn fill_inventory(owner: &mut PgConnection, inventory: u64) -> Result<()> {
    let hash = format!("{inventory:064}");
    sqlx::query(
        "insert into devices.inventory (hash, os_id, os_version, item_count) values ($1, 'debian', '12', $2)",
    )
    .bind(&hash)
    .bind(i32::try_from(PACKAGES)?)
    .execute(&mut *owner)
    .await?;
    let (mut items, mut lists) = (Vec::new(), Vec::new());
    for number in 0..PACKAGES {
        let installed = agent::installed(&package(number), &version(inventory, number));
        for kind in ["", "binary/"] {
            items.push(format!("{}/{kind}{}", bookworm().key(), installed.name));
            lists.push(serde_json::to_value([&installed])?);
        }
    }
    sqlx::query(
        "insert into devices.inventory_item (item, hash, packages)
         select new.item, $1, new.packages from unnest($2::text[], $3::jsonb[]) as new (item, packages)",
    )
    .bind(hash)
    .bind(items)
    .bind(lists)
    .execute(owner)
    .await?;
    Ok(())
}

async fn fill_devices(owner: &mut PgConnection, first: u64, end: u64, inventories: u64) -> Result<()> {
    let bound = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    sqlx::query(
        "insert into devices.device (device_id, partner_id, customer_id, platform, public_key, online,
                                     last_contact_at, inventory_hash)
         select md5('device' || n)::uuid, md5('partner' || n % 100)::uuid, md5('customer' || n % 1000)::uuid, 'LINUX',
                $4, true, now(), lpad((n % $3)::text, 64, '0')
           from generate_series($1::bigint, $2::bigint - 1) as n",
    )
    .bind(bound(first))
    .bind(bound(end))
    .bind(bound(inventories))
    .bind(agent::public_key())
    .execute(&mut *owner)
    .await?;
    sqlx::query(
        "insert into es.stream (stream_id, stream, partner_id, customer_id, version)
         select md5('device' || n)::uuid, 'devices.device', md5('partner' || n % 100)::uuid,
                md5('customer' || n % 1000)::uuid, 1
           from generate_series($1::bigint, $2::bigint - 1) as n",
    )
    .bind(bound(first))
    .bind(bound(end))
    .execute(&mut *owner)
    .await?;
    let sample = crate::workload::Columns::new(kernel::Tenant::PLATFORM, kernel::StreamId(Uuid::nil()), 1);
    sqlx::query(
        "insert into es.event (stream_id, stream, version, event_id, event_type, schema_version, partner_id,
                               customer_id, command_id, correlation_id, occurred_at, meta, payload)
         select d.id, 'devices.device', 1, gen_random_uuid(), 'devices.AgentEnrolled', 1, d.partner, d.customer,
                gen_random_uuid(), gen_random_uuid(), now(), $3,
                convert_to(jsonb_build_object(
                  'device_id', d.id, 'customer_id', d.customer, 'name', 'device-' || d.n, 'platform', 'LINUX',
                  'os', jsonb_build_object('id', 'debian', 'version', '12'), 'os_name', 'Debian GNU/Linux 12',
                  'public_key', $4::text, 'mode', 'FULL', 'agent_version', '0.1.0')::text, 'UTF8')
           from (select n, md5('device' || n)::uuid as id, md5('partner' || n % 100)::uuid as partner,
                        md5('customer' || n % 1000)::uuid as customer
                   from generate_series($1::bigint, $2::bigint - 1) as n) d",
    )
    .bind(bound(first))
    .bind(bound(end))
    .bind(sample.meta)
    .bind(agent::public_key())
    .execute(owner)
    .await?;
    Ok(())
}

/// Relay and reactor begin behind the fleet: what is measured comes after it.
pub(super) async fn skip_what_is_stored(place: &Place) -> Result<()> {
    place
        .run(
            "update es.relay set seq = (select max(seq) from es.order_log);
             insert into es.consumer (name, seq) select 'devices.reactor', max(seq) from es.order_log;",
        )
        .await
}
