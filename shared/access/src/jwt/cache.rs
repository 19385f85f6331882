//! Keeps an issuer's keys, asks again when an unknown one appears, and never asks too often.

use super::TokenError;
use super::keys::{Key, KeySet};
use chrono::{DateTime, TimeDelta, Utc};
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::Mutex;

/// Anyone can send tokens with made-up key ids: they must not turn into a flood at the issuer.
const FETCH_INTERVAL_MIN: TimeDelta = TimeDelta::seconds(10);

/// A key that the issuer withdrew is forgotten after this.
const REFRESH_AFTER: TimeDelta = TimeDelta::minutes(10);

/// How long known keys are still trusted while the issuer cannot be reached.
const TRUSTED_FOR: TimeDelta = TimeDelta::hours(24);

/// Where an issuer's keys come from.
#[async_trait::async_trait]
pub trait FetchKeys: Send + Sync + 'static {
    /// The keys that the issuer publishes now.
    async fn fetch(&self) -> Result<KeySet, FetchError>;
}

/// Why keys could not be fetched.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct FetchError {
    /// What was tried.
    pub what: String,
    /// What went wrong there.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

pub(super) struct KeyCache {
    fetch: Box<dyn FetchKeys>,
    known: RwLock<Known>,
    // Held while fetching, so that a burst of unknown keys is one request.
    fetching: Mutex<()>,
}

#[derive(Clone, Default)]
struct Known {
    keys: Arc<KeySet>,
    fetched_at: Option<DateTime<Utc>>,
    tried_at: Option<DateTime<Utc>>,
}

impl KeyCache {
    pub(super) fn new(fetch: impl FetchKeys) -> Self {
        Self { fetch: Box::new(fetch), known: RwLock::default(), fetching: Mutex::new(()) }
    }

    /// The key with this id.
    pub(super) async fn get(&self, kid: &str, now: DateTime<Utc>) -> Result<Arc<Key>, TokenError> {
        let known = self.known();
        match known.trusted(kid, now) {
            Some(key) if known.is_fresh(now) => return Ok(key),
            Some(key) => {
                // Old but good: one caller asks, the others need not wait.
                let Ok(_one) = self.fetching.try_lock() else { return Ok(key) };
                self.refresh(now).await;
            }
            None => {
                let _one = self.fetching.lock().await;
                // Somebody else may have fetched it while this one waited.
                if self.known().trusted(kid, now).is_none() {
                    self.refresh(now).await;
                }
            }
        }
        let known = self.known();
        known.trusted(kid, now).ok_or(if known.last_try_failed() {
            TokenError::IssuerUnavailable
        } else {
            TokenError::UnknownKey
        })
    }

    async fn refresh(&self, now: DateTime<Utc>) {
        let mut known = self.known();
        if known.tried_at.is_some_and(|at| now - at < FETCH_INTERVAL_MIN) {
            return;
        }
        known.tried_at = Some(now);
        // Before the request, which ends early when its caller hangs up: the interval must hold all the same.
        self.known.write().unwrap_or_else(PoisonError::into_inner).tried_at = Some(now);
        match self.fetch.fetch().await {
            Ok(keys) => {
                known.keys = Arc::new(keys);
                known.fetched_at = Some(now);
            }
            Err(error) => {
                let source = error.source.as_ref().map(ToString::to_string);
                tracing::warn!(error.message = %error, error.source = source, "the issuer's keys cannot be fetched");
            }
        }
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = known;
    }

    fn known(&self) -> Known {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Known {
    fn trusted(&self, kid: &str, now: DateTime<Utc>) -> Option<Arc<Key>> {
        self.fetched_at.filter(|at| now - *at < TRUSTED_FOR).and_then(|_| self.keys.find(kid))
    }

    fn is_fresh(&self, now: DateTime<Utc>) -> bool {
        self.fetched_at.is_some_and(|at| now - at < REFRESH_AFTER)
    }

    fn last_try_failed(&self) -> bool {
        self.fetched_at != self.tried_at
    }
}
