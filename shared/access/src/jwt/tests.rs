//! What is accepted, and every way of not being accepted. The keys in `testdata` sign nothing but these tokens.

use super::{FetchError, FetchKeys, KeySet, TokenError, TokenVerifier, bearer};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::EncodePrivateKey;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use runtime::Clock;
use runtime::settings::Identity;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

const NOW: i64 = 1_750_000_000;
const ISSUER: &str = "https://id.example";

#[derive(Clone, Default)]
struct TestClock(Arc<AtomicI64>);

impl Clock for TestClock {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp(NOW + self.0.load(Ordering::SeqCst), 0).unwrap()
    }
}

impl TestClock {
    fn advance(&self, by: TimeDelta) {
        self.0.fetch_add(by.num_seconds(), Ordering::SeqCst);
    }
}

/// An identity provider that counts how often it is asked.
#[derive(Clone, Default)]
struct Provider {
    jwks: Arc<Mutex<Vec<Value>>>,
    asked: Arc<AtomicUsize>,
    down: Arc<Mutex<bool>>,
}

#[async_trait::async_trait]
impl FetchKeys for Provider {
    async fn fetch(&self) -> Result<KeySet, FetchError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        // Gives others the chance to ask at the same time.
        tokio::task::yield_now().await;
        if *self.down.lock().unwrap() {
            return Err(FetchError { what: "down".into(), source: None });
        }
        KeySet::from_jwks(&json!({ "keys": *self.jwks.lock().unwrap() }))
    }
}

impl Provider {
    fn publish(&self, keys: &[&TestKey]) {
        *self.jwks.lock().unwrap() = keys.iter().map(|key| key.jwk.clone()).collect();
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

struct TestKey {
    kid: &'static str,
    algorithm: Algorithm,
    encoding: EncodingKey,
    jwk: Value,
}

impl TestKey {
    fn ed(kid: &'static str, seed: u8) -> Self {
        let key = SigningKey::from_bytes(&[seed; 32]);
        let encoding = EncodingKey::from_ed_der(key.to_pkcs8_der().unwrap().as_bytes());
        let public = URL_SAFE_NO_PAD.encode(key.verifying_key().as_bytes());
        let jwk = json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": public});
        Self { kid, algorithm: Algorithm::EdDSA, encoding, jwk }
    }

    fn new(kid: &'static str, algorithm: Algorithm, encoding: EncodingKey) -> Self {
        let jwk = Jwk::from_encoding_key(&encoding, algorithm).unwrap();
        let mut jwk = serde_json::to_value(jwk).unwrap();
        jwk["kid"] = kid.into();
        Self { kid, algorithm, encoding, jwk }
    }

    fn sign(&self, claims: &Value) -> String {
        self.sign_with(claims, |_| {})
    }

    fn sign_with(&self, claims: &Value, change: impl FnOnce(&mut Header)) -> String {
        let mut header = Header::new(self.algorithm);
        header.typ = Some("at+jwt".into());
        header.kid = Some(self.kid.into());
        change(&mut header);
        jsonwebtoken::encode(&header, claims, &self.encoding).unwrap()
    }
}

fn identity() -> Identity {
    Identity { issuer: ISSUER.into(), ..Identity::default() }
}

fn claims() -> Value {
    json!({"iss": ISSUER, "aud": "patchfleet", "sub": "ann", "iat": NOW, "exp": NOW + 300})
}

fn claims_but(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn claims_without(name: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(name);
    claims
}

fn verifier(keys: &[&TestKey]) -> (TokenVerifier, Provider, TestClock) {
    let (provider, clock) = (Provider::default(), TestClock::default());
    provider.publish(keys);
    let verifier = TokenVerifier::with_keys(&identity(), provider.clone(), Arc::new(clock.clone()));
    (verifier, provider, clock)
}

fn rsa(pem: &str) -> EncodingKey {
    EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap()
}

#[tokio::test]
async fn a_good_token_of_every_allowed_algorithm_names_its_subject() {
    let es256 = EncodingKey::from_ec_pem(include_bytes!("testdata/es256.pem")).unwrap();
    let keys = [
        TestKey::ed("ed", 1),
        TestKey::new("ec", Algorithm::ES256, es256),
        TestKey::new("rsa", Algorithm::RS256, rsa(include_str!("testdata/rs256.pem"))),
    ];
    let (verifier, ..) = verifier(&keys.each_ref());
    for key in &keys {
        let token = verifier.verify(&key.sign(&claims())).await.unwrap();
        assert_eq!((token.subject.as_str(), token.expires_at.timestamp()), ("ann", NOW + 300));
    }
}

#[tokio::test]
async fn a_token_may_have_several_audiences_and_a_clock_that_is_a_little_off() {
    let key = TestKey::ed("a", 1);
    let (verifier, ..) = verifier(&[&key]);
    for claims in [
        claims_but("aud", json!(["other", "patchfleet"])),
        claims_but("exp", json!(NOW - 29)),
        claims_but("nbf", json!(NOW + 29)),
    ] {
        assert!(verifier.verify(&key.sign(&claims)).await.is_ok(), "{claims}");
    }
}

/// A token made by hand: header and claims as given, signature by `sign`.
fn forged(header: &Value, claims: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    let signature = URL_SAFE_NO_PAD.encode(sign(message.as_bytes()));
    format!("{message}.{signature}")
}

fn hs256(secret: &[u8]) -> impl FnOnce(&[u8]) -> Vec<u8> {
    let key = EncodingKey::from_secret(secret);
    move |message| {
        let signature = jsonwebtoken::crypto::sign(message, &key, Algorithm::HS256).unwrap();
        URL_SAFE_NO_PAD.decode(signature).unwrap()
    }
}

fn replaced_payload(token: &str, claims: &Value) -> String {
    let parts: Vec<_> = token.split('.').collect();
    format!("{}.{}.{}", parts[0], URL_SAFE_NO_PAD.encode(claims.to_string()), parts[2])
}

#[tokio::test]
async fn everything_else_is_refused_with_its_code() {
    let key = TestKey::ed("a", 1);
    let rsa_pem = include_str!("testdata/rs256.pem");
    let rsa_key = TestKey::new("rsa", Algorithm::RS256, rsa(rsa_pem));
    let stranger = TestKey::ed("a", 2);
    let unknown = TestKey::ed("unknown", 1);
    let (verifier, ..) = verifier(&[&key, &rsa_key]);
    let good = key.sign(&claims());
    let public = SigningKey::from_bytes(&[1; 32]).verifying_key();
    let header = |alg: &str| json!({"alg": alg, "typ": "at+jwt", "kid": "a"});
    let modulus = rsa_key.jwk["n"].as_str().unwrap();

    let cases: Vec<(&str, String, &str)> = vec![
        ("empty", String::new(), "malformed"),
        ("no token", "hello".into(), "malformed"),
        ("two parts", good.rsplit_once('.').unwrap().0.into(), "malformed"),
        ("four parts", format!("{good}.x"), "malformed"),
        ("longer than any token", "a".repeat(20_000), "malformed"),
        ("truncated signature", good[..good.len() - 4].into(), "malformed"),
        ("no signature", format!("{}.", good.rsplit_once('.').unwrap().0), "invalid"),
        ("payload replaced", replaced_payload(&good, &claims_but("sub", json!("root"))), "invalid"),
        ("foreign key under a known id", stranger.sign(&claims()), "invalid"),
        ("unknown key", unknown.sign(&claims()), "unknown_key"),
        ("no key id", key.sign_with(&claims(), |h| h.kid = None), "malformed"),
        ("alg none", forged(&header("none"), &claims(), |_| Vec::new()), "malformed"),
        ("alg None", forged(&header("None"), &claims(), |_| Vec::new()), "malformed"),
        (
            "alg NONE with the good signature",
            forged(&header("NONE"), &claims(), |_| vec![0; 64]),
            "malformed",
        ),
        (
            "HS256 with the public key",
            forged(&header("HS256"), &claims(), hs256(public.as_bytes())),
            "invalid",
        ),
        (
            "HS256 with the public key as text",
            forged(
                &json!({"alg": "HS256", "typ": "at+jwt", "kid": "rsa"}),
                &claims(),
                hs256(modulus.as_bytes()),
            ),
            "invalid",
        ),
        ("HS256 with an empty secret", forged(&header("HS256"), &claims(), hs256(b"")), "invalid"),
        (
            "another algorithm than the key's",
            forged(&header("RS256"), &claims(), |_| vec![0; 256]),
            "invalid",
        ),
        (
            "a stronger one of the same family",
            rsa_key.sign_with(&claims(), |h| h.alg = Algorithm::RS512),
            "invalid",
        ),
        ("typ JWT", key.sign_with(&claims(), |h| h.typ = Some("JWT".into())), "invalid"),
        ("no typ", key.sign_with(&claims(), |h| h.typ = None), "invalid"),
        ("critical extension", key.sign_with(&claims(), |h| h.crit = Some(vec!["exp".into()])), "invalid"),
        ("no exp", key.sign(&claims_without("exp")), "malformed"),
        ("no iss", key.sign(&claims_without("iss")), "malformed"),
        ("no aud", key.sign(&claims_without("aud")), "malformed"),
        ("no sub", key.sign(&claims_without("sub")), "malformed"),
        ("empty sub", key.sign(&claims_but("sub", json!(""))), "malformed"),
        ("sub is a number", key.sign(&claims_but("sub", json!(7))), "malformed"),
        ("exp is a text", key.sign(&claims_but("exp", json!("never"))), "malformed"),
        ("exp is beyond time", key.sign(&claims_but("exp", json!(i64::MAX))), "malformed"),
        ("exp is negative", key.sign(&claims_but("exp", json!(-1))), "malformed"),
        ("nbf is a text", key.sign(&claims_but("nbf", json!("now"))), "malformed"),
        ("expired", key.sign(&claims_but("exp", json!(NOW - 30))), "expired"),
        ("not valid yet", key.sign(&claims_but("nbf", json!(NOW + 31))), "invalid"),
        ("wrong issuer", key.sign(&claims_but("iss", json!("https://evil.example"))), "wrong_issuer"),
        ("issuer with a slash", key.sign(&claims_but("iss", json!("https://id.example/"))), "wrong_issuer"),
        ("issuer among others", key.sign(&claims_but("iss", json!([ISSUER, "x"]))), "malformed"),
        ("wrong audience", key.sign(&claims_but("aud", json!("other"))), "wrong_audience"),
        ("no audience in the list", key.sign(&claims_but("aud", json!([]))), "wrong_audience"),
        ("claims are a list", key.sign(&json!([1, 2])), "malformed"),
    ];
    for (name, token, code) in cases {
        let error = verifier.verify(&token).await.expect_err(name);
        assert_eq!(error.code(), format!("access.token_{code}"), "{name}: {error}");
    }
}

#[tokio::test]
async fn a_missing_header_is_not_a_malformed_token() {
    let (verifier, ..) = verifier(&[]);
    for header in [None, Some("Basic abc"), Some("Bearer"), Some("Bearer ")] {
        assert_eq!(verifier.verify_header(header).await, Err(TokenError::Missing), "{header:?}");
    }
    assert_eq!(bearer(Some("bearer abc")), Some("abc"));
}

#[tokio::test]
async fn keys_that_are_weak_for_encryption_or_broken_are_not_used() {
    let weak = TestKey::new("weak", Algorithm::RS256, rsa(include_str!("testdata/rs256-weak.pem")));
    let mut encryption = TestKey::ed("encryption", 1);
    encryption.jwk["use"] = "enc".into();
    let mut short = TestKey::ed("short", 1);
    short.jwk["x"] = "AAAA".into();
    let mut other_algorithm = TestKey::ed("other", 1);
    other_algorithm.jwk["alg"] = "ES256".into();
    let keys = [weak, encryption, short, other_algorithm];
    let (verifier, ..) = verifier(&keys.each_ref());
    for key in &keys {
        assert_eq!(verifier.verify(&key.sign(&claims())).await, Err(TokenError::UnknownKey), "{}", key.kid);
    }
}

#[tokio::test]
async fn a_new_key_is_accepted_beside_the_old_one_and_the_old_one_until_it_is_withdrawn() {
    let (old, new) = (TestKey::ed("old", 1), TestKey::ed("new", 2));
    let (verifier, provider, clock) = verifier(&[&old]);
    assert!(verifier.verify(&old.sign(&claims())).await.is_ok());
    provider.publish(&[&new, &old]);
    clock.advance(TimeDelta::seconds(11));
    assert!(verifier.verify(&new.sign(&claims())).await.is_ok());
    assert!(verifier.verify(&old.sign(&claims())).await.is_ok());
    provider.publish(&[&new]);
    clock.advance(TimeDelta::minutes(10));
    let later = claims_but("exp", json!(NOW + 3_000));
    assert_eq!(verifier.verify(&old.sign(&later)).await, Err(TokenError::UnknownKey));
}

#[tokio::test]
async fn a_burst_of_tokens_is_one_request_to_the_provider() {
    let key = TestKey::ed("a", 1);
    let (verifier, provider, _) = verifier(&[&key]);
    let verifier = Arc::new(verifier);
    let token = key.sign(&claims());
    let mut burst = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (verifier, token) = (Arc::clone(&verifier), token.clone());
        burst.spawn(async move { verifier.verify(&token).await });
    }
    assert!(burst.join_all().await.iter().all(Result::is_ok));
    assert_eq!(provider.asked(), 1);
}

#[tokio::test]
async fn made_up_key_ids_do_not_flood_the_provider() {
    let (key, made_up) = (TestKey::ed("a", 1), TestKey::ed("made up", 3));
    let (verifier, provider, clock) = verifier(&[&key]);
    for _ in 0..100 {
        assert_eq!(verifier.verify(&made_up.sign(&claims())).await, Err(TokenError::UnknownKey));
    }
    assert_eq!(provider.asked(), 1);
    clock.advance(TimeDelta::seconds(10));
    assert!(verifier.verify(&made_up.sign(&claims())).await.is_err());
    assert_eq!(provider.asked(), 2);
}

#[tokio::test]
async fn known_keys_outlive_an_outage_of_the_provider_for_a_day() {
    let key = TestKey::ed("a", 1);
    let (verifier, provider, clock) = verifier(&[&key]);
    let token = key.sign(&claims_but("exp", json!(NOW + 200_000)));
    assert!(verifier.verify(&token).await.is_ok());
    *provider.down.lock().unwrap() = true;
    clock.advance(TimeDelta::hours(23));
    assert!(verifier.verify(&token).await.is_ok());
    clock.advance(TimeDelta::hours(2));
    assert_eq!(verifier.verify(&token).await, Err(TokenError::IssuerUnavailable));
    *provider.down.lock().unwrap() = false;
    clock.advance(TimeDelta::seconds(10));
    assert!(verifier.verify(&token).await.is_ok());
}
