//! The committed schemas of events: every version has one, examples keep to them, and no shape changes within a version.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its support as well")]

use contracts::catalogue::{SETS, urn};
use contracts::schema::{self, Shape};
use jsonschema::Validator;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn below_the_workspace(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

fn committed_text(event_type: &str, version: i16) -> String {
    let file = below_the_workspace("docs/events").join(schema::file_name(event_type, version));
    std::fs::read_to_string(&file)
        .unwrap_or_else(|error| panic!("{}: {error}; run `cargo xtask docs`", file.display()))
}

fn committed(event_type: &str, version: i16) -> Value {
    serde_json::from_str(&committed_text(event_type, version)).unwrap()
}

/// With formats (`uuid`, `date-time`) looked at, which the draft leaves to the validator.
fn validator(schema: &Value) -> Validator {
    jsonschema::draft202012::options().should_validate_formats(true).build(schema).unwrap()
}

/// Every version of every event.
fn versions() -> impl Iterator<Item = (&'static str, i16)> {
    let today = SETS.iter().flat_map(|set| set.types);
    today.flat_map(|(event_type, today)| (1..=*today).map(move |version| (*event_type, version)))
}

/// File name, payload and the validator of its version, for every example.
fn each_example(mut look: impl FnMut(&str, Value, &Validator)) {
    let mut validators = BTreeMap::new();
    for entry in std::fs::read_dir(below_the_workspace("shared/contracts/tests/events")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let parts: Vec<&str> = name.split('.').collect();
        let (event_type, version) = (format!("{}.{}", parts[0], parts[1]), parts[2][1..].parse().unwrap());
        let validator = validators
            .entry((event_type.clone(), version))
            .or_insert_with(|| validator(&committed(&event_type, version)));
        look(name, serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap(), validator);
    }
}

#[test]
fn no_shape_differs_from_the_one_that_was_committed_for_its_version() {
    let mut differing = Vec::new();
    for shape in schema::shapes() {
        if let Err(refused) = schema::guard(&shape, Some(&committed_text(shape.event_type, shape.version))) {
            differing.push(refused.to_string());
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

/// What the guard is for: the type changes, its version does not.
#[test]
fn a_field_more_less_or_otherwise_is_refused_for_every_event() {
    for shape in schema::shapes() {
        let text = committed_text(shape.event_type, shape.version);
        let fields: Vec<String> = shape.schema["properties"].as_object().unwrap().keys().cloned().collect();
        let mut changed: Vec<Shape> = Vec::new();
        let mut change = |how: &dyn Fn(&mut Value)| {
            let mut shape = shape.clone();
            how(&mut shape.schema);
            changed.push(shape);
        };
        change(&|schema| schema["properties"]["one_more"] = serde_json::json!({ "type": "boolean" }));
        for field in &fields {
            change(&|schema| drop(schema["properties"].as_object_mut().unwrap().remove(field)));
            change(&|schema| schema["properties"][field] = serde_json::json!({ "type": "object" }));
            change(&|schema| schema["required"].as_array_mut().unwrap().retain(|name| name != field));
        }
        for shape in changed {
            let refused = schema::guard(&shape, Some(&text)).unwrap_err();
            assert_eq!((refused.event_type, refused.version), (shape.event_type, shape.version));
            let next = format!("make it version {}", shape.version + 1);
            assert!(refused.to_string().contains(&next), "{refused}");
        }
    }
}

#[test]
fn every_version_has_a_sound_schema_that_says_what_it_is() {
    for (event_type, version) in versions() {
        let schema = committed(event_type, version);
        jsonschema::meta::validate(&schema)
            .unwrap_or_else(|error| panic!("{event_type} v{version}: {error}"));
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert_eq!(schema["$id"], urn(event_type, version));
        assert_eq!(schema["title"], format!("{event_type} v{version}"));
        let mut described = vec![&schema];
        described.extend(schema["properties"].as_object().unwrap().values());
        for part in described {
            assert!(
                part["description"].as_str().is_some_and(|words| !words.is_empty()),
                "{event_type}: {part}"
            );
        }
    }
}

#[test]
fn every_example_is_valid_by_the_schema_of_its_version() {
    each_example(|name, payload, validator| {
        let errors: Vec<String> = validator
            .iter_errors(&payload)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{name}: {errors:#?}");
    });
}

#[test]
fn a_reader_lets_unknown_fields_pass_and_misses_known_ones() {
    each_example(|name, payload, validator| {
        let mut more = payload.clone();
        more["unknown_to_this_version"] = true.into();
        assert!(validator.is_valid(&more), "{name}");
        for field in payload.as_object().unwrap().keys() {
            let mut less = payload.clone();
            less.as_object_mut().unwrap().remove(field);
            assert!(!validator.is_valid(&less), "{name} without {field}");
        }
    });
}

#[test]
fn an_id_that_is_none_and_a_time_that_is_none_are_not_valid() {
    let mut looked_at = 0;
    each_example(|name, payload, validator| {
        for (field, value) in payload.as_object().unwrap() {
            let Some(text) = value.as_str() else { continue };
            // Of whatever kind the object was, its id may be any text.
            if field.ends_with("_id") && field != "object_id" && text.len() == 36 || field.ends_with("_at") {
                let mut wrong = payload.clone();
                wrong[field] = format!("not {text}").into();
                assert!(!validator.is_valid(&wrong), "{name}: {field}");
                looked_at += 1;
            }
        }
    });
    assert!(looked_at > 50, "{looked_at}");
}
