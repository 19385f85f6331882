//! The device's own clock and ids: the one place where the agent takes something from outside unasked.
#![expect(
    clippy::disallowed_methods,
    reason = "reports carry the device's own time and are named by the device"
)]

use chrono::{DateTime, Utc};
use uuid::Uuid;

/// The time by the device's clock.
pub fn now() -> DateTime<Utc> {
    Utc::now()
}

/// A new id, for a report or a nonce.
pub fn new_id() -> Uuid {
    Uuid::now_v7()
}
