//! A wire to the broker that can be cut.

use crate::house::Running;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

pub(crate) struct Wire {
    url: String,
    cut: std::sync::Mutex<CancellationToken>,
    _forwarding: Running,
}

impl Wire {
    /// A wire to the broker at `url`.
    pub(crate) async fn to(url: &str) -> std::sync::Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (credentials, rest) = url.rsplit_once('@').unwrap();
        let (server, path) = rest.split_once('/').unwrap();
        let url = format!("{credentials}@{}/{path}", listener.local_addr().unwrap());
        let server = server.to_owned();
        std::sync::Arc::new_cyclic(|wire: &std::sync::Weak<Self>| {
            let wire = wire.clone();
            let forwarding = Running::start(async move |_| {
                while let Ok((mut near, _)) = listener.accept().await {
                    let Some(cut) = wire.upgrade().map(|wire| wire.cut.lock().unwrap().clone()) else {
                        return;
                    };
                    let server = server.clone();
                    tokio::spawn(async move {
                        let mut far = TcpStream::connect(server).await.unwrap();
                        tokio::select! {
                            () = cut.cancelled() => {}
                            _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                        }
                    });
                }
            });
            Self { url, cut: std::sync::Mutex::default(), _forwarding: forwarding }
        })
    }

    /// Where to connect.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Cuts every connection; new ones can be made.
    pub(crate) fn cut(&self) {
        std::mem::take(&mut *self.cut.lock().unwrap()).cancel();
    }
}
