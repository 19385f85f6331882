//! What vendors publish: fetches their documents and keeps the one catalogue of patches that all tenants share.

mod catalogue;
mod commands;
pub mod config;
mod documents;
mod error;
mod fetch;
mod import;
mod packages;
mod ratings;
mod source;
mod sync;
mod syncs;
mod vulnerabilities;

use config::FeedsSettings;
use contracts::Service;
use foundation::Foundation;
use packages::Packages;
use runtime::{Lifecycle, Settings};
use std::net::SocketAddr;

/// Starts the service; answers with its address once it listens.
pub async fn run(settings: &Settings, lifecycle: &Lifecycle) -> anyhow::Result<SocketAddr> {
    let config = FeedsSettings::read(settings)?;
    let fetcher = fetch::Fetcher::new(&config, settings.environment)?;
    let foundation = Foundation::lay(Service::Feeds, settings, lifecycle).await?;
    let feeds = sync::Feeds::new(foundation.clone(), fetcher);
    let packages = Packages::new(foundation.clone(), settings, &config, feeds.fetcher.clone())?;
    packages.start();
    let server = foundation
        .server()
        .configure(move |routes| commands::routes(&feeds, routes))
        .configure(move |routes| packages::routes(&packages, routes));
    Ok(server.start(lifecycle)?)
}
