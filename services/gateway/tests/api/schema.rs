//! The schema as it is committed.

use serde_json::Value;

const COMMITTED: &str = include_str!("../../../../docs/schema.graphql");

#[test]
fn the_committed_schema_is_the_one_that_is_served() {
    assert_eq!(
        COMMITTED,
        gateway::sdl(),
        "docs/schema.graphql is stale: run `cargo run -p gateway --example schema > docs/schema.graphql`"
    );
}

/// The types of the schema by introspection of a running gateway.
pub(crate) async fn types(system: &crate::system::System) -> Vec<Value> {
    let query = "{ __schema { types { kind name fields { name args { name type { kind } }
        type { kind name ofType { kind name ofType { kind name ofType { kind name } } } } } } } }";
    let data = system.data(crate::system::OPERATOR, query, Value::Null).await;
    data["__schema"]["types"].as_array().unwrap().clone()
}

/// The type below all wrappers of non-null and list.
pub(crate) fn named(wrapped: &Value) -> (&str, &str) {
    if wrapped["ofType"].is_object() {
        return named(&wrapped["ofType"]);
    }
    (wrapped["kind"].as_str().unwrap(), wrapped["name"].as_str().unwrap())
}

#[tokio::test]
async fn every_connection_can_be_paged_through() {
    let system = crate::system::System::start().await;
    let types = types(&system).await;
    let mut connections = 0;
    for on in &types {
        for field in on["fields"].as_array().into_iter().flatten() {
            if !named(&field["type"]).1.ends_with("Connection") {
                continue;
            }
            connections += 1;
            let arguments: Vec<_> =
                field["args"].as_array().unwrap().iter().map(|arg| &arg["name"]).collect();
            for argument in ["first", "after"] {
                assert!(arguments.iter().any(|name| *name == argument), "{}.{}", on["name"], field["name"]);
            }
        }
    }
    assert!(connections > 15, "{connections} connections");
    system.stop().await;
}
