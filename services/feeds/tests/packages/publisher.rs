//! A publisher's web server with files, any of which may be broken for a while.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

#[derive(Clone, Default)]
pub(crate) struct Publisher {
    files: Arc<Mutex<HashMap<String, Vec<u8>>>>,
    asked: Arc<Mutex<Vec<String>>>,
    base: String,
}

impl Publisher {
    /// Answers until the test ends.
    pub(crate) async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/", listener.local_addr().unwrap());
        let publisher = Self { base, ..Self::default() };
        let serving = publisher.clone();
        tokio::spawn(async move {
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(socket.read_u8().await.unwrap());
                }
                let head = String::from_utf8(head).unwrap();
                let name = head.split(' ').nth(1).unwrap().trim_start_matches('/').to_owned();
                let file = serving.files.lock().unwrap().get(&name).cloned();
                serving.asked.lock().unwrap().push(name);
                let (status, body) = file.map_or(("404 Not Found", Vec::new()), |body| ("200 OK", body));
                let head = format!(
                    "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
                    body.len()
                );
                let _ = socket.write_all(&[head.into_bytes(), body].concat()).await;
            }
        });
        publisher
    }

    /// Publishes a file; gives its address.
    pub(crate) fn publish(&self, name: &str, bytes: impl Into<Vec<u8>>) -> String {
        self.files.lock().unwrap().insert(name.to_owned(), bytes.into());
        self.address(name)
    }

    pub(crate) fn address(&self, name: &str) -> String {
        format!("{}{name}", self.base)
    }

    /// Names that were asked for, in their order.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}
