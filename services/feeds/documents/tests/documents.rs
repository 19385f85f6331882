//! Documents of real shapes become the facts that a person would read in them.
#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use contracts::feeds::{FeedFormat, PatchFacts};
use contracts::{FixTarget, RebootBehaviour, Severity};
use feeds_domain::document::{Context, DocumentError, ParsedDocument, Rating, detect, parse};
use kernel::{FeedId, Refused};
use proptest::prelude::*;

const DSA_LIST: &[u8] = include_bytes!("documents/dsa-list.txt");
const TRACKER: &[u8] = include_bytes!("documents/tracker.json");
const OCTOBER_XML: &[u8] = include_bytes!("documents/msrc-2026-oct.xml");
const OCTOBER_JSON: &[u8] = include_bytes!("documents/msrc-2026-oct.json");
const SEPTEMBER_JSON: &[u8] = include_bytes!("documents/msrc-2026-sep.json");

const ALL: [(FeedFormat, &[u8]); 5] = [
    (FeedFormat::DebianDsaList, DSA_LIST),
    (FeedFormat::DebianTracker, TRACKER),
    (FeedFormat::MsrcCvrf, OCTOBER_XML),
    (FeedFormat::MsrcCvrf, OCTOBER_JSON),
    (FeedFormat::MsrcCvrf, SEPTEMBER_JSON),
];

fn context() -> Context {
    Context { feed_id: FeedId(uuid::Uuid::from_u128(7)) }
}

fn read(format: FeedFormat, bytes: &[u8]) -> ParsedDocument {
    parse(format, bytes, &context()).unwrap()
}

fn refused(format: FeedFormat, bytes: &[u8]) -> DocumentError {
    parse(format, bytes, &context()).unwrap_err()
}

fn patch<'a>(document: &'a ParsedDocument, vendor_id: &str, os: &str) -> &'a PatchFacts {
    document
        .patches
        .iter()
        .find(|patch| patch.vendor_patch_id == vendor_id && patch.targets[0].os().version == os)
        .unwrap_or_else(|| panic!("no {vendor_id} for {os}"))
}

#[test]
fn the_format_is_told_by_the_content() {
    for (format, bytes) in ALL {
        assert_eq!(detect(bytes), Some(format));
    }
    for other in
        ["", "hello\n", "{}", "{\"a\": 1}", "<html><body/></html>", "<!DOCTYPE html><html/>", "[", "\u{feff}"]
    {
        assert_eq!(detect(other.as_bytes()), None, "{other:?}");
    }
}

#[test]
fn an_advisory_is_one_patch_per_release_that_it_fixes() {
    let document = read(FeedFormat::DebianDsaList, DSA_LIST);
    assert_eq!(document.patches.len(), 8);
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
    assert_eq!(document.document_date.unwrap().date_naive().to_string(), "2026-10-14");
}

#[test]
fn an_urgency_behind_the_version_is_the_severity() {
    let document = read(FeedFormat::DebianDsaList, DSA_LIST);
    let rated = patch(&document, "DSA-9004-2", "13");
    assert_eq!((rated.severity, rated.vendor_severity.as_str()), (Severity::High, "high"));
    assert_eq!(rated.targets.len(), 1);
}

#[test]
fn an_advisory_for_two_packages_is_one_patch_with_two_targets() {
    let document = read(FeedFormat::DebianDsaList, DSA_LIST);
    assert_eq!(patch(&document, "DSA-9003-1", "12").targets.len(), 2);
}

#[test]
fn what_an_advisory_list_says_of_unknown_releases_and_versions_is_left_out_with_a_reason() {
    let document = read(FeedFormat::DebianDsaList, DSA_LIST);
    assert_eq!(
        document.quarantined,
        [
            "line 21: \"not_a_version!\" is not a Debian version",
            "DSA-9003-1: release \"nextone\" is not known"
        ]
    );
}

#[test]
fn a_later_advisory_replaces_the_one_before_it_where_it_reaches_all_of_its_packages() {
    let document = read(FeedFormat::DebianDsaList, DSA_LIST);
    let supersedes = |id: &str, os: &str| patch(&document, id, os).supersedes.clone();
    assert_eq!(supersedes("DSA-9004-2", "13"), ["DSA-9004-1"]);
    assert_eq!(supersedes("DSA-9004-1", "13"), ["DSA-9002-1"]);
    assert_eq!(supersedes("DSA-9004-1", "12"), ["DSA-9002-1"]);
    assert_eq!(supersedes("DSA-9003-1", "12"), ["DSA-9001-1"]);
    assert_eq!(supersedes("DSA-9002-1", "12"), [] as [&str; 0]);
}

#[test]
fn a_newer_advisory_with_a_lower_version_replaces_nothing() {
    let list = "[02 Jan 2026] DSA-2-1 a - security update\n\t[trixie] - a 1.0~rc1-1\n\
                [01 Jan 2026] DSA-1-1 a - security update\n\t[trixie] - a 1.0-1\n";
    let document = read(FeedFormat::DebianDsaList, list.as_bytes());
    assert_eq!(patch(&document, "DSA-2-1", "13").supersedes, [] as [&str; 0]);
}

#[test]
fn the_tracker_gives_urgencies_and_no_patches() {
    let document = read(FeedFormat::DebianTracker, TRACKER);
    assert!(document.patches.is_empty());
    let told: Vec<String> = document
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
    assert_eq!(document.quarantined, ["tea-server/CVE-2026-29951: its releases are not an object"]);
}

#[test]
fn a_kb_is_one_patch_with_all_that_it_closes() {
    let document = read(FeedFormat::MsrcCvrf, OCTOBER_XML);
    let ids: Vec<&str> = document.patches.iter().map(|patch| patch.vendor_patch_id.as_str()).collect();
    assert_eq!(ids, ["KB5090101", "KB5090102", "KB5090103"]);
    let windows_11 = &document.patches[0];
    assert_eq!(windows_11.name, "2026-10 Security Update for Windows 11 (KB5090101)");
    assert_eq!((windows_11.severity, windows_11.vendor_severity.as_str()), (Severity::Critical, "Critical"));
    assert_eq!(windows_11.cves, ["CVE-2026-30001"]);
    assert_eq!(windows_11.supersedes, ["KB5088801"]);
    assert_eq!(windows_11.reboot, RebootBehaviour::Always);
    assert_eq!(windows_11.release_date.to_string(), "2026-10-13");
    assert_eq!(windows_11.url.as_deref(), Some("https://support.microsoft.com/help/5090101"));
    assert_eq!(
        builds(windows_11),
        [
            ("Windows 11 Version 24H2 for ARM64-based Systems", Some("10.0.26100.4946")),
            ("Windows 11 Version 24H2 for x64-based Systems", Some("10.0.26100.4946")),
            ("Windows 11 Version 25H2 for x64-based Systems", Some("10.0.26200.4946")),
        ]
    );
    assert_eq!(document.document_date.unwrap().to_rfc3339(), "2026-10-14T07:00:00+00:00");
}

fn builds(patch: &PatchFacts) -> Vec<(&str, Option<&str>)> {
    patch
        .targets
        .iter()
        .map(|target| match target {
            FixTarget::Kb { os, fixed_build, .. } => (os.version.as_str(), fixed_build.as_deref()),
            FixTarget::SourcePackage { .. } => panic!("{target:?}"),
        })
        .collect()
}

#[test]
fn a_component_is_patched_on_its_platform_and_its_build_is_not_the_platforms() {
    let document = read(FeedFormat::MsrcCvrf, OCTOBER_XML);
    let server = &document.patches[1];
    assert_eq!(
        builds(server),
        [
            ("Windows Server 2022", Some("10.0.20348.4052")),
            ("Windows Server 2022 (Server Core installation)", Some("10.0.20348.4052")),
        ]
    );
    assert_eq!((server.severity, server.vendor_severity.as_str()), (Severity::Medium, "Moderate"));
    assert_eq!(server.reboot, RebootBehaviour::Maybe, "one product says yes, another maybe");
    assert_eq!(server.cves, ["CVE-2026-30001", "CVE-2026-30002"]);
}

#[test]
fn a_fix_without_severity_stays_unknown_and_one_without_kb_is_counted() {
    let document = read(FeedFormat::MsrcCvrf, OCTOBER_XML);
    let hotpatch = &document.patches[2];
    assert_eq!((hotpatch.severity, hotpatch.vendor_severity.as_str()), (Severity::Unknown, ""));
    assert_eq!(hotpatch.supersedes, [] as [&str; 0], "a patch does not replace itself");
    assert_eq!(
        document.quarantined,
        [
            "2 fixes \"Release Notes\" have no KB number",
            "KB5090102: product \"99999\" is not in the product tree"
        ]
    );
}

#[test]
fn xml_and_json_of_the_same_month_say_the_same() {
    assert_eq!(read(FeedFormat::MsrcCvrf, OCTOBER_XML), read(FeedFormat::MsrcCvrf, OCTOBER_JSON));
}

#[test]
fn prefixes_declarations_and_marks_do_not_matter() {
    let text = std::str::from_utf8(OCTOBER_XML).unwrap();
    let bare =
        text.split_once("?>").unwrap().1.replace("cvrf:", "").replace("vuln:", "").replace("prod:", "");
    assert_eq!(read(FeedFormat::MsrcCvrf, bare.as_bytes()), read(FeedFormat::MsrcCvrf, OCTOBER_XML));
}

#[test]
fn a_month_without_vulnerabilities_is_a_good_document() {
    let text = "<cvrfdoc><DocumentTracking><InitialReleaseDate>2017-05-08T07:00:00</InitialReleaseDate></DocumentTracking></cvrfdoc>";
    assert_eq!(read(FeedFormat::MsrcCvrf, text.as_bytes()).patches, []);
}

#[test]
fn a_broken_document_is_refused_with_its_own_code() {
    use FeedFormat::{DebianDsaList as Dsa, DebianTracker as Tracker, MsrcCvrf as Msrc};
    let cut = |bytes: &'static [u8]| &bytes[..bytes.len() - 40];
    let deep = format!("<cvrfdoc>{}", "<a>".repeat(100));
    for (format, bytes, code) in [
        (Dsa, &b""[..], "feeds.document_empty"),
        (Msrc, b"\xef\xbb\xbf \n", "feeds.document_empty"),
        (Msrc, b"\xff\xfe<\0c\0", "feeds.document_not_utf8"),
        (Dsa, b"<!DOCTYPE html><html><body>busy</body></html>\n", "feeds.document_unknown_format"),
        (Tracker, b"{\"error\": \"try later\"}", "feeds.document_unknown_format"),
        (Dsa, TRACKER, "feeds.document_unexpected_format"),
        (Msrc, DSA_LIST, "feeds.document_unexpected_format"),
        (Dsa, DSA_LIST.trim_ascii_end(), "feeds.document_truncated"),
        (Tracker, cut(TRACKER), "feeds.document_truncated"),
        (Msrc, cut(OCTOBER_XML), "feeds.document_truncated"),
        (Msrc, cut(OCTOBER_JSON), "feeds.document_truncated"),
        (Msrc, b"<cvrfdoc><Vulnerability></Vulnerability>", "feeds.document_truncated"),
        (Msrc, b"<cvrfdoc><Vulnerability></cvrfdoc>", "feeds.document_malformed"),
        (Msrc, b"<cvrfdoc/><cvrfdoc/>", "feeds.document_malformed"),
        (Msrc, b"<cvrfdoc/>junk", "feeds.document_malformed"),
        (Msrc, b"<cvrfdoc><DocumentTitle>&lol;</DocumentTitle></cvrfdoc>", "feeds.document_malformed"),
        (Msrc, b"<cvrfdoc><Vulnerability/></cvrfdoc>", "feeds.document_malformed"),
        (Msrc, b"{\"ProductTree\": 1}", "feeds.document_malformed"),
        (
            Tracker,
            b"{\"a\": {\"CVE-2026-1000\": {\"releases\": {\"sid\": {\"urgency\": \"low\"}}}}} x",
            "feeds.document_malformed",
        ),
        (Msrc, deep.as_bytes(), "feeds.document_too_deep"),
    ] {
        let error = refused(format, bytes);
        assert_eq!(
            error.code(),
            code,
            "{format:?} {:?}: {error}",
            String::from_utf8_lossy(&bytes[..bytes.len().min(60)])
        );
    }
}

#[test]
fn a_list_that_is_mostly_unreadable_is_refused() {
    let text = format!("[01 Jan 2026] DSA-1-1 a - security update\n{}", "what is this\n".repeat(20));
    assert_eq!(refused(FeedFormat::DebianDsaList, text.as_bytes()).code(), "feeds.document_malformed");
}

#[test]
fn lines_below_an_unreadable_head_do_not_belong_to_the_advisory_above() {
    let text = "[02 Jan 2026] DSA-2-1 a - security update\n\t[trixie] - a 1.0-1\n\
                [01 Foo 2026] DSA-1-1 b - security update\n\t[trixie] - b 9.0-1\n";
    let document = read(FeedFormat::DebianDsaList, text.as_bytes());
    assert_eq!(document.patches.len(), 1);
    assert_eq!(document.patches[0].targets.len(), 1);
    assert_eq!(document.quarantined.len(), 1);
}

#[test]
fn reasons_are_bounded() {
    let text: Vec<String> = (1..=300)
        .map(|number| format!("[01 Jan 2026] DSA-{number}-1 a - security update\n\t[nowhere] - a 1.0-1\n"))
        .collect();
    let text = text.concat();
    let document = read(FeedFormat::DebianDsaList, text.as_bytes());
    assert_eq!(document.quarantined.len(), 101);
    assert_eq!(document.quarantined[100], "and 200 more");
}

#[test]
fn a_document_beyond_the_limit_is_not_read() {
    let bytes = vec![b' '; feeds_domain::document::DOCUMENT_BYTES_MAX + 1];
    assert_eq!(refused(FeedFormat::MsrcCvrf, &bytes).code(), "feeds.document_too_large");
}

/// Whether any text of what was found holds U+0000.
fn holds_nul(document: &ParsedDocument) -> bool {
    fn in_value(value: &serde_json::Value) -> bool {
        match value {
            serde_json::Value::String(text) => text.contains('\0'),
            serde_json::Value::Array(items) => items.iter().any(in_value),
            serde_json::Value::Object(fields) => fields.values().any(in_value),
            serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_) => false,
        }
    }
    let in_rating = |rating: &Rating| {
        [&rating.source, &rating.cve, &rating.os_version, &rating.vendor_severity]
            .iter()
            .any(|text| text.contains('\0'))
    };
    document.patches.iter().any(|patch| in_value(&serde_json::to_value(patch).unwrap()))
        || document.ratings.iter().any(in_rating)
        || document.quarantined.iter().any(|reason| reason.contains('\0'))
}

#[test]
fn a_character_that_no_database_keeps_is_in_nothing_that_is_found() {
    for (format, bytes) in ALL {
        let text = std::str::from_utf8(bytes).unwrap();
        let nul = if text.starts_with('{') { r"\u0000" } else { "\0" };
        for (at, _) in text.char_indices() {
            let (before, after) = text.split_at(at);
            if let Ok(document) = parse(format, format!("{before}{nul}{after}").as_bytes(), &context()) {
                assert!(!holds_nul(&document), "{format:?} at {at}: {document:#?}");
            }
        }
    }
}

#[test]
fn a_title_with_an_unprintable_character_is_no_reason_to_miss_an_advisory() {
    let list = "[02 Jan 2026] DSA-2-1 a - secu\0rity\u{1b} update\n\t[trixie] - a 1.0-1\n";
    let document = read(FeedFormat::DebianDsaList, list.as_bytes());
    let name = &patch(&document, "DSA-2-1", "13").name;
    assert_eq!(name, "a - secu\u{fffd}rity\u{fffd} update for Debian 13 (DSA-2-1)");
}

#[test]
fn a_product_whose_name_cannot_be_shown_is_left_out_with_a_reason() {
    let xml = std::str::from_utf8(OCTOBER_XML).unwrap();
    let whole = read(FeedFormat::MsrcCvrf, OCTOBER_XML);
    let product = &whole.patches[0].os_versions[0];
    let damaged = xml.replace(product.as_str(), &format!("{product}\0"));
    let document = read(FeedFormat::MsrcCvrf, damaged.as_bytes());
    assert!(!holds_nul(&document));
    assert!(document.patches.iter().all(|patch| !patch.os_versions.contains(product)));
    assert!(
        document.quarantined.iter().any(|reason| reason.contains("cannot be a name")),
        "{:?}",
        document.quarantined
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_document_never_panics(
        which in 0..ALL.len(),
        damages in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4u8), 1..8),
    ) {
        let (format, bytes) = ALL[which];
        let mut bytes = bytes.to_vec();
        for (index, byte, kind) in damages {
            if bytes.is_empty() {
                break;
            }
            let at = index.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => { bytes.remove(at); }
                2 => bytes.insert(at, byte),
                _ => bytes.truncate(at),
            }
        }
        let _ = parse(format, &bytes, &context());
    }

    #[test]
    fn no_bytes_at_all_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        for format in [FeedFormat::DebianDsaList, FeedFormat::DebianTracker, FeedFormat::MsrcCvrf] {
            prop_assert!(parse(format, &bytes, &context()).is_err());
        }
    }

    #[test]
    fn a_cut_document_is_refused_or_says_less(which in 0..ALL.len(), index in any::<prop::sample::Index>()) {
        let (format, bytes) = ALL[which];
        let whole = read(format, bytes);
        if let Ok(part) = parse(format, &bytes[..index.index(bytes.len())], &context()) {
            prop_assert!(part.patches.len() <= whole.patches.len());
            prop_assert!(part.patches.iter().all(|patch| whole.patches.iter().any(|known| known.patch_id == patch.patch_id)));
        }
    }
}
