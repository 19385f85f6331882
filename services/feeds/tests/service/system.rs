//! The running service with a database, an import folder and callers.

use access::{Caller, Grant, InternalAuth};
use contracts::feeds::{FeedFormat, FeedKind, ImportReport, RegisterFeed, SyncFeed};
use contracts::permissions::Role;
use contracts::{Accepted, Command, Service};
use kernel::{CommandId, FeedId, Scope};
use runtime::settings::Address;
use runtime::{Lifecycle, Settings, SystemClock};
use serde_json::Value;
use sqlx::{AssertSqlSafe, PgConnection};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use testkit::{TestBroker, TestDatabase, id};
use web::{CommandClient, CommandFailure};

const STOP_DEADLINE: Duration = Duration::from_secs(20);

/// An event as the store has it.
pub(crate) struct Event {
    pub(crate) kind: String,
    pub(crate) pos: i64,
    pub(crate) payload: Value,
}

pub(crate) struct System {
    database: TestDatabase,
    _broker: TestBroker,
    pub(crate) lifecycle: Lifecycle,
    client: CommandClient,
    folder: PathBuf,
    pub(crate) settings: Settings,
    others: Vec<Lifecycle>,
}

impl System {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// With these keys of the section `feeds`.
    pub(crate) async fn start_with(keys: &[(&str, &str)]) -> Self {
        let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
        let folder = std::env::temp_dir().join(format!("patchfleet-feeds-{}", id::<FeedId>()));
        std::fs::create_dir_all(folder.join("import")).unwrap();
        let import = folder.join("import").to_str().unwrap().to_owned();
        let impatient =
            [("FETCH_RETRY_SECONDS", "0"), ("PAGE_PAUSE_SECONDS", "0"), ("SCHEDULE_INTERVAL_SECONDS", "1")];
        let keys =
            impatient.into_iter().chain(keys.iter().copied()).chain([("IMPORT_FOLDER", import.as_str())]);
        let variables = keys.map(|(key, value)| (format!("PATCHFLEET__FEEDS__{key}"), value.to_owned()));
        let mut settings = Settings::from_variables(variables).unwrap();
        settings.database.url = database.service_url().into();
        settings.broker.url = broker.url().into();
        settings.services.set(Service::Feeds, Address::at("127.0.0.1:0".parse().unwrap()));
        let lifecycle = Lifecycle::new();
        let bound = feeds::run(&settings, &lifecycle).await.unwrap();
        let mut services = settings.services.clone();
        services.set(Service::Feeds, Address::at(bound));
        let http = runtime::http::internal_client(Duration::from_secs(30)).unwrap();
        let auth = InternalAuth::new(&settings.internal);
        let client = CommandClient::new(services, auth, http, Arc::new(SystemClock));
        Self { database, _broker: broker, lifecycle, client, folder, settings, others: Vec::new() }
    }

    /// Starts one more process of the service beside the others.
    pub(crate) async fn start_another(&mut self) {
        let lifecycle = Lifecycle::new();
        feeds::run(&self.settings, &lifecycle).await.unwrap();
        self.others.push(lifecycle);
    }

    pub(crate) async fn stop(self) {
        for lifecycle in self.others.iter().chain([&self.lifecycle]) {
            lifecycle.shutdown(STOP_DEADLINE).await.unwrap();
        }
        std::fs::remove_dir_all(&self.folder).unwrap();
    }

    /// Puts a document into the import folder; `../` reaches what is outside of it.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), content).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join("import").join(name)
    }

    pub(crate) async fn send<C: Command>(
        &self,
        caller: &Caller,
        command: C,
        command_id: CommandId,
    ) -> Result<Accepted<C::Answer>, CommandFailure> {
        self.client.send(caller, command, command_id, id()).await
    }

    pub(crate) async fn try_register(
        &self,
        format: FeedFormat,
        source: &str,
    ) -> Result<FeedId, CommandFailure> {
        let command = register(format, source);
        self.send(&operator(), command, id()).await.map(|accepted| accepted.answer)
    }

    pub(crate) async fn register(&self, format: FeedFormat, source: &str) -> FeedId {
        self.try_register(format, source).await.unwrap()
    }

    pub(crate) async fn try_sync(&self, feed_id: FeedId) -> Result<Accepted<ImportReport>, CommandFailure> {
        self.sync_as(id(), feed_id).await
    }

    pub(crate) async fn sync_as(
        &self,
        command_id: CommandId,
        feed_id: FeedId,
    ) -> Result<Accepted<ImportReport>, CommandFailure> {
        self.send(&operator(), SyncFeed { feed_id }, command_id).await
    }

    pub(crate) async fn sync(&self, feed_id: FeedId) -> Accepted<ImportReport> {
        self.try_sync(feed_id).await.unwrap()
    }

    /// The code with which a synchronisation is refused.
    pub(crate) async fn refusal(&self, feed_id: FeedId) -> String {
        let failure = self.try_sync(feed_id).await.unwrap_err();
        assert_eq!(failure.status, 422, "{failure}");
        failure.code
    }

    /// Registers the document as a feed and takes it in.
    pub(crate) async fn import(&self, format: FeedFormat, name: &str, content: &str) -> FeedId {
        self.write(name, content);
        let feed_id = self.register(format, name).await;
        self.sync(feed_id).await;
        feed_id
    }

    /// Every event, in the order of arrival.
    pub(crate) async fn events(&self) -> Vec<Event> {
        let mut owner = self.database.owner().await;
        let rows: Vec<(String, i64, Vec<u8>)> =
            sqlx::query_as("select event_type, pos, payload from es.event order by pos")
                .fetch_all(&mut owner)
                .await
                .unwrap();
        rows.into_iter()
            .map(|(kind, pos, payload)| Event {
                kind: kind.strip_prefix("feeds.").unwrap().to_owned(),
                pos,
                payload: serde_json::from_slice(&payload).unwrap(),
            })
            .collect()
    }

    /// The payloads of all events of a kind.
    pub(crate) async fn facts(&self, kind: &str) -> Vec<Value> {
        self.events()
            .await
            .into_iter()
            .filter(|event| event.kind == kind)
            .map(|event| event.payload)
            .collect()
    }

    /// `kind × how often`, in the order of first arrival.
    pub(crate) async fn story(&self) -> String {
        let mut counted: Vec<(String, usize)> = Vec::new();
        for event in self.events().await {
            match counted.iter_mut().find(|(kind, _)| *kind == event.kind) {
                Some((_, times)) => *times += 1,
                None => counted.push((event.kind, 1)),
            }
        }
        counted.iter().map(|(kind, times)| format!("{kind} × {times}")).collect::<Vec<_>>().join(", ")
    }

    /// One text column of a query, seen by the owner.
    pub(crate) async fn column(&self, query: &'static str) -> Vec<String> {
        let mut owner = self.database.owner().await;
        sqlx::query_scalar(query).fetch_all(&mut owner).await.unwrap()
    }

    /// The database, as a service signs in.
    pub(crate) async fn database(&self) -> eventstore::Database {
        self.database.connect().await
    }

    /// A connection of the owner's.
    pub(crate) async fn owner(&self) -> PgConnection {
        self.database.owner().await
    }

    /// Changes the database as its owner.
    pub(crate) async fn alter(&self, statements: impl Into<String>) {
        let mut owner = self.database.owner().await;
        sqlx::raw_sql(AssertSqlSafe(statements.into())).execute(&mut owner).await.unwrap();
    }
}

pub(crate) fn register(format: FeedFormat, source: &str) -> RegisterFeed {
    let (name, kind, source) = ("A vendor".into(), FeedKind::OsVendor, source.into());
    RegisterFeed { name, kind, format, source, schedule: None, publisher: None, keyring: None }
}

pub(crate) fn operator() -> Caller {
    Caller {
        user_id: id(),
        subject: "olga".into(),
        scope: Scope::Platform,
        grants: vec![Grant::everywhere(Role::PlatformOperator)],
    }
}

pub(crate) fn partner_admin() -> Caller {
    Caller {
        user_id: id(),
        subject: "paul".into(),
        scope: Scope::Partner { partner_id: id() },
        grants: vec![Grant::everywhere(Role::PartnerAdmin)],
    }
}
