//! Verifies a bundle: first who made it, then that everything in it is what was put there.

use super::manifest::{BundledDocument, BundledFeed, Manifest, VERSION};
use super::{
    DOCUMENTS_MAX, MANIFEST, MANIFEST_BYTES_MAX, SIGNATURE, SIGNATURE_BYTES_MAX, entry_of, signed_bytes,
};
use crate::import::hex;
use base64::{Engine, prelude::BASE64_STANDARD};
use ed25519_dalek::{Signature, VerifyingKey};
use feeds_documents::limits::DECODER_MEMORY_BYTES_MAX;
use kernel::Refused;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, Write};
use std::path::Path;
use zip::ZipArchive;
use zip::result::ZipError;

/// Bytes unpacked at once.
const PIECE_BYTES: usize = 64 << 10;

/// Why a bundle is not taken in. Nothing of it is.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The file is not there, or cannot be read.
    #[error("the bundle cannot be read: {reason}")]
    Unreadable {
        /// What the system says.
        reason: String,
    },
    /// It is no zip file, or lacks its manifest or signature.
    #[error("the file is not a bundle of feeds: {reason}")]
    NotABundle {
        /// What is wrong with it.
        reason: String,
    },
    /// Somebody else made it, or changed what its maker signed.
    #[error("the bundle was not signed with the trusted key, or its manifest was changed")]
    Forged,
    /// Made by a newer version.
    #[error("the bundle is of version {version}, and this program reads version {VERSION}")]
    UnknownVersion {
        /// The bundle's.
        version: u32,
    },
    /// Signed, but not what a manifest says.
    #[error("the bundle's manifest cannot be used: {reason}")]
    InvalidManifest {
        /// What is wrong with it.
        reason: String,
    },
    /// Something was added, whatever its name.
    #[error("the bundle holds {name:?}, which its manifest does not name")]
    Unexpected {
        /// The entry's name.
        name: String,
    },
    /// Something was taken away.
    #[error("the bundle lacks the document {name:?} ({sha256})")]
    Missing {
        /// The document's name.
        name: String,
        /// Its hash.
        sha256: String,
    },
    /// It is not what the manifest says, or grows beyond it.
    #[error("the bundle's document {name:?} is not the one of its manifest ({sha256})")]
    Changed {
        /// The document's name.
        name: String,
        /// The hash that it should have.
        sha256: String,
    },
    /// Beyond a limit.
    #[error("the bundle's {what} is larger than {limit}")]
    TooLarge {
        /// What of it.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
}

impl Refused for BundleError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "feeds.bundle_unreadable",
            Self::NotABundle { .. } => "feeds.bundle_malformed",
            Self::Forged => "feeds.bundle_signature_invalid",
            Self::UnknownVersion { .. } => "feeds.bundle_version_unknown",
            Self::InvalidManifest { .. } => "feeds.bundle_manifest_invalid",
            Self::Unexpected { .. } => "feeds.bundle_entry_unexpected",
            Self::Missing { .. } => "feeds.bundle_document_missing",
            Self::Changed { .. } => "feeds.bundle_document_changed",
            Self::TooLarge { .. } => "feeds.bundle_too_large",
        }
    }
}

impl From<io::Error> for BundleError {
    fn from(error: io::Error) -> Self {
        Self::Unreadable { reason: error.to_string() }
    }
}

impl From<ZipError> for BundleError {
    fn from(error: ZipError) -> Self {
        if let ZipError::Io(error) = error {
            return error.into();
        }
        Self::NotABundle { reason: error.to_string() }
    }
}

/// A bundle all of which was verified.
#[derive(Debug)]
pub struct Bundle {
    manifest: Manifest,
    archive: ZipArchive<BufReader<File>>,
}

/// Opens a bundle and verifies all of it, with documents of at most `bytes_max` bytes.
pub fn open_bundle(path: &Path, trusted: &VerifyingKey, bytes_max: u64) -> Result<Bundle, BundleError> {
    let mut file = File::open(path)?;
    // Two entries more: the manifest and its signature.
    let limit = DOCUMENTS_MAX + 2;
    if feeds_documents::zipped::entries(&mut file, limit)? > limit {
        return Err(BundleError::TooLarge { what: "number of entries", limit: limit as u64 });
    }
    let mut archive = ZipArchive::new(BufReader::new(file))?;
    let manifest = manifest_of(&mut archive, trusted, bytes_max)?;
    require_no_other(&archive, &manifest)?;
    let mut bundle = Bundle { manifest, archive };
    let mut verified = HashSet::new();
    for document in bundle.manifest.clone().feeds.iter().flat_map(|feed| &feed.documents) {
        // The same document may belong to several feeds.
        if verified.insert((&document.sha256, document.bytes)) {
            bundle.copy(document, &mut io::sink())?;
        }
    }
    Ok(bundle)
}

impl Bundle {
    /// What it says of itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The feeds in it.
    pub fn feeds(&self) -> &[BundledFeed] {
        &self.manifest.feeds
    }

    /// Unpacks a document into a temporary file that has no name, verified once more.
    pub fn unpack(&mut self, document: &BundledDocument) -> Result<File, BundleError> {
        let mut file = tempfile::tempfile()?;
        self.copy(document, &mut file)?;
        file.rewind()?;
        Ok(file)
    }

    fn copy(&mut self, document: &BundledDocument, to: &mut impl Write) -> Result<(), BundleError> {
        let BundledDocument { name, sha256, bytes, .. } = document;
        let changed = || BundleError::Changed { name: name.clone(), sha256: sha256.clone() };
        let packed = match self.archive.by_name(&entry_of(sha256)) {
            Ok(packed) => packed,
            Err(ZipError::FileNotFound) => {
                return Err(BundleError::Missing { name: name.clone(), sha256: sha256.clone() });
            }
            Err(error) => return Err(error.into()),
        };
        let mut unpacked = zstd::stream::read::Decoder::new(packed).map_err(|_why| changed())?;
        unpacked.window_log_max(DECODER_MEMORY_BYTES_MAX.ilog2()).map_err(|_why| changed())?;
        let mut hash = Sha256::new();
        let mut left = *bytes;
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            // What cannot be unpacked was changed, and so was what does not end where it should.
            let read = unpacked.read(&mut piece).map_err(|_why| changed())?;
            let Some(piece) = piece.get(..read).filter(|piece| !piece.is_empty()) else { break };
            left = left.checked_sub(read as u64).ok_or_else(changed)?;
            hash.update(piece);
            to.write_all(piece)?;
        }
        if left == 0 && hex(&hash.finalize()) == *sha256 { Ok(()) } else { Err(changed()) }
    }
}

fn manifest_of(
    archive: &mut ZipArchive<BufReader<File>>,
    trusted: &VerifyingKey,
    bytes_max: u64,
) -> Result<Manifest, BundleError> {
    /// The one field of every version.
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }

    let manifest = read_entry(archive, MANIFEST, "manifest", MANIFEST_BYTES_MAX)?;
    let signature = read_entry(archive, SIGNATURE, "signature", SIGNATURE_BYTES_MAX)?;
    let signature = BASE64_STANDARD
        .decode(signature.trim_ascii())
        .ok()
        .and_then(|bytes| Signature::from_slice(&bytes).ok())
        .ok_or(BundleError::Forged)?;
    if trusted.verify_strict(&signed_bytes(&manifest), &signature).is_err() {
        return Err(BundleError::Forged);
    }
    let invalid = |reason: String| BundleError::InvalidManifest { reason };
    let Versioned { version } =
        serde_json::from_slice(&manifest).map_err(|error| invalid(error.to_string()))?;
    if version != VERSION {
        return Err(BundleError::UnknownVersion { version });
    }
    let manifest: Manifest = serde_json::from_slice(&manifest).map_err(|error| invalid(error.to_string()))?;
    match manifest.fault(bytes_max) {
        Some(reason) => Err(invalid(reason)),
        None => Ok(manifest),
    }
}

fn read_entry(
    archive: &mut ZipArchive<BufReader<File>>,
    name: &str,
    what: &'static str,
    limit: u64,
) -> Result<Vec<u8>, BundleError> {
    let entry = match archive.by_name(name) {
        Ok(entry) => entry,
        Err(ZipError::FileNotFound) => {
            return Err(BundleError::NotABundle { reason: format!("it has no {name}") });
        }
        Err(error) => return Err(error.into()),
    };
    let mut bytes = Vec::new();
    entry.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(BundleError::TooLarge { what, limit });
    }
    Ok(bytes)
}

/// Refuses entries that nobody signed, such as `../../etc/passwd`.
fn require_no_other(archive: &ZipArchive<BufReader<File>>, manifest: &Manifest) -> Result<(), BundleError> {
    let documents = manifest.feeds.iter().flat_map(|feed| &feed.documents);
    let mut named: HashSet<String> = documents.map(|document| entry_of(&document.sha256)).collect();
    named.extend([MANIFEST, SIGNATURE].map(ToOwned::to_owned));
    for name in archive.file_names() {
        let name = name?;
        if !named.contains(name.as_ref()) {
            return Err(BundleError::Unexpected { name: name.into_owned() });
        }
    }
    Ok(())
}
