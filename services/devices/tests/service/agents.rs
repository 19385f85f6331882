//! Signatures, replays, limits and contact.

use crate::house::{Agent, House, bookworm, code, new_key, nonce, now, packages, scan_of};
use chrono::TimeDelta;
use contracts::{DevicePlatform, agent::CheckIn};
use testkit::{eventually, id};

fn here() -> CheckIn {
    CheckIn { inventory_hash: None, agent_version: "0.1.0".to_owned(), queued_reports: 0 }
}

const CHECK_IN: &str = "/agent/v1/checkin";

#[actix_web::test]
async fn only_the_devices_own_fresh_requests_are_taken() {
    let house = House::open().await;
    let tenant = house.customer().await;
    let agent = house.agent(tenant, DevicePlatform::Linux).await;
    let body = serde_json::to_vec(&here()).unwrap();
    assert_eq!(agent.post(CHECK_IN, &here()).await.0, 200);

    let bare = house.http.post(format!("{}{CHECK_IN}", house.base)).json(&here()).send().await.unwrap();
    assert_eq!(bare.status(), 401);

    let forger = Agent { key: new_key(), http: house.http.clone(), base: house.base.clone(), ..agent };
    assert_eq!(code(&forger.post(CHECK_IN, &here()).await), (401, "agent.signature_invalid"));
    let stranger = Agent { device_id: id(), http: house.http.clone(), base: house.base.clone(), ..forger };
    assert_eq!(code(&stranger.post(CHECK_IN, &here()).await), (401, "devices.device_unknown"));

    let agent = house.agent(tenant, DevicePlatform::Linux).await;
    for minutes in [-6, 6] {
        let at = now() + TimeDelta::minutes(minutes);
        let refused = agent.send("POST", CHECK_IN, "", body.clone(), at, &nonce()).await;
        assert_eq!(code(&refused), (401, "agent.signature_expired"));
    }
    let once = nonce();
    assert_eq!(agent.send("POST", CHECK_IN, "", body.clone(), now(), &once).await.0, 200);
    let replayed = agent.send("POST", CHECK_IN, "", body, now(), &once).await;
    assert_eq!(code(&replayed), (401, "devices.nonce_replayed"));
    house.close().await;
}

#[actix_web::test]
async fn a_body_that_was_changed_on_the_way_is_refused() {
    let house = House::open().await;
    let agent = house.agent(house.customer().await, DevicePlatform::Linux).await;
    let signed = serde_json::to_vec(&here()).unwrap();
    let parts = signing::RequestParts { method: "POST", path: CHECK_IN, query: "", body: &signed };
    let headers = signing::sign(&agent.key, parts, now().timestamp(), &nonce(), &agent.device_id.to_string());
    let sent = house
        .http
        .post(format!("{}{CHECK_IN}", house.base))
        .header(signing::HEADER_CONTENT_DIGEST, headers.content_digest)
        .header(signing::HEADER_SIGNATURE_INPUT, headers.signature_input)
        .header(signing::HEADER_SIGNATURE, headers.signature)
        .body(String::from_utf8(signed).unwrap().replace("0.1.0", "6.6.6"))
        .send()
        .await
        .unwrap();
    assert_eq!(sent.status(), 401);
    assert_eq!(sent.json::<serde_json::Value>().await.unwrap()["code"], "agent.digest_mismatch");
    house.close().await;
}

#[actix_web::test]
async fn a_device_that_asks_too_often_is_told_when_to_come_again() {
    let house = House::open_with([
        ("PATCHFLEET__DEVICES__REQUESTS_PER_SECOND", "1"),
        ("PATCHFLEET__DEVICES__REQUESTS_BURST", "3"),
    ])
    .await;
    let agent = house.agent(house.customer().await, DevicePlatform::Linux).await;
    let mut answers = Vec::new();
    for _ in 0..30 {
        answers.push(agent.post(CHECK_IN, &here()).await);
    }
    assert_eq!(answers[0].0, 200);
    assert!(answers.iter().any(|answer| code(answer) == (429, "devices.too_many_requests")));
    house.close().await;
}

#[actix_web::test]
async fn heartbeats_are_no_facts_but_silence_and_return_are() {
    let house = House::open_with([
        ("PATCHFLEET__DEVICES__OFFLINE_AFTER_SECONDS", "2"),
        ("PATCHFLEET__DEVICES__CHECK_IN_SECONDS", "1"),
    ])
    .await;
    let agent = house.agent(house.customer().await, DevicePlatform::Linux).await;
    for _ in 0..3 {
        let (_, body) = agent.post(CHECK_IN, &here()).await;
        assert_eq!(body["check_in_after_seconds"], 1);
    }
    eventually("the device went offline", || async {
        house.story(agent.device_id).await.last().unwrap() == "DeviceWentOffline"
    })
    .await;
    assert_eq!(
        house.story(agent.device_id).await,
        ["AgentEnrolled", "DeviceCameOnline", "DeviceWentOffline"]
    );
    // Waiting for a job is contact, for longer than the device may be silent.
    assert_eq!(agent.get("/agent/v1/jobs", "wait=5").await.0, 204);
    assert_eq!(
        house.story(agent.device_id).await,
        ["AgentEnrolled", "DeviceCameOnline", "DeviceWentOffline", "DeviceCameOnline"]
    );
    house.close().await;
}

#[actix_web::test]
async fn the_server_asks_for_inventories_that_it_does_not_know() {
    let house = House::open().await;
    let agent = house.agent(house.customer().await, DevicePlatform::Linux).await;
    let mut report = scan_of(bookworm(), packages(&[("bash", "5.2")]));
    let with_hash = CheckIn { inventory_hash: Some(report.inventory_hash.clone()), ..here() };
    assert_eq!(agent.post(CHECK_IN, &with_hash).await.1["inventory_wanted"], true);

    let content = report.inventory.take();
    let (status, receipt) = agent.scan(&report).await;
    assert_eq!((status, &receipt["inventory_wanted"]), (202, &true.into()));
    assert_eq!(house.story(agent.device_id).await, ["AgentEnrolled", "DeviceCameOnline"]);

    report.inventory = content;
    assert_eq!(agent.scan(&report).await.1["inventory_wanted"], false);
    assert_eq!(agent.post(CHECK_IN, &with_hash).await.1["inventory_wanted"], false);

    // An equal device needs to send the hash only.
    let twin = house.agent(house.customer().await, DevicePlatform::Linux).await;
    report.inventory = None;
    report.report_id = id();
    assert_eq!(twin.scan(&report).await.1["inventory_wanted"], false);
    assert_eq!(house.story(twin.device_id).await.last().unwrap(), "ScanCompleted");
    house.close().await;
}
