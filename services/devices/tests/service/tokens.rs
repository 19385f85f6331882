//! Enrolment tokens and enrolling.

use crate::house::{House, code, enrolment, new_key, read};
use access::Grant;
use contracts::{
    Accepted, DevicePlatform,
    agent::EnrolAnswer,
    devices::{IssueEnrolmentToken, IssuedToken},
    permissions::Role,
};
use kernel::{Scope, Tenant};
use testkit::id;
use uuid::Uuid;

fn partner(tenant: Tenant) -> Scope {
    Scope::Partner { partner_id: tenant.partner_id }
}

fn issue(tenant: Tenant) -> IssueEnrolmentToken {
    IssueEnrolmentToken { customer_id: tenant.customer_id.unwrap(), valid_for_seconds: 600 }
}

#[actix_web::test]
async fn a_repeated_command_issues_one_token_and_answers_as_the_first_time() {
    let house = House::open().await;
    let tenant = house.customer().await;
    let (grant, command_id): (_, Uuid) = (Grant::everywhere(Role::PartnerAdmin), id());
    let first = house.command(partner(tenant), grant, &issue(tenant), command_id).await;
    let again = house.command(partner(tenant), grant, &issue(tenant), command_id).await;
    let (first, again): (Accepted<IssuedToken>, Accepted<IssuedToken>) = (read(first.1), read(again.1));
    assert_eq!(first.answer.token_id, again.answer.token_id);
    assert_eq!(first.answer.expires_at, again.answer.expires_at);
    assert_eq!(first.written, again.written);
    assert!(first.answer.token.is_some() && again.answer.token == first.answer.token && again.repeated);
    let kept: Vec<String> = sqlx::query_scalar("select token_sha256 from devices.enrolment_token")
        .fetch_all(&mut house.owner().await)
        .await
        .unwrap();
    assert_eq!(kept, [devices_domain::report::token_hash(&first.answer.token.unwrap())]);
    house.close().await;
}

#[actix_web::test]
async fn tokens_are_issued_only_for_customers_of_the_caller() {
    let house = House::open().await;
    let (own, foreign) = (house.customer().await, house.customer().await);
    let admin = Grant::everywhere(Role::PartnerAdmin);
    let refused = house.command(partner(own), admin, &issue(foreign), id()).await;
    assert_eq!(code(&refused), (404, "devices.customer_unknown"));
    let customer_id = own.customer_id.unwrap();
    let at_customer = Scope::Customer { partner_id: own.partner_id, customer_id };
    let approver = Grant::at(Role::CustomerApprover, customer_id);
    assert_eq!(
        code(&house.command(at_customer, approver, &issue(own), id()).await),
        (403, "access.forbidden")
    );
    let admin = Grant::at(Role::CustomerAdmin, customer_id);
    assert_eq!(house.command(at_customer, admin, &issue(own), id()).await.0, 200);
    let refused = house.command(at_customer, admin, &issue(foreign), id()).await;
    assert_eq!(code(&refused), (404, "devices.customer_unknown"));
    let endless = IssueEnrolmentToken { valid_for_seconds: 604_801, ..issue(own) };
    let refused = house.command(at_customer, admin, &endless, id()).await;
    assert_eq!(code(&refused), (422, "devices.token_validity"));
    house.close().await;
}

#[actix_web::test]
async fn a_token_lets_one_device_in_however_often_it_asks() {
    let house = House::open().await;
    let tenant = house.customer().await;
    let (token, key) = (house.token(tenant, 600).await, new_key());
    let request = enrolment(&token, &key, DevicePlatform::Linux);
    let (first, again) = (house.post_enrolment(&request).await, house.post_enrolment(&request).await);
    assert_eq!((first.0, again.0), (201, 201));
    assert_eq!(first.1, again.1);
    let enrolled: EnrolAnswer = read(first.1);
    assert_eq!(house.story(enrolled.device_id).await, ["AgentEnrolled", "DeviceCameOnline"]);
    let other = house.post_enrolment(&enrolment(&token, &new_key(), DevicePlatform::Linux)).await;
    assert_eq!(code(&other), (409, "devices.token_used"));
    house.close().await;
}

#[actix_web::test]
async fn of_two_devices_with_one_token_at_once_one_gets_in() {
    let house = House::open().await;
    let token = house.token(house.customer().await, 600).await;
    let (one, two) = (new_key(), new_key());
    let one = enrolment(&token, &one, DevicePlatform::Linux);
    let two = enrolment(&token, &two, DevicePlatform::Linux);
    let (one, two) = tokio::join!(house.post_enrolment(&one), house.post_enrolment(&two));
    let mut statuses = [one.0, two.0];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409]);
    house.close().await;
}

#[actix_web::test]
async fn bad_tokens_and_bad_keys_are_refused() {
    let house = House::open().await;
    let tenant = house.customer().await;
    let unknown = enrolment("pfe_made-up", &new_key(), DevicePlatform::Linux);
    assert_eq!(code(&house.post_enrolment(&unknown).await), (401, "devices.token_unknown"));

    let expired = house.token(tenant, 60).await;
    // The fact says when it ends; a test cannot wait for it, but the past can be made longer.
    let mut owner = house.owner().await;
    for statement in [
        "alter table es.event disable trigger stored_events_cannot_be_changed",
        "update es.event set payload = convert_to(regexp_replace(convert_from(payload, 'utf8'), '\"expires_at\":\"[^\"]*\"', '\"expires_at\":\"2026-01-01T00:00:00Z\"'), 'utf8') where event_type = 'devices.EnrolmentTokenIssued'",
    ] {
        sqlx::query(statement).execute(&mut owner).await.unwrap();
    }
    let late = enrolment(&expired, &new_key(), DevicePlatform::Linux);
    assert_eq!(code(&house.post_enrolment(&late).await), (401, "devices.token_expired"));

    let mut odd = enrolment("pfe_made-up", &new_key(), DevicePlatform::Linux);
    odd.public_key = "AAAA".to_owned();
    assert_eq!(code(&house.post_enrolment(&odd).await), (400, "agent.key_invalid"));
    let mut endless = enrolment("pfe_made-up", &new_key(), DevicePlatform::Linux);
    endless.name = "a".repeat(300);
    assert_eq!(code(&house.post_enrolment(&endless).await), (422, "devices.invalid_text"));
    house.close().await;
}
