//! Starts the named services in this process and stops them together.

use crate::backbone;
use anyhow::{Context, bail};
use contracts::Service;
use runtime::{Lifecycle, Settings};
use std::{io::Write, net::SocketAddr, time::Duration};

/// Longer than the longest request, shorter than what an orchestrator waits before it kills.
const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(25);

/// Runs until SIGTERM, Ctrl-C, or the failure of a task.
pub(crate) async fn serve(settings: &Settings, names: &[String]) -> anyhow::Result<()> {
    let services = chosen(names)?;
    let lifecycle = Lifecycle::new();
    lifecycle.on_signals()?;
    for service in services {
        let started = tokio::select! {
            started = start(service, settings, &lifecycle) => started,
            () = lifecycle.stopped() => break,
        };
        if let Err(error) = started.with_context(|| format!("starting {service}")) {
            let _ = lifecycle.shutdown(SHUTDOWN_DEADLINE).await;
            return Err(error);
        }
    }
    lifecycle.stopped().await;
    lifecycle.shutdown(SHUTDOWN_DEADLINE).await?;
    tracing::info!("stopped");
    Ok(())
}

fn chosen(names: &[String]) -> anyhow::Result<Vec<Service>> {
    if names.iter().any(|name| name == "all") {
        return Ok(Service::ALL.to_vec());
    }
    let unknown = names.iter().find(|name| Service::by_name(name).is_none());
    if let Some(unknown) = unknown {
        let known: Vec<_> = Service::ALL.iter().map(|service| service.name()).collect();
        bail!("there is no service {unknown:?}; known are all, {}", known.join(", "));
    }
    Ok(names.iter().filter_map(|name| Service::by_name(name)).collect())
}

async fn start(service: Service, settings: &Settings, lifecycle: &Lifecycle) -> anyhow::Result<SocketAddr> {
    match service {
        Service::Backbone => backbone::run(settings, lifecycle).await,
        Service::Tenancy => tenancy::run(settings, lifecycle).await,
        Service::Feeds => feeds::run(settings, lifecycle).await,
        Service::Devices => devices::run(settings, lifecycle).await,
        Service::Approvals => approvals::run(settings, lifecycle).await,
        Service::Scheduling => scheduling::run(settings, lifecycle).await,
        Service::Alerts => alerts::run(settings, lifecycle).await,
        Service::Auditing => auditing::run(settings, lifecycle).await,
        Service::Gateway => gateway::run(settings, lifecycle).await,
    }
}

/// Lists every key with its meaning, its default and the variable that sets it.
pub(crate) fn print_settings() -> anyhow::Result<()> {
    let services = [
        backbone::KEYS,
        devices::config::KEYS,
        feeds::config::KEYS,
        approvals::config::KEYS,
        scheduling::config::KEYS,
        alerts::config::KEYS,
    ];
    let mut out = std::io::stdout().lock();
    for key in Settings::describe().iter().chain(services.into_iter().flatten()) {
        let default = if key.default.is_empty() { "none" } else { key.default };
        writeln!(
            out,
            "{}\n    {}\n    default   {default}\n    variable  {}\n",
            key.name,
            key.doc,
            key.variable()
        )?;
    }
    Ok(())
}
