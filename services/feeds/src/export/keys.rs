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
    use kernel::Refused;

    /// The examples of RFC 8410, as `openssl` writes keys.
    const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
-----END PRIVATE KEY-----
";
    const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----
";

    #[test]
    fn keys_are_read_from_pem_and_not_taken_for_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let (private, public) = (folder.path().join("key.pem"), folder.path().join("key.pub.pem"));
        std::fs::write(&private, PRIVATE).unwrap();
        std::fs::write(&public, PUBLIC).unwrap();
        assert_eq!(signing_key(&private).unwrap().verifying_key(), trusted_key(&public).unwrap());
        assert_eq!(signing_key(&public).unwrap_err().code(), "feeds.bundle_key_invalid");
        assert_eq!(trusted_key(&private).unwrap_err().code(), "feeds.bundle_key_invalid");
        let nowhere = folder.path().join("nowhere.pem");
        assert_eq!(trusted_key(&nowhere).unwrap_err().code(), "feeds.bundle_key_unreadable");
    }
}
