//! The worker that takes due deliveries and makes one attempt at each.

mod queue;

use crate::webhook::keys::KeyRing;
use crate::webhook::sender::{Attempt, Message, Sender};
use alerts_domain::delivery::{Answer, JITTER_PERMILLE_MAX, RetryTable};
use eventstore::{Store, StoreError};
use queue::Claimed;
use runtime::{Clock, telemetry};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// How soon after an idle look the queue is looked at again: a first attempt within a second of the event.
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_millis(200);
/// Wait after a failure of the database.
const ERROR_PAUSE: Duration = Duration::from_secs(1);
/// Attempts that are still under way at the end are left; others repeat them, with the same id, after their lease.
const GRACE: Duration = Duration::from_secs(5);
/// What an attempt came to is noted down in this time, or the attempt is made again after its lease.
const RECORDING_DEADLINE: Duration = Duration::from_secs(20);
const RECORDING_PAUSE: Duration = Duration::from_millis(250);

/// How many attempts at the same time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// In this process.
    pub(crate) all: usize,
    /// To one webhook.
    pub(crate) each: usize,
}

/// Delivers.
#[derive(Clone)]
pub(crate) struct Worker {
    pub(crate) store: Store,
    pub(crate) sender: Arc<Sender>,
    pub(crate) keys: KeyRing,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) table: RetryTable,
    pub(crate) limits: Limits,
}

impl Worker {
    /// Works until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut attempts = JoinSet::new();
        let mut quiet = PAUSE_MIN;
        while !stop.is_cancelled() {
            let free = self.limits.all.saturating_sub(attempts.len());
            let pause = match self.claim(free).await {
                Ok(claimed) if claimed.is_empty() => {
                    quiet = (quiet * 2).min(PAUSE_MAX);
                    quiet
                }
                Ok(claimed) => {
                    quiet = PAUSE_MIN;
                    for delivery in claimed {
                        attempts.spawn(self.clone().attempt_traced(delivery));
                    }
                    PAUSE_MIN
                }
                Err(error) => {
                    let error: &(dyn std::error::Error + 'static) = &error;
                    tracing::error!(error, "webhook deliveries stand still and will be tried again");
                    ERROR_PAUSE
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(pause) => {}
                // A webhook has room again.
                Some(ended) = attempts.join_next() => note_panic(ended),
            }
            while let Some(ended) = attempts.try_join_next() {
                note_panic(ended);
            }
        }
        let rest = async {
            while let Some(ended) = attempts.join_next().await {
                note_panic(ended);
            }
        };
        // What is left then is dropped, which ends it.
        let _ = tokio::time::timeout(GRACE, rest).await;
    }

    async fn claim(&self, free: usize) -> Result<Vec<Claimed>, StoreError> {
        if free == 0 {
            return Ok(Vec::new());
        }
        queue::claim(self.store.database(), self.limits.each, free).await
    }

    async fn attempt_traced(self, claimed: Claimed) {
        let span = tracing::info_span!(
            "deliver",
            webhook.id = %claimed.webhook_id,
            event.id = %claimed.event_id,
            event.type = %claimed.event_type,
            attempt = claimed.attempts + 1,
        );
        if let Some(traceparent) = &claimed.traceparent {
            telemetry::follow(&span, traceparent);
        }
        self.attempt(claimed).instrument(span).await;
    }

    async fn attempt(&self, claimed: Claimed) {
        let result = if claimed.is_disabled { None } else { Some(self.send(&claimed).await) };
        let deadline = Instant::now() + RECORDING_DEADLINE;
        loop {
            let recorded = match &result {
                Some(attempt) => self.record(&claimed, attempt).await,
                None => queue::give_up(&self.store, &claimed, self.clock.now()).await,
            };
            match recorded {
                Ok(()) => return,
                Err(error) if Instant::now() < deadline => {
                    let error: &(dyn std::error::Error + 'static) = &error;
                    tracing::warn!(error, "noting a webhook attempt down once more");
                }
                Err(error) => {
                    let error: &(dyn std::error::Error + 'static) = &error;
                    tracing::error!(error, "a webhook attempt could not be noted down and will be repeated");
                    return;
                }
            }
            tokio::time::sleep(RECORDING_PAUSE).await;
        }
    }

    async fn send(&self, claimed: &Claimed) -> Attempt {
        if claimed.key_id != self.keys.key_id() {
            let reason = "the service's secret was changed after this webhook was registered".to_owned();
            return Attempt { answer: Answer::None { reason }, excerpt: String::new() };
        }
        let sent_at = self.clock.now();
        let signatures =
            self.keys.keys(claimed.webhook_id).signatures(claimed.event_id, sent_at, &claimed.body);
        let message = Message { event_id: claimed.event_id, sent_at, signatures, body: claimed.body.clone() };
        let started = Instant::now();
        let attempt = self.sender.send(&claimed.url, message).await;
        let result = match &attempt.answer {
            Answer::Status { status: 200..=299, .. } => "taken",
            Answer::Status { .. } => "refused",
            Answer::None { .. } => "no_answer",
        };
        metrics::counter!("alerts_webhook_attempts_total", "result" => result).increment(1);
        metrics::histogram!("alerts_webhook_attempt_seconds").record(started.elapsed().as_secs_f64());
        attempt
    }

    async fn record(&self, claimed: &Claimed, attempt: &Attempt) -> Result<(), StoreError> {
        let jitter_permille = rand::random_range(-JITTER_PERMILLE_MAX..=JITTER_PERMILLE_MAX);
        let now = self.clock.now();
        queue::record(&self.store, claimed, attempt, now, &self.table, jitter_permille).await
    }
}

fn note_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(panic) = ended {
        tracing::error!(error.message = %panic, "a webhook attempt broke off and will be repeated");
    }
}
