//! Alpine's security database becomes one patch for each version that closed something.
#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use contracts::feeds::PatchFacts;
use contracts::{FixTarget, RebootBehaviour, Severity, VersionOrder};
use feeds_documents::identity::{self, Vendor};
use feeds_documents::{Document, DocumentError, Format, Options};
use kernel::{FeedId, Refused};
use serde_json::json;

const JSON: &str = include_str!("documents/alpine-secdb.json");
const YAML: &str = include_str!("documents/alpine-secdb.yaml");

fn try_read(text: &str) -> Result<Document, DocumentError> {
    let options = Options {
        feed_id: FeedId(uuid::Uuid::from_u128(7)),
        received_on: chrono::NaiveDate::default(),
        figures: true,
    };
    feeds_documents::read(std::io::Cursor::new(text.as_bytes()), options)
}

fn read(text: &str) -> Document {
    let document = try_read(text).unwrap();
    assert_eq!(document.format, Format::AlpineSecdb);
    document
}

fn patch<'a>(document: &'a Document, id: &str) -> &'a PatchFacts {
    let mut patches = document.contents.patches.iter();
    patches.find(|patch| patch.vendor_patch_id == id).unwrap_or_else(|| panic!("no {id}"))
}

fn ids(document: &Document) -> Vec<&str> {
    document.contents.patches.iter().map(|patch| patch.vendor_patch_id.as_str()).collect()
}

#[test]
fn each_version_that_closed_something_is_a_patch() {
    let document = read(JSON);
    assert_eq!(ids(&document), ["lantern-3.1.2_p3-r1", "lantern-3.9.8-r0", "tea-server-1.13-r0"]);
    let lantern = patch(&document, "lantern-3.9.8-r0");
    let os = identity::os("alpine", "3.16");
    assert_eq!(lantern.patch_id, identity::patch_id(Vendor::Alpine, "lantern-3.9.8-r0", &os));
    assert_eq!(lantern.name, "lantern 3.9.8-r0 for Alpine Linux 3.16");
    assert_eq!(lantern.os_versions, ["Alpine Linux 3.16"]);
    assert_eq!(lantern.cves, ["CVE-2021-30102", "CVE-2023-30101"]);
    assert_eq!((lantern.severity, lantern.reboot), (Severity::Unknown, RebootBehaviour::Unknown));
    assert_eq!(
        lantern.targets,
        [FixTarget::BinaryPackage {
            os,
            package: "lantern".to_owned(),
            fixed_version: "3.9.8-r0".to_owned(),
            order: VersionOrder::Apk,
            architectures: Vec::new(),
            module: None,
        }]
    );
}

#[test]
fn words_around_an_id_do_not_hide_it() {
    assert_eq!(patch(&read(JSON), "lantern-3.1.2_p3-r1").cves, ["CVE-2019-5060"]);
}

#[test]
fn a_patch_is_dated_to_the_earliest_day_that_the_document_allows() {
    let json = read(JSON);
    let day = |document: &Document, id: &str| patch(document, id).release_date.to_string();
    assert_eq!(day(&json, "lantern-3.9.8-r0"), "2023-01-01", "not before the year of its newest CVE");
    assert_eq!(day(&json, "lantern-3.1.2_p3-r1"), "2022-05-23", "not before its branch");
    let edge = JSON.replace("v3.16", "edge");
    let edge = read(&edge);
    assert_eq!(day(&edge, "lantern-3.1.2_p3-r1"), "2019-01-01");
    assert_eq!(day(&edge, "tea-server-1.13-r0"), "1970-01-01", "that of its arrival, where nothing tells");
    assert!(edge.contents.patches.iter().all(|patch| !patch.is_dated));
}

#[test]
fn what_cannot_be_read_is_left_out_with_a_reason() {
    let document = read(JSON);
    assert_eq!(document.contents.records, 5);
    assert_eq!(
        document.contents.quarantined,
        [
            "\"odd\" \"latest\" is not a package and its version",
            "package 5: missing field `name` at line 1 column 24"
        ]
    );
    assert_eq!(read(YAML).contents.quarantined, ["odd 1.0-r0: 1 ids are no words"]);
}

#[test]
fn yaml_says_the_same_as_json() {
    let document = read(YAML);
    assert_eq!(ids(&document), ["lantern-3.1.2", "lantern-3.9.8-r0", "tea-server-1.10"]);
    assert_eq!(patch(&document, "lantern-3.9.8-r0").cves, ["CVE-2016-30102", "CVE-2017-30101"]);
    assert_eq!(patch(&document, "tea-server-1.10").cves, ["CVE-2016-1001"]);
    assert_eq!(patch(&document, "lantern-3.1.2").targets[0].os().key(), "alpine:3.5");
    assert_eq!(document.contents.document_date.unwrap().to_rfc3339(), "2017-03-02T10:11:12+00:00");
}

#[test]
fn a_database_of_wolfi_is_for_its_one_release() {
    let wolfi = JSON.replace("https://dl-cdn.alpinelinux.org/alpine", "https://packages.wolfi.dev");
    let wolfi = read(&wolfi.replace("\"distroversion\": \"v3.16\"", "\"note\": 1"));
    let lantern = patch(&wolfi, "lantern-3.1.2_p3-r1");
    assert_eq!((lantern.targets[0].os().key().as_str(), lantern.url.as_ref()), ("wolfi:", None));
    assert_eq!(
        lantern.patch_id,
        identity::patch_id(Vendor::Wolfi, "lantern-3.1.2_p3-r1", &identity::os("wolfi", ""))
    );
}

#[test]
fn a_database_of_nobody_known_gives_figures_and_no_patch() {
    let unknown = read(&JSON.replace("alpinelinux.org", "example.org"));
    assert_eq!(ids(&unknown), [] as [&str; 0]);
    assert_eq!(unknown.to_json()["packages"], 5);
    let reason = unknown.contents.quarantined.last().unwrap();
    assert!(reason.starts_with("nobody here knows the distribution \"v3.16\""), "{reason}");
}

#[test]
fn figures_count_what_is_written_and_not_what_is_made_of_it() {
    let json = read(JSON).to_json();
    let count = |name: &str| json[name]["count"].clone();
    assert_eq!(
        (&json["packages"], &json["distro"], &json["repo"]),
        (&json!(5), &json!("v3.16"), &json!("main"))
    );
    assert_eq!(
        (count("cves"), count("fixed_packages"), count("other_tokens")),
        (json!(5), json!(6), json!(5))
    );
    assert_eq!(json["version_zero_entries"], 1);
    let yaml = read(YAML).to_json();
    assert_eq!((&yaml["packages"], &yaml["fixed_packages"]["count"]), (&json!(4), &json!(6)));
    let bare = YAML.lines().map(|line| line.replace("        1.10:", "        '1.1':") + "\n");
    let bare = read(&bare.collect::<String>()).to_json();
    assert_eq!(bare["fixed_packages"], yaml["fixed_packages"], "a bare 1.10 is the number 1.1 to others");
}

#[test]
fn a_broken_database_is_refused_with_its_own_code() {
    let anchored = YAML.replace("      name: lantern\n", "      name: &name lantern\n");
    let aliased = YAML.replace("      name: lantern\n", "      name: *name\n");
    let tagged = YAML.replace("      name: lantern\n", "      name: !!binary lantern\n");
    let deep = YAML
        .replace("  - pkg:\n      name: quiet", &format!("  - pkg: {}\n      name: quiet", "[".repeat(100)));
    let second = format!("{YAML}---\npackages: []\n");
    for (text, code) in [
        (&JSON[..JSON.len() - 40], "feeds.document_truncated"),
        (&YAML[..YAML.len() - 1], "feeds.document_truncated"),
        (&format!("{JSON}{{}}"), "feeds.document_malformed"),
        (
            &JSON
                .replace("\"packages\": [", "\"packages\": {\"a\": [")
                .replace("],\n  \"reponame\"", "]},\n  \"reponame\""),
            "feeds.document_unknown_format",
        ),
        (&JSON.replace("TALOS-2021-0844", &"TALOS ".repeat(1 << 20)), "feeds.document_record_too_large"),
        (&JSON.replace("\"v3.16\"", "316"), "feeds.document_malformed"),
        (&anchored, "feeds.document_malformed"),
        (&aliased, "feeds.document_malformed"),
        (&tagged, "feeds.document_malformed"),
        (&second, "feeds.document_malformed"),
        (&YAML.replace("packages:\n", "packages: none\n"), "feeds.document_malformed"),
        (&deep, "feeds.document_too_deep"),
        (&YAML.replace("#\n", &"#".repeat(3 << 20)), "feeds.document_too_large"),
    ] {
        let error = try_read(text).map(|document| document.contents).unwrap_err();
        assert_eq!(error.code(), code, "{error}: {}", &text[..200]);
    }
}

#[test]
fn an_empty_list_of_packages_is_a_good_document() {
    let start = YAML.split_once("packages:\n").unwrap().0;
    assert_eq!(read(&format!("{start}packages:\n")).contents.records, 0);
    assert_eq!(read(&format!("{start}packages: []\n")).contents.records, 0);
}
