//! What the agent keeps: its key, who it is, and a lock so that it is there only once.

use crate::AgentError;
use crate::files::{failed, private_folder, read_json, sync_parent, write_json};
use ed25519_dalek::SigningKey;
use kernel::{CustomerId, DeviceId};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Who the server says this device is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Where it enrolled.
    pub server: String,
    /// Its id.
    pub device_id: DeviceId,
    /// Its customer.
    pub customer_id: CustomerId,
    /// The key that signs this device's jobs, base64.
    pub job_public_key: String,
}

/// The state folder, mode 0700.
#[derive(Debug)]
pub struct State {
    folder: PathBuf,
    // Released by the operating system, however the program ends.
    _lock: Option<File>,
}

impl State {
    /// Opens the folder for this agent alone, making it if need be.
    pub fn open(folder: &Path) -> Result<Self, AgentError> {
        private_folder(folder)?;
        let path = folder.join("lock");
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(failed("opening", &path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { folder: folder.to_owned(), _lock: Some(lock) }),
            Err(std::fs::TryLockError::WouldBlock) => Err(AgentError::InUse { path: folder.to_owned() }),
            Err(std::fs::TryLockError::Error(error)) => Err(failed("locking", &path)(error)),
        }
    }

    /// Looks at a folder that another agent may be using.
    pub fn peek(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), _lock: None }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The device's own key, made at first use and never sent anywhere.
    pub fn key(&self) -> Result<SigningKey, AgentError> {
        let path = self.folder.join("device.key");
        match std::fs::read(&path) {
            Ok(seed) => {
                let seed: [u8; 32] = seed.as_slice().try_into().map_err(|e| AgentError::Damaged {
                    path: path.clone(),
                    detail: format!("{} bytes instead of 32: {e}", seed.len()),
                })?;
                Ok(SigningKey::from_bytes(&seed))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let mut seed = [0u8; 32];
                getrandom::fill(&mut seed).map_err(|e| AgentError::Random { detail: e.to_string() })?;
                // Not by rename: a key that is there must never be replaced.
                let mut file = OpenOptions::new()
                    .write(true)
                    .create_new(true)
                    .mode(0o600)
                    .open(&path)
                    .map_err(failed("making", &path))?;
                file.write_all(&seed).and_then(|()| file.sync_all()).map_err(failed("writing", &path))?;
                sync_parent(&path)?;
                Ok(SigningKey::from_bytes(&seed))
            }
            Err(error) => Err(failed("reading", &path)(error)),
        }
    }

    /// Who the device is, once enrolled.
    pub fn identity(&self) -> Result<Option<Identity>, AgentError> {
        read_json(&self.identity_path())
    }

    /// Keeps who the device is.
    pub fn keep_identity(&self, identity: &Identity) -> Result<(), AgentError> {
        write_json(&self.identity_path(), identity)
    }

    fn identity_path(&self) -> PathBuf {
        self.folder.join("identity.json")
    }
}
