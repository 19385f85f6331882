//! Real documents, as published, against figures counted by an independent program.
//!
//! The documents are not part of this repository: where they are absent, these tests say so and pass.

use super::{open, read};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Figures that are compared, by format.
const COMPARED: [(&str, &[&str]); 6] = [
    ("msrc-cvrf-xml", MONTH),
    ("msrc-cvrf-json", MONTH),
    ("msrc-updates-index", &["documents", "ids"]),
    ("msrc-sug-deployment", &["rows", "kbs", "supersedence_links"]),
    ("wesng-zip", &["rows", "kbs", "cves", "supersedence_links"]),
    ("wsus-clixml", &["updates", "kbs", "severity", "size_sum"]),
];
const MONTH: &[&str] = &[
    "document_id",
    "advisories",
    "cves",
    "kbs",
    "supersedence_links",
    "severity_max_per_advisory",
    "products",
    "remediations_vendor_fix",
    "restart_required_entries",
    "fixed_build_pairs",
];

fn corpus() -> Option<PathBuf> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../../shared/feeds/corpus"));
    if path.join("EXPECTED.json").is_file() {
        return Some(path);
    }
    eprintln!("skipped: there is no folder of real documents at {}", path.display());
    None
}

/// Each real document of these formats: its name, bytes, format and expected figures.
fn documents(corpus: &Path) -> Vec<(String, Vec<u8>, String, Value)> {
    let all: Value = serde_json::from_slice(&std::fs::read(corpus.join("EXPECTED.json")).unwrap()).unwrap();
    let documents = all.as_object().unwrap().iter().map(|(name, entry)| {
        let bytes = std::fs::read(corpus.join(name)).unwrap();
        let format = entry["format"].as_str().unwrap().to_owned();
        (name.clone(), bytes, format, entry["expected"].clone())
    });
    documents.filter(|(_, _, format, _)| COMPARED.iter().any(|(known, _)| known == format)).collect()
}

#[test]
fn figures_are_those_of_an_independent_count() {
    let Some(corpus) = corpus() else { return };
    for (name, bytes, format, expected) in documents(&corpus) {
        let all = open(&bytes).unwrap().to_json();
        assert_eq!(all["format"], *format, "{name}");
        let (_, figures) = COMPARED.iter().find(|(known, _)| *known == format).unwrap();
        for key in *figures {
            let (found, expected) = (&all[*key], &expected[key]);
            if expected.get("sha256").is_some() {
                assert_eq!(found["sha256"], expected["sha256"], "{name}: {key}");
                assert_eq!(found["count"], expected["count"], "{name}: {key}");
            } else {
                assert_eq!(found, expected, "{name}: {key}");
            }
        }
    }
}

#[test]
fn each_kb_of_a_month_is_a_patch_and_only_fixes_without_one_are_left_out() {
    let Some(corpus) = corpus() else { return };
    for (name, bytes, _, expected) in documents(&corpus) {
        let Some(without_kb) = expected["non_numeric_vendor_fix_descriptions"].as_u64() else { continue };
        let month = read(&bytes);
        assert_eq!(month.patches.len() as u64, expected["kbs"]["count"].as_u64().unwrap(), "{name}");
        let links: usize = month.patches.iter().map(|patch| patch.supersedes.len()).sum();
        assert_eq!(links as u64, expected["supersedence_links"]["count"].as_u64().unwrap(), "{name}: links");
        assert!(month.quarantined.iter().all(|reason| reason.ends_with("have no KB number")), "{name}");
        assert_eq!(month.quarantined.len() as u64, without_kb, "{name}: {:?}", month.quarantined);
    }
}

#[test]
fn a_real_month_says_the_same_as_xml_and_as_json() {
    let Some(corpus) = corpus() else { return };
    let month = |name: &str| read(&std::fs::read(corpus.join(name)).unwrap());
    assert_eq!(month("msrc/cvrf-2020-Dec.xml"), month("msrc/cvrf-2020-Dec.json"));
}
