//! A real receiver of webhooks: it fails as often as it is told to, and checks every signature with someone else's
//! verifier.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// Bytes of one request at the most.
const REQUEST_BYTES_MAX: usize = 256 * 1024;

/// One request as it arrived.
#[derive(Debug, Clone)]
pub struct Received {
    /// The `webhook-id` header.
    pub id: String,
    /// The status that was answered.
    pub answered: u16,
    /// Lower-case header names and their values.
    pub headers: Vec<(String, String)>,
    /// The body's bytes.
    pub body: Vec<u8>,
}

impl Received {
    /// The body as JSON.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body).context("a delivery is not JSON")
    }

    /// Checks the signature by the crate `standardwebhooks`.
    pub fn verify(&self, secret: &str) -> Result<()> {
        let verifier =
            standardwebhooks::Webhook::new(secret).context("the secret is not in the standard's form")?;
        let mut headers = reqwest::header::HeaderMap::new();
        for (name, value) in &self.headers {
            if name.starts_with("webhook-") {
                headers.insert(
                    reqwest::header::HeaderName::try_from(name.as_str())?,
                    reqwest::header::HeaderValue::try_from(value.as_str())?,
                );
            }
        }
        verifier.verify(&self.body, &headers).context("a delivery's signature is wrong")
    }
}

/// A receiver on loopback. Ends with this value.
pub struct Receiver {
    url: String,
    received: Arc<Mutex<Vec<Received>>>,
    server: JoinHandle<()>,
}

impl Receiver {
    /// Listens; the first `failures` requests are answered with 500.
    pub async fn start(failures: usize) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/hook", listener.local_addr()?);
        let received = Arc::new(Mutex::new(Vec::new()));
        let log = received.clone();
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let log = log.clone();
                tokio::spawn(async move {
                    // A sender that goes away has itself to blame; it will come again.
                    let _ = serve(stream, &log, failures).await;
                });
            }
        });
        Ok(Self { url, received, server })
    }

    /// Where to send.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Everything that arrived so far.
    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(mut stream: TcpStream, log: &Mutex<Vec<Received>>, failures: usize) -> Result<()> {
    let mut request = Vec::new();
    let head_end = loop {
        if let Some(at) = request.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            break at + 4;
        }
        ensure!(request.len() < REQUEST_BYTES_MAX, "too large");
        ensure!(stream.read_buf(&mut request).await? > 0, "ended early");
    };
    let head = String::from_utf8_lossy(&request[..head_end]).into_owned();
    let headers: Vec<(String, String)> = head
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_lowercase(), value.trim().to_owned()))
        .collect();
    let header = |name: &str| headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let length: usize = header("content-length").unwrap_or("0").parse()?;
    ensure!(length <= REQUEST_BYTES_MAX, "too large");
    while request.len() < head_end + length {
        ensure!(stream.read_buf(&mut request).await? > 0, "ended early");
    }
    let id = header("webhook-id").unwrap_or_default().to_owned();
    let status = {
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        let answered = if log.len() < failures { 500 } else { 204 };
        let body = request[head_end..head_end + length].to_vec();
        log.push(Received { id, answered, headers, body });
        answered
    };
    let answer = format!("HTTP/1.1 {status} -\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    stream.write_all(answer.as_bytes()).await?;
    Ok(())
}
