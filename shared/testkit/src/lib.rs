//! A private, migrated database for each test, and causes to act with.
//!
//! `cargo xtask test` gives `PATCHFLEET_TEST_DATABASE_URL` (a superuser's URL) and `PATCHFLEET_TEST_AMQP_URL`.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "test support fails by panicking, reads its server's address from the environment, and makes random ids"
)]

use eventstore::{Database, DatabaseOptions, Keyring};
use kernel::{Actor, Cause, CommandId, CorrelationId};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use uuid::Uuid;

/// A database of the test's own. Dropped at the end, kept (with its name printed) when the test fails.
#[derive(Debug)]
pub struct TestDatabase {
    admin_url: String,
    name: String,
}

/// What wraps the keys of persons in a test: the same as in a service with the settings of a desk.
const KEY: &str = "cGF0Y2hmbGVldCBkZXZlbG9wbWVudCBrZXkgb25seS4=";

/// The advisory lock under which the first test makes the template.
const TEMPLATE_LOCK: i64 = 0x7066_7465_7374;

/// The template's name: another set of migrations has another template.
fn template() -> String {
    format!("patchfleet_template_{}", eventstore::schema_fingerprint())
}

impl TestDatabase {
    /// Clones the migrated template, making the template first if this is the first test of the run.
    pub async fn create() -> Self {
        let admin_url = std::env::var("PATCHFLEET_TEST_DATABASE_URL")
            .expect("PATCHFLEET_TEST_DATABASE_URL is not set: run the tests with `cargo xtask test`");
        let mut admin = PgConnection::connect(&admin_url)
            .await
            .expect("the test database server is not reachable: run `cargo xtask test`");
        make_template(&mut admin, &admin_url).await;
        let name = format!("test_{}", Uuid::new_v4().simple());
        sqlx::raw_sql(AssertSqlSafe(format!("create database {name} template {}", template())))
            .execute(&mut admin)
            .await
            .unwrap();
        Self { admin_url, name }
    }

    /// The URL by which a service signs in: without any right to go round row-level security.
    pub fn service_url(&self) -> String {
        with_user(&with_database(&self.admin_url, &self.name), "patchfleet_service")
    }

    /// The URL of the owner: for looking at everything.
    pub fn owner_url(&self) -> String {
        with_database(&self.admin_url, &self.name)
    }

    /// Signs in as a service.
    pub async fn connect(&self) -> Database {
        let keyring = Keyring::new(KEY, []).expect("it is the base64 of 32 bytes");
        let options = DatabaseOptions { keyring: Some(keyring), ..DatabaseOptions::default() };
        Database::connect(&self.service_url(), options).await.expect("signing in as a service")
    }

    /// Signs in as the owner.
    pub async fn owner(&self) -> PgConnection {
        PgConnection::connect(&self.owner_url()).await.unwrap()
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("kept the failed test's database: {}", self.name);
            return;
        }
        let (url, name) = (self.admin_url.clone(), self.name.clone());
        // A runtime cannot be blocked from inside; another thread brings its own.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut admin = PgConnection::connect(&url).await.unwrap();
                let statement = format!("drop database if exists {name} with (force)");
                let _ = sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut admin).await;
            });
        });
        let _ = dropping.join();
    }
}

async fn make_template(admin: &mut PgConnection, admin_url: &str) {
    sqlx::query("select pg_advisory_lock($1)").bind(TEMPLATE_LOCK).execute(&mut *admin).await.unwrap();
    let known: Option<String> =
        sqlx::query_scalar("select datname::text from pg_database where datname = $1")
            .bind(template())
            .fetch_optional(&mut *admin)
            .await
            .unwrap();
    if known.is_none() {
        sqlx::raw_sql(AssertSqlSafe(format!("create database {}", template())))
            .execute(&mut *admin)
            .await
            .unwrap();
    }
    // Migrating an up-to-date template does nothing and takes milliseconds.
    eventstore::migrate(&with_database(admin_url, &template()))
        .await
        .expect("migrating the template database");
    sqlx::query("select pg_advisory_unlock($1)").bind(TEMPLATE_LOCK).execute(&mut *admin).await.unwrap();
}

/// `postgres://user@server:port/database?options` with another database.
fn with_database(url: &str, database: &str) -> String {
    let (base, options) = url.split_once('?').map_or((url, ""), |(base, options)| (base, options));
    let server_end =
        base.rfind('/').filter(|&at| at > base.find("://").map_or(0, |at| at + 2)).unwrap_or(base.len());
    let options = if options.is_empty() { String::new() } else { format!("?{options}") };
    format!("{}/{database}{options}", &base[..server_end])
}

/// `postgres://anyone:secret@server…` as another user without a password.
fn with_user(url: &str, user: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap();
    let server = rest.split_once('@').map_or(rest, |(_, server)| server);
    format!("{scheme}://{user}@{server}")
}

/// A virtual host of the test's own on the real broker, removed at the end.
#[derive(Debug)]
pub struct TestBroker {
    admin_url: String,
    amqp_url: String,
    name: String,
}

impl TestBroker {
    /// Makes the virtual host.
    pub async fn create() -> Self {
        let hint = "is not set: run the tests with `cargo xtask test`";
        let admin_url = std::env::var("PATCHFLEET_TEST_AMQP_ADMIN_URL")
            .unwrap_or_else(|_| panic!("PATCHFLEET_TEST_AMQP_ADMIN_URL {hint}"));
        let amqp_url = std::env::var("PATCHFLEET_TEST_AMQP_URL")
            .unwrap_or_else(|_| panic!("PATCHFLEET_TEST_AMQP_URL {hint}"));
        let broker = Self { admin_url, amqp_url, name: format!("test-{}", Uuid::new_v4().simple()) };
        broker.admin("PUT", &format!("/api/vhosts/{}", broker.name)).await;
        broker
    }

    /// Where services connect.
    pub fn url(&self) -> String {
        let server_end = self.amqp_url.rfind('/').unwrap();
        format!("{}/{}", &self.amqp_url[..server_end], self.name)
    }

    /// Cuts every connection of the virtual host, as a broker's restart would.
    pub async fn cut_connections(&self) {
        // The broker lists a connection some seconds after it was made.
        let mut connections = Vec::new();
        while connections.is_empty() {
            let list = self.admin("GET", &format!("/api/vhosts/{}/connections", self.name)).await;
            connections = serde_json::from_str::<Vec<serde_json::Value>>(&list).unwrap();
        }
        for connection in connections {
            let name = connection["name"]
                .as_str()
                .unwrap()
                .replace(' ', "%20")
                .replace('>', "%3E")
                .replace(':', "%3A");
            self.admin("DELETE", &format!("/api/connections/{name}")).await;
        }
    }

    /// Messages in a queue, and whether it exists.
    pub async fn queue_length(&self, queue: &str) -> Option<u64> {
        let answer = self.admin("GET", &format!("/api/queues/{}/{queue}", self.name)).await;
        let queue: serde_json::Value = serde_json::from_str(&answer).ok()?;
        queue["messages"].as_u64()
    }

    /// One request to the broker's management API; answers with the body.
    async fn admin(&self, method: &str, path: &str) -> String {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let rest = self.admin_url.split_once("://").unwrap().1.trim_end_matches('/');
        let (credentials, server) = rest.split_once('@').unwrap();
        let mut stream = tokio::net::TcpStream::connect(server).await.unwrap();
        let request = format!(
            "{method} {path} HTTP/1.0\r\nhost: {server}\r\nauthorization: Basic {}\r\ncontent-type: application/json\r\ncontent-length: 0\r\n\r\n",
            base64::Engine::encode(&base64::engine::general_purpose::STANDARD, credentials),
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()
    }
}

impl Drop for TestBroker {
    fn drop(&mut self) {
        let broker =
            Self { admin_url: self.admin_url.clone(), amqp_url: String::new(), name: self.name.clone() };
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(broker.admin("DELETE", &format!("/api/vhosts/{}", broker.name)));
            std::mem::forget(broker);
        });
        let _ = dropping.join();
    }
}

/// A new command of the test itself.
pub fn cause() -> Cause {
    Cause {
        command_id: CommandId(Uuid::new_v4()),
        correlation_id: CorrelationId(Uuid::new_v4()),
        causation_id: None,
        actor: Actor::system("test"),
        traceparent: None,
    }
}

/// A new random id of any kind.
pub fn id<T: From<Uuid>>() -> T {
    T::from(Uuid::new_v4())
}

/// Waits until `condition` holds; panics with `what` after a minute.
pub async fn eventually<F, Fut>(what: &str, mut condition: F)
where
    F: FnMut() -> Fut,
    Fut: Future<Output = bool>,
{
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_mins(1);
    while !condition().await {
        assert!(tokio::time::Instant::now() < deadline, "waited a minute in vain for: {what}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}
