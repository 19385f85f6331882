//! Decides what may be installed: whitelists, auto-approval rules, and people's decisions.

mod commands;
mod decisions;
pub mod deferrals;
mod facts;
pub mod reactor;
mod rules;

use contracts::Service;
use deferrals::Deferrals;
use foundation::Foundation;
use runtime::{Lifecycle, Settings};
use std::net::SocketAddr;

/// Starts the service; answers with its address once it listens.
pub async fn run(settings: &Settings, lifecycle: &Lifecycle) -> anyhow::Result<SocketAddr> {
    let foundation = Foundation::lay(Service::Approvals, settings, lifecycle).await?;
    foundation.consume(reactor::Reactor::new(foundation.store.clone()));
    let deferrals = Deferrals::new(foundation.store.clone(), foundation.clock.clone());
    foundation.background("deferrals", deferrals.run(lifecycle.clone()));
    let server = foundation.server().configure({
        let foundation = foundation.clone();
        move |routes| commands::routes(&foundation, routes)
    });
    Ok(server.start(lifecycle)?)
}
