//! Connections that always have a tenant scope.

use crate::{Keyring, StoreError};
use kernel::Scope;
use sqlx::{AssertSqlSafe, Connection, PgPool, Postgres, postgres::PgPoolOptions};
use std::time::Duration;

/// A transaction in one tenant scope.
pub type Tx = sqlx::Transaction<'static, Postgres>;

/// How to reach the database.
#[derive(Debug, Clone)]
pub struct DatabaseOptions {
    /// Connections at the most.
    pub max_connections: u32,
    /// How long to wait for the server at start, with a message a second.
    pub start_timeout: Duration,
    /// What wraps the keys of persons. Without it nothing personal can be recorded or read.
    pub keyring: Option<Keyring>,
}

impl Default for DatabaseOptions {
    fn default() -> Self {
        Self { max_connections: 8, start_timeout: Duration::from_mins(1), keyring: None }
    }
}

/// How long a request waits for a connection: longer than a restart of the server, shorter than a caller's patience.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(8);

/// How long an idle connection is taken to be alive without being asked: shorter than any server needs to restart.
const TRUSTED_FOR: Duration = Duration::from_secs(1);

/// Limits of every session. A forgotten transaction would hold the sequencer's fence for everyone; a peer that vanished
/// without a word would keep its locks (the sequencer's among them) for the two hours of TCP's default.
const SESSION: &str = "set idle_in_transaction_session_timeout = '30s';
                       set lock_timeout = '5s';
                       set statement_timeout = '30s';
                       set tcp_keepalives_idle = 10;
                       set tcp_keepalives_interval = 5;
                       set tcp_keepalives_count = 3;
                       set tcp_user_timeout = 15000";

/// The database, reached only through a scope.
#[derive(Debug, Clone)]
pub struct Database {
    pool: PgPool,
    keyring: Option<Keyring>,
}

impl Database {
    /// Signs in, waiting for a server that is not up yet, and refuses a role that could bypass row-level security.
    pub async fn connect(url: &str, options: DatabaseOptions) -> Result<Self, StoreError> {
        let pool = PgPoolOptions::new()
            .max_connections(options.max_connections)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            // Asking every connection for a sign of life would double the round trips of short statements.
            .test_before_acquire(false)
            .before_acquire(|connection, about| {
                Box::pin(async move {
                    if about.idle_for > TRUSTED_FOR {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .after_connect(|connection, _| {
                Box::pin(async move {
                    sqlx::raw_sql(SESSION).execute(connection).await?;
                    Ok(())
                })
            })
            .connect_lazy(url)?;
        let database = Self { pool, keyring: options.keyring };
        wait_until_up(url, options.start_timeout).await?;
        database.refuse_unsafe_role().await?;
        Ok(database)
    }

    /// Asks the server for a sign of life.
    pub async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("select 1").execute(&self.pool).await?;
        Ok(())
    }

    async fn refuse_unsafe_role(&self) -> Result<(), StoreError> {
        let (role, bypasses, inherits, owns): (String, bool, bool, bool) = sqlx::query_as(
            "select r.rolname::text,
                    r.rolsuper or r.rolbypassrls,
                    r.rolinherit,
                    exists (select from pg_class c where c.relowner = r.oid and c.relkind in ('r', 'p'))
               from pg_roles r
              where r.rolname = session_user",
        )
        .fetch_one(&self.pool)
        .await?;
        let why = if bypasses {
            "can bypass row-level security"
        } else if owns {
            "owns tables"
        } else if inherits {
            "inherits the scope roles, so that a forgotten scope would see everything"
        } else {
            return Ok(());
        };
        Err(StoreError::UnsafeRole { role, why })
    }

    /// Begins a transaction that sees and writes only what lies in `scope`. One round trip.
    pub async fn begin(&self, scope: &Scope) -> Result<Tx, StoreError> {
        let (pool, statement) = (self.pool.clone(), begin_statement(scope));
        // As a task of its own, which ends even when the caller is gone: a connection whose BEGIN was answered but not
        // noticed would go back to the pool inside a transaction, and swallow the next caller's commit.
        #[expect(clippy::disallowed_methods, reason = "the task's whole life is this one round trip")]
        let begun = tokio::spawn(async move { pool.begin_with(statement).await });
        match begun.await {
            Ok(begun) => Ok(begun?),
            Err(_panicked) => Err(StoreError::Database(sqlx::Error::WorkerCrashed)),
        }
    }

    /// The pool itself, for functions that set their scope in the database, and for the backbone.
    pub(crate) fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// What wraps the keys of persons.
    pub(crate) fn keyring(&self) -> Option<&Keyring> {
        self.keyring.as_ref()
    }

    /// Closes every connection.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// Tries a connection of its own: a pool would only say that it waited in vain, not why.
async fn wait_until_up(url: &str, timeout: Duration) -> Result<(), StoreError> {
    let deadline = tokio::time::Instant::now() + timeout;
    loop {
        let attempt = tokio::time::timeout(ACQUIRE_TIMEOUT, sqlx::PgConnection::connect(url)).await;
        let error = match attempt {
            // Ending it in good order is a courtesy; the server ends it anyway.
            Ok(Ok(connection)) => {
                let _ = connection.close().await;
                return Ok(());
            }
            Ok(Err(error)) => StoreError::Database(error),
            Err(_elapsed) => StoreError::Database(sqlx::Error::PoolTimedOut),
        };
        if !error.is_outage() || tokio::time::Instant::now() >= deadline {
            return Err(error);
        }
        tracing::warn!(error = %root_cause(&error), "waiting for the database");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

fn begin_statement(scope: &Scope) -> AssertSqlSafe<String> {
    let (role, partner, customer) = scope_parameters(scope);
    let text = |id: Option<uuid::Uuid>| id.map_or_else(|| "null".to_owned(), |id| format!("'{id}'"));
    // Only a fixed role name and typed ids go into the text.
    AssertSqlSafe(format!("begin; select es.set_scope('{role}', {}, {})", text(partner), text(customer)))
}

/// The scope in the terms of `es.set_scope`.
pub(crate) fn scope_parameters(scope: &Scope) -> (&'static str, Option<uuid::Uuid>, Option<uuid::Uuid>) {
    match scope {
        Scope::Platform => ("pf_platform", None, None),
        Scope::Partner { partner_id } => ("pf_partner", Some(partner_id.0), None),
        Scope::Customer { partner_id, customer_id } => {
            ("pf_customer", Some(partner_id.0), Some(customer_id.0))
        }
    }
}

/// A statement that calls the function of the scope's role. Each role has functions of its own: a plan that depends on
/// row-level security is thrown away when another role comes along on the same connection.
macro_rules! per_role {
    ($scope:expr, $before:literal, $after:literal) => {
        match $scope {
            kernel::Scope::Platform => concat!($before, "platform", $after),
            kernel::Scope::Partner { .. } => concat!($before, "partner", $after),
            kernel::Scope::Customer { .. } => concat!($before, "customer", $after),
        }
    };
}
pub(crate) use per_role;

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
