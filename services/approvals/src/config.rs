//! The section `approvals` of the settings.

use runtime::Settings;
use runtime::settings::{Key, SettingsError};
use serde::Deserialize;
use std::time::Duration;

/// Why the section cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It does not have the right shape.
    #[error(transparent)]
    Shape(#[from] SettingsError),
    /// The timer would never rest.
    #[error("approvals.rules_interval_seconds must be at least 1")]
    NoRest,
    /// There is no such share.
    #[error("approvals.broad_rule_percent must be 0 to 100, and is {percent}")]
    NoShare {
        /// What was given.
        percent: u8,
    },
}

/// The section `approvals`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ApprovalsSettings {
    /// How often rules look at what is due.
    pub rules_interval_seconds: u32,
    /// A rule that would approve a larger share of what is pending has to be confirmed.
    pub broad_rule_percent: u8,
    /// One that would allow fewer installations is never too broad.
    pub broad_rule_installs: u64,
}

/// Every key of the section, for the reference of settings.
pub const KEYS: &[Key] = &[
    Key {
        name: "approvals.rules_interval_seconds",
        default: "1",
        doc: "How often auto-approval rules look at what changed and at delays that have ended.",
    },
    Key {
        name: "approvals.broad_rule_percent",
        default: "50",
        doc: "A rule that would approve more than this share of the installations that are pending is refused until somebody confirms it.",
    },
    Key {
        name: "approvals.broad_rule_installs",
        default: "100",
        doc: "A rule that would allow fewer installations than this needs no confirmation, whatever their share.",
    },
];

impl Default for ApprovalsSettings {
    fn default() -> Self {
        Self { rules_interval_seconds: 1, broad_rule_percent: 50, broad_rule_installs: 100 }
    }
}

impl ApprovalsSettings {
    /// Reads and checks the section.
    pub fn read(settings: &Settings) -> Result<Self, ConfigError> {
        let config: Self = settings.section("approvals")?;
        config.check()?;
        Ok(config)
    }

    /// The pause between two looks.
    pub fn rules_interval(&self) -> Duration {
        Duration::from_secs(self.rules_interval_seconds.into())
    }

    fn check(&self) -> Result<(), ConfigError> {
        if self.rules_interval_seconds == 0 {
            return Err(ConfigError::NoRest);
        }
        if self.broad_rule_percent > 100 {
            return Err(ConfigError::NoShare { percent: self.broad_rule_percent });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{ApprovalsSettings, ConfigError, KEYS};
    use runtime::settings::field_names;

    #[test]
    fn every_key_of_the_section_stands_in_the_reference() {
        let described: Vec<_> = KEYS.iter().map(|key| key.name.strip_prefix("approvals.").unwrap()).collect();
        assert_eq!(described, field_names::<ApprovalsSettings>());
    }

    #[test]
    fn the_reference_names_the_real_defaults() {
        let real = ApprovalsSettings::default();
        let real =
            [real.rules_interval_seconds.into(), real.broad_rule_percent.into(), real.broad_rule_installs];
        let described: Vec<u64> = KEYS.iter().map(|key| key.default.parse().unwrap()).collect();
        assert_eq!(described, real);
    }

    #[test]
    fn what_cannot_work_is_refused() {
        let restless = ApprovalsSettings { rules_interval_seconds: 0, ..ApprovalsSettings::default() };
        assert!(matches!(restless.check(), Err(ConfigError::NoRest)));
        let more = ApprovalsSettings { broad_rule_percent: 101, ..ApprovalsSettings::default() };
        assert!(matches!(more.check(), Err(ConfigError::NoShare { percent: 101 })));
        assert!(ApprovalsSettings::default().check().is_ok());
    }
}
