//! Devices: lets agents in, takes their scans, finds what is missing where, hands them their jobs, and keeps their groups.
//!
//! ```text
//! agents ──HTTP──▶ agents::* ──▶ inventory, catalogue ──▶ Device::decide ──▶ event store
//!                     ▲ jobs                  ▲
//! scheduling ─────────┴──── reactor ──────────┴──── feeds
//! ```

mod agents;
mod catalogue;
mod commands;
pub mod config;
mod fault;
mod groups;
mod inventory;
mod job_key;
mod reactor;
mod sweep;
mod wake;

use agents::Agents;
use contracts::{Service, agent::AGENT_BODY_BYTES_MAX};
use foundation::Foundation;
use runtime::{Lifecycle, Settings};
use std::net::SocketAddr;

/// Starts the service; answers with its address once it listens.
pub async fn run(settings: &Settings, lifecycle: &Lifecycle) -> anyhow::Result<SocketAddr> {
    let config = config::DevicesSettings::read(settings)?;
    let job_key = job_key::load(config.job_key_file.as_deref(), settings.environment)?;
    let tokens = commands::TokenKey::new(settings)?;
    let foundation = Foundation::lay(Service::Devices, settings, lifecycle).await?;
    let wake = wake::Wake::new();
    foundation.consume(reactor::Reactor::new(foundation.store.clone(), wake.clone()));
    foundation.background("sweep", sweep::run(foundation.clone(), config.clone()));
    let agents = Agents::new(foundation.clone(), config, job_key, wake);
    let server = foundation
        .server()
        .body_limit(AGENT_BODY_BYTES_MAX)
        .configure({
            let foundation = foundation.clone();
            move |routes| commands::routes(&foundation, &tokens, routes)
        })
        .configure(move |routes| agents::routes(&agents, routes));
    Ok(server.start(lifecycle)?)
}
