//! Documents on the web: what passes is waited for, and what broke off goes on.

use super::download::Download;
use super::{FetchError, Fetched, Patience, Validators};
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout_at};
use url::Url;

/// An attempt that brought so much counts as none: a document that breaks off again and again still arrives.
const PROGRESS_BYTES: u64 = 1 << 20;
/// A source that wants to be left alone for longer is read again by its schedule.
const RETRY_AFTER_MAX: Duration = Duration::from_mins(5);
/// The pauses are a fifth longer or shorter, so that not everybody comes back at once.
const JITTER_PERMILLE: u32 = 200;

/// Reads the answer to a GET into a temporary file, at most `limit` bytes of it. What passes is tried again.
pub(super) async fn read(
    client: &reqwest::Client,
    url: Url,
    known: &Validators,
    limit: u64,
    patience: Patience,
) -> Result<Fetched, FetchError> {
    let deadline = patience.deadline;
    let ends_at = Instant::now() + deadline;
    let mut download = Download::new(client, url, known, limit, patience.stall);
    let (mut attempts, mut in_vain) = (0, 0);
    loop {
        attempts += 1;
        let before = download.received();
        let attempt = timeout_at(ends_at, download.attempt()).await;
        let error = match attempt.unwrap_or(Err(FetchError::Timeout { deadline })) {
            Ok(fetched) => return Ok(fetched),
            Err(error) => error,
        };
        in_vain = if download.received() >= before + PROGRESS_BYTES { 1 } else { in_vain + 1 };
        let again_at = pause_after(&error, in_vain, patience)
            .and_then(|pause| Instant::now().checked_add(pause))
            .filter(|again_at| *again_at < ends_at);
        let Some(again_at) = again_at else {
            return Err(match attempts {
                1 => error,
                _ => FetchError::GaveUp { attempts, last: Box::new(error) },
            });
        };
        tracing::info!(
            url = %download.url(),
            attempt = attempts,
            error.message = %error,
            "a source did not send its document and is tried again"
        );
        sleep_until(again_at).await;
    }
}

/// How long to wait before the next attempt; none where there is to be no other.
fn pause_after(error: &FetchError, in_vain: u32, patience: Patience) -> Option<Duration> {
    if !error.passes() || in_vain >= patience.attempts {
        return None;
    }
    let doubled = patience.first_pause.saturating_mul(1 << (in_vain - 1).min(16));
    let jitter = rand::random_range(1_000 - JITTER_PERMILLE..=1_000 + JITTER_PERMILLE);
    let pause = doubled.saturating_mul(jitter) / 1_000;
    let FetchError::Status { retry_after: Some(wanted), .. } = error else { return Some(pause) };
    (*wanted <= RETRY_AFTER_MAX).then(|| pause.max(*wanted))
}

impl FetchError {
    /// Whether the source is at fault and not this one document: the next one would fail as well.
    pub(crate) fn is_outage(&self) -> bool {
        self.passes() || matches!(self, Self::GaveUp { .. } | Self::Timeout { .. })
    }

    /// Whether the same request may succeed some time later.
    fn passes(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Stalled { .. } | Self::WrongPart => true,
            // Among the 5xx, 501 and 505 say that the server will never do it.
            Self::Status { status, .. } => {
                matches!(status, 408 | 425 | 429 | 500..=599) && !matches!(status, 501 | 505)
            }
            Self::Folder { .. }
            | Self::Missing { .. }
            | Self::OutsideFolder { .. }
            | Self::NotAFile { .. }
            | Self::Unreadable { .. }
            | Self::TooLarge { .. }
            | Self::Spool { .. }
            | Self::PrivateAddress { .. }
            | Self::PlainHttp { .. }
            | Self::Timeout { .. }
            | Self::EmptyFolder { .. }
            | Self::GaveUp { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{FetchError, Patience, RETRY_AFTER_MAX, pause_after};
    use std::time::Duration;

    const PATIENCE: Patience = Patience {
        deadline: Duration::from_mins(10),
        stall: Duration::from_secs(30),
        attempts: 4,
        first_pause: Duration::from_secs(5),
    };

    fn status(status: u16, retry_after: Option<Duration>) -> FetchError {
        FetchError::Status { status, location: None, retry_after }
    }

    #[test]
    fn each_pause_is_twice_as_long_give_or_take_a_fifth_and_after_the_last_attempt_there_is_none() {
        for (in_vain, middle) in [(1, 5.0), (2, 10.0), (3, 20.0)] {
            let pause = pause_after(&status(503, None), in_vain, PATIENCE).unwrap().as_secs_f64();
            assert!((middle * 0.8..=middle * 1.2).contains(&pause), "{in_vain}: {pause}");
        }
        assert_eq!(pause_after(&status(503, None), 4, PATIENCE), None);
    }

    #[test]
    fn a_source_that_says_how_long_to_wait_is_heard_within_bounds() {
        let asked = |wanted| pause_after(&status(429, Some(wanted)), 1, PATIENCE);
        assert_eq!(asked(Duration::from_secs(40)), Some(Duration::from_secs(40)));
        assert!(asked(Duration::ZERO).unwrap() >= Duration::from_secs(4), "not sooner than without");
        assert_eq!(asked(RETRY_AFTER_MAX + Duration::from_secs(1)), None);
    }

    #[test]
    fn only_what_passes_is_tried_again() {
        for passing in [408, 425, 429, 500, 502, 503, 504] {
            assert!(status(passing, None).passes(), "{passing}");
        }
        for lasting in [206, 301, 400, 401, 403, 404, 410, 416, 501, 505] {
            assert!(!status(lasting, None).passes(), "{lasting}");
        }
        assert!(!FetchError::TooLarge { limit: 1 }.passes());
        assert!(status(503, None).is_outage() && !status(404, None).is_outage());
    }
}
