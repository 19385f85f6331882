//! Decides what may be installed: whitelists, auto-approval rules, and people's decisions. Says what devices must have, and how
//! they stand.

mod baselines;
mod commands;
pub mod compliance;
mod facts;
pub mod reactor;
mod rules;

use contracts::Service;
use foundation::Foundation;
use runtime::{Lifecycle, Settings};
use std::net::SocketAddr;

/// Starts the service; answers with its address once it listens.
pub async fn run(settings: &Settings, lifecycle: &Lifecycle) -> anyhow::Result<SocketAddr> {
    let foundation = Foundation::lay(Service::Approvals, settings, lifecycle).await?;
    foundation.consume(reactor::Reactor::new(foundation.store.clone()));
    compliance::start(&foundation);
    let server = foundation.server().configure({
        let foundation = foundation.clone();
        move |routes| {
            commands::routes(&foundation, routes);
            baselines::routes(&foundation, routes);
        }
    });
    Ok(server.start(lifecycle)?)
}
