//! The database server of a run: databases of our own, filled quickly, and fsync on or off.

use anyhow::{Context, Result, bail};
use sqlx::{AssertSqlSafe, Connection, PgConnection, postgres::PgConnectOptions};
use std::{str::FromStr, time::Duration};
use tokio::process::Command;

/// Limits of a session as the store sets them, so that the baselines pay for them as well.
const SESSION: &str = "set idle_in_transaction_session_timeout = '30s'; set lock_timeout = '5s'; \
                       set statement_timeout = '30s'";

/// What a stored event takes in all tables and indexes that it is filled into.
const BYTES_PER_EVENT: u64 = 1_700;

/// What the rest of a run takes: logs, copies of the small database, what is written during the measurement.
const ROOM: u64 = 3_000_000_000;

/// What survives a power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// Every commit, as in production.
    On,
    /// Nothing, as in tests: shows the cost of the processor instead of the disk's.
    Off,
}

impl Durability {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::On => "fsync on",
            Self::Off => "fsync off",
        }
    }

    fn value(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Off => "off",
        }
    }
}

/// A server that we may make databases on.
pub(crate) struct Server {
    options: PgConnectOptions,
    url: String,
    /// Of the names of our databases, so that two runs on one server do not meet.
    prefix: String,
    own: bool,
}

impl Server {
    /// The server at a superuser's URL; `own` if it is there for this run alone.
    pub(crate) fn new(url: &str, own: bool) -> Result<Self> {
        let options = PgConnectOptions::from_str(url).context("reading the database's URL")?;
        let prefix = format!("bench_{:08x}_", rand::random::<u32>());
        Ok(Self { options, url: url.to_owned(), prefix, own })
    }

    /// The server's version and the settings that matter.
    pub(crate) async fn describe(&self) -> Result<String> {
        let mut admin = self.admin().await?;
        let version: String = sqlx::query_scalar("show server_version").fetch_one(&mut admin).await?;
        let settings: Vec<String> = sqlx::query_scalar(
            "select name || '=' || current_setting(name)
               from unnest(array['shared_buffers', 'max_wal_size', 'checkpoint_timeout', 'wal_level', 'jit']) as t (name)",
        )
        .fetch_all(&mut admin)
        .await?;
        Ok(format!("{version}, {}", settings.join(", ")))
    }

    /// Turns fsync, synchronous commits and full page images on or off; answers whether the server obeyed.
    pub(crate) async fn set_durability(&self, durability: Durability) -> Result<bool> {
        let mut admin = self.admin().await?;
        for setting in ["fsync", "synchronous_commit", "full_page_writes"] {
            let statement = format!("alter system set {setting} = {}", durability.value());
            sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut admin).await?;
        }
        sqlx::raw_sql("select pg_reload_conf()").execute(&mut admin).await?;
        for _ in 0..50 {
            tokio::time::sleep(Duration::from_millis(20)).await;
            if self.durability().await? == durability {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Refuses to fill the disk with `events`.
    pub(crate) async fn require_room(&self, events: u64) -> Result<()> {
        if !self.own {
            return Ok(());
        }
        let folder: String =
            sqlx::query_scalar("show data_directory").fetch_one(&mut self.admin().await?).await?;
        let output = Command::new("df")
            .args(["-B1", "--output=avail"])
            .arg(&folder)
            .output()
            .await
            .context("calling df")?;
        let text = String::from_utf8_lossy(&output.stdout);
        let free: u64 =
            text.lines().last().unwrap_or_default().trim().parse().context("reading df's answer")?;
        let needed = ROOM + events * BYTES_PER_EVENT;
        if free < needed {
            let gigabytes = |bytes: u64| bytes / 1_000_000_000;
            bail!(
                "{events} stored events take {} GB in {folder}, where {} GB are free: make room, or choose fewer with --stored",
                gigabytes(needed),
                gigabytes(free)
            );
        }
        Ok(())
    }

    /// How it is set now.
    pub(crate) async fn durability(&self) -> Result<Durability> {
        let mut admin = self.admin().await?;
        let fsync: String = sqlx::query_scalar("show fsync").fetch_one(&mut admin).await?;
        Ok(if fsync == "on" { Durability::On } else { Durability::Off })
    }

    /// Writes everything to the disk, so that no earlier work is paid for during a measurement.
    pub(crate) async fn settle(&self) -> Result<()> {
        if !self.own {
            return Ok(());
        }
        sqlx::raw_sql("checkpoint").execute(&mut self.admin().await?).await?;
        let status = Command::new("sync").status().await.context("calling sync")?;
        if !status.success() {
            bail!("sync ended with {status}");
        }
        Ok(())
    }

    async fn admin(&self) -> Result<PgConnection> {
        PgConnection::connect_with(&self.options).await.context("signing in to the database server")
    }

    /// A new, empty database with our schema.
    pub(crate) async fn create(&self, name: &str) -> Result<Place> {
        let place = self.place(name);
        let statement = format!("create database {}", place.name);
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut self.admin().await?).await?;
        ::eventstore::migrate(&place.owner_url()).await.context("migrating")?;
        Ok(place)
    }

    /// A copy of a database that nobody is connected to.
    pub(crate) async fn copy(&self, template: &Place, name: &str) -> Result<Place> {
        let place = self.place(name);
        // As files: through the log it takes several times as long.
        let statement =
            format!("create database {} template {} strategy file_copy", place.name, template.name);
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut self.admin().await?).await?;
        Ok(place)
    }

    pub(crate) async fn drop(&self, place: &Place) -> Result<()> {
        let statement = format!("drop database if exists {} with (force)", place.name);
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut self.admin().await?).await?;
        Ok(())
    }

    /// Drops everything that we have made, whatever became of the run.
    pub(crate) async fn clear(&self) -> Result<()> {
        let mut admin = self.admin().await?;
        let names: Vec<String> =
            sqlx::query_scalar("select datname::text from pg_database where starts_with(datname, $1)")
                .bind(&self.prefix)
                .fetch_all(&mut admin)
                .await?;
        for name in names {
            let statement = format!("drop database if exists {name} with (force)");
            sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut admin).await?;
        }
        Ok(())
    }

    fn place(&self, name: &str) -> Place {
        let name = format!("{}{name}", self.prefix);
        Place { options: self.options.clone().database(&name), name, server_url: self.url.clone() }
    }
}

/// One database.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    name: String,
    options: PgConnectOptions,
    server_url: String,
}

/// The role of the services.
const SERVICE: &str = "patchfleet_service";

impl Place {
    /// A superuser's URL of it.
    pub(crate) fn owner_url(&self) -> String {
        let (base, options) = self.server_url.split_once('?').unwrap_or((&self.server_url, ""));
        let (scheme, rest) = base.split_once("://").unwrap_or(("postgres", base));
        let server = rest.split_once('/').map_or(rest, |(server, _)| server);
        let options = if options.is_empty() { String::new() } else { format!("?{options}") };
        format!("{scheme}://{server}/{}{options}", self.name)
    }

    /// The URL by which a service signs in.
    pub(crate) fn service_url(&self) -> String {
        let owner = self.owner_url();
        let (scheme, rest) = owner.split_once("://").unwrap_or(("postgres", &owner));
        let server = rest.split_once('@').map_or(rest, |(_, server)| server);
        format!("{scheme}://{SERVICE}@{server}")
    }

    /// The store's way in, with as many connections as writers.
    pub(crate) async fn database(&self, connections: u32) -> Result<::eventstore::Database> {
        let options = ::eventstore::DatabaseOptions {
            max_connections: connections,
            ..::eventstore::DatabaseOptions::default()
        };
        ::eventstore::Database::connect(&self.service_url(), options).await.context("signing in as a service")
    }

    /// A connection of its own as the superuser, whom no policy holds up.
    pub(crate) async fn owner(&self) -> Result<PgConnection> {
        let mut connection =
            PgConnection::connect_with(&self.options).await.context("signing in as the owner")?;
        sqlx::raw_sql(SESSION).execute(&mut connection).await?;
        Ok(connection)
    }

    /// A connection of its own as a service.
    pub(crate) async fn service(&self) -> Result<PgConnection> {
        let options = PgConnectOptions::from_str(&self.service_url())?;
        let mut connection = PgConnection::connect_with(&options).await.context("signing in as a service")?;
        sqlx::raw_sql(SESSION).execute(&mut connection).await?;
        Ok(connection)
    }

    /// Runs statements that may take as long as they need.
    pub(crate) async fn run(&self, statements: &str) -> Result<()> {
        let mut owner = PgConnection::connect_with(&self.options).await.context("signing in as the owner")?;
        sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(&mut owner).await?;
        Ok(owner.close().await?)
    }
}
