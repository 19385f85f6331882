//! Mutations that decide: which scopes they take, and who may send them.

use crate::system::{System, codes};
use crate::world::{World, global};
use contracts::permissions::Role;
use kernel::PatchId;
use serde_json::{Value, json};
use testkit::{eventually, id};

async fn refused(system: &System, who: &str, mutation: &str, mut input: Value) -> Value {
    input["idempotencyKey"] = json!(id::<PatchId>().to_string());
    let on = format!("{}{}Input!", mutation[..1].to_uppercase(), &mutation[1..]);
    let query =
        format!("mutation($input: {on}) {{ {mutation}(input: $input) {{ userErrors {{ code field }} }} }}");
    let answer = system.ask(who, &query, json!({ "input": input })).await;
    if let Some(code) = codes(&answer).first() {
        return json!(code);
    }
    answer["data"][mutation]["userErrors"][0].clone()
}

#[tokio::test]
async fn decisions_go_to_the_service_in_every_scope_and_other_combinations_are_refused() {
    let system = System::start().await;
    let world = World::new("acker");
    world.record(&system).await;
    let group = global("DeviceGroup", world.in_group(&system).await.id());
    let (patch, customer) = (global("Patch", world.patch), global("Customer", world.customer));
    let (device, partner) = (global("Device", world.device), global("Partner", world.partner));
    let who = world.subject(Role::PartnerAdmin);
    let passed = json!("web.service_unavailable");
    let scopes = [
        json!({ "customerId": customer }),
        json!({ "customerId": customer, "groupId": group }),
        json!({ "customerId": customer, "deviceId": device }),
        json!({ "partnerId": partner }),
    ];
    for scope in &scopes {
        for (mutation, extra) in [
            ("approvePatch", json!({})),
            ("giveSecondApproval", json!({})),
            ("rejectPatch", json!({ "comment": "no" })),
            ("deferPatch", json!({ "until": "2026-12-07T06:00:00Z" })),
            ("revokeApproval", json!({ "comment": "no" })),
        ] {
            let mut input = scope.clone();
            input["patchId"] = json!(patch);
            for (name, value) in extra.as_object().unwrap() {
                input[name] = value.clone();
            }
            assert_eq!(refused(&system, &who, mutation, input).await, passed, "{mutation} {scope}");
        }
    }
    let many = |decision: &str| json!({ "decision": decision, "patchIds": [patch], "scopes": scopes });
    assert_eq!(refused(&system, &who, "decidePatches", many("APPROVE")).await, passed);
    let error = refused(&system, &who, "decidePatches", many("DEFER")).await;
    assert_eq!(error, json!({ "code": "graphql.input_invalid", "field": "until" }));
    for scope in
        [json!({}), json!({ "groupId": group }), json!({ "customerId": customer, "partnerId": partner })]
    {
        let error = refused(
            &system,
            &who,
            "decidePatches",
            json!({ "decision": "APPROVE", "patchIds": [patch], "scopes": [{ "customerId": customer }, scope] }),
        )
        .await;
        assert_eq!(error, json!({ "code": "graphql.input_invalid", "field": "scopes.1.customerId" }));
    }
    let block = || json!({ "patchId": patch, "comment": "breaks printing" });
    for mutation in ["blockPatch", "unblockPatch"] {
        assert_eq!(refused(&system, &who, mutation, block()).await, passed);
        let admin = world.subject(Role::CustomerAdmin);
        assert_eq!(refused(&system, &admin, mutation, block()).await["code"], "access.forbidden");
    }
    let policy = json!({ "customerId": customer, "secondApprover": true });
    assert_eq!(refused(&system, &who, "setApprovalPolicy", policy).await, passed);
    system.stop().await;
}

#[tokio::test]
async fn another_tenants_group_does_not_exist_and_the_attempt_is_recorded() {
    let system = System::start().await;
    let world = World::new("acker");
    world.record(&system).await;
    let other = World::new("beck");
    other.record(&system).await;
    let input = json!({
        "patchId": global("Patch", world.patch),
        "customerId": global("Customer", other.customer),
        "groupId": global("DeviceGroup", world.in_group(&system).await.id()),
    });
    let error = refused(&system, &other.subject(Role::PartnerAdmin), "approvePatch", input).await;
    assert_eq!(error, json!({ "code": "devices.device_group_not_found", "field": "groupId" }));
    eventually("the attempt is recorded", || async { system.noted.lock().unwrap().len() == 1 }).await;
    system.stop().await;
}
