//! The section `feeds` of the settings.

use feeds_domain::package::RETENTION_DAYS_MAX;
use runtime::Settings;
use runtime::settings::{Environment, Key, SettingsError};
use serde::Deserialize;
use std::path::PathBuf;
use std::time::Duration;
use url::Url;

/// Why the section cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It does not have the right shape.
    #[error(transparent)]
    Shape(#[from] SettingsError),
    /// Nothing could ever be fetched.
    #[error("feeds.fetch_timeout_seconds and feeds.document_bytes_max must be at least 1")]
    NothingFits,
    /// Packages that nobody needs any more go within two weeks.
    #[error("feeds.package_retention_days is {days}, allowed are 1 to {RETENTION_DAYS_MAX}")]
    Retention {
        /// What was given.
        days: u32,
    },
}

/// The largest known documents are OVAL files of some 400 MiB; compressed, as most are, they are below 32.
const DOCUMENT_BYTES_MAX: u64 = 256 << 20;

/// The section `feeds`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FeedsSettings {
    /// The only folder that documents are read from.
    pub import_folder: PathBuf,
    /// Whether web sources may be inside the own network; by environment where it is not set.
    pub allow_private_addresses: Option<bool>,
    /// How long fetching one document may take.
    pub fetch_timeout_seconds: u64,
    /// Largest document as it is fetched, compressed or not.
    pub document_bytes_max: u64,
    /// Where the files of update packages are kept.
    pub packages_url: String,
    /// Where clients reach the service for these files.
    pub packages_public_url: Option<Url>,
    /// How long a package may stay that nobody needs any more.
    pub package_retention_days: u32,
}

/// Every key of the section, for the reference of settings.
pub const KEYS: &[Key] = &[
    Key {
        name: "feeds.import_folder",
        default: "import",
        doc: "The only folder that feeds read documents from; a feed's source is a path below it. Relative to the working folder.",
    },
    Key {
        name: "feeds.allow_private_addresses",
        default: "true in development, false in production",
        doc: "Whether http(s) sources may lead into the own network. If not, the system's proxy is not used either: it would resolve names unchecked.",
    },
    Key {
        name: "feeds.fetch_timeout_seconds",
        default: "60",
        doc: "How long fetching one document may take, from the connection to the last byte.",
    },
    Key {
        name: "feeds.document_bytes_max",
        default: "268435456",
        doc: "Largest document taken in, as it is fetched: compressed or not.",
    },
    Key {
        name: "feeds.packages_url",
        default: "packages",
        doc: "Where the files of update packages are kept: a folder (relative to the working folder, or `file:///…`), or `s3://bucket/prefix` with the usual `AWS_…` variables for region, credentials and the address of another S3-compatible storage (`AWS_ENDPOINT`).",
    },
    Key {
        name: "feeds.packages_public_url",
        default: "services.feeds.url",
        doc: "Where clients reach the routes `/packages/…` of feeds, over which files are sent and fetched by signed addresses.",
    },
    Key {
        name: "feeds.package_retention_days",
        default: "14",
        doc: "Within how many days a package is removed that was replaced, is installed wherever it was approved, or was never completely imported: 1 to 14.",
    },
];

impl Default for FeedsSettings {
    fn default() -> Self {
        Self {
            import_folder: "import".into(),
            allow_private_addresses: None,
            fetch_timeout_seconds: 60,
            document_bytes_max: DOCUMENT_BYTES_MAX,
            packages_url: "packages".into(),
            packages_public_url: None,
            package_retention_days: RETENTION_DAYS_MAX,
        }
    }
}

impl FeedsSettings {
    /// Reads and checks the section.
    pub fn read(settings: &Settings) -> Result<Self, ConfigError> {
        let config: Self = settings.section("feeds")?;
        config.check()?;
        Ok(config)
    }

    /// How long fetching one document may take.
    pub fn fetch_timeout(&self) -> Duration {
        Duration::from_secs(self.fetch_timeout_seconds)
    }

    /// Whether web sources may be inside the own network.
    pub fn private_addresses_allowed(&self, environment: Environment) -> bool {
        self.allow_private_addresses.unwrap_or(environment == Environment::Development)
    }

    fn check(&self) -> Result<(), ConfigError> {
        if self.fetch_timeout_seconds == 0 || self.document_bytes_max == 0 {
            return Err(ConfigError::NothingFits);
        }
        let days = self.package_retention_days;
        if (1..=RETENTION_DAYS_MAX).contains(&days) { Ok(()) } else { Err(ConfigError::Retention { days }) }
    }
}

#[cfg(test)]
mod tests {
    use super::{ConfigError, FeedsSettings, KEYS};
    use runtime::Settings;
    use runtime::settings::{Environment, field_names};

    fn read(key: &str, value: &str) -> Result<FeedsSettings, ConfigError> {
        let variables = [(format!("PATCHFLEET__FEEDS__{key}"), value.to_owned())];
        FeedsSettings::read(&Settings::from_variables(variables).unwrap())
    }

    #[test]
    fn every_key_of_the_section_stands_in_the_reference() {
        let described: Vec<_> = KEYS.iter().map(|key| key.name.strip_prefix("feeds.").unwrap()).collect();
        assert_eq!(described, field_names::<FeedsSettings>());
    }

    #[test]
    fn the_environment_can_set_every_kind_of_value() {
        assert_eq!(read("ALLOW_PRIVATE_ADDRESSES", "false").unwrap().allow_private_addresses, Some(false));
        assert_eq!(read("FETCH_TIMEOUT_SECONDS", "5").unwrap().fetch_timeout().as_secs(), 5);
        assert!(matches!(read("DOCUMENT_BYTES_MAX", "0"), Err(ConfigError::NothingFits)));
        assert!(matches!(read("PACKAGE_RETENTION_DAYS", "15"), Err(ConfigError::Retention { days: 15 })));
        assert!(matches!(read("PACKAGE_RETENTION_DAYS", "0"), Err(ConfigError::Retention { days: 0 })));
        assert!(matches!(read("IMPORT_FOLDERS", "import"), Err(ConfigError::Shape(_))));
    }

    #[test]
    fn the_own_network_is_open_to_feeds_in_development_only_unless_it_is_set() {
        let default = FeedsSettings::default();
        assert!(default.private_addresses_allowed(Environment::Development));
        assert!(!default.private_addresses_allowed(Environment::Production));
        let set = FeedsSettings { allow_private_addresses: Some(true), ..default };
        assert!(set.private_addresses_allowed(Environment::Production));
    }
}
