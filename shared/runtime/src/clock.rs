//! The only place that reads the wall clock or makes a random id.

use chrono::{DateTime, Utc};
use uuid::Uuid;

/// Tells the time. Tests put a fixed instant in its place.
pub trait Clock: Send + Sync + 'static {
    /// The current instant.
    fn now(&self) -> DateTime<Utc>;
}

/// Makes ids. Tests put a counted source in its place.
pub trait Ids: Send + Sync + 'static {
    /// An id that nobody has yet.
    fn uuid(&self) -> Uuid;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

#[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
impl Clock for SystemClock {
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }
}

/// UUIDs of version 7 (RFC 9562): random, and in the order of their making.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemIds;

#[expect(clippy::disallowed_methods, reason = "the one place that makes random ids")]
impl Ids for SystemIds {
    fn uuid(&self) -> Uuid {
        Uuid::now_v7()
    }
}

#[cfg(test)]
mod tests {
    use super::{Ids, SystemIds};

    #[test]
    fn ids_are_unique_and_in_the_order_of_their_making() {
        let ids: Vec<_> = (0..1_000).map(|_| SystemIds.uuid()).collect();
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
