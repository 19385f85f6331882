//! A document on its way into a temporary file: counted against the limit, and hashed.

use super::{FetchError, Spooled, Validators};
use sha2::{Digest, Sha256};
use std::io::{Seek, Write};

/// A document that arrives piece by piece.
#[derive(Debug)]
pub(super) struct Spool {
    file: std::fs::File,
    hash: Sha256,
    bytes: u64,
    limit: u64,
}

impl Spool {
    pub(super) fn new(limit: u64) -> Result<Self, FetchError> {
        let file = tempfile::tempfile().map_err(|error| FetchError::Spool { reason: error.to_string() })?;
        Ok(Self { file, hash: Sha256::new(), bytes: 0, limit })
    }

    pub(super) fn write(&mut self, piece: &[u8]) -> Result<(), FetchError> {
        self.bytes += piece.len() as u64;
        if self.bytes > self.limit {
            return Err(FetchError::TooLarge { limit: self.limit });
        }
        self.hash.update(piece);
        self.file.write_all(piece).map_err(|error| FetchError::Spool { reason: error.to_string() })
    }

    /// How many bytes have arrived.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn finish(mut self, validators: Validators) -> Result<Spooled, FetchError> {
        self.file.rewind().map_err(|error| FetchError::Spool { reason: error.to_string() })?;
        Ok(Spooled { file: self.file, sha256: self.hash.finalize().into(), validators })
    }
}
