//! No field of the schema shows one tenant anything of another, whatever the role.

use crate::schema::{named, types};
use crate::system::{System, codes};
use crate::world::{World, global};
use contracts::permissions::Role;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// How each type that has connections is reached; `$1` is where the type's fields go.
const PATHS: [(&str, &str); 13] = [
    ("Query", "{ $1 }"),
    ("Patch", "{ patches(first: 3) { nodes { $1 } } }"),
    ("Feed", "{ feeds(first: 5) { nodes { $1 } } }"),
    ("Vulnerability", "{ vulnerability(cve: \"CVE-2026-0001\") { $1 } }"),
    ("CatalogueAt", "{ catalogueAt(time: \"2100-01-01T00:00:00Z\") { $1 } }"),
    ("Viewer", "{ viewer { $1 } }"),
    ("Partner", "{ viewer { partner { $1 } } }"),
    ("Customer", "{ viewer { customers(first: 3) { nodes { $1 } } } }"),
    ("Rule", "{ viewer { customers(first: 3) { nodes { rules(first: 3) { nodes { $1 } } } } } }"),
    ("Site", "{ viewer { customers(first: 3) { nodes { site { $1 } } } } }"),
    ("Device", "{ viewer { customers(first: 3) { nodes { devices(first: 3) { nodes { $1 } } } } } }"),
    ("DeviceGroup", "{ viewer { groups(first: 3) { nodes { $1 } } } }"),
    ("Deployment", "{ viewer { customers(first: 3) { nodes { deployments(first: 3) { nodes { $1 } } } } } }"),
    ("Webhook", "{ viewer { customers(first: 3) { nodes { webhooks(first: 3) { nodes { $1 } } } } } }"),
];

/// Connections that are nobody's, and what another service answers.
const SHARED: [&str; 2] = ["AuditRecordConnection", "PartnerConnection"];

struct Schema(BTreeMap<String, Value>);

impl Schema {
    async fn of(system: &System) -> Self {
        let types = types(system).await;
        Self(types.into_iter().map(|on| (on["name"].as_str().unwrap().to_owned(), on)).collect())
    }

    fn fields(&self, on: &str) -> impl Iterator<Item = &Value> {
        self.0[on]["fields"].as_array().into_iter().flatten()
    }

    /// Everything of a type down to `depth` objects, connections left out: each has a query of its own.
    fn selection(&self, on: &str, depth: usize) -> String {
        let mut selected = vec!["__typename".to_owned()];
        for field in self.fields(on) {
            let (kind, of) = named(&field["type"]);
            let name = field["name"].as_str().unwrap();
            match kind {
                "SCALAR" | "ENUM" => selected.push(name.to_owned()),
                "OBJECT" if depth > 0 && !of.ends_with("Connection") => {
                    selected.push(format!("{name} {{ {} }}", self.selection(of, depth - 1)));
                }
                _ => {}
            }
        }
        selected.join(" ")
    }

    /// A query for every connection of the schema: by type and field.
    fn connections(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        for on in self.0.keys().filter(|on| !on.starts_with("__")) {
            for field in self.fields(on) {
                let (name, of) = (field["name"].as_str().unwrap(), named(&field["type"]).1);
                if !of.ends_with("Connection") || SHARED.contains(&of) {
                    continue;
                }
                let path = PATHS.iter().find(|(reached, _)| reached == on);
                let (_, path) = path.unwrap_or_else(|| panic!("how is {on} reached?"));
                let node = of.trim_end_matches("Connection");
                let selected =
                    format!("{name}(first: 5) {{ totalCount nodes {{ {} }} }}", self.selection(node, 2));
                found.push((format!("{on}.{name}"), path.replace("$1", &selected)));
            }
        }
        found
    }
}

/// Whether an answer has a text or an id of the world in it.
fn betrays(answer: &Value, world: &World) -> bool {
    let text = answer.to_string();
    let shown = |id: uuid::Uuid, kind| text.contains(&id.to_string()) || text.contains(&global(kind, id));
    text.contains(world.mark) || world.objects().into_iter().any(|(kind, id)| shown(id, kind))
}

#[tokio::test]
async fn no_connection_shows_anything_of_another_tenant() {
    let system = System::start().await;
    let [world, other] = ["acker", "beck"].map(World::new);
    world.record(&system).await;
    other.record(&system).await;
    for one in [&world, &other] {
        one.record_own_catalogue(&system).await;
        one.record_decisions(&system).await;
    }
    let connections = Schema::of(&system).await.connections();
    assert!(connections.len() >= 31, "{connections:?}");
    let mut shown = BTreeMap::new();
    for role in Role::ALL.into_iter().filter(|role| *role != Role::PlatformOperator) {
        for (field, query) in &connections {
            let answer = system.ask(&world.subject(role), query, Value::Null).await;
            assert!(!betrays(&answer, &other), "{role:?} {field}: {answer}");
            assert!(
                codes(&answer).iter().all(|code| *code == "access.forbidden"),
                "{role:?} {field}: {answer}"
            );
            let own = answer["data"].is_object() && answer["data"].to_string().contains("\"nodes\":[{");
            *shown.entry(field.clone()).or_insert(false) |= own && betrays(&answer, &world);
        }
    }
    let empty: Vec<_> = shown.iter().filter(|(_, shown)| !**shown).map(|(field, _)| field).collect();
    assert!(empty.is_empty(), "nobody sees anything of their own in {empty:?}");
    system.stop().await;
}

#[tokio::test]
async fn no_id_of_another_tenant_leads_anywhere() {
    let system = System::start().await;
    let [world, other] = ["acker", "beck"].map(World::new);
    world.record(&system).await;
    other.record(&system).await;
    for one in [&world, &other] {
        one.record_own_catalogue(&system).await;
    }
    let query = "query($id: ID!) { node(id: $id) { __typename id } }";
    for role in Role::ALL.into_iter().filter(|role| *role != Role::PlatformOperator) {
        for ((kind, own), (_, hidden)) in world.objects().into_iter().zip(other.objects()) {
            let variables = json!({ "id": global(kind, hidden) });
            let answer = system.ask(&world.subject(role), query, variables).await;
            assert_eq!(answer["data"]["node"], Value::Null, "{role:?} {kind}");
            assert!(!answer.to_string().contains("__typename\":"), "{answer}");
            let answer = system.ask(&world.subject(role), query, json!({ "id": global(kind, own) })).await;
            let forbidden = answer["errors"][0]["extensions"]["code"] == "access.forbidden";
            assert!(answer["data"]["node"]["__typename"] == kind || forbidden, "{role:?} {kind}: {answer}");
        }
    }
    system.stop().await;
}
