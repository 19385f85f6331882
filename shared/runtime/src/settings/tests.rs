//! What can be set, what is refused, and what stays secret.

use super::{Settings, SettingsError, Unsafe, describe, field_names, list, sections, source};
use crate::{Ids, SystemIds};
use contracts::Service;
use secrecy::ExposeSecret;
use serde::Deserialize;
use std::collections::{BTreeSet, HashMap};

fn with(variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    Settings::from_variables(variables.iter().copied())
}

fn with_file(toml: &str, variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    let name = format!("patchfleet-settings-{}.toml", SystemIds.uuid());
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, toml).unwrap();
    let variables = variables.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let read = source::read(Some(&path), variables);
    std::fs::remove_file(&path).unwrap();
    Settings::from_raw(read?)
}

const PRODUCTION: [(&str, &str); 7] = [
    ("PATCHFLEET_ENVIRONMENT", "production"),
    ("PATCHFLEET__INTERNAL__SECRET", "0123456789abcdef0123456789abcdef"),
    ("PATCHFLEET__PRIVACY__KEY", "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="),
    ("PATCHFLEET__DATABASE__URL", "postgres://a:b@db/patchfleet"),
    ("PATCHFLEET__BROKER__URL", "amqps://a:b@mq/p"),
    ("PATCHFLEET__IDENTITY__ISSUER", "https://id.example"),
    ("PATCHFLEET__IDENTITY__BUILTIN", "false"),
];

fn production_but(key: &str, value: &str) -> SettingsError {
    let mut variables = PRODUCTION.to_vec();
    variables.retain(|(name, _)| *name != key);
    variables.push((key, value));
    with(&variables).unwrap_err()
}

#[test]
fn nothing_needs_to_be_set_on_a_desk() {
    let settings = with(&[]).unwrap();
    assert_eq!(settings.environment, sections::Environment::Development);
    assert_eq!(settings.services.of(Service::Gateway).url.as_str(), "http://127.0.0.1:7110/");
}

#[test]
fn the_environment_wins_over_the_file() {
    let file = "environment = \"development\"\n[database]\nmax_connections = 3\nurl = \"postgres://file\"\n";
    let settings = with_file(file, &[("PATCHFLEET__DATABASE__MAX_CONNECTIONS", "7")]).unwrap();
    assert_eq!(settings.database.max_connections, 7);
    assert_eq!(settings.database.url.expose_secret(), "postgres://file");
}

#[test]
fn a_service_is_reached_where_it_listens_unless_told_otherwise() {
    let settings = with(&[
        ("PATCHFLEET__SERVICES__FEEDS__LISTEN", "0.0.0.0:80"),
        ("PATCHFLEET__SERVICES__ALERTS__LISTEN", "127.0.0.1:81"),
        ("PATCHFLEET__SERVICES__FEEDS__URL", "http://feeds:80"),
    ])
    .unwrap();
    assert_eq!(settings.services.of(Service::Feeds).url.as_str(), "http://feeds/");
    assert_eq!(settings.services.of(Service::Feeds).listen.to_string(), "0.0.0.0:80");
    assert_eq!(settings.services.of(Service::Alerts).url.as_str(), "http://127.0.0.1:81/");
}

#[test]
fn a_list_is_an_array_or_a_text_with_commas() {
    let file = "[identity]\noperator_subjects = [\"ann\", \"bob\"]\n";
    let expected = ["ann", "bob"];
    assert_eq!(with_file(file, &[]).unwrap().identity.operator_subjects, expected);
    let keys = with(&[("PATCHFLEET__PRIVACY__PREVIOUS_KEYS", "AAE=, AgM=")]).unwrap().privacy.previous_keys;
    assert_eq!(keys.iter().map(ExposeSecret::expose_secret).collect::<Vec<_>>(), ["AAE=", "AgM="]);
    let variable = [("PATCHFLEET__IDENTITY__OPERATOR_SUBJECTS", "ann, bob")];
    assert_eq!(with(&variable).unwrap().identity.operator_subjects, expected);
}

#[test]
fn unknown_names_are_refused_by_name() {
    for (variable, named) in [
        ("PATCHFLEET__DATABSE__URL", "databse"),
        ("PATCHFLEET__DATABASE__URI", "uri"),
        ("PATCHFLEET__SERVICES__GATWAY__URL", "gatway"),
        ("PATCHFLEET__SERVICES__GATEWAY__PORT", "port"),
        ("PATCHFLEET_ENVIRONMENT", "development or production"),
    ] {
        let error = with(&[(variable, "x")]).unwrap_err().to_string();
        assert!(error.contains(named), "{variable}: {error}");
    }
}

#[test]
fn a_value_of_the_wrong_kind_is_refused_with_its_key() {
    let error = with(&[("PATCHFLEET__DATABASE__MAX_CONNECTIONS", "many")]).unwrap_err().to_string();
    assert!(error.contains("max_connections"), "{error}");
}

#[test]
fn a_missing_file_is_named() {
    let error = source::read(Some(std::path::Path::new("absent.toml")), HashMap::new()).unwrap_err();
    assert_eq!(error.to_string(), "settings file \"absent.toml\" cannot be read");
}

#[test]
fn a_service_brings_its_own_section() {
    #[derive(Debug, Deserialize, Default, PartialEq)]
    #[serde(deny_unknown_fields, default)]
    struct Feeds {
        pause_seconds: u64,
        #[serde(deserialize_with = "list")]
        vendors: Vec<String>,
    }
    let settings =
        with(&[("PATCHFLEET__FEEDS__PAUSE_SECONDS", "5"), ("PATCHFLEET__FEEDS__VENDORS", "debian,msrc")])
            .unwrap();
    let expected = Feeds { pause_seconds: 5, vendors: vec!["debian".into(), "msrc".into()] };
    assert_eq!(settings.section::<Feeds>("feeds").unwrap(), expected);
    assert_eq!(with(&[]).unwrap().section::<Feeds>("feeds").unwrap(), Feeds::default());
    let unknown = with(&[("PATCHFLEET__FEEDS__PAUZE", "5")]).unwrap().section::<Feeds>("feeds");
    assert!(unknown.unwrap_err().to_string().contains("pauze"));
}

#[test]
fn debug_output_holds_no_secret() {
    let settings = with(&[
        ("PATCHFLEET__DATABASE__URL", "postgres://a:hunter2@db"),
        ("PATCHFLEET__DATABASE__MIGRATION_URL", "postgres://m:hunter2@db"),
        ("PATCHFLEET__BROKER__URL", "amqp://a:hunter2@mq"),
        ("PATCHFLEET__INTERNAL__SECRET", "hunter2-hunter2-hunter2-hunter2-hunter2"),
        ("PATCHFLEET__PRIVACY__KEY", "hunter2"),
        ("PATCHFLEET__PRIVACY__PREVIOUS_KEYS", "hunter2,hunter2"),
        ("PATCHFLEET__IDENTITY__CLIENT_SECRET", "hunter2"),
        ("PATCHFLEET__ALERTS__SMTP_PASSWORD", "hunter2"),
    ])
    .unwrap();
    let text = format!("{settings:#?}");
    assert!(!text.contains("hunter2"), "{text}");
    assert!(text.contains("REDACTED"));
}

#[test]
fn production_starts_when_everything_is_set() {
    assert_eq!(with(&PRODUCTION).unwrap().environment, sections::Environment::Production);
}

#[test]
fn production_refuses_what_is_only_safe_on_a_desk() {
    for (key, value, expected) in [
        ("PATCHFLEET__INTERNAL__SECRET", sections::DEVELOPMENT_SECRET, "internal.secret is not set"),
        ("PATCHFLEET__INTERNAL__SECRET", "short", "at least 32"),
        ("PATCHFLEET__PRIVACY__KEY", sections::DEVELOPMENT_KEY, "privacy.key is not set"),
        ("PATCHFLEET__DATABASE__URL", sections::DEVELOPMENT_DATABASE, "database.url"),
        ("PATCHFLEET__BROKER__URL", sections::DEVELOPMENT_BROKER, "broker.url"),
        ("PATCHFLEET__IDENTITY__ISSUER", "http://id.example", "identity.issuer"),
        ("PATCHFLEET__IDENTITY__JWKS_URL", "http://id.example/keys", "identity.jwks_url"),
        ("PATCHFLEET__IDENTITY__BUILTIN", "true", "identity.builtin"),
    ] {
        let error = production_but(key, value).to_string();
        assert!(error.contains(expected), "{key}: {error}");
    }
}

#[test]
fn a_short_secret_is_refused_on_a_desk_as_well() {
    let error = with(&[("PATCHFLEET__INTERNAL__SECRET", "short")]).unwrap_err();
    assert!(matches!(error, SettingsError::Unsafe(Unsafe::ShortSecret { bytes: 5 })));
}

#[test]
fn every_key_is_described_and_nothing_else() {
    let mut keys = BTreeSet::from(["environment".to_owned()]);
    for (section, fields) in [
        ("database", field_names::<sections::Database>()),
        ("broker", field_names::<sections::Broker>()),
        ("telemetry", field_names::<sections::TelemetrySettings>()),
        ("internal", field_names::<sections::Internal>()),
        ("privacy", field_names::<sections::Privacy>()),
        ("identity", field_names::<sections::Identity>()),
    ] {
        assert!(!fields.is_empty(), "{section}");
        keys.extend(fields.iter().map(|field| format!("{section}.{field}")));
    }
    for service in Service::ALL {
        keys.extend(["listen", "url"].map(|field| format!("services.{service}.{field}")));
    }
    let described: BTreeSet<_> = describe::KEYS.iter().map(|key| key.name.to_owned()).collect();
    assert_eq!(described, keys);
}
