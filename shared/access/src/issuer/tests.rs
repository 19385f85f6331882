//! What the built-in issuer signs is what the verifier accepts, over HTTP as well.

use super::{BuiltinIssuer, DISCOVERY_PATH, IssuerError, JWKS_PATH};
use crate::jwt::{KeySet, TokenError, TokenVerifier};
use chrono::TimeDelta;
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::{EncodePrivateKey, spki::der::pem::LineEnding};
use runtime::settings::Identity;
use runtime::{Ids, Lifecycle, SystemClock, SystemIds};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn issuer(identity: &Identity) -> Result<BuiltinIssuer, IssuerError> {
    BuiltinIssuer::new(identity, Arc::new(SystemClock), Arc::new(SystemIds))
}

fn pem(seed: u8) -> String {
    SigningKey::from_bytes(&[seed; 32]).to_pkcs8_pem(LineEnding::LF).unwrap().to_string()
}

/// Key files below the system's temporary folder, gone at the end of the test.
struct KeyFile(PathBuf);

impl KeyFile {
    fn with(text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("patchfleet-keys-{}.pem", SystemIds.uuid()));
        std::fs::write(&path, text).unwrap();
        Self(path)
    }

    fn identity(&self) -> Identity {
        Identity { signing_key_file: Some(self.0.clone()), ..Identity::default() }
    }
}

impl Drop for KeyFile {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).unwrap();
    }
}

fn key_ids(issuer: &BuiltinIssuer) -> Vec<String> {
    let jwks = issuer.jwks();
    jwks["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

fn signing_key_id(issuer: &BuiltinIssuer) -> String {
    let token = issuer.mint("ann", "patchfleet", TimeDelta::minutes(5)).unwrap();
    jsonwebtoken::decode_header(token).unwrap().kid.unwrap()
}

#[test]
fn a_key_has_the_same_id_after_a_restart() {
    let file = KeyFile::with(&pem(1));
    assert_eq!(key_ids(&issuer(&file.identity()).unwrap()), key_ids(&issuer(&file.identity()).unwrap()));
}

#[test]
fn without_a_key_file_each_start_has_its_own_key() {
    let identity = Identity::default();
    assert_ne!(key_ids(&issuer(&identity).unwrap()), key_ids(&issuer(&identity).unwrap()));
}

#[test]
fn the_first_key_signs_and_all_are_published() {
    let (old, both) = (KeyFile::with(&pem(1)), KeyFile::with(&format!("{}{}", pem(2), pem(1))));
    let (old, both) = (issuer(&old.identity()).unwrap(), issuer(&both.identity()).unwrap());
    assert_eq!(key_ids(&both).len(), 2);
    assert!(key_ids(&both).contains(&signing_key_id(&old)));
    assert_eq!(signing_key_id(&both), key_ids(&both)[0]);
}

#[test]
fn a_key_file_without_a_usable_key_is_refused_by_number() {
    let broken = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let file = KeyFile::with(&format!("{}{broken}", pem(1)));
    assert!(matches!(issuer(&file.identity()), Err(IssuerError::Key { number: 2, .. })));
    assert!(matches!(issuer(&KeyFile::with("nothing").identity()), Err(IssuerError::NoKey)));
    let absent = Identity { signing_key_file: Some("absent.pem".into()), ..Identity::default() };
    assert!(matches!(issuer(&absent), Err(IssuerError::File { .. })));
}

/// Serves the issuer's two documents on a free port, as the tenancy service does.
async fn serve() -> (Arc<BuiltinIssuer>, Identity) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let issuer_url = format!("http://{}", listener.local_addr().unwrap());
    let identity = Identity { issuer: issuer_url, ..Identity::default() };
    let issuer = Arc::new(issuer(&identity).unwrap());
    let served = Arc::clone(&issuer);
    // Lives as long as the test.
    Lifecycle::new().spawn("identity provider", async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = vec![0; 4096];
            let read = stream.read(&mut request).await.unwrap();
            let head = String::from_utf8_lossy(&request[..read]);
            let (status, body) = match head.split(' ').nth(1).unwrap() {
                DISCOVERY_PATH => (200, served.discovery()),
                JWKS_PATH => (200, served.jwks()),
                _ => (404, serde_json::Value::Null),
            };
            let body = body.to_string();
            let answer = format!(
                "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
        Ok::<_, std::io::Error>(())
    });
    (issuer, identity)
}

fn verifier(identity: &Identity) -> TokenVerifier {
    let http = runtime::http::internal_client(Duration::from_secs(5)).unwrap();
    TokenVerifier::new(identity, http, Arc::new(SystemClock))
}

#[tokio::test]
async fn a_minted_token_is_accepted_by_discovery() {
    let (issuer, identity) = serve().await;
    let token = issuer.mint("ann", "patchfleet", TimeDelta::minutes(5)).unwrap();
    assert_eq!(verifier(&identity).verify(&token).await.unwrap().subject, "ann");
}

#[tokio::test]
async fn an_issuer_that_speaks_for_another_is_not_believed() {
    let (issuer, identity) = serve().await;
    let token = issuer.mint("ann", "patchfleet", TimeDelta::minutes(5)).unwrap();
    let elsewhere = Identity { issuer: identity.issuer.replace("127.0.0.1", "localhost"), ..identity };
    assert_eq!(verifier(&elsewhere).verify(&token).await, Err(TokenError::IssuerUnavailable));
}

#[tokio::test]
async fn a_fixed_key_address_needs_no_discovery() {
    let (issuer, identity) = serve().await;
    let token = issuer.mint("ann", "patchfleet", TimeDelta::minutes(5)).unwrap();
    let jwks_url = url::Url::parse(&format!("{}{JWKS_PATH}", identity.issuer)).unwrap();
    let identity = Identity { jwks_url: Some(jwks_url), ..identity };
    assert!(verifier(&identity).verify(&token).await.is_ok());
}

#[test]
fn the_published_keys_can_be_read_as_a_key_set() {
    assert!(KeySet::from_jwks(&issuer(&Identity::default()).unwrap().jwks()).is_ok());
}
