//! Update packages of Azure Stack and of hardware partners (points 47 to 58).
#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use feeds_documents::update_package::{
    Component, Manifest, PackageError, PackageFile, PackageType, Requirement, ZipEntry, manifest,
    read_metadata, zip_manifest,
};
use kernel::Refused;
use std::io::{Cursor, Write};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

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
