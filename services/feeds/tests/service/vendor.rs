//! A vendor's web server that says exactly what a test wants.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// What it answers to a request.
pub(crate) enum Reply {
    /// A status line with headers, and a body.
    Whole(&'static str, String),
    /// The same, but the connection is lost after so many bytes of the body.
    BrokenOff(&'static str, String, usize),
    /// The connection is lost before anything is said.
    Lost,
    /// A document whose length is not told beforehand.
    Endless,
    /// Nothing, for ever; tells when it was asked.
    Silence(Arc<Notify>),
}

/// The server, and what it was asked.
pub(crate) struct Vendor {
    /// Of its document.
    pub(crate) url: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Vendor {
    /// The heads of all requests, in small letters.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

/// Answers the same until the test ends; gives the address of its document.
pub(crate) async fn serve(reply: Reply) -> String {
    serve_in_turn(vec![reply]).await.url
}

/// Answers each request with the next reply, and with the last one from then on.
pub(crate) async fn serve_in_turn(replies: Vec<Reply>) -> Vendor {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    let requests: Arc<Mutex<Vec<String>>> = Arc::default();
    let noted = Arc::clone(&requests);
    tokio::spawn(async move {
        for turn in 0.. {
            let (mut socket, _) = listener.accept().await.unwrap();
            let head = head_of(&mut socket).await;
            noted.lock().unwrap().push(head.to_lowercase());
            answer(&mut socket, replies.get(turn).or(replies.last()).unwrap()).await;
        }
    });
    Vendor { url: format!("http://{address}/document"), requests }
}

/// Files by their paths, which a test may change.
pub(crate) type Files = Arc<Mutex<HashMap<String, String>>>;

/// Answers with the file at the path that is asked for, and with 404 where there is none; the URL is that of the root.
pub(crate) async fn serve_files(files: &Files) -> Vendor {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    let requests: Arc<Mutex<Vec<String>>> = Arc::default();
    let (noted, files) = (Arc::clone(&requests), Arc::clone(files));
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let head = head_of(&mut socket).await;
            let path = head.split_whitespace().nth(1).unwrap().to_owned();
            noted.lock().unwrap().push(head.to_lowercase());
            let file = files.lock().unwrap().get(&path).cloned();
            let reply = match file {
                Some(file) => Reply::Whole("200 OK", file),
                None => Reply::Whole("404 Not Found", String::new()),
            };
            answer(&mut socket, &reply).await;
        }
    });
    Vendor { url: format!("http://{address}"), requests }
}

async fn head_of(socket: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

async fn answer(socket: &mut TcpStream, reply: &Reply) {
    match reply {
        Reply::Whole(status, body) => {
            let _ = socket.write_all(&message(status, body, body.len())).await;
        }
        Reply::BrokenOff(status, body, at) => {
            let _ = socket.write_all(&message(status, body, *at)).await;
        }
        Reply::Lost => {}
        Reply::Endless => {
            let _ = socket.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n").await;
            // Ends when the reader has had enough.
            while socket.write_all(&[b'x'; 1_000]).await.is_ok() {}
        }
        Reply::Silence(asked) => {
            asked.notify_one();
            let _ = socket.read_u8().await;
        }
    }
}

fn message(status: &str, body: &str, until: usize) -> Vec<u8> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
    [head.as_bytes(), &body.as_bytes()[..until]].concat()
}
