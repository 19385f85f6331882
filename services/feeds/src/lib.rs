//! What vendors publish: fetches their documents and keeps the one catalogue of patches that all tenants share.

mod archive;
mod catalogue;
mod commands;
pub mod config;
mod connectivity;
mod documents;
mod error;
pub mod export;
mod fetch;
mod import;
pub mod offline;
mod packages;
mod ratings;
mod schedule;
mod source;
mod sync;
mod syncs;
mod vanishing;
mod vulnerabilities;

pub use import::Watcher;

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
    let feeds = sync::Feeds::new(
        foundation.clone(),
        fetcher,
        config.archive_folder.clone().map(archive::Archive::new),
    );
    foundation.background("archive", archive::keep_up(feeds.clone()));
    foundation.background("schedule", schedule::run(feeds.clone(), config.schedule_interval()));
    let packages = Packages::new(foundation.clone(), settings, &config, feeds.fetcher.clone())?;
    packages.start();
    let server = foundation
        .server()
        .configure(move |routes| commands::routes(&feeds, routes))
        .configure(move |routes| packages::routes(&packages, routes));
    Ok(server.start(lifecycle)?)
}
