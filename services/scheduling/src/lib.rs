//! Scans on request, deployments, their runs and device jobs.
//!
//! ```text
//! people ──RequestScan, PatchNow──▶ commands ──plan──▶ facts ──▶ log ──▶ devices ──▶ agents
//!                                      ▲ look up                 │
//!                      local tables ◀──┴──── reactor ◀───────────┘ what agents report, approvals, patches, own facts
//!                            └──▶ watchdog ──▶ jobs of which nobody has heard for too long are given up
//! ```

mod approvals;
mod commands;
pub mod config;
mod error;
mod fleet;
mod jobs;
mod reactor;
mod watchdog;

#[cfg(test)]
mod tests;

use commands::Services;
use config::SchedulingSettings;
use contracts::Service;
use foundation::Foundation;
use reactor::Reactor;
use runtime::{Lifecycle, Settings};
use std::net::SocketAddr;
use watchdog::Watchdog;

/// Starts the service; answers with its address once it listens.
pub async fn run(settings: &Settings, lifecycle: &Lifecycle) -> anyhow::Result<SocketAddr> {
    let config = SchedulingSettings::read(settings)?;
    let foundation = Foundation::lay(Service::Scheduling, settings, lifecycle).await?;
    foundation.consume(Reactor::new(foundation.store.clone()));
    let watchdog =
        Watchdog::new(foundation.store.clone(), foundation.clock.clone(), config.job_stalled_after());
    foundation.background("watchdog", watchdog.run(config.watchdog_interval(), lifecycle.clone()));
    let services = Services::new(foundation.store.clone(), foundation.clock.clone(), config.job_valid_for());
    let commands = foundation.commands();
    let server = foundation.server().configure(move |routes| commands::routes(&commands, &services, routes));
    Ok(server.start(lifecycle)?)
}
