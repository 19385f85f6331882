//! How one service tells another who is calling: a signed statement that lives for a minute.

use crate::Caller;
use chrono::{DateTime, TimeDelta, Utc};
use contracts::Service;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use runtime::settings::Internal;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};

/// Long enough for one request and its repetition, too short to be worth stealing.
const LIFETIME: TimeDelta = TimeDelta::seconds(60);

/// Clocks of two services may differ by this much.
const LEEWAY: TimeDelta = TimeDelta::seconds(5);

/// Never the type of an access token, so that neither can be taken for the other.
const TYPE: &str = "patchfleet-caller+jwt";

const ISSUER: &str = "patchfleet";

/// Why an assertion is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AssertionError {
    /// It was valid a minute ago.
    #[error("the caller's assertion expired at {at}")]
    Expired {
        /// When.
        at: DateTime<Utc>,
    },
    /// It is not one of ours, or for another service.
    #[error("the caller's assertion is invalid: {reason}")]
    Invalid {
        /// What is wrong.
        reason: String,
    },
    /// It cannot be made.
    #[error("the caller's assertion cannot be signed")]
    Signing,
}

impl AssertionError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Expired { .. } => "access.assertion_expired",
            Self::Invalid { .. } => "access.assertion_invalid",
            Self::Signing => "access.assertion_signing",
        }
    }
}

/// Makes and checks assertions with the secret that all services share.
#[derive(Clone)]
pub struct InternalAuth {
    encoding: EncodingKey,
    decoding: DecodingKey,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    iat: i64,
    exp: i64,
    caller: Caller,
}

impl InternalAuth {
    /// With the secret of the section `internal`.
    pub fn new(internal: &Internal) -> Self {
        let secret = internal.secret.expose_secret().as_bytes();
        Self { encoding: EncodingKey::from_secret(secret), decoding: DecodingKey::from_secret(secret) }
    }

    /// States to `audience` who is calling.
    pub fn assertion(
        &self,
        caller: &Caller,
        audience: Service,
        now: DateTime<Utc>,
    ) -> Result<String, AssertionError> {
        let claims = Claims {
            iss: ISSUER.into(),
            aud: audience.name().into(),
            sub: caller.user_id.to_string(),
            iat: now.timestamp(),
            exp: (now + LIFETIME).timestamp(),
            caller: caller.clone(),
        };
        let mut header = Header::new(Algorithm::HS256);
        header.typ = Some(TYPE.into());
        // Only a secret that cannot sign fails here, and that is for operators, not for callers.
        jsonwebtoken::encode(&header, &claims, &self.encoding).map_err(|_secret| AssertionError::Signing)
    }

    /// The caller that another service states to `audience`.
    pub fn verify(
        &self,
        token: &str,
        audience: Service,
        now: DateTime<Utc>,
    ) -> Result<Caller, AssertionError> {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[audience.name()]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        // Checked below, against the caller's clock instead of the library's.
        validation.validate_exp = false;
        let token =
            jsonwebtoken::decode::<Claims>(token, &self.decoding, &validation).map_err(|e| refuse(&e))?;
        if token.header.typ.as_deref() != Some(TYPE) {
            return Err(invalid("the type is wrong"));
        }
        let expires_at =
            DateTime::from_timestamp(token.claims.exp, 0).ok_or_else(|| invalid("exp is no instant"))?;
        if expires_at <= now - LEEWAY {
            return Err(AssertionError::Expired { at: expires_at });
        }
        Ok(token.claims.caller)
    }
}

fn invalid(reason: impl Into<String>) -> AssertionError {
    AssertionError::Invalid { reason: reason.into() }
}

fn refuse(error: &jsonwebtoken::errors::Error) -> AssertionError {
    #[expect(clippy::wildcard_enum_match_arm, reason = "a foreign enum; whatever is new there is a refusal")]
    match error.kind() {
        ErrorKind::InvalidSignature => invalid("the signature is wrong"),
        ErrorKind::InvalidAudience => invalid("it is for another service"),
        _ => invalid(error.to_string()),
    }
}

#[cfg(test)]
mod tests;
