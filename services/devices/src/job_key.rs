//! The key that signs jobs. Agents trust its public half from enrolment on.

use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey, spki::der::pem::LineEnding};
use rand::TryRng;
use runtime::settings::Environment;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Why jobs cannot be signed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JobKeyError {
    /// Agents would have to enrol again after every restart.
    #[error("devices.job_key_file is not set: production needs a job key that stays the same")]
    NotSet,
    /// It cannot be read, or cannot be made.
    #[error("devices.job_key_file {path:?} cannot be used")]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It holds something else.
    #[error("devices.job_key_file {path:?} is not an Ed25519 key in PKCS#8 PEM")]
    NotAKey {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: ed25519_dalek::pkcs8::Error,
    },
    /// The operating system gave no random bytes.
    #[error("a job key cannot be generated: {reason}")]
    Random {
        /// What it said.
        reason: String,
    },
}

/// Reads the key; in development, makes it if it is not there.
pub(crate) fn load(path: Option<&Path>, environment: Environment) -> Result<SigningKey, JobKeyError> {
    let Some(path) = path else {
        return match environment {
            Environment::Production => Err(JobKeyError::NotSet),
            Environment::Development => {
                tracing::warn!(
                    "devices.job_key_file is not set: agents must enrol again after the next start"
                );
                generate()
            }
        };
    };
    let failed = |source| JobKeyError::File { path: path.to_owned(), source };
    match (std::fs::read_to_string(path), environment) {
        (Ok(pem), _) => SigningKey::from_pkcs8_pem(&pem)
            .map_err(|source| JobKeyError::NotAKey { path: path.to_owned(), source }),
        (Err(error), Environment::Development) if error.kind() == io::ErrorKind::NotFound => {
            let key = generate()?;
            keep(path, &key).map_err(failed)?;
            tracing::info!(path = %path.display(), "a job key was made");
            Ok(key)
        }
        (Err(error), Environment::Development | Environment::Production) => Err(failed(error)),
    }
}

/// Random bytes of the operating system.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], JobKeyError> {
    let mut bytes = [0; N];
    rand::rngs::SysRng
        .try_fill_bytes(&mut bytes)
        .map_err(|error| JobKeyError::Random { reason: error.to_string() })?;
    Ok(bytes)
}

fn generate() -> Result<SigningKey, JobKeyError> {
    Ok(SigningKey::from_bytes(&random()?))
}

fn keep(path: &Path, key: &SigningKey) -> io::Result<()> {
    let pem = key.to_pkcs8_pem(LineEnding::LF).map_err(io::Error::other)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(pem.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::{JobKeyError, load};
    use runtime::settings::Environment;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Self {
            let path = std::env::temp_dir().join(format!("job-key-{}", testkit::id::<uuid::Uuid>()));
            std::fs::create_dir(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn in_development_a_key_is_made_once_and_for_the_owner_only() {
        let folder = Folder::new();
        let path = folder.0.join("job.pem");
        let first = load(Some(&path), Environment::Development).unwrap();
        let again = load(Some(&path), Environment::Production).unwrap();
        assert_eq!(first.to_bytes(), again.to_bytes());
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn production_makes_no_key() {
        let folder = Folder::new();
        let path = folder.0.join("job.pem");
        assert!(matches!(load(Some(&path), Environment::Production), Err(JobKeyError::File { .. })));
        assert!(matches!(load(None, Environment::Production), Err(JobKeyError::NotSet)));
        assert!(!path.exists());
    }

    #[test]
    fn a_file_with_something_else_is_refused_and_kept() {
        let folder = Folder::new();
        let path = folder.0.join("job.pem");
        std::fs::write(&path, "hello").unwrap();
        assert!(matches!(load(Some(&path), Environment::Development), Err(JobKeyError::NotAKey { .. })));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "hello");
    }
}
