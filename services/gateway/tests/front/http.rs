//! GraphQL over HTTP: methods, media types, statuses, codes.

use std::time::Duration;

use gateway::front::Limits;
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};

use crate::api::{Api, Setup, codes};

const RESPONSE_JSON: &str = "application/graphql-response+json; charset=utf-8";
const JSON: &str = "application/json; charset=utf-8";

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

async fn refused(request: reqwest::RequestBuilder) -> (StatusCode, String) {
    let response = request.send().await.unwrap();
    let status = response.status();
    let answer: Value = response.json().await.unwrap();
    assert!(answer.get("data").is_none(), "{answer}");
    assert_eq!(codes(&answer).len(), 1, "{answer}");
    (status, codes(&answer)[0].to_owned())
}

#[actix_web::test]
async fn an_answer_has_data_and_its_cost() {
    let api = Api::start().await;
    let response = api.post("{ hello patch { devices(first: 3) { name } } }").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(header(&response, "content-type"), RESPONSE_JSON);
    assert_eq!(header(&response, "cache-control"), "no-store");
    let answer: Value = response.json().await.unwrap();
    assert_eq!(answer["data"]["hello"], "hello world");
    assert_eq!(answer["extensions"], json!({ "cost": { "expandedFields": 4, "depth": 3, "complexity": 5 } }));
}

#[actix_web::test]
async fn variables_and_operation_name_are_passed_on() {
    let api = Api::start().await;
    let query = "query A($n: String!) { hello(name: $n) } query B { caller }";
    let body = json!({ "query": query, "operationName": "A", "variables": { "n": "you" }, "extensions": {} });
    let answer: Value = api.post_json(&body).send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["data"], json!({ "hello": "hello you" }));

    let parameters = [("query", query), ("operationName", "A"), ("variables", r#"{"n":"all"}"#)];
    let answer: Value = api.get(&parameters).send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["data"], json!({ "hello": "hello all" }));
}

#[actix_web::test]
async fn headers_set_by_a_resolver_are_sent() {
    let api = Api::start().await;
    let response = api.post("{ withHeader }").send().await.unwrap();
    assert_eq!(header(&response, "x-position"), "42");
}

#[actix_web::test]
async fn the_older_media_type_answers_200_to_refused_documents() {
    let api = Api::start().await;
    for query in [
        "{ unknown }",
        "{",
        "{ patch { superseded { superseded { superseded { superseded { superseded { \
         superseded { superseded { superseded { superseded { superseded { superseded { superseded { superseded { \
         superseded { title } } } } } } } } } } } } } } } }",
    ] {
        let json = api.post(query).header("accept", "application/json");
        // reqwest appends the header: the first of equally liked types would win.
        let mut json = json.build().unwrap();
        json.headers_mut().insert("accept", "application/json".parse().unwrap());
        let response = reqwest::Client::new().execute(json).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(header(&response, "content-type"), JSON);
        let older: Value = response.json().await.unwrap();

        let response = api.post(query).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        let newer: Value = response.json().await.unwrap();
        assert_eq!(older, newer);
        assert!(newer.get("data").is_none(), "{newer}");
    }
}

#[actix_web::test]
async fn every_refusal_has_a_status_and_a_code() {
    let api = Api::start().await;
    let client = reqwest::Client::new();
    let post = |content_type: &'static str, body: &'static str| {
        client.post(api.url()).header("content-type", content_type).body(body)
    };
    let cases = [
        (post("text/plain", r#"{"query":"{ hello }"}"#), 415, "graphql.unsupported_content_type"),
        (post("application/json; charset=latin1", "{}"), 415, "graphql.unsupported_content_type"),
        (client.post(api.url()).body("{}"), 415, "graphql.unsupported_content_type"),
        (post("application/json", "{"), 400, "graphql.malformed_request"),
        (post("application/json", "\"{ hello }\""), 400, "graphql.malformed_request"),
        (post("application/json", r#"{"query":1}"#), 400, "graphql.malformed_request"),
        (
            post("application/json", r#"{"query":"{ hello }","variables":[]}"#),
            400,
            "graphql.malformed_request",
        ),
        (
            post("application/json", r#"{"query":"{ hello }","operationName":1}"#),
            400,
            "graphql.malformed_request",
        ),
        (post("application/json", r#"[{"query":"{ hello }"}]"#), 400, "graphql.batching_unsupported"),
        (post("application/json", "{}"), 400, "graphql.missing_query"),
        (post("application/json", r#"{"query":" "}"#), 400, "graphql.missing_query"),
        (post("application/json", "{}").header("accept", "image/png"), 406, "graphql.not_acceptable"),
        (api.get(&[]), 400, "graphql.missing_query"),
        (api.get(&[("query", "{ hello }"), ("variables", "{")]), 400, "graphql.malformed_request"),
        (api.get(&[("query", "mutation { record(name: \"x\") }")]), 405, "graphql.mutation_by_get"),
        (client.put(api.url()), 405, "graphql.method_not_allowed"),
        (client.get(format!("{}/ws", api.url())), 426, "graphql.upgrade_required"),
        (client.get(api.url()).header("upgrade", "websocket"), 400, "graphql.invalid_handshake"),
        (api.post("{ hello"), 400, "graphql.syntax"),
        (api.post("{ hello(name: \"x) }"), 400, "graphql.syntax"),
        (api.post("{ unknown }"), 400, "graphql.validation"),
        (api.post("query A { hello } query B { hello }"), 400, "graphql.validation"),
        (api.post("subscription { countTo(last: 1) }"), 400, "graphql.subscription_transport"),
    ];
    for (request, status, code) in cases {
        let described = format!("{request:?}");
        assert_eq!(
            refused(request).await,
            (StatusCode::from_u16(status).unwrap(), code.to_owned()),
            "{described}"
        );
    }
}

#[actix_web::test]
async fn refused_methods_name_the_allowed_ones() {
    let api = Api::start().await;
    let response = api.get(&[("query", "mutation { record(name: \"x\") }")]).send().await.unwrap();
    assert_eq!(header(&response, "allow"), "POST");
    let response = reqwest::Client::new().delete(api.url()).send().await.unwrap();
    assert_eq!(header(&response, "allow"), "GET, POST");
}

#[actix_web::test]
async fn a_syntax_error_names_its_place() {
    let api = Api::start().await;
    let answer: Value = api.post("{ hello\n  ) }").send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["errors"][0]["locations"], json!([{ "line": 2, "column": 3 }]), "{answer}");
    let message = answer["errors"][0]["message"].as_str().unwrap();
    assert!(message.starts_with("the document cannot be parsed: expected "), "{message}");
}

#[actix_web::test]
async fn a_large_body_is_refused_also_without_a_length() {
    let api = Api::start().await;
    let limit = Limits::default().body_bytes;
    let document = r#"{"query":"{ hello }"}"#;
    let exactly = format!("{document}{}", " ".repeat(limit - document.len()));
    let response = reqwest::Client::new()
        .post(api.url())
        .header("content-type", "application/json")
        .body(exactly.clone())
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::OK);

    let chunks = [Ok::<_, std::io::Error>(exactly), Ok(" ".to_owned())];
    let chunked = reqwest::Body::wrap_stream(futures_util::stream::iter(chunks));
    let request =
        reqwest::Client::new().post(api.url()).header("content-type", "application/json").body(chunked);
    assert_eq!(refused(request).await, (StatusCode::PAYLOAD_TOO_LARGE, "graphql.body_too_large".to_owned()));
}

#[actix_web::test]
async fn callers_are_authenticated_before_their_body_is_read() {
    let api = Api::start_with(Setup { anonymous: false, ..Setup::default() }).await;
    let response = reqwest::Client::new().post(api.url()).body("nonsense").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(header(&response, "www-authenticate"), "Bearer");
    let answer: Value = response.json().await.unwrap();
    let error = json!({ "message": "a token is needed", "extensions": { "code": "access.unauthenticated" } });
    assert_eq!(answer, json!({ "errors": [error] }));

    let alice = api.post("{ caller }").header("authorization", "Bearer alice");
    let answer: Value = alice.send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["data"]["caller"], "alice");

    let outage = api.post("{ caller }").header("authorization", "Bearer outage").send().await.unwrap();
    assert_eq!(outage.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(header(&outage, "retry-after"), "5");
}

#[actix_web::test]
async fn errors_of_resolvers_keep_their_code_and_hide_their_cause() {
    let api = Api::start().await;
    let response = api.post("{ hello maybeForbidden }").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let answer: Value = response.json().await.unwrap();
    assert_eq!(answer["data"], json!({ "hello": "hello world", "maybeForbidden": null }));
    assert_eq!(codes(&answer), ["access.forbidden"]);

    let response = api.post("{ broken }").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let answer: Value = response.json().await.unwrap();
    assert_eq!(answer["data"], Value::Null);
    assert_eq!(answer["errors"][0]["message"], "internal error");
    assert_eq!(codes(&answer), ["graphql.internal"]);
}

#[actix_web::test]
async fn a_failed_field_becomes_null_in_the_nearest_place_that_allows_it() {
    let api = Api::start().await;
    let cases = [
        ("{ hello broken }", json!(null)),
        ("{ tree { name broken } }", json!({ "tree": null })),
        ("{ tree { name branches { name brokenAt(index: 1) } } }", json!({ "tree": null })),
        (
            "{ tree { leaves { name brokenAt(index: 1) } } }",
            json!({ "tree": { "leaves": [{ "name": "0", "brokenAt": 0 }, null] } }),
        ),
        ("{ tree { name maybe } }", json!({ "tree": { "name": "0", "maybe": null } })),
        ("{ hello @skip(if: true) }", json!({})),
    ];
    for (query, data) in cases {
        let answer: Value = api.post(query).send().await.unwrap().json().await.unwrap();
        assert_eq!(answer["data"], data, "{query}");
        let errors = usize::from(!query.contains("skip"));
        assert_eq!(codes(&answer).len(), errors, "{answer}");
    }
    let answer: Value =
        api.post("{ tree { leaves { brokenAt(index: 1) } } }").send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["errors"][0]["path"], json!(["tree", "leaves", 1, "brokenAt"]));
}

#[actix_web::test]
async fn an_endless_operation_is_given_up() {
    let limits = Limits { execution: Duration::from_millis(20), ..Limits::default() };
    let api = Api::with_limits(limits).await;
    let (status, code) = refused(api.post("{ endless }")).await;
    assert_eq!((status, code.as_str()), (StatusCode::SERVICE_UNAVAILABLE, "graphql.timeout"));
}

#[actix_web::test]
async fn the_page_for_developers_is_served_in_development_only() {
    let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    for development in [true, false] {
        let api = Api::start_with(Setup { development, ..Setup::default() }).await;
        let response = reqwest::Client::new().get(api.url()).header("accept", browser).send().await.unwrap();
        let is_page = header(&response, "content-type") == "text/html; charset=utf-8";
        assert_eq!(is_page, development, "{response:?}");
        assert_eq!(response.text().await.unwrap().contains("GraphiQL"), development);
    }
}
