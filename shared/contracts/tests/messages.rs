//! The document for integrators, held against events as they are published.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its support as well")]

use chrono::DateTime;
use contracts::catalogue::SETS;
use jsonschema::Validator;
use kernel::{
    Actor, CommandId, CorrelationId, CustomerId, Envelope, EventId, PartnerId, Position, StreamId, Tenant,
};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use uuid::Uuid;

fn below_the_workspace(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

fn read(path: &str) -> Value {
    let text = std::fs::read(below_the_workspace(path))
        .unwrap_or_else(|error| panic!("{path}: {error}; run `cargo xtask docs`"));
    serde_json::from_slice(&text).unwrap()
}

/// The document's schema of a message, with the files beside it put in their places.
fn validator(document: &Value, message: &str) -> Validator {
    let message = &document["components"]["messages"][message];
    let mut payload = message["payload"].clone();
    put_in(&mut payload, document);
    jsonschema::draft202012::options().should_validate_formats(true).build(&payload).unwrap()
}

fn put_in(node: &mut Value, document: &Value) {
    if let Some(target) = node["$ref"].as_str().map(ToOwned::to_owned) {
        *node = match target.strip_prefix('#') {
            Some(pointer) => document.pointer(pointer).unwrap().clone(),
            None => read(&format!("docs/{target}")),
        };
        return;
    }
    match node {
        Value::Object(map) => map.values_mut().for_each(|value| put_in(value, document)),
        Value::Array(list) => list.iter_mut().for_each(|value| put_in(value, document)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn envelope(event_type: &str, version: i16, tenant: Tenant) -> Envelope {
    let id = Uuid::from_u128;
    let service = event_type.split('.').next().unwrap();
    Envelope {
        seq: Position(7),
        event_id: EventId(id(1)),
        stream_id: StreamId(id(2)),
        stream: format!("{service}.example"),
        version: 1,
        event_type: event_type.to_owned(),
        schema_version: version,
        tenant,
        occurred_at: DateTime::from_timestamp(1_700_000_000, 120_000_000).unwrap(),
        recorded_at: DateTime::from_timestamp(1_700_000_001, 0).unwrap(),
        actor: Actor::system(service),
        command_id: CommandId(id(3)),
        correlation_id: CorrelationId(id(4)),
        causation_id: None,
        traceparent: None,
        payload: read(&format!("shared/contracts/tests/events/{event_type}.v{version}.json")),
    }
}

/// Every version of every event.
fn versions() -> impl Iterator<Item = (&'static str, i16)> {
    let today = SETS.iter().flat_map(|set| set.types);
    today.flat_map(|(event_type, today)| (1..=*today).map(move |version| (*event_type, version)))
}

#[test]
fn every_event_is_published_as_the_document_says() {
    let document = read("docs/asyncapi.json");
    let (partner, customer) = (PartnerId(Uuid::from_u128(5)), CustomerId(Uuid::from_u128(6)));
    for (event_type, version) in versions() {
        let validator = validator(&document, &format!("{event_type}.v{version}"));
        for tenant in [Tenant::PLATFORM, Tenant::partner(partner), Tenant::customer(partner, customer)] {
            let mut published = serde_json::to_value(envelope(event_type, version, tenant)).unwrap();
            let errors: Vec<_> = validator.iter_errors(&published).map(|error| error.to_string()).collect();
            assert!(errors.is_empty(), "{event_type} v{version}: {errors:#?}");
            for (field, other) in [
                ("event_type", json!("tenancy.Other")),
                ("schema_version", json!(version + 1)),
                ("payload", json!({})),
                ("seq", json!("7")),
                ("actor", json!({ "kind": "nobody", "id": "" })),
            ] {
                let right = published[field].clone();
                published[field] = other;
                assert!(!validator.is_valid(&published), "{event_type} v{version} with another {field}");
                published[field] = right;
            }
        }
    }
}

#[test]
fn a_webhook_names_the_schema_of_its_data() {
    let document = read("docs/asyncapi.json");
    let validator = validator(&document, "webhook.alerts.AlertRaised.v1");
    let mut body = json!({
        "specversion": "1.0",
        "id": Uuid::from_u128(1),
        "source": "patchfleet/alerts",
        "type": "alerts.AlertRaised",
        "dataschema": contracts::catalogue::urn("alerts.AlertRaised", 1),
        "time": "2026-01-02T03:04:05.678Z",
        "subject": "alerts.alert/00000000-0000-0000-0000-000000000002",
        "data": read("shared/contracts/tests/events/alerts.AlertRaised.v1.json"),
        "partnerId": Uuid::from_u128(3),
        "customerId": null,
        "position": 7,
    });
    assert!(validator.is_valid(&body), "{:#?}", validator.iter_errors(&body).collect::<Vec<_>>());
    body["dataschema"] = contracts::catalogue::urn("alerts.AlertRaised", 2).into();
    assert!(!validator.is_valid(&body));
}
