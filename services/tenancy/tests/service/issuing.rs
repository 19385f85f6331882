//! The built-in issuer, as clients of `OpenID` Connect meet it.

use crate::system::System;
use access::TokenVerifier;
use access::issuer::{DISCOVERY_PATH, JWKS_PATH, TOKEN_PATH};
use runtime::SystemClock;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

const SECRET: &str = "correct horse battery staple";
const FORM: &str = "application/x-www-form-urlencoded";

impl System {
    async fn get(&self, path: &str) -> (u16, Value) {
        let http = runtime::http::internal_client(Duration::from_secs(10)).unwrap();
        let answer = http.get(format!("http://{}{path}", self.address)).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    async fn token(&self, form: &str) -> (u16, Value) {
        let http = runtime::http::internal_client(Duration::from_secs(10)).unwrap();
        let url = format!("http://{}{TOKEN_PATH}", self.address);
        let answer = http.post(url).header("content-type", FORM).body(form.to_owned()).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    fn verifier(&self) -> TokenVerifier {
        let mut identity = self.settings.identity.clone();
        identity.jwks_url = Some(format!("http://{}{JWKS_PATH}", self.address).parse().unwrap());
        let http = runtime::http::internal_client(Duration::from_secs(10)).unwrap();
        TokenVerifier::new(&identity, http, Arc::new(SystemClock))
    }
}

#[tokio::test]
async fn discovery_leads_to_the_keys_that_verify_a_token() {
    let system = System::start_with(&[("PATCHFLEET__IDENTITY__ISSUER", "http://id.example")]).await;
    let (status, discovery) = system.get(DISCOVERY_PATH).await;
    assert_eq!((status, discovery["issuer"].as_str()), (200, Some("http://id.example")));
    assert_eq!(discovery["jwks_uri"], format!("http://id.example{JWKS_PATH}"));
    assert_eq!(discovery["token_endpoint"], format!("http://id.example{TOKEN_PATH}"));
    let (status, keys) = system.get(JWKS_PATH).await;
    assert_eq!((status, keys["keys"][0]["alg"].as_str()), (200, Some("EdDSA")));
    assert!(keys["keys"][0].get("d").is_none(), "a private key is published");

    let (status, answer) = system.token("grant_type=client_credentials&subject=alice%40acker.example").await;
    assert_eq!((status, answer["token_type"].as_str()), (200, Some("Bearer")));
    assert_eq!(answer["expires_in"], 3_600);
    let token = answer["access_token"].as_str().unwrap();
    assert_eq!(system.verifier().verify(token).await.unwrap().subject, "alice@acker.example");
    system.stop().await;
}

#[tokio::test]
async fn a_token_is_given_to_whoever_knows_the_secret() {
    let system = System::start_with(&[("PATCHFLEET__IDENTITY__CLIENT_SECRET", SECRET)]).await;
    let encoded = SECRET.replace(' ', "+");
    for (secret, status, error) in [
        (format!("&client_secret={encoded}"), 200, None),
        (format!("&client_secret={encoded}+"), 400, Some("invalid_client")),
        ("&client_secret=".to_owned(), 400, Some("invalid_client")),
        (String::new(), 400, Some("invalid_client")),
    ] {
        let form = format!("grant_type=client_credentials&subject=alice{secret}");
        let (answered, body) = system.token(&form).await;
        assert_eq!((answered, body["error"].as_str()), (status, error), "{secret:?}");
        assert_eq!(body.get("access_token").is_some(), status == 200);
        assert!(!body.to_string().contains("horse"), "{body}");
    }
    system.stop().await;
}

#[tokio::test]
async fn other_grants_and_incomplete_requests_are_refused() {
    let system = System::start().await;
    let (status, body) = system.token("grant_type=password&subject=alice").await;
    assert_eq!((status, body["error"].as_str()), (400, Some("unsupported_grant_type")));
    for form in ["grant_type=client_credentials", "subject=alice", "", "%%%"] {
        let (status, body) = system.token(form).await;
        assert_eq!(status, 400, "{form:?}: {body}");
        assert!(body["code"].is_string(), "{form:?}: {body}");
    }
    system.stop().await;
}

#[tokio::test]
async fn where_another_issuer_is_named_there_is_no_built_in_one() {
    let system = System::start_with(&[("PATCHFLEET__IDENTITY__BUILTIN", "false")]).await;
    for path in [DISCOVERY_PATH, JWKS_PATH] {
        assert_eq!(system.get(path).await.0, 404);
    }
    assert_eq!(system.token("grant_type=client_credentials&subject=alice").await.0, 404);
    system.stop().await;
}
