//! OSV records: advisories of distributions become patches, descriptions of vulnerabilities do not.
#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use contracts::feeds::PatchFacts;
use contracts::{Classification, FixTarget, RebootBehaviour, Severity, VersionOrder};
use feeds_documents::contents::{Contents, Withdrawal};
use feeds_documents::identity::{self, Vendor};
use feeds_documents::{Document, DocumentError, Format, Options, read};
use kernel::{FeedId, Refused};
use serde_json::{Value, json};
use std::io::Cursor;

const USN: &str = include_str!("documents/osv.json");

fn document(text: &str) -> Result<Document, DocumentError> {
    let options = Options {
        feed_id: FeedId(uuid::Uuid::from_u128(7)),
        received_on: chrono::NaiveDate::default(),
        figures: true,
    };
    read(Cursor::new(text.as_bytes()), options)
}

fn contents(text: &str) -> Contents {
    document(text).unwrap().contents
}

/// A record with the fields given, and the ones that every record has.
fn record(id: &str, fields: Value) -> String {
    let mut record =
        json!({"id": id, "published": "2026-03-02T00:00:00Z", "modified": "2026-03-03T00:00:00Z"});
    let Value::Object(fields) = fields else { panic!("{fields}") };
    record.as_object_mut().unwrap().extend(fields);
    record.to_string()
}

fn affected(ecosystem: &str, name: &str, fixed: &str) -> Value {
    json!({
        "package": {"ecosystem": ecosystem, "name": name},
        "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": fixed}]}],
    })
}

fn of<'a>(contents: &'a Contents, os: &str) -> &'a PatchFacts {
    let is_it = |patch: &&PatchFacts| patch.targets.iter().any(|target| target.os().key() == os);
    contents.patches.iter().find(is_it).unwrap()
}

/// `bind 1.2-3`
fn packages(patch: &PatchFacts) -> Vec<String> {
    patch
        .targets
        .iter()
        .map(|target| match target {
            FixTarget::SourcePackage { source, fixed_version, .. } => format!("{source} {fixed_version}"),
            FixTarget::BinaryPackage { package, fixed_version, order, .. } => {
                assert_eq!(*order, VersionOrder::Rpm);
                format!("{package} {fixed_version}")
            }
            FixTarget::Kb { .. } | FixTarget::OemComponent { .. } => panic!("{target:?}"),
        })
        .collect()
}

#[test]
fn an_advisory_is_a_patch_for_each_release() {
    let read = document(USN).unwrap();
    assert_eq!(read.format, Format::Osv);
    let notice = read.contents;
    assert_eq!((notice.records, notice.patches.len()), (1, 2));
    assert_eq!(notice.document_id.as_deref(), Some("USN-9001-1"));
    let noble = of(&notice, "ubuntu:24.04");
    assert_eq!(
        noble.patch_id,
        identity::patch_id(Vendor::Ubuntu, "USN-9001-1", &identity::os("ubuntu", "24.04"))
    );
    assert_eq!(noble.name, "example-server vulnerabilities for Ubuntu 24.04 (USN-9001-1)");
    assert_eq!(noble.cves, ["CVE-2031-10001", "CVE-2031-10002"]);
    assert_eq!(noble.advisories, ["USN-9001-1"]);
    assert_eq!(noble.release_date.to_string(), "2026-03-02");
    assert_eq!(noble.url.as_deref(), Some("https://ubuntu.example/security/notices/USN-9001-1"));
    assert_eq!(noble.reboot, RebootBehaviour::Unknown);
    assert_eq!(noble.classification, Classification::Security);
}

#[test]
fn a_fix_for_everybody_counts_before_one_for_subscribers() {
    let notice = contents(USN);
    assert_eq!(packages(of(&notice, "ubuntu:24.04")), ["example-server 2.0-1ubuntu0.1"]);
    let bionic = of(&notice, "ubuntu:18.04");
    assert_eq!(packages(bionic), ["example-server 1.2-3ubuntu0.1~esm2"]);
    assert_eq!(bionic.name, "example-server vulnerabilities for Ubuntu 18.04 with Ubuntu Pro (USN-9001-1)");
}

#[test]
fn the_highest_word_of_a_release_is_its_severity() {
    let notice = contents(USN);
    let bionic = of(&notice, "ubuntu:18.04");
    assert_eq!((bionic.severity, bionic.vendor_severity.as_str()), (Severity::Medium, "medium"));
    let noble = of(&notice, "ubuntu:24.04");
    assert_eq!((noble.severity, noble.vendor_severity.as_str()), (Severity::High, "high"));
}

#[test]
fn scores_belong_to_the_vulnerability_that_they_were_made_for() {
    let notice = contents(USN);
    let scored: Vec<(&str, &str, u8)> = notice
        .vulnerabilities
        .iter()
        .map(|facts| (facts.cve.as_str(), facts.source.as_str(), facts.cvss[0].base_score))
        .collect();
    assert_eq!(scored, [("CVE-2031-10001", "ubuntu", 75)]);
    // The score of an advisory is the highest of its vulnerabilities, and which one's it is nobody knows.
    let vector = json!([{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}]);
    let fixed = json!([affected("Rocky Linux:9", "bind", "32:9.16-1.el9")]);
    let two = json!({"severity": vector, "affected": fixed, "related": ["CVE-2031-1001", "CVE-2031-1002"]});
    assert_eq!(contents(&record("RLSA-2026:1001", two)).vulnerabilities, []);
    let one = json!({"severity": vector, "affected": fixed, "related": ["CVE-2031-1001"]});
    assert_eq!(contents(&record("RLSA-2026:1001", one)).vulnerabilities[0].cvss[0].base_score, 98);
}

#[test]
fn distributions_of_rpm_packages_say_severity_in_their_titles() {
    let alma = record(
        "ALSA-2026:1001",
        json!({
            "summary": "Moderate: bind security update",
            "related": ["CVE-2031-1001"],
            "affected": [affected("AlmaLinux:9", "bind-libs", "32:9.16-1.el9"), affected("AlmaLinux:9", "bind", "0:9.16-1.el9")],
        }),
    );
    let alma = contents(&alma);
    let patch = of(&alma, "almalinux:9");
    assert_eq!((patch.severity, patch.vendor_severity.as_str()), (Severity::Medium, "Moderate"));
    // An epoch of 0 is none.
    assert_eq!(packages(patch), ["bind 9.16-1.el9", "bind-libs 32:9.16-1.el9"]);
    let rhel = record(
        "RHBA-2026:1001",
        json!({
            "summary": "Red Hat Bug Fix Advisory: bind update",
            "references": [{"type": "ARTICLE", "url": "https://access.redhat.com/security/updates/classification/#important"}],
            "affected": [
                affected("Red Hat:rhel_eus:9.2::appstream", "bind", "32:9.16-1.el9_2"),
                affected("Red Hat:rhel_e4s:9.2::appstream", "bind", "32:9.16-1.el9_2"),
                affected("Red Hat:enterprise_linux:9::baseos", "bind", "32:9.16-7.el9"),
            ],
        }),
    );
    let rhel = contents(&rhel);
    assert_eq!(rhel.patches.len(), 2);
    assert_eq!(packages(of(&rhel, "rhel:9.2")), ["bind 32:9.16-1.el9_2"]);
    assert_eq!(packages(of(&rhel, "rhel:9")), ["bind 32:9.16-7.el9"]);
    assert_eq!(rhel.patches[0].severity, Severity::High);
    assert_eq!(rhel.patches[0].classification, Classification::Other);
}

#[test]
fn suse_names_what_was_built_from_a_source_package() {
    let mut bind = affected("SUSE:Linux Enterprise Module for Basesystem 15 SP5", "bind", "9.16-1.1");
    bind["ecosystem_specific"] = json!({"binaries": [{"bind-utils": "9.16-1.1", "libbind": "9.16-1.1"}]});
    let suse = record("SUSE-SU-2026:1001-1", json!({"affected": [bind], "upstream": ["CVE-2031-1001"]}));
    let suse = contents(&suse);
    assert_eq!(packages(of(&suse, "sles:15.5")), ["bind-utils 9.16-1.1", "libbind 9.16-1.1"]);
    let feature = record(
        "openSUSE-RU-2026:1001-1",
        json!({"affected": [affected("openSUSE:Leap 15.6", "bind", "9.16-1.1")]}),
    );
    assert_eq!(contents(&feature).patches[0].classification, Classification::Other);
}

#[test]
fn debians_later_version_counts() {
    let debian = record(
        "DSA-9001-1",
        json!({"affected": [affected("Debian:12", "bind9", "1:9.18.9-1"), affected("Debian:12", "bind9", "1:9.18.10-1")]}),
    );
    assert_eq!(packages(of(&contents(&debian), "debian:12")), ["bind9 1:9.18.10-1"]);
    let wrong = contents(&debian.replace("1:9.18.10-1", "not a version"));
    assert_eq!(wrong.quarantined, ["\"bind9\" \"not a version\" is no package with a version"]);
    assert_eq!(packages(of(&wrong, "debian:12")), ["bind9 1:9.18.9-1"]);
}

#[test]
fn third_party_libraries_are_no_patches() {
    let library = record(
        "GHSA-aaaa-bbbb-cccc",
        json!({
            "aliases": ["CVE-2031-1001"],
            "severity": [{"type": "CVSS_V4", "score": "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N"}],
            "affected": [affected("npm", "left-pad", "1.2.3")],
            "database_specific": {"severity": "CRITICAL"},
        }),
    );
    let read = document(&library).unwrap();
    assert_eq!(read.contents.patches, []);
    let facts = &read.contents.vulnerabilities[0];
    assert_eq!((facts.cve.as_str(), facts.source.as_str()), ("CVE-2031-1001", "github"));
    assert_eq!(facts.cvss[0].base_score, 93);
    let figures = read.to_json();
    assert_eq!(figures["database_severity"], "CRITICAL");
    assert_eq!(figures["fixed_packages"]["first"], "npm|left-pad|1.2.3");
}

#[test]
fn what_describes_a_vulnerability_is_no_patch() {
    for (id, source) in [
        ("UBUNTU-CVE-2031-1001", "ubuntu"),
        ("DEBIAN-CVE-2031-1001", "debian"),
        ("ALPINE-CVE-2031-1001", "alpine"),
        ("CVE-2031-1001", "osv"),
    ] {
        let fixed =
            json!({"affected": [affected("Debian:12", "bind9", "1:9.18.9-1")], "related": ["CVE-2031-9999"]});
        let read = contents(&record(id, fixed));
        assert_eq!(read.patches, []);
        assert_eq!(read.vulnerabilities.len(), 1, "{id}");
        assert_eq!(read.vulnerabilities[0].cve, "CVE-2031-1001");
        assert_eq!(read.vulnerabilities[0].source, source);
    }
}

#[test]
fn what_is_withdrawn_is_taken_back() {
    let mut notice: Value = serde_json::from_str(USN).unwrap();
    notice["withdrawn"] = "2026-03-04T00:00:00Z".into();
    let notice = contents(&notice.to_string());
    assert_eq!(notice.patches, []);
    let withdrawal = Withdrawal {
        vendor: Vendor::Ubuntu,
        vendor_patch_id: "USN-9001-1".to_owned(),
        reason: "withdrawn on 2026-03-04T00:00:00Z".to_owned(),
    };
    assert_eq!(notice.withdrawn, [withdrawal]);
    let withdrawn = json!({"withdrawn": "2026-03-04T00:00:00Z", "aliases": ["CVE-2031-1001"]});
    let own = contents(&record("UBUNTU-CVE-2031-1001", withdrawn.clone()));
    assert_eq!(own.vulnerabilities[0].rejected.as_deref(), Some("withdrawn on 2026-03-04T00:00:00Z"));
    // A database that takes back its own record does not reject the CVE.
    assert_eq!(contents(&record("GHSA-aaaa-bbbb-cccc", withdrawn)).vulnerabilities[0].rejected, None);
}

#[test]
fn a_vector_that_cannot_be_scored_is_left_out_and_told() {
    let severity = json!([{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N"}, {"type": "Ubuntu", "score": "low"}]);
    let read = contents(&record("UBUNTU-CVE-2031-1001", json!({"severity": severity, "affected": []})));
    assert_eq!(read.vulnerabilities[0].cvss, []);
    assert_eq!(read.quarantined, ["CVE-2031-1001: \"CVSS:3.1/AV:N\" cannot be scored: it has no AC"]);
}

#[test]
fn a_bad_package_does_not_sink_the_record() {
    let mut notice: Value = serde_json::from_str(USN).unwrap();
    notice["affected"].as_array_mut().unwrap().push(json!({"package": 7}));
    notice["affected"].as_array_mut().unwrap().push(affected("Ubuntu:24.04:LTS", "a\u{7}b", "1"));
    notice["affected"].as_array_mut().unwrap().push(affected("Debian:12", "bind9", "1"));
    let notice = contents(&notice.to_string());
    assert_eq!(notice.patches, contents(USN).patches);
    assert_eq!(notice.quarantined_count(), 3, "{:?}", notice.quarantined);
}

#[test]
fn commits_are_no_versions() {
    let commits = json!({
        "package": {"ecosystem": "Debian:12", "name": "bind9"},
        "ranges": [{"type": "GIT", "events": [{"introduced": "0"}, {"fixed": "27ae8e2a"}]}],
    });
    assert_eq!(contents(&record("DSA-9001-1", json!({"affected": [commits]}))).patches, []);
}

#[test]
fn figures_say_what_the_record_holds() {
    let figures = document(USN).unwrap().to_json();
    assert_eq!(figures["id"], "USN-9001-1");
    assert_eq!(figures["withdrawn"], Value::Null);
    assert_eq!(figures["cves_any"]["count"], 2);
    assert_eq!(figures["affected"], 3);
    assert_eq!(figures["fixed_packages"]["count"], 3);
    assert_eq!(
        figures["ecosystems"],
        json!(["Ubuntu:24.04:LTS", "Ubuntu:Pro:18.04:LTS", "Ubuntu:Pro:24.04:LTS"])
    );
    let bare = document(&record("GHSA-aaaa-bbbb-cccc", json!({"aliases": []}))).unwrap().to_json();
    assert_eq!((&bare["cves_any"]["count"], &bare["affected"]), (&json!(0), &json!(0)));
}

#[test]
fn the_order_of_fields_does_not_matter() {
    let sorted: Value = serde_json::from_str(USN).unwrap();
    let (sorted, whole) = (document(&sorted.to_string()).unwrap(), document(USN).unwrap());
    assert_eq!(sorted.contents, whole.contents);
    assert_eq!(sorted.to_json(), whole.to_json());
}

#[test]
fn a_record_that_breaks_off_or_lacks_its_id_is_refused() {
    for at in 0..USN.trim_end().len() {
        assert!(document(&USN[..at]).is_err(), "cut at byte {at}");
    }
    let no_id = record("", json!({"affected": []}));
    assert_eq!(document(&no_id).unwrap_err().code(), "feeds.document_malformed");
    let wrong = record("USN-9001-1", json!({"affected": [], "aliases": "CVE-2031-1001"}));
    assert_eq!(document(&wrong).unwrap_err().code(), "feeds.document_malformed");
}

#[test]
fn one_advisory_cannot_be_for_endless_releases() {
    let releases: Vec<Value> =
        (1..=501).map(|at| affected(&format!("AlmaLinux:{at}"), "bind", "1-1")).collect();
    let many = record("ALSA-2026:1001", json!({"affected": releases}));
    assert_eq!(document(&many).unwrap_err().code(), "feeds.document_too_many_records");
    let cves: Vec<String> = (0..5_001).map(|at| format!("CVE-2031-{:05}", at + 10_000)).collect();
    let many = record(
        "ALSA-2026:1001",
        json!({"affected": [affected("AlmaLinux:9", "bind", "1-1")], "related": cves}),
    );
    let many = contents(&many);
    assert_eq!((many.patches.len(), many.quarantined_count()), (0, 1));
}
