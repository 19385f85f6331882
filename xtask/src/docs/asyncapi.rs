//! An `AsyncAPI` 3.0 document for integrators: what is on RabbitMQ, and what a webhook's receiver gets.

mod written;

use super::{events, schemas, source};
use anyhow::{Context, Result, ensure};
use contracts::{
    Service,
    catalogue::{EventSet, SETS, urn},
    schema::{self, Shape},
};
use serde_json::{Map, Value, json};
use std::{collections::BTreeSet, path::Path};
use written::Written;

/// Name, type, meaning, and whether it is always there.
type Header = (&'static str, &'static str, &'static str, bool);

const DESCRIPTION: &str = "Every fact that Patchfleet records, as messages on RabbitMQ and as signed webhooks. Generated \
by `cargo xtask docs`; docs/events.md says the same for people.\n\n\
A fact is delivered at least once: the same message id is the same fact. Facts of one partner arrive in the order of \
`seq`. Let pass unknown fields, words and types: a shape never changes within its version, and new versions come.";

const BROKER: &str = "RabbitMQ, where services of the operator read. Every service has a durable topic exchange. Declare \
a queue of your own and bind it with routing keys; messages that no queue wants are dropped by the broker, and what was \
published before the binding is not repeated.";

const RECEIVER: &str =
    "Your endpoint, registered with the mutation `registerWebhook`: a public address over https.";

const WEBHOOK: &str = "One POST per fact, by Standard Webhooks 1.0; the body has the attributes of CloudEvents 1.0 \
(structured, though sent as `application/json`). Answer 2xx within 15 s. Anything else is tried again with the same \
`webhook-id` after 5 s, 5 min, 30 min, 2 h, 5 h, 10 h and 10 h; 410 switches the webhook off. Check the signature over \
`<webhook-id>.<webhook-timestamp>.<body>` before reading the body, and refuse old timestamps.";

const MESSAGE_PROPERTIES: &str = "Beside the headers, the message's properties: `message_id` is the event's id, `type` \
the event's type, `content_type` is `application/json`, and `delivery_mode` is 2.";

/// Headers of a message on the broker.
const MESSAGE_HEADERS: [Header; 5] = [
    ("seq", "integer", "Position in the log, as in the envelope.", true),
    (
        "previous",
        "integer",
        "Position of the fact of the same type before this one, whosoever it is, where the relay knows it: a reader of \
         all facts of the type who has not had that one has lost it.",
        false,
    ),
    ("partner-id", "string", "Whose fact it is.", true),
    ("customer-id", "string", "The customer, where the fact is about one.", false),
    ("traceparent", "string", "W3C Trace Context of the cause, where it was traced.", false),
];

/// Headers of a webhook's request.
const WEBHOOK_HEADERS: [Header; 3] = [
    ("webhook-id", "string", "The event's id, the same over all attempts.", true),
    ("webhook-timestamp", "integer", "When this attempt was made, in seconds since 1970.", true),
    (
        "webhook-signature",
        "string",
        "`v1,<base64>` (HMAC-SHA256 with the `whsec_` secret) and `v1a,<base64>` (Ed25519 with the `whpk_` key), \
         separated by a blank.",
        true,
    ),
];

/// Attributes of a webhook's body: name, schema, meaning.
const ATTRIBUTES: [(&str, &str, &str); 11] = [
    ("specversion", r#"{ "const": "1.0" }"#, "Of CloudEvents."),
    ("id", r#"{ "type": "string", "format": "uuid" }"#, "The event's id."),
    ("source", r#"{ "type": "string" }"#, "`patchfleet/<service>`"),
    ("type", r#"{ "type": "string" }"#, "The event's type."),
    (
        "dataschema",
        r#"{ "type": "string", "format": "uri" }"#,
        "The `$id` of the schema that `data` keeps to.",
    ),
    ("time", r#"{ "type": "string", "format": "date-time" }"#, "When it happened."),
    ("subject", r#"{ "type": "string" }"#, "`<stream>/<id of the stream>`"),
    ("data", r#"{ "type": "object" }"#, "The fact."),
    ("partnerId", r#"{ "type": "string", "format": "uuid" }"#, "Whose fact it is."),
    (
        "customerId",
        r#"{ "type": ["string", "null"], "format": "uuid" }"#,
        "The customer, where the fact is about one.",
    ),
    ("position", r#"{ "type": "integer", "format": "int64" }"#, "Position in the log."),
];

pub(super) fn document(root: &Path) -> Result<String> {
    check_against_source(root)?;
    let streams = events::streams(&source::files(root, &["services"])?);
    let shapes = schema::shapes();
    let mut channels = Map::new();
    let (mut operations, mut messages) = (Map::new(), Map::new());
    let mut deliverable = Map::new();
    for set in &SETS {
        let stream = streams.get(set.name).with_context(|| format!("no aggregate has {}", set.name))?;
        let mut own = Map::new();
        for (event_type, today) in set.types {
            for version in (1..=*today).rev() {
                let name = format!("{event_type}.v{version}");
                let words = words(root, &shapes, event_type, version)?;
                messages.insert(name.clone(), message(event_type, version, &words));
                own.insert(name.clone(), reference(&format!("components/messages/{name}")));
                if alerts_domain::subscription::is_deliverable(event_type) {
                    let webhook = format!("webhook.{name}");
                    messages.insert(webhook.clone(), webhook_message(event_type, version, &words));
                    deliverable.insert(webhook.clone(), reference(&format!("components/messages/{webhook}")));
                }
            }
        }
        channels.insert(stream.clone(), channel(set, stream, &own));
        operations.insert(format!("publish.{stream}"), publish(stream));
    }
    channels.insert(
        "webhook".to_owned(),
        json!({
            "address": "/",
            "title": "Webhook",
            "description": "The path is that of the registered URL.",
            "servers": [reference("servers/receiver")],
            "messages": deliverable,
        }),
    );
    operations.insert(
        "deliver.webhook".to_owned(),
        json!({
            "action": "send",
            "channel": reference("channels/webhook"),
            "summary": "Delivers a fact to a registered webhook.",
            "description": WEBHOOK,
            "bindings": { "http": { "method": "POST", "bindingVersion": "0.3.0" } },
        }),
    );
    let document = json!({
        "asyncapi": "3.0.0",
        "id": "urn:patchfleet",
        "info": {
            "title": "Patchfleet events",
            "version": env!("CARGO_PKG_VERSION"),
            "description": DESCRIPTION,
            "license": { "name": env!("CARGO_PKG_LICENSE") },
        },
        "defaultContentType": "application/json",
        "servers": servers(),
        "channels": channels,
        "operations": operations,
        "components": { "schemas": components()?, "messages": messages },
    });
    Ok(schema::text(&document))
}

fn servers() -> Value {
    json!({
        "broker": {
            "host": "{host}",
            "protocol": "amqp",
            "protocolVersion": "0.9.1",
            "description": BROKER,
            "variables": { "host": { "description": "Host and port, as the operator says." } },
            "security": [{ "type": "userPassword", "description": "A RabbitMQ user who may read the exchanges." }],
        },
        "receiver": {
            "host": "{host}",
            "protocol": "https",
            "description": RECEIVER,
            "variables": { "host": { "description": "Host and port of the registered URL." } },
        },
    })
}

/// What is bound by: the kind of stream, the event, the partner.
fn channel(set: &EventSet, stream: &str, messages: &Map<String, Value>) -> Value {
    let aggregate = stream.split_once('.').map_or(stream, |(_, aggregate)| aggregate);
    let names = set.types.iter().filter_map(|(event_type, _)| event_type.split_once('.'));
    let names: Vec<&str> = names.map(|(_, name)| name).collect();
    let service = Service::by_name(set.service).map_or(set.service, Service::name);
    json!({
        "address": format!("{aggregate}.{{event}}.{{partnerId}}"),
        "title": stream,
        "description": set.doc.trim(),
        "servers": [reference("servers/broker")],
        "messages": messages,
        "parameters": {
            "event": { "description": "The event's name without its service.", "enum": names },
            "partnerId": { "description": "Whose facts; the nil UUID for those of the platform, `*` in a binding for all." },
        },
        "bindings": { "amqp": {
            "is": "routingKey",
            "exchange": { "name": format!("{service}.events"), "type": "topic", "durable": true, "autoDelete": false },
            "bindingVersion": "0.3.0",
        } },
    })
}

fn publish(stream: &str) -> Value {
    json!({
        "action": "send",
        "channel": reference(&format!("channels/{stream}")),
        "summary": format!("Publishes the facts of `{stream}` in the order of the log."),
        "bindings": { "amqp": { "deliveryMode": 2, "mandatory": true, "bindingVersion": "0.3.0" } },
    })
}

fn message(event_type: &str, version: i16, words: &str) -> Value {
    json!({
        "name": event_type,
        "title": format!("{event_type} v{version}"),
        "summary": words,
        "headers": reference("components/schemas/MessageHeaders"),
        "payload": {
            "allOf": [
                { "$ref": in_folder(schemas::ENVELOPE) },
                { "type": "object", "properties": {
                    "event_type": { "const": event_type },
                    "schema_version": { "const": version },
                    "payload": { "$ref": in_folder(&schema::file_name(event_type, version)) },
                } },
            ],
        },
        "correlationId": { "location": "$message.payload#/correlation_id", "description": "The request all of it follows from." },
        "bindings": { "amqp": { "messageType": event_type, "bindingVersion": "0.3.0" } },
    })
}

fn webhook_message(event_type: &str, version: i16, words: &str) -> Value {
    json!({
        "name": event_type,
        "title": format!("{event_type} v{version}"),
        "summary": words,
        "headers": reference("components/schemas/WebhookHeaders"),
        "payload": {
            "allOf": [
                reference("components/schemas/WebhookBody"),
                { "type": "object", "properties": {
                    "type": { "const": event_type },
                    "dataschema": { "const": urn(event_type, version) },
                    "data": { "$ref": in_folder(&schema::file_name(event_type, version)) },
                } },
            ],
        },
    })
}

fn components() -> Result<Value> {
    let mut message = headers(&MESSAGE_HEADERS);
    message["description"] = MESSAGE_PROPERTIES.into();
    let attributes: Result<Map<String, Value>> = ATTRIBUTES
        .into_iter()
        .map(|(name, schema, meaning)| {
            let mut schema: Value = serde_json::from_str(schema)?;
            schema["description"] = meaning.into();
            Ok((name.to_owned(), schema))
        })
        .collect();
    Ok(json!({
        "MessageHeaders": message,
        "WebhookHeaders": headers(&WEBHOOK_HEADERS),
        "WebhookBody": {
            "type": "object",
            "properties": attributes?,
            "required": ATTRIBUTES.map(|(name, ..)| name),
        },
    }))
}

fn headers(headers: &[Header]) -> Value {
    let described = |(name, kind, meaning, _): &Header| {
        ((*name).to_owned(), json!({ "type": kind, "description": meaning }))
    };
    let always = headers.iter().filter(|(.., always)| *always).map(|(name, ..)| *name);
    json!({
        "type": "object",
        "properties": headers.iter().map(described).collect::<Map<_, _>>(),
        "required": always.collect::<Vec<_>>(),
    })
}

/// The description of a version: of the type as it is, or of the committed file.
fn words(root: &Path, shapes: &[Shape], event_type: &str, version: i16) -> Result<String> {
    let today = shapes.iter().find(|shape| (shape.event_type, shape.version) == (event_type, version));
    let schema = match today {
        Some(shape) => shape.schema.clone(),
        None => schemas::committed(root, event_type, version)?,
    };
    let words = schema["description"].as_str();
    Ok(words.with_context(|| format!("{event_type} v{version} has no description"))?.to_owned())
}

/// Fails where the services write other headers or attributes than this document says.
fn check_against_source(root: &Path) -> Result<()> {
    let written = Written::read(root)?;
    let names = |described: &[Header]| described.iter().map(|(name, ..)| (*name).to_owned()).collect();
    let described: [(&str, BTreeSet<String>, BTreeSet<String>); 3] = [
        ("headers of messages", written.message_headers, names(&MESSAGE_HEADERS)),
        ("headers of webhooks", written.webhook_headers, names(&WEBHOOK_HEADERS)),
        (
            "attributes of webhooks",
            written.webhook_attributes,
            ATTRIBUTES.map(|(name, ..)| name.to_owned()).into(),
        ),
    ];
    for (what, written, described) in described {
        ensure!(
            written == described,
            "the {what} are {written:?}, and xtask/src/docs/asyncapi.rs describes {described:?}"
        );
    }
    ensure!(
        written.names_are_known,
        "exchanges or routing keys have other names than xtask/src/docs/asyncapi.rs says"
    );
    Ok(())
}

fn reference(path: &str) -> Value {
    json!({ "$ref": format!("#/{path}") })
}

/// Beside the document.
fn in_folder(file: &str) -> String {
    format!("{}/{file}", schemas::FOLDER.trim_start_matches("docs/"))
}

#[cfg(test)]
mod tests {
    use super::document;
    use crate::workspace;
    use serde_json::Value;

    fn read() -> Value {
        serde_json::from_str(&document(&workspace::root().unwrap()).unwrap()).unwrap()
    }

    #[test]
    fn a_message_says_where_it_is_and_what_it_holds() {
        let document = read();
        let channel = &document["channels"]["approvals.approval"];
        assert_eq!(channel["address"], "approval.{event}.{partnerId}");
        assert_eq!(channel["bindings"]["amqp"]["exchange"]["name"], "approvals.events");
        let message = &document["components"]["messages"]["approvals.PatchApproved.v1"];
        assert_eq!(message["summary"], "The patch may be installed.");
        let payload = &message["payload"]["allOf"][1]["properties"]["payload"];
        assert_eq!(payload["$ref"], "events/approvals.PatchApproved.v1.schema.json");
    }

    #[test]
    fn facts_about_deliveries_are_messages_and_no_webhooks() {
        let messages = &read()["components"]["messages"];
        assert!(messages.get("alerts.DeliverySucceeded.v1").is_some());
        assert!(messages.get("webhook.alerts.DeliverySucceeded.v1").is_none());
        assert!(messages.get("webhook.alerts.AlertRaised.v1").is_some());
    }

    /// Inside the document and to the files beside it.
    #[test]
    fn every_reference_leads_somewhere() {
        let (document, docs) = (read(), workspace::root().unwrap().join("docs"));
        let mut rest = vec![&document];
        let mut seen = 0;
        while let Some(value) = rest.pop() {
            if let Some(target) = value["$ref"].as_str() {
                let leads = match target.strip_prefix('#') {
                    Some(pointer) => document.pointer(pointer).is_some(),
                    None => docs.join(target).is_file(),
                };
                assert!(leads, "{target}");
                seen += 1;
            }
            rest.extend(value.as_object().into_iter().flat_map(|map| map.values()));
            rest.extend(value.as_array().into_iter().flatten());
        }
        assert!(seen > 300, "{seen}");
    }
}
