//! One person is invited, seen, written about and forgotten, with every part that keeps or shows anything running.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its support as well")]

use access::issuer::{JWKS_PATH, TOKEN_PATH};
use contracts::Service;
use eventstore::{Log, Privacy, RebuildOptions, Sequencer};
use gateway::views::Views;
use kernel::{Position, Scope, canonical_json};
use lapin::options::{
    BasicAckOptions, BasicGetOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{Channel, ConnectionProperties, ExchangeKind};
use messaging::{Broker, Relay};
use runtime::settings::Address;
use runtime::{Lifecycle, Settings};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sqlx::AssertSqlSafe;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;
use testkit::{TestBroker, TestDatabase, eventually};

const STOP_DEADLINE: Duration = Duration::from_secs(20);
const OPERATOR: &str = "operator";
const ADMIN: &str = "adam.admin@msp.example";
const SUBJECT: &str = "alexandra.geheim@acker.example";
const NAME: &str = "Alexandra Geheim";
const QUEUE: &str = "overheard";

/// The whole chain in one process.
struct System {
    database: TestDatabase,
    broker: TestBroker,
    lifecycle: Lifecycle,
    connection: eventstore::Database,
    overheard: Channel,
    http: reqwest::Client,
    tenancy: SocketAddr,
    gateway: SocketAddr,
}

impl System {
    async fn start() -> Self {
        let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
        let overheard = overhear(&broker).await;
        let listen = |service: Service| {
            (
                format!("PATCHFLEET__SERVICES__{}__LISTEN", service.name().to_uppercase()),
                "127.0.0.1:0".to_owned(),
            )
        };
        let given = [
            ("PATCHFLEET__DATABASE__URL", database.service_url()),
            ("PATCHFLEET__BROKER__URL", broker.url()),
            ("PATCHFLEET__IDENTITY__OPERATOR_SUBJECTS", OPERATOR.to_owned()),
            ("PATCHFLEET__ALERTS__WEBHOOK_ALLOWED_ADDRESSES", "127.0.0.0/8".to_owned()),
        ];
        let services = [Service::Tenancy, Service::Alerts, Service::Auditing, Service::Gateway].map(listen);
        let given = given.map(|(name, value)| (name.to_owned(), value));
        let mut settings = Settings::from_variables(given.into_iter().chain(services)).unwrap();

        let (lifecycle, connection) = (Lifecycle::new(), database.connect().await);
        let sequencer = Sequencer::new(connection.clone());
        let relay = Relay::new(connection.clone(), Broker::new(broker.url(), "test relay"));
        let (one, other) = (lifecycle.stop.clone(), lifecycle.stop.clone());
        lifecycle.tasks.spawn(async move { sequencer.run(one).await });
        lifecycle.tasks.spawn(async move { relay.run(other).await });
        let tenancy = tenancy::run(&settings, &lifecycle).await.unwrap();
        settings.identity.jwks_url = Some(format!("http://{tenancy}{JWKS_PATH}").parse().unwrap());
        settings.services.set(Service::Tenancy, Address::at(tenancy));
        let alerts = alerts::run(&settings, &lifecycle).await.unwrap();
        settings.services.set(Service::Alerts, Address::at(alerts));
        let auditing = auditing::run(&settings, &lifecycle).await.unwrap();
        settings.services.set(Service::Auditing, Address::at(auditing));
        let gateway = gateway::run(&settings, &lifecycle).await.unwrap();
        let http = runtime::http::internal_client(Duration::from_secs(30)).unwrap();
        Self { database, broker, lifecycle, connection, overheard, http, tenancy, gateway }
    }

    async fn stop(self) {
        self.lifecycle.shutdown(STOP_DEADLINE).await.unwrap();
        drop(self.broker);
    }

    async fn token(&self, subject: &str) -> String {
        let form = format!("grant_type=client_credentials&subject={}", subject.replace('@', "%40"));
        let request = self.http.post(format!("http://{}{TOKEN_PATH}", self.tenancy));
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(form);
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        answer["access_token"].as_str().unwrap().to_owned()
    }

    /// The whole answer to an operation that waits for `position`.
    async fn answer(&self, subject: &str, query: &str, variables: Value, position: i64) -> Value {
        let request = self.http.post(format!("http://{}/graphql", self.gateway));
        let request = request.bearer_auth(self.token(subject).await);
        let request = request.header("x-wait-for-position", position.to_string());
        request
            .json(&json!({ "query": query, "variables": variables }))
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap()
    }

    async fn ask(&self, subject: &str, query: &str, variables: Value, position: i64) -> Value {
        let answer = self.answer(subject, query, variables, position).await;
        assert!(answer.get("errors").is_none(), "{query}: {answer}");
        answer["data"].clone()
    }

    /// Carries out a mutation; answers with its payload and its position.
    async fn mutate(
        &self,
        subject: &str,
        name: &str,
        input: Value,
        fields: &str,
        after: i64,
    ) -> (Value, i64) {
        let upper = format!("{}{}", name[..1].to_uppercase(), &name[1..]);
        let query = format!(
            "mutation($input: {upper}Input!) {{ {name}(input: $input) {{ position repeated userErrors {{ code }} {fields} }} }}"
        );
        let payload = self.ask(subject, &query, json!({ "input": input }), after).await[name].clone();
        let position = payload["position"].as_i64().unwrap_or_else(|| panic!("{name}: {payload}"));
        (payload, position)
    }

    /// Every table of the database in which one of the texts stands, as a text or as bytes.
    async fn tables_with(&self, texts: &[&str]) -> BTreeSet<String> {
        let mut owner = self.database.owner().await;
        let tables: Vec<String> = sqlx::query_scalar(
            "select format('%I.%I', n.nspname, c.relname)
               from pg_class c
               join pg_namespace n on n.oid = c.relnamespace
              where c.relkind = 'r' and n.nspname not in ('pg_catalog', 'pg_toast', 'information_schema')",
        )
        .fetch_all(&mut owner)
        .await
        .unwrap();
        assert!(tables.len() > 40, "there is something to look at");
        let patterns: Vec<String> = texts
            .iter()
            .flat_map(|text| {
                let hex = text.bytes().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
                [format!("%{text}%"), format!("%{hex}%")]
            })
            .collect();
        let mut found = BTreeSet::new();
        for table in tables {
            let question = format!("select exists (select from {table} t where t::text ilike any($1))");
            let there: bool = sqlx::query_scalar(AssertSqlSafe(question))
                .bind(&patterns)
                .fetch_one(&mut owner)
                .await
                .unwrap();
            if there {
                found.insert(table);
            }
        }
        found
    }

    async fn count(&self, question: &'static str) -> i64 {
        sqlx::query_scalar(question).fetch_one(&mut self.database.owner().await).await.unwrap()
    }

    /// Waits until everything is published, recorded and fanned out.
    async fn settled(&self) {
        eventually("relay, trail and fan-out to have taken in everything", async || {
            self.count(
                "select (select count(*) from es.event)
                      - least((select seq from es.relay),
                              (select seq from es.follower where name = 'auditing.trail'),
                              (select count(*) from es.inbox where consumer = 'alerts.fan_out'))",
            )
            .await
                == 0
        })
        .await;
    }

    /// The bodies of all messages of tenancy so far.
    async fn messages(&self) -> Vec<String> {
        let mut bodies = Vec::new();
        while let Some(message) =
            self.overheard.basic_get(QUEUE.into(), BasicGetOptions::default()).await.unwrap()
        {
            message.ack(BasicAckOptions::default()).await.unwrap();
            bodies.push(String::from_utf8(message.delivery.data.clone()).unwrap());
        }
        bodies
    }

    /// The payloads of the audit records of this type, as the partner's admin reads them.
    async fn audited(&self, event_type: &str, position: i64) -> Vec<Value> {
        let query = "query($types: [String!]!) { auditTrail(filter: { eventTypes: $types }, first: 50) { nodes { payload } } }";
        let data = self.ask(ADMIN, query, json!({ "types": [event_type] }), position).await;
        let nodes = data["auditTrail"]["nodes"].as_array().unwrap();
        nodes.iter().map(|node| node["payload"].clone()).collect()
    }

    /// The events of the log with every personal text opened that can be.
    async fn opened(&self) -> String {
        let mut events = Log::new(self.connection.clone()).page(Position(0), 500).await.unwrap();
        let mut tx = self.connection.begin(&Scope::Platform).await.unwrap();
        let payloads = events.iter_mut().map(|event| &mut event.payload);
        Privacy::new(self.connection.clone()).open(&mut tx, payloads).await.unwrap();
        serde_json::to_string(&events).unwrap()
    }

    /// Every leaf is the hash of the event as the log holds it.
    async fn assert_proven(&self) {
        let events = Log::new(self.connection.clone()).page(Position(0), 500).await.unwrap();
        let records: Vec<(Vec<u8>, Vec<u8>)> =
            sqlx::query_as("select envelope, leaf from auditing.record order by seq")
                .fetch_all(&mut self.database.owner().await)
                .await
                .unwrap();
        assert_eq!(records.len(), events.len());
        for (event, (envelope, leaf)) in events.iter().zip(records) {
            assert_eq!(canonical_json(&serde_json::to_value(event).unwrap()), envelope);
            assert_eq!(Sha256::new().chain_update([0]).chain_update(&envelope).finalize()[..], leaf[..]);
        }
    }
}

/// Listens to everything that tenancy publishes.
async fn overhear(broker: &TestBroker) -> Channel {
    let connection =
        lapin::Connection::connect(&broker.url(), ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    let (exchange, none) = ("tenancy.events", FieldTable::default);
    channel.exchange_declare(exchange.into(), ExchangeKind::Topic, durable, none()).await.unwrap();
    let exclusive = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(QUEUE.into(), exclusive, none()).await.unwrap();
    channel
        .queue_bind(QUEUE.into(), exchange.into(), "#".into(), QueueBindOptions::default(), none())
        .await
        .unwrap();
    channel
}

#[tokio::test]
async fn a_forgotten_person_cannot_be_read_anywhere_and_every_proof_still_holds() {
    let system = System::start().await;
    let register = json!({ "idempotencyKey": "p", "name": "Nordlicht IT" });
    let (partner, _) = system.mutate(OPERATOR, "registerPartner", register, "partnerId", 0).await;
    let invite = |key: &str, subject: &str, name: &str, role: &str| json!({ "idempotencyKey": key, "partnerId": partner["partnerId"], "subject": subject, "displayName": name, "role": role });
    let admin = invite("a", ADMIN, "Adam Admin", "PARTNER_ADMIN");
    let (_, position) = system.mutate(OPERATOR, "inviteUser", admin, "userId", 0).await;
    let webhook = json!({ "idempotencyKey": "w", "url": "http://127.0.0.1:9/", "eventTypes": ["tenancy.*"] });
    system.mutate(ADMIN, "registerWebhook", webhook, "webhookId", position).await;
    eventually("the webhook to be active", async || {
        system.count("select count(*) from alerts.webhook where active_from is not null").await == 1
    })
    .await;

    // Clients put anything into keys.
    let wish = invite(&format!("invite {SUBJECT}"), SUBJECT, NAME, "PARTNER_VIEWER");
    let (alexandra, position) = system.mutate(ADMIN, "inviteUser", wish.clone(), "userId", position).await;
    let user_id = alexandra["userId"].clone();
    let who = "{ viewer { user { id subject displayName forgottenAt } } }";
    let seen = system.ask(SUBJECT, who, Value::Null, position).await["viewer"]["user"].clone();
    assert_eq!(seen, json!({ "id": user_id, "subject": SUBJECT, "displayName": NAME, "forgottenAt": null }));
    system.settled().await;
    assert_eq!(
        system.count("select count(*) from alerts.delivery where event_type = 'tenancy.UserInvited'").await,
        1
    );

    // In the clear only where people are looked up: not in the log, the trail, a delivery, an inbox or anywhere else.
    let texts = [SUBJECT, NAME];
    let clear = ["gateway.idempotency_key", "tenancy.subject", "views.app_user"].map(ToOwned::to_owned);
    assert_eq!(system.tables_with(&texts).await, BTreeSet::from(clear));
    let messages = system.messages().await;
    assert!(messages.iter().filter(|body| body.contains("tenancy.UserInvited")).count() == 2, "{messages:?}");
    assert!(!messages.iter().any(|body| texts.iter().any(|text| body.contains(text))), "{messages:?}");
    // Who may read the trail may read the name.
    let audited = system.audited("tenancy.UserInvited", position).await;
    assert_eq!(audited[0]["display_name"]["$personal"]["text"], NAME);
    assert!(system.opened().await.contains(NAME));

    let forget = |key: &str| json!({ "idempotencyKey": key, "userId": user_id });
    let (forgotten, position) = system.mutate(ADMIN, "forgetUser", forget("f"), "", position).await;
    assert_eq!((&forgotten["userErrors"], &forgotten["repeated"]), (&json!([]), &json!(false)));
    let (again, _) = system.mutate(ADMIN, "forgetUser", forget("f"), "", position).await;
    assert_eq!(again["repeated"], json!(true));
    let (again, _) = system.mutate(ADMIN, "forgetUser", forget("g"), "", position).await;
    assert_eq!(again["userErrors"], json!([]));

    let node = "query($id: ID!) { node(id: $id) { ... on User { subject displayName forgottenAt } } }";
    let shown = async || system.ask(ADMIN, node, json!({ "id": user_id }), position).await["node"].clone();
    let unreadable = async || {
        let node = shown().await;
        assert_eq!((&node["subject"], &node["displayName"]), (&Value::Null, &Value::Null));
        assert!(node["forgottenAt"].is_string(), "{node}");
        assert_eq!(system.tables_with(&texts).await, BTreeSet::new());
        let opened = system.opened().await;
        assert!(texts.iter().all(|text| !opened.contains(text)), "{opened}");
        assert!(opened.contains("Adam Admin"), "others are still known");
    };
    unreadable().await;
    let refused = system.answer(SUBJECT, who, Value::Null, position).await;
    assert!(refused.to_string().contains("access.unknown_user"), "{refused}");
    let granted = json!({ "idempotencyKey": "r", "userId": user_id, "role": "PARTNER_VIEWER" });
    let (granted, _) = system.mutate(ADMIN, "grantRole", granted, "", position).await;
    assert_eq!(granted["userErrors"][0]["code"], "tenancy.user_forgotten");
    let audited = system.audited("tenancy.UserInvited", position).await;
    assert_eq!(audited[0]["display_name"]["$personal"]["forgotten"], true);
    system.settled().await;
    system.assert_proven().await;

    // Not even views that are made anew from the first event know the name.
    let url = system.database.owner_url();
    let options = RebuildOptions::default();
    eventstore::rebuild(&system.connection, &url, &Views, options, &|_| {}).await.unwrap();
    unreadable().await;
    system.assert_proven().await;

    // The same invitation, sent again, is answered and brings nothing back.
    let (repeated, _) = system.mutate(ADMIN, "inviteUser", wish, "userId", position).await;
    assert_eq!((&repeated["userId"], &repeated["repeated"]), (&user_id, &json!(true)));
    assert!(!system.tables_with(&texts).await.contains("tenancy.subject"));
    // A new one makes a new person.
    let anew = invite("anew", SUBJECT, NAME, "PARTNER_VIEWER");
    let (anew, position) = system.mutate(ADMIN, "inviteUser", anew, "userId", position).await;
    assert_ne!(anew["userId"], user_id);
    let seen = system.ask(SUBJECT, who, Value::Null, position).await["viewer"]["user"].clone();
    assert_eq!((&seen["id"], &seen["displayName"]), (&anew["userId"], &json!(NAME)));
    system.stop().await;
}
