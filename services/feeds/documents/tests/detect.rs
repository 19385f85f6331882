//! The format of a document is told by its beginning alone, compressed or not.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use feeds_documents::limits::HEAD_BYTES;
use feeds_documents::{DocumentError, Format, detect};
use std::io::Write;
use std::path::Path;

fn documents() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/documents");
    let files = folder.read_dir().unwrap().map(|entry| entry.unwrap().path());
    files
        .map(|file| (file.file_stem().unwrap().to_str().unwrap().to_owned(), std::fs::read(file).unwrap()))
        .collect()
}

/// Files are named after their format, some with more behind it.
fn named(name: &str) -> Format {
    let formats = Format::ALL.iter().copied().filter(|format| name.starts_with(format.word()));
    formats.max_by_key(|format| format.word().len()).unwrap_or_else(|| panic!("{name} names no format"))
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

#[test]
fn every_format_is_told_by_the_first_bytes() {
    for (name, bytes) in documents() {
        let head = &bytes[..bytes.len().min(HEAD_BYTES)];
        assert_eq!(detect(head), Ok(named(&name)), "{name}");
    }
}

#[test]
fn compressed_documents_are_told_although_they_break_off() {
    for (name, bytes) in documents().into_iter().filter(|(name, _)| !name.contains("zip")) {
        // Spaces behind it, so that what is cut off is not what tells the format.
        let long = [bytes.as_slice(), &[b' '; 10_000]].concat();
        let packed = gzipped(&long);
        let cut = &packed[..packed.len() - 5_000];
        assert_eq!(detect(cut), Ok(named(&name)), "{name}, gz");
        let packed = zstd::encode_all(long.as_slice(), 0).unwrap();
        assert_eq!(detect(&packed), Ok(named(&name)), "{name}, zst");
    }
}

#[test]
fn what_is_no_document_says_what_it_looks_like() {
    assert_eq!(detect(b""), Err(DocumentError::Empty));
    assert_eq!(detect(b" \n"), Err(DocumentError::Empty));
    for (bytes, looks_like) in [
        (&b"<html><p>Please sign in</p></html>"[..], "a web page"),
        (b"{\"error\": \"no\"}", "JSON with the keys error"),
        (b"PK\x03\x04", "a zip file of "),
    ] {
        let looks_like = looks_like.to_owned();
        assert_eq!(detect(bytes), Err(DocumentError::UnknownFormat { looks_like }));
    }
    assert!(matches!(detect(&[0x1f, 0x8b, 8, 0, 1, 2, 3]), Err(DocumentError::Truncated { .. })));
}
