//! The section `alerts` of the settings.

use crate::webhook::target::{AllowedAddresses, InvalidRange};
use alerts_domain::delivery::RetryTable;
use chrono::TimeDelta;
use runtime::Settings;
use runtime::settings::{Environment, Key, SettingsError, list};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

/// For a desk only; production refuses to start with it.
const DEVELOPMENT_SECRET: &str = "patchfleet-development-webhook-secret-not-for-production";
/// As long as the keys that are derived from it.
const SECRET_BYTES_MIN: usize = 32;

/// Why the section cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It does not have the right shape.
    #[error(transparent)]
    Shape(#[from] SettingsError),
    /// An entry of the allow-list.
    #[error("alerts.webhook_allowed_addresses")]
    AllowedAddresses(#[from] InvalidRange),
    /// Too short to derive keys from.
    #[error("alerts.webhook_secret has {bytes} bytes, at least {SECRET_BYTES_MIN} are needed")]
    ShortSecret {
        /// How long it is.
        bytes: usize,
    },
    /// Known to everyone.
    #[error("alerts.webhook_secret is not set: production does not start with the development value")]
    DevelopmentSecret,
    /// Nothing would ever be sent.
    #[error("alerts.webhook_concurrency and alerts.webhook_concurrency_each must be at least 1")]
    NoConcurrency,
}

/// The section `alerts`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AlertsSettings {
    /// From it every webhook's signing keys are derived.
    pub webhook_secret: SecretString,
    /// Addresses outside the public network that receivers may have.
    #[serde(deserialize_with = "list")]
    pub webhook_allowed_addresses: Vec<String>,
    /// What the retry table counts in.
    pub webhook_retry_unit_ms: u32,
    /// Attempts at the same time.
    pub webhook_concurrency: usize,
    /// Attempts at the same time to one webhook.
    pub webhook_concurrency_each: usize,
}

/// Every key of the section, for the reference of settings.
pub const KEYS: &[Key] = &[
    Key {
        name: "alerts.webhook_secret",
        default: "a known text, refused in production",
        doc: "Every webhook's signing keys are derived from it; a change makes all of them invalid. At least 32 bytes. Secret.",
    },
    Key {
        name: "alerts.webhook_allowed_addresses",
        default: "",
        doc: "Addresses outside the public network that webhooks may lead to, also over http: `127.0.0.0/8, ::1`.",
    },
    Key {
        name: "alerts.webhook_retry_unit_ms",
        default: "1000",
        doc: "What stands for a second in the retry table 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 10 h; smaller for demonstrations.",
    },
    Key { name: "alerts.webhook_concurrency", default: "64", doc: "Webhook attempts at the same time." },
    Key {
        name: "alerts.webhook_concurrency_each",
        default: "4",
        doc: "Attempts at the same time to one webhook, so that a slow receiver slows nobody else.",
    },
];

impl Default for AlertsSettings {
    fn default() -> Self {
        Self {
            webhook_secret: DEVELOPMENT_SECRET.into(),
            webhook_allowed_addresses: Vec::new(),
            webhook_retry_unit_ms: 1_000,
            webhook_concurrency: 64,
            webhook_concurrency_each: 4,
        }
    }
}

impl AlertsSettings {
    /// Reads and checks the section.
    pub fn read(settings: &Settings) -> Result<Self, ConfigError> {
        let config: Self = settings.section("alerts")?;
        config.check(settings.environment)?;
        Ok(config)
    }

    /// The operator's list.
    pub fn allowed_addresses(&self) -> Result<AllowedAddresses, ConfigError> {
        Ok(AllowedAddresses::parse(&self.webhook_allowed_addresses)?)
    }

    /// When further attempts are made.
    pub fn retry_table(&self) -> RetryTable {
        RetryTable::in_units_of(TimeDelta::milliseconds(self.webhook_retry_unit_ms.into()))
    }

    fn check(&self, environment: Environment) -> Result<(), ConfigError> {
        let secret = self.webhook_secret.expose_secret();
        if secret.len() < SECRET_BYTES_MIN {
            return Err(ConfigError::ShortSecret { bytes: secret.len() });
        }
        if environment == Environment::Production && secret == DEVELOPMENT_SECRET {
            return Err(ConfigError::DevelopmentSecret);
        }
        if self.webhook_concurrency == 0 || self.webhook_concurrency_each == 0 {
            return Err(ConfigError::NoConcurrency);
        }
        self.allowed_addresses()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{AlertsSettings, ConfigError, KEYS};
    use runtime::settings::{Environment, field_names};

    #[test]
    fn every_key_of_the_section_stands_in_the_reference() {
        let described: Vec<_> = KEYS.iter().map(|key| key.name.strip_prefix("alerts.").unwrap()).collect();
        assert_eq!(described, field_names::<AlertsSettings>());
    }

    #[test]
    fn the_development_secret_is_refused_in_production() {
        let config = AlertsSettings::default();
        assert!(config.check(Environment::Development).is_ok());
        assert!(matches!(config.check(Environment::Production), Err(ConfigError::DevelopmentSecret)));
    }

    #[test]
    fn a_short_secret_a_bad_range_and_no_concurrency_are_refused() {
        let short = AlertsSettings { webhook_secret: "too short".into(), ..AlertsSettings::default() };
        let range = AlertsSettings {
            webhook_allowed_addresses: vec!["localhost".into()],
            ..AlertsSettings::default()
        };
        let none = AlertsSettings { webhook_concurrency_each: 0, ..AlertsSettings::default() };
        let refused = |config: AlertsSettings| config.check(Environment::Development).unwrap_err();
        assert!(matches!(refused(short), ConfigError::ShortSecret { bytes: 9 }));
        assert!(matches!(refused(range), ConfigError::AllowedAddresses(_)));
        assert!(matches!(refused(none), ConfigError::NoConcurrency));
    }

    #[test]
    fn the_secret_does_not_show_in_debug_output() {
        let shown = format!("{:?}", AlertsSettings::default());
        assert!(!shown.contains("not-for-production"), "{shown}");
    }
}
