//! The list of all shared keys, from which the reference for operators is generated.

use serde::de::{DeserializeOwned, Deserializer, Visitor, value::Error};
use serde::forward_to_deserialize_any;

/// One thing that can be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// `section.key`
    pub name: &'static str,
    /// What it is if nobody sets it; empty for none.
    pub default: &'static str,
    /// What it means.
    pub doc: &'static str,
}

impl Key {
    /// The environment variable that sets it.
    pub fn variable(&self) -> String {
        if self.name == "environment" {
            return "PATCHFLEET_ENVIRONMENT".into();
        }
        format!("PATCHFLEET__{}", self.name.replace('.', "__").to_uppercase())
    }
}

const fn key(name: &'static str, default: &'static str, doc: &'static str) -> Key {
    Key { name, default, doc }
}

pub(super) const KEYS: &[Key] = &[
    key("environment", "development", "`production` refuses everything that is only safe on a desk."),
    key("database.url", "a database on this machine", "How services sign in to PostgreSQL. Secret."),
    key(
        "database.migration_url",
        "",
        "How migrations sign in, where that is another role than the services'. Secret.",
    ),
    key("database.max_connections", "10", "Connections that each service may hold."),
    key(
        "broker.url",
        "a broker on this machine",
        "AMQP address with user, password and virtual host. Secret.",
    ),
    key(
        "telemetry.otlp_endpoint",
        "",
        "Base address of an OTLP collector that takes http/protobuf. Without it traces are not exported.",
    ),
    key("telemetry.log_format", "text", "`text` for people or `json` for machines."),
    key(
        "telemetry.log_filter",
        "info,actix_server=warn",
        "Which log lines are written, as a `tracing` filter.",
    ),
    key("services.backbone.listen", "127.0.0.1:7100", "Where the backbone listens."),
    key("services.backbone.url", "http:// and the listen address", "Where others reach the backbone."),
    key("services.tenancy.listen", "127.0.0.1:7101", "Where tenancy listens."),
    key("services.tenancy.url", "http:// and the listen address", "Where others reach tenancy."),
    key("services.feeds.listen", "127.0.0.1:7102", "Where feeds listens."),
    key("services.feeds.url", "http:// and the listen address", "Where others reach feeds."),
    key("services.devices.listen", "127.0.0.1:7103", "Where devices listens."),
    key("services.devices.url", "http:// and the listen address", "Where others reach devices."),
    key("services.approvals.listen", "127.0.0.1:7104", "Where approvals listens."),
    key("services.approvals.url", "http:// and the listen address", "Where others reach approvals."),
    key("services.scheduling.listen", "127.0.0.1:7105", "Where scheduling listens."),
    key("services.scheduling.url", "http:// and the listen address", "Where others reach scheduling."),
    key("services.alerts.listen", "127.0.0.1:7106", "Where alerts listens."),
    key("services.alerts.url", "http:// and the listen address", "Where others reach alerts."),
    key("services.auditing.listen", "127.0.0.1:7107", "Where auditing listens."),
    key("services.auditing.url", "http:// and the listen address", "Where others reach auditing."),
    key("services.gateway.listen", "127.0.0.1:7110", "Where the gateway listens."),
    key("services.gateway.url", "http:// and the listen address", "Where others reach the gateway."),
    key(
        "internal.secret",
        "a known text, refused in production",
        "Signs what services tell each other about a caller; the same for all of them, at least 32 bytes. Secret.",
    ),
    key(
        "privacy.key",
        "a known key, refused in production",
        "Encrypts the key of each person whose data events hold: the base64 of 32 random bytes, the same for every process. Secret.",
    ),
    key(
        "privacy.previous_keys",
        "",
        "Keys from before the last change of `privacy.key`, which still decrypt, separated by commas. Secret.",
    ),
    key("identity.issuer", "http://127.0.0.1:7101", "The `iss` of every token; discovery starts here."),
    key("identity.audience", "patchfleet", "The `aud` that a token must have."),
    key("identity.jwks_url", "", "Where the issuer's keys are, if not where its discovery document says."),
    key("identity.builtin", "true", "Whether Patchfleet is the issuer itself. Refused in production."),
    key(
        "identity.signing_key_file",
        "",
        "PEM file with the built-in issuer's Ed25519 keys, the signing one first. Generated at start if absent.",
    ),
    key("identity.client_secret", "", "Who may ask the built-in issuer for a token. Secret."),
    key("identity.operator_subjects", "", "The `sub` of every platform operator, separated by commas."),
];

/// The keys that a section's shape takes. For the test that compares them with the section's [`Key`] list.
pub fn field_names<T: DeserializeOwned>() -> &'static [&'static str] {
    let mut names: &'static [&'static str] = &[];
    // Always an error: all it does is look.
    let _ = T::deserialize(Look(&mut names));
    names
}

struct Look<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for Look<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(serde::de::Error::custom("not a struct"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        *self.0 = fields;
        self.deserialize_any(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}
