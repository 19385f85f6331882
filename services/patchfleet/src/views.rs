//! `patchfleet views`: how far the read models are, whether they say what the log says, and building them anew.

mod printing;
mod watching;

use anyhow::{Context, bail};
use clap::{Subcommand, builder::PossibleValuesParser};
use eventstore::{Database, Projection, RebuildError, RebuildOptions, StoreError};
use runtime::Settings;
use secrecy::ExposeSecret;
use watching::Watching;

/// The command's arguments.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// JSON lines instead of tables.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Every view: its position in the log, how far it is behind, and how many rows it has.
    List,
    /// Build a view anew from the first event, and put it in the place of the live one. Nobody notices.
    ///
    /// The tables are made a second time beside the live ones and filled from the log, while the services read and keep
    /// the live ones as ever. When both are at the same position they change places; the view's follower waits for some
    /// milliseconds, readers for nothing. For a view that is wrong (see `views check`), or whose meaning has changed with
    /// a new version of the program.
    ///
    /// Ctrl-C is harmless: the live view is not touched before the end. --resume goes on where a rebuild stopped; without
    /// it the next one begins anew.
    Rebuild {
        #[command(flatten)]
        view: View,
        /// Go on where the last rebuild of this view was interrupted. Only with the same version of the program.
        #[arg(long)]
        resume: bool,
        /// Keep the replaced tables, in the schema <SCHEMA>_old, until the next rebuild or `views discard`.
        #[arg(long)]
        keep_old: bool,
    },
    /// Fold the log freshly and compare it with a view, row by row, both at the same position.
    ///
    /// Tells the table, the key and the columns of every row that is not what the log says, and then ends with exit code
    /// 1. The services go on meanwhile; the disk needs room for the view a second time. `views rebuild` repairs.
    Check {
        #[command(flatten)]
        view: View,
    },
    /// Drop what interrupted rebuilds and checks left behind, and what --keep-old kept.
    Discard {
        #[command(flatten)]
        view: View,
    },
}

#[derive(clap::Args)]
struct View {
    /// The view's name, as `views list` shows it.
    #[arg(value_name = "NAME", value_parser = PossibleValuesParser::new(all().map(|view| view.name())))]
    name: String,
}

/// Every projection of every service.
fn all() -> [&'static dyn Projection; 2] {
    [&gateway::views::Views, &auditing::Trail]
}

impl View {
    fn projection(&self) -> anyhow::Result<&'static dyn Projection> {
        all().into_iter().find(|view| view.name() == self.name).context("there is no such view")
    }
}

/// Carries the command out. Tables are made and dropped by their owner, everything else is done as the services do it.
pub(crate) async fn run(settings: &Settings, arguments: Arguments) -> anyhow::Result<()> {
    let json = arguments.json;
    match arguments.command {
        Command::List => list(&connect(settings).await?, json).await,
        Command::Rebuild { view, resume, keep_old } => {
            let (projection, database) = (view.projection()?, connect(settings).await?);
            let options = RebuildOptions { resume, keep_old };
            until_interrupted(
                rebuild(&database, owner(settings), projection, options, json),
                "interrupted: the live view is as it was. --resume goes on from here, `views discard` drops what was built",
            )
            .await
        }
        Command::Check { view } => {
            let (projection, database) = (view.projection()?, connect(settings).await?);
            until_interrupted(
                check(&database, owner(settings), projection, json),
                "interrupted: `views discard` drops what was built",
            )
            .await
        }
        Command::Discard { view } => {
            let dropped =
                eventstore::discard(owner(settings), view.projection()?).await.map_err(explained)?;
            printing::discarded(&dropped, json)
        }
    }
}

async fn connect(settings: &Settings) -> anyhow::Result<Database> {
    let options = foundation::database_options(settings)?;
    Ok(Database::connect(settings.database.url.expose_secret(), options).await?)
}

/// The URL of the tables' owner.
fn owner(settings: &Settings) -> &str {
    settings.database.migration_url.as_ref().unwrap_or(&settings.database.url).expose_secret()
}

async fn until_interrupted(
    work: impl Future<Output = anyhow::Result<()>>,
    message: &'static str,
) -> anyhow::Result<()> {
    tokio::select! {
        done = work => done,
        interrupted = tokio::signal::ctrl_c() => {
            interrupted?;
            bail!(message)
        }
    }
}

async fn list(database: &Database, json: bool) -> anyhow::Result<()> {
    let mut views = Vec::new();
    for projection in all() {
        views.push(eventstore::overview(database, projection).await?);
    }
    printing::list(&views, json)
}

async fn rebuild(
    database: &Database,
    owner: &str,
    projection: &dyn Projection,
    options: RebuildOptions,
    json: bool,
) -> anyhow::Result<()> {
    let watching = Watching::begin(projection.name());
    let rebuilt =
        eventstore::rebuild(database, owner, projection, options, &|progress| watching.told(progress)).await;
    watching.end();
    printing::rebuilt(projection.name(), &rebuilt.map_err(explained)?, json)
}

async fn check(
    database: &Database,
    owner: &str,
    projection: &dyn Projection,
    json: bool,
) -> anyhow::Result<()> {
    let watching = Watching::begin(projection.name());
    let checked = eventstore::check(database, owner, projection, &|progress| watching.told(progress)).await;
    watching.end();
    let checked = checked.map_err(explained)?;
    printing::checked(projection, &checked, json)?;
    let differing = checked.differing();
    if differing == 1 {
        bail!("1 row of {} is not what the log says: `views rebuild` repairs it", projection.name());
    }
    if differing > 1 {
        bail!(
            "{} is not what the log says, in {differing} rows: `views rebuild` repairs it",
            projection.name()
        );
    }
    Ok(())
}

/// Adds what the operator can do where the error itself does not say it.
fn explained(error: RebuildError) -> anyhow::Error {
    if let RebuildError::Store(store) = &error
        && is_denied(store)
    {
        return anyhow::Error::from(error)
            .context("the owner of the tables must sign in: set database.migration_url");
    }
    error.into()
}

/// Whether the server said that this role may not.
fn is_denied(error: &StoreError) -> bool {
    const INSUFFICIENT_PRIVILEGE: &str = "42501";
    let StoreError::Database(error) = error else { return false };
    let Some(said) = error.as_database_error() else { return false };
    said.code().is_some_and(|code| code == INSUFFICIENT_PRIVILEGE)
}
