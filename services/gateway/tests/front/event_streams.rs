//! Server-sent events, in the distinct connections mode of `graphql-sse`.

use std::time::Duration;

use futures_util::StreamExt;
use gateway::front::Limits;
use reqwest::{RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};

use crate::api::{Api, codes};

const PATIENCE: Duration = Duration::from_secs(10);

async fn streamed(request: RequestBuilder) -> Response {
    let mut request = request.build().unwrap();
    request.headers_mut().insert("accept", "text/event-stream".parse().unwrap());
    reqwest::Client::new().execute(request).await.unwrap()
}

/// The whole stream, without the comments that keep it alive.
async fn events(response: Response) -> Vec<(String, Value)> {
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "text/event-stream; charset=utf-8");
    let text = tokio::time::timeout(PATIENCE, response.text()).await.unwrap().unwrap();
    assert!(text.ends_with("\n\n"), "{text}");
    let frames = text.split("\n\n").filter(|frame| !frame.is_empty() && *frame != ":");
    frames
        .map(|frame| {
            let (event, data) = frame.split_once('\n').unwrap();
            let data = data.strip_prefix("data: ").unwrap();
            let data = if data.is_empty() { Value::Null } else { serde_json::from_str(data).unwrap() };
            (event.strip_prefix("event: ").unwrap().to_owned(), data)
        })
        .collect()
}

fn named(name: &str, data: Value) -> (String, Value) {
    (name.to_owned(), data)
}

#[actix_web::test]
async fn a_subscription_is_streamed_to_its_end_by_post_and_get() {
    let api = Api::start().await;
    let query = "subscription { countTo(last: 2) }";
    for request in [api.post(query), api.get(&[("query", query)])] {
        let expected = [
            named("next", json!({ "data": { "countTo": 1 } })),
            named("next", json!({ "data": { "countTo": 2 } })),
            named("complete", Value::Null),
        ];
        assert_eq!(events(streamed(request).await).await, expected);
    }
}

#[actix_web::test]
async fn a_query_is_one_event() {
    let api = Api::start().await;
    let events = events(streamed(api.post("{ hello }")).await).await;
    assert_eq!(events.len(), 2);
    assert_eq!(events[0].1["data"]["hello"], "hello world");
    assert_eq!(events[0].1["extensions"]["cost"]["depth"], 1);
    assert_eq!(events[1], named("complete", Value::Null));
}

#[actix_web::test]
async fn refused_documents_are_events_and_refused_requests_are_not() {
    let api = Api::start().await;
    for (query, code) in [("{ unknown }", "graphql.validation"), ("{", "graphql.syntax")] {
        let events = events(streamed(api.post(query)).await).await;
        assert_eq!(codes(&events[0].1), [code]);
        assert_eq!(events[1], named("complete", Value::Null));
    }
    let batch = streamed(api.post_json(&json!([]))).await;
    assert_eq!(batch.status(), StatusCode::BAD_REQUEST);
    assert_eq!(codes(&batch.json().await.unwrap()), ["graphql.batching_unsupported"]);
    let mutation = streamed(api.get(&[("query", "mutation { record(name: \"x\") }")])).await;
    assert_eq!(mutation.status(), StatusCode::METHOD_NOT_ALLOWED);
    let denied = streamed(api.post("{ hello }").header("authorization", "Bearer wrong")).await;
    assert_eq!(denied.status(), StatusCode::UNAUTHORIZED);
}

#[actix_web::test]
async fn a_quiet_stream_is_kept_alive_by_comments() {
    let api = Api::with_limits(Limits { heartbeat: Duration::from_millis(10), ..Limits::default() }).await;
    let mut chunks = streamed(api.post("subscription { endless }")).await.bytes_stream();
    let mut text = String::new();
    let three_beats = async {
        while text.matches(":\n\n").count() < 3 {
            text += std::str::from_utf8(&chunks.next().await.unwrap().unwrap()).unwrap();
        }
    };
    tokio::time::timeout(PATIENCE, three_beats).await.unwrap();
    assert_eq!(text.matches("event: next").count(), 1);
    drop(chunks);
    api.until_followed(0).await;
}

#[actix_web::test]
async fn an_expired_session_cuts_the_stream_without_completing_it() {
    let api = Api::start().await;
    let request = api.post("subscription { endless }").header("authorization", "Bearer brief");
    let events = events(streamed(request).await).await;
    assert_eq!(events, [named("next", json!({ "data": { "endless": "brief" } }))]);
    api.until_followed(0).await;
}

#[actix_web::test]
async fn a_stop_cuts_every_stream_and_lets_the_server_end() {
    let api = Api::start().await;
    let response = streamed(api.post("subscription { endless }")).await;
    api.until_followed(1).await;
    api.stop.cancel();
    let events = events(response).await;
    assert!(!events.iter().any(|(event, _)| event == "complete"), "{events:?}");
    tokio::time::timeout(PATIENCE, api.server.stop(true)).await.expect("no stream holds the server");
}

#[actix_web::test]
async fn only_so_many_streams_are_open() {
    let api = Api::with_limits(Limits { streams: 1, ..Limits::default() }).await;
    let first = streamed(api.post("subscription { endless }")).await;
    let second = streamed(api.post("subscription { endless }")).await;
    assert_eq!(second.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(codes(&second.json().await.unwrap()), ["graphql.too_many_streams"]);
    drop(first);
}
