//! Keeps the audit trail: who did what, when, to what and why. There are no rules here: everything is recorded.

mod commands;
mod reading;
mod trail;

pub use trail::Trail;

use contracts::Service;
use foundation::Foundation;
use kernel::Position;
use runtime::{Lifecycle, Settings};
use std::net::SocketAddr;
use tokio::sync::watch;

/// Starts the service; answers with its address once it listens.
pub async fn run(settings: &Settings, lifecycle: &Lifecycle) -> anyhow::Result<SocketAddr> {
    let foundation = Foundation::lay(Service::Auditing, settings, lifecycle).await?;
    let (database, stop) = (foundation.database.clone(), lifecycle.stop.clone());
    foundation.background("trail", async move {
        // How far it is stands beside the rows, where a reader sees both at once.
        let position = watch::Sender::new(Position::default());
        eventstore::follow(database, &Trail, position, stop).await;
    });
    let server = foundation.server().configure({
        let foundation = foundation.clone();
        move |routes| commands::routes(&foundation, routes)
    });
    Ok(server.start(lifecycle)?)
}
