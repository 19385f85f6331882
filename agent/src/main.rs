//! The program `patchfleet-agent`: flags, exit code, signals; everything else is in the library.

use anyhow::Context;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use contracts::devices::AvailableUpdate;
use patchfleet_agent::backend::{Backend, Scan};
use patchfleet_agent::config::{Config, Overrides, refuse_unknown_environment};
use patchfleet_agent::journal::Journal;
use patchfleet_agent::queue::Queue;
use patchfleet_agent::state::State;
use patchfleet_agent::{AgentError, clock, enrolment, run};
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;

/// Scans this device, installs approved patches by its own package manager, and reports to a Patchfleet server
#[derive(Parser)]
#[command(name = "patchfleet-agent", version)]
struct Cli {
    #[command(subcommand)]
    command: Task,
    #[command(flatten)]
    overrides: Overrides,
}

#[derive(Subcommand)]
enum Task {
    /// Work until stopped; enrols first if a token is configured
    Run,
    /// Enrol this device with a one-time token
    Enrol,
    /// Show what a scan would report, without a server
    Scan(ScanArgs),
    /// Show who this device is and what waits
    Status,
}

#[derive(Args)]
struct ScanArgs {
    /// The whole report as JSON
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let code = error
                .chain()
                .find_map(|e| e.downcast_ref::<AgentError>())
                .map_or("agent.failed", AgentError::code);
            tracing::error!(code, "{error:#}");
            // Before logging is set up there is nobody else to tell.
            if !tracing::dispatcher::has_been_set() {
                let _ = writeln!(std::io::stderr(), "patchfleet-agent: {code}: {error:#}");
            }
            ExitCode::FAILURE
        }
    }
}

fn start() -> anyhow::Result<()> {
    let command = Cli::command();
    let known = environment_names(&command);
    let cli = Cli::from_arg_matches(&command.get_matches()).unwrap_or_else(|error| error.exit());
    let present = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    refuse_unknown_environment(&known, present)?;
    let config = Config::load(cli.overrides)?;
    let filter = EnvFilter::try_new(&config.log).with_context(|| format!("log = {:?}", config.log))?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    // Only fails if there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(perform(cli.command, config))
}

fn environment_names(command: &clap::Command) -> Vec<String> {
    let names = command.get_arguments().filter_map(|argument| argument.get_env());
    names.filter_map(|name| name.to_str().map(str::to_owned)).collect()
}

async fn perform(task: Task, config: Config) -> anyhow::Result<()> {
    match task {
        Task::Run => {
            let (stop_now, stop) = watch::channel(false);
            let mut terminate = signal(SignalKind::terminate())?;
            let mut interrupt = signal(SignalKind::interrupt())?;
            let signalled = async move {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                tracing::info!("asked to stop; the step at hand is finished first");
                let _ = stop_now.send(true);
                std::future::pending::<()>().await;
            };
            tokio::select! {
                ended = run::run(config, stop) => ended?,
                () = signalled => {}
            }
        }
        Task::Enrol => {
            let state = State::open(&config.state_folder)?;
            let backend = Backend::open(&config, &state.folder().join("work"))?;
            let identity = enrolment::enrol(&config, &state, &backend).await?;
            say(&format!("enrolled as device {}", identity.device_id))?;
        }
        Task::Scan(ScanArgs { json }) => {
            let work = TemporaryFolder::new();
            // Looking changes nothing, not even the package lists.
            let config = Config { refresh: false, ..config };
            let scan = Backend::open(&config, &work.0)?.scan().await?;
            if json {
                let report = run::scan_report(&scan, None, clock::now());
                say(&serde_json::to_string_pretty(&report)?)?;
            } else {
                say(&scan_text(&scan))?;
            }
        }
        Task::Status => say(&status_text(&config.state_folder)?)?,
    }
    Ok(())
}

/// Writes to standard output; a reader that has seen enough (`| head`) is no error.
fn say(text: &str) -> std::io::Result<()> {
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

fn scan_text(scan: &Scan) -> String {
    let line = |update: &AvailableUpdate| {
        let AvailableUpdate { name, installed_version, candidate_version, origin, security } = update;
        let kind = if *security { "security" } else { "other" };
        format!("{name}\t{installed_version}\t{candidate_version}\t{kind}\t{origin}")
    };
    let first = format!("{} from {}", scan.os.key(), scan.source);
    let last =
        format!("{} updates available, restart pending: {}", scan.available.len(), scan.pending_reboot);
    let lines = std::iter::once(first).chain(scan.available.iter().map(line)).chain([last]);
    lines.collect::<Vec<_>>().join("\n")
}

fn status_text(folder: &Path) -> anyhow::Result<String> {
    let Some(identity) = State::peek(folder).identity()? else {
        return Ok(format!("not enrolled ({})", folder.display()));
    };
    let journal = Journal::open(folder)?;
    let at_hand = journal.current().map_or_else(|| "none".to_owned(), |job| job.job_id.to_string());
    Ok(format!(
        "device\t{}\ncustomer\t{}\nserver\t{}\nlast job number\t{}\njob at hand\t{at_hand}\nreports waiting\t{}",
        identity.device_id,
        identity.customer_id,
        identity.server,
        journal.last_number(),
        Queue::count(folder),
    ))
}

/// For a scan without state: apt's caches and settings, gone when the program ends.
struct TemporaryFolder(PathBuf);

impl TemporaryFolder {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("patchfleet-agent-{}", clock::new_id())))
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
