//! `patchfleet events`: looks into the log, and decides about events that a consumer could not handle.

mod looking;
mod moment;
mod paper;
mod parked;
mod partitions;
mod stats;
mod whose;

use anyhow::bail;
use clap::Subcommand;
use eventstore::{Database, DatabaseOptions};
use kernel::Scope;
use paper::Paper;
use runtime::Settings;
use secrecy::ExposeSecret;
use whose::Whose;

/// The command's arguments.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    paper: Paper,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// The latest events, and with --follow every new one.
    ///
    /// Filters go together: `patchfleet events tail --all-tenants --type approvals.PatchApproved --since 2h` shows the
    /// approvals of the last two hours. With --json each event is one line, as it goes over the broker.
    Tail(looking::Tail),
    /// One event with everything that is known of it: who, when, why, and what it says.
    Show(looking::Show),
    /// The events of one aggregate, from its first one.
    Stream(looking::Stream),
    /// How many events of which type there are, and how far everybody is who reads them.
    Stats,
    /// Events that a consumer could not handle: list and look, have them handled again, or drop them.
    #[command(subcommand)]
    Parked(parked::Command),
    /// Old events: export them to a file, take them out of the database, and bring them back.
    ///
    /// Of every tenant, so only with --all-tenants. Taking out and bringing back is the owner's of the tables, who signs
    /// in with database.migration_url (or database.url).
    #[command(subcommand)]
    Partitions(partitions::Command),
}

/// Carries the command out as the service's own role: row-level security decides what is seen.
pub(crate) async fn run(settings: &Settings, arguments: Arguments) -> anyhow::Result<()> {
    let scope = arguments.whose.scope()?;
    // One for the page that is read and one for the keys or rows that belong to it.
    let options = DatabaseOptions { max_connections: 2, ..DatabaseOptions::default() };
    let database = Database::connect(settings.database.url.expose_secret(), options).await?;
    let done = match arguments.command {
        Command::Tail(tail) => tail.run(&database, &scope, arguments.paper).await,
        Command::Show(show) => show.run(&database, &scope, arguments.paper).await,
        Command::Stream(stream) => stream.run(&database, &scope, arguments.paper).await,
        Command::Stats => stats::print(&database, &scope, arguments.paper).await,
        Command::Parked(command) => {
            let broker = messaging::Broker::new(settings.broker.url.expose_secret(), "patchfleet events");
            command.run(&database, &broker, &scope, arguments.paper).await
        }
        Command::Partitions(_) if scope != Scope::Platform => {
            bail!("partitions hold the events of every tenant: say --all-tenants")
        }
        Command::Partitions(command) => {
            let owner = settings.database.migration_url.as_ref().unwrap_or(&settings.database.url);
            command.run(&database, owner.expose_secret(), arguments.paper).await
        }
    };
    match done {
        // Whoever reads has seen enough: `patchfleet events tail … | head`.
        Err(error) if is_broken_pipe(&error) => Ok(()),
        done => done,
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let io = cause.downcast_ref::<std::io::Error>();
        let json = cause.downcast_ref::<serde_json::Error>().and_then(serde_json::Error::io_error_kind);
        io.map(std::io::Error::kind).or(json) == Some(std::io::ErrorKind::BrokenPipe)
    })
}
