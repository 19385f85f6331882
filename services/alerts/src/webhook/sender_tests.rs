//! Where deliveries go, where they never go, and how long a receiver may take.

#![expect(clippy::disallowed_methods, reason = "a test's listener ends with the test")]

use super::{Answer, Attempt, CheckedResolver, Lookup, Message, Sender};
use crate::webhook::target::{AllowedAddresses, Channel};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use kernel::{EventId, Refused};
use reqwest::dns::Resolve;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use uuid::Uuid;

/// Every URL leads, or might lead, to the listener or into a network that is not public. `PORT` is the listener's.
const HOSTILE: &[&str] = &[
    // Loopback and "this network" in the forms that URLs allow.
    "https://127.0.0.1:PORT/",
    "https://127.1:PORT/",
    "https://127.0.1:PORT/",
    "https://127.0.0.1.:PORT/",
    "https://127.255.255.254:PORT/",
    "https://2130706433:PORT/",
    "https://0x7f000001:PORT/",
    "https://0x7f.1:PORT/",
    "https://0x7F.0x0.0x0.0x1:PORT/",
    "https://0177.0.0.1:PORT/",
    "https://017700000001:PORT/",
    "https://127.0.0.01:PORT/",
    "https://%31%32%37.0.0.1:PORT/",
    "https://１２７.０.０.１:PORT/",
    "https://127。0。0。1:PORT/",
    "https://①②⑦.0.0.1:PORT/",
    "https://0:PORT/",
    "https://0x0:PORT/",
    "https://0.0.0.0:PORT/",
    "https://00.0.0.0:PORT/",
    "https://[::1]:PORT/",
    "https://[0:0:0:0:0:0:0:1]:PORT/",
    "https://[::]:PORT/",
    "https://[::ffff:127.0.0.1]:PORT/",
    "https://[::ffff:7f00:1]:PORT/",
    "https://[::ffff:0:127.0.0.1]:PORT/",
    "https://[::127.0.0.1]:PORT/",
    // Tricks with the rest of the URL.
    "https:127.0.0.1:PORT/",
    "https:///127.0.0.1:PORT/",
    "  https://127.0.0.1:PORT/  ",
    "ht\ntps://127.0\t.0.1:PORT/",
    "https://127.0.0.1:PORT\\@receiver.example/",
    "https://receiver.example@127.0.0.1:PORT/",
    "https://receiver.example:443@127.0.0.1:PORT/",
    "HTTPS://127.0.0.1:PORT/../../?next=https://receiver.example/",
    "http://127.0.0.1:PORT/",
    "ws://127.0.0.1:PORT/",
    "gopher://127.0.0.1:PORT/_x",
    // Private, link-local, carrier-grade NAT, metadata services.
    "https://10.0.0.1:PORT/",
    "https://10.255.255.255:PORT/",
    "https://0xa000001:PORT/",
    "https://172.16.0.1:PORT/",
    "https://172.31.255.255:PORT/",
    "https://192.168.1.1:PORT/",
    "https://192.168.257:PORT/",
    "https://169.254.0.1:PORT/",
    "https://169.254.169.254/latest/meta-data/",
    "http://169.254.169.254/latest/meta-data/",
    "https://2852039166/latest/meta-data/",
    "https://0xa9fea9fe/latest/meta-data/",
    "https://100.64.0.1:PORT/",
    "https://100.100.100.200/latest/meta-data/",
    "https://168.63.129.16/machine",
    "https://192.0.0.192/opc/v2/",
    "https://[fd00:ec2::254]/latest/meta-data/",
    "https://[fe80::1]:PORT/",
    "https://[fec0::1]:PORT/",
    "https://[fc00::1]:PORT/",
    "https://[fdff:ffff::1]:PORT/",
    "https://[::ffff:10.0.0.1]:PORT/",
    "https://[::ffff:169.254.169.254]/",
    // Translators and tunnels with an IPv4 address inside.
    "https://[64:ff9b::127.0.0.1]:PORT/",
    "https://[64:ff9b::a9fe:a9fe]/",
    "https://[64:ff9b:1::10.0.0.1]/",
    "https://[2002:7f00:1::]:PORT/",
    "https://[2001:0:7f00:1::1]:PORT/",
    "https://192.88.99.1/",
    // Documentation, benchmarking, multicast, reserved.
    "https://192.0.2.1/",
    "https://198.51.100.7/",
    "https://203.0.113.9/",
    "https://198.18.0.1/",
    "https://198.19.255.255/",
    "https://[2001:db8::1]/",
    "https://[3fff::1]/",
    "https://[100::1]/",
    "https://[5f00::1]/",
    "https://224.0.0.1/",
    "https://239.255.255.250/",
    "https://[ff02::1]/",
    "https://240.0.0.1/",
    "https://255.255.255.255/",
    // Names that resolve to such addresses.
    "https://localhost:PORT/",
    "https://LOCALHOST:PORT/",
    "https://localhost.:PORT/",
    "https://app.localhost:PORT/",
    "https://127.0.0.1.nip.example:PORT/",
    "https://v6.example:PORT/",
    "https://mapped.example:PORT/",
    "https://nat64.example:PORT/",
    "https://private.example:PORT/",
    "https://metadata.google.internal/computeMetadata/v1/",
    "https://several.example:PORT/",
    "https://nothing.example:PORT/",
    "https://unknown.example:PORT/",
    // Public, but readable on the way.
    "http://93.184.215.14/",
    "http://public.example/",
];

struct Names;

#[async_trait]
impl Lookup for Names {
    async fn addresses(&self, name: &str) -> std::io::Result<Vec<IpAddr>> {
        let addresses: &[&str] = match name.trim_end_matches('.') {
            "localhost" | "app.localhost" => &["127.0.0.1", "::1"],
            "127.0.0.1.nip.example" => &["127.0.0.1"],
            "v6.example" => &["::1"],
            "mapped.example" => &["::ffff:127.0.0.1"],
            "nat64.example" => &["64:ff9b::7f00:1"],
            "private.example" => &["10.1.2.3"],
            "metadata.google.internal" => &["169.254.169.254"],
            "several.example" => &["10.0.0.1", "127.0.0.1", "::1", "fe80::1"],
            "nothing.example" => &[],
            "public.example" => &["93.184.215.14"],
            "mixed.example" => &["127.0.0.1", "93.184.215.14", "::1", "2606:4700:4700::1111"],
            _ => return Err(std::io::Error::other("no such name")),
        };
        Ok(addresses.iter().map(|address| address.parse().unwrap()).collect())
    }
}

fn sender(allowed: &[&str], deadline: Duration) -> Sender {
    runtime::http::install_tls_provider();
    Sender::new(AllowedAddresses::parse(allowed).unwrap(), Arc::new(Names), deadline).unwrap()
}

fn message() -> Message {
    Message {
        event_id: EventId(Uuid::from_u128(7)),
        sent_at: DateTime::<Utc>::UNIX_EPOCH,
        signatures: "v1,abc v1a,def".to_owned(),
        body: br#"{"id":"7"}"#.to_vec(),
    }
}

fn status_of(attempt: &Attempt) -> Option<u16> {
    match attempt.answer {
        Answer::Status { status, .. } => Some(status),
        Answer::None { .. } => None,
    }
}

fn reason_of(attempt: &Attempt) -> &str {
    match &attempt.answer {
        Answer::Status { .. } => "",
        Answer::None { reason } => reason,
    }
}

/// Listens on every address of the machine, counts connections and closes them.
async fn trap() -> (u16, Arc<AtomicUsize>) {
    let listener = match TcpListener::bind("[::]:0").await {
        Ok(dual_stack) => dual_stack,
        Err(_) => TcpListener::bind("0.0.0.0:0").await.unwrap(),
    };
    let (port, count) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
    let counter = Arc::clone(&count);
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            counter.fetch_add(1, Ordering::SeqCst);
        }
    });
    (port, count)
}

/// Answers every connection on `address` with these bytes, then keeps it open; tells what was sent to it.
async fn receiver(address: &str, answer: Vec<u8>) -> (SocketAddr, tokio::sync::mpsc::Receiver<String>) {
    let listener = TcpListener::bind((address, 0)).await.unwrap();
    let bound = listener.local_addr().unwrap();
    let (heard, requests) = tokio::sync::mpsc::channel(8);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (answer, heard) = (answer.clone(), heard.clone());
            tokio::spawn(async move {
                let request = read_request(&mut stream).await;
                let _ = stream.write_all(&answer).await;
                let _ = heard.send(request).await;
                std::future::pending::<()>().await;
            });
        }
    });
    (bound, requests)
}

async fn read_request(stream: &mut TcpStream) -> String {
    let mut request = Vec::new();
    while !request.ends_with(br#"{"id":"7"}"#) {
        let mut chunk = [0; 1024];
        match stream.read(&mut chunk).await.unwrap() {
            0 => break,
            read => request.extend_from_slice(&chunk[..read]),
        }
    }
    String::from_utf8(request).unwrap()
}

#[tokio::test]
async fn no_hostile_url_opens_a_connection() {
    assert!(HOSTILE.len() >= 60);
    let (port, connections) = trap().await;
    let strict = sender(&[], Duration::from_secs(5));
    for url in HOSTILE {
        let url = url.replace("PORT", &port.to_string());
        let refused = strict.check(&url).await.expect_err(&url);
        assert!(
            ["alerts.webhook_address_refused", "alerts.webhook_url_invalid"].contains(&refused.code()),
            "{url}: {refused}"
        );
        let attempt = strict.send(&url, message()).await;
        let reason = reason_of(&attempt);
        assert!(
            reason.starts_with("a webhook may not lead to ")
                || reason.starts_with("the webhook's URL is not usable")
                || reason.contains("no such name"),
            "{url}: {attempt:?}"
        );
    }
    // The listener does notice a connection: the same URL, allowed, is the first one it sees.
    let lenient = sender(&["127.0.0.0/8"], Duration::from_secs(1));
    lenient.send(&format!("http://127.0.0.1:{port}/"), message()).await;
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_redirect_is_reported_and_not_followed() {
    let (port, connections) = trap().await;
    let sender = sender(&["127.0.0.2"], Duration::from_secs(5));
    for status in [301, 302, 303, 307, 308] {
        let answer = format!(
            "HTTP/1.1 {status} Moved\r\nlocation: http://127.0.0.1:{port}/\r\ncontent-length: 0\r\n\r\n"
        );
        let (address, _heard) = receiver("127.0.0.2", answer.into_bytes()).await;
        let attempt = sender.send(&format!("http://{address}/"), message()).await;
        assert_eq!(status_of(&attempt), Some(status));
    }
    TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    while connections.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1, "the control connection only");
}

#[tokio::test]
async fn of_a_names_addresses_only_the_permitted_ones_reach_the_connector() {
    let resolver = CheckedResolver {
        channel: Channel::Encrypted,
        allowed: AllowedAddresses::default(),
        lookup: Arc::new(Names),
    };
    let addresses = resolver.resolve("mixed.example".parse().unwrap()).await.unwrap();
    let found: Vec<_> = addresses.map(|address| address.ip().to_string()).collect();
    assert_eq!(found, ["93.184.215.14", "2606:4700:4700::1111"]);
}

#[tokio::test]
async fn a_name_is_checked_again_at_every_attempt() {
    struct Rebinding(AtomicUsize);
    #[async_trait]
    impl Lookup for Rebinding {
        async fn addresses(&self, _: &str) -> std::io::Result<Vec<IpAddr>> {
            let first = self.0.fetch_add(1, Ordering::SeqCst) == 0;
            Ok(vec![if first { "93.184.215.14" } else { "127.0.0.1" }.parse().unwrap()])
        }
    }
    runtime::http::install_tls_provider();
    let lookup = Arc::new(Rebinding(AtomicUsize::new(0)));
    let sender = Sender::new(AllowedAddresses::default(), lookup, Duration::from_secs(5)).unwrap();
    let (port, connections) = trap().await;
    let url = format!("https://rebinding.example:{port}/");
    assert!(sender.check(&url).await.is_ok());
    let attempt = sender.send(&url, message()).await;
    assert!(reason_of(&attempt).starts_with("a webhook may not lead to rebinding.example"), "{attempt:?}");
    assert_eq!(connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn the_receiver_gets_body_and_the_three_headers() {
    let answer = b"HTTP/1.1 202 Accepted\r\ncontent-length: 6\r\n\r\nthanks".to_vec();
    let (address, mut heard) = receiver("127.0.0.1", answer).await;
    let sender = sender(&["127.0.0.1"], Duration::from_secs(5));
    let attempt = sender.send(&format!("http://{address}/hook?key=1"), message()).await;
    assert_eq!(
        attempt,
        Attempt {
            answer: Answer::Status { status: 202, retry_after_seconds: None },
            excerpt: "thanks".to_owned()
        }
    );
    let request = heard.recv().await.unwrap();
    assert!(request.starts_with("POST /hook?key=1 HTTP/1.1\r\n"), "{request}");
    for line in [
        "content-type: application/json",
        "webhook-id: 00000000-0000-0000-0000-000000000007",
        "webhook-timestamp: 0",
        "webhook-signature: v1,abc v1a,def",
    ] {
        assert!(request.contains(&format!("\r\n{line}\r\n")), "{line} is not in {request}");
    }
    assert!(request.ends_with("\r\n\r\n{\"id\":\"7\"}"), "{request}");
}

#[tokio::test]
async fn a_silent_receiver_is_left_at_the_deadline() {
    for answer in ["", "HTTP/1.1 200 OK\r\nx-slow: "] {
        let (address, _heard) = receiver("127.0.0.1", answer.into()).await;
        let sender = sender(&["127.0.0.1"], Duration::from_millis(200));
        let started = Instant::now();
        let attempt = sender.send(&format!("http://{address}/"), message()).await;
        assert_eq!(reason_of(&attempt), "no answer in time");
        assert!(started.elapsed() < Duration::from_secs(5));
    }
}

#[tokio::test]
async fn a_receiver_that_never_ends_its_answer_has_answered() {
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nwait for it".to_vec();
    let (address, _heard) = receiver("127.0.0.1", answer).await;
    let sender = sender(&["127.0.0.1"], Duration::from_millis(200));
    let attempt = sender.send(&format!("http://{address}/"), message()).await;
    assert_eq!((status_of(&attempt), attempt.excerpt.as_str()), (Some(200), "wait for it"));
}

#[tokio::test]
async fn of_a_huge_answer_only_the_beginning_is_read_and_kept() {
    let mut answer = b"HTTP/1.1 500 Oops\r\ncontent-length: 100000000\r\n\r\n".to_vec();
    answer.extend_from_slice(&vec![b'x'; 1_000_000]);
    let (address, _heard) = receiver("127.0.0.1", answer).await;
    // Reading on would last until the deadline, since the rest never comes.
    let sender = sender(&["127.0.0.1"], Duration::from_mins(1));
    let started = Instant::now();
    let attempt = sender.send(&format!("http://{address}/"), message()).await;
    assert_eq!((status_of(&attempt), attempt.excerpt.chars().count()), (Some(500), 512));
    assert!(started.elapsed() < Duration::from_secs(30));
}

#[tokio::test]
async fn retry_after_is_read_as_seconds_and_as_a_date() {
    let sender = sender(&["127.0.0.1"], Duration::from_secs(5));
    for (header, seconds) in [
        ("120", Some(120)),
        ("Thu, 01 Jan 1970 00:02:00 GMT", Some(120)),
        ("Wed, 31 Dec 1969 23:00:00 GMT", Some(0)),
        ("-5", Some(0)),
        ("soon", None),
        ("99999999999999999999", None),
    ] {
        let answer = format!("HTTP/1.1 503 Busy\r\nretry-after: {header}\r\ncontent-length: 0\r\n\r\n");
        let (address, _heard) = receiver("127.0.0.1", answer.into_bytes()).await;
        let attempt = sender.send(&format!("http://{address}/"), message()).await;
        let expected = Answer::Status { status: 503, retry_after_seconds: seconds };
        assert_eq!(attempt.answer, expected, "{header}");
    }
}

#[tokio::test]
async fn a_closed_port_is_told_without_the_urls_secrets() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let sender = sender(&["127.0.0.1"], Duration::from_secs(5));
    let attempt = sender.send(&format!("http://{closed}/hook?token=s3cret"), message()).await;
    assert!(reason_of(&attempt).starts_with("no connection: "), "{attempt:?}");
    assert!(!reason_of(&attempt).contains("s3cret"));
}
