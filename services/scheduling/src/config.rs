//! The section `scheduling` of the settings.

use chrono::TimeDelta;
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
    /// Every job would be given up at once, or the watchdog would never rest.
    #[error("scheduling.{key} must be at least 1")]
    Zero {
        /// The key.
        key: &'static str,
    },
}

/// The section `scheduling`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SchedulingSettings {
    /// How long after it was queued an agent may begin a device job.
    pub job_valid_for_seconds: u32,
    /// A job of which nobody has heard for so long is given up.
    pub job_stalled_after_seconds: u32,
    /// How often the watchdog looks.
    pub watchdog_interval_seconds: u32,
}

/// Every key of the section, for the reference of settings.
pub const KEYS: &[Key] = &[
    Key {
        name: "scheduling.job_valid_for_seconds",
        default: "3600",
        doc: "How long after it was queued an agent may begin a device job; one that is still queued then times out.",
    },
    Key {
        name: "scheduling.job_stalled_after_seconds",
        default: "1800",
        doc: "A job that an agent has fetched, or a scan that was asked for, is given up when nobody has heard of it for so long.",
    },
    Key {
        name: "scheduling.watchdog_interval_seconds",
        default: "10",
        doc: "How often the watchdog looks for jobs to give up.",
    },
];

impl Default for SchedulingSettings {
    fn default() -> Self {
        Self { job_valid_for_seconds: 3_600, job_stalled_after_seconds: 1_800, watchdog_interval_seconds: 10 }
    }
}

impl SchedulingSettings {
    /// Reads and checks the section.
    pub fn read(settings: &Settings) -> Result<Self, ConfigError> {
        let config: Self = settings.section("scheduling")?;
        config.check()?;
        Ok(config)
    }

    /// How long a device job may be begun.
    pub fn job_valid_for(&self) -> TimeDelta {
        TimeDelta::seconds(self.job_valid_for_seconds.into())
    }

    /// How long nobody may have heard of a job.
    pub fn job_stalled_after(&self) -> TimeDelta {
        TimeDelta::seconds(self.job_stalled_after_seconds.into())
    }

    /// The pause between two looks.
    pub fn watchdog_interval(&self) -> Duration {
        Duration::from_secs(self.watchdog_interval_seconds.into())
    }

    fn check(&self) -> Result<(), ConfigError> {
        let values = [
            ("job_valid_for_seconds", self.job_valid_for_seconds),
            ("job_stalled_after_seconds", self.job_stalled_after_seconds),
            ("watchdog_interval_seconds", self.watchdog_interval_seconds),
        ];
        match values.into_iter().find(|(_, seconds)| *seconds == 0) {
            Some((key, _)) => Err(ConfigError::Zero { key }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ConfigError, KEYS, SchedulingSettings};
    use runtime::settings::field_names;

    #[test]
    fn every_key_of_the_section_stands_in_the_reference() {
        let described: Vec<_> =
            KEYS.iter().map(|key| key.name.strip_prefix("scheduling.").unwrap()).collect();
        assert_eq!(described, field_names::<SchedulingSettings>());
    }

    #[test]
    fn the_reference_names_the_real_defaults() {
        let real = SchedulingSettings::default();
        let real =
            [real.job_valid_for_seconds, real.job_stalled_after_seconds, real.watchdog_interval_seconds];
        let described: Vec<u32> = KEYS.iter().map(|key| key.default.parse().unwrap()).collect();
        assert_eq!(described, real);
    }

    #[test]
    fn no_time_at_all_is_refused() {
        let never = SchedulingSettings { job_stalled_after_seconds: 0, ..SchedulingSettings::default() };
        assert!(matches!(never.check(), Err(ConfigError::Zero { key: "job_stalled_after_seconds" })));
        assert!(SchedulingSettings::default().check().is_ok());
    }
}
