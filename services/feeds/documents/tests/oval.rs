//! OVAL definitions become the facts that a person would read in them.
#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use contracts::feeds::PatchFacts;
use contracts::{FixTarget, RebootBehaviour, Severity};
use feeds_documents::contents::VulnerabilityFacts;
use feeds_documents::identity::{Vendor, os, patch_id};
use feeds_documents::{Document, DocumentError, Format, Options, read};
use kernel::FeedId;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::Cursor;

const RED_HAT: &str = include_str!("documents/oval.xml");
const UBUNTU: &str = include_str!("documents/oval-ubuntu.xml");
const SUSE: &str = include_str!("documents/oval-suse.xml");

fn options() -> Options {
    Options {
        feed_id: FeedId(uuid::Uuid::from_u128(7)),
        received_on: chrono::NaiveDate::default(),
        figures: true,
    }
}

fn document(text: &str) -> Document {
    read(Cursor::new(text.as_bytes()), options()).unwrap()
}

fn refused(text: &str) -> DocumentError {
    read(Cursor::new(text.as_bytes()), options()).unwrap_err()
}

fn figure(document: &Document, name: &str) -> Value {
    document.to_json().get(name).cloned().unwrap_or_else(|| panic!("there is no figure {name}"))
}

fn only(document: &Document) -> &PatchFacts {
    let [patch] = &document.contents.patches[..] else { panic!("{:?}", document.contents) };
    patch
}

fn targets(patch: &PatchFacts) -> Vec<String> {
    let shown = |target: &FixTarget| match target {
        FixTarget::BinaryPackage { os, package, fixed_version, order, architectures, module } => {
            let module = module.as_deref().unwrap_or("-");
            format!("{order:?} {} {package} {fixed_version} [{}] {module}", os.key(), architectures.join(","))
        }
        FixTarget::SourcePackage { os, source, fixed_version } => {
            format!("source {} {source} {fixed_version}", os.key())
        }
        FixTarget::Kb { .. } | FixTarget::OemComponent { .. } => panic!("{target:?}"),
    };
    patch.targets.iter().map(shown).collect()
}

/// `redhat CVE-2026-30101 3.1=88`
fn scores(document: &Document) -> Vec<String> {
    let shown = |VulnerabilityFacts { cve, source, cvss, .. }: &VulnerabilityFacts| {
        let mut text = format!("{source} {cve}");
        for score in cvss {
            write!(text, " {}={}", score.version, score.base_score).unwrap();
        }
        text
    };
    document.contents.vulnerabilities.iter().map(shown).collect()
}

/// A definition with a criterion for each check, and all that the checks refer to.
fn written(class: &str, id: &str, metadata: &str, criteria: &str, checks: &[(&str, &str)]) -> String {
    let mut tests = String::new();
    let mut objects = String::new();
    let mut states = String::new();
    for (at, (package, version)) in checks.iter().enumerate() {
        write!(tests, "<t id='t:{at}'><object object_ref='o:{at}'/><state state_ref='s:{at}'/></t>").unwrap();
        write!(objects, "<o id='o:{at}'><name>{package}</name></o>").unwrap();
        write!(states, "<s id='s:{at}'><evr operation='less than'>{version}</evr></s>").unwrap();
    }
    format!(
        "<oval_definitions><definitions><definition class='{class}' id='{id}'><metadata>{metadata}</metadata>\
         {criteria}</definition></definitions><tests>{tests}</tests><objects>{objects}</objects>\
         <states>{states}</states></oval_definitions>"
    )
}

#[test]
fn an_advisory_of_red_hat_is_joined_with_its_tests() {
    let document = document(RED_HAT);
    assert_eq!(document.format, Format::Oval);
    let lantern = only(&document);
    assert_eq!(lantern.vendor_patch_id, "RHSA-2026:9001");
    assert_eq!(lantern.patch_id, patch_id(Vendor::RedHat, "RHSA-2026:9001", &os("rhel", "9")));
    assert_eq!(lantern.name, "RHSA-2026:9001: lantern security update (Important)");
    assert_eq!((lantern.severity, lantern.vendor_severity.as_str()), (Severity::High, "Important"));
    assert_eq!(lantern.cves, ["CVE-2026-30101", "CVE-2026-30102"]);
    assert_eq!(lantern.release_date.to_string(), "2026-10-08");
    assert_eq!(lantern.url.as_deref(), Some("https://errata.example.org/RHSA-2026:9001"));
    assert_eq!(lantern.reboot, RebootBehaviour::Unknown);
    assert_eq!(
        targets(lantern),
        [
            "Rpm rhel:9 lantern 2:3.9.8-4.el9_6 [aarch64,x86_64] -",
            "Rpm rhel:9 teapot 2.1-1.module+el9.6.0+123+abcdef [] teapot:2",
        ]
    );
    assert_eq!(document.contents.document_date.unwrap().to_rfc3339(), "2026-10-13T15:57:02+00:00");
    assert_eq!(document.contents.records, 3);
}

#[test]
fn scores_are_told_of_vulnerabilities_whether_or_not_they_are_fixed() {
    assert_eq!(
        scores(&document(RED_HAT)),
        ["redhat CVE-2026-30101 3.1=88".to_owned(), "redhat CVE-2026-30103 3.1=55".to_owned()]
    );
}

#[test]
fn a_patch_of_an_unknown_publisher_is_left_out_with_a_reason() {
    assert_eq!(
        document(RED_HAT).contents.quarantined,
        ["oval:org.example.patch:def:1: its advisory is of no publisher known here"]
    );
}

#[test]
fn figures_count_what_is_written() {
    let document = document(RED_HAT);
    assert_eq!(figure(&document, "definitions"), json!(3));
    assert_eq!(figure(&document, "class"), json!({"patch": 2, "vulnerability": 1}));
    assert_eq!(figure(&document, "severity"), json!({"": 1, "Important": 1, "Moderate": 1}));
    assert_eq!(figure(&document, "cves")["count"], json!(3));
    assert_eq!(figure(&document, "advisory_refs")["first"], json!("RHSA-2026:9001"));
    assert_eq!(figure(&document, "tests"), json!(4));
    assert_eq!(figure(&document, "states"), json!(4));
    assert_eq!(figure(&document, "evr_states"), json!(2));
    assert_eq!(figure(&document, "max_criteria_depth"), json!(4));
}

#[test]
fn packages_of_ubuntu_are_named_by_variables() {
    let document = document(UBUNTU);
    let lantern = only(&document);
    assert_eq!(lantern.patch_id, patch_id(Vendor::Ubuntu, "USN-9001-1", &os("ubuntu", "24.04")));
    assert_eq!(
        targets(lantern),
        [
            "Dpkg ubuntu:24.04 lantern 3.9.8-1ubuntu0.24.04.2 [] -",
            "Dpkg ubuntu:24.04 liblantern++6 3.9.8-1ubuntu0.24.04.2 [] -",
        ],
        "a pattern for many packages names none"
    );
    assert_eq!(lantern.reboot, RebootBehaviour::Always, "its text says so");
    assert_eq!(scores(&document), ["ubuntu CVE-2026-30101 3.1=59"]);
    assert_eq!(figure(&document, "evr_states"), json!(0));
}

#[test]
fn vulnerabilities_that_name_one_advisory_are_brought_together_in_its_patch() {
    let document = document(SUSE);
    let lantern = only(&document);
    assert_eq!(lantern.vendor_patch_id, "SUSE-SU-2026:9001-1");
    assert_eq!(lantern.cves, ["CVE-2026-30101", "CVE-2026-30102"]);
    assert_eq!((lantern.severity, lantern.vendor_severity.as_str()), (Severity::High, "Important"));
    assert_eq!(lantern.release_date.to_string(), "2026-10-08", "the first day of both");
    assert_eq!(
        targets(lantern),
        ["Rpm sles:15.6 lantern 3.9.8-150600.3.1 [aarch64,x86_64] -"],
        "what another product needs is no target"
    );
    assert_eq!(document.contents.quarantined, [] as [&str; 0]);
}

#[test]
fn scores_of_suse_and_of_the_national_database_are_told_apart() {
    assert_eq!(
        scores(&document(SUSE)),
        [
            "nvd CVE-2026-30101 3.1=78",
            "suse CVE-2026-30101 3.1=70",
            "suse CVE-2026-30102",
            "suse CVE-2026-30103"
        ]
    );
}

#[test]
fn packages_of_debian_are_source_packages_and_version_0_fixes_nothing() {
    let metadata = "<title>DSA-9001-1 lantern</title><affected><platform>Debian GNU/Linux 12</platform>\
        <product>lantern</product><product>teapot</product></affected><reference ref_id='CVE-2026-30101'/>\
        <debian><dsa>DSA-9001</dsa><date>2026-10-08</date></debian>";
    let criteria = "<criteria operator='AND'><criterion comment='Debian 12 is installed' test_ref='t:9'/>\
        <criteria operator='OR'><criterion comment='lantern DPKG is earlier than 2:3.9.8-1+deb12u4' test_ref='t:0'/>\
        <criterion comment='teapot DPKG is earlier than 0' test_ref='t:1'/></criteria></criteria>";
    let checks = [("lantern", "2:3.9.8-1+deb12u4"), ("teapot", "0:0")];
    let id = "oval:org.debian:def:308370225544215691963860905694509241784";
    let document = document(&written("patch", id, metadata, criteria, &checks));
    assert_eq!(targets(only(&document)), ["source debian:12 lantern 2:3.9.8-1+deb12u4"]);
    assert_eq!(only(&document).patch_id, patch_id(Vendor::Debian, "DSA-9001-1", &os("debian", "12")));
    assert_eq!(figure(&document, "definition_ids")["first"], json!(id));
}

#[test]
fn a_definition_of_azure_linux_is_a_patch_where_it_can_be_patched() {
    let metadata = |patchable: &str| {
        format!(
            "<title>CVE-2026-30101 affecting lantern</title><affected><platform>Azure Linux</platform></affected>\
             <reference ref_id='CVE-2026-30101' source='CVE'/><patchable>{patchable}</patchable>\
             <advisory_date>2026-10-08T22:02:46Z</advisory_date><advisory_id>99001-1</advisory_id>\
             <severity>High</severity>"
        )
    };
    let criteria = "<criteria operator='AND'><criterion test_ref='t:0'/></criteria>";
    let checks = [("lantern", "0:3.9.8-1.azl3")];
    let id = "oval:com.microsoft.azurelinux:def:99001";
    let fixed = document(&written("vulnerability", id, &metadata("true"), criteria, &checks));
    assert_eq!(targets(only(&fixed)), ["Rpm azurelinux:3.0 lantern 3.9.8-1.azl3 [] -"]);
    assert_eq!(only(&fixed).vendor_patch_id, "99001-1");
    let open = document(&written("vulnerability", id, &metadata("false"), criteria, &checks));
    assert!(open.contents.patches.is_empty());
    assert_eq!(scores(&open), ["azurelinux CVE-2026-30101"]);
}

#[test]
fn an_advisory_for_two_releases_is_two_patches_with_their_own_packages() {
    let metadata = "<title>ELSA-2026-9001:  lantern\n security update (IMPORTANT)</title><affected>\
        <platform>Oracle Linux 8</platform><platform>Oracle Linux 9</platform></affected>\
        <reference ref_id='ELSA-2026-9001'/><advisory><severity>IMPORTANT</severity><issued date='2026-10-08'/></advisory>";
    let on = |release: u8, architecture: &str, test: u8| {
        format!(
            "<criteria operator='AND'><criterion comment='Oracle Linux {release} is installed' test_ref='x'/>\
             <criteria operator='AND'><criterion comment='Oracle Linux arch is {architecture}' test_ref='y'/>\
             <criterion comment='lantern is earlier' test_ref='t:{test}'/></criteria></criteria>"
        )
    };
    let criteria = format!(
        "<criteria operator='OR'>{}{}{}</criteria>",
        on(8, "x86_64", 0),
        on(9, "x86_64", 1),
        on(9, "aarch64", 1)
    );
    let checks = [("lantern", "0:3-1.el8"), ("lantern", "0:3-1.el9")];
    let document = document(&written("patch", "oval:com.oracle.elsa:def:1", metadata, &criteria, &checks));
    let [eight, nine] = &document.contents.patches[..] else { panic!("{:?}", document.contents) };
    assert_eq!(targets(eight), ["Rpm ol:8 lantern 3-1.el8 [x86_64] -"]);
    assert_eq!(targets(nine), ["Rpm ol:9 lantern 3-1.el9 [aarch64,x86_64] -"]);
    assert_eq!(nine.name, "ELSA-2026-9001: lantern security update (IMPORTANT)");
}

#[test]
fn a_negated_criterion_fixes_nothing() {
    let metadata = "<title>RHSA-2026:9001: lantern</title><affected><platform>Red Hat Enterprise Linux 9</platform>\
        </affected><advisory><issued date='2026-10-08'/></advisory>";
    let criteria = "<criteria><criterion negate='true' test_ref='t:0'/><criteria negate='true'><criterion test_ref='t:0'/>\
        </criteria><criterion test_ref='t:1'/></criteria>";
    let checks = [("lantern", "3-1.el9"), ("teapot", "2-1.el9")];
    let document = document(&written("patch", "oval:com.redhat.rhsa:def:1", metadata, criteria, &checks));
    assert_eq!(targets(only(&document)), ["Rpm rhel:9 teapot 2-1.el9 [] -"]);
}

#[test]
fn a_patch_without_day_or_packages_is_left_out_with_a_reason() {
    let day = "<advisory><issued date='2026-10-08'/></advisory>";
    for (metadata, wanted) in [
        ("<title>RHSA-2026:9001: a</title>".to_owned(), "RHSA-2026:9001: it has no date"),
        (
            format!("<title>RHSA-2026:9001: a</title>{day}"),
            "RHSA-2026:9001: it names no package of a release that is known",
        ),
    ] {
        let document = document(&written("patch", "oval:com.redhat.rhsa:def:1", &metadata, "", &[]));
        assert_eq!(document.contents.quarantined, [wanted]);
        assert!(document.contents.patches.is_empty());
    }
}

#[test]
fn a_list_that_names_no_package_makes_no_patch() {
    let nameless = UBUNTU.replace("^liblantern", "^ liblantern").replace("^lantern", "^ lantern");
    let nameless = document(&nameless);
    assert_eq!(nameless.contents.patches, []);
    let reason = "it names no package of a release that is known";
    assert!(nameless.contents.quarantined[0].ends_with(reason), "{:?}", nameless.contents.quarantined);
}

#[test]
fn scores_that_are_none_are_not_told() {
    let broken = RED_HAT.replace("8.8/CVSS:3.1", "88/CVSS:3.1").replace("5.5/CVSS:3.1/AV:L", "5.5/nonsense");
    assert_eq!(scores(&document(&broken)), ["redhat CVE-2026-30103"]);
}

#[test]
fn a_document_that_breaks_off_is_refused_wherever_it_does() {
    for text in [RED_HAT, UBUNTU, SUSE] {
        for at in (text.find("<definitions").unwrap()..text.trim_end().len()).step_by(31) {
            let error = refused(text.get(..at).unwrap());
            assert!(matches!(error, DocumentError::Truncated { .. }), "at {at}: {error}");
        }
    }
}

#[test]
fn criteria_inside_criteria_without_end_are_refused() {
    let deep = "<criteria>".repeat(500) + &"</criteria>".repeat(500);
    let error = refused(&written("patch", "oval:com.redhat.rhsa:def:1", "", &deep, &[]));
    assert_eq!(error, DocumentError::TooDeep { limit: 64 });
}

proptest! {
    #[test]
    fn no_changed_bytes_make_a_parser_panic(
        which in 0..3_usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = [RED_HAT, UBUNTU, SUSE][which].as_bytes().to_vec();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(document) = read(Cursor::new(bytes), options()) {
            for patch in document.contents.patches {
                prop_assert!(!patch.targets.is_empty(), "a patch without a target can never be found missing");
            }
        }
    }
}
