//! Holds devices against the baselines that hold for them: after each scan, and whenever something else changes the result.
//!
//! ```text
//! scan ──────────────────────────────▶ measured in the scan's own transaction
//! catalogue, KEV, groups, baselines ──▶ a task (a set of devices) ──▶ the worker measures it, some devices at a time
//! time (30 days, minimum age) ────────▶ the same
//! ```

mod fleet;
mod measuring;
pub mod reactor;
mod tasks;
pub mod worker;

use foundation::Foundation;
use std::time::Duration;

/// How often the worker looks for something to do when it has found nothing.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Starts the consumer that keeps what is measured, and the worker that measures.
pub(crate) fn start(foundation: &Foundation) {
    foundation.consume(reactor::Reactor::new(foundation.store.clone()));
    let worker = worker::Worker::new(foundation.store.clone(), foundation.clock.clone());
    foundation.background("compliance", worker.run(LOOK_EVERY, foundation.lifecycle.clone()));
}
