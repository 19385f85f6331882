//! `patchfleet feeds`: looks into vendors' documents, and takes them in by hand.

mod inspection;
mod watching;

use anyhow::Context;
use clap::Subcommand;
use feeds::offline::{Given, Offline};
use runtime::{Lifecycle, Settings};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// How long tasks may take to end after the work is done.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// The command's arguments.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Say what a vendor's document holds, without a server.
    ///
    /// The format is told by the content: gz, bz2, xz and zst are unpacked first. A document that no feed would take in is
    /// refused here with the same reason and code.
    Inspect(Inspect),
    /// Take documents into the catalogue: files, folders with everything below them, and http(s) addresses.
    ///
    /// Signs in as the services do, and may run beside them. What is known already is no news: the same documents again
    /// write nothing. Each kind of document has a feed of its own for what comes by hand.
    Import(Import),
}

#[derive(clap::Args)]
pub(crate) struct Inspect {
    /// The document.
    file: PathBuf,
    /// All figures as one JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
pub(crate) struct Import {
    /// Files, folders and addresses.
    #[arg(required = true, value_name = "FILE|FOLDER|URL")]
    given: Vec<String>,
    /// One JSON object for each kind of document instead of a table.
    #[arg(long)]
    json: bool,
}

impl Inspect {
    /// Needs neither settings nor a server.
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        inspection::run(&self.file, self.json)
    }
}

impl Import {
    /// Takes everything in; fails in the end if a document was refused.
    pub(crate) async fn run(&self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let lifecycle = Lifecycle::new();
        let stop = lifecycle.stop.clone();
        let offline = Offline::open(settings, &lifecycle).await?;
        let given: Vec<Given> = self.given.iter().map(|text| Given::parse(text)).collect();
        let watcher = watching::Bars::new();
        let outcome = tokio::select! {
            outcome = offline.import(&given, &watcher) => outcome,
            // What was taken in stays, and the same call goes on after it.
            pressed = tokio::signal::ctrl_c() => {
                pressed.context("waiting for Ctrl-C")?;
                stop.cancel();
                anyhow::bail!("interrupted: what was taken in stays, and the same call goes on after it")
            }
        };
        watcher.finish();
        stop.cancel();
        lifecycle.shutdown(STOP_PATIENCE).await?;
        let outcome = outcome?;
        watching::print(&outcome, self.json)?;
        Ok(if outcome.refused.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
