//! `graphql-transport-ws`: handshake, close codes, operations, limits, stop.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use gateway::front::Limits;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::api::{Api, Setup, codes};

const PATIENCE: Duration = Duration::from_secs(10);

struct Client(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Client {
    async fn connect(api: &Api) -> Self {
        Self::connect_with(api, "/graphql", &[("sec-websocket-protocol", "graphql-transport-ws")])
            .await
            .unwrap()
    }

    async fn connect_with(api: &Api, path: &str, headers: &[(&'static str, &str)]) -> Result<Self, Error> {
        let mut request = format!("ws://{}{path}", api.address).into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        match connect_async(request).await {
            Ok((stream, _)) => Ok(Self(stream)),
            // The server does speak WebSocket, only not this protocol.
            Err(error) => Err(error),
        }
    }

    async fn initialised(api: &Api) -> Self {
        let mut client = Self::connect(api).await;
        client.send(json!({ "type": "connection_init" })).await;
        assert_eq!(client.receive().await, json!({ "type": "connection_ack" }));
        client
    }

    async fn send(&mut self, message: Value) {
        self.0.send(Message::text(message.to_string())).await.unwrap();
    }

    async fn subscribe(&mut self, id: &str, query: &str) {
        self.send(json!({ "type": "subscribe", "id": id, "payload": { "query": query } })).await;
    }

    async fn next(&mut self) -> Option<Result<Message, Error>> {
        tokio::time::timeout(PATIENCE, self.0.next()).await.expect("the server says something")
    }

    async fn receive(&mut self) -> Value {
        match self.next().await.unwrap().unwrap() {
            Message::Text(text) => serde_json::from_str(&text).unwrap(),
            other => panic!("a text message was expected, not {other:?}"),
        }
    }

    /// Expects the close frame as the next message.
    async fn closed(&mut self) -> (u16, String) {
        loop {
            match self.next().await.unwrap().unwrap() {
                Message::Close(Some(frame)) => return (frame.code.into(), frame.reason.to_string()),
                Message::Ping(_) => {}
                other => panic!("a close frame was expected, not {other:?}"),
            }
        }
    }
}

#[actix_web::test]
async fn a_subscription_is_followed_to_its_end() {
    let api = Api::start().await;
    let mut client = Client::initialised(&api).await;
    client.subscribe("1", "subscription { countTo(last: 3) }").await;
    for number in 1..=3 {
        let next = json!({ "type": "next", "id": "1", "payload": { "data": { "countTo": number } } });
        assert_eq!(client.receive().await, next);
    }
    assert_eq!(client.receive().await, json!({ "type": "complete", "id": "1" }));
}

#[actix_web::test]
async fn queries_and_mutations_are_answered_on_the_socket_and_its_second_address() {
    let api = Api::start().await;
    let headers = [("sec-websocket-protocol", "chat, graphql-transport-ws")];
    let mut client = Client::connect_with(&api, "/graphql/ws", &headers).await.unwrap();
    client.send(json!({ "type": "connection_init", "payload": {} })).await;
    client.receive().await;
    client.subscribe("m", "mutation { record(name: \"x\") }").await;
    let next = client.receive().await;
    assert_eq!(next["payload"]["data"], json!({ "record": "recorded x" }));
    assert_eq!(next["payload"]["extensions"]["cost"]["expandedFields"], 1);
    assert_eq!(client.receive().await, json!({ "type": "complete", "id": "m" }));
    client.subscribe("m", "{ hello }").await;
    assert_eq!(client.receive().await["payload"]["data"]["hello"], "hello world");
}

#[actix_web::test]
async fn refused_operations_end_with_an_error_and_leave_the_socket_open() {
    let api = Api::start().await;
    let mut client = Client::initialised(&api).await;
    let cases = [
        ("{ unknown }", "graphql.validation"),
        ("{ hello", "graphql.syntax"),
        ("subscription { countTo(last: 1) a: countTo(last: 1) }", "graphql.subscription_root_fields"),
        ("{ ...f } fragment f on Query { ...f }", "graphql.fragment_cycle"),
    ];
    for (query, code) in cases {
        client.subscribe("same", query).await;
        let message = client.receive().await;
        assert_eq!(message["type"], "error", "{message}");
        assert_eq!(message["id"], "same");
        assert_eq!(codes(&json!({ "errors": message["payload"] })), [code]);
    }
    client.subscribe("same", "subscription { forbidden }").await;
    let message = client.receive().await;
    assert_eq!(codes(&message["payload"]), ["access.forbidden"], "{message}");
    assert_eq!(client.receive().await, json!({ "type": "complete", "id": "same" }));
}

#[actix_web::test]
async fn pings_are_answered_with_their_payload() {
    let api = Api::start().await;
    let mut client = Client::connect(&api).await;
    client.send(json!({ "type": "ping" })).await;
    assert_eq!(client.receive().await, json!({ "type": "pong" }));
    client.send(json!({ "type": "ping", "payload": { "n": 1 } })).await;
    assert_eq!(client.receive().await, json!({ "type": "pong", "payload": { "n": 1 } }));
    client.send(json!({ "type": "pong" })).await;
    client.0.send(Message::Ping("abc".into())).await.unwrap();
    assert_eq!(client.next().await.unwrap().unwrap(), Message::Pong("abc".into()));
}

#[actix_web::test]
async fn messages_outside_the_protocol_close_with_4400() {
    let api = Api::start().await;
    let invalid = [
        "nonsense".to_owned(),
        "[".repeat(100_000),
        json!({ "type": "start" }).to_string(),
        json!({ "type": "subscribe", "id": 1, "payload": { "query": "{ hello }" } }).to_string(),
        json!({ "type": "subscribe", "id": "", "payload": { "query": "{ hello }" } }).to_string(),
        json!({ "type": "subscribe", "id": "1", "payload": {} }).to_string(),
        json!({ "type": "subscribe", "id": "1" }).to_string(),
    ];
    for text in invalid {
        let mut client = Client::initialised(&api).await;
        client.0.send(Message::text(text.clone())).await.unwrap();
        let (code, reason) = client.closed().await;
        assert_eq!(code, 4400, "{text:.80}");
        assert!(reason.starts_with("Invalid message: "), "{reason}");
    }
    let mut client = Client::initialised(&api).await;
    client.0.send(Message::binary(b"{}".to_vec())).await.unwrap();
    assert_eq!(client.closed().await.0, 4400);
}

#[actix_web::test]
async fn nothing_runs_before_the_acknowledgement() {
    let api = Api::start().await;
    let mut client = Client::connect(&api).await;
    client.subscribe("1", "{ hello }").await;
    assert_eq!(client.closed().await, (4401, "Unauthorized".to_owned()));
}

#[actix_web::test]
async fn credentials_come_with_the_initialisation_or_the_handshake() {
    let api = Api::start_with(Setup { anonymous: false, ..Setup::default() }).await;
    for (header, payload, caller) in [
        (None, json!({ "authorization": "Bearer alice" }), Some("alice")),
        (None, json!({ "Authorization": "Bearer alice" }), Some("alice")),
        (Some("Bearer alice"), json!({}), Some("alice")),
        (Some("Bearer wrong"), json!({ "authorization": "Bearer alice" }), Some("alice")),
        (None, json!({}), None),
        (None, json!({ "authorization": "Bearer wrong" }), None),
        (None, json!({ "authorization": 1 }), None),
        (Some("Bearer alice"), json!({ "authorization": "Bearer wrong" }), None),
    ] {
        let mut headers = vec![("sec-websocket-protocol", "graphql-transport-ws")];
        headers.extend(header.map(|value| ("authorization", value)));
        let mut client = Client::connect_with(&api, "/graphql", &headers).await.unwrap();
        client.send(json!({ "type": "connection_init", "payload": payload })).await;
        let Some(caller) = caller else {
            let (code, reason) = client.closed().await;
            assert_eq!(code, 4403);
            assert!(reason.starts_with("Forbidden: "), "{reason}");
            continue;
        };
        assert_eq!(client.receive().await, json!({ "type": "connection_ack" }));
        client.subscribe("1", "{ caller }").await;
        assert_eq!(client.receive().await["payload"]["data"]["caller"], caller);
    }
}

#[actix_web::test]
async fn an_outage_of_the_issuer_asks_to_try_again() {
    let api = Api::start().await;
    let mut client = Client::connect(&api).await;
    client.send(json!({ "type": "connection_init", "payload": { "authorization": "Bearer outage" } })).await;
    assert_eq!(client.closed().await.0, 1013);
}

#[actix_web::test]
async fn a_foreign_subprotocol_closes_with_4406() {
    let api = Api::start().await;
    let mut client = Client::connect_with(&api, "/graphql", &[]).await.unwrap();
    assert_eq!(client.closed().await, (4406, "Subprotocol not acceptable".to_owned()));
}

#[actix_web::test]
async fn a_socket_must_be_initialised_in_time_however_slow_the_check() {
    let api =
        Api::with_limits(Limits { initialisation: Duration::from_millis(50), ..Limits::default() }).await;
    let expected = (4408, "Connection initialisation timeout".to_owned());
    assert_eq!(Client::connect(&api).await.closed().await, expected);
    let mut client = Client::connect(&api).await;
    client.send(json!({ "type": "connection_init", "payload": { "authorization": "Bearer stall" } })).await;
    assert_eq!(client.closed().await, expected);
}

#[actix_web::test]
async fn a_second_initialisation_closes_with_4429() {
    let api = Api::start().await;
    let mut client = Client::initialised(&api).await;
    client.send(json!({ "type": "connection_init" })).await;
    assert_eq!(client.closed().await, (4429, "Too many initialisation requests".to_owned()));
}

#[actix_web::test]
async fn an_id_in_use_closes_with_4409_and_a_finished_one_is_free() {
    let api = Api::start().await;
    let mut client = Client::initialised(&api).await;
    client.subscribe("a", "subscription { endless }").await;
    client.receive().await;
    client.send(json!({ "type": "complete", "id": "a" })).await;
    api.until_followed(0).await;
    client.subscribe("a", "subscription { endless }").await;
    assert_eq!(client.receive().await["type"], "next");
    client.subscribe("a", "{ hello }").await;
    assert_eq!(client.closed().await, (4409, "Subscriber for a already exists".to_owned()));
    api.until_followed(0).await;
}

#[actix_web::test]
async fn a_client_that_leaves_ends_its_operations() {
    let api = Api::start().await;
    let mut client = Client::initialised(&api).await;
    client.subscribe("a", "subscription { endless }").await;
    client.receive().await;
    api.until_followed(1).await;
    drop(client);
    api.until_followed(0).await;
}

#[actix_web::test]
async fn a_close_is_echoed() {
    let api = Api::start().await;
    let mut client = Client::initialised(&api).await;
    client.subscribe("a", "subscription { endless }").await;
    client.receive().await;
    let frame = CloseFrame { code: CloseCode::Library(4123), reason: "done here".into() };
    client.0.send(Message::Close(Some(frame))).await.unwrap();
    assert_eq!(client.closed().await, (4123, "done here".to_owned()));
    assert!(client.next().await.is_none(), "the connection ends as well");
    api.until_followed(0).await;
}

#[actix_web::test]
async fn messages_have_a_largest_size_whole_or_in_pieces() {
    let limit = 4_000;
    let api = Api::with_limits(Limits { message_bytes: limit, ..Limits::default() }).await;
    let large = json!({ "type": "ping", "payload": { "x": "x".repeat(limit) } }).to_string();
    let expected = (1009, "the message is too large".to_owned());

    let mut client = Client::initialised(&api).await;
    client.0.send(Message::text(large.clone())).await.unwrap();
    assert_eq!(client.closed().await, expected);

    let mut client = Client::initialised(&api).await;
    let (first, second) = large.split_at(limit / 2);
    let pieces = [(first, Data::Text, false), (second, Data::Continue, false)];
    for (piece, kind, is_last) in pieces {
        let frame = Frame::message(piece.as_bytes().to_vec(), OpCode::Data(kind), is_last);
        client.0.send(Message::Frame(frame)).await.unwrap();
    }
    assert_eq!(client.closed().await, expected);
}

#[actix_web::test]
async fn one_socket_runs_only_so_many_operations() {
    let api = Api::with_limits(Limits { operations_per_socket: 1, ..Limits::default() }).await;
    let mut client = Client::initialised(&api).await;
    client.subscribe("a", "subscription { endless }").await;
    client.receive().await;
    client.subscribe("b", "subscription { endless }").await;
    let message = client.receive().await;
    assert_eq!((&message["type"], &message["id"]), (&json!("error"), &json!("b")));
    assert_eq!(codes(&json!({ "errors": message["payload"] })), ["graphql.too_many_running_operations"]);
    client.send(json!({ "type": "complete", "id": "a" })).await;
    client.subscribe("b", "{ hello }").await;
    assert_eq!(client.receive().await["type"], "next");
}

#[actix_web::test]
async fn only_so_many_sockets_are_open_and_a_closed_one_makes_room() {
    let api = Api::with_limits(Limits { streams: 1, ..Limits::default() }).await;
    let mut first = Client::initialised(&api).await;
    let headers = [("sec-websocket-protocol", "graphql-transport-ws")];
    let Err(Error::Http(response)) = Client::connect_with(&api, "/graphql", &headers).await else {
        panic!("a second socket was opened");
    };
    assert_eq!(response.status().as_u16(), 503);
    let answer: Value = serde_json::from_slice(response.body().as_ref().unwrap()).unwrap();
    assert_eq!(codes(&answer), ["graphql.too_many_streams"]);

    first.0.close(None).await.unwrap();
    let room = async {
        while Client::connect_with(&api, "/graphql", &headers).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, room).await.unwrap();
}

#[actix_web::test]
async fn an_expired_session_closes_with_4403() {
    let api = Api::start().await;
    let mut client = Client::connect(&api).await;
    client.send(json!({ "type": "connection_init", "payload": { "authorization": "Bearer brief" } })).await;
    assert_eq!(client.receive().await["type"], "connection_ack");
    client.subscribe("a", "subscription { endless }").await;
    assert_eq!(client.receive().await["payload"]["data"]["endless"], "brief");
    assert_eq!(client.closed().await, (4403, "Forbidden: the session has expired".to_owned()));
    api.until_followed(0).await;
}

#[actix_web::test]
async fn a_silent_client_is_given_up_and_a_live_one_is_not() {
    let api = Api::with_limits(Limits { heartbeat: Duration::from_millis(20), ..Limits::default() }).await;
    let mut live = Client::initialised(&api).await;
    live.subscribe("a", "subscription { endless }").await;
    live.receive().await;
    let mut silent = Client::initialised(&api).await;
    silent.subscribe("a", "subscription { endless }").await;
    api.until_followed(2).await;

    // Reading is what answers pings; `silent` is not read from, until the server has given it up.
    let given_up = api.until_followed(1);
    tokio::pin!(given_up);
    loop {
        tokio::select! {
            () = &mut given_up => break,
            message = live.next() => assert!(matches!(message, Some(Ok(Message::Ping(_))))),
        }
    }
    live.send(json!({ "type": "ping" })).await;
    loop {
        match live.next().await.unwrap().unwrap() {
            Message::Ping(_) => {}
            message => break assert_eq!(message, Message::text(json!({ "type": "pong" }).to_string())),
        }
    }
}

#[actix_web::test]
async fn a_stop_closes_every_socket_with_1001_and_lets_the_server_end() {
    let api = Api::start().await;
    let mut client = Client::initialised(&api).await;
    client.subscribe("a", "subscription { endless }").await;
    client.receive().await;
    let mut idle = Client::connect(&api).await;
    api.stop.cancel();
    let expected = (1001, "the server is stopping".to_owned());
    assert_eq!(client.closed().await, expected);
    assert_eq!(idle.closed().await, expected);
    let refused = Client::connect_with(&api, "/graphql", &[]).await;
    assert!(matches!(refused, Err(Error::Http(response)) if response.status() == 503));
    tokio::time::timeout(PATIENCE, api.server.stop(true)).await.expect("no socket holds the server");
}
