//! Tells waiting job requests of this process that a device has a new job. Others find it by looking.

use kernel::DeviceId;
use std::time::Duration;
use tokio::sync::broadcast;

/// Jobs that may be told of before a slow listener misses one; it then simply looks.
const CAPACITY: usize = 1_024;
/// How often a waiting request looks for itself at the soonest: jobs may come through another process, and what was
/// lost on the way falls due again. Each look is a transaction, and thousands of agents wait at the same time, so it
/// is the bell that is quick.
const LOOK_MIN: Duration = Duration::from_secs(8);
/// Times the last byte of the device's id, up to four seconds: agents that came together do not look together.
const LOOK_STEP: Duration = Duration::from_millis(16);
/// When to look after a ring. A job is told of before its transaction has ended, which may take its time.
const AFTER_RING: [Duration; 3] =
    [Duration::from_millis(30), Duration::from_millis(300), Duration::from_secs(2)];

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
        let look = LOOK_MIN + LOOK_STEP * u32::from(device_id.0.as_bytes()[15]);
        // A job that was told of just before may not be there at the first look.
        Listener { device_id, receiver: self.sender.subscribe(), look, looks: AFTER_RING.len() - 1 }
    }
}

/// One device's ear.
#[derive(Debug)]
pub(crate) struct Listener {
    device_id: DeviceId,
    receiver: broadcast::Receiver<DeviceId>,
    /// How long nothing rings until it looks for itself.
    look: Duration,
    /// Looks since the last ring.
    looks: usize,
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
        };
        let pause = AFTER_RING.get(self.looks).copied().unwrap_or(self.look);
        self.looks = self.looks.saturating_add(1);
        if tokio::time::timeout(pause, rung).await.is_ok() {
            self.looks = 1;
            tokio::time::sleep(AFTER_RING[0]).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::timeout;

    fn device(last_byte: u8) -> DeviceId {
        DeviceId(uuid::Uuid::from_u128(u128::from(last_byte)))
    }

    #[tokio::test]
    async fn a_request_that_nothing_rings_for_seldom_looks() {
        let mut listener = Wake::new().listen(device(0));
        listener.looks = AFTER_RING.len();
        assert!(timeout(Duration::from_secs(2), listener.heard()).await.is_err());
    }

    #[tokio::test]
    async fn a_ring_is_followed_by_several_looks_until_its_transaction_has_ended() {
        let wake = Wake::new();
        let mut listener = wake.listen(device(7));
        listener.looks = AFTER_RING.len();
        wake.ring(device(8));
        wake.ring(device(7));
        for _ in AFTER_RING {
            timeout(LOOK_MIN / 2, listener.heard()).await.unwrap();
        }
        assert!(timeout(Duration::from_secs(1), listener.heard()).await.is_err());
    }

    #[test]
    fn devices_that_wait_together_look_apart() {
        let wake = Wake::new();
        let look = |last_byte| wake.listen(device(last_byte)).look;
        assert_eq!(look(0), LOOK_MIN);
        assert!(look(255) > LOOK_MIN + Duration::from_secs(4));
    }
}
