//! What an RPM repository says becomes the facts that a person would read in it.
#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use chrono::{DateTime, Utc};
use contracts::feeds::PatchFacts;
use contracts::{Classification, FixTarget, RebootBehaviour, Severity};
use feeds_documents::identity::{Vendor, os, patch_id};
use feeds_documents::{Document, DocumentError, Format, Options, read};
use kernel::FeedId;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::Cursor;

const REPOMD: &str = include_str!("documents/repomd.xml");
const UPDATEINFO: &str = include_str!("documents/updateinfo.xml");

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

/// `lantern 2:3.9.8-4.el9_6 [aarch64,x86_64] -` on `rocky:9`.
fn packages(patch: &PatchFacts) -> Vec<String> {
    let shown = |target: &FixTarget| {
        let FixTarget::BinaryPackage { os, package, fixed_version, architectures, module, .. } = target
        else {
            panic!("{target:?}")
        };
        let module = module.as_deref().unwrap_or("-");
        format!("{} {package} {fixed_version} [{}] {module}", os.key(), architectures.join(","))
    };
    patch.targets.iter().map(shown).collect()
}

/// A document of one update.
fn one(attributes: &str, inside: &str, packages: &str) -> Document {
    document(&format!(
        "<updates><update {attributes}>{inside}<pkglist><collection>{packages}</collection></pkglist></update></updates>"
    ))
}

const EL9: &str = r#"<package name="a" version="1" release="1.el9" arch="x86_64"/>"#;

#[test]
fn a_repository_links_to_its_advisories_only() {
    let document = document(REPOMD);
    assert_eq!(document.format, Format::Repomd);
    let [link] = &document.contents.links[..] else { panic!("{:?}", document.contents.links) };
    assert_eq!(link.href, "repodata/abc-updateinfo.xml.zst");
    assert_eq!(
        link.sha256.as_deref(),
        Some("abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789")
    );
    assert_eq!(link.size_bytes, Some(1_234));
    assert_eq!(link.updated, DateTime::<Utc>::from_timestamp(1_791_799_500, 0));
    assert_eq!(document.contents.document_id.as_deref(), Some("1791800000"));
    assert_eq!(document.contents.document_date, DateTime::<Utc>::from_timestamp(1_791_800_000, 0));
    assert_eq!(document.contents.records, 2);
    assert_eq!(figure(&document, "data_types"), json!(["primary", "updateinfo"]));
    assert_eq!(figure(&document, "updateinfo_href"), json!("repodata/abc-updateinfo.xml.zst"));
}

#[test]
fn a_repository_may_keep_its_files_elsewhere() {
    let moved =
        REPOMD.replace("href=\"repodata/abc", "xml:base=\"https://b.example.org/r/\" href=\"repodata/abc");
    assert_eq!(
        document(&moved).contents.links[0].href,
        "https://b.example.org/r/repodata/abc-updateinfo.xml.zst"
    );
}

#[test]
fn advisories_without_a_checksum_that_could_be_checked_are_not_linked() {
    let broken = REPOMD.replace("ABCDEF", "no");
    let document = document(&broken);
    assert!(document.contents.links.is_empty());
    assert_eq!(
        document.contents.quarantined,
        ["repodata/abc-updateinfo.xml.zst: its checksum is not a SHA-256"]
    );
}

#[test]
fn a_repository_without_advisories_has_no_link() {
    let document = document("<repomd><data type='primary'><location href='p.xml'/></data><data/></repomd>");
    assert!(document.contents.links.is_empty());
    assert_eq!(figure(&document, "data_types"), json!(["primary", null]));
    assert_eq!(figure(&document, "updateinfo_href"), Value::Null);
}

#[test]
fn an_advisory_is_one_patch_with_a_target_for_each_package() {
    let document = document(UPDATEINFO);
    assert_eq!(document.format, Format::Updateinfo);
    let [lantern, _] = &document.contents.patches[..] else { panic!("{:?}", document.contents.patches) };
    assert_eq!(lantern.vendor_patch_id, "RLSA-2026:9001");
    assert_eq!(lantern.patch_id, patch_id(Vendor::Rocky, "RLSA-2026:9001", &os("rocky", "9")));
    assert_eq!(lantern.name, "Important: lantern security update for Rocky Linux 9 (RLSA-2026:9001)");
    assert_eq!((lantern.severity, lantern.vendor_severity.as_str()), (Severity::High, "Important"));
    assert_eq!(lantern.classification, Classification::Security);
    assert_eq!(lantern.release_date.to_string(), "2026-10-08");
    assert_eq!(lantern.cves, ["CVE-2026-30101", "CVE-2026-30102"], "not the one that is only compared with");
    assert_eq!(lantern.url.as_deref(), Some("https://errata.example.org/RLSA-2026:9001"));
    assert_eq!(lantern.reboot, RebootBehaviour::Always, "one of its packages suggests it");
    assert_eq!(
        packages(lantern),
        ["rocky:9 lantern 2:3.9.8-4.el9_6 [aarch64,x86_64] -", "rocky:9 lantern-doc 3.9.8-4.el9_6 [] -",],
        "sources are not installed"
    );
    assert_eq!(document.contents.document_date.unwrap().to_rfc3339(), "2026-10-09T12:00:00+00:00");
}

#[test]
fn a_package_of_a_module_keeps_its_stream() {
    let document = document(UPDATEINFO);
    let teapot = &document.contents.patches[1];
    assert_eq!(packages(teapot), ["rocky:9 teapot 2.1-1.module+el9.6.0+123+abcdef [x86_64] teapot:2"]);
    assert_eq!((teapot.severity, teapot.vendor_severity.as_str()), (Severity::None, "None"));
    assert_eq!(teapot.classification, Classification::Feature);
    assert_eq!(teapot.reboot, RebootBehaviour::Unknown, "0 suggests nothing");
    assert_eq!(teapot.release_date.to_string(), "2026-10-08", "seconds since 1970");
}

#[test]
fn what_cannot_be_read_of_an_advisory_leaves_out_that_advisory_with_a_reason() {
    let document = document(UPDATEINFO);
    assert_eq!(
        document.contents.quarantined,
        ["XXSA-1: its publisher \"nobody@example.org\" is not known", "RLSA-2026:9003: it has no date"]
    );
    assert_eq!(document.contents.records, 4);
}

#[test]
fn figures_count_what_is_written_whether_or_not_it_becomes_a_patch() {
    let document = document(UPDATEINFO);
    assert_eq!(figure(&document, "advisories"), json!(4));
    assert_eq!(figure(&document, "distinct_ids")["count"], json!(4));
    assert_eq!(figure(&document, "types"), json!({"enhancement": 1, "security": 3}));
    assert_eq!(figure(&document, "severity"), json!({"": 2, "Important": 1, "None": 1}));
    assert_eq!(figure(&document, "cves_anywhere")["count"], json!(3));
    assert_eq!(figure(&document, "cves_from_references")["count"], json!(2));
    assert_eq!(figure(&document, "fixed_packages_nevra")["count"], json!(7));
    assert_eq!(
        figure(&document, "fixed_packages_nevra")["last"],
        json!("teapot-0:2.1-1.module+el9.6.0+123+abcdef.x86_64")
    );
    assert_eq!(figure(&document, "reboot_suggested_elements"), json!(2));
}

#[test]
fn the_release_is_told_by_the_package_where_the_advisory_names_none() {
    let fedora = r#"<package name="a" version="1" release="1.fc43" arch="x86_64"/>"#;
    let amazon = r#"<package name="a" version="1" release="1.amzn2023.0.2" arch="x86_64"/>"#;
    for (id, package, wanted) in [
        ("FEDORA-2026-1a2b", fedora, "fedora:43 a 1-1.fc43 [x86_64] -"),
        ("ALAS2023-2026-001", amazon, "amzn:2023 a 1-1.amzn2023.0.2 [x86_64] -"),
        ("RHSA-2026:9001", EL9, "rhel:9 a 1-1.el9 [x86_64] -"),
        ("ALSA-2026:9001", EL9, "almalinux:9 a 1-1.el9 [x86_64] -"),
        ("ELSA-2026-9001", EL9, "ol:9 a 1-1.el9 [x86_64] -"),
    ] {
        let inside = format!("<id>{id}</id><release>0</release><issued date='2026-10-08'/>");
        let document = one("version='1'", &inside, package);
        assert_eq!(packages(&document.contents.patches[0]), [wanted]);
    }
}

#[test]
fn an_advisory_of_centos_volunteers_is_a_patch_for_each_release_that_it_mixes() {
    let el6 = r#"<package name="a" version="1" release="1.el6_7" arch="i686"/>"#;
    let el7 = r#"<package name="a" version="2" release="1.el7_2" arch="x86_64"/>"#;
    let inside = "<id>CESA_2016__9301</id><release>CentOS 6</release><issued date='2016-03-01 16:09:29'/>";
    let document = one("version='1.4'", inside, &format!("{el6}{el7}"));
    let [six, seven] = &document.contents.patches[..] else { panic!("{:?}", document.contents.patches) };
    assert_eq!(packages(six), ["centos:6 a 1-1.el6_7 [i686] -"]);
    assert_eq!(packages(seven), ["centos:7 a 2-1.el7_2 [x86_64] -"]);
    assert_eq!(six.vendor_patch_id, "CESA-2016:9301", "as CentOS itself writes it");
}

#[test]
fn extra_packages_are_for_every_rebuild_of_enterprise_linux() {
    let inside = "<id>FEDORA-EPEL-2026-1a2b</id><release>Fedora EPEL 9</release><issued date='2026-10-08'/>";
    let document = one("version='2.0'", inside, EL9);
    let keys: Vec<String> =
        document.contents.patches.iter().map(|patch| patch.targets[0].os().key()).collect();
    assert_eq!(keys, ["almalinux:9", "centos:9", "ol:9", "rhel:9", "rocky:9"]);
}

#[test]
fn the_same_id_with_another_version_names_other_packages_in_old_documents_of_suse() {
    let update = |version: u32, package: &str| {
        format!(
            "<update from='maint-coord@suse.de' version='{version}' type='security'><id>lantern</id>\
             <release>openSUSE 11.0</release><issued date='1234567890'/><description>fixes CVE-2009-1234</description>\
             <pkglist><collection><package name='{package}' version='1' release='1.{version}' arch='i586'>\
             <reboot_suggested>1</reboot_suggested></package></collection></pkglist></update>"
        )
    };
    let document = document(&format!("<updates>{}{}</updates>", update(7, "a"), update(9, "b")));
    let [seven, nine] = &document.contents.patches[..] else { panic!("{:?}", document.contents.patches) };
    assert_eq!((seven.vendor_patch_id.as_str(), nine.vendor_patch_id.as_str()), ("lantern-7", "lantern-9"));
    assert_eq!(packages(nine), ["opensuse:11.0 b 1-1.9 [i586] -"]);
    assert_eq!(seven.cves, ["CVE-2009-1234"], "nothing is marked as a CVE");
    assert_eq!(seven.reboot, RebootBehaviour::Always);
    assert_eq!(figure(&document, "distinct_ids")["count"], json!(1));
}

#[test]
fn a_later_version_of_an_advisory_replaces_the_one_before_it() {
    let update = |version: &str, release: &str| {
        format!(
            "<update version='{version}'><id>RHSA-2026:9001</id><issued date='2026-10-08'/><pkglist><collection>\
             <package name='a' version='1' release='{release}.el9' arch='x86_64'/></collection></pkglist></update>"
        )
    };
    for updates in [[update("10", "2"), update("9", "1")], [update("9", "1"), update("10", "2")]] {
        let document = document(&format!("<updates>{}</updates>", updates.concat()));
        let [patch] = &document.contents.patches[..] else { panic!("{:?}", document.contents.patches) };
        assert_eq!(packages(patch), ["rhel:9 a 1-2.el9 [x86_64] -"]);
    }
}

#[test]
fn parts_of_one_advisory_are_one_patch() {
    let other = EL9.replace("\"a\"", "\"b\"");
    let part = |package: &str, cve: &str| {
        format!(
            "<update version='3'><id>RHSA-2026:9001</id><issued date='2026-10-08'/><summary>{cve}</summary>\
             <pkglist><collection>{package}</collection></pkglist></update>"
        )
    };
    let both = part(EL9, "CVE-2026-30102") + &part(&other, "CVE-2026-30101");
    let document = document(&format!("<updates>{both}</updates>"));
    let [patch] = &document.contents.patches[..] else { panic!("{:?}", document.contents.patches) };
    assert_eq!(packages(patch), ["rhel:9 a 1-1.el9 [x86_64] -", "rhel:9 b 1-1.el9 [x86_64] -"]);
    assert_eq!(patch.cves, ["CVE-2026-30101", "CVE-2026-30102"]);
}

#[test]
fn a_retracted_advisory_is_withdrawn_and_no_patch() {
    let inside = "<id>11749</id><release>openSUSE Leap 15.6 Update</release><issued date='1791454782'/>";
    let document = one("from='maint-coord@suse.de' status='retracted' version='1'", inside, EL9);
    assert!(document.contents.patches.is_empty());
    let [withdrawn] = &document.contents.withdrawn[..] else { panic!("{:?}", document.contents) };
    assert_eq!((withdrawn.vendor, withdrawn.vendor_patch_id.as_str()), (Vendor::Suse, "11749-1"));
    assert_eq!(withdrawn.reason, "its publisher marks it as retracted");
}

#[test]
fn a_restart_is_suggested_by_anything_but_a_no() {
    for (inside, wanted) in [
        ("<reboot_suggested>True</reboot_suggested>", RebootBehaviour::Always),
        ("<reboot_suggested>1</reboot_suggested>", RebootBehaviour::Always),
        ("<reboot_suggested/>", RebootBehaviour::Always),
        ("<reboot_suggested>False</reboot_suggested>", RebootBehaviour::Unknown),
        ("<reboot_suggested>0</reboot_suggested>", RebootBehaviour::Unknown),
        ("<restart_suggested>True</restart_suggested>", RebootBehaviour::Unknown),
        ("", RebootBehaviour::Unknown),
    ] {
        let document = one("", &format!("<id>RHSA-1</id><issued date='2026-10-08'/>{inside}"), EL9);
        assert_eq!(document.contents.patches[0].reboot, wanted, "{inside}");
    }
}

#[test]
fn a_package_without_a_version_spoils_its_advisory_and_no_other() {
    let broken = r#"<package name="a" version="" release="1.el9" arch="x86_64"/>"#;
    let odd = r#"<package name="a" epoch="x" version="1" release="1.el9" arch="x86_64"/>"#;
    for package in [broken, odd, r#"<package version="1" release="1.el9"/>"#] {
        let document = one("", "<id>RHSA-1</id><issued date='2026-10-08'/>", package);
        assert!(document.contents.patches.is_empty(), "{package}");
        assert_eq!(document.contents.quarantined.len(), 1, "{package}");
    }
}

#[test]
fn an_advisory_with_more_packages_than_any_real_one_is_left_out() {
    let mut packages = String::new();
    for package in 0..5_001 {
        write!(packages, "<package name='p{package}' version='1' release='1.el9'/>").unwrap();
    }
    let document = one("", "<id>RHSA-1</id><issued date='2026-10-08'/>", &packages);
    assert_eq!(document.contents.quarantined, ["RHSA-1: it has more than 5000 packages"]);
}

#[test]
fn prefixes_line_ends_and_marks_do_not_matter() {
    let wanted = document(UPDATEINFO);
    let prefixed = UPDATEINFO.replace("</", "\u{1}").replace('<', "<u:").replace('\u{1}', "</u:");
    let prefixed =
        prefixed.replace("<u:?xml", "<?xml").replace("<u:updates>", "<u:updates xmlns:u=\"urn:u\">");
    for text in [prefixed, UPDATEINFO.replace('\n', "\r\n"), format!("\u{feff}{UPDATEINFO}")] {
        let found = document(&text);
        assert_eq!(found.contents, wanted.contents);
        assert_eq!(found.figures, wanted.figures);
    }
}

#[test]
fn a_document_that_breaks_off_is_refused_wherever_it_does() {
    for text in [UPDATEINFO, REPOMD] {
        let end = text.trim_end().len();
        for at in (text.find("<update ").or(text.find("<data ")).unwrap()..end).step_by(7) {
            let error = refused(text.get(..at).unwrap());
            assert!(matches!(error, DocumentError::Truncated { .. }), "at {at}: {error}");
        }
    }
}

#[test]
fn markup_that_lost_a_mark_or_holds_what_xml_does_not_have_is_refused() {
    for (right, wrong) in [
        ("<severity>Important", "<severity>Import\u{1}ant"),
        ("type=\"enhancement\" version", "type=\"enhancement version"),
        ("<title>", "<ti!tle>"),
        ("<title>", "<title>&unheard_of;"),
        ("</id>", "</ID>"),
    ] {
        let broken = UPDATEINFO.replace(right, wrong);
        assert_ne!(broken, UPDATEINFO);
        let error = refused(&broken);
        assert!(
            matches!(error, DocumentError::Malformed { .. } | DocumentError::Truncated { .. }),
            "{error}"
        );
    }
}

#[test]
fn an_empty_repository_has_no_advisories_and_is_no_error() {
    let document = document("<?xml version=\"1.0\"?><updates/>");
    assert_eq!((document.format, document.contents.records), (Format::Updateinfo, 0));
    assert_eq!(figure(&document, "fixed_packages_nevra")["count"], json!(0));
}

proptest! {
    #[test]
    fn no_changed_bytes_make_a_parser_panic(
        which in 0..2_usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = [REPOMD, UPDATEINFO][which].as_bytes().to_vec();
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
