//! A wire to the broker that can be cut, and on which a broker short of memory or disk can be heard.

use crate::house::Running;
use std::sync::{
    Arc, Mutex, Weak,
    atomic::{AtomicUsize, Ordering},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};
use tokio_util::sync::CancellationToken;

/// `connection.blocked` with the reason "low on disk", as RabbitMQ sends it to whoever publishes during an alarm.
const BLOCKED: &[u8] = b"\x01\x00\x00\x00\x00\x00\x10\x00\x0a\x00\x3c\x0blow on disk\xce";
/// `connection.unblocked`.
const UNBLOCKED: &[u8] = b"\x01\x00\x00\x00\x00\x00\x04\x00\x0a\x00\x3d\xce";

pub(crate) struct Wire {
    url: String,
    cut: Mutex<CancellationToken>,
    blocked: watch::Sender<bool>,
    connections: AtomicUsize,
    _forwarding: Running,
}

impl Wire {
    /// A wire to the broker at `url`.
    pub(crate) async fn to(url: &str) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (credentials, rest) = url.rsplit_once('@').unwrap();
        let (server, path) = rest.split_once('/').unwrap();
        let (url, server) =
            (format!("{credentials}@{}/{path}", listener.local_addr().unwrap()), server.to_owned());
        Arc::new_cyclic(|wire| Self {
            url,
            cut: Mutex::default(),
            blocked: watch::Sender::new(false),
            connections: AtomicUsize::new(0),
            _forwarding: Running::start({
                let wire = wire.clone();
                move |_| forward(listener, server, wire)
            }),
        })
    }

    /// Where to connect.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// How many connections were made.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Cuts every connection; new ones can be made.
    pub(crate) fn cut(&self) {
        std::mem::take(&mut *self.cut.lock().unwrap()).cancel();
    }

    /// Says that messages are not taken, and reads nothing more; or the opposite.
    pub(crate) fn block(&self, blocked: bool) {
        self.blocked.send_replace(blocked);
    }
}

async fn forward(listener: TcpListener, server: String, wire: Weak<Wire>) {
    while let Ok((near, _)) = listener.accept().await {
        let Some(wire) = wire.upgrade() else { return };
        wire.connections.fetch_add(1, Ordering::Relaxed);
        let (cut, blocked) = (wire.cut.lock().unwrap().clone(), wire.blocked.subscribe());
        let (from_near, to_near) = near.into_split();
        let (from_far, to_far) = TcpStream::connect(&server).await.unwrap().into_split();
        tokio::spawn(async move {
            tokio::select! {
                () = cut.cancelled() => {}
                _ = upstream(from_near, to_far, blocked.clone()) => {}
                _ = downstream(from_far, to_near, blocked) => {}
            }
        });
    }
}

async fn upstream(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut blocked: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut buffer).await?;
        // The library's own thread writes: what it has written before it hears of the block waits here.
        let _ = blocked.wait_for(|blocked| !*blocked).await;
        to.write_all(&buffer[..read]).await?;
        if read == 0 {
            return Ok(());
        }
    }
}

/// Forwards whole frames, so that something can be said in between.
async fn downstream(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut blocked: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let (mut frame, mut first) = (vec![0; 7], [0]);
    loop {
        tokio::select! {
            // Takes nothing from the stream, so that it can be given up.
            peeked = from.peek(&mut first) => { peeked?; }
            Ok(()) = blocked.changed() => {
                let blocked = *blocked.borrow_and_update();
                to.write_all(if blocked { BLOCKED } else { UNBLOCKED }).await?;
                continue;
            }
        }
        frame.resize(7, 0);
        from.read_exact(&mut frame).await?;
        let size = u32::from_be_bytes([frame[3], frame[4], frame[5], frame[6]]);
        frame.resize(7 + usize::try_from(size).unwrap() + 1, 0);
        from.read_exact(&mut frame[7..]).await?;
        to.write_all(&frame).await?;
    }
}
