//! The built-in issuer: what a fresh machine has instead of an identity provider. Production refuses it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rand::TryRng;
use runtime::settings::Identity;
use runtime::{Clock, Ids};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::path::PathBuf;
use std::sync::Arc;

/// Where the key set is served, below the issuer's address.
pub const JWKS_PATH: &str = "/.well-known/jwks.json";
/// Where the discovery document is served, below the issuer's address.
pub const DISCOVERY_PATH: &str = "/.well-known/openid-configuration";
/// Where tokens are asked for, below the issuer's address.
pub const TOKEN_PATH: &str = "/oauth/token";

const PEM_END: &str = "-----END PRIVATE KEY-----";

/// Why the built-in issuer cannot work.
#[derive(Debug, thiserror::Error)]
pub enum IssuerError {
    /// The key file is not there.
    #[error("identity.signing_key_file {path:?} cannot be read")]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The key file holds something else.
    #[error("private key {number} of the signing key file is not an Ed25519 key in PKCS#8 PEM")]
    Key {
        /// Counted from 1.
        number: usize,
        /// Why not.
        #[source]
        source: ed25519_dalek::pkcs8::Error,
    },
    /// The key file holds none.
    #[error("the signing key file holds no private key")]
    NoKey,
    /// The operating system gave no random bytes.
    #[error("a signing key cannot be generated: {0}")]
    Random(String),
    /// A key cannot sign.
    #[error("a token cannot be signed")]
    Signing(#[from] jsonwebtoken::errors::Error),
}

/// Signs access tokens. The first key signs; all are published, so that keys can change without a gap.
pub struct BuiltinIssuer {
    issuer: String,
    signing: Key,
    also_published: Vec<Key>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
}

struct Key {
    id: String,
    public: String,
    encoding: EncodingKey,
}

impl BuiltinIssuer {
    /// An issuer with the configured keys, or with a new one that lives as long as the process.
    pub fn new(identity: &Identity, clock: Arc<dyn Clock>, ids: Arc<dyn Ids>) -> Result<Self, IssuerError> {
        let mut keys = match &identity.signing_key_file {
            None => vec![Key::new(&generate()?, 1)?],
            Some(path) => {
                let pem = std::fs::read_to_string(path)
                    .map_err(|source| IssuerError::File { path: path.clone(), source })?;
                read_keys(&pem)?
            }
        };
        if keys.is_empty() {
            return Err(IssuerError::NoKey);
        }
        let signing = keys.remove(0);
        Ok(Self { issuer: identity.issuer.clone(), signing, also_published: keys, clock, ids })
    }

    /// The public keys (RFC 7517).
    pub fn jwks(&self) -> Value {
        let keys = std::iter::once(&self.signing).chain(&self.also_published).map(|key| {
            json!({"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": key.id, "x": key.public})
        });
        json!({ "keys": keys.collect::<Vec<_>>() })
    }

    /// The discovery document (OIDC Discovery 1.0, RFC 8414).
    pub fn discovery(&self) -> Value {
        let base = self.issuer.trim_end_matches('/');
        json!({
            "issuer": self.issuer,
            "jwks_uri": format!("{base}{JWKS_PATH}"),
            "token_endpoint": format!("{base}{TOKEN_PATH}"),
            "grant_types_supported": ["client_credentials"],
            "response_types_supported": [],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["EdDSA"],
        })
    }

    /// An access token (RFC 9068) for `subject`.
    pub fn mint(&self, subject: &str, audience: &str, lifetime: TimeDelta) -> Result<String, IssuerError> {
        let now = self.clock.now();
        let claims = json!({
            "iss": self.issuer,
            "sub": subject,
            "aud": audience,
            "client_id": "patchfleet",
            "iat": now.timestamp(),
            "exp": (now + lifetime).timestamp(),
            "jti": self.ids.uuid(),
        });
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some("at+jwt".into());
        header.kid = Some(self.signing.id.clone());
        Ok(jsonwebtoken::encode(&header, &claims, &self.signing.encoding)?)
    }
}

impl Key {
    fn new(key: &SigningKey, number: usize) -> Result<Self, IssuerError> {
        let public = URL_SAFE_NO_PAD.encode(key.verifying_key().as_bytes());
        let der = key.to_pkcs8_der().map_err(|source| IssuerError::Key { number, source })?;
        Ok(Self { id: thumbprint(&public), public, encoding: EncodingKey::from_ed_der(der.as_bytes()) })
    }
}

// RFC 7638: the same key has the same id wherever it is computed.
fn thumbprint(public: &str) -> String {
    let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{public}"}}"#);
    URL_SAFE_NO_PAD.encode(Sha256::digest(canonical))
}

fn generate() -> Result<SigningKey, IssuerError> {
    let mut seed = [0; ed25519_dalek::SECRET_KEY_LENGTH];
    rand::rngs::SysRng.try_fill_bytes(&mut seed).map_err(|e| IssuerError::Random(e.to_string()))?;
    Ok(SigningKey::from_bytes(&seed))
}

fn read_keys(pem: &str) -> Result<Vec<Key>, IssuerError> {
    pem.split_inclusive(PEM_END)
        .filter(|block| block.contains(PEM_END))
        .enumerate()
        .map(|(index, block)| {
            let number = index + 1;
            let key = SigningKey::from_pkcs8_pem(block.trim())
                .map_err(|source| IssuerError::Key { number, source })?;
            Key::new(&key, number)
        })
        .collect()
}

#[cfg(test)]
mod tests;
