//! What every service stands on: a scoped store, the broker, the clock, trust between services, and one server.

use access::InternalAuth;
use contracts::{Accepted, Service, Written};
use eventstore::{
    Committed, Database, DatabaseOptions, ExecuteError, Keyring, PrivacyError, Store, StoreError,
};
use kernel::{PartnerId, Refused};
use messaging::{Broker, BrokerError, Consumer};
use runtime::{Clock, Ids, Lifecycle, Settings, SystemClock, SystemIds};
use secrecy::ExposeSecret;
use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use web::{ApiError, Commands, Server};

/// The dependencies of one service, in working order.
#[derive(Clone)]
pub struct Foundation {
    /// Which service stands on it.
    pub service: Service,
    /// The database, reached only through a scope.
    pub database: Database,
    /// The event store in it.
    pub store: Store,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// New ids.
    pub ids: Arc<dyn Ids>,
    /// The broker.
    pub broker: Broker,
    /// Trust between services.
    pub internal: InternalAuth,
    /// Tasks and the stop signal.
    pub lifecycle: Lifecycle,
    listen: SocketAddr,
    consumers: Arc<Mutex<Vec<Listener>>>,
}

/// A consumer of this service and what it listens to.
type Listener = (&'static str, &'static [&'static str]);

/// How long a command waits for its service to hear of what others recorded before; usually a few milliseconds.
const HEARING_PATIENCE: Duration = Duration::from_secs(5);

/// How long a service waits at its start for a server that is not up yet.
const START_PATIENCE: Duration = Duration::from_mins(1);

/// Why a service cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The keys of persons cannot be used.
    #[error("the section privacy cannot be used")]
    Privacy(#[from] PrivacyError),
    /// The database is not there, or does not let us in as it should.
    #[error("the database (database.url) cannot be used")]
    Database(#[from] StoreError),
    /// The broker is not there, or does not let us in.
    #[error("the broker (broker.url) cannot be used")]
    Broker(#[from] BrokerError),
}

impl Foundation {
    /// Signs in to database and broker, waiting for either that is not up yet, and prepares the rest.
    pub async fn lay(
        service: Service,
        settings: &Settings,
        lifecycle: &Lifecycle,
    ) -> Result<Self, StartError> {
        let database =
            Database::connect(settings.database.url.expose_secret(), database_options(settings)?).await?;
        let broker = Broker::new(settings.broker.url.expose_secret(), format!("patchfleet {service}"));
        broker.wait_until_up(START_PATIENCE).await?;
        Ok(Self {
            service,
            store: Store::new(database.clone()),
            database,
            clock: Arc::new(SystemClock),
            ids: Arc::new(SystemIds),
            broker,
            internal: InternalAuth::new(&settings.internal),
            lifecycle: lifecycle.clone(),
            listen: settings.services.of(service).listen,
            consumers: Arc::default(),
        })
    }

    /// Runs a consumer until the process stops.
    pub fn consume(&self, consumer: impl Consumer) {
        if consumer.informs_commands() {
            let listener = (consumer.name(), consumer.interests());
            self.consumers.lock().unwrap_or_else(PoisonError::into_inner).push(listener);
        }
        let (database, broker, stop) =
            (self.database.clone(), self.broker.clone(), self.lifecycle.stop.clone());
        self.lifecycle.spawn(consumer.name(), async move {
            messaging::consume(database, broker, &consumer, stop).await;
            Ok::<_, Infallible>(())
        });
    }

    /// Waits until the service's consumers have heard of everything that its callers can have seen in a view.
    async fn hear(&self, partner: Option<PartnerId>) -> Result<(), ApiError> {
        let consumers = self.consumers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for (consumer, interests) in consumers {
            match messaging::has_heard_all(&self.database, consumer, interests, partner, HEARING_PATIENCE)
                .await
            {
                Ok(true) => {}
                Ok(false) => {
                    return Err(ApiError::unavailable(
                        "store.behind",
                        format!("{consumer} is behind the log"),
                    ));
                }
                Err(error) => return Err(store_failed(error)),
            }
        }
        Ok(())
    }

    /// Runs `work` until the process stops; the work watches `lifecycle.stop` itself.
    pub fn background(&self, name: &str, work: impl Future<Output = ()> + Send + 'static) {
        self.lifecycle.spawn(format!("{} {name}", self.service), async move {
            work.await;
            Ok::<_, Infallible>(())
        });
    }

    /// The routes of the service's commands, which are decided with all that the callers can know.
    pub fn commands(&self) -> Commands {
        let foundation = self.clone();
        Commands::new(self.internal.clone(), self.clock.clone()).when(move |caller| {
            let (foundation, partner) = (foundation.clone(), caller.scope.partner_id());
            async move { foundation.hear(partner).await }
        })
    }

    /// The service's server, not ready without the database.
    pub fn server(&self) -> Server {
        let database = self.database.clone();
        Server::new(self.service, self.listen).ready_when("database", move || {
            let database = database.clone();
            async move { database.ping().await.map_err(|error| error.to_string()) }
        })
    }
}

/// How a service reaches the database, and what wraps the keys of persons in it.
pub fn database_options(settings: &Settings) -> Result<DatabaseOptions, PrivacyError> {
    let previous = settings.privacy.previous_keys.iter().map(ExposeSecret::expose_secret);
    let keyring = Keyring::new(settings.privacy.key.expose_secret(), previous)?;
    Ok(DatabaseOptions {
        max_connections: settings.database.max_connections,
        keyring: Some(keyring),
        ..DatabaseOptions::default()
    })
}

/// The answer to a command that was carried out.
pub fn accepted<A>(answer: A, committed: Committed) -> Accepted<A> {
    Accepted { answer, written: committed.pos.map(|pos| Written { pos }), repeated: committed.repeated }
}

/// What a client is told about a command that was not carried out.
pub fn failed<R: Refused>(error: ExecuteError<R>) -> ApiError {
    match error {
        ExecuteError::Refused(refusal) => ApiError::refused(&refusal),
        ExecuteError::Store(error) => store_failed(error),
    }
}

/// What a client is told when the store did not do its part.
pub fn store_failed(error: StoreError) -> ApiError {
    match error {
        StoreError::Foreign { .. } => {
            ApiError::not_found("store.not_found", "there is no such object").because(error)
        }
        error if error.is_busy() => ApiError::unavailable("store.busy", error),
        error if error.is_outage() => ApiError::unavailable("store.unavailable", error),
        StoreError::Conflict { .. }
        | StoreError::Corrupt { .. }
        | StoreError::Archived { .. }
        | StoreError::UnsafeRole { .. }
        | StoreError::Privacy(_)
        | StoreError::Database(_) => ApiError::internal(error),
    }
}
