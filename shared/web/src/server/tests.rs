//! A server on a free port, asked as its clients ask it.

use super::Server;
use crate::ApiError;
use crate::error::{PROBLEM_JSON, Problem};
use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use contracts::Service;
use reqwest::Response;
use runtime::settings::TelemetrySettings;
use runtime::{Lifecycle, telemetry};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

const REMOTE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

struct Running {
    url: String,
    http: reqwest::Client,
    lifecycle: Lifecycle,
}

impl Running {
    fn start(server: Server) -> Self {
        // Once per process; the other tests find it there.
        if let Ok(guard) = telemetry::init(&TelemetrySettings::default(), "test") {
            std::mem::forget(guard);
        }
        let lifecycle = Lifecycle::new();
        let bound = server.start(&lifecycle).unwrap();
        let http = runtime::http::internal_client(Duration::from_secs(5)).unwrap();
        Self { url: format!("http://{bound}"), http, lifecycle }
    }

    async fn get(&self, path: &str) -> Response {
        self.http.get(format!("{}{path}", self.url)).send().await.unwrap()
    }

    async fn post(&self, path: &str, content_type: &str, body: impl Into<reqwest::Body>) -> Response {
        let request = self.http.post(format!("{}{path}", self.url)).header("content-type", content_type);
        request.body(body).send().await.unwrap()
    }
}

fn server() -> Server {
    Server::new(Service::Feeds, "127.0.0.1:0".parse().unwrap()).body_limit(1_000).configure(|routes| {
        routes
            .service(web::resource("/number").post(async |body: web::Json<i32>| body.to_string()))
            .route("/bytes", web::post().to(async |body: web::Bytes| body.len().to_string()))
            .route("/items/{id}", web::get().to(async |id: web::Path<u32>| id.to_string()))
            .route("/broken", web::get().to(broken))
            .route("/own", web::get().to(async || HttpResponse::BadRequest().json(json!({"errors": []}))))
            .route("/trace", web::get().to(async || telemetry::current_trace_id().unwrap_or_default()));
    })
}

async fn broken() -> Result<String, ApiError> {
    Err(ApiError::internal(std::io::Error::other("password authentication failed")))
}

async fn problem(answer: Response) -> Problem {
    assert_eq!(answer.headers()["content-type"], PROBLEM_JSON);
    let (status, id) = (answer.status(), answer.headers()["x-request-id"].to_str().unwrap().to_owned());
    let problem: Problem = answer.json().await.unwrap();
    assert_eq!((problem.status, problem.request_id.as_deref()), (status.as_u16(), Some(id.as_str())));
    problem
}

async fn code(answer: Response) -> (u16, String) {
    let problem = problem(answer).await;
    (problem.status, problem.code)
}

#[tokio::test]
async fn what_the_framework_refuses_has_the_same_form_as_our_own_errors() {
    let running = Running::start(server());
    let json = "application/json";
    let long = "1".repeat(1_001);
    for (answer, expected) in [
        (running.get("/absent").await, (404, "web.not_found")),
        (running.get("/items/seven").await, (404, "web.not_found")),
        (running.get("/number").await, (405, "web.method_not_allowed")),
        (running.post("/number", json, "{").await, (400, "web.body_malformed")),
        (running.post("/number", json, "\"x\"").await, (400, "web.body_malformed")),
        (running.post("/number", json, long.clone()).await, (413, "web.body_too_large")),
        (running.post("/bytes", json, long).await, (413, "web.body_too_large")),
        (running.post("/number", "text/plain", "7").await, (415, "web.media_type")),
    ] {
        assert_eq!(code(answer).await, (expected.0, expected.1.to_owned()));
    }
    assert_eq!(running.post("/number", json, "7").await.text().await.unwrap(), "7");
}

#[tokio::test]
async fn a_wrong_method_is_answered_with_the_right_one() {
    let running = Running::start(server().configure(|routes| {
        routes.service(web::resource("/only-get").route(web::get().to(async || "")));
    }));
    let answer = running.post("/only-get", "text/plain", "").await;
    assert_eq!(answer.headers()["allow"], "GET");
    assert_eq!(code(answer).await, (405, "web.method_not_allowed".into()));
}

#[tokio::test]
async fn a_failure_of_the_server_shows_nothing_but_its_code_and_the_request_id() {
    let running = Running::start(server());
    let problem = problem(running.get("/broken").await).await;
    assert_eq!((problem.code.as_str(), problem.title), ("web.internal", None));
}

#[tokio::test]
async fn an_error_body_that_a_handler_wrote_is_left_alone() {
    let running = Running::start(server());
    let answer = running.get("/own").await;
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST.as_u16());
    assert_eq!(answer.text().await.unwrap(), r#"{"errors":[]}"#);
}

#[tokio::test]
async fn a_request_keeps_its_id_unless_that_would_harm_the_log() {
    let running = Running::start(server());
    let ask = async |id: &str| {
        let request = running.http.get(format!("{}/healthz", running.url)).header("x-request-id", id);
        request.send().await.unwrap().headers()["x-request-id"].to_str().unwrap().to_owned()
    };
    assert_eq!(ask("abc-1.2_3").await, "abc-1.2_3");
    for harmful in ["", "a b", "a\tb", "<script>", &"a".repeat(65)] {
        let id = ask(harmful).await;
        assert_ne!(id, harmful);
        assert_eq!(id.len(), 36);
    }
}

#[tokio::test]
async fn a_request_belongs_to_the_trace_of_its_caller() {
    let running = Running::start(server());
    let request = running.http.get(format!("{}/trace", running.url)).header("traceparent", REMOTE);
    let trace = request.send().await.unwrap().text().await.unwrap();
    assert_eq!(trace, "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(running.get("/trace").await.text().await.unwrap().len(), 32);
}

#[tokio::test]
async fn a_service_is_ready_when_all_its_conditions_hold() {
    let up = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&up);
    let running =
        Running::start(server().ready_when("database", async || Ok(())).ready_when("broker", move || {
            let up = seen.load(Ordering::SeqCst);
            async move { if up { Ok(()) } else { Err("amqp://user:secret@mq refused".into()) } }
        }));
    assert_eq!(running.get("/healthz").await.status().as_u16(), 200);
    let answer = running.get("/readyz").await;
    assert_eq!(answer.status().as_u16(), 503);
    let body = answer.text().await.unwrap();
    assert_eq!(body, r#"{"failing":["broker"],"status":"not ready"}"#);
    up.store(true, Ordering::SeqCst);
    assert_eq!(running.get("/readyz").await.status().as_u16(), 200);
}

#[tokio::test]
async fn metrics_count_requests_by_route_and_not_by_address() {
    let running = Running::start(server());
    for id in [1, 2, 3] {
        running.get(&format!("/items/{id}")).await;
    }
    running.get("/absent/address").await;
    let text = running.get("/metrics").await.text().await.unwrap();
    let line = |route: &str| {
        text.lines()
            .find(|line| line.starts_with("patchfleet_http_requests_total{") && line.contains(route))
            .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
    };
    // Other tests of this process ask as well.
    assert!(line(r#"route="/items/{id}",status="200""#).unwrap() >= 3, "{text}");
    assert!(line(r#"route="unmatched",status="404""#).unwrap() >= 1, "{text}");
    assert!(!text.contains("/items/1") && !text.contains("/absent"), "{text}");
    assert!(text.contains("patchfleet_http_request_duration_seconds_bucket"), "{text}");
}

#[tokio::test]
async fn a_request_that_was_accepted_is_answered_after_the_stop() {
    let (arrived, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let signals = (Arc::clone(&arrived), Arc::clone(&go));
    let running = Running::start(server().configure(move |routes| {
        let (arrived, go) = signals.clone();
        routes.route(
            "/slow",
            web::get().to(move || {
                let (arrived, go) = (Arc::clone(&arrived), Arc::clone(&go));
                async move {
                    arrived.notify_one();
                    go.notified().await;
                    "done"
                }
            }),
        );
    }));
    let stop = async {
        arrived.notified().await;
        running.lifecycle.stop.cancel();
        go.notify_one();
    };
    let (slow, ()) = tokio::join!(running.get("/slow"), stop);
    assert_eq!(slow.text().await.unwrap(), "done");
    assert_eq!(running.lifecycle.shutdown(Duration::from_secs(10)).await, Ok(()));
    let refused = running.http.get(format!("{}/healthz", running.url)).send().await.unwrap_err();
    assert!(refused.is_connect());
}

#[tokio::test]
async fn an_idle_connection_does_not_delay_the_stop() {
    let running = Running::start(server());
    assert_eq!(running.get("/healthz").await.status().as_u16(), 200);
    let outcome = running.lifecycle.shutdown(Duration::from_secs(5)).await;
    assert_eq!(outcome, Ok(()));
}

#[tokio::test]
async fn a_taken_address_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let error = Server::new(Service::Feeds, address).start(&Lifecycle::new()).unwrap_err();
    assert_eq!(error.to_string(), format!("feeds cannot listen on {address}"));
}
