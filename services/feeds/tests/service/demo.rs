//! The demonstration's documents say what its story needs.

use crate::{BROKEN, LIST, OCTOBER, SEPTEMBER};
use contracts::feeds::PatchFacts;
use contracts::{FixTarget, OsRelease, Severity};
use feeds_documents::{Document, DocumentError, Options, read};
use feeds_domain::catalogue::replaces;
use kernel::Refused;
use testkit::id;

fn parse(text: &str) -> Result<Document, DocumentError> {
    let received_on = chrono::NaiveDate::default();
    read(std::io::Cursor::new(text), Options { feed_id: id(), received_on, figures: false })
}

fn patches(text: &str) -> Vec<PatchFacts> {
    let contents = parse(text).unwrap().contents;
    assert_eq!(contents.quarantined, Vec::<String>::new());
    contents.patches
}

#[test]
fn the_advisories_are_about_the_two_packages_of_the_demonstration() {
    let found = patches(LIST);
    let told: Vec<_> = found.iter().map(|patch| (patch.severity, patch.cves.len(), &patch.targets)).collect();
    let fix = |source: &str| FixTarget::SourcePackage {
        os: OsRelease { id: "debian".into(), version: "12".into() },
        source: source.into(),
        fixed_version: "1.1".into(),
    };
    assert_eq!(told, [(Severity::Medium, 1, &vec![fix("pfbad")]), (Severity::High, 2, &vec![fix("pfdemo")])]);
}

#[test]
fn octobers_update_replaces_septembers() {
    let september = patches(SEPTEMBER);
    let october = patches(OCTOBER);
    let [(older, newer)] = std::iter::zip(&september, &october).collect::<Vec<_>>()[..] else {
        panic!("one update a month: {september:?} {october:?}")
    };
    assert_eq!((older.vendor_patch_id.as_str(), older.severity), ("KB5088801", Severity::High));
    assert_eq!((newer.vendor_patch_id.as_str(), newer.severity), ("KB5090101", Severity::Critical));
    assert_eq!(newer.os_versions, ["Windows 11 Version 24H2 for x64-based Systems"]);
    assert!(replaces(newer, older));
}

#[test]
fn the_broken_document_ends_in_the_middle() {
    let refused = parse(BROKEN).unwrap_err();
    assert_eq!(refused.code(), "feeds.document_truncated");
}
