//! Windows Update as a recorded answer: the same reports as from a real Windows device, from a file.

use crate::AgentError;
use crate::backend::{Description, Scan};
use crate::files::read_json;
use contracts::agent::Inventory;
use contracts::devices::AvailableUpdate;
use contracts::{DevicePlatform, OsRelease};
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// The recorded backend.
pub struct Recorded {
    path: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    /// `Windows 11 Version 22H2 for x64-based Systems`
    product: String,
    /// `10.0.22621.3007`
    build: String,
    /// KB numbers.
    installed: Vec<String>,
    applicable: Vec<ApplicableUpdate>,
    /// `Windows Update`
    source: String,
    #[serde(default)]
    pending_reboot: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ApplicableUpdate {
    kb: String,
    #[serde(default)]
    security: bool,
}

impl Recorded {
    /// Answers from this file, read anew at every scan.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    pub(super) fn describe(&self) -> Result<Description, AgentError> {
        let answer = self.read()?;
        let os_name = format!("{} ({})", answer.product, answer.build);
        Ok(Description { platform: DevicePlatform::Windows, os: answer.os(), os_name })
    }

    pub(super) fn scan(&self) -> Result<Scan, AgentError> {
        let answer = self.read()?;
        let sorted = |mut list: Vec<String>| {
            list.sort();
            list.dedup();
            list
        };
        let mut available: Vec<_> = answer
            .applicable
            .iter()
            .map(|update| AvailableUpdate {
                name: update.kb.clone(),
                installed_version: String::new(),
                candidate_version: String::new(),
                origin: answer.source.clone(),
                security: update.security,
            })
            .collect();
        available.sort();
        Ok(Scan {
            os: answer.os(),
            inventory: Inventory::WindowsUpdates {
                installed: sorted(answer.installed),
                applicable: sorted(answer.applicable.into_iter().map(|update| update.kb).collect()),
                build: answer.build,
            },
            available,
            source: answer.source,
            pending_reboot: answer.pending_reboot,
        })
    }

    fn read(&self) -> Result<Answer, AgentError> {
        let answer: Answer = read_json(&self.path)?.ok_or_else(|| AgentError::Damaged {
            path: self.path.clone(),
            detail: "there is no such file".to_owned(),
        })?;
        let names = answer.installed.iter().chain(answer.applicable.iter().map(|update| &update.kb));
        for name in names {
            let digits = name.strip_prefix("KB").unwrap_or_default();
            if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
                return Err(AgentError::Damaged {
                    path: self.path.clone(),
                    detail: format!("{name:?} is not a KB number"),
                });
            }
        }
        Ok(answer)
    }
}

impl Answer {
    fn os(&self) -> OsRelease {
        OsRelease { id: "windows".to_owned(), version: self.product.clone() }
    }
}
