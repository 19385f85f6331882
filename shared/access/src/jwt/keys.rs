//! An issuer's public keys (RFC 7517) and how they are fetched.

use super::cache::{FetchError, FetchKeys};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use runtime::settings::Identity;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::sync::Arc;

/// A key set or discovery document above this is not one.
const DOCUMENT_BYTES_MAX: usize = 256 * 1024;

/// The bytes of an Ed25519 public key.
const ED25519_BYTES: usize = 32;

/// RSA below 2048 bits is broken or about to be (RFC 7518, 3.3).
const RSA_MODULUS_BYTES_MIN: usize = 256;

/// A public key, fit for one algorithm only.
pub(super) struct Key {
    pub(super) algorithm: Algorithm,
    pub(super) decoding: DecodingKey,
}

/// The keys of one issuer that can be used, by their id.
#[derive(Clone, Default)]
pub struct KeySet {
    by_id: HashMap<String, Arc<Key>>,
}

impl KeySet {
    /// The usable keys of a JWKS document; keys without an id, for encryption or of unknown kind are left out.
    pub fn from_jwks(document: &serde_json::Value) -> Result<Self, FetchError> {
        let jwks = Jwks::deserialize(document).map_err(|e| FetchError {
            what: "the key set cannot be read".into(),
            source: Some(Box::new(e)),
        })?;
        let by_id =
            jwks.keys.into_iter().filter_map(|value| Jwk::deserialize(value).ok()?.usable()).collect();
        Ok(Self { by_id })
    }

    pub(super) fn find(&self, kid: &str) -> Option<Arc<Key>> {
        self.by_id.get(kid).cloned()
    }
}

#[derive(Deserialize)]
struct Jwks {
    keys: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kid: String,
    kty: String,
    crv: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    alg: Option<String>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
}

impl Jwk {
    fn usable(self) -> Option<(String, Arc<Key>)> {
        if self.usage.as_deref().is_some_and(|usage| usage != "sig") {
            return None;
        }
        let (algorithm, names, decoding) = match (self.kty.as_str(), self.crv.as_deref()) {
            ("OKP", Some("Ed25519")) => {
                let x = self.x.as_deref()?;
                // The library panics on shorter ones.
                (byte_count(x)? == ED25519_BYTES).then_some(())?;
                (Algorithm::EdDSA, &["EdDSA", "Ed25519"][..], DecodingKey::from_ed_components(x))
            }
            ("EC", Some("P-256")) => {
                let decoding = DecodingKey::from_ec_components(self.x.as_deref()?, self.y.as_deref()?);
                (Algorithm::ES256, &["ES256"][..], decoding)
            }
            ("RSA", _) => {
                let n = self.n.as_deref()?;
                (byte_count(n)? >= RSA_MODULUS_BYTES_MIN).then_some(())?;
                let decoding = DecodingKey::from_rsa_components(n, self.e.as_deref()?);
                (Algorithm::RS256, &["RS256"][..], decoding)
            }
            _ => return None,
        };
        if self.alg.as_deref().is_some_and(|alg| !names.contains(&alg)) {
            return None;
        }
        Some((self.kid, Arc::new(Key { algorithm, decoding: decoding.ok()? })))
    }
}

fn byte_count(text: &str) -> Option<usize> {
    URL_SAFE_NO_PAD.decode(text).ok().map(|bytes| bytes.len())
}

/// Fetches keys as OIDC Discovery 1.0 says, or from a fixed address.
pub(super) struct OverHttp {
    issuer: String,
    jwks_url: Option<String>,
    http: reqwest::Client,
}

impl OverHttp {
    pub(super) fn new(identity: &Identity, http: reqwest::Client) -> Self {
        let jwks_url = identity.jwks_url.as_ref().map(ToString::to_string);
        Self { issuer: identity.issuer.clone(), jwks_url, http }
    }

    async fn discovered_jwks_url(&self) -> Result<String, FetchError> {
        #[derive(Deserialize)]
        struct Discovery {
            issuer: String,
            jwks_uri: String,
        }
        let url = format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'));
        let discovery: Discovery = self.get(&url).await?;
        // Discovery 4.3: otherwise one issuer could speak for another.
        if discovery.issuer != self.issuer {
            let what = format!("{url} speaks for the issuer {:?}", discovery.issuer);
            return Err(FetchError { what, source: None });
        }
        Ok(discovery.jwks_uri)
    }

    async fn get<T: DeserializeOwned>(&self, url: &str) -> Result<T, FetchError> {
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| FetchError {
            what: format!("{url} cannot be fetched"),
            source: Some(source),
        };
        let answer = self.http.get(url).send().await.and_then(reqwest::Response::error_for_status);
        let mut answer = answer.map_err(|e| failed(e.into()))?;
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|e| failed(e.into()))? {
            body.extend_from_slice(&chunk);
            if body.len() > DOCUMENT_BYTES_MAX {
                return Err(failed(format!("longer than {DOCUMENT_BYTES_MAX} bytes").into()));
            }
        }
        serde_json::from_slice(&body).map_err(|e| failed(e.into()))
    }
}

#[async_trait::async_trait]
impl FetchKeys for OverHttp {
    async fn fetch(&self) -> Result<KeySet, FetchError> {
        let url = match &self.jwks_url {
            Some(url) => url.clone(),
            None => self.discovered_jwks_url().await?,
        };
        KeySet::from_jwks(&self.get(&url).await?)
    }
}
