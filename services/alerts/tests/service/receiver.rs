//! A real local receiver of webhooks that answers as told and remembers what it got.

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use std::sync::{Arc, Mutex};
use testkit::eventually;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// How it answers.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Reply {
    /// With this status.
    Status(u16),
    /// Never.
    Silence,
}

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// Listens on loopback.
pub(crate) struct Receiver {
    pub(crate) url: String,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Receiver {
    /// A receiver that answers the n-th request, from 0, with `reply(n)`.
    pub(crate) async fn start(reply: fn(usize) -> Reply) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let received = Arc::new(Mutex::new(Vec::new()));
        let memory = Arc::clone(&received);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, Arc::clone(&memory), reply));
            }
        });
        Self { url, received }
    }

    /// Everything so far.
    pub(crate) fn all(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// The first request, as soon as it is there.
    pub(crate) async fn first(&self) -> Received {
        eventually("a delivery", async || !self.all().is_empty()).await;
        self.all().remove(0)
    }
}

impl Received {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap().to_str().unwrap()
    }
}

async fn answer(mut stream: TcpStream, memory: Arc<Mutex<Vec<Received>>>, reply: fn(usize) -> Reply) {
    let received = read(&mut stream).await;
    let number = {
        let mut memory = memory.lock().unwrap();
        memory.push(received);
        memory.len() - 1
    };
    match reply(number) {
        Reply::Status(status) => {
            let head = format!("HTTP/1.1 {status} Told\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            let _ = stream.write_all(head.as_bytes()).await;
        }
        Reply::Silence => std::future::pending().await,
    }
}

async fn read(stream: &mut TcpStream) -> Received {
    let mut bytes = Vec::new();
    let head_end = loop {
        read_more(stream, &mut bytes).await;
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
    };
    let head = String::from_utf8(bytes[..head_end].to_vec()).unwrap();
    let headers: HeaderMap = head
        .lines()
        .skip(1)
        .map(|line| line.split_once(": ").unwrap())
        .map(|(name, value)| (HeaderName::try_from(name).unwrap(), HeaderValue::try_from(value).unwrap()))
        .collect();
    let length: usize = headers.get("content-length").unwrap().to_str().unwrap().parse().unwrap();
    while bytes.len() < head_end + 4 + length {
        read_more(stream, &mut bytes).await;
    }
    Received { headers, body: bytes.split_off(head_end + 4) }
}

async fn read_more(stream: &mut TcpStream, bytes: &mut Vec<u8>) {
    let mut chunk = [0; 4096];
    let read = stream.read(&mut chunk).await.unwrap();
    assert!(read > 0, "the sender hung up in the middle of a request");
    bytes.extend_from_slice(&chunk[..read]);
}
