//! The running service with a log, a broker, a folder for files, and callers.

use access::{Caller, Grant, InternalAuth};
use contracts::packages::commands::{
    CompletePackageUpload, RegisterPackage, ReviewPackage, StartPackageUpload, UploadTicket,
};
use contracts::packages::{AnnouncedFile, PackageDownload, PackageFacts, PackageType};
use contracts::permissions::Role;
use contracts::tenancy::{CustomerEvent, CustomerRegistered};
use contracts::{Accepted, Command, Service};
use eventstore::{Database, Sequencer, Store, Target};
use kernel::{Aggregate, CustomerId, EventData, PackageId, PartnerId, Refused, Scope, Tenant};
use messaging::{Broker, Relay};
use runtime::settings::Address;
use runtime::{Lifecycle, Settings, SystemClock};
use serde_json::Value;
use sqlx::{AssertSqlSafe, PgConnection};
use std::convert::Infallible;
use std::io::{Cursor, Write};
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use testkit::{TestBroker, TestDatabase, cause, eventually, id};
use web::{CommandClient, CommandFailure};

const STOP_DEADLINE: Duration = Duration::from_secs(20);

/// Facts of other services, appended as they are.
struct Facts<E>(PhantomData<E>);

#[derive(Debug, thiserror::Error)]
#[error("never")]
struct Never;

impl Refused for Never {
    fn code(&self) -> &'static str {
        "test.never"
    }
}

impl<E: EventData> Aggregate for Facts<E> {
    const STREAM: &'static str = "test.facts";
    type State = ();
    type Command = Vec<E>;
    type Event = E;
    type Refusal = Never;
    fn decide((): &(), facts: Vec<E>) -> Result<Vec<E>, Never> {
        Ok(facts)
    }
    fn evolve((): (), _: &E) {}
}

pub(crate) struct Depot {
    settings: Settings,
    /// Sequencer and relay, which outlive a restart of the service.
    backbone: Lifecycle,
    service: Lifecycle,
    address: SocketAddr,
    store: Store,
    pub(crate) http: reqwest::Client,
    database: TestDatabase,
    _broker: TestBroker,
    folder: tempfile::TempDir,
}

impl Depot {
    pub(crate) async fn open() -> Self {
        let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
        let folder = tempfile::tempdir().unwrap();
        let location = folder.path().join("stored").to_str().unwrap().to_owned();
        let variables = [("PATCHFLEET__FEEDS__PACKAGES_URL", location)];
        let mut settings = Settings::from_variables(variables).unwrap();
        settings.database.url = database.service_url().into();
        settings.broker.url = broker.url().into();
        settings.services.set(Service::Feeds, Address::at("127.0.0.1:0".parse().unwrap()));
        let (backbone, service) = (Lifecycle::new(), Lifecycle::new());
        let connected = database.connect().await;
        run_backbone(&backbone, &connected, &broker);
        let address = feeds::run(&settings, &service).await.unwrap();
        Self {
            settings,
            backbone,
            service,
            address,
            store: Store::new(connected),
            http: runtime::http::internal_client(Duration::from_secs(30)).unwrap(),
            database,
            _broker: broker,
            folder,
        }
    }

    /// The same with a new process.
    pub(crate) async fn restarted(self) -> Self {
        self.service.shutdown(STOP_DEADLINE).await.unwrap();
        let service = Lifecycle::new();
        let address = feeds::run(&self.settings, &service).await.unwrap();
        Self { service, address, ..self }
    }

    pub(crate) async fn close(self) {
        self.service.shutdown(STOP_DEADLINE).await.unwrap();
        self.backbone.shutdown(STOP_DEADLINE).await.unwrap();
    }

    pub(crate) async fn send<C: Command>(
        &self,
        caller: &Caller,
        command: C,
    ) -> Result<Accepted<C::Answer>, CommandFailure> {
        let mut services = self.settings.services.clone();
        services.set(Service::Feeds, Address::at(self.address));
        let auth = InternalAuth::new(&self.settings.internal);
        let client = CommandClient::new(services, auth, self.http.clone(), Arc::new(SystemClock));
        client.send(caller, command, id(), id()).await
    }

    /// The code with which a command is refused.
    pub(crate) async fn refusal<C: Command>(&self, caller: &Caller, command: C) -> String
    where
        C::Answer: std::fmt::Debug,
    {
        self.send(caller, command).await.unwrap_err().code
    }

    pub(crate) async fn register(&self, package: PackageFacts) -> PackageId {
        self.send(&operator(), RegisterPackage { package }).await.unwrap().answer
    }

    pub(crate) async fn start_upload(
        &self,
        caller: &Caller,
        package_id: PackageId,
        files: &[(&str, &[u8])],
    ) -> UploadTicket {
        let announced = |(name, bytes): &(&str, &[u8])| AnnouncedFile {
            name: (*name).to_owned(),
            size_bytes: bytes.len() as u64,
            sha256: None,
        };
        let files = files.iter().map(announced).collect();
        self.send(caller, StartPackageUpload { package_id, files }).await.unwrap().answer
    }

    /// Sends files as a whole.
    pub(crate) async fn upload(&self, caller: &Caller, package_id: PackageId, files: &[(&str, &[u8])]) {
        let ticket = self.start_upload(caller, package_id, files).await;
        for (address, (name, bytes)) in ticket.files.iter().zip(files) {
            assert_eq!(address.name, *name, "files are listed by name");
            let (status, answer) = self.put(&address.url, 0, bytes).await;
            assert_eq!(status, 200, "{answer}");
        }
    }

    /// Sends files, looks at them and confirms.
    pub(crate) async fn import(&self, caller: &Caller, package_id: PackageId, files: &[(&str, &[u8])]) {
        self.upload(caller, package_id, files).await;
        let review = self.send(caller, ReviewPackage { package_id }).await.unwrap().answer;
        let manifest_sha256 = review.contents.manifest_sha256;
        self.send(caller, CompletePackageUpload { package_id, manifest_sha256 }).await.unwrap();
    }

    /// A good package that is ready.
    pub(crate) async fn ready(&self, version: &str) -> PackageId {
        let package_id = self.register(update(version)).await;
        let (metadata, payload) = (metadata("Contoso", version, None), payload(1_000));
        let files: [(&str, &[u8]); 2] = [("Metadata.xml", metadata.as_bytes()), ("Update.zip", &payload)];
        self.import(&operator(), package_id, &files).await;
        self.reaches(package_id, "READY").await;
        package_id
    }

    /// The address as it leads to this service: its settings say port 0.
    pub(crate) fn url(&self, url: &str) -> reqwest::Url {
        let mut url: reqwest::Url = url.parse().unwrap();
        url.set_port(Some(self.address.port())).unwrap();
        url
    }

    pub(crate) async fn put(&self, url: &str, offset: usize, bytes: &[u8]) -> (u16, Value) {
        let mut url = self.url(url);
        url.query_pairs_mut().append_pair("offset", &offset.to_string());
        let answer = self.http.put(url).body(bytes.to_vec()).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// Waits until a package is in this state.
    pub(crate) async fn reaches(&self, package_id: PackageId, state: &str) {
        eventually(&format!("the package is {state}"), || async { self.state(package_id).await == state })
            .await;
    }

    pub(crate) async fn state(&self, package_id: PackageId) -> String {
        sqlx::query_scalar("select state from feeds.package where package_id = $1")
            .bind(package_id.0)
            .fetch_one(&mut self.owner().await)
            .await
            .unwrap()
    }

    /// The payloads of all events of a kind.
    pub(crate) async fn facts(&self, kind: &str) -> Vec<Value> {
        let rows: Vec<Vec<u8>> =
            sqlx::query_scalar("select payload from es.event where event_type = $1 order by pos")
                .bind(format!("feeds.{kind}"))
                .fetch_all(&mut self.owner().await)
                .await
                .unwrap();
        rows.iter().map(|payload| serde_json::from_slice(payload).unwrap()).collect()
    }

    /// Files of a package in the storage.
    pub(crate) fn objects(&self, package_id: PackageId) -> Vec<PathBuf> {
        let prefix = self.folder.path().join("stored/packages").join(package_id.to_string());
        let mut found = Vec::new();
        collect(&prefix, &mut found);
        found
    }

    pub(crate) async fn owner(&self) -> PgConnection {
        self.database.owner().await
    }

    /// Changes the database as its owner.
    pub(crate) async fn alter(&self, statements: impl Into<String>) {
        sqlx::raw_sql(AssertSqlSafe(statements.into())).execute(&mut self.owner().await).await.unwrap();
    }

    /// Appends what another service would.
    pub(crate) async fn append<E: EventData>(&self, tenant: Tenant, facts: Vec<E>) {
        let (scope, cause) = (Scope::partner_of(tenant), cause());
        let target = Target { scope: &scope, tenant, stream_id: id(), cause: &cause, occurred_at: None };
        self.store.execute::<Facts<E>>(target, facts).await.unwrap();
    }

    /// A customer of the partner that the service has heard of, with an administrator.
    pub(crate) async fn customer(&self, partner_id: PartnerId) -> (CustomerId, Caller) {
        let customer_id: CustomerId = id();
        let (name, time_zone) = ("Baker Ltd".to_owned(), "Europe/Berlin".to_owned());
        let registered = CustomerRegistered { customer_id, partner_id, name, time_zone };
        let tenant = Tenant::customer(partner_id, customer_id);
        self.append(tenant, vec![CustomerEvent::from(registered)]).await;
        eventually("the customer is known", || async {
            let known: bool =
                sqlx::query_scalar("select exists (select from feeds.site where customer_id = $1)")
                    .bind(customer_id.0)
                    .fetch_one(&mut self.owner().await)
                    .await
                    .unwrap();
            known
        })
        .await;
        let scope = Scope::Customer { partner_id, customer_id };
        (customer_id, caller(scope, Grant::at(Role::CustomerAdmin, customer_id)))
    }
}

fn run_backbone(lifecycle: &Lifecycle, database: &Database, broker: &TestBroker) {
    let (sequencer, stop) = (Sequencer::new(database.clone()), lifecycle.stop.clone());
    lifecycle.spawn("sequencer", async move {
        sequencer.run(stop).await;
        Ok::<_, Infallible>(())
    });
    let relay = Relay::new(database.clone(), Broker::new(broker.url(), "test"));
    let stop = lifecycle.stop.clone();
    lifecycle.spawn("relay", async move {
        relay.run(stop).await;
        Ok::<_, Infallible>(())
    });
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() { collect(&path, found) } else { found.push(path) }
    }
}

fn caller(scope: Scope, grant: Grant) -> Caller {
    Caller { user_id: id(), subject: "someone".into(), scope, grants: vec![grant] }
}

pub(crate) fn operator() -> Caller {
    caller(Scope::Platform, Grant::everywhere(Role::PlatformOperator))
}

pub(crate) fn partner_admin(partner_id: PartnerId) -> Caller {
    caller(Scope::Partner { partner_id }, Grant::everywhere(Role::PartnerAdmin))
}

pub(crate) fn update(version: &str) -> PackageFacts {
    PackageFacts {
        package_type: PackageType::Software,
        vendor: "Contoso".into(),
        product: "Contoso Stack".into(),
        name: format!("Contoso Stack {version}"),
        version: version.into(),
        patch_id: None,
        kb_id: None,
        downloads: Vec::new(),
        release_notes_url: Some("https://updates.contoso.example/notes".into()),
        base_version: None,
        prerequisites: Vec::new(),
        managed_in_band: true,
        vendor_contact_url: None,
    }
}

pub(crate) fn oem(version: &str) -> PackageFacts {
    PackageFacts {
        package_type: PackageType::Oem,
        vendor: "Fabrikam".into(),
        product: "Fabrikam X1".into(),
        name: format!("Fabrikam firmware {version}"),
        vendor_contact_url: Some("https://support.fabrikam.example".into()),
        ..update(version)
    }
}

pub(crate) fn download(name: &str, url: String) -> PackageDownload {
    PackageDownload { name: name.into(), url, sha256: None }
}

/// A package's `Metadata.xml`.
pub(crate) fn metadata(publisher: &str, version: &str, needs: Option<&str>) -> String {
    let needs = needs
        .map(|version| format!("<MinVersionRequired>{version}</MinVersionRequired>"))
        .unwrap_or_default();
    format!(
        "<UpdatePackageManifest><UpdateInfo><UpdateName>The update {version}</UpdateName>\
         <Publisher>{publisher}</Publisher><Version>{version}</Version>{needs}\
         <PackageSizeInMb>1</PackageSizeInMb></UpdateInfo></UpdatePackageManifest>"
    )
}

/// A zip file with two entries of which one has so many bytes.
pub(crate) fn payload(bytes: usize) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, length) in [("services/update.nupkg", bytes), ("os/update.cab", 10)] {
        archive.start_file(name, stored).unwrap();
        let content: Vec<u8> = (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect();
        archive.write_all(&content).unwrap();
    }
    archive.finish().unwrap().into_inner()
}
