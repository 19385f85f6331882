//! Debian's advisories, urgencies and repositories become the facts that a person would read in them.
#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use contracts::feeds::PatchFacts;
use contracts::{FixTarget, RebootBehaviour, Severity};
use feeds_documents::contents::Rating;
use feeds_documents::{Document, DocumentError, Format, Options};
use kernel::{FeedId, Refused};
use serde_json::json;

const LIST: &str = include_str!("documents/debian-dsa-list.txt");
const TRACKER: &str = include_str!("documents/debian-tracker-json.json");
const RELEASE: &str = include_str!("documents/debian-release.txt");
const PACKAGES: &str = include_str!("documents/debian-packages.txt");

const ALL: [(Format, &str); 4] = [
    (Format::DebianDsaList, LIST),
    (Format::DebianTracker, TRACKER),
    (Format::DebianRelease, RELEASE),
    (Format::DebianPackages, PACKAGES),
];

fn try_read(bytes: &[u8]) -> Result<Document, DocumentError> {
    let options = Options {
        feed_id: FeedId(uuid::Uuid::from_u128(7)),
        received_on: chrono::NaiveDate::default(),
        figures: true,
    };
    feeds_documents::read(std::io::Cursor::new(bytes), options)
}

fn read(format: Format, text: &str) -> Document {
    let document = try_read(text.as_bytes()).unwrap();
    assert_eq!(document.format, format);
    document
}

fn list(text: &str) -> Document {
    read(Format::DebianDsaList, text)
}

fn refused(text: &str) -> DocumentError {
    try_read(text.as_bytes()).map(|document| document.contents).unwrap_err()
}

fn patch<'a>(document: &'a Document, vendor_id: &str, os: &str) -> &'a PatchFacts {
    document
        .contents
        .patches
        .iter()
        .find(|patch| patch.vendor_patch_id == vendor_id && patch.targets[0].os().version == os)
        .unwrap_or_else(|| panic!("no {vendor_id} for {os}"))
}

#[test]
fn the_format_is_told_by_the_content() {
    for (format, text) in ALL {
        read(format, text);
    }
    for other in [
        "hello\n",
        "{}",
        "{\"a\": 1}",
        "<html><body/></html>",
        "Package: lantern\nBinary: lantern\nVersion: 1\nArchitecture: any\nFiles:\n 0 1 lantern.dsc\n",
        "Package: lantern\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n",
        "Format: 1.8\nDate: Fri, 09 Oct 2026 18:44:02 UTC\nSource: lantern\nArchitecture: source\n",
        "Date: Fri, 09 Oct 2026 18:44:02 UTC\nSubject: a letter\n",
    ] {
        let error = refused(other);
        assert_eq!(error.code(), "feeds.document_unknown_format", "{other:?}");
    }
}

#[test]
fn an_advisory_is_one_patch_per_release_that_it_fixes() {
    let document = list(LIST);
    assert_eq!((document.contents.records, document.contents.patches.len()), (6, 8));
    let lantern = patch(&document, "DSA-9004-1", "12");
    assert_eq!(lantern.name, "lantern - security update for Debian 12 (DSA-9004-1)");
    assert_eq!(lantern.os_versions, ["Debian 12 (bookworm)"]);
    assert_eq!(lantern.cves, ["CVE-2026-30101", "CVE-2026-30102"]);
    assert_eq!(lantern.release_date.to_string(), "2026-10-09");
    assert_eq!((lantern.severity, lantern.reboot), (Severity::Unknown, RebootBehaviour::Unknown));
    let [FixTarget::SourcePackage { os, source, fixed_version }] = &lantern.targets[..] else {
        panic!("{lantern:?}")
    };
    assert_eq!((os.key().as_str(), source.as_str()), ("debian:12", "lantern"));
    assert_eq!(fixed_version, "2:3.9.8-1+deb12u4");
    assert_ne!(lantern.patch_id, patch(&document, "DSA-9004-1", "13").patch_id);
    assert_eq!(document.contents.document_date.unwrap().date_naive().to_string(), "2026-10-14");
}

#[test]
fn an_urgency_behind_the_version_is_the_severity() {
    let document = list(LIST);
    let rated = patch(&document, "DSA-9004-2", "13");
    assert_eq!((rated.severity, rated.vendor_severity.as_str()), (Severity::High, "high"));
    assert_eq!(rated.targets.len(), 1);
}

#[test]
fn an_advisory_for_two_packages_is_one_patch_with_two_targets() {
    assert_eq!(patch(&list(LIST), "DSA-9003-1", "12").targets.len(), 2);
}

#[test]
fn what_an_advisory_list_says_of_unknown_releases_and_versions_is_left_out_with_a_reason() {
    assert_eq!(
        list(LIST).contents.quarantined,
        [
            "DSA-9003-1: release \"nextone\" is not known",
            "line 21: \"not_a_version!\" is not a Debian version",
        ]
    );
}

#[test]
fn a_later_advisory_replaces_the_one_before_it_where_it_reaches_all_of_its_packages() {
    let document = list(LIST);
    let supersedes = |id: &str, os: &str| patch(&document, id, os).supersedes.clone();
    assert_eq!(supersedes("DSA-9004-2", "13"), ["DSA-9004-1"]);
    assert_eq!(supersedes("DSA-9004-1", "13"), ["DSA-9002-1"]);
    assert_eq!(supersedes("DSA-9004-1", "12"), ["DSA-9002-1"]);
    assert_eq!(supersedes("DSA-9003-1", "12"), ["DSA-9001-1"]);
    assert_eq!(supersedes("DSA-9002-1", "12"), [] as [&str; 0]);
}

#[test]
fn a_newer_advisory_with_a_lower_version_replaces_nothing() {
    let text = "[02 Jan 2026] DSA-2-1 a - security update\n\t[trixie] - a 1.0~rc1-1\n\
                [01 Jan 2026] DSA-1-1 a - security update\n\t[trixie] - a 1.0-1\n";
    let document = list(text);
    assert_eq!(patch(&document, "DSA-2-1", "13").supersedes, [] as [&str; 0]);
}

#[test]
fn lines_below_an_unreadable_head_do_not_belong_to_the_advisory_above() {
    let text = "[02 Jan 2026] DSA-2-1 a - security update\n\t[trixie] - a 1.0-1\n\
                [01 Foo 2026] DSA-1-1 b - security update\n\t[trixie] - b 9.0-1\n";
    let document = list(text);
    assert_eq!(document.contents.patches.len(), 1);
    assert_eq!(document.contents.patches[0].targets.len(), 1);
    assert_eq!(document.contents.quarantined.len(), 1);
}

#[test]
fn reasons_are_bounded() {
    let text: Vec<String> = (1..=300)
        .map(|number| format!("[01 Jan 2026] DSA-{number}-1 a - security update\n\t[nowhere] - a 1.0-1\n"))
        .collect();
    let contents = list(&text.concat()).contents;
    assert_eq!((contents.quarantined.len(), contents.quarantined_count()), (101, 300));
    assert_eq!(contents.quarantined[100], "and 200 more");
}

#[test]
fn a_title_with_an_unprintable_character_is_no_reason_to_miss_an_advisory() {
    let document = list("[02 Jan 2026] DSA-2-1 a - secu\0rity\u{1b} update\n\t[trixie] - a 1.0-1\n");
    let name = &patch(&document, "DSA-2-1", "13").name;
    assert_eq!(name, "a - secu\u{fffd}rity\u{fffd} update for Debian 13 (DSA-2-1)");
}

#[test]
fn figures_of_a_list_count_lines_in_their_usual_form_and_facts_all_of_them() {
    let usual = "[02 Jan 2026] DSA-2-1 a -- regression update\n\t{CVE-2026-1000 CAN-2004-0001}\n\
                 \t[trixie] - a 1.0-1\n\t[bookworm] - a <not-affected> (later)\n";
    let unusual = "[1 Jan 2026] DLA-1 b - security update\n  {CVE-2026-1001}\n\t[trixie]  - b 1.0-1\n    [bookworm] - b 1.0-1\n";
    let document = list(&format!("{usual}{unusual}"));
    let json = document.to_json();
    assert_eq!((&json["advisories"], &json["distinct_ids"]["count"]), (&json!(2), &json!(2)));
    assert_eq!((&json["cves"]["count"], &json["cves"]["first"]), (&json!(1), &json!("CVE-2026-1000")));
    assert_eq!(
        (&json["fixed_packages"]["count"], &json["fixed_packages"]["last"]),
        (&json!(1), &json!("DSA-2-1|trixie|a|1.0-1"))
    );
    assert_eq!(json["non_version_markers"], json!({"<not-affected>": 1}));
    assert_eq!(json["regression_updates"], 1);
    assert_eq!(patch(&document, "DLA-1", "13").cves, ["CVE-2026-1001"]);
    assert_eq!(document.contents.patches.len(), 3);
}

#[test]
fn the_tracker_gives_urgencies_and_no_patches() {
    let document = read(Format::DebianTracker, TRACKER);
    assert!(document.contents.patches.is_empty());
    let told: Vec<String> = document
        .contents
        .ratings
        .iter()
        .map(|Rating { source, cve, os_version, vendor_severity, severity }| {
            format!("{source} {cve} {os_version} {vendor_severity} {severity:?}")
        })
        .collect();
    assert_eq!(
        told,
        [
            "lantern CVE-2026-30101 12 medium Medium",
            "lantern CVE-2026-30101 13 high** High",
            "lantern CVE-2026-30102 12 low Low",
            "tea-server CVE-2026-29950 12 unimportant None",
        ]
    );
    assert_eq!(document.contents.quarantined, ["tea-server/CVE-2026-29951: its releases are not an object"]);
    let json = document.to_json();
    assert_eq!((&json["source_packages"], &json["cves"]["count"]), (&json!(2), &json!(3)));
    assert_eq!(json["fixed_packages"]["first"], "bookworm/lantern=2:3.9.8-1+deb12u4/CVE-2026-30101");
}

#[test]
fn a_package_of_the_tracker_may_be_larger_than_a_record() {
    let note = "x".repeat(900_000);
    let vulnerability = |number: u32| {
        format!(
            "\"CVE-2026-{number}\": {{\"description\": \"{note}\", \"releases\": {{\"trixie\": {{\"urgency\": \"low\"}}}}}}"
        )
    };
    let all: Vec<String> = (1000..1020).map(vulnerability).collect();
    let document = read(Format::DebianTracker, &format!("{{\"linux\": {{{}}}}}", all.join(",")));
    assert_eq!((document.contents.records, document.contents.ratings.len()), (1, 20));
}

#[test]
fn a_paragraph_with_more_fields_than_any_real_one_is_not_kept_whole() {
    let (first, rest) = PACKAGES.split_once("\n\n").unwrap();
    let many = "X-Field: 1\n".repeat(2_000);
    let document = read(Format::DebianPackages, &format!("{first}\n{many}\n{rest}"));
    assert_eq!(document.contents.records, 4);
    // The first paragraph has ten fields of its own.
    assert_eq!(document.contents.quarantined.last().unwrap(), "1010 lines belong to no field");
    assert_eq!(document.to_json()["size_sum"], 42_000);
}

#[test]
fn what_is_no_package_of_the_tracker_is_left_out_with_a_reason() {
    let start = TRACKER.trim_end().strip_suffix('}').unwrap();
    let text = format!("{start}, \"odd\": [1, {{\"a\": 2}}], \"null\": null, \"word\": \"x\"}}");
    let document = read(Format::DebianTracker, &text);
    assert_eq!(document.contents.records, 5);
    assert_eq!(
        document.contents.quarantined[1..],
        ["odd", "null", "word"].map(|name| format!("{name}: its vulnerabilities are not an object"))
    );
}

#[test]
fn a_release_links_to_each_list_of_packages_in_its_best_form() {
    let contents = read(Format::DebianRelease, RELEASE).contents;
    let links: Vec<(&str, Option<u64>, Option<&str>)> = contents
        .links
        .iter()
        .map(|link| (link.href.as_str(), link.size_bytes, link.sha256.as_deref()))
        .collect();
    assert_eq!(
        links,
        [
            (
                "main/binary-amd64/Packages.xz",
                Some(917),
                Some("a000000000000000000000000000000000000000000000000000000000000003")
            ),
            (
                "main/binary-arm64/Packages.gz",
                Some(1990),
                Some("a000000000000000000000000000000000000000000000000000000000000006")
            ),
        ]
    );
    assert_eq!(contents.records, 9);
    assert_eq!(contents.document_date.unwrap().to_rfc3339(), "2026-10-09T18:44:02+00:00");
    assert_eq!(contents.valid_until.unwrap().to_rfc3339(), "2026-10-16T18:44:02+00:00");
    assert!(contents.quarantined[0].contains("../../outside/Packages.xz"), "{:?}", contents.quarantined);
    assert_eq!(contents.quarantined.len(), 2);
}

#[test]
fn what_has_an_md5_sum_alone_is_not_linked() {
    let (before, sha256) = RELEASE.split_once("SHA256:\n").unwrap();
    assert!(!sha256.is_empty());
    let document = read(Format::DebianRelease, before);
    assert_eq!(document.contents.links, []);
    assert_eq!(document.to_json()["md5_files"], 2);
}

#[test]
fn figures_of_a_release_are_its_fields() {
    let json = read(Format::DebianRelease, RELEASE).to_json();
    assert_eq!(json["codename"], "wick-security");
    assert_eq!(json["suite"], "stable-security");
    assert_eq!(json["date"], "Fri, 09 Oct 2026 18:44:02 UTC");
    assert_eq!(json["architectures"], json!(["amd64", "arm64"]));
    assert_eq!(
        (&json["md5_files"], &json["sha256_files"], &json["clearsigned"]),
        (&json!(2), &json!(11), &json!(false))
    );
    let nameless = RELEASE.replace("Codename: wick-security\n", "");
    assert_eq!(read(Format::DebianRelease, &nameless).to_json()["codename"], json!(null));
}

#[test]
fn packages_are_counted_and_are_no_patches() {
    let document = read(Format::DebianPackages, PACKAGES);
    assert_eq!((document.contents.records, document.contents.patches.len()), (4, 0));
    assert_eq!(document.contents.quarantined, ["paragraph 4 (\"broken\"): its size is no number"]);
    let json = document.to_json();
    assert_eq!((&json["packages"]["count"], &json["size_sum"]), (&json!(3), &json!(42_000)));
    assert_eq!((&json["with_epoch"], &json["with_tilde"]), (&json!(2), &json!(1)));
    assert_eq!(json["name_version_arch"]["first"], "lantern-doc=2:3.9.8-1+deb12u4:all");
}

#[test]
fn line_ends_of_another_system_change_nothing() {
    for (format, text) in ALL {
        let (lf, crlf) = (read(format, text), read(format, &text.replace('\n', "\r\n")));
        assert_eq!(lf.contents, crlf.contents, "{format}");
    }
}

#[test]
fn a_broken_document_is_refused_with_its_own_code() {
    for (text, code) in [
        (LIST.trim_end(), "feeds.document_truncated"),
        (RELEASE.trim_end(), "feeds.document_truncated"),
        (PACKAGES.trim_end(), "feeds.document_truncated"),
        (&TRACKER[..TRACKER.len() - 40], "feeds.document_truncated"),
        (&format!("{TRACKER}x"), "feeds.document_malformed"),
        (&format!("{RELEASE}\nCodename: other\n"), "feeds.document_malformed"),
        (&RELEASE.replace("Suite:", "Suite"), "feeds.document_malformed"),
        (&format!("{PACKAGES}Description: {}\n", "x".repeat(17 << 20)), "feeds.document_record_too_large"),
        (
            &format!("[01 Jan 2026] DSA-1-1 a - b\n{}", "what is this\n".repeat(20)),
            "feeds.document_malformed",
        ),
        ("{\"error\": \"try later\"}", "feeds.document_unknown_format"),
    ] {
        let error = refused(text);
        assert_eq!(error.code(), code, "{error}: {:?}", text.chars().take(60).collect::<String>());
    }
}

/// Whether any text of what was found holds U+0000.
fn holds_nul(document: &Document) -> bool {
    let contents = &document.contents;
    let patches = contents.patches.iter().map(|patch| serde_json::to_string(patch).unwrap());
    let ratings = contents.ratings.iter().flat_map(|rating| {
        [&rating.source, &rating.cve, &rating.os_version, &rating.vendor_severity].map(String::clone)
    });
    let links = contents.links.iter().map(|link| link.href.clone());
    patches
        .map(|json| json.replace(r"\u0000", "\0"))
        .chain(ratings)
        .chain(links)
        .chain(contents.quarantined.iter().cloned())
        .any(|text| text.contains('\0'))
}

#[test]
fn a_character_that_no_database_keeps_is_in_nothing_that_is_found() {
    for (format, text) in ALL {
        let nul = if text.starts_with('{') { r"\u0000" } else { "\0" };
        for (at, _) in text.char_indices() {
            let (before, after) = text.split_at(at);
            let Ok(document) = try_read(format!("{before}{nul}{after}").as_bytes()) else { continue };
            assert!(!holds_nul(&document), "{format} at {at}: {:#?}", document.contents);
        }
    }
}
