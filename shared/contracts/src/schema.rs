//! JSON Schemas of the events (draft 2020-12), and whether two of them mean the same.
//!
//! The schema of a version is a promise to every reader outside: once committed, it keeps its meaning for ever.

use crate::catalogue::urn;
use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Differences named at most; who changes more than this knows what it was.
const CHANGES_NAMED_MAX: usize = 5;

/// The shape of one event in the version that is written today.
#[derive(Debug, Clone)]
pub struct Shape {
    /// The stored type.
    pub event_type: &'static str,
    /// The version.
    pub version: i16,
    /// The schema of a stored fact.
    pub schema: Value,
}

impl Shape {
    /// The shape of `T`, a fact as the `events!` block declares it.
    pub(crate) fn of<T: JsonSchema>(event_type: &'static str, version: i16) -> Self {
        let schema = schema_of::<T>(&urn(event_type, version), &format!("{event_type} v{version}"));
        Self { event_type, version, schema }
    }
}

/// Every shape that is written today.
pub fn shapes() -> Vec<Shape> {
    crate::catalogue::SETS.iter().flat_map(|set| (set.shapes)()).collect()
}

/// The schema of what surrounds every fact on the log and on the broker.
pub fn envelope() -> Value {
    schema_of::<kernel::Envelope>("urn:patchfleet:envelope:1", "Envelope")
}

/// The committed file of a version of an event, below `docs/events`.
pub fn file_name(event_type: &str, version: i16) -> String {
    format!("{event_type}.v{version}.schema.json")
}

/// A schema as its file has it.
pub fn text(schema: &Value) -> String {
    format!("{schema:#}\n")
}

/// A shape whose version was committed with another meaning.
#[derive(Debug, thiserror::Error)]
#[error(
    "{event_type} v{version} is a promise and its shape has changed ({}): make it version {next} with an upcast from {version}, \
     put back what version {version} was, and add shared/contracts/tests/events/{event_type}.v{next}.json; \
     only where version {version} was never released, delete docs/events/{} instead; then run `cargo xtask docs`",
    changes.join("; "),
    file_name(event_type, *version),
    next = version + 1
)]
pub struct ShapeChanged {
    /// The stored type.
    pub event_type: &'static str,
    /// The version that is written today.
    pub version: i16,
    /// What differs.
    pub changes: Vec<String>,
}

/// Holds a shape against its committed file: what the file should say instead, if other words or a first time.
pub fn guard(shape: &Shape, committed: Option<&str>) -> Result<Option<String>, ShapeChanged> {
    let text = text(&shape.schema);
    let changes = match committed {
        None => return Ok(Some(text)),
        Some(committed) if committed == text => return Ok(None),
        Some(committed) => match serde_json::from_str(committed) {
            Ok(committed) => changes(&committed, &shape.schema),
            Err(error) => vec![format!("the committed file is not JSON: {error}")],
        },
    };
    if changes.is_empty() {
        return Ok(Some(text));
    }
    Err(ShapeChanged { event_type: shape.event_type, version: shape.version, changes })
}

/// What `generated` changes in the meaning of `committed`; nothing where at most words differ.
fn changes(committed: &Value, generated: &Value) -> Vec<String> {
    let mut found = Vec::new();
    differences("", &meaning(committed), &meaning(generated), &mut found);
    found.truncate(CHANGES_NAMED_MAX);
    found
}

fn schema_of<T: JsonSchema>(id: &str, title: &str) -> Value {
    // As facts are written, not as they may be read: a field that may be null is there all the same.
    let settings = SchemaSettings::draft2020_12().for_serialize();
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    publish(&mut schema);
    if let Some(root) = schema.as_object_mut() {
        root.insert("$id".to_owned(), id.into());
        root.insert("title".to_owned(), title.into());
    }
    schema
}

/// Makes a derived schema one for readers outside.
fn publish(node: &mut Value) {
    let Value::Object(map) = node else {
        if let Value::Array(list) = node {
            list.iter_mut().for_each(publish);
        }
        return;
    };
    // Our own readers of requests are strict; whoever reads events must let pass what it does not know.
    if map.get("additionalProperties") == Some(&Value::Bool(false)) {
        map.remove("additionalProperties");
    }
    // What a request may leave out; a fact never does.
    map.remove("default");
    if let Some(Value::String(words)) = map.get_mut("description") {
        *words = readable(words);
    }
    for (key, value) in map {
        // Members may have any name.
        let has_members = key == "properties" || key == "$defs";
        match value.as_object_mut().filter(|_| has_members) {
            Some(members) => members.values_mut().for_each(publish),
            None => publish(value),
        }
    }
}

/// Doc comments without line breaks inside a paragraph and without links to Rust items.
fn readable(doc: &str) -> String {
    let paragraphs = doc.split("\n\n").map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "));
    paragraphs.collect::<Vec<_>>().join("\n\n").replace("[`", "`").replace("`]", "`")
}

/// What a schema says about values: without words for people, with every definition in its place, in one order.
fn meaning(schema: &Value) -> Value {
    let none = Map::new();
    let definitions = schema.get("$defs").and_then(Value::as_object).unwrap_or(&none);
    reduced(schema, definitions, &mut Vec::new())
}

fn reduced<'a>(node: &'a Value, definitions: &'a Map<String, Value>, open: &mut Vec<&'a str>) -> Value {
    let Value::Object(map) = node else { return node.clone() };
    let mut out = Map::new();
    for (key, value) in map {
        match key.as_str() {
            "$schema" | "$id" | "$defs" | "$comment" | "$ref" | "title" | "description" | "examples" => {}
            "properties" | "patternProperties" => {
                let members = value.as_object().into_iter().flatten();
                let members =
                    members.map(|(name, member)| (name.clone(), reduced(member, definitions, open)));
                out.insert(key.clone(), Value::Object(members.collect()));
            }
            "oneOf" | "anyOf" | "allOf" | "prefixItems" | "required" | "enum" | "type" => {
                let Value::Array(list) = value else {
                    out.insert(key.clone(), value.clone());
                    continue;
                };
                let mut list: Vec<Value> = list.iter().map(|item| reduced(item, definitions, open)).collect();
                if key != "prefixItems" {
                    list.sort_by_key(Value::to_string);
                }
                out.insert(key.clone(), Value::Array(list));
            }
            _ => {
                out.insert(key.clone(), reduced(value, definitions, open));
            }
        }
    }
    let out = words_as_enum(out);
    let Some(name) = map.get("$ref").and_then(Value::as_str).and_then(|path| path.strip_prefix("#/$defs/"))
    else {
        return Value::Object(out);
    };
    // A type that contains itself is named where it comes again.
    let target = match definitions.get(name) {
        Some(target) if !open.contains(&name) => {
            open.push(name);
            let target = reduced(target, definitions, open);
            open.pop();
            target
        }
        _ => json!({ "$ref": name }),
    };
    if out.is_empty() { target } else { json!({ "allOf": [target, out] }) }
}

/// One list of words, whether each has a description of its own (`oneOf` of constants) or not (`enum`).
fn words_as_enum(mut map: Map<String, Value>) -> Map<String, Value> {
    let Some(Value::Array(choices)) = map.get("oneOf") else { return map };
    let mut words = Vec::new();
    for choice in choices {
        let is_word = choice.get("type").is_some_and(|kind| kind == "string");
        match (choice.get("const"), choice.get("enum"), choice.as_object()) {
            (Some(word), None, Some(whole)) if is_word && whole.len() == 2 => words.push(word.clone()),
            (None, Some(Value::Array(several)), Some(whole)) if is_word && whole.len() == 2 => {
                words.extend(several.iter().cloned());
            }
            _ => return map,
        }
    }
    words.sort_by_key(Value::to_string);
    map.remove("oneOf");
    map.insert("type".to_owned(), "string".into());
    map.insert("enum".to_owned(), Value::Array(words));
    map
}

fn differences(path: &str, old: &Value, new: &Value, found: &mut Vec<String>) {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            for key in keys {
                let path = if path.is_empty() { key.clone() } else { format!("{path}/{key}") };
                match (old.get(key), new.get(key)) {
                    (Some(old), Some(new)) => differences(&path, old, new, found),
                    (Some(_), None) => found.push(format!("{path} is gone")),
                    _ => found.push(format!("{path} is new")),
                }
            }
        }
        _ if old != new => found.push(format!("{path} was {old} and is {new}")),
        _ => {}
    }
}

#[cfg(test)]
#[path = "schema_tests.rs"]
mod tests;
