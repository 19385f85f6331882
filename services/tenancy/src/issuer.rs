//! The built-in issuer's HTTP side: discovery, keys, and tokens for whoever holds the client secret.

use access::{BuiltinIssuer, issuer};
use actix_web::{HttpResponse, web, web::ServiceConfig};
use chrono::TimeDelta;
use runtime::settings::Identity;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use std::sync::Arc;
use web::{Data, Form};

/// How long a token lives; roles are looked up with every request, so revoking one does not wait for this.
const TOKEN_LIFETIME: TimeDelta = TimeDelta::hours(1);

/// The issuer with what it needs to answer.
pub(crate) struct State {
    issuer: BuiltinIssuer,
    audience: String,
    client_secret: Option<SecretString>,
}

impl State {
    pub(crate) fn new(issuer: BuiltinIssuer, identity: &Identity) -> Self {
        Self { issuer, audience: identity.audience.clone(), client_secret: identity.client_secret.clone() }
    }
}

/// The issuer's routes.
pub(crate) fn routes(state: &Arc<State>, routes: &mut ServiceConfig) {
    routes
        .app_data(Data::from(state.clone()))
        .route(issuer::DISCOVERY_PATH, web::get().to(discovery))
        .route(issuer::JWKS_PATH, web::get().to(keys))
        .route(issuer::TOKEN_PATH, web::post().to(token));
}

async fn discovery(state: Data<State>) -> HttpResponse {
    HttpResponse::Ok().json(state.issuer.discovery())
}

async fn keys(state: Data<State>) -> HttpResponse {
    HttpResponse::Ok().insert_header(("cache-control", "public, max-age=60")).json(state.issuer.jwks())
}

/// RFC 6749, 4.4, with one addition: the subject for whom the token is.
#[derive(Deserialize)]
struct TokenRequest {
    grant_type: String,
    #[serde(default)]
    client_secret: Option<SecretString>,
    subject: String,
}

async fn token(state: Data<State>, request: Form<TokenRequest>) -> HttpResponse {
    if request.grant_type != "client_credentials" {
        return refuse("unsupported_grant_type");
    }
    let given = request.client_secret.as_ref().map(ExposeSecret::expose_secret);
    if let Some(wanted) = &state.client_secret
        && given != Some(wanted.expose_secret())
    {
        return refuse("invalid_client");
    }
    match state.issuer.mint(&request.subject, &state.audience, TOKEN_LIFETIME) {
        Ok(token) => {
            HttpResponse::Ok().insert_header(("cache-control", "no-store")).json(serde_json::json!({
                "access_token": token,
                "token_type": "Bearer",
                "expires_in": TOKEN_LIFETIME.num_seconds(),
            }))
        }
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "a token could not be signed");
            HttpResponse::InternalServerError().json(serde_json::json!({ "error": "server_error" }))
        }
    }
}

fn refuse(error: &str) -> HttpResponse {
    HttpResponse::BadRequest().json(serde_json::json!({ "error": error }))
}
