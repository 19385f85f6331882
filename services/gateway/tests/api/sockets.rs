//! Operations over one long-lived socket.

use crate::system::System;
use crate::world::World;
use contracts::permissions::Role;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use testkit::eventually;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    async fn open(system: &System, subject: &str) -> Self {
        let mut request = format!("ws://{}/graphql", system.address).into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", "graphql-transport-ws".parse().unwrap());
        let mut socket = Self(connect_async(request).await.unwrap().0);
        let authorization = format!("Bearer {}", system.token(subject));
        socket
            .send(json!({ "type": "connection_init", "payload": { "authorization": authorization } }))
            .await;
        assert_eq!(socket.receive().await["type"], "connection_ack");
        socket
    }

    async fn send(&mut self, message: Value) {
        self.0.send(Message::text(message.to_string())).await.unwrap();
    }

    async fn receive(&mut self) -> Value {
        loop {
            let message = self.0.next().await.unwrap().unwrap();
            if let Message::Text(text) = message {
                return serde_json::from_str(&text).unwrap();
            }
        }
    }

    /// The answer to one query.
    async fn ask(&mut self, id: &str, query: &str) -> Value {
        self.send(json!({ "type": "subscribe", "id": id, "payload": { "query": query } })).await;
        let answer = self.receive().await;
        if answer["type"] == "next" {
            assert_eq!(self.receive().await["type"], "complete");
        }
        answer["payload"].clone()
    }
}

#[tokio::test]
async fn a_role_that_is_revoked_ends_for_open_sockets_as_well() {
    let system = System::start().await;
    let world = World::new("acker");
    world.record(&system).await;
    let (who, query) = (world.subject(Role::CustomerAuditor), "{ viewer { customers { nodes { name } } } }");
    system.data(&who, query, Value::Null).await;
    let mut socket = Socket::open(&system, &who).await;
    let answer = socket.ask("1", query).await;
    assert_eq!(answer["data"]["viewer"]["customers"]["nodes"][0]["name"], "acker customer", "{answer}");
    world.revoke(&system, Role::CustomerAuditor).await;
    system.sequence().await;
    let socket = Mutex::new(socket);
    eventually("the role is gone", || async {
        let answer = socket.lock().await.ask("1", query).await;
        answer["errors"][0]["extensions"]["code"] == "access.forbidden"
    })
    .await;
    system.stop().await;
}
