//! The GraphQL API for partners and customers: views of the log, mutations to the services that own the aggregates,
//! and subscriptions that follow the views.

mod asking;
mod commands;
mod errors;
pub mod front;
mod identity;
mod reading;
mod schema;
pub mod views;
mod words;

pub use schema::sdl;

use access::TokenVerifier;
use asking::Services;
use contracts::Service;
use eventstore::{Database, DatabaseOptions, Log};
use foundation::Foundation;
use front::{Front, Limits};
use identity::{Gatekeeper, Identity};
use kernel::Position;
use reading::{Library, cursor::Cursors};
use runtime::settings::Environment;
use runtime::{Lifecycle, Settings, http};
use secrecy::ExposeSecret;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use views::Views;
use web::CommandClient;

/// For a command and its answer; the client has a deadline of its own below it.
const COMMAND_DEADLINE: Duration = Duration::from_secs(12);

/// For the identity provider's keys: a caller waits for them.
const KEYS_DEADLINE: Duration = Duration::from_secs(5);

/// GraphQL is parsed and carried out on the threads that answer.
const WORKERS: usize = 2;

/// Starts the service; answers with its address once it listens.
pub async fn run(settings: &Settings, lifecycle: &Lifecycle) -> anyhow::Result<SocketAddr> {
    let foundation = Foundation::lay(Service::Gateway, settings, lifecycle).await?;
    let reached = follow_log(&foundation);
    let services = Arc::new(services(settings, &foundation, reached).await?);

    let limits = Limits::default();
    let front = Front::new(
        schema::guarded(&limits),
        front::Settings {
            authenticator: Box::new(Gatekeeper { services }),
            limits,
            development: settings.environment == Environment::Development,
            stop: lifecycle.stop.clone(),
        },
    );
    let server = foundation.server().workers(WORKERS).configure(move |routes| front.configure(routes));
    Ok(server.start(lifecycle)?)
}

/// Keeps the views; tells how far they are.
fn follow_log(foundation: &Foundation) -> watch::Receiver<Position> {
    let (reached, position) = watch::channel(Position(0));
    let (database, stop) = (foundation.database.clone(), foundation.lifecycle.stop.clone());
    foundation.background("views", async move {
        eventstore::follow(database, &Views, reached, stop).await;
    });
    position
}

async fn services(
    settings: &Settings,
    foundation: &Foundation,
    reached: watch::Receiver<Position>,
) -> anyhow::Result<Services> {
    let options =
        DatabaseOptions { max_connections: settings.database.max_connections, ..DatabaseOptions::default() };
    let database = Database::connect(&reading_url(settings.database.url.expose_secret()), options).await?;
    let secret = settings.internal.secret.expose_secret().as_bytes();
    let library = Library { database, reached, cursors: Cursors::new(secret) };
    let keys = http::external_client(KEYS_DEADLINE)?;
    let identity = Identity {
        verifier: TokenVerifier::new(&settings.identity, keys, foundation.clock.clone()),
        database: foundation.database.clone(),
        operators: settings.identity.operator_subjects.iter().cloned().collect(),
    };
    let commands = CommandClient::new(
        settings.services.clone(),
        foundation.internal.clone(),
        http::internal_client(COMMAND_DEADLINE)?,
        foundation.clock.clone(),
    );
    Ok(Services {
        library: Arc::new(library),
        identity: Arc::new(identity),
        database: foundation.database.clone(),
        log: Log::new(foundation.database.clone()),
        commands,
        clock: foundation.clock.clone(),
        ids: foundation.ids.clone(),
        lifecycle: foundation.lifecycle.clone(),
    })
}

/// The same database for reading only, with one state of it for all statements of a transaction. Nobody's question is
/// worth starting further processes or a compiler for: they take longer than most answers.
fn reading_url(url: &str) -> String {
    let separator = if url.contains('?') { '&' } else { '?' };
    let options = "options[default_transaction_isolation]=repeatable%20read&options[default_transaction_read_only]=on\
         &options[max_parallel_workers_per_gather]=0&options[jit]=off";
    format!("{url}{separator}{options}")
}
