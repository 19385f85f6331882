//! Reads the file and the environment into one tree.

use super::SettingsError;
use contracts::Service;
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::path::Path;

/// Sections that every service shares. The others are named after their service.
const SHARED: [&str; 8] =
    ["environment", "database", "broker", "telemetry", "services", "internal", "privacy", "identity"];

/// The one key at the top level may be written with a single underscore.
const ENVIRONMENT: &str = "PATCHFLEET_ENVIRONMENT";

/// The tree of everything that is set.
pub(super) fn read(
    file: Option<&Path>,
    variables: HashMap<String, String>,
) -> Result<config::Config, SettingsError> {
    let mut builder = config::Config::builder();
    if let Some(path) = file {
        let toml = config::File::from(path).format(config::FileFormat::Toml);
        // Read on its own first, so that the error can name the file.
        let toml = config::Config::builder()
            .add_source(toml)
            .build()
            .map_err(|source| SettingsError::File { path: path.to_owned(), source: Box::new(source) })?;
        builder = builder.add_source(toml);
    }
    if let Some(environment) = variables.get(ENVIRONMENT) {
        builder = builder.set_override("environment", environment.as_str()).map_err(in_environment)?;
    }
    let variables = config::Environment::with_prefix("PATCHFLEET")
        .prefix_separator("__")
        .separator("__")
        .source(Some(variables));
    let raw = builder.add_source(variables).build().map_err(in_environment)?;
    refuse_unknown_sections(&raw)?;
    Ok(raw)
}

/// The section `name`, or its defaults if nothing of it is set.
pub(super) fn section<T: DeserializeOwned>(raw: &config::Config, name: &str) -> Result<T, SettingsError> {
    let failed = |source| SettingsError::Section { section: name.to_owned(), source: Box::new(source) };
    let set = match raw.get::<config::Value>(name) {
        // Of the whole section, not of a key inside it.
        Err(config::ConfigError::NotFound(missing)) if missing == name => {
            config::Value::new(None, config::ValueKind::Table(config::Map::new()))
        }
        outcome => outcome.map_err(failed)?,
    };
    // Not by `get::<T>`, whose error has forgotten the key inside the section.
    T::deserialize(set).map_err(failed)
}

fn refuse_unknown_sections(raw: &config::Config) -> Result<(), SettingsError> {
    let known: Vec<_> = SHARED.into_iter().chain(Service::ALL.map(Service::name)).collect();
    let sections: HashMap<String, config::Value> = raw.clone().try_deserialize().map_err(in_environment)?;
    match sections.into_keys().find(|name| !known.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => Err(SettingsError::UnknownSection { name, known: known.join(", ") }),
    }
}

fn in_environment(source: config::ConfigError) -> SettingsError {
    SettingsError::Section { section: "environment variables".into(), source: Box::new(source) }
}
