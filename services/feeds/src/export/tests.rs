//! Bundles that are as they were made, and all that can be done to one on its way.

use super::manifest::VERSION;
use super::write::write;
use super::{
    Bundle, BundleError, BundledDocument, BundledFeed, MANIFEST, Manifest, SIGNATURE, entry_of, open_bundle,
    signed_bytes,
};
use crate::archive::Archive;
use crate::import::hex;
use base64::{Engine, prelude::BASE64_STANDARD};
use chrono::{DateTime, Utc};
use contracts::feeds::{FeedFormat, FeedKind};
use ed25519_dalek::{Signer, SigningKey};
use kernel::Refused;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{Read, Write};
use std::path::PathBuf;
use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

const BYTES_MAX: u64 = 1_000;

fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

fn at() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

/// A bundle of the documents `1` and `2`, the second of which belongs to both feeds.
struct Made {
    folder: tempfile::TempDir,
    manifest: Manifest,
}

impl Made {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let archive = Archive::new(folder.path().join("archive"));
        let document = |text: &str| {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(text.as_bytes()).unwrap();
            let sha256 = hex(&Sha256::digest(text));
            archive.keep(&mut file, &sha256).unwrap();
            BundledDocument { name: format!("document {text}"), sha256, bytes: 0, date: None, taken_at: at() }
        };
        let feed = |name: &str, documents| BundledFeed {
            name: name.to_owned(),
            kind: FeedKind::OsVendor,
            format: FeedFormat::DebianDsaList,
            source: "https://vendor.example/list".to_owned(),
            publisher: None,
            documents,
        };
        let feeds = vec![feed("one", vec![document("1"), document("2")]), feed("other", vec![document("2")])];
        let manifest = Manifest { version: VERSION, made_at: at(), feeds };
        let manifest = write(&archive, manifest, &key(), &folder.path().join("bundle")).unwrap();
        Self { folder, manifest }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("bundle")
    }

    fn open(&self) -> Result<Bundle, BundleError> {
        open_bundle(&self.path(), &key().verifying_key(), BYTES_MAX)
    }

    fn code(&self) -> &'static str {
        self.open().unwrap_err().code()
    }

    fn document(&self) -> &BundledDocument {
        &self.manifest.feeds[0].documents[0]
    }

    /// Writes the bundle anew with these entries changed, added or (where there are no bytes) left out.
    fn changed(&self, changes: &[(&str, Option<Vec<u8>>)]) {
        let mut old = ZipArchive::new(File::open(self.path()).unwrap()).unwrap();
        let mut entries: Vec<(String, Vec<u8>)> = Vec::new();
        for index in 0..old.len() {
            let mut entry = old.by_index(index).unwrap();
            let name = entry.name().unwrap().into_owned();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            entries.push((name, bytes));
        }
        for (name, bytes) in changes {
            entries.retain(|(known, _)| known != name);
            entries.extend(bytes.clone().map(|bytes| ((*name).to_owned(), bytes)));
        }
        let mut new = ZipWriter::new(File::create(self.path()).unwrap());
        for (name, bytes) in entries {
            new.start_file(name, SimpleFileOptions::default()).unwrap();
            new.write_all(&bytes).unwrap();
        }
        new.finish().unwrap();
    }

    /// Signs another manifest, as whoever holds the key could.
    fn signed(&self, manifest: &serde_json::Value) {
        let bytes = serde_json::to_vec(manifest).unwrap();
        let signature = key().sign(&signed_bytes(&bytes));
        let signature = BASE64_STANDARD.encode(signature.to_bytes()).into_bytes();
        self.changed(&[(MANIFEST, Some(bytes)), (SIGNATURE, Some(signature))]);
    }
}

#[test]
fn a_bundle_holds_what_was_put_there() {
    let made = Made::new();
    let mut bundle = made.open().unwrap();
    assert_eq!(bundle.manifest(), &made.manifest);
    for feed in bundle.feeds().to_vec() {
        for document in feed.documents {
            let mut text = String::new();
            bundle.unpack(&document).unwrap().read_to_string(&mut text).unwrap();
            assert_eq!((format!("document {text}"), 1), (document.name, document.bytes));
        }
    }
}

#[test]
fn nothing_is_believed_that_another_key_signed_or_that_was_signed_for_something_else() {
    let made = Made::new();
    let stranger = SigningKey::from_bytes(&[8; 32]).verifying_key();
    let refused = open_bundle(&made.path(), &stranger, BYTES_MAX).unwrap_err();
    assert_eq!(refused.code(), "feeds.bundle_signature_invalid");

    let bytes = serde_json::to_vec_pretty(&made.manifest).unwrap();
    let bare = BASE64_STANDARD.encode(key().sign(&bytes).to_bytes()).into_bytes();
    for signature in [bare, b"*".to_vec(), Vec::new()] {
        made.changed(&[(SIGNATURE, Some(signature))]);
        assert_eq!(made.code(), "feeds.bundle_signature_invalid");
    }
}

#[test]
fn a_changed_byte_is_found_wherever_it_is() {
    let made = Made::new();
    let text = serde_json::to_string_pretty(&made.manifest).unwrap();
    let changed = text.replace("vendor.example", "wendor.example");
    assert_ne!(changed, text);
    made.changed(&[(MANIFEST, Some(changed.into_bytes()))]);
    assert_eq!(made.code(), "feeds.bundle_signature_invalid");

    for packed in [
        zstd::encode_all(&b"3"[..], 0).unwrap(),
        zstd::encode_all(&b""[..], 0).unwrap(),
        b"1".to_vec(),
        Vec::new(),
        // A bomb: it is not unpacked any further than the document is long.
        zstd::encode_all(std::io::repeat(0).take(64 << 20), 0).unwrap(),
    ] {
        let made = Made::new();
        made.changed(&[(&entry_of(&made.document().sha256), Some(packed))]);
        assert_eq!(made.code(), "feeds.bundle_document_changed");
    }
}

#[test]
fn what_is_missing_and_what_was_added_is_found() {
    let made = Made::new();
    made.changed(&[(&entry_of(&made.document().sha256), None)]);
    assert_eq!(made.code(), "feeds.bundle_document_missing");
    for name in ["../../etc/passwd", "/etc/passwd", "documents/../manifest.json", "note.txt"] {
        let made = Made::new();
        made.changed(&[(name, Some(b"1".to_vec()))]);
        assert_eq!(made.code(), "feeds.bundle_entry_unexpected", "{name}");
    }
}

#[test]
fn what_is_no_bundle_has_its_own_reason() {
    for entry in [MANIFEST, SIGNATURE] {
        let made = Made::new();
        made.changed(&[(entry, None)]);
        assert_eq!(made.code(), "feeds.bundle_malformed");
    }
    let made = Made::new();
    let whole = std::fs::read(made.path()).unwrap();
    std::fs::write(made.path(), &whole[..whole.len() / 2]).unwrap();
    assert_eq!(made.code(), "feeds.bundle_malformed");
    std::fs::write(made.path(), "hello").unwrap();
    assert_eq!(made.code(), "feeds.bundle_malformed");
    std::fs::remove_file(made.path()).unwrap();
    assert_eq!(made.code(), "feeds.bundle_unreadable");
}

#[test]
fn a_manifest_that_cannot_be_used_is_refused_even_where_it_is_signed() {
    let made = Made::new();
    let good = serde_json::to_value(&made.manifest).unwrap();
    let with = |pointer: &str, value: serde_json::Value| {
        let mut changed = good.clone();
        *changed.pointer_mut(pointer).unwrap() = value;
        changed
    };
    for (manifest, code) in [
        (with("/version", 2.into()), "feeds.bundle_version_unknown"),
        (with("/feeds/0/format", "TELEPATHY".into()), "feeds.bundle_manifest_invalid"),
        (with("/feeds/0/documents/0/sha256", "../secret".into()), "feeds.bundle_manifest_invalid"),
        (with("/feeds/0/documents/0/bytes", (BYTES_MAX + 1).into()), "feeds.bundle_manifest_invalid"),
        (with("/feeds/0/documents/0/name", "document 2".into()), "feeds.bundle_manifest_invalid"),
        (with("/feeds/0/documents/0/name", "\0".into()), "feeds.bundle_manifest_invalid"),
        (with("/feeds/1/name", "one".into()), "feeds.bundle_manifest_invalid"),
        (with("/feeds/0/documents/0/bytes", 2.into()), "feeds.bundle_document_changed"),
        (with("/feeds", serde_json::json!({})), "feeds.bundle_manifest_invalid"),
    ] {
        made.signed(&manifest);
        assert_eq!(made.code(), code, "{manifest}");
    }
    made.signed(&good);
    assert!(made.open().is_ok());
}

#[test]
fn an_export_writes_no_document_that_is_damaged_or_lacking_and_leaves_no_half_a_bundle() {
    let made = Made::new();
    let archive = Archive::new(made.folder.path().join("archive"));
    let to = made.folder.path().join("another");
    let write = || write(&archive, made.manifest.clone(), &key(), &to).unwrap_err().code();
    std::fs::write(archive.path_of(&made.document().sha256), "hello").unwrap();
    assert_eq!(write(), "feeds.export_archive_damaged");
    std::fs::remove_file(archive.path_of(&made.document().sha256)).unwrap();
    assert_eq!(write(), "feeds.export_not_archived");
    let left: Vec<_> = std::fs::read_dir(made.folder.path()).unwrap().collect();
    assert_eq!(left.len(), 2, "the archive and the first bundle: {left:?}");
}
