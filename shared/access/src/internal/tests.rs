//! Only the right secret, the right service and the right minute.

use super::{AssertionError, InternalAuth};
use crate::{Caller, Grant};
use chrono::{DateTime, TimeDelta, Utc};
use contracts::Service;
use contracts::permissions::Role;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use kernel::{CustomerId, PartnerId, Scope, UserId};
use runtime::settings::Internal;
use uuid::Uuid;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn auth(secret: &str) -> InternalAuth {
    InternalAuth::new(&Internal { secret: secret.into() })
}

fn noon() -> DateTime<Utc> {
    DateTime::from_timestamp(1_750_000_000, 0).unwrap()
}

fn ann() -> Caller {
    Caller {
        user_id: UserId(Uuid::from_u128(1)),
        subject: "ann".into(),
        scope: Scope::Partner { partner_id: PartnerId(Uuid::from_u128(2)) },
        grants: vec![
            Grant::everywhere(Role::PartnerAdmin),
            Grant::at(Role::CustomerAuditor, CustomerId(Uuid::from_u128(3))),
        ],
    }
}

fn reason(outcome: Result<Caller, AssertionError>) -> String {
    outcome.unwrap_err().to_string()
}

#[test]
fn the_other_service_sees_the_same_caller() {
    let token = auth(SECRET).assertion(&ann(), Service::Feeds, noon()).unwrap();
    assert_eq!(auth(SECRET).verify(&token, Service::Feeds, noon()), Ok(ann()));
}

#[test]
fn an_assertion_ends_after_a_minute() {
    let token = auth(SECRET).assertion(&ann(), Service::Feeds, noon()).unwrap();
    let after = |seconds| auth(SECRET).verify(&token, Service::Feeds, noon() + TimeDelta::seconds(seconds));
    assert!(after(64).is_ok());
    assert_eq!(after(65), Err(AssertionError::Expired { at: noon() + TimeDelta::seconds(60) }));
}

#[test]
fn an_assertion_for_one_service_is_worth_nothing_at_another() {
    let token = auth(SECRET).assertion(&ann(), Service::Feeds, noon()).unwrap();
    let outcome = auth(SECRET).verify(&token, Service::Alerts, noon());
    assert!(reason(outcome).ends_with("it is for another service"));
}

#[test]
fn another_secret_is_refused() {
    let token = auth("another secret of thirty-two bytes").assertion(&ann(), Service::Feeds, noon()).unwrap();
    assert!(reason(auth(SECRET).verify(&token, Service::Feeds, noon())).ends_with("the signature is wrong"));
}

#[test]
fn a_token_of_another_type_is_refused_although_the_secret_is_right() {
    let good = auth(SECRET).assertion(&ann(), Service::Feeds, noon()).unwrap();
    let claims: serde_json::Value = jsonwebtoken::dangerous::insecure_decode_claims(&good).unwrap();
    let secret = EncodingKey::from_secret(SECRET.as_bytes());
    let access_token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &secret).unwrap();
    let outcome = auth(SECRET).verify(&access_token, Service::Feeds, noon());
    assert!(reason(outcome).ends_with("the type is wrong"));
}

#[test]
fn a_stronger_algorithm_is_another_algorithm() {
    let good = auth(SECRET).assertion(&ann(), Service::Feeds, noon()).unwrap();
    let claims: serde_json::Value = jsonwebtoken::dangerous::insecure_decode_claims(&good).unwrap();
    let secret = EncodingKey::from_secret(SECRET.as_bytes());
    let token = jsonwebtoken::encode(&Header::new(Algorithm::HS512), &claims, &secret).unwrap();
    assert_eq!(
        auth(SECRET).verify(&token, Service::Feeds, noon()).unwrap_err().code(),
        "access.assertion_invalid"
    );
}
