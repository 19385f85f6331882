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
    #[error("feeds.{key} must be at least 1")]
    NothingFits {
        /// The key.
        key: &'static str,
    },
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
    /// Whether web sources may be read without TLS; by environment where it is not set.
    pub allow_http: Option<bool>,
    /// How long fetching one document may take, with all attempts.
    pub fetch_timeout_seconds: u64,
    /// How long a source may be silent.
    pub fetch_stall_seconds: u64,
    /// How often a document is tried to be had.
    pub fetch_attempts: u32,
    /// The pause before the second attempt.
    pub fetch_retry_seconds: u64,
    /// The pause between two pages of one list.
    pub page_pause_seconds: u64,
    /// Largest document as it is fetched, compressed or not.
    pub document_bytes_max: u64,
    /// How often feeds that are due are looked for.
    pub schedule_interval_seconds: u64,
    /// Where documents that were taken in are kept, if they are.
    pub archive_folder: Option<PathBuf>,
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
        name: "feeds.allow_http",
        default: "true in development, false in production",
        doc: "Whether feeds may be read by plain http, where anybody on the way can put another document in the place of the vendor's.",
    },
    Key {
        name: "feeds.fetch_timeout_seconds",
        default: "600",
        doc: "How long fetching one document may take, with all attempts and the pauses between them.",
    },
    Key {
        name: "feeds.fetch_stall_seconds",
        default: "30",
        doc: "How long a source may send nothing before the attempt counts as failed.",
    },
    Key {
        name: "feeds.fetch_attempts",
        default: "4",
        doc: "How often in a row a document is tried to be had before its synchronisation fails: after timeouts, lost connections and the statuses 408, 425, 429 and 5xx.",
    },
    Key {
        name: "feeds.fetch_retry_seconds",
        default: "5",
        doc: "The pause before the second attempt, a fifth more or less; it doubles with each further one. A source's Retry-After of up to five minutes is kept to.",
    },
    Key {
        name: "feeds.page_pause_seconds",
        default: "6",
        doc: "The pause between two pages of a list that comes in pages: the National Vulnerability Database wants six seconds.",
    },
    Key {
        name: "feeds.document_bytes_max",
        default: "268435456",
        doc: "Largest document taken in, as it is fetched: compressed or not.",
    },
    Key {
        name: "feeds.schedule_interval_seconds",
        default: "10",
        doc: "How often feeds that are due by their schedule are looked for.",
    },
    Key {
        name: "feeds.archive_folder",
        default: "",
        doc: "Where the last issue of each document of the platform's feeds is kept, for exports to disconnected sites: one folder for all processes of the service. Where it is not set, none is kept.",
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
            allow_http: None,
            fetch_timeout_seconds: 600,
            fetch_stall_seconds: 30,
            fetch_attempts: 4,
            fetch_retry_seconds: 5,
            page_pause_seconds: 6,
            document_bytes_max: DOCUMENT_BYTES_MAX,
            schedule_interval_seconds: 10,
            archive_folder: None,
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

    /// How long fetching one document may take, with all attempts.
    pub fn fetch_timeout(&self) -> Duration {
        Duration::from_secs(self.fetch_timeout_seconds)
    }

    /// How long a source may be silent.
    pub fn fetch_stall(&self) -> Duration {
        Duration::from_secs(self.fetch_stall_seconds)
    }

    /// The pause before the second attempt.
    pub fn fetch_pause(&self) -> Duration {
        Duration::from_secs(self.fetch_retry_seconds)
    }

    /// The pause between two pages of one list.
    pub fn page_pause(&self) -> Duration {
        Duration::from_secs(self.page_pause_seconds)
    }

    /// The pause between two looks for feeds that are due.
    pub fn schedule_interval(&self) -> Duration {
        Duration::from_secs(self.schedule_interval_seconds)
    }

    /// Whether web sources may be inside the own network.
    pub fn private_addresses_allowed(&self, environment: Environment) -> bool {
        self.allow_private_addresses.unwrap_or(environment == Environment::Development)
    }

    /// Whether web sources may be read without TLS.
    pub fn plain_http_allowed(&self, environment: Environment) -> bool {
        self.allow_http.unwrap_or(environment == Environment::Development)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let values = [
            ("fetch_timeout_seconds", self.fetch_timeout_seconds),
            ("fetch_stall_seconds", self.fetch_stall_seconds),
            ("fetch_attempts", self.fetch_attempts.into()),
            ("document_bytes_max", self.document_bytes_max),
            ("schedule_interval_seconds", self.schedule_interval_seconds),
        ];
        if let Some((key, _)) = values.into_iter().find(|(_, value)| *value == 0) {
            return Err(ConfigError::NothingFits { key });
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
        assert!(matches!(
            read("DOCUMENT_BYTES_MAX", "0"),
            Err(ConfigError::NothingFits { key: "document_bytes_max" })
        ));
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

    #[test]
    fn production_reads_feeds_over_https_only_unless_it_is_set() {
        let default = FeedsSettings::default();
        assert!(default.plain_http_allowed(Environment::Development));
        assert!(!default.plain_http_allowed(Environment::Production));
        let set = FeedsSettings { allow_http: Some(true), ..default };
        assert!(set.plain_http_allowed(Environment::Production));
    }

    #[test]
    fn the_reference_names_the_real_defaults() {
        let real = FeedsSettings::default();
        let real = [
            real.fetch_timeout_seconds,
            real.fetch_stall_seconds,
            real.fetch_attempts.into(),
            real.fetch_retry_seconds,
            real.page_pause_seconds,
            real.document_bytes_max,
            real.schedule_interval_seconds,
            real.package_retention_days.into(),
        ];
        let described: Vec<u64> = KEYS.iter().filter_map(|key| key.default.parse().ok()).collect();
        assert_eq!(described, real);
    }
}
