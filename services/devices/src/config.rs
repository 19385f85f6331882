//! The section `devices` of the settings.

use runtime::Settings;
use runtime::settings::{Key, SettingsError};
use serde::Deserialize;
use std::{path::PathBuf, time::Duration};

/// Why the section cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It does not have the right shape.
    #[error(transparent)]
    Shape(#[from] SettingsError),
    /// Every device would go offline between two check-ins.
    #[error(
        "devices.offline_after_seconds ({offline}) must be at least twice devices.check_in_seconds ({check_in})"
    )]
    OfflineTooSoon {
        /// Seconds without contact.
        offline: u32,
        /// Seconds between check-ins.
        check_in: u32,
    },
    /// Nothing would get through.
    #[error("{key} must be at least 1")]
    Zero {
        /// Which key.
        key: &'static str,
    },
}

/// The section `devices`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DevicesSettings {
    /// PEM file with the Ed25519 key that signs jobs.
    pub job_key_file: Option<PathBuf>,
    /// Without contact for so long, a device is offline.
    pub offline_after_seconds: u32,
    /// How often agents are told to check in.
    pub check_in_seconds: u32,
    /// Requests of one device in the long run.
    pub requests_per_second: u32,
    /// Requests of one device at once.
    pub requests_burst: u32,
}

/// Every key of the section, for the reference of settings.
pub const KEYS: &[Key] = &[
    Key {
        name: "devices.job_key_file",
        default: "",
        doc: "PEM file (PKCS#8) with the Ed25519 key that signs jobs. Agents keep its public half when they enrol, so it must stay the same. In development it is made if it is not there (without a name, for this run only); production needs it.",
    },
    Key {
        name: "devices.offline_after_seconds",
        default: "120",
        doc: "A device that was not heard of for so long is offline.",
    },
    Key {
        name: "devices.check_in_seconds",
        default: "30",
        doc: "How often agents are told to check in; at the most half of devices.offline_after_seconds.",
    },
    Key {
        name: "devices.requests_per_second",
        default: "10",
        doc: "Requests that one device may make in the long run. Counted by device key, never by address.",
    },
    Key {
        name: "devices.requests_burst",
        default: "100",
        doc: "Requests that one device may make at once, as after a time without a connection.",
    },
];

impl Default for DevicesSettings {
    fn default() -> Self {
        Self {
            job_key_file: None,
            offline_after_seconds: 120,
            check_in_seconds: 30,
            requests_per_second: 10,
            requests_burst: 100,
        }
    }
}

impl DevicesSettings {
    /// Reads and checks the section.
    pub fn read(settings: &Settings) -> Result<Self, ConfigError> {
        let config: Self = settings.section("devices")?;
        config.check()?;
        Ok(config)
    }

    /// Without contact for so long, a device is offline.
    pub fn offline_after(&self) -> Duration {
        Duration::from_secs(self.offline_after_seconds.into())
    }

    fn check(&self) -> Result<(), ConfigError> {
        let counted = [
            ("devices.check_in_seconds", self.check_in_seconds),
            ("devices.requests_per_second", self.requests_per_second),
            ("devices.requests_burst", self.requests_burst),
        ];
        if let Some((key, _)) = counted.into_iter().find(|(_, value)| *value == 0) {
            return Err(ConfigError::Zero { key });
        }
        if self.offline_after_seconds / 2 < self.check_in_seconds {
            return Err(ConfigError::OfflineTooSoon {
                offline: self.offline_after_seconds,
                check_in: self.check_in_seconds,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{ConfigError, DevicesSettings, KEYS};
    use runtime::settings::field_names;

    #[test]
    fn every_key_of_the_section_stands_in_the_reference() {
        let described: Vec<_> = KEYS.iter().map(|key| key.name.strip_prefix("devices.").unwrap()).collect();
        assert_eq!(described, field_names::<DevicesSettings>());
    }

    #[test]
    fn the_defaults_can_be_used() {
        assert!(DevicesSettings::default().check().is_ok());
    }

    #[test]
    fn devices_that_could_never_stay_online_are_refused() {
        let config = DevicesSettings { offline_after_seconds: 59, ..DevicesSettings::default() };
        assert!(matches!(config.check(), Err(ConfigError::OfflineTooSoon { .. })));
        let config = DevicesSettings { requests_burst: 0, ..DevicesSettings::default() };
        assert!(matches!(config.check(), Err(ConfigError::Zero { key: "devices.requests_burst" })));
    }
}
