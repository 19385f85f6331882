//! The one program: starts any of the services, and brings the database up to date.

#![expect(
    clippy::doc_markdown,
    reason = "the arguments' comments are the help that people read at a terminal"
)]

mod backbone;
mod events;
mod feeds;
mod restore;
mod serve;
mod views;

use clap::{Parser, Subcommand};
use runtime::{Settings, telemetry};
use secrecy::ExposeSecret;
use std::{path::PathBuf, process::ExitCode};

/// Patch management for many customers, every step of it a fact that can be proven.
///
/// Settings come from a TOML file (--config) and from the environment: PATCHFLEET__SECTION__KEY sets a key,
/// for example PATCHFLEET__DATABASE__URL. `patchfleet settings` lists every key with its default.
#[derive(Parser)]
#[command(name = "patchfleet", version)]
struct Arguments {
    /// TOML file with settings.
    #[arg(long, global = true, env = "PATCHFLEET_CONFIG")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start services: `all`, or any of their names.
    ///
    /// One process may run all of them, or each its own; they meet at the database and the broker only.
    /// SIGTERM and Ctrl-C stop them in good order.
    Serve {
        /// `all`, or backbone, tenancy, feeds, devices, approvals, scheduling, alerts, auditing, gateway.
        #[arg(required = true)]
        services: Vec<String>,
    },
    /// Bring the database's schema up to date.
    ///
    /// Signs in with database.migration_url (or database.url), which must be allowed to create roles and schemas.
    Migrate,
    /// Let a log go on that was restored from a dump into a new cluster; does nothing where it was not.
    ///
    /// Signs in with database.migration_url (or database.url). The steps around it: docs/runbooks/restore.md.
    Restore,
    /// List every setting with its default and meaning.
    Settings,
    /// Look into vendors' documents, and take them into the catalogue by hand.
    Feeds(feeds::Arguments),
    /// Look into the log of events, and decide about those that could not be handled.
    ///
    /// Signs in as the services do. Say whose events: --partner ID, --partner ID --customer ID, or --all-tenants.
    Events(events::Arguments),
    /// Look at the read models, compare them with the log, and build them anew without downtime.
    ///
    /// Reads as the services do. Tables are made and dropped by their owner, who signs in with database.migration_url (or
    /// database.url).
    Views(views::Arguments),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // Fails only if somebody installed a provider before: then there is one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match run(arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("patchfleet: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    // Neither needs settings.
    if let Command::Settings = arguments.command {
        return serve::print_settings().map(|()| ExitCode::SUCCESS);
    }
    if let Command::Feeds(feeds::Arguments { command: feeds::Command::Inspect(inspect) }) = &arguments.command
    {
        return inspect.run().map(|()| ExitCode::SUCCESS);
    }
    let settings = Settings::load(arguments.config.as_deref())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let _telemetry = telemetry::init(&settings.telemetry, "patchfleet")?;
        match arguments.command {
            Command::Feeds(feeds::Arguments { command: feeds::Command::Import(import) }) => {
                return import.run(&settings).await;
            }
            Command::Feeds(feeds::Arguments { command: feeds::Command::ImportBundle(import) }) => {
                return import.run(&settings).await;
            }
            Command::Feeds(feeds::Arguments { command: feeds::Command::Export(export) }) => {
                export.run(&settings).await
            }
            Command::Serve { services } => serve::serve(&settings, &services).await,
            Command::Migrate => migrate(&settings).await,
            Command::Restore => restore::run(&settings).await,
            // Done before, as they need no settings.
            Command::Settings | Command::Feeds(feeds::Arguments { command: feeds::Command::Inspect(_) }) => {
                Ok(())
            }
            Command::Events(arguments) => events::run(&settings, arguments).await,
            Command::Views(arguments) => views::run(&settings, arguments).await,
        }
        .map(|()| ExitCode::SUCCESS)
    })
}

async fn migrate(settings: &Settings) -> anyhow::Result<()> {
    let url = settings.database.migration_url.as_ref().unwrap_or(&settings.database.url);
    let count = eventstore::migrate(url.expose_secret()).await?;
    tracing::info!(migrations = count, "the database is up to date");
    Ok(())
}
