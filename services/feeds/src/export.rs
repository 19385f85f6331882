//! Bundles of documents for sites without a way to the vendors: written and signed here, verified and read there.
//!
//! ```text
//! bundle (zip) ── manifest.json        feeds and their documents, each with its SHA-256
//!              ├─ manifest.json.sig    Ed25519 over a fixed text and the manifest's bytes, base64
//!              └─ documents/<sha256>   each document once, compressed
//! ```
//! Nothing of a bundle is believed before the signature fits, and no document before its hash does. Names inside the
//! zip file lead nowhere: entries are looked up by hash.

mod keys;
mod manifest;
mod open;
mod write;

pub use keys::{KeyError, signing_key, trusted_key};
pub use manifest::{BundledDocument, BundledFeed, Manifest};
pub use open::{Bundle, BundleError, open_bundle};
pub use write::{ExportError, Selection, write_bundle};

/// What is signed begins with it, so that a signature made for something else is none for a bundle.
const SIGNATURE_CONTEXT: &[u8] = b"patchfleet feeds bundle v1\n";
const MANIFEST: &str = "manifest.json";
const SIGNATURE: &str = "manifest.json.sig";
/// Documents of a bundle: the publisher with the most has some 25,000.
const DOCUMENTS_MAX: usize = 500_000;
/// Bytes of a manifest: each document takes some 250.
const MANIFEST_BYTES_MAX: u64 = 256 << 20;
/// Bytes of a signature in base64, with a line end.
const SIGNATURE_BYTES_MAX: u64 = 100;

/// Name of a document's entry.
fn entry_of(sha256: &str) -> String {
    format!("documents/{sha256}")
}

fn signed_bytes(manifest: &[u8]) -> Vec<u8> {
    [SIGNATURE_CONTEXT, manifest].concat()
}

#[cfg(test)]
mod tests;
