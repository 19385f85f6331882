//! What is convenient on a desk and refused in production.

use super::sections::{
    DEVELOPMENT_BROKER, DEVELOPMENT_DATABASE, DEVELOPMENT_KEY, DEVELOPMENT_SECRET, Environment,
};
use super::{Identity, Settings};
use secrecy::ExposeSecret;

/// Below this, HS256 is weaker than its hash (RFC 7518, 3.2).
const SECRET_BYTES_MIN: usize = 32;

/// A setting that would make the installation open to others.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unsafe {
    /// Too short to sign with; refused everywhere.
    #[error("internal.secret has {bytes} bytes, at least {SECRET_BYTES_MIN} are needed")]
    ShortSecret {
        /// How long it is.
        bytes: usize,
    },
    /// Known to everyone.
    #[error("{key} is not set: production does not start with the development value")]
    DevelopmentValue {
        /// Which key.
        key: &'static str,
    },
    /// Anyone could make themselves anybody.
    #[error("identity.builtin is for development: production needs an identity provider")]
    BuiltinIssuer,
    /// Keys fetched over it can be replaced on the way.
    #[error("{key} {url:?} does not start with https://")]
    PlainHttp {
        /// Which key.
        key: &'static str,
        /// What was given.
        url: String,
    },
}

pub(super) fn check(settings: &Settings) -> Result<(), Unsafe> {
    let bytes = settings.internal.secret.expose_secret().len();
    if bytes < SECRET_BYTES_MIN {
        return Err(Unsafe::ShortSecret { bytes });
    }
    match settings.environment {
        Environment::Development => Ok(()),
        Environment::Production => {
            refuse_development_values(settings)?;
            refuse_weak_identity(&settings.identity)
        }
    }
}

fn refuse_development_values(settings: &Settings) -> Result<(), Unsafe> {
    let known = [
        ("internal.secret", &settings.internal.secret, DEVELOPMENT_SECRET),
        ("privacy.key", &settings.privacy.key, DEVELOPMENT_KEY),
        ("database.url", &settings.database.url, DEVELOPMENT_DATABASE),
        ("broker.url", &settings.broker.url, DEVELOPMENT_BROKER),
    ];
    match known.into_iter().find(|(_, given, known)| given.expose_secret() == *known) {
        Some((key, ..)) => Err(Unsafe::DevelopmentValue { key }),
        None => Ok(()),
    }
}

fn refuse_weak_identity(identity: &Identity) -> Result<(), Unsafe> {
    if identity.builtin {
        return Err(Unsafe::BuiltinIssuer);
    }
    let jwks_url = identity.jwks_url.as_ref().map(|url| ("identity.jwks_url", url.as_str()));
    let urls = [Some(("identity.issuer", identity.issuer.as_str())), jwks_url];
    match urls.into_iter().flatten().find(|(_, url)| !url.starts_with("https://")) {
        Some((key, url)) => Err(Unsafe::PlainHttp { key, url: url.to_owned() }),
        None => Ok(()),
    }
}
