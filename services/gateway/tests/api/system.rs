//! A database, an issuer of tokens, a place for commands, and the running gateway.

use access::BuiltinIssuer;
use access::issuer::JWKS_PATH;
use actix_web::{App, HttpResponse, HttpServer, web};
use chrono::TimeDelta;
use contracts::Service;
use contracts::tenancy::RecordDeniedAccess;
use contracts::{Accepted, Written};
use eventstore::{Projection, Sequencer, Store, StoreError, Target, Tx};
use gateway::views::Views;
use kernel::{Aggregate, Envelope, EventData, MalformedEvent, Position, Refused, Scope, StreamId, Tenant};
use runtime::settings::Address;
use runtime::{Lifecycle, Settings, SystemClock, SystemIds};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use testkit::{TestBroker, TestDatabase, cause, eventually};
use web_commands::Commands;

use ::web as web_commands;

const STOP_DEADLINE: Duration = Duration::from_secs(20);

/// The platform operator of every test.
pub(crate) const OPERATOR: &str = "olga@patchfleet.example";

/// A fact of any service, as it stands in the store.
#[derive(Debug, Clone)]
pub(crate) struct Fact {
    event_type: &'static str,
    schema_version: i16,
    payload: Value,
}

impl Fact {
    pub(crate) fn of<E: EventData>(event: impl Into<E>) -> Self {
        let event = event.into();
        Self {
            event_type: event.event_type(),
            schema_version: event.schema_version(),
            payload: event.payload(),
        }
    }

    /// One that contradicts its type.
    pub(crate) fn broken(event_type: &'static str) -> Self {
        Self { event_type, schema_version: 1, payload: json!({ "name": 1 }) }
    }
}

impl EventData for Fact {
    fn event_type(&self) -> &'static str {
        self.event_type
    }
    fn schema_version(&self) -> i16 {
        self.schema_version
    }
    fn payload(&self) -> Value {
        self.payload.clone()
    }
    fn read(_: &str, schema_version: i16, payload: &Value) -> Result<Self, MalformedEvent> {
        Ok(Self { event_type: "any", schema_version, payload: payload.clone() })
    }
    fn owns(_: &str) -> bool {
        true
    }
}

/// Takes any fact: the rules are the services' business.
struct Anything;

#[derive(Debug, thiserror::Error)]
#[error("never")]
struct Never;

impl Refused for Never {
    fn code(&self) -> &'static str {
        "test.never"
    }
}

impl Aggregate for Anything {
    const STREAM: &'static str = "test.anything";
    type State = ();
    type Command = Vec<Fact>;
    type Event = Fact;
    type Refusal = Never;
    fn decide((): &(), facts: Vec<Fact>) -> Result<Vec<Fact>, Never> {
        Ok(facts)
    }
    fn evolve((): (), _: &Fact) {}
}

/// The views, taking in each event by itself.
pub(crate) struct OneByOne(Views);

#[async_trait::async_trait]
impl Projection for OneByOne {
    fn name(&self) -> &'static str {
        self.0.name()
    }
    fn schema(&self) -> &'static str {
        self.0.schema()
    }
    fn tables(&self) -> &'static [&'static str] {
        self.0.tables()
    }
    fn opened_types(&self) -> &'static [&'static str] {
        self.0.opened_types()
    }
    async fn apply(&self, tx: &mut Tx, event: &Envelope) -> Result<(), StoreError> {
        self.0.apply(tx, event).await
    }
}

/// What the place for commands was sent.
pub(crate) type Noted = Arc<Mutex<Vec<(access::Caller, RecordDeniedAccess)>>>;

pub(crate) struct System {
    pub(crate) database: TestDatabase,
    pub(crate) noted: Noted,
    _broker: TestBroker,
    store: Store,
    sequencer: Sequencer,
    recorded: AtomicI64,
    issuer: Arc<BuiltinIssuer>,
    audience: String,
    lifecycle: Lifecycle,
    pub(crate) address: SocketAddr,
    http: reqwest::Client,
}

impl System {
    pub(crate) async fn start() -> Self {
        let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
        let mut settings = Settings::from_variables([
            ("PATCHFLEET__DATABASE__URL", database.service_url()),
            ("PATCHFLEET__BROKER__URL", broker.url()),
            ("PATCHFLEET__SERVICES__GATEWAY__LISTEN", "127.0.0.1:0".to_owned()),
            ("PATCHFLEET__IDENTITY__OPERATOR_SUBJECTS", OPERATOR.to_owned()),
        ])
        .unwrap();
        let issuer =
            BuiltinIssuer::new(&settings.identity, Arc::new(SystemClock), Arc::new(SystemIds)).unwrap();
        let issuer = Arc::new(issuer);
        let noted = Noted::default();
        let beside = beside(&settings, &issuer, &noted);
        settings.identity.jwks_url = Some(format!("http://{beside}{JWKS_PATH}").parse().unwrap());
        settings.services.set(Service::Tenancy, Address::at(beside));
        // Nobody listens there: what is sent meets an outage.
        settings.services.set(Service::Approvals, Address::at(SocketAddr::from(([127, 0, 0, 1], 9))));
        let lifecycle = Lifecycle::new();
        let address = gateway::run(&settings, &lifecycle).await.unwrap();
        let connection = database.connect().await;
        Self {
            store: Store::new(connection.clone()),
            sequencer: Sequencer::new(connection),
            recorded: AtomicI64::new(0),
            database,
            noted,
            _broker: broker,
            issuer,
            audience: settings.identity.audience.clone(),
            lifecycle,
            address,
            http: runtime::http::internal_client(Duration::from_secs(30)).unwrap(),
        }
    }

    /// Stops, and insists that the views are what the log says, whatever the test made of them.
    pub(crate) async fn stop(self) {
        self.lifecycle.shutdown(STOP_DEADLINE).await.unwrap();
        self.hold_against_the_log().await;
    }

    /// Insists that the views are what each event by itself makes of them.
    pub(crate) async fn hold_against_the_log(&self) {
        let checked =
            eventstore::check(self.store.database(), &self.database.owner_url(), &OneByOne(Views), &|_| {})
                .await
                .unwrap();
        let different: Vec<_> = checked.tables.iter().filter(|table| table.differing > 0).collect();
        assert!(different.is_empty(), "{different:#?}");
    }

    /// Appends facts to a stream; they have no position until `sequence`.
    pub(crate) async fn record(&self, tenant: Tenant, stream: impl Into<uuid::Uuid>, facts: Vec<Fact>) {
        self.recorded.fetch_add(i64::try_from(facts.len()).unwrap(), Ordering::SeqCst);
        let cause = cause();
        let stream_id = StreamId(stream.into());
        let target = Target { scope: &Scope::Platform, tenant, stream_id, cause: &cause, occurred_at: None };
        self.store.execute::<Anything>(target, facts).await.unwrap();
    }

    /// Lets everything that has no position yet have happened some days ago.
    pub(crate) async fn backdate(&self, days: i32) {
        let mut owner = self.database.owner().await;
        // Stored events cannot be changed; a test may, before anybody has seen them.
        sqlx::raw_sql("set session_replication_role = replica").execute(&mut owner).await.unwrap();
        sqlx::query(
            "update es.event e
                set recorded_at = e.recorded_at - make_interval(days => $1)
              where not exists (select from es.order_log o where o.pos = e.pos)",
        )
        .bind(days)
        .execute(&mut owner)
        .await
        .unwrap();
    }

    /// Gives all facts their positions; answers with the last one.
    pub(crate) async fn sequence(&self) -> Position {
        let last = Position(self.recorded.load(Ordering::SeqCst));
        // Open transactions of other tests on the same server hold back positions as well.
        eventually("all facts to get a position", async || self.sequencer.once().await.unwrap() == last)
            .await;
        last
    }

    pub(crate) fn token(&self, subject: &str) -> String {
        self.issuer.mint(subject, &self.audience, TimeDelta::minutes(5)).unwrap()
    }

    /// A request in the name of `subject`.
    pub(crate) fn request(&self, subject: &str, query: &str, variables: &Value) -> reqwest::RequestBuilder {
        self.http
            .post(format!("http://{}/graphql", self.address))
            .bearer_auth(self.token(subject))
            .json(&json!({ "query": query, "variables": variables }))
    }

    /// The answer to an operation, which first waits until all facts have reached the views.
    pub(crate) async fn ask(&self, subject: &str, query: &str, variables: Value) -> Value {
        let position = self.sequence().await;
        let request = self.request(subject, query, &variables);
        let answer = request.header("x-wait-for-position", position.to_string()).send().await.unwrap();
        answer.json().await.unwrap()
    }

    /// The data of an answer that has no errors.
    pub(crate) async fn data(&self, subject: &str, query: &str, variables: Value) -> Value {
        let answer = self.ask(subject, query, variables).await;
        assert!(answer.get("errors").is_none(), "{query}: {answer}");
        answer["data"].clone()
    }
}

/// A server beside the gateway: the issuer's keys, and tenancy's end for denied attempts.
fn beside(settings: &Settings, issuer: &Arc<BuiltinIssuer>, noted: &Noted) -> SocketAddr {
    let commands = Commands::new(access::InternalAuth::new(&settings.internal), Arc::new(SystemClock));
    let (issuer, noted) = (issuer.clone(), noted.clone());
    let server = HttpServer::new(move || {
        let issuer = issuer.clone();
        let keys = move || {
            let issuer = issuer.clone();
            async move { HttpResponse::Ok().json(issuer.jwks()) }
        };
        App::new().route(JWKS_PATH, web::get().to(keys)).service(commands.route(
            &noted,
            |noted: Noted, context: web_commands::CommandContext, command: RecordDeniedAccess| async move {
                noted.lock().unwrap().push((context.caller, command));
                Ok(Accepted { answer: (), written: None::<Written>, repeated: false })
            },
        ))
    });
    let server = server.workers(1).disable_signals().bind(("127.0.0.1", 0)).unwrap();
    let address = server.addrs()[0];
    #[expect(clippy::disallowed_methods, reason = "it ends with the test")]
    tokio::spawn(server.run());
    address
}

/// The codes of an answer's errors.
pub(crate) fn codes(answer: &Value) -> Vec<&str> {
    let errors = answer["errors"].as_array().map_or(&[][..], Vec::as_slice);
    errors.iter().map(|error| error["extensions"]["code"].as_str().unwrap_or("none")).collect()
}
