//! Every fact that was ever stored must load for ever: one committed example, at least, of every version of every event.
//!
//! `events/<type>.v<version>.json` is that example; `events/<type>.v<version>.<what>.json` are further ones, for the words
//! of an enum and for what may be absent. An example is never changed. Whoever changes the shape of an event makes a new
//! version of it, adds an example, and reads the old ones as well. After writing an example by hand,
//! `UPDATE=1 cargo test -p contracts` lays it out as the others.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its support as well")]

use contracts::catalogue::{self, SETS};
use kernel::canonical_json;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

struct Example {
    path: PathBuf,
    event_type: String,
    version: i16,
    text: String,
}

impl Example {
    fn payload(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{}: {error}", self.path.display()))
    }
}

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn examples() -> Vec<Example> {
    let files = std::fs::read_dir(here("tests/events")).unwrap().map(|entry| entry.unwrap().path());
    files.map(example).collect()
}

fn example(path: PathBuf) -> Example {
    let name = path.file_name().unwrap().to_str().unwrap();
    let parts: Vec<&str> = name.split('.').collect();
    let ([service, event, version, "json"] | [service, event, version, _, "json"]) = parts[..] else {
        panic!("{name} is not <service>.<Event>.v<version>.json or <service>.<Event>.v<version>.<what>.json")
    };
    let version = version.strip_prefix('v').and_then(|number| number.parse().ok());
    let version = version.unwrap_or_else(|| panic!("{name} names no version"));
    let text = std::fs::read_to_string(&path).unwrap();
    Example { event_type: format!("{service}.{event}"), version, text, path }
}

#[test]
fn every_example_ever_written_loads_and_todays_are_written_again_byte_for_byte() {
    for example in examples() {
        let (path, event_type) = (example.path.display(), &example.event_type);
        let (set, today) = catalogue::find(event_type).unwrap_or_else(|| {
            panic!("{path}: no set has {event_type} any more, although it is stored for ever")
        });
        assert!(example.version <= today, "{path}: {event_type} is written as version {today}");
        let rewritten = (set.rewrite)(event_type, example.version, &example.payload())
            .unwrap_or_else(|error| panic!("{path}: {error}"));
        if example.version == today {
            let [stored, again] = [example.payload(), rewritten].map(|value| canonical_json(&value));
            assert_eq!(
                String::from_utf8(stored).unwrap(),
                String::from_utf8(again).unwrap(),
                "{path}: the shape has changed; give {event_type} version {}, with an example",
                today + 1
            );
        }
    }
}

#[test]
fn every_version_of_every_event_has_an_example() {
    let names = examples().into_iter().map(|example| (example.event_type, example.version));
    let known: BTreeSet<(String, i16)> = names.collect();
    let mut missing = Vec::new();
    for (event_type, today) in SETS.iter().flat_map(|set| set.types) {
        for version in 1..=*today {
            if !known.contains(&((*event_type).to_owned(), version)) {
                missing.push(format!("shared/contracts/tests/events/{event_type}.v{version}.json"));
            }
        }
    }
    assert!(missing.is_empty(), "write an example of these facts: {missing:#?}");
}

/// Without this an event set could be added and never be looked at.
#[test]
fn every_set_of_events_is_looked_at() {
    let mut declared = BTreeSet::new();
    let mut waiting = vec![here("src")];
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            waiting.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let text = std::fs::read_to_string(path).unwrap();
        let lines = text.lines().filter(|line| !line.trim_start().starts_with('/'));
        let names =
            lines.filter_map(|line| line.split_once(" in \"")).map(|(name, _)| name.trim().to_owned());
        declared.extend(names.filter(|name| name.ends_with("Event")));
    }
    let looked_at: BTreeSet<String> = SETS.iter().map(|set| set.name.to_owned()).collect();
    assert_eq!(declared, looked_at);
}

#[test]
fn an_event_type_belongs_to_one_set_and_starts_with_its_services_name() {
    let mut seen = BTreeSet::new();
    for (event_type, version) in SETS.iter().flat_map(|set| set.types) {
        assert!(seen.insert(event_type), "{event_type} is declared twice");
        assert!(*version >= 1, "{event_type} has version {version}");
        let (service, _) = event_type.split_once('.').unwrap();
        assert!(contracts::Service::by_name(service).is_some(), "{event_type}: no such service");
    }
}

#[test]
fn a_fact_of_an_unknown_version_or_without_a_field_is_refused_by_name() {
    for (event_type, today) in SETS.iter().flat_map(|set| set.types) {
        let set = catalogue::find(event_type).unwrap().0;
        let error = (set.rewrite)(event_type, today + 1, &serde_json::json!({})).unwrap_err().to_string();
        assert!(error.contains(event_type) && error.contains("no such event or version"), "{error}");
        let error = (set.rewrite)(event_type, *today, &serde_json::json!({})).unwrap_err().to_string();
        assert!(error.contains(event_type) && error.contains("missing field"), "{error}");
    }
}

/// In the key order of the store's canonical bytes, one field a line.
#[test]
#[expect(clippy::disallowed_methods, reason = "whoever adds an example asks for its layout by a variable")]
fn examples_are_laid_out_alike() {
    let update = std::env::var("UPDATE").is_ok();
    for example in examples() {
        let sorted: Value = serde_json::from_slice(&canonical_json(&example.payload())).unwrap();
        let laid_out = format!("{sorted:#}\n");
        if update && laid_out != example.text {
            std::fs::write(&example.path, &laid_out).unwrap();
        } else {
            assert_eq!(
                example.text,
                laid_out,
                "{}: run UPDATE=1 cargo test -p contracts",
                example.path.display()
            );
        }
    }
}
