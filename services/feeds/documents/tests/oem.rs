//! Catalogues of manufacturers, Azure Stack's list of updates, and update packages.
#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use contracts::feeds::PatchFacts;
use contracts::{Cadence, Classification, DevicePlatform, FixTarget, OutOfBandReason};
use feeds_documents::contents::Contents;
use feeds_documents::identity::{self, Vendor};
use feeds_documents::update_package::{
    Component, Manifest, PackageError, PackageFile, PackageType, Requirement, ZipEntry, manifest,
    read_metadata, zip_manifest,
};
use feeds_documents::{Document, DocumentError, Format, Options, read};
use kernel::{FeedId, Refused};
use serde_json::json;
use std::io::{Cursor, Write};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

const DELL: &str = include_str!("documents/dell-driverpack.xml");
const LENOVO: &str = include_str!("documents/lenovo-catalog.xml");
const AZURE_STACK: &str = include_str!("documents/azurestack-updates.json");

fn document(text: &str) -> Result<Document, DocumentError> {
    let options = Options { feed_id: FeedId(uuid::Uuid::from_u128(7)), figures: true };
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

// ---- update packages (points 47 to 58) ------------------------------------------------------------------------------

const METADATA: &str = r#"<?xml version="1.0" encoding="utf-8"?>
<UpdatePackageManifest xmlns="http://schemas.example/update">
  <UpdateInfo>
    <UpdateName>AzS Hotfix - 1.2601.31.8</UpdateName>
    <Publisher>Microsoft</Publisher>
    <Description>AzS Hotfix 1.2601.31.8</Description>
    <Version>1.2601.31.8</Version>
    <MinVersionRequired>1.2601.30.4</MinVersionRequired>
    <MinOEMVersionRequired>2.1.0.0</MinOEMVersionRequired>
    <PackageSizeInMB>96</PackageSizeInMB>
    <KBLink>https://support.vendor.example/help/4515650/hotfix-1-2601-31-8</KBLink>
    <ReleaseLink>https://docs.vendor.example/release-notes?view=azs-2601</ReleaseLink>
    <PackageHash>AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA</PackageHash>
  </UpdateInfo>
  <UpdateInfo UpdateName="Part 2" PackageHash="bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb" PackageSizeInMB="4"/>
  <BillOfMaterials>
    <BomItem Id="PlatformUpdate" Version="10.2601.0.1"><BomItem Id="OSVersion"/></BomItem>
  </BillOfMaterials>
</UpdatePackageManifest>
"#;

fn file(name: &str, digest: char) -> PackageFile {
    PackageFile { name: name.to_owned(), size_bytes: 10, sha256: digest.to_string().repeat(64) }
}

fn package() -> Vec<PackageFile> {
    vec![file("Part2.ZIP", 'b'), file("Metadata.xml", '0'), file("AzS_Hotfix_1.2601.31.8.zip", 'a')]
}

fn refused(files: &[PackageFile]) -> PackageError {
    manifest(files).unwrap_err()
}

#[test]
fn metadata_tells_what_a_package_is() {
    let metadata = read_metadata(METADATA.as_bytes()).unwrap();
    assert_eq!(
        (metadata.publisher.as_str(), metadata.name.as_str()),
        ("Microsoft", "AzS Hotfix - 1.2601.31.8")
    );
    assert_eq!(metadata.version.as_deref(), Some("1.2601.31.8"));
    assert_eq!(
        metadata.requirements,
        [Requirement::Platform("1.2601.30.4".to_owned()), Requirement::Oem("2.1.0.0".to_owned())]
    );
    assert_eq!(metadata.size_bytes, Some(100 << 20));
    let link = "https://support.vendor.example/help/4515650/hotfix-1-2601-31-8";
    assert_eq!(metadata.support_url.as_deref(), Some(link));
    assert_eq!(metadata.kb_id.as_deref(), Some("KB4515650"));
    assert_eq!(metadata.package_type, Some(PackageType::Hotfix));
    assert_eq!(metadata.payload_sha256, ["a".repeat(64), "b".repeat(64)]);
    let component = |name: &str, version: Option<&str>| Component {
        name: name.to_owned(),
        version: version.map(str::to_owned),
    };
    assert_eq!(
        metadata.components,
        [component("PlatformUpdate", Some("10.2601.0.1")), component("OSVersion", None)]
    );
}

#[test]
fn metadata_is_the_same_in_other_cases_encodings_and_attributes() {
    let whole = read_metadata(METADATA.as_bytes()).unwrap();
    let upper = METADATA
        .replace("UpdateName>", "UPDATENAME>")
        .replace("UpdatePackageManifest", "updatepackagemanifest");
    assert_eq!(read_metadata(upper.as_bytes()).unwrap(), whole);
    let utf16: Vec<u8> =
        "\u{feff}".encode_utf16().chain(METADATA.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    assert_eq!(read_metadata(&utf16[..]).unwrap(), whole);
    let attributes = r#"<UpdatePackageManifest><UpdateInfo UpdateName="Example OEM" Publisher="Example" Version="2.3"/></UpdatePackageManifest>"#;
    let attributes = read_metadata(attributes.as_bytes()).unwrap();
    assert_eq!(
        (attributes.version.as_deref(), attributes.package_type),
        (Some("2.3"), Some(PackageType::Oem))
    );
}

#[test]
fn metadata_that_is_something_else_is_refused() {
    let code = |text: &str| read_metadata(text.as_bytes()).unwrap_err().code();
    assert_eq!(code(""), "feeds.document_empty");
    assert_eq!(code("<html></html>"), "feeds.document_unknown_format");
    assert_eq!(code("<UpdatePackageManifest/>"), "feeds.document_malformed");
    assert_eq!(code(&METADATA.replace("<Publisher>Microsoft</Publisher>", "")), "feeds.document_malformed");
    assert_eq!(code(&METADATA.replace("AAAA", "none")), "feeds.document_malformed");
    assert_eq!(code(&format!("{METADATA}<more/>")), "feeds.document_malformed");
    assert_eq!(code(&format!("<UpdatePackageManifest>{}", " ".repeat(5 << 20))), "feeds.document_too_large");
    for at in 0..METADATA.trim_end().len() {
        assert!(read_metadata(&METADATA.as_bytes()[..at]).is_err(), "cut at byte {at}");
    }
}

#[test]
fn a_package_is_metadata_and_payloads() {
    let mut files = package();
    files.push(file("Supplemental Notice.txt", '0'));
    let package = manifest(&files).unwrap();
    assert_eq!(package.metadata.name, "Metadata.xml");
    let payloads: Vec<&str> = package.payloads.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(payloads, ["AzS_Hotfix_1.2601.31.8.zip", "Part2.ZIP"]);
    assert_eq!(package.passed_over, ["Supplemental Notice.txt"]);
    assert_eq!(package.size_bytes(), 30);
}

#[test]
fn an_incomplete_package_is_refused() {
    assert_eq!(refused(&[]), PackageError::MetadataMissing);
    assert_eq!(refused(&[file("a.zip", 'a')]).code(), "feeds.package_metadata_missing");
    assert_eq!(refused(&[file("metadata.xml", 'a')]).code(), "feeds.package_payload_missing");
    let notice = [file("Metadata.xml", '0'), file("supplemental notice.TXT", '0')];
    assert_eq!(refused(&notice), PackageError::PayloadMissing);
}

#[test]
fn a_package_with_anything_else_is_refused() {
    for (name, code) in [
        ("setup.exe", "feeds.package_file_unexpected"),
        (".zip", "feeds.package_file_unexpected"),
        ("metadata.XML", "feeds.package_file_twice"),
        ("part2.zip", "feeds.package_file_twice"),
        ("../a.zip", "feeds.package_file_name_invalid"),
        ("folder\\a.zip", "feeds.package_file_name_invalid"),
        ("C:a.zip", "feeds.package_file_name_invalid"),
        ("a.zip ", "feeds.package_file_name_invalid"),
        ("NUL.zip", "feeds.package_file_name_invalid"),
        ("", "feeds.package_file_name_invalid"),
    ] {
        let mut files = package();
        files.push(file(name, 'c'));
        assert_eq!(refused(&files).code(), code, "{name:?}");
    }
    let with = |change: fn(&mut PackageFile)| {
        let mut files = package();
        change(&mut files[0]);
        refused(&files).code()
    };
    assert_eq!(with(|file| file.size_bytes = 0), "feeds.package_file_empty");
    assert_eq!(with(|file| file.sha256 = "B".repeat(64)), "feeds.package_digest_invalid");
    let many: Vec<PackageFile> = (0..1_001).map(|at| file(&format!("{at}.zip"), 'a')).collect();
    assert_eq!(refused(&many).code(), "feeds.package_too_many_files");
}

#[test]
fn payloads_are_those_that_the_metadata_names() {
    let metadata = read_metadata(METADATA.as_bytes()).unwrap();
    let of = |files: &[PackageFile]| -> Manifest { manifest(files).unwrap() };
    assert_eq!(of(&package()).verify(&metadata), Ok(()));
    let mut files = package();
    files[0].sha256 = "c".repeat(64);
    assert_eq!(of(&files).verify(&metadata).unwrap_err().code(), "feeds.package_payload_not_authentic");
    assert_eq!(
        of(&package()[1..]).verify(&metadata),
        Err(PackageError::PayloadsIncomplete { named: 2, found: 1 })
    );
}

fn zip(paths: &[&str]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for path in paths {
        zip.start_file(*path, SimpleFileOptions::default()).unwrap();
        zip.write_all(b"example").unwrap();
    }
    zip.finish().unwrap().into_inner()
}

#[test]
fn a_payload_is_listed_without_unpacking() {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    archive.add_directory("tools/", SimpleFileOptions::default()).unwrap();
    archive.start_file("tools/setup.ps1", SimpleFileOptions::default()).unwrap();
    archive.write_all(b"example").unwrap();
    let archive = archive.finish().unwrap().into_inner();
    let entries = vec![ZipEntry { path: "tools/setup.ps1".to_owned(), size_bytes: 7 }];
    assert_eq!(zip_manifest(Cursor::new(&archive)).unwrap(), entries);
    // A self-extracting one begins with a program.
    let mut extracting = b"MZ a program".to_vec();
    extracting.extend_from_slice(&archive);
    assert_eq!(zip_manifest(Cursor::new(extracting)).unwrap(), entries);
}

#[test]
fn a_path_that_leads_out_of_the_payload_is_refused() {
    for path in [
        "../a",
        "a/../../b",
        "/a",
        "C:/a",
        "C:a",
        "a\\..\\b",
        "a//b",
        "./a",
        "a/./b",
        "a.",
        "a /b",
        "a:b",
        "CON",
        "a/lpt1.txt",
        "a\u{7}",
    ] {
        let refused = zip_manifest(Cursor::new(zip(&["good", path]))).unwrap_err();
        assert_eq!(refused.code(), "feeds.package_path_unsafe", "{path:?}");
    }
    let twice = zip_manifest(Cursor::new(zip(&["A/b", "a/B"]))).unwrap_err();
    assert_eq!(twice, PackageError::PathTwice { path: "a/B".to_owned() });
    assert!(zip_manifest(Cursor::new(zip(&["console.txt", "a/lpt10", "com", "ünicode/文"]))).is_ok());
}

#[test]
fn a_link_in_a_payload_is_refused() {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    archive.add_symlink("link", "../../etc/passwd", SimpleFileOptions::default()).unwrap();
    let archive = archive.finish().unwrap().into_inner();
    assert_eq!(zip_manifest(Cursor::new(archive)).unwrap_err().code(), "feeds.package_path_unsafe");
}

#[test]
fn a_payload_that_is_no_zip_file_is_refused() {
    let whole = zip(&["a", "b"]);
    for at in 0..whole.len() {
        let refused = zip_manifest(Cursor::new(&whole[..at])).unwrap_err();
        assert_eq!(refused.code(), "feeds.package_payload_unreadable", "cut at byte {at}");
    }
    let empty = zip_manifest(Cursor::new(zip(&[]))).unwrap_err();
    assert_eq!(empty, PackageError::PayloadUnreadable { reason: "it holds nothing".to_owned() });
    // The same name twice, as no writer would write it.
    let mut twice = zip(&["aa", "bb"]);
    while let Some(at) = twice.windows(2).position(|pair| pair == b"bb") {
        twice[at..at + 2].copy_from_slice(b"aa");
    }
    assert_eq!(zip_manifest(Cursor::new(twice)).unwrap_err().code(), "feeds.package_payload_unreadable");
}

#[test]
fn a_directory_without_end_is_not_taken_into_memory() {
    let names: Vec<String> = (0..50_001).map(|at| format!("{at}")).collect();
    let many = zip(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let refused = zip_manifest(Cursor::new(many)).unwrap_err();
    assert_eq!(refused, PackageError::TooManyEntries { limit: 50_000 });
    let long: Vec<String> = (0..300).map(|at| format!("{at}{}", "x".repeat(50_000))).collect();
    let long = zip(&long.iter().map(String::as_str).collect::<Vec<_>>());
    let refused = zip_manifest(Cursor::new(long)).unwrap_err();
    assert_eq!(refused.code(), "feeds.package_payload_unreadable");
}
