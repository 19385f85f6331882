//! JSON Schemas as tables for people.

use super::source;
use serde_json::{Map, Value};
use std::fmt::Write;

/// The fields of an object, in the order in which they were declared.
pub(super) fn table(schema: &Value) -> String {
    rows(schema, &[])
}

/// A type that fields name: words, an object, or one of several objects.
pub(super) fn definition(schema: &Value) -> String {
    let mut out = description(schema).to_owned();
    if let Some(kind) = plain(schema) {
        return format!("{out} In JSON: {kind}.\n");
    }
    out.push_str("\n\n");
    let Some(choices) = schema["oneOf"].as_array() else { return out + &table(schema) };
    let words = choices.iter().flat_map(words).collect::<Vec<_>>();
    if words.is_empty() {
        for choice in choices {
            let (tag, value) = tag(choice);
            _ = write!(out, "**`\"{tag}\": {value}`** {}\n\n", description(choice));
            if choice["properties"].as_object().is_some_and(|fields| fields.len() > 1) {
                out.push_str(&rows(choice, &[tag]));
                out.push('\n');
            }
        }
        return out.trim_end().to_owned() + "\n";
    }
    out.push_str("| word | meaning |\n|---|---|\n");
    for (word, meaning) in words {
        _ = writeln!(out, "| `{word}` | {} |", source::cell(meaning));
    }
    out
}

fn rows(schema: &Value, without: &[&str]) -> String {
    let none = Map::new();
    let properties = schema["properties"].as_object().unwrap_or(&none);
    // What is always there stands in the order of its declaration; what may be absent comes after it.
    let always: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let absent = properties.keys().map(String::as_str).filter(|name| !always.contains(name));
    let names: Vec<&str> =
        always.iter().copied().chain(absent).filter(|name| !without.contains(name)).collect();
    if names.is_empty() {
        return "No fields.\n".to_owned();
    }
    let mut out = "| field | type | meaning |\n|---|---|---|\n".to_owned();
    for name in names {
        let Some(field) = properties.get(name) else { continue };
        let absent = if always.contains(&name) { "" } else { ", may be absent" };
        _ = writeln!(out, "| `{name}` | {}{absent} | {} |", kind(field), source::cell(description(field)));
    }
    out
}

/// What a value is, in words.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        return format!("[{name}](#{})", name.to_lowercase());
    }
    if let Some(choices) = schema["anyOf"].as_array() {
        return choices.iter().map(kind).collect::<Vec<_>>().join(" or ");
    }
    if schema["type"] == "array" {
        return format!("list of {}", kind(&schema["items"]));
    }
    if let Some(parts) = schema["properties"].as_object() {
        let parts = parts.iter().map(|(name, part)| format!("`{name}`: {}", kind(part)));
        return format!("object of {}", parts.collect::<Vec<_>>().join(", "));
    }
    plain(schema).unwrap_or_else(|| "any value".to_owned())
}

/// What a value is that has no parts.
fn plain(schema: &Value) -> Option<String> {
    if schema.get("oneOf").is_some() {
        return None;
    }
    let name = |kind: &str| {
        Some(match (kind, schema["format"].as_str()) {
            ("string", Some("uuid")) => "UUID",
            ("string", Some("date-time")) => "time (RFC 3339)",
            ("string", Some("date")) => "date",
            ("string", _) => "text",
            ("integer", _) if schema["minimum"] == 0 => "integer from 0",
            ("integer", _) => "integer",
            ("number", _) => "number",
            ("boolean", _) => "true or false",
            ("null", _) => "null",
            _ => return None,
        })
    };
    match &schema["type"] {
        Value::String(kind) => name(kind).map(ToOwned::to_owned),
        Value::Array(kinds) => {
            let names: Option<Vec<_>> = kinds.iter().filter_map(Value::as_str).map(name).collect();
            names.map(|names| names.join(" or "))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    }
}

/// The words that a choice stands for, with the meaning of each.
fn words(choice: &Value) -> Vec<(&str, &str)> {
    let several = choice["enum"].as_array().into_iter().flatten();
    let words = choice.get("const").into_iter().chain(several).filter_map(Value::as_str);
    words.map(|word| (word, description(choice))).collect()
}

/// The field by which one of several objects is told, and its value.
fn tag(choice: &Value) -> (&str, &Value) {
    let fields = choice["properties"].as_object().into_iter().flatten();
    let mut told = fields.filter_map(|(name, field)| field.get("const").map(|value| (name.as_str(), value)));
    told.next().unwrap_or(("", &Value::Null))
}

fn description(schema: &Value) -> &str {
    schema["description"].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{definition, table};
    use serde_json::json;

    #[test]
    fn fields_stand_in_their_order_with_what_they_may_be() {
        let schema = json!({
            "properties": {
                "a": { "type": ["string", "null"], "description": "One | two." },
                "b": { "type": "array", "items": { "$ref": "#/$defs/PatchId" }, "description": "All." },
                "c": { "type": "integer", "minimum": 0, "description": "How many." },
                "d": { "anyOf": [{ "$ref": "#/$defs/JobId" }, { "type": "null" }] },
                "e": {},
                "f": { "type": "object", "properties": { "x": { "type": "boolean" } } },
            },
            "required": ["c", "b", "a", "d"],
        });
        let expected = "| field | type | meaning |\n|---|---|---|\n\
            | `c` | integer from 0 | How many. |\n\
            | `b` | list of [PatchId](#patchid) | All. |\n\
            | `a` | text or null | One \\| two. |\n\
            | `d` | [JobId](#jobid) or null |  |\n\
            | `e` | any value, may be absent |  |\n\
            | `f` | object of `x`: true or false, may be absent |  |\n";
        assert_eq!(table(&schema), expected);
        assert_eq!(table(&json!({ "type": "object" })), "No fields.\n");
    }

    #[test]
    fn words_objects_and_plain_values_are_told_apart() {
        let words = json!({ "description": "How.", "oneOf": [
            { "type": "string", "const": "FAST", "description": "Soon." },
            { "type": "string", "enum": ["SLOW", "NEVER"] },
        ] });
        assert_eq!(
            definition(&words),
            "How.\n\n| word | meaning |\n|---|---|\n| `FAST` | Soon. |\n| `SLOW` |  |\n| `NEVER` |  |\n"
        );
        let objects = json!({ "description": "What.", "oneOf": [
            { "description": "None.", "properties": { "kind": { "const": "none" } }, "required": ["kind"] },
            { "description": "One.", "properties": { "kind": { "const": "one" }, "id": { "type": "string", "format": "uuid", "description": "Which." } }, "required": ["kind", "id"] },
        ] });
        assert_eq!(
            definition(&objects),
            "What.\n\n**`\"kind\": \"none\"`** None.\n\n**`\"kind\": \"one\"`** One.\n\n\
             | field | type | meaning |\n|---|---|---|\n| `id` | UUID | Which. |\n"
        );
        let id = json!({ "description": "An id.", "type": "string", "format": "uuid" });
        assert_eq!(definition(&id), "An id. In JSON: UUID.\n");
    }
}
