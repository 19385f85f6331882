//! Access tokens of people (RFC 9068), from any OIDC provider or the built-in issuer.

mod cache;
mod keys;

pub use cache::{FetchError, FetchKeys};
pub use keys::KeySet;

use cache::KeyCache;
use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Header, Validation};
use keys::Key;
use runtime::Clock;
use runtime::settings::Identity;
use serde::Deserialize;
use std::sync::Arc;

/// Clocks of issuer and service may differ by this much.
const LEEWAY: TimeDelta = TimeDelta::seconds(30);

/// A token above this is not one; checked before anything is decoded.
const TOKEN_BYTES_MAX: usize = 16 * 1024;

/// What a valid token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedToken {
    /// The name by which the identity provider knows the person.
    pub subject: String,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
}

/// Why a token is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// No `Authorization: Bearer` header.
    #[error("a bearer token is needed")]
    Missing,
    /// It cannot be read, or lacks a claim.
    #[error("the token is malformed: {reason}")]
    Malformed {
        /// What is wrong.
        reason: String,
    },
    /// It was valid once.
    #[error("the token expired at {at}")]
    Expired {
        /// When.
        at: DateTime<Utc>,
    },
    /// Somebody else issued it.
    #[error("the token is from another issuer")]
    WrongIssuer,
    /// It is meant for somebody else.
    #[error("the token is meant for another audience")]
    WrongAudience,
    /// The issuer does not publish its key.
    #[error("the token is signed with a key that the issuer does not publish")]
    UnknownKey,
    /// The signature, the algorithm or the type is wrong, or it is not valid yet.
    #[error("the token is invalid: {reason}")]
    Invalid {
        /// What is wrong.
        reason: &'static str,
    },
    /// No token can be checked now.
    #[error("the identity provider's keys cannot be fetched")]
    IssuerUnavailable,
}

impl TokenError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing => "access.token_missing",
            Self::Malformed { .. } => "access.token_malformed",
            Self::Expired { .. } => "access.token_expired",
            Self::WrongIssuer => "access.token_wrong_issuer",
            Self::WrongAudience => "access.token_wrong_audience",
            Self::UnknownKey => "access.token_unknown_key",
            Self::Invalid { .. } => "access.token_invalid",
            Self::IssuerUnavailable => "access.issuer_unavailable",
        }
    }
}

/// Checks tokens against one issuer's keys.
pub struct TokenVerifier {
    issuer: String,
    audience: String,
    keys: KeyCache,
    clock: Arc<dyn Clock>,
}

impl TokenVerifier {
    /// A verifier that fetches the issuer's keys over HTTP.
    pub fn new(identity: &Identity, http: reqwest::Client, clock: Arc<dyn Clock>) -> Self {
        let fetch = keys::OverHttp::new(identity, http);
        Self::with_keys(identity, fetch, clock)
    }

    /// A verifier that takes the issuer's keys from elsewhere.
    pub fn with_keys(identity: &Identity, fetch: impl FetchKeys, clock: Arc<dyn Clock>) -> Self {
        Self {
            issuer: identity.issuer.clone(),
            audience: identity.audience.clone(),
            keys: KeyCache::new(fetch),
            clock,
        }
    }

    /// Checks the value of an `Authorization` header.
    pub async fn verify_header(&self, authorization: Option<&str>) -> Result<VerifiedToken, TokenError> {
        self.verify(bearer(authorization).ok_or(TokenError::Missing)?).await
    }

    /// Checks a token.
    pub async fn verify(&self, token: &str) -> Result<VerifiedToken, TokenError> {
        let header = read_header(token)?;
        let kid = header.kid.as_deref().ok_or_else(|| malformed("kid is missing"))?;
        let now = self.clock.now();
        let key = self.keys.get(kid, now).await?;
        if header.alg != key.algorithm {
            return Err(TokenError::Invalid { reason: "the algorithm is not that of the key" });
        }
        let claims = self.read_claims(token, &key)?;
        check_times(&claims, now)
    }

    fn read_claims(&self, token: &str, key: &Key) -> Result<Claims, TokenError> {
        let mut validation = Validation::new(key.algorithm);
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&[&self.audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        // Checked by `check_times`, against our clock instead of the library's.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        let token =
            jsonwebtoken::decode(token, &key.decoding, &validation).map_err(|error| refuse(&error))?;
        Ok(token.claims)
    }
}

/// The token in the value of an `Authorization: Bearer` header.
pub fn bearer(authorization: Option<&str>) -> Option<&str> {
    let (scheme, token) = authorization?.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

// One issuer and one subject as plain texts: the library alone would take lists of issuers.
#[derive(Deserialize)]
struct Claims {
    #[serde(rename = "iss")]
    _issuer: String,
    sub: String,
    exp: i64,
    nbf: Option<i64>,
}

fn read_header(token: &str) -> Result<Header, TokenError> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(malformed(format!("longer than {TOKEN_BYTES_MAX} bytes")));
    }
    // An unknown algorithm, `none` included, is no header that can be read.
    let header = jsonwebtoken::decode_header(token).map_err(|e| malformed(e.to_string()))?;
    // RFC 9068: keeps ID tokens and service assertions from being taken for access tokens.
    match header.typ.as_deref() {
        Some("at+jwt" | "application/at+jwt") => {}
        Some(_) | None => return Err(TokenError::Invalid { reason: "the type is not at+jwt" }),
    }
    // RFC 7515, 4.1.11: what must be understood and is not.
    if header.crit.is_some() {
        return Err(TokenError::Invalid { reason: "it has critical extensions" });
    }
    Ok(header)
}

fn check_times(claims: &Claims, now: DateTime<Utc>) -> Result<VerifiedToken, TokenError> {
    let instant = |seconds, name: &str| {
        DateTime::from_timestamp(seconds, 0).ok_or_else(|| malformed(format!("{name} is no instant")))
    };
    let expires_at = instant(claims.exp, "exp")?;
    if expires_at <= now - LEEWAY {
        return Err(TokenError::Expired { at: expires_at });
    }
    if let Some(nbf) = claims.nbf
        && instant(nbf, "nbf")? > now + LEEWAY
    {
        return Err(TokenError::Invalid { reason: "it is not valid yet" });
    }
    if claims.sub.is_empty() {
        return Err(malformed("sub is empty"));
    }
    Ok(VerifiedToken { subject: claims.sub.clone(), expires_at })
}

fn malformed(reason: impl Into<String>) -> TokenError {
    TokenError::Malformed { reason: reason.into() }
}

fn refuse(error: &jsonwebtoken::errors::Error) -> TokenError {
    #[expect(clippy::wildcard_enum_match_arm, reason = "a foreign enum; whatever is new there is a refusal")]
    match error.kind() {
        ErrorKind::MissingRequiredClaim(claim) => malformed(format!("{claim} is missing")),
        ErrorKind::InvalidIssuer => TokenError::WrongIssuer,
        ErrorKind::InvalidAudience => TokenError::WrongAudience,
        ErrorKind::InvalidSignature => TokenError::Invalid { reason: "the signature is wrong" },
        ErrorKind::InvalidAlgorithm => TokenError::Invalid { reason: "the algorithm is not that of the key" },
        _ => malformed(error.to_string()),
    }
}

#[cfg(test)]
mod tests;
