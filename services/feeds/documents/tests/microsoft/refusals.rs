//! Documents that are refused, and what is left out of others.

use super::{ALL, DEPLOYMENT, INDEX, OCTOBER_JSON, OCTOBER_XML, SEPTEMBER_JSON, WESNG, WSUS, open, read};
use feeds_documents::contents::Contents;
use feeds_documents::{DocumentError, Format};
use kernel::Refused;
use proptest::prelude::*;
use std::io::{Cursor, Write};
use zip::write::SimpleFileOptions;

fn zipped(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        zip.start_file(*name, SimpleFileOptions::default().compression_level(Some(9))).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

#[test]
fn a_zip_file_is_known_by_the_names_inside_and_is_no_bomb() {
    let code = |bytes: &[u8]| open(bytes).unwrap_err().code();
    assert_eq!(code(&zipped(&[("readme.txt", b"hello")])), "feeds.document_unknown_format");
    assert_eq!(code(&zipped(&[])), "feeds.document_unknown_format");
    assert_eq!(code(&zipped(&[("CVEs_20260101.csv", b"")])), "feeds.document_empty");
    assert_eq!(code(&zipped(&[("CVEs_20260101.csv", b"a,b\r\n1,2\r\n")])), "feeds.document_malformed");
    assert_eq!(code(&WESNG[..WESNG.len() - 30]), "feeds.document_truncated");
    let many: Vec<String> = (0..1_100).map(|number| format!("{number}")).collect();
    let many: Vec<(&str, &[u8])> = many.iter().map(|name| (name.as_str(), &b""[..])).collect();
    assert_eq!(code(&zipped(&many)), "feeds.document_too_many_records");
    let header = b"DatePosted,CVE,BulletinKB,AffectedProduct,Severity,Supersedes\n";
    let bomb = [&header[..], b"20260101,,1,a,b,c\n".repeat(1_200_000).as_slice()].concat();
    assert_eq!(code(&zipped(&[("CVEs_20260101.csv", &bomb)])), "feeds.document_bomb");
}

#[test]
fn a_zip_entry_that_is_not_what_its_checksum_says_is_refused() {
    let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("CVEs_20260101.csv", stored).unwrap();
    zip.write_all(
        b"DatePosted,CVE,BulletinKB,AffectedProduct,Severity,Supersedes\n20260101,,5090101,Lamp,Low,\n",
    )
    .unwrap();
    let mut bytes = zip.finish().unwrap().into_inner();
    assert_eq!(read(&bytes).patches.len(), 1);
    let at = bytes.windows(4).position(|window| window == b"Lamp").unwrap();
    bytes[at] = b'D';
    assert_eq!(open(&bytes).unwrap_err().code(), "feeds.document_malformed");
}

#[test]
fn a_broken_document_is_refused_with_its_own_code() {
    let cut = |bytes: &'static [u8]| &bytes[..bytes.len() - 40];
    let deep = format!("<cvrfdoc>{}", "<a>".repeat(100));
    for (bytes, code) in [
        (&b""[..], "feeds.document_empty"),
        (b"\xef\xbb\xbf \n", "feeds.document_empty"),
        (b"<cvrfdoc>\xff</cvrfdoc>", "feeds.document_wrong_encoding"),
        (b"<!DOCTYPE html><html><body>busy</body></html>\n", "feeds.document_unknown_format"),
        (cut(OCTOBER_XML), "feeds.document_truncated"),
        (cut(OCTOBER_JSON), "feeds.document_truncated"),
        (cut(INDEX), "feeds.document_truncated"),
        (cut(DEPLOYMENT), "feeds.document_truncated"),
        (cut(WSUS), "feeds.document_truncated"),
        (b"<cvrfdoc><Vulnerability></Vulnerability>", "feeds.document_truncated"),
        (b"<cvrfdoc><Vulnerability></cvrfdoc>", "feeds.document_malformed"),
        (b"<cvrfdoc/><cvrfdoc/>", "feeds.document_malformed"),
        (b"<cvrfdoc/>junk", "feeds.document_malformed"),
        (b"<cvrfdoc><DocumentTitle>&lol;</DocumentTitle></cvrfdoc>", "feeds.document_malformed"),
        (b"<cvrfdoc><Vulnerability/></cvrfdoc>", "feeds.document_malformed"),
        (b"{\"ProductTree\": 1}", "feeds.document_malformed"),
        (b"{\"DocumentTitle\": 1, \"Vulnerability\": {\"a\": {}}}", "feeds.document_malformed"),
        (
            b"{\"value\": {\"a\": [{\"CvrfUrl\": \"\"}]}, \"x\": [{\"CvrfUrl\": 1}]}",
            "feeds.document_malformed",
        ),
        (deep.as_bytes(), "feeds.document_too_deep"),
    ] {
        let error = open(bytes).unwrap_err();
        let start = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]);
        assert_eq!(error.code(), code, "{start:?}: {error}");
    }
}

#[test]
fn a_month_without_end_is_not_read_to_its_end() {
    let vulnerability =
        format!("<Vulnerability><Notes>{}</Notes></Vulnerability>", "kettle ".repeat(1 << 10));
    let month = format!("<cvrfdoc>{}</cvrfdoc>", vulnerability.repeat(10_000));
    assert_eq!(open(month.as_bytes()).unwrap_err(), DocumentError::TooLarge { limit: 64 << 20 });
    let month = format!("<cvrfdoc>{}</cvrfdoc>", "<Vulnerability/>".repeat(30_000));
    assert_eq!(open(month.as_bytes()).unwrap_err(), DocumentError::TooManyRecords { limit: 20_000 });
}

/// Whether any text of what was found holds U+0000.
pub(crate) fn holds_nul(contents: &Contents) -> bool {
    fn in_value(value: &serde_json::Value) -> bool {
        match value {
            serde_json::Value::String(text) => text.contains('\0'),
            serde_json::Value::Array(items) => items.iter().any(in_value),
            serde_json::Value::Object(fields) => fields.values().any(in_value),
            serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_) => false,
        }
    }
    contents.patches.iter().any(|patch| in_value(&serde_json::to_value(patch).unwrap()))
        || contents.vulnerabilities.iter().any(|found| format!("{found:?}").contains("\\0"))
        || contents.links.iter().any(|link| link.href.contains('\0'))
        || contents.withdrawn.iter().any(|withdrawal| withdrawal.vendor_patch_id.contains('\0'))
        || contents.document_id.iter().chain(&contents.quarantined).any(|text| text.contains('\0'))
}

#[test]
fn a_character_that_no_database_keeps_is_in_nothing_that_is_found() {
    for (format, bytes) in [
        (Format::MsrcCvrfXml, OCTOBER_XML),
        (Format::MsrcCvrfJson, SEPTEMBER_JSON),
        (Format::MsrcIndex, INDEX),
        (Format::MsrcDeployment, DEPLOYMENT),
    ] {
        let text = std::str::from_utf8(bytes).unwrap();
        let nul = if text.starts_with('{') { r"\u0000" } else { "\0" };
        for (at, _) in text.char_indices() {
            let (before, after) = text.split_at(at);
            if let Ok(document) = open(format!("{before}{nul}{after}").as_bytes()) {
                assert!(!holds_nul(&document.contents), "{format:?} at {at}: {document:#?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_document_never_panics(
        which in 0..ALL.len(),
        damages in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4u8), 1..8),
    ) {
        let mut bytes = ALL[which].1.to_vec();
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
        let _ = open(&bytes);
    }

    #[test]
    fn a_cut_document_is_refused(which in 0..ALL.len(), index in any::<prop::sample::Index>()) {
        let bytes = ALL[which].1;
        let end = index.index(bytes.trim_ascii_end().len());
        prop_assert!(open(&bytes[..end]).is_err());
    }
}
