//! The mechanism behind all services: one leader gives positions, one relay publishes.

use contracts::Service;
use eventstore::Sequencer;
use foundation::Foundation;
use messaging::Relay;
use runtime::{Lifecycle, Settings};
use std::net::SocketAddr;

/// Starts sequencer and relay.
pub(crate) async fn run(settings: &Settings, lifecycle: &Lifecycle) -> anyhow::Result<SocketAddr> {
    let foundation = Foundation::lay(Service::Backbone, settings, lifecycle).await?;
    let (sequencer, stop) = (Sequencer::new(foundation.database.clone()), lifecycle.stop.clone());
    foundation.background("sequencer", async move { sequencer.run(stop).await });
    let relay = Relay::new(foundation.database.clone(), foundation.broker.clone());
    let stop = lifecycle.stop.clone();
    foundation.background("relay", async move { relay.run(stop).await });
    Ok(foundation.server().start(lifecycle)?)
}
