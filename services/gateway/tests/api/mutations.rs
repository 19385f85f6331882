//! What becomes of a wish before it reaches a service, and of a service's absence.

use crate::system::{OPERATOR, System, codes};
use crate::world::{World, global};
use contracts::permissions::Role;
use kernel::CustomerId;
use serde_json::{Value, json};
use testkit::{eventually, id};

const APPROVE: &str = "mutation($input: ApprovePatchInput!) { approvePatch(input: $input) {
    position repeated userErrors { code message field } } }";

fn approve(world: &World, customer: impl Into<uuid::Uuid>, key: &str) -> Value {
    json!({ "input": {
        "idempotencyKey": key,
        "patchId": global("Patch", world.patch),
        "customerId": global("Customer", customer),
    } })
}

async fn refused(system: &System, who: &str, variables: Value) -> Value {
    let data = system.data(who, APPROVE, variables).await;
    assert_eq!(data["approvePatch"]["repeated"], false);
    data["approvePatch"]["userErrors"][0].clone()
}

#[tokio::test]
async fn somebody_without_the_permission_gets_a_typed_refusal() {
    let system = System::start().await;
    let world = World::new("acker");
    world.record(&system).await;
    for role in [Role::PartnerViewer, Role::PartnerOperator, Role::CustomerAuditor] {
        let error = refused(&system, &world.subject(role), approve(&world, world.customer, "1")).await;
        assert_eq!(error["code"], "access.forbidden", "{role:?}");
    }
    assert_eq!(
        refused(&system, OPERATOR, approve(&world, world.customer, "1")).await["code"],
        "access.forbidden"
    );
    system.stop().await;
}

#[tokio::test]
async fn another_tenant_s_object_does_not_exist_and_the_attempt_is_recorded() {
    let system = System::start().await;
    let [world, other] = ["acker", "beck"].map(World::new);
    world.record(&system).await;
    other.record(&system).await;
    let who = world.subject(Role::CustomerApprover);
    let foreign = refused(&system, &who, approve(&world, other.customer, "1")).await;
    assert_eq!(
        foreign,
        json!({ "code": "tenancy.customer_not_found", "message": "there is no such customer", "field": "customerId" })
    );
    eventually("the attempt is recorded", || async { system.noted.lock().unwrap().len() == 1 }).await;
    let (caller, attempt) = system.noted.lock().unwrap()[0].clone();
    assert_eq!(caller.user_id, world.user(Role::CustomerApprover));
    assert_eq!(attempt.object_kind, "Customer");
    assert_eq!(attempt.object_id, other.customer.to_string());
    assert_eq!(attempt.operation, "approvePatch");
    system.stop().await;
}

#[tokio::test]
async fn a_query_for_another_tenant_s_object_finds_nothing_and_is_recorded() {
    let system = System::start().await;
    let [world, other] = ["acker", "beck"].map(World::new);
    world.record(&system).await;
    other.record(&system).await;
    let who = world.subject(Role::PartnerAdmin);
    let query = "query($device: ID!, $customer: ID!, $none: ID!) { node(id: $device) { id } none: node(id: $none) { id }
        viewer { customer(id: $customer) { name } } }";
    let variables = json!({
        "device": global("Device", other.device),
        "customer": global("Customer", other.customer),
        "none": global("Device", id::<CustomerId>()),
    });
    let data = system.data(&who, query, variables).await;
    assert_eq!(data, json!({ "node": null, "none": null, "viewer": { "customer": null } }));
    eventually("both attempts are recorded", || async { system.noted.lock().unwrap().len() == 2 }).await;
    let mut operations: Vec<_> =
        system.noted.lock().unwrap().iter().map(|(_, attempt)| attempt.operation.clone()).collect();
    operations.sort();
    assert_eq!(operations, ["node", "viewer.customer"]);
    system.stop().await;
}

#[tokio::test]
async fn a_service_that_cannot_be_reached_is_an_error_and_not_a_refusal() {
    let system = System::start().await;
    let world = World::new("acker");
    world.record(&system).await;
    let who = world.subject(Role::CustomerApprover);
    let answer = system.ask(&who, APPROVE, approve(&world, world.customer, "1")).await;
    assert_eq!(codes(&answer), ["web.service_unavailable"]);
    assert_eq!(answer["errors"][0]["message"], "temporarily unavailable");
    system.stop().await;
}

#[tokio::test]
async fn a_key_stands_for_one_wish_of_one_person() {
    let system = System::start().await;
    let world = World::new("acker");
    world.record(&system).await;
    let who = world.subject(Role::CustomerApprover);
    let first = approve(&world, world.customer, "once");
    let mut changed = first.clone();
    changed["input"]["comment"] = json!("another wish");
    for _ in 0..2 {
        // The same wish goes through to the service, which is away.
        assert_eq!(codes(&system.ask(&who, APPROVE, first.clone()).await), ["web.service_unavailable"]);
        let error = refused(&system, &who, changed.clone()).await;
        assert_eq!(
            (&error["code"], &error["field"]),
            (&json!("graphql.idempotency_key_reused"), &json!("idempotencyKey"))
        );
    }
    let other = world.subject(Role::PartnerAdmin);
    assert_eq!(codes(&system.ask(&other, APPROVE, changed).await), ["web.service_unavailable"]);
    system.stop().await;
}

#[tokio::test]
async fn a_wrong_key_or_id_is_refused_with_its_field() {
    let system = System::start().await;
    let world = World::new("acker");
    world.record(&system).await;
    let who = world.subject(Role::CustomerApprover);
    for key in [String::new(), "k".repeat(201), "a\0b".to_owned()] {
        let error = refused(&system, &who, approve(&world, world.customer, &key)).await;
        assert_eq!(error["code"], "graphql.idempotency_key_invalid", "{key:?}");
    }
    let mut variables = approve(&world, world.customer, "1");
    variables["input"]["patchId"] = json!(global("Device", world.device));
    let error = refused(&system, &who, variables).await;
    assert_eq!((&error["code"], &error["field"]), (&json!("graphql.id_invalid"), &json!("patchId")));
    system.stop().await;
}
