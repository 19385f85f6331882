//! Decides what may be installed: whitelists, auto-approval rules, and people's decisions. Says what devices must have, and how
//! they stand.

mod baselines;
mod commands;
pub mod compliance;
pub mod config;
mod decisions;
pub mod deferrals;
mod facts;
mod reacting;
pub mod reactor;
pub mod rules;
mod streams;

use config::ApprovalsSettings;
use contracts::Service;
use deferrals::Deferrals;
use foundation::Foundation;
use rules::{RuleServices, RuleTimer};
use runtime::{Lifecycle, Settings};
use std::net::SocketAddr;

/// Starts the service; answers with its address once it listens.
pub async fn run(settings: &Settings, lifecycle: &Lifecycle) -> anyhow::Result<SocketAddr> {
    let config = ApprovalsSettings::read(settings)?;
    let foundation = Foundation::lay(Service::Approvals, settings, lifecycle).await?;
    let (store, clock) = (foundation.store.clone(), foundation.clock.clone());
    foundation.consume(reactor::Reactor::new(store.clone(), clock.clone()));
    compliance::start(&foundation);
    let deferrals = Deferrals::new(store.clone(), clock.clone());
    foundation.background("deferrals", deferrals.run(lifecycle.clone()));
    let timer = RuleTimer::new(store, clock);
    foundation.background("rules", timer.run(config.rules_interval(), lifecycle.clone()));
    let server = foundation.server().configure({
        let services = RuleServices { foundation: foundation.clone(), settings: config };
        let commands = foundation.commands();
        move |routes| {
            commands::routes(&commands, &services.foundation, routes);
            baselines::routes(&commands, &services.foundation, routes);
            rules::routes(&commands, &services, routes);
        }
    });
    Ok(server.start(lifecycle)?)
}
