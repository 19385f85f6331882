//! Tells waiting job requests of this process that a device has a new job. Others find it by looking.

use kernel::DeviceId;
use std::time::Duration;
use tokio::sync::broadcast;

/// Jobs that may be told of before a slow listener misses one; it then simply looks.
const CAPACITY: usize = 1_024;
/// How often a waiting request looks for itself: jobs may come through another process.
const LOOK: Duration = Duration::from_secs(1);
/// A job is told of before its transaction has ended.
const COMMIT_MARGIN: Duration = Duration::from_millis(30);

/// The bell.
#[derive(Debug, Clone)]
pub(crate) struct Wake {
    sender: broadcast::Sender<DeviceId>,
}

impl Wake {
    /// A bell that nobody hears yet.
    pub(crate) fn new() -> Self {
        Self { sender: broadcast::Sender::new(CAPACITY) }
    }

    /// A device has a new job.
    pub(crate) fn ring(&self, device_id: DeviceId) {
        // Nobody waiting is the usual case.
        let _ = self.sender.send(device_id);
    }

    /// Hears every ring from now on.
    pub(crate) fn listen(&self, device_id: DeviceId) -> Listener {
        Listener { device_id, receiver: self.sender.subscribe() }
    }
}

/// One device's ear.
#[derive(Debug)]
pub(crate) struct Listener {
    device_id: DeviceId,
    receiver: broadcast::Receiver<DeviceId>,
}

impl Listener {
    /// Waits until looking is worth it.
    pub(crate) async fn heard(&mut self) {
        let rung = async {
            loop {
                match self.receiver.recv().await {
                    Ok(device_id) if device_id != self.device_id => {}
                    Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => break,
                    // The bell lives as long as the service.
                    Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
                }
            }
            tokio::time::sleep(COMMIT_MARGIN).await;
        };
        let _ = tokio::time::timeout(LOOK, rung).await;
    }
}
