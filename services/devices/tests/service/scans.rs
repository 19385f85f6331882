//! From reports and advisories to what is missing where.

use crate::house::{House, bookworm, code, dsa, kb, packages, patch_id, scan_of, updates, windows};
use contracts::{
    DevicePlatform,
    agent::ScanReport,
    feeds::{PatchEvent, PatchRevised, PatchSuperseded, PatchWithdrawn},
};
use kernel::{DeviceId, Tenant};
use serde_json::Value;
use testkit::id;

/// The payloads of one kind of fact of a device.
async fn payloads(house: &House, device_id: DeviceId, event: &str) -> Vec<Value> {
    house.story(device_id).await;
    let facts = house.facts(device_id).await;
    let named = format!("devices.{event}");
    facts.into_iter().filter(|fact| fact.event_type == named).map(|fact| fact.payload).collect()
}

#[actix_web::test]
async fn scans_tell_what_became_missing_and_what_became_installed() {
    let house = House::open().await;
    house.publish(dsa(1, "openssl", "3.0.11-1~deb12u2")).await;
    house.publish(dsa(2, "bash", "5.2-9")).await;
    house.settled().await;
    let agent = house.agent(house.customer().await, DevicePlatform::Linux).await;

    let report = scan_of(bookworm(), packages(&[("bash", "5.2-9"), ("openssl", "3.0.11-1~deb12u1")]));
    assert_eq!(agent.scan(&report).await.0, 202);
    let enrolled = ["AgentEnrolled", "DeviceCameOnline"];
    assert_eq!(
        house.story(agent.device_id).await,
        [&enrolled[..], &["PatchFoundMissing", "ScanCompleted"]].concat()
    );
    let found = payloads(&house, agent.device_id, "PatchFoundMissing").await;
    assert_eq!(found[0]["packages"][0]["installed_version"], "3.0.11-1~deb12u1");
    assert_eq!(found[0]["packages"][0]["fixed_version"], "3.0.11-1~deb12u2");
    let facts = house.facts(agent.device_id).await;
    let last = facts.last().unwrap();
    assert_eq!(last.occurred_at.timestamp(), report.scanned_at.timestamp(), "the device's clock");
    assert_eq!(last.payload["missing"], 1);
    assert!(last.payload["catalogue_position"].as_i64().unwrap() > 0);

    // The same report again has no second effect.
    assert_eq!(agent.scan(&report).await.0, 202);
    assert_eq!(house.story(agent.device_id).await.len(), 4);

    let fixed = scan_of(bookworm(), packages(&[("bash", "5.2-9"), ("openssl", "3.0.11-1~deb12u2")]));
    assert_eq!(agent.scan(&fixed).await.0, 202);
    assert_eq!(house.story(agent.device_id).await[4..], ["PatchFoundInstalled", "ScanCompleted"]);
    let again = ScanReport { report_id: id(), ..fixed };
    assert_eq!(agent.scan(&again).await.0, 202);
    assert_eq!(house.story(agent.device_id).await[6..], ["ScanCompleted"]);
    house.close().await;
}

#[actix_web::test]
async fn bad_reports_are_refused_with_a_code_and_leave_no_trace() {
    let house = House::open().await;
    let agent = house.agent(house.customer().await, DevicePlatform::Linux).await;
    let good = || scan_of(bookworm(), packages(&[("bash", "5.2")]));

    let wrong_hash = ScanReport { inventory_hash: "0".repeat(64), ..good() };
    let names: Vec<String> = (0..10_001).map(|n| format!("p{n}")).collect();
    let list: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "1")).collect();
    let foreign_job = ScanReport { job_id: Some(id()), ..good() };
    for (report, status, expected) in [
        (wrong_hash, 422, "devices.inventory_hash_mismatch"),
        (scan_of(bookworm(), packages(&list)), 422, "devices.too_many_packages"),
        (scan_of(bookworm(), packages(&[("bash", "not a version")])), 422, "devices.invalid_version"),
        (scan_of(windows(), updates(&["KB1"], &[])), 422, "devices.inventory_kind"),
        (foreign_job, 404, "devices.job_unknown"),
    ] {
        assert_eq!(code(&agent.scan(&report).await), (status, expected));
    }
    assert_eq!(
        code(&agent.post("/agent/v1/scans", &serde_json::json!({})).await),
        (400, "web.body_malformed")
    );
    let huge = serde_json::json!({ "x": "y".repeat(5 * 1024 * 1024) });
    assert_eq!(code(&agent.post("/agent/v1/scans", &huge).await), (413, "web.body_too_large"));
    assert_eq!(house.story(agent.device_id).await, ["AgentEnrolled", "DeviceCameOnline"]);
    let kept: i64 = sqlx::query_scalar("select count(*) from devices.inventory")
        .fetch_one(&mut house.owner().await)
        .await
        .unwrap();
    assert_eq!(kept, 0);
    house.close().await;
}

#[actix_web::test]
async fn a_new_advisory_touches_only_devices_that_hold_its_package() {
    let house = House::open().await;
    let holder = house.agent(house.customer().await, DevicePlatform::Linux).await;
    let other = house.agent(house.customer().await, DevicePlatform::Linux).await;
    holder.scan(&scan_of(bookworm(), packages(&[("openssl", "3.0.11")]))).await;
    other.scan(&scan_of(bookworm(), packages(&[("bash", "5.2")]))).await;
    let before = house.story(other.device_id).await;

    house.publish(dsa(1, "openssl", "3.0.12")).await;
    house.settled().await;
    assert_eq!(house.story(holder.device_id).await[3..], ["PatchFoundMissing"]);
    assert_eq!(house.story(other.device_id).await, before);

    // A lower fixed version takes the patch off the list, but installs nothing.
    let patch = dsa(1, "openssl", "3.0.10");
    let revised = PatchRevised { patch, changed: vec!["targets".to_owned()] };
    house.append(Tenant::PLATFORM, vec![PatchEvent::from(revised)]).await;
    house.settled().await;
    assert_eq!(house.story(holder.device_id).await[4..], ["PatchNoLongerApplicable"]);

    house.publish(dsa(2, "openssl", "3.0.13")).await;
    house.settled().await;
    let reason = "regression".to_owned();
    let withdrawn = PatchWithdrawn { patch_id: patch_id(2), reason };
    house.append(Tenant::PLATFORM, vec![PatchEvent::from(withdrawn)]).await;
    house.settled().await;
    assert_eq!(house.story(holder.device_id).await[5..], ["PatchFoundMissing", "PatchNoLongerApplicable"]);
    assert_eq!(house.story(other.device_id).await, before);
    house.close().await;
}

#[actix_web::test]
async fn a_newer_update_takes_the_place_of_the_one_it_supersedes() {
    let house = House::open().await;
    house.publish(kb(5_034_001)).await;
    house.settled().await;
    let agent = house.agent(house.customer().await, DevicePlatform::Windows).await;
    agent.scan(&scan_of(windows(), updates(&["KB1"], &["KB5034001", "KB5034002"]))).await;
    assert_eq!(house.story(agent.device_id).await[2..], ["PatchFoundMissing", "ScanCompleted"]);

    house.publish(kb(5_034_002)).await;
    house.settled().await;
    let superseded = PatchSuperseded {
        patch_id: patch_id(5_034_001),
        superseded_by: patch_id(5_034_002),
        superseded_by_vendor_id: "KB5034002".to_owned(),
    };
    house.append(Tenant::PLATFORM, vec![PatchEvent::from(superseded)]).await;
    house.settled().await;
    assert_eq!(house.story(agent.device_id).await[4..], ["PatchFoundMissing", "PatchNoLongerApplicable"]);
    let gone = payloads(&house, agent.device_id, "PatchNoLongerApplicable").await;
    assert_eq!(gone[0]["reason"], "superseded by KB5034002");
    house.close().await;
}

#[actix_web::test]
async fn a_device_that_lacks_more_patches_than_a_batch_holds_is_told_all_of_them() {
    let house = House::open().await;
    // One source with very many advisories, as a browser has over the years.
    let published = (0..2_000)
        .map(|n| PatchEvent::from(contracts::feeds::PatchPublished { patch: dsa(n, "chromium", "120.0") }));
    let published: Vec<PatchEvent> = published.collect();
    for part in published.chunks(1_000) {
        house.append(Tenant::PLATFORM, part.to_vec()).await;
    }
    house.settled().await;
    let agent = house.agent(house.customer().await, DevicePlatform::Linux).await;
    assert_eq!(agent.scan(&scan_of(bookworm(), packages(&[("chromium", "100.0")]))).await.0, 202);
    let found = payloads(&house, agent.device_id, "PatchFoundMissing").await;
    assert_eq!(found.len(), 2_000);
    agent.scan(&scan_of(bookworm(), packages(&[("chromium", "120.0")]))).await;
    assert_eq!(payloads(&house, agent.device_id, "PatchFoundInstalled").await.len(), 2_000);
    house.close().await;
}

#[actix_web::test]
async fn a_report_that_arrives_many_times_at_once_has_one_effect() {
    let house = House::open().await;
    let agent = house.agent(house.customer().await, DevicePlatform::Linux).await;
    let report = scan_of(bookworm(), packages(&[("bash", "5.2")]));
    let answers = futures_util::future::join_all((0..8).map(|_| agent.scan(&report))).await;
    assert!(answers.iter().all(|answer| answer.0 == 202), "{answers:?}");
    assert_eq!(house.story(agent.device_id).await[2..], ["ScanCompleted"]);
    house.close().await;
}

#[actix_web::test]
async fn a_partners_own_patch_is_for_the_partners_devices_only() {
    let house = House::open().await;
    let (own, strange) = (house.customer().await, house.customer().await);
    assert_ne!(own.partner_id, strange.partner_id);
    let holder = house.agent(own, DevicePlatform::Linux).await;
    let stranger = house.agent(strange, DevicePlatform::Linux).await;
    let openssl = || scan_of(bookworm(), packages(&[("openssl", "3.0.11")]));
    holder.scan(&openssl()).await;
    stranger.scan(&openssl()).await;
    let published = contracts::feeds::PatchPublished { patch: dsa(1, "openssl", "3.0.12") };
    house.append(Tenant::partner(own.partner_id), vec![PatchEvent::from(published)]).await;
    house.settled().await;
    // Where it is published while the device is known, and where a device is scanned afterwards.
    let later = house.agent(own, DevicePlatform::Linux).await;
    let later_stranger = house.agent(strange, DevicePlatform::Linux).await;
    later.scan(&openssl()).await;
    later_stranger.scan(&openssl()).await;
    for (device_id, found) in [
        (holder.device_id, true),
        (later.device_id, true),
        (stranger.device_id, false),
        (later_stranger.device_id, false),
    ] {
        let story = house.story(device_id).await;
        assert_eq!(story.contains(&"PatchFoundMissing".to_owned()), found, "{story:?}");
    }
    house.close().await;
}

#[actix_web::test]
async fn an_advisory_that_arrives_while_devices_are_scanned_misses_none_of_them() {
    let house = House::open().await;
    let tenant = house.customer().await;
    let mut agents = Vec::new();
    for _ in 0..6 {
        agents.push(house.agent(tenant, DevicePlatform::Linux).await);
    }
    let scans = async {
        for (n, agent) in agents.iter().enumerate() {
            let list: Vec<(String, String)> = (0..20).map(|p| (format!("p{p}"), format!("1.{n}"))).collect();
            let list: Vec<(&str, &str)> = list.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
            assert_eq!(agent.scan(&scan_of(bookworm(), packages(&list))).await.0, 202);
        }
    };
    let advisories = async {
        for p in 0..20 {
            house.publish(dsa(p, &format!("p{p}"), "2")).await;
        }
    };
    tokio::join!(scans, advisories);
    house.settled().await;
    for agent in &agents {
        assert_eq!(payloads(&house, agent.device_id, "PatchFoundMissing").await.len(), 20);
    }
    house.close().await;
}

#[actix_web::test]
async fn a_tenant_sees_its_own_rows_only() {
    let house = House::open().await;
    let one = house.agent(house.customer().await, DevicePlatform::Linux).await;
    let two = house.agent(house.customer().await, DevicePlatform::Linux).await;
    for agent in [&one, &two] {
        assert_eq!(agent.scan(&scan_of(bookworm(), packages(&[("bash", "5.2")]))).await.0, 202);
    }
    let scope = kernel::Scope::Customer {
        partner_id: one.tenant.partner_id,
        customer_id: one.tenant.customer_id.unwrap(),
    };
    let mut tx = house.store.database().begin(&scope).await.unwrap();
    for table in ["device", "enrolment_token", "nonce", "customer", "job"] {
        let foreign = format!("select count(*) from devices.{table} where customer_id <> $1");
        let foreign: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(foreign))
            .bind(one.tenant.customer_id.unwrap().0)
            .fetch_one(&mut *tx)
            .await
            .unwrap();
        assert_eq!(foreign, 0, "{table}");
    }
    let seen: Vec<uuid::Uuid> =
        sqlx::query_scalar("select device_id from devices.device").fetch_all(&mut *tx).await.unwrap();
    assert_eq!(seen, [one.device_id.0]);
    drop(tx);
    house.close().await;
}
