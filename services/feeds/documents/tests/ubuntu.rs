//! Ubuntu's notices become one patch for each release that they fix, the same from the database and from a page.
#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use contracts::feeds::PatchFacts;
use contracts::{FixTarget, RebootBehaviour, Severity, VersionOrder};
use feeds_documents::identity::{self, Vendor};
use feeds_documents::{Document, DocumentError, Format, Options};
use kernel::{FeedId, Refused};
use serde_json::json;

const DATABASE: &str = include_str!("documents/ubuntu-usndb.json");
const PAGE: &str = include_str!("documents/ubuntu-notices.json");

fn try_read(text: &[u8]) -> Result<Document, DocumentError> {
    let options = Options {
        feed_id: FeedId(uuid::Uuid::from_u128(7)),
        received_on: chrono::NaiveDate::default(),
        figures: true,
    };
    feeds_documents::read(std::io::Cursor::new(text), options)
}

fn read(text: &str, format: Format) -> Document {
    let document = try_read(text.as_bytes()).unwrap();
    assert_eq!(document.format, format);
    document
}

fn database() -> Document {
    read(DATABASE, Format::UbuntuUsndb)
}

fn page() -> Document {
    read(PAGE, Format::UbuntuNotices)
}

fn patch<'a>(document: &'a Document, id: &str, os: &str) -> &'a PatchFacts {
    let mut patches = document.contents.patches.iter();
    let found = patches.find(|patch| patch.vendor_patch_id == id && patch.targets[0].os().version == os);
    found.unwrap_or_else(|| panic!("no {id} for {os}"))
}

fn source(os: &str, source: &str, version: &str) -> FixTarget {
    FixTarget::SourcePackage {
        os: identity::os("ubuntu", os),
        source: source.to_owned(),
        fixed_version: version.to_owned(),
    }
}

#[test]
fn a_notice_is_one_patch_for_each_release_that_it_fixes() {
    let document = database();
    assert_eq!((document.contents.records, document.contents.patches.len()), (4, 3));
    let lantern = patch(&document, "USN-9011-1", "22.04");
    let os = identity::os("ubuntu", "22.04");
    assert_eq!(lantern.patch_id, identity::patch_id(Vendor::Ubuntu, "USN-9011-1", &os));
    assert_eq!(lantern.name, "Lantern vulnerabilities for Ubuntu 22.04 (USN-9011-1)");
    assert_eq!(lantern.os_versions, ["Ubuntu 22.04 (jammy)"]);
    assert_eq!(lantern.cves, ["CVE-2026-30101", "CVE-2026-30102"]);
    assert_eq!(lantern.advisories, ["USN-9011-1"]);
    assert_eq!(lantern.release_date.to_string(), "2026-10-09");
    assert_eq!(lantern.url.as_deref(), Some("https://ubuntu.com/security/notices/USN-9011-1"));
    assert_eq!(lantern.targets, [source("22.04", "lantern", "3.9.8-1ubuntu0.22.04.1")]);
    assert_eq!((lantern.severity, lantern.reboot), (Severity::Unknown, RebootBehaviour::Unknown));
}

#[test]
fn database_and_page_say_the_same_of_a_notice() {
    let (database, page) = (database(), page());
    for os in ["22.04", "16.04"] {
        assert_eq!(patch(&database, "USN-9011-1", os), patch(&page, "USN-9011-1", os));
    }
}

#[test]
fn a_later_notice_of_the_same_number_replaces_nothing() {
    let document = database();
    let kernel = patch(&document, "USN-9012-2", "24.04");
    assert_eq!(kernel.supersedes, [] as [&str; 0]);
    assert_eq!(
        kernel.targets,
        [source("24.04", "linux", "6.8.0-99.99"), source("24.04", "linux-lantern", "6.8.0-99.99")]
    );
}

#[test]
fn only_the_sentence_about_the_computer_makes_a_restart() {
    assert_eq!(patch(&database(), "USN-9012-2", "24.04").reboot, RebootBehaviour::Always);
    assert_eq!(patch(&page(), "USN-9015-1", "26.10").reboot, RebootBehaviour::Always);
}

#[test]
fn a_fix_for_subscribers_says_so() {
    assert_eq!(
        patch(&database(), "USN-9011-1", "16.04").os_versions,
        ["Ubuntu 16.04 (xenial) with Ubuntu Pro"]
    );
}

#[test]
fn binary_packages_stand_in_where_no_source_package_is_named_and_a_release_may_name_itself() {
    let page = page();
    let tea = patch(&page, "USN-9015-1", "26.10");
    assert_eq!(
        tea.targets,
        [FixTarget::BinaryPackage {
            os: identity::os("ubuntu", "26.10"),
            package: "tea-server".to_owned(),
            fixed_version: "1.14-7".to_owned(),
            order: VersionOrder::Dpkg,
            architectures: Vec::new(),
            module: None,
        }]
    );
}

#[test]
fn what_gives_no_patch_is_left_out_with_a_reason() {
    assert_eq!(
        database().contents.quarantined,
        [
            "USN-9012-2 for focal: \"linux\" \"not a version!\" is not a package and its version",
            "USN-9012-2: release \"nextone\" is not known",
            "USN-9013-1: it has no date",
            "USN-9014-1: invalid type: sequence, expected an object of at most 200 entries at line 1 column 35",
        ]
    );
    assert_eq!(
        page().contents.quarantined,
        [
            "USN-9015-1: release \"nextone\" is not known",
            "USN-1-9 for warty: no package with a version",
            "LSN-0199-1: it patches a running kernel, not a package",
            "USN-9016-1: its publisher does not show it",
            "notice 6: missing field `id` at line 1 column 36",
        ]
    );
}

#[test]
fn a_document_is_as_old_as_its_newest_notice() {
    assert_eq!(database().contents.document_date.unwrap().to_rfc3339(), "2026-10-10T02:40:00+00:00");
    assert_eq!(page().contents.document_date.unwrap().to_rfc3339(), "2026-10-10T08:00:00+00:00");
}

#[test]
fn figures_count_what_is_written() {
    let database = database().to_json();
    let count = |json: &serde_json::Map<String, serde_json::Value>, name: &str| json[name]["count"].clone();
    assert_eq!(count(&database, "advisories"), 4);
    assert_eq!(count(&database, "cves"), 3);
    assert_eq!(count(&database, "other_refs"), 1);
    assert_eq!(count(&database, "fixed_packages"), 5);
    assert_eq!(database["fixed_packages"]["first"], "jammy/lantern-wicks=3.9.8-1ubuntu0.22.04.1");
    let page = page().to_json();
    assert_eq!((count(&page, "advisories"), count(&page, "cves")), (json!(5), json!(4)));
    assert_eq!(page["types"], json!({"LSN": 1, "USN": 4}));
}

#[test]
fn a_broken_document_is_refused_with_its_own_code() {
    for (text, code) in [
        (DATABASE[..DATABASE.len() - 20].to_owned(), "feeds.document_truncated"),
        (PAGE[..PAGE.len() - 20].to_owned(), "feeds.document_truncated"),
        (format!("{DATABASE}]"), "feeds.document_malformed"),
        (DATABASE.replace("fixed in Lantern", &"fixed ".repeat(1 << 20)), "feeds.document_record_too_large"),
        (PAGE.replace("wick.", &"wick ".repeat(1 << 20)), "feeds.document_record_too_large"),
        (PAGE.replace("\"limit\": 20", "\"limit\": twenty"), "feeds.document_malformed"),
        ("{\"notices\": {\"a\": 1}, \"total_results\": 1}".to_owned(), "feeds.document_malformed"),
        ("{\"9011-1\": 1}".to_owned(), "feeds.document_unknown_format"),
        ("{\"notices\": []}".to_owned(), "feeds.document_unknown_format"),
    ] {
        let error = try_read(text.as_bytes()).map(|document| document.contents).unwrap_err();
        assert_eq!(error.code(), code, "{error}");
    }
}

#[test]
fn a_page_without_notices_is_a_good_document() {
    let page = read(
        "{\"notices\": [], \"limit\": 20, \"offset\": 40, \"total_results\": 21}",
        Format::UbuntuNotices,
    );
    assert_eq!(page.contents.records, 0);
}

#[test]
fn a_notice_that_names_more_than_a_patch_may_hold_is_left_out() {
    let many = |what: &str, count: usize| (0..count).map(|n| format!("{what}{n:05}\"")).collect::<Vec<_>>();
    let sources = many("\"lantern", 5_001).join(": {\"version\": \"1-1\"}, ");
    let text = format!(
        "{{\"1-1\": {{\"title\": \"t\", \"timestamp\": 1791600000, \"releases\": {{\"jammy\": {{\"sources\": {{{sources}: {{\"version\": \"1-1\"}}}}}}}}}}}}"
    );
    let document = read(&text, Format::UbuntuUsndb);
    assert_eq!(document.contents.quarantined, ["USN-1-1 for jammy: it has more than 5000 packages"]);
    let cves = many("\"CVE-2026-", 5_001).join(", ");
    let text = format!("{{\"1-1\": {{\"cves\": [{cves}], \"timestamp\": 1791600000, \"releases\": {{}}}}}}");
    let document = read(&text, Format::UbuntuUsndb);
    let reason = &document.contents.quarantined[0];
    assert!(reason.starts_with("USN-1-1: a list has more than 5000 elements"), "{reason}");
}
