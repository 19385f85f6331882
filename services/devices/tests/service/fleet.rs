//! A change of the catalogue and the devices that it changes: nobody is missed, nobody is told twice.

use crate::house::{Agent, House, bookworm, dsa, packages, patch_id, scan_of};
use contracts::{
    DevicePlatform, FixTarget, OsRelease, VersionOrder,
    agent::Inventory,
    feeds::{PatchEvent, PatchFacts, PatchRevised, PatchWithdrawn},
};
use kernel::Tenant;
use sqlx::{Connection, PgConnection};
use testkit::eventually;

/// The lock of whoever works off what is left to do.
const WORK: i64 = 0x7066_6a75_6467;

async fn agents(house: &House, count: usize, list: &[(&str, &str)]) -> Vec<Agent> {
    let tenant = house.customer().await;
    let mut agents = Vec::new();
    for _ in 0..count {
        let agent = house.agent(tenant, DevicePlatform::Linux).await;
        assert_eq!(agent.scan(&scan_of(bookworm(), packages(list))).await.0, 202);
        agents.push(agent);
    }
    agents
}

/// Keeps the service from working off anything until the connection is closed.
async fn hold_work(house: &House) -> PgConnection {
    let mut owner = house.owner().await;
    sqlx::query("select pg_advisory_lock($1)").bind(WORK).execute(&mut owner).await.unwrap();
    owner
}

async fn left_to_do(house: &House) -> i64 {
    sqlx::query_scalar("select count(*) from devices.judgement")
        .fetch_one(&mut house.owner().await)
        .await
        .unwrap()
}

async fn until_left(house: &House, count: i64) {
    eventually("the changes wait to be worked off", || async { left_to_do(house).await == count }).await;
}

async fn revise(house: &House, patch: PatchFacts) {
    let revised = PatchRevised { patch, changed: vec!["targets".to_owned()] };
    house.append(Tenant::PLATFORM, vec![PatchEvent::from(revised)]).await;
}

#[actix_web::test]
async fn equal_inventories_wait_as_one_and_all_their_devices_are_told() {
    let house = House::open().await;
    let alike = agents(&house, 3, &[("openssl", "3.0.11")]).await;
    let other = agents(&house, 1, &[("openssl", "3.0.11"), ("bash", "5.2")]).await;
    let held = hold_work(&house).await;
    house.publish(dsa(1, "openssl", "3.0.12")).await;
    until_left(&house, 2).await;
    held.close().await.unwrap();
    house.settled().await;
    for agent in alike.iter().chain(&other) {
        assert_eq!(house.story(agent.device_id).await[3..], ["PatchFoundMissing"]);
        let told = house.facts(agent.device_id).await.pop().unwrap();
        assert_eq!(told.actor.id, "devices");
        assert!(told.causation_id.is_some());
    }
    house.close().await;
}

#[actix_web::test]
async fn a_scan_that_comes_before_the_device_is_told_has_the_last_word() {
    let house = House::open().await;
    let agents = agents(&house, 3, &[("openssl", "3.0.11")]).await;
    let held = hold_work(&house).await;
    house.publish(dsa(1, "openssl", "3.0.12")).await;
    until_left(&house, 1).await;
    // One is as it was, one was mended, one is scanned no more before it is told.
    let [same, mended, silent] = &agents[..] else { panic!("three agents") };
    same.scan(&scan_of(bookworm(), packages(&[("openssl", "3.0.11")]))).await;
    mended.scan(&scan_of(bookworm(), packages(&[("openssl", "3.0.12")]))).await;
    held.close().await.unwrap();
    house.settled().await;
    assert_eq!(house.story(same.device_id).await[3..], ["PatchFoundMissing", "ScanCompleted"]);
    assert_eq!(house.story(mended.device_id).await[3..], ["ScanCompleted"]);
    assert_eq!(house.story(silent.device_id).await[3..], ["PatchFoundMissing"]);
    house.close().await;
}

#[actix_web::test]
async fn changes_that_wait_together_are_told_as_one_and_what_cancels_out_is_not_told() {
    let house = House::open().await;
    let agents = agents(&house, 1, &[("openssl", "3.0.11"), ("bash", "5.2")]).await;
    let held = hold_work(&house).await;
    house.publish(dsa(1, "openssl", "3.0.12")).await;
    revise(&house, dsa(1, "openssl", "3.0.10")).await;
    house.publish(dsa(2, "bash", "5.3")).await;
    revise(&house, dsa(2, "bash", "5.4")).await;
    house.publish(dsa(3, "bash", "5.9")).await;
    let withdrawn = PatchWithdrawn { patch_id: patch_id(3), reason: "regression".to_owned() };
    house.append(Tenant::PLATFORM, vec![PatchEvent::from(withdrawn)]).await;
    until_left(&house, 6).await;
    held.close().await.unwrap();
    house.settled().await;
    assert_eq!(house.story(agents[0].device_id).await[3..], ["PatchFoundMissing"]);
    let told = house.facts(agents[0].device_id).await.pop().unwrap();
    assert_eq!(told.payload["packages"][0]["fixed_version"], "5.4");
    house.close().await;
}

#[actix_web::test]
async fn a_revision_of_texts_is_nothing_to_judge() {
    let house = House::open().await;
    agents(&house, 1, &[("openssl", "3.0.11")]).await;
    house.publish(dsa(1, "openssl", "3.0.12")).await;
    house.settled().await;
    let held = hold_work(&house).await;
    revise(&house, PatchFacts { name: "another title".to_owned(), ..dsa(1, "openssl", "3.0.12") }).await;
    // What comes after it shows that it was taken in.
    house.publish(dsa(2, "openssl", "3.0.13")).await;
    until_left(&house, 1).await;
    held.close().await.unwrap();
    house.settled().await;
    house.close().await;
}

#[actix_web::test]
async fn a_worker_that_is_cut_off_while_it_tells_begins_again() {
    let house = House::open().await;
    let agents = agents(&house, 4, &[("openssl", "3.0.11")]).await;
    let held = hold_work(&house).await;
    house.publish(dsa(1, "openssl", "3.0.12")).await;
    until_left(&house, 1).await;
    // The last of them is locked by somebody, so that the worker waits with the others in its hands. Not before everything
    // has its position: an open transaction that writes holds up the order of all events.
    let last = agents.iter().map(|agent| agent.device_id).max().unwrap();
    let mut owner = house.owner().await;
    let mut locked = owner.begin().await.unwrap();
    sqlx::query("select from devices.device where device_id = $1 for update")
        .bind(last.0)
        .execute(&mut *locked)
        .await
        .unwrap();
    held.close().await.unwrap();
    eventually("the worker waits and is cut off", || async {
        let cut_off: Vec<bool> = sqlx::query_scalar(
            "select pg_terminate_backend(pid)
               from pg_stat_activity
              where datname = current_database() and wait_event_type = 'Lock'
                and query like '%from devices.device%for update%'",
        )
        .fetch_all(&mut house.owner().await)
        .await
        .unwrap();
        cut_off == [true]
    })
    .await;
    locked.rollback().await.unwrap();
    house.settled().await;
    for agent in &agents {
        assert_eq!(house.story(agent.device_id).await[3..], ["PatchFoundMissing"]);
    }
    house.close().await;
}

#[actix_web::test]
async fn packages_of_rpm_and_apk_are_judged_by_their_own_rules() {
    let house = House::open().await;
    let tenant = house.customer().await;
    let mut told = Vec::new();
    for (order, os, name, source, installed, fixed) in [
        (
            VersionOrder::Rpm,
            ("almalinux", "9.4"),
            "openssl-libs",
            "openssl",
            "1:3.0.7-24.el9",
            "1:3.0.7-25.el9_3",
        ),
        (VersionOrder::Apk, ("alpine", "3.18.4"), "libcrypto3", "openssl", "3.1.4-r0", "3.1.4_p1-r0"),
    ] {
        let advised = OsRelease {
            id: os.0.to_owned(),
            version: if order == VersionOrder::Rpm { "9".to_owned() } else { "3.18".to_owned() },
        };
        let os = OsRelease { id: os.0.to_owned(), version: os.1.to_owned() };
        let agent = house.agent(tenant, DevicePlatform::Linux).await;
        let inventory = |version: &str| {
            let Inventory::Packages { mut packages, .. } = packages(&[(name, version)]) else {
                panic!("packages")
            };
            packages[0].source = source.to_owned();
            Inventory::Packages { order, packages }
        };
        assert_eq!(agent.scan(&scan_of(os.clone(), inventory(installed))).await.0, 202);
        let number = 10 + told.len() as u128;
        let target = FixTarget::BinaryPackage {
            os: advised,
            package: if order == VersionOrder::Apk { source.to_owned() } else { name.to_owned() },
            fixed_version: fixed.to_owned(),
            order,
            architectures: Vec::new(),
            module: None,
        };
        house.publish(PatchFacts { targets: vec![target], ..dsa(number, "none", "1") }).await;
        house.settled().await;
        assert_eq!(agent.scan(&scan_of(os, inventory(fixed))).await.0, 202);
        told.push(house.story(agent.device_id).await);
    }
    let expected = ["PatchFoundMissing", "PatchFoundInstalled", "ScanCompleted"];
    assert!(told.iter().all(|story| story[3..] == expected), "{told:?}");
    house.close().await;
}
