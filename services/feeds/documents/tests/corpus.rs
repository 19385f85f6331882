//! Real documents, as published, against figures counted by an independent program.
//!
//! The documents are not part of this repository: where they are absent, these tests say so and pass.
#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use contracts::FixTarget;
use contracts::feeds::FeedFormat;
use feeds_domain::document::{Context, ParsedDocument, detect, parse};
use kernel::FeedId;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn corpus() -> Option<PathBuf> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../../shared/feeds/corpus"));
    if path.join("EXPECTED.json").is_file() {
        return Some(path);
    }
    eprintln!("skipped: there is no folder of real documents at {}", path.display());
    None
}

fn read(corpus: &Path, name: &str) -> (FeedFormat, ParsedDocument, Value) {
    let bytes = std::fs::read(corpus.join(name)).unwrap();
    let format = detect(&bytes).unwrap_or_else(|| panic!("{name}: no format"));
    (format, parsed(format, &bytes), expected(corpus, name))
}

fn parsed(format: FeedFormat, bytes: &[u8]) -> ParsedDocument {
    parse(format, bytes, &Context { feed_id: FeedId(uuid::Uuid::nil()) }).unwrap()
}

fn expected(corpus: &Path, name: &str) -> Value {
    let all: Value = serde_json::from_slice(&std::fs::read(corpus.join("EXPECTED.json")).unwrap()).unwrap();
    all[name]["expected"].clone()
}

/// The form of a list in the expected figures.
fn assert_list(what: &str, found: &BTreeSet<String>, expected: &Value) {
    assert_eq!(found.len() as u64, expected["count"].as_u64().unwrap(), "{what}");
    let joined: Vec<&str> = found.iter().map(String::as_str).collect();
    let digest: Vec<String> =
        Sha256::digest(joined.join("\n")).iter().map(|byte| format!("{byte:02x}")).collect();
    let digest = digest.concat();
    assert_eq!(digest, expected["sha256"].as_str().unwrap(), "{what}");
}

#[test]
fn debians_whole_history_is_read() {
    let Some(corpus) = corpus() else { return };
    let name = "debian/DSA-list-2023-04.txt";
    let (format, document, expected) = read(&corpus, name);
    assert_eq!(format, FeedFormat::DebianDsaList);
    assert_eq!(document.quarantined, [] as [&str; 0]);
    let replaced = document.patches.iter().filter(|patch| !patch.supersedes.is_empty()).count();
    assert!(replaced > 1_000, "{replaced} advisories replace an older one");
    // The figures were counted over lines with a tab and single blanks; some 300 others count for Debian as well.
    let text = std::fs::read_to_string(corpus.join(name)).unwrap();
    let is_usual = |line: &&str| !(line.starts_with(' ') || line.starts_with('\t') && line.contains("  "));
    let tabbed: String = text.split_inclusive('\n').filter(is_usual).collect();
    let tabbed = fixes(&parsed(format, tabbed.as_bytes()));
    assert_list("fixed packages", &tabbed, &expected["fixed_packages"]);
    let all = fixes(&document);
    assert!(all.len() > tabbed.len() && all.is_superset(&tabbed));
}

/// `DSA-999-1|sarge|lurker|1.2-5sarge1`
fn fixes(document: &ParsedDocument) -> BTreeSet<String> {
    let mut fixes = BTreeSet::new();
    for patch in &document.patches {
        let release = patch.os_versions[0].split(['(', ')']).nth(1).unwrap();
        for target in &patch.targets {
            let FixTarget::SourcePackage { source, fixed_version, .. } = target else { panic!("{target:?}") };
            fixes.insert(format!("{}|{release}|{source}|{fixed_version}", patch.vendor_patch_id));
        }
    }
    fixes
}

#[test]
fn the_trackers_urgencies_are_read() {
    let Some(corpus) = corpus() else { return };
    let (format, document, _) = read(&corpus, "debian/tracker.json");
    assert_eq!(format, FeedFormat::DebianTracker);
    assert!(!document.ratings.is_empty());
    assert_eq!(document.quarantined, ["chromium-browser/CVE-2022-0358: its releases are not an object"]);
}

#[test]
fn microsofts_months_are_read() {
    let Some(corpus) = corpus() else { return };
    for name in [
        "msrc/cvrf-2016-Oct-OOB.xml",
        "msrc/cvrf-2017-May-B.xml",
        "msrc/cvrf-2020-Dec.json",
        "msrc/cvrf-2020-Dec.xml",
        "msrc/cvrf-2024-Jan.rev-20240107.xml",
        "msrc/cvrf-2024-Jan.rev-20240109.xml",
        "msrc/cvrf-2024-Jan.rev-20240131.xml",
    ] {
        let (format, document, expected) = read(&corpus, name);
        assert_eq!(format, FeedFormat::MsrcCvrf);
        let bare = |kb: &String| kb.trim_start_matches("KB").to_owned();
        let kbs = document.patches.iter().map(|patch| bare(&patch.vendor_patch_id)).collect();
        assert_list(&format!("{name}: kbs"), &kbs, &expected["kbs"]);
        let links: usize = document.patches.iter().map(|patch| patch.supersedes.len()).sum();
        assert_eq!(links as u64, expected["supersedence_links"]["count"].as_u64().unwrap(), "{name}: links");
        let words: usize =
            document.quarantined.iter().filter(|reason| reason.ends_with("have no KB number")).count();
        assert_eq!(
            words as u64,
            expected["non_numeric_vendor_fix_descriptions"].as_u64().unwrap(),
            "{name}: words"
        );
        assert_eq!(words, document.quarantined.len(), "{name}: {:?}", document.quarantined);
    }
}

#[test]
fn a_month_says_the_same_as_xml_and_as_json() {
    let Some(corpus) = corpus() else { return };
    let xml = read(&corpus, "msrc/cvrf-2020-Dec.xml").1;
    let json = read(&corpus, "msrc/cvrf-2020-Dec.json").1;
    assert_eq!(xml, json);
}

#[test]
fn no_other_vendors_document_is_taken_for_one_of_these() {
    let Some(corpus) = corpus() else { return };
    for folder in ["redhat", "suse", "ubuntu", "osv", "nvd", "alpine", "rpm", "windows", "oem"] {
        for entry in std::fs::read_dir(corpus.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            assert_eq!(detect(&std::fs::read(&path).unwrap()), None, "{}", path.display());
        }
    }
}
