//! Who gets an answer at all, and what their roles let them see.

use crate::system::{OPERATOR, System, codes};
use crate::world::{World, global};
use contracts::permissions::Role;
use kernel::CustomerId;
use serde_json::{Value, json};
use testkit::{eventually, id};

const WHO: &str = "{ viewer { user { subject displayName } roles { role customerId } partner { name } } }";

#[tokio::test]
async fn nobody_without_a_token_gets_an_answer() {
    let system = System::start().await;
    let http = reqwest::Client::builder().build().unwrap();
    for (authorization, code) in [
        ("", "access.token_missing"),
        ("Bearer x.y.z", "access.token_malformed"),
        ("Basic YQ==", "access.token_missing"),
    ] {
        let request = http.post(format!("http://{}/graphql", system.address)).json(&json!({ "query": WHO }));
        let answer = request.header("authorization", authorization).send().await.unwrap();
        assert_eq!(answer.status(), 401);
        let answer: Value = answer.json().await.unwrap();
        assert_eq!(codes(&answer), [code]);
        assert!(answer.get("data").is_none());
    }
    system.stop().await;
}

#[tokio::test]
async fn a_valid_token_of_somebody_unknown_opens_nothing() {
    let system = System::start().await;
    let answer = system.request("stranger", WHO, &Value::Null).send().await.unwrap();
    assert_eq!(answer.status(), 401);
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(codes(&answer), ["access.unknown_user"]);
    system.stop().await;
}

#[tokio::test]
async fn the_operator_sees_partners_by_name_and_nothing_of_their_customers() {
    let system = System::start().await;
    let world = World::new("acker");
    world.record(&system).await;
    let data = system.data(OPERATOR, WHO, Value::Null).await;
    assert_eq!(data["viewer"]["user"]["subject"], OPERATOR);
    assert_eq!(data["viewer"]["roles"], json!([{ "role": "PLATFORM_OPERATOR", "customerId": null }]));
    let partners = system.data(OPERATOR, "{ partners { nodes { name } } }", Value::Null).await;
    assert_eq!(partners["partners"]["nodes"], json!([{ "name": "acker partner" }]));
    for query in [
        "{ viewer { customers { nodes { name } } } }".to_owned(),
        "{ partners { nodes { customers { nodes { name } } } } }".to_owned(),
        format!("{{ node(id: \"{}\") {{ id }} }}", global("Device", world.device)),
    ] {
        let answer = system.ask(OPERATOR, &query, Value::Null).await;
        assert_eq!(codes(&answer), ["access.forbidden"], "{query}: {answer}");
        assert!(!answer.to_string().contains("acker"), "{answer}");
    }
    system.stop().await;
}

#[tokio::test]
async fn people_of_a_partner_and_of_a_customer_are_who_they_are() {
    let system = System::start().await;
    let world = World::new("acker");
    world.record(&system).await;
    let admin = system.data(&world.subject(Role::PartnerAdmin), WHO, Value::Null).await;
    assert_eq!(admin["viewer"]["partner"]["name"], "acker partner");
    assert_eq!(admin["viewer"]["roles"], json!([{ "role": "PARTNER_ADMIN", "customerId": null }]));
    let approver = system.data(&world.subject(Role::CustomerApprover), WHO, Value::Null).await;
    assert_eq!(approver["viewer"]["partner"], Value::Null);
    let at = global("Customer", world.customer);
    assert_eq!(approver["viewer"]["roles"], json!([{ "role": "CUSTOMER_APPROVER", "customerId": at }]));
    system.stop().await;
}

#[tokio::test]
async fn a_revoked_role_ends_with_the_next_request() {
    let system = System::start().await;
    let world = World::new("acker");
    world.record(&system).await;
    let (who, query) = (world.subject(Role::CustomerApprover), "{ viewer { customers { nodes { name } } } }");
    system.data(&who, query, Value::Null).await;
    world.revoke(&system, Role::CustomerApprover).await;
    system.sequence().await;
    eventually("the role is gone", || async {
        let answer: Value =
            system.request(&who, query, &Value::Null).send().await.unwrap().json().await.unwrap();
        codes(&answer) == ["access.forbidden"]
    })
    .await;
    system.stop().await;
}

#[tokio::test]
async fn only_those_who_keep_webhooks_see_them() {
    let system = System::start().await;
    let world = World::new("acker");
    world.record(&system).await;
    let query = "{ viewer { customers { nodes { webhooks { nodes { url } } } } } }";
    let node = format!("{{ node(id: \"{}\") {{ id }} }}", global("Webhook", world.webhook));
    for role in [Role::PartnerAdmin, Role::CustomerAdmin] {
        let data = system.data(&world.subject(role), query, Value::Null).await;
        assert_eq!(
            data["viewer"]["customers"]["nodes"][0]["webhooks"]["nodes"][0]["url"],
            "https://acker.example/hook"
        );
        system.data(&world.subject(role), &node, Value::Null).await;
    }
    for role in [Role::PartnerViewer, Role::CustomerAuditor] {
        for query in [query, &node] {
            let answer = system.ask(&world.subject(role), query, Value::Null).await;
            assert_eq!(codes(&answer), ["access.forbidden"], "{role:?}: {answer}");
        }
    }
    system.stop().await;
}

#[tokio::test]
async fn roles_at_two_customers_show_these_two_and_not_their_partner() {
    let system = System::start().await;
    let first = World::new("acker");
    first.record(&system).await;
    let [second, third] = ["beck", "conrad"].map(|mark| World { partner: first.partner, ..World::new(mark) });
    for world in [&second, &third] {
        let customer = contracts::tenancy::CustomerRegistered {
            customer_id: world.customer,
            partner_id: world.partner,
            name: world.text("customer"),
            time_zone: "UTC".to_owned(),
        };
        let fact = crate::system::Fact::of::<contracts::tenancy::CustomerEvent>(customer);
        system.record(world.tenant(), world.customer.0, vec![fact]).await;
        world.record_device(&system).await;
    }
    first.grant(&system, Role::CustomerAdmin, second.customer).await;
    let who = first.subject(Role::CustomerAdmin);
    let query =
        "{ viewer { partner { customers { nodes { name } } } customers { totalCount nodes { name } } } }";
    let data = system.data(&who, query, Value::Null).await;
    let both = json!([{ "name": "acker customer" }, { "name": "beck customer" }]);
    assert_eq!(data["viewer"]["customers"], json!({ "totalCount": 2, "nodes": both }));
    assert_eq!(data["viewer"]["partner"]["customers"]["nodes"], both);
    let node = "query($id: ID!) { node(id: $id) { id } }";
    let found = system.data(&who, node, json!({ "id": global("Device", second.device) })).await;
    assert!(found["node"]["id"].is_string());
    for (kind, hidden) in [("Device", third.device.0), ("Customer", third.customer.0)] {
        let answer = system.data(&who, node, json!({ "id": global(kind, hidden) })).await;
        assert_eq!(answer["node"], Value::Null, "{kind}");
    }
    for query in [
        "{ viewer { partner { alerts { nodes { message } } } } }",
        "{ viewer { partner { webhooks { nodes { url } } } } }",
    ] {
        assert_eq!(codes(&system.ask(&who, query, Value::Null).await), ["access.forbidden"]);
    }
    system.stop().await;
}

#[tokio::test]
async fn a_forbidden_field_is_named_and_the_others_are_answered() {
    let system = System::start().await;
    let query = "{ viewer { user { subject } none: partner { name } } first: partners { totalCount nodes { customers { nodes { name } } } } }";
    let world = World::new("acker");
    world.record(&system).await;
    let answer = system.ask(OPERATOR, query, Value::Null).await;
    assert_eq!(answer["errors"][0]["path"], json!(["first", "nodes", 0, "customers"]), "{answer}");
    let who = world.subject(Role::CustomerAuditor);
    let query = "query($id: ID!) { node(id: $id) { id } viewer { user { subject } } }";
    let variables = json!({ "id": global("Webhook", world.webhook) });
    let answer = system.ask(&who, query, variables).await;
    assert_eq!(answer["errors"][0]["path"], json!(["node"]));
    assert_eq!(answer["data"], json!({ "node": null, "viewer": { "user": { "subject": who } } }));
    system.stop().await;
}

#[tokio::test]
async fn an_answer_names_the_request_it_belongs_to() {
    let system = System::start().await;
    let correlation = id::<CustomerId>().to_string();
    let request = system.request(OPERATOR, "{ position }", &Value::Null);
    let answer = request.header("x-correlation-id", &correlation).send().await.unwrap();
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(answer["extensions"]["correlationId"], correlation);
    let [first, second] = [(); 2].map(|()| system.request(OPERATOR, "{ position }", &Value::Null));
    let first: Value = first.send().await.unwrap().json().await.unwrap();
    let second: Value = second.send().await.unwrap().json().await.unwrap();
    assert_ne!(first["extensions"]["correlationId"], second["extensions"]["correlationId"]);
    system.stop().await;
}
