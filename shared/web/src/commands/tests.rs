//! Commands from a client to a server that takes them.

use crate::{ApiError, CommandClient, CommandContext, CommandFailure, Commands, Server};
use access::{Caller, Grant, InternalAuth};
use contracts::permissions::Role;
use contracts::tenancy::RegisterPartner;
use contracts::{Accepted, Service, Written};
use kernel::{ActorKind, CommandId, CorrelationId, PartnerId, Refused, Scope, UserId};
use runtime::settings::{Address, Internal, ServiceAddresses, TelemetrySettings};
use runtime::{Lifecycle, SystemClock, telemetry};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tracing::Instrument;
use uuid::Uuid;

const COMMAND_ID: CommandId = CommandId(Uuid::from_u128(7));
const CORRELATION_ID: CorrelationId = CorrelationId(Uuid::from_u128(8));
const PARTNER: PartnerId = PartnerId(Uuid::from_u128(9));

type Seen = Arc<Mutex<Vec<CommandContext>>>;

#[derive(Debug, thiserror::Error)]
#[error("a partner named {name:?} is registered already")]
struct NameTaken {
    name: String,
}

impl Refused for NameTaken {
    fn code(&self) -> &'static str {
        "tenancy.name_taken"
    }

    fn is_conflict(&self) -> bool {
        true
    }
}

fn auth() -> InternalAuth {
    InternalAuth::new(&Internal::default())
}

fn busy() -> ApiError {
    ApiError::unavailable("store.busy", std::io::Error::other("others wrote the stream meanwhile"))
}

async fn register(
    seen: Seen,
    context: CommandContext,
    command: RegisterPartner,
) -> Result<Accepted<PartnerId>, ApiError> {
    let asked = {
        let mut seen = seen.lock().unwrap();
        seen.push(context);
        seen.len()
    };
    match command.name.as_str() {
        "taken" => Err(ApiError::refused(&NameTaken { name: command.name })),
        "outage" => Err(ApiError::unavailable("store.unavailable", std::io::Error::other("connection lost"))),
        "contested" if asked < 4 => Err(busy()),
        "hopeless" => Err(busy()),
        _ => Ok(Accepted { answer: PARTNER, written: Some(Written { pos: 4 }), repeated: false }),
    }
}

/// A tenancy service that remembers what it was asked.
struct Tenancy {
    address: SocketAddr,
    seen: Seen,
    _lifecycle: Lifecycle,
}

impl Tenancy {
    fn start() -> Self {
        if let Ok(guard) = telemetry::init(&TelemetrySettings::default(), "test") {
            std::mem::forget(guard);
        }
        let (seen, lifecycle) = (Seen::default(), Lifecycle::new());
        let (state, commands) = (Arc::clone(&seen), Commands::new(auth(), Arc::new(SystemClock)));
        let server = Server::new(Service::Tenancy, "127.0.0.1:0".parse().unwrap()).configure(move |routes| {
            routes.service(commands.route(&state, register));
        });
        Self { address: server.start(&lifecycle).unwrap(), seen, _lifecycle: lifecycle }
    }

    fn client(&self) -> CommandClient {
        client(self.address)
    }

    async fn post(&self, assertion: Option<String>, body: &str) -> (u16, serde_json::Value) {
        let http = runtime::http::internal_client(Duration::from_secs(5)).unwrap();
        let url = format!("http://{}/commands/RegisterPartner", self.address);
        let mut request = http.post(url).body(body.to_owned());
        if let Some(assertion) = assertion {
            request = request.bearer_auth(assertion);
        }
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }
}

fn client(address: SocketAddr) -> CommandClient {
    let mut services = ServiceAddresses::default();
    services.set(Service::Tenancy, Address::at(address));
    let http = runtime::http::internal_client(Duration::from_secs(5)).unwrap();
    CommandClient::new(services, auth(), http, Arc::new(SystemClock))
}

fn operator() -> Caller {
    Caller {
        user_id: UserId(Uuid::from_u128(1)),
        subject: "olga".into(),
        scope: Scope::Platform,
        grants: vec![Grant::everywhere(Role::PlatformOperator)],
    }
}

async fn send(client: &CommandClient, name: &str) -> Result<Accepted<PartnerId>, CommandFailure> {
    let command = RegisterPartner { name: name.into() };
    client.send(&operator(), command, COMMAND_ID, CORRELATION_ID).await
}

fn assertion(audience: Service, caller: &Caller) -> String {
    use runtime::Clock;
    auth().assertion(caller, audience, SystemClock.now()).unwrap()
}

const BODY: &str = r#"{"command": {"name": "acme"},
    "commandId": "00000000-0000-0000-0000-000000000007",
    "correlationId": "00000000-0000-0000-0000-000000000008"}"#;

#[tokio::test]
async fn an_accepted_command_is_answered_with_what_was_written() {
    let tenancy = Tenancy::start();
    let accepted = send(&tenancy.client(), "acme").await.unwrap();
    assert_eq!(accepted, Accepted { answer: PARTNER, written: Some(Written { pos: 4 }), repeated: false });
}

#[tokio::test]
async fn the_use_case_knows_who_asked_and_in_which_trace() {
    let tenancy = Tenancy::start();
    let span = tracing::info_span!("mutation");
    let trace = span.in_scope(telemetry::current_trace_id).unwrap();
    send(&tenancy.client(), "acme").instrument(span).await.unwrap();
    let context = tenancy.seen.lock().unwrap().remove(0);
    assert_eq!(context.caller, operator());
    assert_eq!((context.cause.command_id, context.cause.correlation_id), (COMMAND_ID, CORRELATION_ID));
    assert_eq!(context.cause.actor.kind, ActorKind::User);
    assert_eq!(context.cause.actor.id, operator().user_id.to_string());
    assert!(context.cause.traceparent.unwrap().contains(&trace));
}

#[tokio::test]
async fn a_refusal_arrives_as_it_was_said() {
    let failure = send(&Tenancy::start().client(), "taken").await.unwrap_err();
    let message = "a partner named \"taken\" is registered already".into();
    assert_eq!(
        failure,
        CommandFailure { code: "tenancy.name_taken".into(), status: 409, message, retryable: false }
    );
    let error = ApiError::from(failure);
    assert_eq!((error.code.as_ref(), error.status.as_u16()), ("tenancy.name_taken", 409));
}

#[tokio::test]
async fn an_outage_behind_the_service_may_be_retried_and_shows_nothing() {
    let failure = send(&Tenancy::start().client(), "outage").await.unwrap_err();
    assert!(failure.retryable);
    assert_eq!((failure.code.as_str(), failure.message.as_str()), ("store.unavailable", "tenancy failed"));
}

#[tokio::test]
async fn a_service_that_is_not_there_may_be_asked_again() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let failure = send(&client(closed), "acme").await.unwrap_err();
    assert_eq!(
        (failure.code.as_str(), failure.status, failure.retryable),
        ("web.service_unavailable", 503, true)
    );
}

#[tokio::test]
async fn a_connection_that_breaks_is_tried_once_more() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let flaky = async move {
        drop(listener.accept().await.unwrap());
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 65_536];
        assert!(stream.read(&mut request).await.unwrap() > 0);
        let body = serde_json::json!({"answer": PARTNER, "written": null, "repeated": true}).to_string();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    };
    let client = client(address);
    let (accepted, ()) = tokio::join!(send(&client, "acme"), flaky);
    assert!(accepted.unwrap().repeated);
}

#[tokio::test]
async fn nobody_gets_in_without_the_statement_of_a_service() {
    let tenancy = Tenancy::start();
    let mut auditor = operator();
    auditor.grants = vec![Grant::everywhere(Role::PartnerViewer)];
    for (assertion, status, code) in [
        (None, 401, "access.token_missing"),
        (Some("x.y.z".into()), 401, "access.assertion_invalid"),
        (Some(assertion(Service::Feeds, &operator())), 401, "access.assertion_invalid"),
        (Some(assertion(Service::Tenancy, &auditor)), 403, "access.forbidden"),
    ] {
        let (answered, problem) = tenancy.post(assertion, BODY).await;
        assert_eq!((answered, problem["code"].as_str()), (status, Some(code)));
    }
    assert!(tenancy.seen.lock().unwrap().is_empty());
    assert_eq!(tenancy.post(Some(assertion(Service::Tenancy, &operator())), BODY).await.0, 200);
}

#[tokio::test]
async fn a_body_with_anything_unknown_is_refused_by_name() {
    let tenancy = Tenancy::start();
    for (body, named) in [
        ("{", "EOF"),
        (r#"{"command": {"name": "a"}}"#, "commandId"),
        (&BODY.replace("\"name\"", "\"title\""), "title"),
        (&BODY.replace("commandId", "commandID"), "commandID"),
    ] {
        let (status, problem) = tenancy.post(Some(assertion(Service::Tenancy, &operator())), body).await;
        assert_eq!((status, problem["code"].as_str()), (400, Some("web.body_malformed")));
        assert!(problem["title"].as_str().unwrap().contains(named), "{problem}");
    }
}

#[tokio::test]
async fn a_command_that_met_other_writers_is_decided_anew() {
    let tenancy = Tenancy::start();
    let accepted = send(&tenancy.client(), "contested").await.unwrap();
    assert_eq!(accepted.answer, PARTNER);
    let seen = tenancy.seen.lock().unwrap();
    assert_eq!(seen.len(), 4);
    assert!(seen.iter().all(|context| context.cause == seen[0].cause && context.caller == operator()));
}

#[tokio::test]
async fn a_command_that_always_meets_other_writers_is_given_up() {
    let tenancy = Tenancy::start();
    let failure = send(&tenancy.client(), "hopeless").await.unwrap_err();
    assert_eq!((failure.code.as_str(), failure.status, failure.retryable), ("store.busy", 503, true));
    assert_eq!(tenancy.seen.lock().unwrap().len(), 8);
}

#[tokio::test]
async fn an_outage_and_a_refusal_are_asked_once() {
    for name in ["outage", "taken"] {
        let tenancy = Tenancy::start();
        send(&tenancy.client(), name).await.unwrap_err();
        assert_eq!(tenancy.seen.lock().unwrap().len(), 1, "{name}");
    }
}

#[tokio::test]
async fn a_text_that_the_database_cannot_keep_is_refused_by_its_place() {
    let tenancy = Tenancy::start();
    let body = |name: &str| BODY.replace("acme", name);
    for name in [r"\u0000", r"acme\u0000", r"\\\u0000"] {
        let (status, problem) =
            tenancy.post(Some(assertion(Service::Tenancy, &operator())), &body(name)).await;
        assert_eq!((status, problem["code"].as_str()), (422, Some("web.text_invalid")), "{name}");
        assert!(problem["title"].as_str().unwrap().contains("command.name"), "{problem}");
    }
    let failure = send(&tenancy.client(), "ac\0me").await.unwrap_err();
    assert_eq!((failure.code.as_str(), failure.status), ("web.text_invalid", 422));
    assert!(tenancy.seen.lock().unwrap().is_empty());
    // A backslash and five characters, and everything else that people write.
    for name in [r"\\u0000", r"\u0001", "line\\nline", "ä𝄞\u{ffff}"] {
        let (status, problem) =
            tenancy.post(Some(assertion(Service::Tenancy, &operator())), &body(name)).await;
        assert_eq!(status, 200, "{name}: {problem}");
    }
}
