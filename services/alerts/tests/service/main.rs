//! The running service: events in, alerts and signed deliveries out, against a real database, broker and receiver.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, its support as well, and its receivers end with it"
)]

mod facts;
mod receiver;
mod search;
mod system;

use actix_web::http::header::HeaderMap;
use contracts::alerts::{
    AcknowledgeAlert, AlertSeverity, AlertType, DeliveryDeadLettered, DeliveryRetryScheduled,
    DeliverySucceeded, DisableWebhook, RegisterWebhook, ResolveAlert,
};
use contracts::permissions::Role;
use facts::{approved, failed, initiated, missing, reboot, registered, revoked, scanned};
use kernel::{AlertId, CommandId, DeviceId, PatchId, Tenant};
use receiver::{Receiver, Reply};
use serde_json::Value;
use std::time::{Duration, Instant};
use system::System;
use testkit::id;

fn alerts_only(url: &str) -> RegisterWebhook {
    RegisterWebhook {
        customer_id: None,
        url: url.to_owned(),
        event_types: vec!["alerts.AlertRaised".to_owned()],
    }
}

fn verified(secret: &str, headers: &HeaderMap, body: &[u8]) -> bool {
    let verifier = standardwebhooks::Webhook::new(secret).unwrap();
    let headers = headers
        .iter()
        .map(|(name, value)| (name.as_str().parse().unwrap(), value.to_str().unwrap().parse().unwrap()))
        .collect::<reqwest::header::HeaderMap>();
    verifier.verify(body, &headers).is_ok()
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_else(|| panic!("no text at {pointer} in {value}"))
}

#[tokio::test]
async fn a_failed_device_job_reaches_the_webhook_as_a_signed_critical_alert_with_its_reason() {
    let system = System::start().await;
    let tenant = Tenant::customer(id(), id());
    let receiver = Receiver::start(|_| Reply::Status(204)).await;
    let caller = System::caller(tenant.partner_id, Role::PartnerAdmin);
    let registered = system.send(&caller, alerts_only(&receiver.url)).await.unwrap().answer;
    let secret = registered.secret.unwrap();
    let device_id = id();
    system.happens(tenant, failed(device_id)).await;

    let delivery = receiver.first().await;
    assert!(verified(&secret, &delivery.headers, &delivery.body));
    let body = delivery.json();
    assert_eq!(delivery.header("webhook-id"), text(&body, "/id"));
    assert_eq!(text(&body, "/type"), "alerts.AlertRaised");
    assert_eq!(text(&body, "/dataschema"), "urn:patchfleet:event:alerts.AlertRaised:1");
    assert_eq!(text(&body, "/source"), "patchfleet/alerts");
    assert_eq!(text(&body, "/partnerId"), tenant.partner_id.to_string());
    assert_eq!(text(&body, "/customerId"), tenant.customer_id.unwrap().to_string());
    assert_eq!(text(&body, "/data/alert_type"), "PATCH_FAILED");
    assert_eq!(text(&body, "/data/severity"), "CRITICAL");
    assert_eq!(text(&body, "/data/reason"), "post-installation script returned 1");
    assert_eq!(text(&body, "/data/device_id"), device_id.to_string());
    assert!(body["position"].as_i64().unwrap() > 0);

    let succeeded: Vec<DeliverySucceeded> = system.facts(DeliverySucceeded::TYPE, 1).await;
    assert_eq!((succeeded[0].attempts, succeeded[0].status), (1, 204));
    assert_eq!(succeeded[0].webhook_id, registered.webhook_id);
    system.stop().await;
}

#[tokio::test]
async fn a_receiver_that_fails_twice_gets_it_on_a_retry_with_the_same_id() {
    let system = System::start().await;
    let tenant = Tenant::customer(id(), id());
    let receiver = Receiver::start(|number| Reply::Status(if number < 2 { 500 } else { 200 })).await;
    let caller = System::caller(tenant.partner_id, Role::PartnerAdmin);
    let secret = system.send(&caller, alerts_only(&receiver.url)).await.unwrap().answer.secret.unwrap();
    system.happens(tenant, reboot()).await;

    let succeeded: Vec<DeliverySucceeded> = system.facts(DeliverySucceeded::TYPE, 1).await;
    assert_eq!((succeeded[0].attempts, succeeded[0].status), (3, 200));
    let retries: Vec<DeliveryRetryScheduled> = system.facts(DeliveryRetryScheduled::TYPE, 2).await;
    assert_eq!(retries.iter().map(|retry| retry.attempts).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(retries[0].reason, "the receiver answered 500");

    let attempts = receiver.all();
    assert_eq!(attempts.len(), 3);
    for attempt in &attempts {
        assert_eq!(attempt.header("webhook-id"), attempts[0].header("webhook-id"));
        assert_eq!(attempt.body, attempts[0].body);
        assert!(verified(&secret, &attempt.headers, &attempt.body));
    }
    assert_eq!(text(&attempts[0].json(), "/data/message"), "Patching completed and need to reboot.");
    system.stop().await;
}

#[tokio::test]
async fn a_receiver_that_never_takes_it_gets_eight_attempts_and_then_the_delivery_is_dead() {
    let system = System::start_with("0").await;
    let tenant = Tenant::customer(id(), id());
    let receiver = Receiver::start(|_| Reply::Status(503)).await;
    let caller = System::caller(tenant.partner_id, Role::PartnerAdmin);
    system.send(&caller, alerts_only(&receiver.url)).await.unwrap();
    system.happens(tenant, reboot()).await;

    let dead: Vec<DeliveryDeadLettered> = system.facts(DeliveryDeadLettered::TYPE, 1).await;
    assert_eq!((dead[0].attempts, dead[0].reason.as_str()), (8, "the receiver answered 503"));
    assert_eq!(receiver.all().len(), 8);
    system.stop().await;
}

#[tokio::test]
async fn a_receiver_that_is_gone_is_switched_off_with_an_alert() {
    let system = System::start().await;
    let tenant = Tenant::partner(id());
    let receiver = Receiver::start(|_| Reply::Status(410)).await;
    let caller = System::caller(tenant.partner_id, Role::PartnerAdmin);
    let webhook_id = system.send(&caller, alerts_only(&receiver.url)).await.unwrap().answer.webhook_id;
    system.happens(Tenant::customer(tenant.partner_id, id()), reboot()).await;

    let alert = system.alert(AlertType::WebhookDisabled).await;
    assert_eq!(alert.severity, AlertSeverity::Critical);
    assert_eq!(alert.reason.as_deref(), Some("the receiver is gone: it answered 410"));
    assert!(alert.message.contains(&webhook_id.to_string()));
    // The next event finds it switched off.
    system.happens(Tenant::customer(tenant.partner_id, id()), initiated()).await;
    system.alert(AlertType::Initiate).await;
    system.has_read_all().await;
    assert_eq!(receiver.all().len(), 1);
    system.stop().await;
}

#[tokio::test]
async fn search_is_raised_when_a_missing_patch_is_approved_and_never_before() {
    let system = System::start().await;
    let tenant = Tenant::customer(id(), id());
    let elsewhere = Tenant::customer(tenant.partner_id, id());
    let (device, patch, other) = (id::<DeviceId>(), id::<PatchId>(), id::<PatchId>());
    system.happens(tenant, missing(device, patch)).await;
    system.happens(tenant, scanned(device)).await;
    // Approved, but not missing; missing, but approved at another customer only.
    system.happens(tenant, approved(tenant, other)).await;
    system.happens(elsewhere, approved(elsewhere, patch)).await;
    system.happens(tenant, scanned(device)).await;
    system.has_read_all().await;
    assert_eq!(system.alerts(AlertType::Search).await, []);

    system.happens(tenant, approved(tenant, patch)).await;
    let alert = system.alert(AlertType::Search).await;
    assert_eq!((alert.device_id, alert.patch_ids), (Some(device), vec![patch]));
    assert_eq!(alert.customer_id, tenant.customer_id);

    system.happens(tenant, scanned(device)).await;
    system.has_read_all().await;
    assert_eq!(system.alerts(AlertType::Search).await.len(), 2);

    system.happens(tenant, revoked(tenant, patch)).await;
    system.happens(tenant, scanned(device)).await;
    system.has_read_all().await;
    assert_eq!(system.alerts(AlertType::Search).await.len(), 2);
    system.stop().await;
}

#[tokio::test]
async fn events_that_are_delivered_again_add_neither_alerts_nor_deliveries() {
    let system = System::start().await;
    let tenant = Tenant::customer(id(), id());
    let receiver = Receiver::start(|_| Reply::Status(200)).await;
    let caller = System::caller(tenant.partner_id, Role::PartnerAdmin);
    system.send(&caller, alerts_only(&receiver.url)).await.unwrap();
    system.happens(tenant, failed(id())).await;
    system.happens(tenant, reboot()).await;
    system.facts::<DeliverySucceeded>(DeliverySucceeded::TYPE, 2).await;

    // Everything the service knows about what it has handled is forgotten: it reads the whole log once more.
    let system = system.restarted_with("delete from es.inbox; update es.consumer set seq = 0").await;
    system.happens(tenant, initiated()).await;
    system.facts::<DeliverySucceeded>(DeliverySucceeded::TYPE, 3).await;
    system.has_read_all().await;
    assert_eq!(system.alerts(AlertType::PatchFailed).await.len(), 1);
    assert_eq!(system.alerts(AlertType::PendingReboot).await.len(), 1);
    assert_eq!(receiver.all().len(), 3);
    system.stop().await;
}

#[tokio::test]
async fn a_webhook_gets_the_events_of_its_tenant_that_come_after_its_registration() {
    let system = System::start().await;
    let (own, sibling, foreign) = (Tenant::customer(id(), id()), id(), Tenant::customer(id(), id()));
    let sibling = Tenant::customer(own.partner_id, sibling);
    let receiver = Receiver::start(|_| Reply::Status(200)).await;
    let admin = System::caller_at(own, Role::CustomerAdmin);
    system.happens(own, reboot()).await;
    system.alert(AlertType::PendingReboot).await;
    system.has_read_all().await;
    let registration = RegisterWebhook { customer_id: own.customer_id, ..alerts_only(&receiver.url) };
    let unknown = system.send(&admin, registration.clone()).await.unwrap_err();
    assert_eq!((unknown.status, unknown.code.as_str()), (404, "alerts.customer_unknown"));
    system.happens(own, registered(own)).await;
    system.has_read_all().await;
    system.send(&admin, registration.clone()).await.unwrap();
    let stranger = System::caller(id(), Role::PartnerAdmin);
    let hidden = system.send(&stranger, registration).await.unwrap_err();
    assert_eq!((hidden.status, hidden.code.as_str()), (404, "alerts.customer_unknown"));

    system.happens(sibling, reboot()).await;
    system.happens(foreign, reboot()).await;
    system.happens(own, failed(id())).await;
    assert_eq!(text(&receiver.first().await.json(), "/data/alert_type"), "PATCH_FAILED");
    system.has_read_all().await;
    assert_eq!(receiver.all().len(), 1);
    system.stop().await;
}

#[tokio::test]
async fn an_attempt_that_a_stop_cut_short_is_made_again_with_the_same_id() {
    let system = System::start().await;
    let tenant = Tenant::customer(id(), id());
    let receiver =
        Receiver::start(|number| if number == 0 { Reply::Silence } else { Reply::Status(200) }).await;
    let caller = System::caller(tenant.partner_id, Role::PartnerAdmin);
    system.send(&caller, alerts_only(&receiver.url)).await.unwrap();
    system.happens(tenant, reboot()).await;
    receiver.first().await;

    // The owner lets the lease end now, for a minute is long.
    let system = system.restarted_with("update alerts.delivery set leased_until = now()").await;
    system.facts::<DeliverySucceeded>(DeliverySucceeded::TYPE, 1).await;
    let attempts = receiver.all();
    assert_eq!(attempts.len(), 2);
    assert_eq!(attempts[0].header("webhook-id"), attempts[1].header("webhook-id"));
    system.stop().await;
}

#[tokio::test]
async fn a_silent_receiver_slows_nobody_else() {
    let system = System::start().await;
    let tenant = Tenant::customer(id(), id());
    let silent = Receiver::start(|_| Reply::Silence).await;
    let quick = Receiver::start(|_| Reply::Status(200)).await;
    let caller = System::caller(tenant.partner_id, Role::PartnerAdmin);
    system.send(&caller, alerts_only(&silent.url)).await.unwrap();
    system.send(&caller, alerts_only(&quick.url)).await.unwrap();
    let started = Instant::now();
    for _ in 0..20 {
        system.happens(tenant, initiated()).await;
    }
    let succeeded: Vec<DeliverySucceeded> = system.facts(DeliverySucceeded::TYPE, 20).await;
    assert_eq!(succeeded.len(), 20);
    // The silent one's attempts last 15 seconds each.
    assert!(started.elapsed() < Duration::from_secs(14), "{:?}", started.elapsed());
    assert!(silent.all().len() <= 4, "more attempts at once than one webhook may have");
    system.stop().await;
}

#[tokio::test]
async fn a_bad_registration_gets_a_coded_refusal_and_leaves_nothing_behind() {
    let system = System::start().await;
    let admin = System::caller(id(), Role::PartnerAdmin);
    let good = alerts_only("http://127.0.0.1:9/hook");
    let url = |url: &str| RegisterWebhook { url: url.to_owned(), ..good.clone() };
    let types = |types: Vec<&str>| RegisterWebhook {
        event_types: types.into_iter().map(str::to_owned).collect(),
        ..good.clone()
    };
    for (command, status, code) in [
        (url("http://10.0.0.1/hook"), 422, "alerts.webhook_address_refused"),
        (url("https://169.254.169.254/latest"), 422, "alerts.webhook_address_refused"),
        (url("http://93.184.215.14/hook"), 422, "alerts.webhook_address_refused"),
        (url("receiver.example"), 422, "alerts.webhook_url_invalid"),
        (url("ftp://127.0.0.1/"), 422, "alerts.webhook_url_invalid"),
        (url("https://nobody.invalid/"), 422, "alerts.webhook_url_invalid"),
        (types(vec![]), 422, "alerts.event_type_count"),
        (types(vec!["alerts.*"; 51]), 422, "alerts.event_type_count"),
        (types(vec!["alerts.AlertRised"]), 422, "alerts.unknown_event_type"),
    ] {
        let failure = system.send(&admin, command).await.unwrap_err();
        assert_eq!((failure.status, failure.code.as_str()), (status, code), "{}", failure.message);
    }
    for role in [Role::PartnerViewer, Role::PartnerOperator, Role::CustomerApprover] {
        let failure = system.send(&System::caller(id(), role), good.clone()).await.unwrap_err();
        assert_eq!((failure.status, failure.code.as_str()), (403, "access.forbidden"));
    }
    // A customer's administrator registers for that customer, not for the whole partner.
    let customer_admin = System::caller_at(Tenant::customer(id(), id()), Role::CustomerAdmin);
    let failure = system.send(&customer_admin, good).await.unwrap_err();
    assert_eq!((failure.status, failure.code.as_str()), (403, "access.forbidden"));
    assert_eq!(system.count("select count(*) from alerts.webhook").await, 0);
    assert_eq!(system.count("select count(*) from es.event").await, 0);
    system.stop().await;
}

#[tokio::test]
async fn the_same_registration_twice_is_one_webhook_and_its_secret_is_shown_once() {
    let system = System::start().await;
    let caller = System::caller(id(), Role::PartnerAdmin);
    let (command_id, command) = (CommandId(id()), alerts_only("http://127.0.0.1:9/hook"));
    let first = system.send_as(&caller, command.clone(), command_id).await.unwrap();
    let second = system.send_as(&caller, command, command_id).await.unwrap();
    assert!(first.answer.secret.as_ref().unwrap().starts_with("whsec_"));
    assert!(first.answer.public_key.starts_with("whpk_"));
    assert_eq!(second.answer.secret, first.answer.secret, "the same command has the same answer");
    assert_eq!(second.answer.webhook_id, first.answer.webhook_id);
    assert_eq!((second.repeated, second.written), (true, first.written));
    assert_eq!(system.count("select count(*) from alerts.webhook").await, 1);
    system.stop().await;
}

#[tokio::test]
async fn a_webhook_that_was_switched_off_gets_nothing_and_is_not_found_by_others() {
    let system = System::start().await;
    let tenant = Tenant::customer(id(), id());
    let receiver = Receiver::start(|_| Reply::Status(200)).await;
    let caller = System::caller(tenant.partner_id, Role::PartnerAdmin);
    let webhook_id = system.send(&caller, alerts_only(&receiver.url)).await.unwrap().answer.webhook_id;

    let stranger = System::caller(id(), Role::PartnerAdmin);
    let failure = system.send(&stranger, DisableWebhook { webhook_id }).await.unwrap_err();
    assert_eq!((failure.status, failure.code.as_str()), (404, "alerts.webhook_not_found"));
    let unknown = system.send(&caller, DisableWebhook { webhook_id: id() }).await.unwrap_err();
    assert_eq!((unknown.status, unknown.code.as_str()), (404, "alerts.webhook_not_found"));

    assert!(system.send(&caller, DisableWebhook { webhook_id }).await.unwrap().written.is_some());
    system.happens(tenant, reboot()).await;
    system.alert(AlertType::PendingReboot).await;
    system.has_read_all().await;
    assert_eq!(receiver.all().len(), 0);
    // A person did it, so nobody has to be told.
    assert_eq!(system.alerts(AlertType::WebhookDisabled).await, []);
    system.stop().await;
}

#[tokio::test]
async fn an_alert_is_acknowledged_and_resolved_by_its_tenant_only() {
    let system = System::start().await;
    let tenant = Tenant::customer(id(), id());
    system.happens(tenant, failed(id())).await;
    let alert_id: AlertId = system.alert(AlertType::PatchFailed).await.alert_id;
    let operator = System::caller(tenant.partner_id, Role::PartnerOperator);

    let sibling = System::caller_at(Tenant::customer(tenant.partner_id, id()), Role::CustomerAdmin);
    for stranger in [System::caller(id(), Role::PartnerAdmin), sibling] {
        let failure = system.send(&stranger, AcknowledgeAlert { alert_id }).await.unwrap_err();
        assert_eq!((failure.status, failure.code.as_str()), (404, "alerts.alert_not_found"));
    }
    assert!(system.send(&operator, AcknowledgeAlert { alert_id }).await.unwrap().written.is_some());
    assert!(system.send(&operator, ResolveAlert { alert_id }).await.unwrap().written.is_some());
    let failure = system.send(&operator, AcknowledgeAlert { alert_id }).await.unwrap_err();
    assert_eq!((failure.status, failure.code.as_str()), (409, "alerts.already_resolved"));
    system.stop().await;
}
