//! `cargo xtask demo`: the whole system, then the story, then the summary.

use crate::{progress::Progress, services, services::System, stop, workspace};
use anyhow::{Context, Result, bail};
use contracts::Service;
use std::path::PathBuf;

/// What the story is told with.
#[derive(Debug)]
pub(crate) struct Handover {
    /// Where people's questions go.
    pub(crate) gateway_url: String,
    /// Where agents go.
    pub(crate) devices_url: String,
    /// Where tokens come from.
    pub(crate) issuer_url: String,
    /// Proves to the issuer that we may ask for tokens.
    pub(crate) client_secret: String,
    /// The subject of the platform operator's token.
    pub(crate) operator: String,
    /// For roots, repositories and the agents' files; removed at the end.
    pub(crate) folder: PathBuf,
    /// The services' logs.
    pub(crate) logs: PathBuf,
    /// The agent's program.
    pub(crate) agent: PathBuf,
}

/// Starts the system, tells the story, and serves on unless `once`.
pub(crate) fn run(options: services::Options, once: bool) -> Result<()> {
    let progress = Progress::new();
    let mut system = System::start(&workspace::root()?, options, &[], &progress)?;
    let handover = Handover::of(&system);
    handover.print();
    std::fs::create_dir_all(&handover.folder).context("making the folder of the story")?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("building a runtime")?;
    let told = runtime.block_on(async {
        tokio::select! {
            told = story(&handover) => told,
            () = stop::requested_async() => bail!("stopped by a signal"),
        }
    });
    told.with_context(|| system.log_ends())?;
    if once { Ok(()) } else { system.serve() }
}

impl Handover {
    pub(crate) fn of(system: &System) -> Self {
        Self {
            gateway_url: system.url(Service::Gateway).to_owned(),
            devices_url: system.url(Service::Devices).to_owned(),
            issuer_url: system.url(Service::Tenancy).to_owned(),
            client_secret: system.client_secret.clone(),
            operator: system.operator.to_owned(),
            folder: system.infra.folder().join("demo"),
            logs: system.infra.folder().to_owned(),
            agent: system.programs.agent.clone(),
        }
    }

    /// What a person needs to look around.
    pub(crate) fn print(&self) {
        println!("GraphQL        {}/graphql", self.gateway_url);
        println!("agents         {}", self.devices_url);
        println!("token issuer   {}", self.issuer_url);
        println!("client secret  {}   (operator's subject: {})", self.client_secret, self.operator);
        println!("agent          {}", self.agent.display());
        println!("folder         {}", self.folder.display());
        println!("logs           {}/*.log", self.logs.display());
    }
}

// The one place that calls the journeys.
#[expect(clippy::unused_async, reason = "journeys are told over the network")]
async fn story(handover: &Handover) -> Result<()> {
    bail!("the journeys hold no story for {} yet", handover.gateway_url)
}
