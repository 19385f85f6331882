//! The sections that every service shares. Each key stands in `describe.rs` as well; a test compares the two.

use super::list::{list, secrets};
use contracts::Service;
use secrecy::SecretString;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use url::Url;

/// For a desk only; production refuses to start with it.
pub(super) const DEVELOPMENT_SECRET: &str = "patchfleet-development-secret-not-for-production";
/// For a desk only; production refuses to start with it.
pub(super) const DEVELOPMENT_DATABASE: &str = "postgres://patchfleet:patchfleet@127.0.0.1:5432/patchfleet";
/// For a desk only; production refuses to start with it.
pub(super) const DEVELOPMENT_BROKER: &str = "amqp://guest:guest@127.0.0.1:5672/%2f";
/// For a desk only; production refuses to start with it.
pub(super) const DEVELOPMENT_KEY: &str = "cGF0Y2hmbGVldCBkZXZlbG9wbWVudCBrZXkgb25seS4=";

/// What the program is run for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Environment {
    /// One machine, convenient defaults, a built-in issuer.
    #[default]
    Development,
    /// Convenience that is not safe is refused.
    Production,
}

/// The section `database`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Database {
    /// How services sign in.
    pub url: SecretString,
    /// How migrations sign in, where that is another role.
    pub migration_url: Option<SecretString>,
    /// Connections that each service may hold.
    pub max_connections: u32,
}

/// The section `broker`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Broker {
    /// AMQP address with user, password and virtual host.
    pub url: SecretString,
}

/// The section `telemetry`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TelemetrySettings {
    /// Base address of an OTLP collector that takes http/protobuf.
    pub otlp_endpoint: Option<String>,
    /// How log lines look.
    pub log_format: LogFormat,
    /// Which log lines are written.
    pub log_filter: String,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For machines, one object a line.
    Json,
}

/// The section `services`: one table per service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceAddresses(BTreeMap<Service, Address>);

/// Where one service is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Where it listens; port 0 takes any free one.
    pub listen: SocketAddr,
    /// Where the others reach it.
    pub url: Url,
}

/// The section `internal`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Internal {
    /// Signs what services tell each other about a caller, at least 32 bytes.
    pub secret: SecretString,
}

/// The section `privacy`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Privacy {
    /// Encrypts the keys of persons: the base64 of 32 random bytes.
    pub key: SecretString,
    /// Keys from before, which still decrypt.
    #[serde(deserialize_with = "secrets")]
    pub previous_keys: Vec<SecretString>,
}

/// The section `identity`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Identity {
    /// The `iss` of every token; discovery starts here.
    pub issuer: String,
    /// The `aud` that a token must have.
    pub audience: String,
    /// Where the issuer's keys are, if not where its discovery document says.
    pub jwks_url: Option<Url>,
    /// Whether Patchfleet is the issuer itself.
    pub builtin: bool,
    /// PEM file with the built-in issuer's Ed25519 keys, the signing one first; generated at start if absent.
    pub signing_key_file: Option<PathBuf>,
    /// Who may ask the built-in issuer for a token; anyone on this machine if absent.
    pub client_secret: Option<SecretString>,
    /// The `sub` of every platform operator.
    #[serde(deserialize_with = "list")]
    pub operator_subjects: Vec<String>,
}

impl<'de> Deserialize<'de> for Environment {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "lowercase")]
        enum Name {
            Development,
            Production,
        }
        // An absent section arrives as an empty table.
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Given {
            Name(Name),
            Absent {},
        }
        Ok(match Given::deserialize(deserializer) {
            Ok(Given::Name(Name::Production)) => Self::Production,
            Ok(Given::Name(Name::Development) | Given::Absent {}) => Self::Development,
            Err(_) => return Err(serde::de::Error::custom("environment is development or production")),
        })
    }
}

impl Default for Database {
    fn default() -> Self {
        Self { url: DEVELOPMENT_DATABASE.into(), migration_url: None, max_connections: 10 }
    }
}

impl Default for Broker {
    fn default() -> Self {
        Self { url: DEVELOPMENT_BROKER.into() }
    }
}

impl Default for TelemetrySettings {
    fn default() -> Self {
        Self { otlp_endpoint: None, log_format: LogFormat::Text, log_filter: "info,actix_server=warn".into() }
    }
}

impl Default for Internal {
    fn default() -> Self {
        Self { secret: DEVELOPMENT_SECRET.into() }
    }
}

impl Default for Privacy {
    fn default() -> Self {
        Self { key: DEVELOPMENT_KEY.into(), previous_keys: Vec::new() }
    }
}

impl Default for Identity {
    fn default() -> Self {
        Self {
            issuer: "http://127.0.0.1:7101".into(),
            audience: "patchfleet".into(),
            jwks_url: None,
            builtin: true,
            signing_key_file: None,
            client_secret: None,
            operator_subjects: Vec::new(),
        }
    }
}

impl ServiceAddresses {
    /// Where `service` is.
    pub fn of(&self, service: Service) -> &Address {
        // Every service is put in when the section is read.
        &self.0[&service]
    }

    /// Puts `service` elsewhere, as a test does after it listened on port 0.
    pub fn set(&mut self, service: Service, address: Address) {
        self.0.insert(service, address);
    }
}

impl Address {
    /// A service that is reached where it listens.
    pub fn at(listen: SocketAddr) -> Self {
        let url = Url::parse(&format!("http://{listen}"));
        #[expect(clippy::expect_used, reason = "a socket address is always a host and a port")]
        Self { listen, url: url.expect("http:// and a socket address is a URL") }
    }
}

impl Default for ServiceAddresses {
    fn default() -> Self {
        Self(Service::ALL.into_iter().map(|service| (service, default_address(service))).collect())
    }
}

impl<'de> Deserialize<'de> for ServiceAddresses {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Given {
            listen: Option<SocketAddr>,
            url: Option<Url>,
        }
        let mut addresses = Self::default();
        for (service, given) in BTreeMap::<Service, Given>::deserialize(deserializer)? {
            let at = given.listen.map_or_else(|| default_address(service), Address::at);
            addresses.set(service, Address { url: given.url.unwrap_or(at.url), ..at });
        }
        Ok(addresses)
    }
}

fn default_address(service: Service) -> Address {
    let port = match service {
        Service::Backbone => 7100,
        Service::Tenancy => 7101,
        Service::Feeds => 7102,
        Service::Devices => 7103,
        Service::Approvals => 7104,
        Service::Scheduling => 7105,
        Service::Alerts => 7106,
        Service::Auditing => 7107,
        Service::Gateway => 7110,
    };
    Address::at(SocketAddr::from(([127, 0, 0, 1], port)))
}
