//! The keys of bundles, as files in PEM.

use ed25519_dalek::pkcs8::{DecodePrivateKey, DecodePublicKey};
use ed25519_dalek::{SigningKey, VerifyingKey};
use kernel::Refused;
use std::path::{Path, PathBuf};

/// A key that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read.
    #[error("the key file {path:?} cannot be read: {reason}")]
    File {
        /// Which.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// It holds something else.
    #[error("{path:?} is not {expected}: {reason}")]
    NotAKey {
        /// Which.
        path: PathBuf,
        /// What it should be.
        expected: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

impl Refused for KeyError {
    fn code(&self) -> &'static str {
        match self {
            Self::File { .. } => "feeds.bundle_key_unreadable",
            Self::NotAKey { .. } => "feeds.bundle_key_invalid",
        }
    }
}

/// Reads the key that signs bundles (`openssl genpkey -algorithm ed25519`).
pub fn signing_key(path: &Path) -> Result<SigningKey, KeyError> {
    SigningKey::from_pkcs8_pem(&text(path)?).map_err(|error| KeyError::NotAKey {
        path: path.to_owned(),
        expected: "an Ed25519 private key in PKCS#8 PEM",
        reason: error.to_string(),
    })
}

/// Reads the key that bundles must be signed with (`openssl pkey -pubout`).
pub fn trusted_key(path: &Path) -> Result<VerifyingKey, KeyError> {
    let not_a_key = |reason| KeyError::NotAKey {
        path: path.to_owned(),
        expected: "an Ed25519 public key in PEM",
        reason,
    };
    let key =
        VerifyingKey::from_public_key_pem(&text(path)?).map_err(|error| not_a_key(error.to_string()))?;
    // Anybody can sign for a key of small order.
    if key.is_weak() { Err(not_a_key("it is weak".to_owned())) } else { Ok(key) }
}

fn text(path: &Path) -> Result<String, KeyError> {
    std::fs::read_to_string(path)
        .map_err(|error| KeyError::File { path: path.to_owned(), reason: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::{signing_key, trusted_key};
    use ed25519_dalek::SigningKey;
    use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
    use ed25519_dalek::pkcs8::{EncodePrivateKey, EncodePublicKey};
    use kernel::Refused;

    #[test]
    fn keys_are_read_from_pem_and_not_taken_for_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let (private, public) = (folder.path().join("key.pem"), folder.path().join("key.pub.pem"));
        let key = SigningKey::from_bytes(&[7; 32]);
        std::fs::write(&private, key.to_pkcs8_pem(LineEnding::LF).unwrap().as_bytes()).unwrap();
        std::fs::write(&public, key.verifying_key().to_public_key_pem(LineEnding::LF).unwrap()).unwrap();
        assert_eq!(signing_key(&private).unwrap().to_bytes(), key.to_bytes());
        assert_eq!(trusted_key(&public).unwrap(), key.verifying_key());
        assert_eq!(signing_key(&public).unwrap_err().code(), "feeds.bundle_key_invalid");
        assert_eq!(trusted_key(&private).unwrap_err().code(), "feeds.bundle_key_invalid");
        let nowhere = folder.path().join("nowhere.pem");
        assert_eq!(trusted_key(&nowhere).unwrap_err().code(), "feeds.bundle_key_unreadable");
    }
}
