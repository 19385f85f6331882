//! The index, the table of deployments, exports of WSUS servers and the definitions of Windows Exploit Suggester NG.

use super::{DEPLOYMENT, INDEX, WESNG, WSUS, builds, figure, patch, read};
use contracts::{Cadence, Classification, RebootBehaviour, Severity};
use feeds_documents::identity::Vendor;

#[test]
fn the_index_links_each_month() {
    let index = read(INDEX);
    let links: Vec<(&str, String)> = index
        .links
        .iter()
        .map(|link| (link.href.as_str(), link.updated.unwrap().date_naive().to_string()))
        .collect();
    assert_eq!(
        links,
        [
            ("https://api.example.com/cvrf/v3.0/cvrf/2026-Sep", "2026-09-11".to_owned()),
            ("https://api.example.com/cvrf/v3.0/cvrf/2026-Oct", "2026-10-14".to_owned()),
        ]
    );
    assert_eq!((index.records, index.quarantined.len()), (4, 2));
    assert_eq!(index.document_date.unwrap().date_naive().to_string(), "2026-10-14");
    assert_eq!(figure(INDEX, "ids"), serde_json::json!(["2026-Sep", "2026-Oct", "2026-Nov"]));
    assert_eq!(figure(INDEX, "documents"), 4);
}

#[test]
fn a_page_of_deployments_gives_a_patch_per_kb_and_the_next_page() {
    let page = read(DEPLOYMENT);
    let windows_11 = patch(&page, "KB5090101");
    assert_eq!((windows_11.severity, windows_11.reboot), (Severity::Critical, RebootBehaviour::Always));
    assert_eq!(
        (windows_11.cadence, windows_11.supersedes.as_slice()),
        (Cadence::Monthly, &["KB5088801".to_owned()][..])
    );
    assert_eq!(windows_11.targets.len(), 2);
    assert_eq!(page.links[0].href, "https://api.example.com/sug/v2.0/deployment?$skip=500");
    assert_eq!(page.records, 5);
    assert_eq!(page.quarantined.len(), 2, "{:?}", page.quarantined);
    assert_eq!(figure(DEPLOYMENT, "has_next"), true);
    assert_eq!(figure(DEPLOYMENT, "rows"), 5);
    assert_eq!(figure(DEPLOYMENT, "kbs")["last"], "Release Notes");
    assert_eq!(figure(DEPLOYMENT, "supersedence_links")["count"], 1);
}

#[test]
fn a_deployment_on_a_platform_is_for_the_platform() {
    let page = read(DEPLOYMENT);
    let dot_net = patch(&page, "KB5090150");
    assert_eq!(builds(dot_net), [("Windows Server 2022", None)]);
    assert_eq!(dot_net.cadence, Cadence::OutOfBand);
    assert!(dot_net.name.contains("Microsoft .NET Framework 4.8 on Windows Server 2022"), "{}", dot_net.name);
}

#[test]
fn the_updates_of_a_kb_in_an_export_are_one_patch_with_the_largest_size() {
    let export = read(WSUS);
    let windows_11 = patch(&export, "KB5090101");
    assert_eq!(windows_11.name, "2026-10 Cumulative Update for Windows 11 Version 24H2 (KB5090101)");
    assert_eq!(windows_11.size_bytes, Some(650_000_000));
    assert_eq!((windows_11.severity, windows_11.reboot), (Severity::Critical, RebootBehaviour::Maybe));
    assert_eq!(
        builds(windows_11),
        [
            ("Windows 11 Version 24H2 for ARM64-based Systems", None),
            ("Windows 11 Version 24H2 for x64-based Systems", None)
        ]
    );
    let server = patch(&export, "KB5090160");
    assert_eq!((server.classification, server.severity), (Classification::Other, Severity::Unknown));
    assert_eq!((server.reboot, server.cadence), (RebootBehaviour::Unknown, Cadence::Unscheduled));
    assert_eq!(builds(server), [("Windows Server 2022", None)]);
}

#[test]
fn what_its_publisher_let_expire_is_withdrawn_and_earlier_revisions_do_not_count() {
    let export = read(WSUS);
    let [withdrawal] = &export.withdrawn[..] else { panic!("{:?}", export.withdrawn) };
    assert_eq!((withdrawal.vendor, withdrawal.vendor_patch_id.as_str()), (Vendor::Microsoft, "KB5080001"));
    assert_eq!(export.patches.len(), 2);
    assert_eq!(
        export.quarantined,
        [
            "5090101 a0000000-0000-4000-8000-000000000001: there is a later revision of it",
            "1 fixes \"\" have no KB number"
        ]
    );
}

#[test]
fn an_exports_figures_count_what_is_written() {
    assert_eq!(figure(WSUS, "updates"), 6);
    assert_eq!(figure(WSUS, "kbs")["count"], 3);
    assert_eq!(
        figure(WSUS, "size_sum"),
        600_000_000u64 + 650_000_000 + 70_000_000 + 1_000 + 2_000 + 900_000_000
    );
    assert_eq!(
        figure(WSUS, "severity"),
        serde_json::json!({"Critical": 1, "Important": 3, "Unspecified": 2})
    );
}

#[test]
fn rows_of_a_table_are_one_patch_per_kb() {
    let table = read(WESNG);
    assert_eq!(table.patches.len(), 2);
    let windows_11 = patch(&table, "KB5090101");
    assert_eq!(windows_11.cves, ["CVE-2026-30001", "CVE-2026-30009", "CVE-2026-30010", "CVE-2026-30011"]);
    assert_eq!(windows_11.supersedes, ["KB5088790", "KB5088801"]);
    assert_eq!((windows_11.severity, windows_11.vendor_severity.as_str()), (Severity::Critical, "Critical"));
    assert_eq!(windows_11.release_date.to_string(), "2026-10-13");
    assert_eq!(windows_11.targets.len(), 2, "blanks at the end of a name make no other product");
    let older = patch(&table, "KB981370");
    assert_eq!(older.advisories, ["ADV260001"]);
    assert_eq!((older.cves.len(), older.cadence), (0, Cadence::Monthly));
    assert_eq!(
        table.quarantined,
        [
            "row 8 has too few columns",
            "1 fixes \"\" have no KB number",
            "1 fixes \"Release Notes\" have no KB number"
        ]
    );
    assert_eq!((table.records, table.document_id.as_deref()), (8, Some("CVEs_20261020")));
    assert_eq!(table.document_date.unwrap().date_naive().to_string(), "2026-10-20");
}

#[test]
fn a_tables_figures_count_what_is_written() {
    assert_eq!(figure(WESNG, "rows"), 7);
    assert_eq!(figure(WESNG, "kbs")["count"], 4);
    assert_eq!(figure(WESNG, "kbs")["first"], "");
    assert_eq!(figure(WESNG, "cves")["last"], "cve-2026-30010CVE-2026-30011");
    assert_eq!(figure(WESNG, "supersedence_links")["count"], 6);
    assert_eq!(figure(WESNG, "supersedence_links")["last"], "SP11X64>5090101");
}
