//! A PostgreSQL and a RabbitMQ for one run: given, installed, or unpacked, in this order.

pub(crate) mod control;
pub(crate) mod disturb;
mod packages;
pub(crate) mod place;
mod ports;
mod postgres;
mod rabbitmq;

use crate::{progress::Progress, stop};
use anyhow::{Context, Result, bail};
use control::{STATE_VARIABLE, Server, Started, State};
use packages::Packages;
use place::RunFolder;
pub(crate) use ports::free as free_ports;
use postgres::Postgres;
use rabbitmq::RabbitMq;
use std::{
    env, fs,
    io::Read,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

/// Names the database to use instead of a private one.
const DATABASE_VARIABLE: &str = "PATCHFLEET_DATABASE_URL";
/// Names the broker to use instead of a private one.
const AMQP_VARIABLE: &str = "PATCHFLEET_AMQP_URL";

/// A busy machine may need some time to let go of what a killed server held.
const RESTART_ATTEMPTS: u32 = 5;

/// Where servers may come from.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
#[group(skip)]
pub(crate) struct Options {
    /// Use unpacked Debian packages even where servers are installed
    #[arg(long, hide = true)]
    no_installed: bool,
    /// Ignore given URLs
    #[arg(long, hide = true)]
    no_given: bool,
    /// Let the database keep what it has acknowledged even through a power cut, as in production
    #[arg(long, hide = true)]
    durable: bool,
}

impl Options {
    /// Servers of our own, whatever is given, which may lose what they acknowledged.
    pub(crate) fn own_and_forgetful() -> Self {
        Self { no_given: true, ..Self::default() }
    }

    /// Servers of our own, whatever is given, which keep what they acknowledge.
    pub(crate) fn own_and_durable() -> Self {
        Self { no_given: true, durable: true, ..Self::default() }
    }
}

/// What a run may connect to. Ends with this value.
pub(crate) struct Infra {
    /// As a superuser.
    pub(crate) database_url: String,
    pub(crate) amqp_url: String,
    /// The management API of the broker; none for a given broker.
    pub(crate) amqp_admin_url: Option<String>,
    servers: Arc<Servers>,
    run: RunFolder,
}

impl Infra {
    /// Provides both servers, or says what to install.
    pub(crate) fn start(root: &Path, options: Options, progress: &Progress) -> Result<Self> {
        let given =
            |variable: &str| env::var(variable).ok().filter(|url| !url.is_empty() && !options.no_given);
        let (given_database, given_broker) = (given(DATABASE_VARIABLE), given(AMQP_VARIABLE));
        let base = place::base(root)?;
        let run = RunFolder::create(&base)?;
        let sources =
            Sources::find(&base, options, given_database.is_none(), given_broker.is_none(), progress)?;

        let [port, amqp, management, distribution, epmd] = ports::free()?;
        let (database, broker) = thread::scope(|scope| {
            let broker = sources.broker.map(|programs| {
                let step = progress.step("RabbitMQ");
                let run = &run;
                scope.spawn(move || {
                    let ports = rabbitmq::Ports { amqp, management, distribution, epmd };
                    match RabbitMq::create(programs, run, ports, &step) {
                        Ok(node) => {
                            step.done(&format!("on 127.0.0.1:{amqp}"));
                            Ok(node)
                        }
                        Err(error) => {
                            step.failed();
                            Err(error)
                        }
                    }
                })
            });
            let database = sources.database.map(|programs| {
                let step = progress.step("PostgreSQL");
                match Postgres::create(programs, &run, port, options.durable, &step) {
                    Ok(server) => {
                        step.done(&format!("on 127.0.0.1:{port}"));
                        Ok(server)
                    }
                    Err(error) => {
                        step.failed();
                        Err(error)
                    }
                }
            });
            let broker =
                broker.map(|started| started.join().unwrap_or_else(|_| bail!("starting RabbitMQ panicked")));
            (database.transpose(), broker.transpose())
        });
        let (database, broker) = (database?, broker?);

        let (listener, control) = control::bind()?;
        let database_url = given_database.or(database.as_ref().map(Postgres::url)).context("no database")?;
        let amqp_url = given_broker.or(broker.as_ref().map(RabbitMq::url)).context("no broker")?;
        let amqp_admin_url = broker.as_ref().map(RabbitMq::admin_url);
        let servers = Arc::new(Servers {
            folder: run.path().to_owned(),
            control,
            token: secret()?,
            database: Mutex::new(database),
            broker: Mutex::new(broker),
        });
        servers.write_state()?;
        control::serve(listener, servers.token.clone(), Arc::clone(&servers));
        Ok(Self { database_url, amqp_url, amqp_admin_url, servers, run })
    }

    /// Restarts PostgreSQL on its port with its data.
    pub(crate) fn restart_database(&self) -> Result<()> {
        self.servers.restart(Server::Database, false, Duration::ZERO)
    }

    /// Restarts RabbitMQ on its port with its data.
    pub(crate) fn restart_broker(&self) -> Result<()> {
        self.servers.restart(Server::Broker, false, Duration::ZERO)
    }

    /// The folder of this run, for anything that should end with it.
    pub(crate) fn folder(&self) -> &Path {
        self.run.path()
    }

    /// What tests find the servers by.
    pub(crate) fn test_variables(&self) -> Vec<(&'static str, String)> {
        let mut variables = vec![
            ("PATCHFLEET_TEST_DATABASE_URL", self.database_url.clone()),
            ("PATCHFLEET_TEST_AMQP_URL", self.amqp_url.clone()),
            (STATE_VARIABLE, self.servers.state_file().display().to_string()),
        ];
        if let Some(url) = &self.amqp_admin_url {
            variables.push(("PATCHFLEET_TEST_AMQP_ADMIN_URL", url.clone()));
        }
        // For tests that need a second cluster. A given database may be of a version that we have no programs of.
        if let Some(database) = lock(&self.servers.database).as_ref() {
            variables.extend(database.program_variables());
        }
        variables
    }

    /// Fails when a server has ended by itself.
    pub(crate) fn check_alive(&self) -> Result<()> {
        self.servers.check_alive()
    }
}

impl Drop for Infra {
    fn drop(&mut self) {
        // The control thread holds the servers as well, so they do not end by being dropped.
        self.servers.end();
    }
}

/// Where each server's programs come from; none where a URL was given.
struct Sources {
    database: Option<postgres::Programs>,
    broker: Option<rabbitmq::Programs>,
}

impl Sources {
    fn find(
        base: &Path,
        options: Options,
        database: bool,
        broker: bool,
        progress: &Progress,
    ) -> Result<Self> {
        let use_installed = !options.no_installed;
        let mut found = Self {
            database: (database && use_installed).then(postgres::Programs::installed).flatten(),
            broker: (broker && use_installed).then(rabbitmq::Programs::installed).flatten(),
        };
        let fetch_database = database && found.database.is_none();
        let fetch_broker = broker && found.broker.is_none();
        if !fetch_database && !fetch_broker {
            return Ok(found);
        }
        let step = progress.step("Debian packages");
        let fetched = match Packages::obstacle() {
            Some(obstacle) => Err(anyhow::anyhow!(obstacle)),
            None => Packages::get(base, fetch_database, fetch_broker, &step),
        };
        let packages = match fetched {
            Ok(packages) => packages,
            Err(error) if stop::requested() => return Err(error),
            Err(error) => {
                step.failed();
                return Err(error.context(advice(fetch_database, fetch_broker)));
            }
        };
        if fetch_database {
            found.database = Some(packages.postgres()?);
        }
        if fetch_broker {
            found.broker = Some(packages.rabbitmq()?);
        }
        step.done("ready");
        Ok(found)
    }
}

/// What a person can do when servers cannot be had.
fn advice(database: bool, broker: bool) -> String {
    let names = match (database, broker) {
        (true, true) => "PostgreSQL 15 or newer and RabbitMQ 3.10 or newer",
        (true, false) => "PostgreSQL 15 or newer",
        (false, _) => "RabbitMQ 3.10 or newer",
    };
    format!(
        "found no {names}. Install the packages (on Debian: postgresql, rabbitmq-server), or run\n  \
         docker compose -f infra/compose.yaml up\nand set\n  \
         {DATABASE_VARIABLE}=postgres://postgres:patchfleet@127.0.0.1:5432/postgres\n  \
         {AMQP_VARIABLE}=amqp://patchfleet:patchfleet@127.0.0.1:5672/%2f\nWhat was tried"
    )
}

/// The servers of a run, shared with the thread that takes restart requests.
struct Servers {
    folder: PathBuf,
    control: SocketAddr,
    token: String,
    database: Mutex<Option<Postgres>>,
    broker: Mutex<Option<RabbitMq>>,
}

impl Servers {
    fn state_file(&self) -> PathBuf {
        self.folder.join("infra.json")
    }

    fn write_state(&self) -> Result<()> {
        let started = |pid, port, log: &str| Started { pid, port, log: self.folder.join(log) };
        let state = State {
            owner_pid: std::process::id(),
            folder: self.folder.clone(),
            control: self.control,
            token: self.token.clone(),
            database: lock(&self.database)
                .as_ref()
                .map(|server| started(server.pid(), server.port(), "postgres.log")),
            broker: lock(&self.broker)
                .as_ref()
                .map(|node| started(node.pid(), node.port(), "rabbitmq/log/rabbit.log")),
        };
        write_private(&self.state_file(), &serde_json::to_string_pretty(&state)?)
    }

    fn restart(&self, server: Server, crash: bool, down_for: Duration) -> Result<()> {
        const GIVEN: &str = "this server was given by its URL and is not ours to restart";
        match server {
            Server::Database => {
                let mut held = lock(&self.database);
                let database = held.as_mut().context(GIVEN)?;
                database.stop(crash);
                thread::sleep(down_for);
                retry(|| database.start())?;
            }
            Server::Broker => {
                let mut held = lock(&self.broker);
                let broker = held.as_mut().context(GIVEN)?;
                broker.stop(crash);
                thread::sleep(down_for);
                retry(|| broker.start())?;
            }
        }
        self.write_state()
    }

    fn check_alive(&self) -> Result<()> {
        if let Some(database) = lock(&self.database).as_mut() {
            database.check_alive()?;
        }
        if let Some(broker) = lock(&self.broker).as_mut() {
            broker.check_alive()?;
        }
        Ok(())
    }

    fn end(&self) {
        if let Some(mut database) = lock(&self.database).take() {
            database.stop(true);
        }
        if let Some(mut broker) = lock(&self.broker).take() {
            broker.end();
        }
    }
}

/// Tries again a few times, except after a signal.
fn retry(mut start: impl FnMut() -> Result<()>) -> Result<()> {
    let mut attempt = 1;
    loop {
        match start() {
            Ok(()) => return Ok(()),
            Err(error) if attempt == RESTART_ATTEMPTS || stop::requested() => return Err(error),
            Err(_) => thread::sleep(Duration::from_millis(300)),
        }
        attempt += 1;
    }
}

/// A panic elsewhere must not keep us from stopping a server.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes a file that only we can read.
pub(crate) fn write_private(file: &Path, text: &str) -> Result<()> {
    let new = file.with_extension("new");
    fs::write(&new, text).with_context(|| format!("writing {}", new.display()))?;
    place::set_mode(&new, 0o600)?;
    fs::rename(&new, file).with_context(|| format!("writing {}", file.display()))
}

/// A random word for a password, a cookie or a token.
pub(crate) fn secret() -> Result<String> {
    let mut bytes = [0; 16];
    let mut source = fs::File::open("/dev/urandom").context("opening the source of random bytes")?;
    source.read_exact(&mut bytes).context("reading random bytes")?;
    Ok(format!("{:032x}", u128::from_ne_bytes(bytes)))
}
