//! Real documents, as published, against figures counted by an independent program.
//!
//! The documents are not part of this repository: where they are absent, these tests say so and pass.
#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

#[path = "hostile/check.rs"]
mod check;

use check::{check, read};
use serde_json::Value;
use std::path::PathBuf;

/// Figures that are compared, by format.
const COMPARED: &[(&str, &[&str])] = &[
    ("msrc-cvrf-xml", MONTH),
    ("msrc-cvrf-json", MONTH),
    ("msrc-updates-index", &["documents", "ids"]),
    ("msrc-sug-deployment", &["rows", "kbs", "supersedence_links"]),
    ("wesng-zip", &["rows", "kbs", "cves", "supersedence_links"]),
    ("wsus-clixml", &["updates", "kbs", "severity", "size_sum"]),
    (
        "updateinfo",
        &["advisories", "distinct_ids", "cves_anywhere", "fixed_packages_nevra", "severity", "types"],
    ),
    ("repomd", &["data_types", "updateinfo_href"]),
    ("debian-dsa-list", &["advisories", "distinct_ids", "cves", "fixed_packages"]),
    ("debian-tracker-json", &["source_packages", "cves", "fixed_packages"]),
    ("debian-packages", &["packages", "size_sum"]),
    ("debian-release", &["codename", "suite", "date"]),
    ("ubuntu-usndb", &["advisories", "cves", "fixed_packages"]),
    ("ubuntu-notices", &["advisories", "cves"]),
    ("osv", &["id", "cves_any", "fixed_packages", "withdrawn"]),
    ("csaf", &["id", "cves", "vulnerabilities", "fixed_product_ids", "aggregate_severity"]),
    ("rolie-feed", &["entries", "entry_ids"]),
    ("csaf-changes-csv", &["rows"]),
    ("oval", &["definitions", "cves", "severity", "class"]),
    ("alpine-secdb", &["packages", "cves", "fixed_packages"]),
    ("kev-json", &["records", "cves", "ransomware"]),
    ("kev-csv", &["records", "cves", "ransomware"]),
    ("epss-csv", &["rows", "cves", "max_epss"]),
    ("nvd-2.0", &["records", "cves", "primary_severity"]),
    ("cve5", &["id", "state"]),
    ("dell-driverpack", &["packages", "release_ids", "size_sum"]),
    ("lenovo-catalog", &["models", "bios", "driver_packs"]),
    ("azurestack-updates", &["items", "names", "size_mb"]),
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

/// A real document of a format that is known here.
struct Real {
    name: String,
    bytes: Vec<u8>,
    format: String,
    expected: Value,
    figures: &'static [&'static str],
}

fn documents() -> Vec<Real> {
    let Some(corpus) = corpus() else { return Vec::new() };
    let all: Value = serde_json::from_slice(&std::fs::read(corpus.join("EXPECTED.json")).unwrap()).unwrap();
    let document = |(name, entry): (&String, &Value)| {
        let format = entry["format"].as_str().unwrap().to_owned();
        let (_, figures) = COMPARED.iter().find(|(known, _)| *known == format)?;
        let bytes = std::fs::read(corpus.join(name)).unwrap();
        Some(Real { name: name.clone(), bytes, format, expected: entry["expected"].clone(), figures })
    };
    all.as_object().unwrap().iter().filter_map(document).collect()
}

#[test]
fn figures_are_those_of_an_independent_count_and_facts_are_sound() {
    for Real { name, bytes, format, expected, figures } in documents() {
        let document = read(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        check(&document);
        let all = document.to_json();
        assert_eq!(all["format"], *format, "{name}");
        for key in figures {
            let (found, expected) = (&all[*key], &expected[key]);
            if expected.get("sha256").is_some() {
                assert_eq!(found["sha256"], expected["sha256"], "{name}: {key}");
                assert_eq!(found["count"], expected["count"], "{name}: {key}");
            } else {
                assert_eq!(found, expected, "{name}: {key}");
            }
        }
        // The table of fixes has 136 MiB: once is enough.
        if format != "wesng-zip" {
            assert_eq!(read(&bytes).unwrap().contents, document.contents, "{name} read again");
        }
    }
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
