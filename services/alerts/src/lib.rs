//! Alerts and the webhooks that carry them.
//!
//! ```text
//! events ──▶ raising ──AlertRaised──▶ log ──▶ fan_out ──▶ delivery rows ──▶ worker ──▶ receivers
//!                                                 ▲                             │
//!                 every other event ──────────────┘        Delivery… facts ◀────┘
//! ```

mod commands;
pub mod config;
mod consumers;
mod deliveries;
pub mod webhook;

use commands::Services;
use config::AlertsSettings;
use consumers::{FanOut, Raising};
use contracts::Service;
use deliveries::{Limits, Worker};
use foundation::Foundation;
use runtime::{Lifecycle, Settings};
use std::net::SocketAddr;
use std::sync::Arc;
use webhook::keys::KeyRing;
use webhook::sender::{DEADLINE, Sender, SystemLookup};

/// Starts the service; answers with its address once it listens.
pub async fn run(settings: &Settings, lifecycle: &Lifecycle) -> anyhow::Result<SocketAddr> {
    let config = AlertsSettings::read(settings)?;
    runtime::http::install_tls_provider();
    let sender = Arc::new(Sender::new(config.allowed_addresses()?, Arc::new(SystemLookup), DEADLINE)?);
    let keys = KeyRing::new(&config.webhook_secret);
    let foundation = Foundation::lay(Service::Alerts, settings, lifecycle).await?;

    foundation.consume(Raising::new(foundation.store.clone()));
    foundation.consume(FanOut);
    let worker = Worker {
        store: foundation.store.clone(),
        sender: Arc::clone(&sender),
        keys: keys.clone(),
        clock: Arc::clone(&foundation.clock),
        table: config.retry_table(),
        limits: Limits { all: config.webhook_concurrency, each: config.webhook_concurrency_each },
    };
    foundation.background("deliveries", worker.run(lifecycle.stop.clone()));

    let server = foundation.server();
    let services = Services { foundation, sender, keys };
    Ok(server.configure(move |routes| commands::routes(&services, routes)).start(lifecycle)?)
}
