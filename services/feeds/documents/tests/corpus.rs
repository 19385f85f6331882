//! Real documents, as published, against figures counted by an independent program.
//!
//! The documents are not part of this repository: where they are absent, this test says so and passes.

use feeds_documents::{Format, Options, read};
use kernel::FeedId;
use serde_json::Value;
use std::path::PathBuf;

fn corpus() -> Option<PathBuf> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../../shared/feeds/corpus"));
    if path.join("EXPECTED.json").is_file() {
        return Some(path);
    }
    eprintln!("skipped: there is no folder of real documents at {}", path.display());
    None
}

/// A list is the same if its number and its hash are.
fn agree(expected: &Value, found: &Value) -> bool {
    if expected.get("sha256").is_some() {
        return ["count", "sha256"].iter().all(|part| expected[part] == found[part]);
    }
    expected == found
}

#[test]
fn every_real_document_of_a_known_format_holds_what_others_counted_in_it() {
    let Some(corpus) = corpus() else { return };
    let expected: Value =
        serde_json::from_slice(&std::fs::read(corpus.join("EXPECTED.json")).unwrap()).unwrap();
    let known: Vec<&str> = Format::ALL.iter().map(|format| format.word()).collect();
    let (mut compared, mut wrong) = (0, Vec::new());
    for (name, entry) in expected.as_object().unwrap() {
        let format = entry["format"].as_str().unwrap();
        if !known.contains(&format) {
            continue;
        }
        let file = std::fs::File::open(corpus.join(name)).unwrap();
        let feed_id = FeedId(uuid::Uuid::nil());
        let options = Options { feed_id, received_on: chrono::NaiveDate::default(), figures: true };
        let figures = read(file, options).unwrap_or_else(|refused| panic!("{name}: {refused}")).to_json();
        compared += 1;
        if figures["format"] != format {
            wrong.push(format!("{name} is {}, and was read as {}", format, figures["format"]));
        }
        for (key, wanted) in entry["expected"].as_object().unwrap() {
            if let Some(found) = figures.get(key).filter(|found| !agree(wanted, found)) {
                wrong.push(format!("{name}: {key} is {wanted}, and was counted as {found}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(compared > 50, "{compared} documents were compared");
}
