//! A token bucket per device key: fleets sit behind one address, so addresses say nothing.

use kernel::DeviceId;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Buckets in memory before the full ones are thrown away, which changes nothing.
const BUCKETS_MAX: usize = 100_000;

/// Limits the requests of each device.
#[derive(Debug)]
pub(super) struct RateLimit {
    per_second: f64,
    burst: f64,
    buckets: Mutex<HashMap<DeviceId, Bucket>>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl RateLimit {
    pub(super) fn new(per_second: u32, burst: u32) -> Self {
        Self { per_second: per_second.into(), burst: burst.into(), buckets: Mutex::default() }
    }

    /// Whether the device may make one more request.
    pub(super) fn admits(&self, device_id: DeviceId, now: Instant) -> bool {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= BUCKETS_MAX {
            buckets.retain(|_, bucket| self.filled(*bucket, now) < self.burst);
        }
        let bucket = buckets.entry(device_id).or_insert(Bucket { tokens: self.burst, at: now });
        bucket.tokens = self.filled(*bucket, now);
        bucket.at = now;
        let admitted = bucket.tokens >= 1.0;
        if admitted {
            bucket.tokens -= 1.0;
        }
        admitted
    }

    fn filled(&self, bucket: Bucket, now: Instant) -> f64 {
        let passed = now.saturating_duration_since(bucket.at).as_secs_f64();
        passed.mul_add(self.per_second, bucket.tokens).min(self.burst)
    }
}

#[cfg(test)]
mod tests {
    use super::RateLimit;
    use kernel::DeviceId;
    use std::time::{Duration, Instant};
    use uuid::Uuid;

    #[test]
    fn a_device_that_asks_too_often_is_slowed_down_and_no_other() {
        let limit = RateLimit::new(2, 3);
        let (one, other) = (DeviceId(Uuid::from_u128(1)), DeviceId(Uuid::from_u128(2)));
        let start = Instant::now();
        let admitted = |device, after| limit.admits(device, start + Duration::from_millis(after));
        assert_eq!([0, 0, 0, 0].map(|after| admitted(one, after)), [true, true, true, false]);
        assert!(admitted(other, 0));
        assert_eq!([500, 500].map(|after| admitted(one, after)), [true, false]);
    }
}
