//! One small document of each format and dialect, and what must hold for whatever is made of them.

use contracts::feeds::PatchFacts;
use feeds_documents::contents::Contents;
use feeds_documents::identity::{self, Vendor};
use feeds_documents::limits::{PATCH_CVES_MAX, PATCH_TARGETS_MAX, QUARANTINED_MAX, TEXT_CHARS_MAX};
use feeds_documents::text::{is_cve, is_plain, is_reference, web_address};
use feeds_documents::{Document, DocumentError, Format, Options};
use kernel::FeedId;
use std::collections::HashSet;
use std::io::Cursor;
use std::path::Path;

/// A document that is as it should be.
pub(crate) struct Seed {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
}

/// All documents, in the order of their names.
pub(crate) fn all() -> Vec<Seed> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/documents");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut seeds: Vec<Seed> = files
        .map(|path| Seed {
            name: path.file_name().unwrap().to_string_lossy().into_owned(),
            bytes: std::fs::read(&path).unwrap(),
        })
        .collect();
    seeds.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(seeds.len() >= Format::ALL.len(), "there is a document of each format");
    seeds
}

/// Reads with everything on.
pub(crate) fn read(bytes: &[u8]) -> Result<Document, DocumentError> {
    let options =
        Options { feed_id: FeedId(uuid::Uuid::from_u128(7)), received_on: received_on(), figures: true };
    feeds_documents::read(Cursor::new(bytes), options)
}

fn received_on() -> chrono::NaiveDate {
    chrono::NaiveDate::from_ymd_opt(2031, 5, 6).unwrap()
}

/// Fails where something is told that nobody should have to think of behind the parsers.
pub(crate) fn check(document: &Document) {
    let contents = &document.contents;
    let mut ids = HashSet::new();
    for patch in &contents.patches {
        assert!(ids.insert(patch.patch_id), "{} is there twice", patch.vendor_patch_id);
        check_patch(patch);
    }
    check_rest(contents);
    // Figures can be shown as well.
    assert!(document.to_json().contains_key("format"));
}

fn check_patch(patch: &PatchFacts) {
    let id = patch.vendor_patch_id.as_str();
    assert!(is_plain(id), "{id:?}");
    assert!(!patch.name.is_empty() && is_text(&patch.name), "{id}: {:?}", patch.name);
    assert!((1..=PATCH_TARGETS_MAX).contains(&patch.targets.len()), "{id}: {} targets", patch.targets.len());
    assert!(patch.cves.len() <= PATCH_CVES_MAX && patch.cves.iter().all(|cve| is_cve(cve)), "{id}");
    for (what, list) in [
        ("CVEs", &patch.cves),
        ("replaced patches", &patch.supersedes),
        ("advisories", &patch.advisories),
        ("required patches", &patch.prerequisites),
    ] {
        assert!(list.is_sorted_by(|a, b| a < b), "{id}: its {what} are in no order: {list:?}");
        assert!(list.iter().all(|text| is_plain(text)), "{id}: {what}: {list:?}");
    }
    assert!(!patch.supersedes.iter().any(|older| older == id), "{id} replaces itself");
    assert!(patch.os_versions.iter().all(|name| is_text(name)), "{id}: {:?}", patch.os_versions);
    assert!(patch.url.as_deref().is_none_or(|url| web_address(url) == Some(url)), "{id}: {:?}", patch.url);
    assert!(is_text(&patch.vendor_severity), "{id}: {:?}", patch.vendor_severity);
    let year = chrono::Datelike::year(&patch.release_date);
    assert!((1990..2100).contains(&year), "{id}: {}", patch.release_date);
    for target in &patch.targets {
        let shown = format!("{target:?}");
        assert!(shown.chars().all(|c| !c.is_control()), "{id}: {shown}");
        let os = target.os();
        assert!(!os.id.is_empty(), "{id}: {shown}");
        let is_own = |vendor: &Vendor| {
            patch.patch_id == identity::patch_id(*vendor, id, os)
                || patch.patch_id == identity::patch_id_for_all(*vendor, id)
        };
        assert!(VENDORS.iter().any(is_own), "{id}: its own id is not that of {}", os.key());
    }
}

fn check_rest(contents: &Contents) {
    for facts in &contents.vulnerabilities {
        assert!(is_cve(&facts.cve), "{facts:?}");
        assert!(!facts.source.is_empty() && is_text(&facts.source), "{facts:?}");
        for score in &facts.cvss {
            assert!(
                score.base_score <= 100 && is_plain(&score.version) && is_text(&score.vector),
                "{facts:?}"
            );
        }
        assert!(facts.rejected.as_deref().is_none_or(is_text), "{facts:?}");
    }
    assert!(contents.links.iter().all(|link| is_reference(&link.href)), "{:?}", contents.links);
    assert!(contents.withdrawn.iter().all(|withdrawal| is_plain(&withdrawal.vendor_patch_id)));
    assert!(contents.ratings.is_sorted_by(|a, b| a < b), "{:?}", contents.ratings);
    assert!(contents.ratings.iter().all(|rating| is_plain(&rating.source) && is_cve(&rating.cve)));
    assert!(contents.document_id.as_deref().is_none_or(is_text), "{:?}", contents.document_id);
    assert!(contents.quarantined.len() <= QUARANTINED_MAX + 1);
    assert!(contents.quarantined.iter().all(|reason| is_text(reason)), "{:?}", contents.quarantined);
}

/// Whether a text may be shown: bounded, and nothing in it that a terminal or a log would obey.
fn is_text(text: &str) -> bool {
    text.chars().count() <= TEXT_CHARS_MAX + 1 && !text.chars().any(char::is_control)
}

const VENDORS: &[Vendor] = &[
    Vendor::Microsoft,
    Vendor::Debian,
    Vendor::Ubuntu,
    Vendor::RedHat,
    Vendor::CentOs,
    Vendor::AlmaLinux,
    Vendor::Rocky,
    Vendor::Oracle,
    Vendor::Amazon,
    Vendor::Fedora,
    Vendor::Suse,
    Vendor::Alpine,
    Vendor::Wolfi,
    Vendor::AzureLinux,
    Vendor::Dell,
    Vendor::Lenovo,
    Vendor::AzureStack,
];
