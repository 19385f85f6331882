//! Months of vulnerabilities, as XML and as JSON.

use super::{OCTOBER_JSON, OCTOBER_XML, builds, figure, open, patch, read};
use contracts::{Cadence, DevicePlatform, OutOfBandReason, RebootBehaviour, Severity};

fn october() -> &'static str {
    std::str::from_utf8(OCTOBER_XML).unwrap()
}

#[test]
fn a_kb_is_one_patch_with_all_that_it_closes() {
    let month = read(OCTOBER_XML);
    let ids: Vec<&str> = month.patches.iter().map(|patch| patch.vendor_patch_id.as_str()).collect();
    assert_eq!(ids, ["KB5090101", "KB5090102", "KB5090103"]);
    let windows_11 = &month.patches[0];
    assert_eq!(windows_11.name, "2026-10 Security Update for Windows 11 (KB5090101)");
    assert_eq!((windows_11.severity, windows_11.vendor_severity.as_str()), (Severity::Critical, "Critical"));
    assert_eq!(windows_11.cves, ["CVE-2026-30001"]);
    assert_eq!(windows_11.supersedes, ["KB5088801"]);
    assert_eq!((windows_11.platform, windows_11.reboot), (DevicePlatform::Windows, RebootBehaviour::Always));
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
    assert_eq!(month.document_id.as_deref(), Some("2026-Oct"));
    assert_eq!(month.document_date.unwrap().to_rfc3339(), "2026-10-14T07:00:00+00:00");
    assert_eq!(month.records, 4);
}

#[test]
fn a_component_is_patched_on_its_platform_and_its_build_is_not_the_platforms() {
    let month = read(OCTOBER_XML);
    let server = patch(&month, "KB5090102");
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
    let month = read(OCTOBER_XML);
    let hotpatch = patch(&month, "KB5090103");
    assert_eq!((hotpatch.severity, hotpatch.vendor_severity.as_str()), (Severity::Unknown, ""));
    assert_eq!(hotpatch.supersedes, [] as [&str; 0], "a patch does not replace itself");
    assert_eq!(
        month.quarantined,
        [
            "2 fixes \"Release Notes\" have no KB number",
            "KB5090102: product \"99999\" is not in the product tree"
        ]
    );
}

#[test]
fn a_kb_comes_out_of_band_when_all_that_it_closes_was_published_on_another_day() {
    let month = read(OCTOBER_XML);
    let facts = |kb| (patch(&month, kb).cadence, patch(&month, kb).out_of_band);
    assert_eq!(facts("KB5090101"), (Cadence::Monthly, None));
    assert_eq!(facts("KB5090103"), (Cadence::OutOfBand, Some(OutOfBandReason::NotSaid)));
    assert_eq!(patch(&month, "KB5090103").release_date.to_string(), "2026-10-16");
    assert_eq!(patch(&month, "KB5090103").advisories, ["ADV260001"]);
}

#[test]
fn a_document_may_call_itself_out_of_band() {
    let renamed = october().replace("2026-Oct<", "2026-Oct-OOB<");
    let document = read(renamed.as_bytes());
    assert_eq!(document.document_id.as_deref(), Some("2026-Oct-OOB"));
    let reasons: Vec<_> = document.patches.iter().map(|patch| (patch.cadence, patch.out_of_band)).collect();
    let (security, unsaid) = (Some(OutOfBandReason::SecurityFix), Some(OutOfBandReason::NotSaid));
    let out_of_band = |reason| (Cadence::OutOfBand, reason);
    assert_eq!(reasons, [out_of_band(security), out_of_band(security), out_of_band(unsaid)]);
}

#[test]
fn a_vulnerability_has_the_highest_score_of_its_products() {
    let month = read(OCTOBER_JSON);
    let [vulnerability] = &month.vulnerabilities[..] else { panic!("{:?}", month.vulnerabilities) };
    assert_eq!((vulnerability.cve.as_str(), vulnerability.source.as_str()), ("CVE-2026-30001", "microsoft"));
    let [score] = &vulnerability.cvss[..] else { panic!("{vulnerability:?}") };
    assert_eq!((score.version.as_str(), score.base_score), ("3.1", 88));
    assert_eq!(score.vector, "CVSS:3.1/AV:L/AC:L/PR:L/UI:N/S:C/C:H/I:H/A:H/E:U/RL:O/RC:C");
}

#[test]
fn xml_and_json_of_the_same_month_say_the_same() {
    assert_eq!(read(OCTOBER_XML), read(OCTOBER_JSON));
    let (xml, json) = (open(OCTOBER_XML).unwrap().figures, open(OCTOBER_JSON).unwrap().figures);
    for name in ["document_id", "advisories", "cves", "kbs", "supersedence_links", "products"] {
        assert_eq!(xml.to_json().get(name), json.to_json().get(name), "{name}");
    }
}

#[test]
fn prefixes_declarations_marks_and_encodings_do_not_matter() {
    let bare =
        october().split_once("?>").unwrap().1.replace("cvrf:", "").replace("vuln:", "").replace("prod:", "");
    assert_eq!(read(bare.as_bytes()), read(OCTOBER_XML));
    let utf_16: Vec<u8> = "\u{feff}"
        .chars()
        .chain(bare.chars())
        .collect::<String>()
        .encode_utf16()
        .flat_map(u16::to_be_bytes)
        .collect();
    assert_eq!(read(&utf_16), read(OCTOBER_XML));
}

#[test]
fn the_order_of_a_documents_parts_does_not_matter() {
    let json: serde_json::Value = serde_json::from_slice(OCTOBER_JSON).unwrap();
    let part = |name: &str| format!("{name:?}: {}", json[name]);
    let names = ["Vulnerability", "ProductTree", "DocumentTracking", "DocumentTitle"];
    let reversed = format!("{{{}}}", names.map(part).join(", "));
    assert_eq!(read(reversed.as_bytes()), read(OCTOBER_JSON));
}

#[test]
fn a_month_without_vulnerabilities_is_a_good_document() {
    let text = "<cvrfdoc><DocumentTracking><InitialReleaseDate>2017-05-08T07:00:00</InitialReleaseDate></DocumentTracking></cvrfdoc>";
    assert_eq!(read(text.as_bytes()).patches, []);
}

#[test]
fn one_vulnerability_of_another_shape_is_left_out_with_a_reason() {
    let text = std::str::from_utf8(OCTOBER_JSON).unwrap();
    let damaged = text.replace("\"CVE\": \"CVE-2026-30002\"", "\"CVE\": [2]");
    let month = read(damaged.as_bytes());
    assert_eq!((month.records, month.patches.len()), (4, 3));
    assert!(month.quarantined[0].starts_with("a vulnerability cannot be read: "), "{:?}", month.quarantined);
}

#[test]
fn a_product_whose_name_cannot_be_shown_is_left_out_with_a_reason() {
    let product = &read(OCTOBER_XML).patches[0].os_versions[0];
    let damaged = october().replace(product.as_str(), &format!("{product}\u{9f}"));
    let month = read(damaged.as_bytes());
    assert!(month.patches.iter().all(|patch| !patch.os_versions.contains(product)));
    assert!(
        month.quarantined.iter().any(|reason| reason.contains("cannot be a name")),
        "{:?}",
        month.quarantined
    );
}

#[test]
fn a_months_figures_count_what_is_written() {
    assert_eq!(figure(OCTOBER_XML, "advisories"), 4);
    assert_eq!(figure(OCTOBER_XML, "cves")["count"], 3);
    assert_eq!(figure(OCTOBER_XML, "kbs")["last"], "5090103");
    assert_eq!(figure(OCTOBER_XML, "supersedence_links")["first"], "5088801>5090101");
    assert_eq!(figure(OCTOBER_XML, "supersedence_links")["last"], "5090103>5090103");
    assert_eq!(
        figure(OCTOBER_XML, "severity_max_per_advisory"),
        serde_json::json!({"": 2, "Critical": 1, "Low": 1})
    );
    assert_eq!(figure(OCTOBER_XML, "products")["count"], 7);
}
