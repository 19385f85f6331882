//! Catalogues of manufacturers, and Azure Stack's list of updates.
#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use contracts::feeds::PatchFacts;
use contracts::{Cadence, Classification, DevicePlatform, FixTarget, OutOfBandReason};
use feeds_documents::contents::Contents;
use feeds_documents::identity::{self, Vendor};
use feeds_documents::{Document, DocumentError, Format, Options, read};
use kernel::{FeedId, Refused};
use serde_json::json;
use std::io::Cursor;

const DELL: &str = include_str!("documents/dell-driverpack.xml");
const LENOVO: &str = include_str!("documents/lenovo-catalog.xml");
const AZURE_STACK: &str = include_str!("documents/azurestack-updates.json");

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

fn of<'a>(contents: &'a Contents, id: &str) -> &'a PatchFacts {
    contents.patches.iter().find(|patch| patch.vendor_patch_id == id).unwrap()
}

/// `windows:Windows 11 x64 | Dell | Example 5000 (0A01) driver pack | A07`
fn targets(patch: &PatchFacts) -> Vec<String> {
    patch
        .targets
        .iter()
        .map(|target| match target {
            FixTarget::OemComponent { os, vendor, component, fixed_version } => {
                format!("{} | {vendor} | {component} | {fixed_version}", os.key())
            }
            FixTarget::Kb { .. } | FixTarget::SourcePackage { .. } | FixTarget::BinaryPackage { .. } => {
                panic!("{target:?}")
            }
        })
        .collect()
}

#[test]
fn a_driver_pack_is_for_models_and_releases_of_windows() {
    let read = document(DELL).unwrap();
    assert_eq!(read.format, Format::DellDriverpack);
    let catalogue = read.contents;
    assert_eq!((catalogue.records, catalogue.patches.len()), (2, 1));
    assert_eq!(catalogue.document_id.as_deref(), Some("2026.03.02"));
    let pack = of(&catalogue, "XYZ01");
    assert_eq!(pack.patch_id, identity::patch_id_for_all(Vendor::Dell, "XYZ01"));
    assert_eq!((pack.platform, pack.classification), (DevicePlatform::Windows, Classification::Driver));
    assert_eq!(pack.name, "Example-5000-win11-A07-XYZ01.exe A07");
    assert_eq!(pack.version.as_deref(), Some("A07"));
    assert_eq!(pack.size_bytes, Some(1_429_980_123));
    assert_eq!(pack.os_versions, ["Windows 10 x64", "Windows 11 x64"]);
    assert_eq!(
        targets(pack),
        [
            "windows:Windows 10 x64 | Dell | 5001 (0A02) driver pack | A07",
            "windows:Windows 10 x64 | Dell | Example 5000 (0A01) driver pack | A07",
            "windows:Windows 11 x64 | Dell | 5001 (0A02) driver pack | A07",
            "windows:Windows 11 x64 | Dell | Example 5000 (0A01) driver pack | A07",
        ]
    );
    assert_eq!(pack.url.as_deref(), Some("https://vendor.example/drivers?driverId=XYZ01"));
}

#[test]
fn a_pack_for_boot_media_is_no_patch_of_a_device() {
    assert_eq!(contents(DELL).quarantined, ["pack 2: WINPE: it is for no model or no operating system"]);
    let figures = document(DELL).unwrap().to_json();
    assert_eq!((&figures["packages"], &figures["size_sum"]), (&json!(2), &json!(1_429_981_123)));
    assert_eq!(figures["os_codes"], json!({"Windows10": 1, "Windows11": 1, "winpe5x": 1}));
    assert_eq!(figures["date_min"], "2014-07-11T00:00:00");
}

#[test]
fn a_bad_pack_is_left_out() {
    for (from, to) in [
        ("releaseID=\"XYZ01\"", ""),
        ("dateTime=\"2026-02-14T00:00:00\"", "dateTime=\"0001-01-01T00:00:00\""),
        ("vendorVersion=\"24.01.09\" dellVersion=\"A07\"", ""),
    ] {
        let catalogue = contents(&DELL.replace(from, to));
        assert_eq!((catalogue.patches.len(), catalogue.quarantined_count()), (0, 2), "{to}");
    }
}

#[test]
fn a_file_that_models_share_is_one_patch() {
    let read = document(LENOVO).unwrap();
    assert_eq!(read.format, Format::LenovoCatalog);
    let catalogue = read.contents;
    assert_eq!(catalogue.patches.len(), 3);
    let pack = of(&catalogue, "te_m1_w11");
    assert_eq!(pack.classification, Classification::Driver);
    assert_eq!(
        targets(pack),
        [
            "windows:Windows 10 | Lenovo | 10A1 driver pack | 2026-02-18",
            "windows:Windows 10 | Lenovo | 10A2 driver pack | 2026-02-18",
            "windows:Windows 11 24H2 | Lenovo | 10A1 driver pack | 2026-02-18",
            "windows:Windows 11 24H2 | Lenovo | 10A2 driver pack | 2026-02-18",
            "windows:Windows 11 24H2 | Lenovo | 20B1 driver pack | 2026-02-18",
        ]
    );
    assert_eq!(pack.release_date.to_string(), "2026-02-18");
    let bios = of(&catalogue, "m1ejy42usa");
    assert_eq!(bios.classification, Classification::Firmware);
    assert_eq!(targets(bios)[0], "windows: | Lenovo | 10A1 BIOS | M1EKT42A");
    assert_eq!(bios.url.as_deref(), Some("https://download.vendor.example/bios/m1ejy42usa.exe"));
}

#[test]
fn a_model_without_a_bios_to_offer_is_told() {
    assert_eq!(contents(LENOVO).quarantined, ["ThinkExample M2: BIOS: it offers no file"]);
    let figures = document(LENOVO).unwrap().to_json();
    assert_eq!(
        (&figures["models"], &figures["bios"], &figures["driver_packs"]),
        (&json!(2), &json!(2), &json!(3))
    );
    assert_eq!(figures["driver_pack_os"], json!({"win10": 1, "win11": 2}));
    assert_eq!((&figures["distinct_urls"]["count"], &figures["bios_without_date"]), (&json!(2), &json!(1)));
}

#[test]
fn catalogues_with_prefixes_or_a_declaration_are_the_same() {
    let prefixed = LENOVO.replace("</", "</v:").replace('<', "<v:").replace("<v:/v:", "</v:");
    let prefixed = prefixed.replace("<v:ModelList", "<v:ModelList xmlns:v=\"urn:example\"");
    assert_eq!(contents(&prefixed), contents(LENOVO));
    let declared = format!("<?xml version=\"1.0\" encoding=\"utf-8\"?>\r\n<!-- Drivers -->{DELL}");
    assert_eq!(contents(&declared), contents(DELL));
}

#[test]
fn a_catalogue_that_breaks_off_is_refused() {
    for text in [DELL, LENOVO] {
        for at in (0..text.trim_end().len()).filter(|at| text.is_char_boundary(*at)) {
            assert!(document(&text[..at]).is_err(), "cut at byte {at}");
        }
    }
    for at in 0..AZURE_STACK.trim_end().len() {
        assert!(document(&AZURE_STACK[..at]).is_err(), "cut at byte {at}");
    }
}

#[test]
fn one_file_cannot_be_for_endless_machines() {
    let types = (0..6_000).map(|at| format!("<Type>T{at}</Type>")).collect::<Vec<_>>().concat();
    let pack = "<SCCM os=\"win11\" version=\"24H2\" date=\"2026-02-20\">https://vendor.example/a.exe</SCCM>";
    let model = format!("<Model name=\"M\"><Types>{types}</Types>{pack}</Model>");
    let catalogue = contents(&format!("<ModelList>{model}</ModelList>"));
    assert_eq!(catalogue.quarantined, ["a: it is for more than 5000 machine types"]);
    let packs: String = (0..40).map(|at| pack.replace("a.exe", &format!("a{at}.exe"))).collect();
    let model = format!("<Model name=\"M\"><Types>{types}</Types>{packs}</Model>");
    let refused = document(&format!("<ModelList>{model}</ModelList>")).unwrap_err();
    assert_eq!(refused.code(), "feeds.document_too_many_records");
}

#[test]
fn an_update_of_azure_stack_needs_the_one_before_it() {
    let read = document(AZURE_STACK).unwrap();
    assert_eq!(read.format, Format::AzureStackUpdates);
    let list = read.contents;
    let update = of(&list, "Microsoft1.2601.30.4");
    assert_eq!(update.prerequisites, ["Microsoft1.2508.20.0"]);
    assert_eq!(update.size_bytes, Some(2 << 30));
    assert_eq!((update.classification, update.cadence), (Classification::System, Cadence::Regular));
    // The list has no date, and the version is of January 2026.
    assert_eq!(update.release_date.to_string(), "2026-01-01");
    assert_eq!(targets(update), ["azurestack: | Microsoft | Infrastructure | 1.2601.30.4"]);
    assert_eq!(update.url.as_deref(), Some("https://docs.vendor.example/release-notes?view=azs-2601"));
}

#[test]
fn a_hotfix_comes_out_of_band() {
    let list = contents(AZURE_STACK);
    let hotfix = of(&list, "Microsoft1.2601.31.8");
    assert_eq!((hotfix.classification, hotfix.cadence), (Classification::Critical, Cadence::OutOfBand));
    assert_eq!(hotfix.out_of_band, Some(OutOfBandReason::NotSaid));
    assert_eq!(hotfix.release_date.to_string(), "2026-02-11");
    assert_eq!(hotfix.size_bytes, Some(512 << 10));
}

#[test]
fn a_recalled_package_is_withdrawn() {
    let list = contents(AZURE_STACK);
    assert_eq!(list.patches.len(), 2);
    assert_eq!(list.withdrawn.len(), 1);
    assert_eq!(list.withdrawn[0].vendor_patch_id, "Example2.3.2602.1");
    let ready = contents(&AZURE_STACK.replace("Recalled", "Ready"));
    let package = of(&ready, "Example2.3.2602.1");
    assert_eq!((package.classification, package.cadence), (Classification::Firmware, Cadence::Unscheduled));
    assert_eq!(targets(package), ["azurestack: | Example | OEM package | 2.3.2602.1"]);
}

#[test]
fn figures_of_the_list_keep_its_order() {
    let figures = document(AZURE_STACK).unwrap().to_json();
    assert_eq!(figures["items"], 3);
    assert_eq!(
        figures["names"],
        json!(["local/Microsoft1.2601.30.4", "local/Microsoft1.2601.31.8", "local/Example2.3.2602.1"])
    );
    assert_eq!(figures["size_mb"], json!([2048, 0.5, 700]));
    assert_eq!(figures["min_version"], json!(["1.2508.20.0", null, null]));
    assert_eq!(figures["states"], json!({"Installed": 1, "Ready": 1, "Recalled": 1}));
}

#[test]
fn an_update_without_version_or_date_is_left_out() {
    let list = contents(&AZURE_STACK.replace("\"version\": \"1.2601.30.4\",", ""));
    assert_eq!(list.quarantined, ["Microsoft1.2601.30.4: it has no version"]);
    let list = contents(&AZURE_STACK.replace("1.2601.30.4", "1.9999.30.4").replace("azs-2601", "azs"));
    assert_eq!(list.quarantined, ["Microsoft1.9999.30.4: it has no date, and its version names no month"]);
}
