//! Real documents, as published, against figures counted by an independent program.
//!
//! The documents are not part of this repository: where they are absent, these tests say so and pass.
#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

#[path = "hostile/check.rs"]
mod check;

use check::{check, read};
use feeds_documents::Format;
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

/// A real document of a format that is known here.
struct Real {
    name: String,
    bytes: Vec<u8>,
    format: String,
    expected: Value,
}

fn documents() -> Vec<Real> {
    let Some(corpus) = corpus() else { return Vec::new() };
    let all: Value = serde_json::from_slice(&std::fs::read(corpus.join("EXPECTED.json")).unwrap()).unwrap();
    let document = |(name, entry): (&String, &Value)| {
        let format = entry["format"].as_str().unwrap().to_owned();
        let is_known = Format::ALL.iter().any(|known| known.word() == format);
        let bytes = is_known.then(|| std::fs::read(corpus.join(name)).unwrap())?;
        Some(Real { name: name.clone(), bytes, format, expected: entry["expected"].clone() })
    };
    let documents: Vec<Real> = all.as_object().unwrap().iter().filter_map(document).collect();
    assert!(documents.len() > 50, "{} documents are known", documents.len());
    documents
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
    let mut wrong = Vec::new();
    for Real { name, bytes, format, expected } in documents() {
        let document = read(&bytes).unwrap_or_else(|refused| panic!("{name}: {refused}"));
        check(&document);
        let figures = document.to_json();
        if figures["format"] != *format {
            wrong.push(format!("{name} is {}, and was read as {}", format, figures["format"]));
        }
        for (key, wanted) in expected.as_object().unwrap() {
            if let Some(found) = figures.get(key).filter(|found| !agree(wanted, found)) {
                wrong.push(format!("{name}: {key} is {wanted}, and was counted as {found}"));
            }
        }
        // The table of fixes has 136 MiB: once is enough.
        if format != "wesng-zip" {
            assert_eq!(read(&bytes).unwrap().contents, document.contents, "{name} read again");
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn each_kb_of_a_month_is_a_patch_and_only_fixes_without_one_are_left_out() {
    for Real { name, bytes, expected, .. } in documents() {
        let Some(without_kb) = expected["non_numeric_vendor_fix_descriptions"].as_u64() else { continue };
        let month = read(&bytes).unwrap().contents;
        assert_eq!(month.patches.len() as u64, expected["kbs"]["count"].as_u64().unwrap(), "{name}");
        let links: usize = month.patches.iter().map(|patch| patch.supersedes.len()).sum();
        assert_eq!(links as u64, expected["supersedence_links"]["count"].as_u64().unwrap(), "{name}: links");
        assert!(month.quarantined.iter().all(|reason| reason.ends_with("have no KB number")), "{name}");
        assert_eq!(month.quarantined.len() as u64, without_kb, "{name}: {:?}", month.quarantined);
    }
}

#[test]
fn a_real_month_says_the_same_as_xml_and_as_json() {
    let all = documents();
    let month = |name: &str| {
        let found = all.iter().find(|document| document.name == name)?;
        Some(read(&found.bytes).unwrap().contents)
    };
    assert_eq!(month("msrc/cvrf-2020-Dec.xml"), month("msrc/cvrf-2020-Dec.json"));
}
