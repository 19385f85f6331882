//! Settings: defaults, then a TOML file, then the environment. Names that nobody knows are refused.

mod describe;
mod list;
mod production;
mod sections;
mod source;

pub use describe::{Key, field_names};
pub use list::list;
pub use production::Unsafe;
pub use sections::{
    Address, Broker, Database, Environment, Identity, Internal, LogFormat, Privacy, ServiceAddresses,
    TelemetrySettings,
};

use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};

/// Everything that can be configured.
#[derive(Clone)]
pub struct Settings {
    /// Development or production.
    pub environment: Environment,
    /// Event store and projections.
    pub database: Database,
    /// `RabbitMQ`.
    pub broker: Broker,
    /// Logs and traces.
    pub telemetry: TelemetrySettings,
    /// Where each service listens and is reached.
    pub services: ServiceAddresses,
    /// How services trust each other.
    pub internal: Internal,
    /// What encrypts the keys of persons.
    pub privacy: Privacy,
    /// How people prove who they are.
    pub identity: Identity,
    raw: config::Config,
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file is not there or not TOML.
    #[error("settings file {path:?} cannot be read")]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: Box<config::ConfigError>,
    },
    /// A section that nobody knows.
    #[error("unknown section {name:?}, known are {known}")]
    UnknownSection {
        /// What was given.
        name: String,
        /// What may be given.
        known: String,
    },
    /// A value or key of a section.
    #[error("settings in section {section:?}: {source}")]
    Section {
        /// Which.
        section: String,
        /// What is wrong there.
        #[source]
        source: Box<config::ConfigError>,
    },
    /// What is fine on a desk but not in production.
    #[error(transparent)]
    Unsafe(#[from] Unsafe),
}

impl Settings {
    /// Reads `file`, if given, and the process's environment.
    ///
    /// `PATCHFLEET__SECTION__KEY` sets a key of a section, `PATCHFLEET_ENVIRONMENT` the environment.
    pub fn load(file: Option<&Path>) -> Result<Self, SettingsError> {
        Self::from_raw(source::read(file, std::env::vars().collect())?)
    }

    /// Reads these variables instead of the process's; for tests and launchers that start services themselves.
    pub fn from_variables<K, V>(variables: impl IntoIterator<Item = (K, V)>) -> Result<Self, SettingsError>
    where
        K: Into<String>,
        V: Into<String>,
    {
        let variables = variables.into_iter().map(|(key, value)| (key.into(), value.into()));
        Self::from_raw(source::read(None, variables.collect())?)
    }

    /// The section `name` in the shape its service gives it. A section that is not set has all defaults.
    ///
    /// The shape carries `#[serde(deny_unknown_fields, default)]`.
    pub fn section<T: DeserializeOwned>(&self, name: &str) -> Result<T, SettingsError> {
        source::section(&self.raw, name)
    }

    /// Every key that all services share, with default and meaning.
    pub fn describe() -> &'static [Key] {
        describe::KEYS
    }

    fn from_raw(raw: config::Config) -> Result<Self, SettingsError> {
        let settings = Self {
            environment: source::section(&raw, "environment")?,
            database: source::section(&raw, "database")?,
            broker: source::section(&raw, "broker")?,
            telemetry: source::section(&raw, "telemetry")?,
            services: source::section(&raw, "services")?,
            internal: source::section(&raw, "internal")?,
            privacy: source::section(&raw, "privacy")?,
            identity: source::section(&raw, "identity")?,
            raw,
        };
        production::check(&settings)?;
        Ok(settings)
    }
}

impl std::fmt::Debug for Settings {
    // Without `raw`: it holds the secrets in the clear.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings")
            .field("environment", &self.environment)
            .field("database", &self.database)
            .field("broker", &self.broker)
            .field("telemetry", &self.telemetry)
            .field("services", &self.services)
            .field("internal", &self.internal)
            .field("privacy", &self.privacy)
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
