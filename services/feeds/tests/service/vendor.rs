//! A vendor's web server that says exactly what a test wants.

use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Notify;

/// What it answers to every request.
pub(crate) enum Reply {
    /// A status line with headers, and a body.
    Whole(&'static str, String),
    /// A document whose length is not told beforehand.
    Endless,
    /// Nothing, for ever; tells when it was asked.
    Silence(Arc<Notify>),
}

/// Answers until the test ends; gives the address of its document.
pub(crate) async fn serve(reply: Reply) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(socket.read_u8().await.unwrap());
            }
            match &reply {
                Reply::Whole(status, body) => {
                    let length = body.len();
                    let answer = format!(
                        "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
                    );
                    let _ = socket.write_all(answer.as_bytes()).await;
                }
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
    });
    format!("http://{address}/document")
}
