//! The system as a whole on one machine: servers, migrated database, every service in one process.

use crate::{
    infra::{self, Infra},
    process::{self, RUN_FOLDER_VARIABLE, Running, log_end},
    progress::Progress,
    stop, workspace,
};
use anyhow::{Context, Result};
use contracts::Service;
use rustix::process::Signal;
use std::{
    collections::BTreeMap,
    env,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

/// Services wait for each other's queues at their first start.
pub(crate) const READY_LIMIT: Duration = Duration::from_secs(90);

/// How long one question for readiness may take.
const QUESTION_LIMIT: Duration = Duration::from_secs(2);

/// How long services may take to finish what they have begun.
const STOP_LIMIT: Duration = Duration::from_secs(20);

/// The usual ports, which the documentation shows. Used when all are free.
const USUAL_PORTS: [u16; 9] = [7100, 7101, 7102, 7103, 7104, 7105, 7106, 7107, 7110];

/// The role that services sign in as; a migration makes it.
const SERVICE_ROLE: &str = "patchfleet_service";

/// Who is platform operator in a private system.
pub(crate) const OPERATOR: &str = "operator";

/// How the services are started.
#[derive(Debug, Clone, Copy, clap::Args)]
#[group(skip)]
pub(crate) struct Options {
    /// One process per service instead of one for all
    #[arg(long)]
    separate: bool,
    /// Take any free ports, so that another system can start at the same moment
    #[arg(long)]
    any_ports: bool,
    #[command(flatten)]
    infra: infra::Options,
}

impl Options {
    /// One process for all services, on ports of its own.
    pub(crate) fn any_ports(infra: infra::Options) -> Self {
        Self { separate: false, any_ports: true, infra }
    }
}

/// The programs, built.
#[derive(Debug, Clone)]
pub(crate) struct Programs {
    pub(crate) patchfleet: PathBuf,
    pub(crate) agent: PathBuf,
}

impl Programs {
    /// Where cargo puts them.
    pub(crate) fn built(root: &Path) -> Self {
        let folder = workspace::debug_folder(root);
        Self { patchfleet: folder.join("patchfleet"), agent: folder.join("patchfleet-agent") }
    }

    /// Builds them.
    pub(crate) fn build(root: &Path, progress: &Progress) -> Result<Self> {
        // A test run has built them: it must not wait for its own build lock.
        if let (Some(patchfleet), Some(agent)) =
            (env::var_os("PATCHFLEET_BIN"), env::var_os("PATCHFLEET_BIN_AGENT"))
        {
            return Ok(Self { patchfleet: patchfleet.into(), agent: agent.into() });
        }
        let step = progress.headline("building patchfleet and patchfleet-agent");
        let mut cargo = Command::new(workspace::cargo());
        cargo.current_dir(root).args(["build", "--package", "patchfleet", "--package", "patchfleet-agent"]);
        process::run_visible("cargo build", &mut cargo)?;
        step.done("is done");
        Ok(Self::built(root))
    }
}

/// Everything that runs. Ends with this value: services first, then the servers.
pub(crate) struct System {
    processes: Vec<Running>,
    pub(crate) programs: Programs,
    /// Where each service answers.
    pub(crate) urls: BTreeMap<Service, String>,
    /// Proves to the built-in issuer who may ask for tokens.
    pub(crate) client_secret: String,
    /// The subject of the platform operator's tokens.
    pub(crate) operator: &'static str,
    /// What every program is told, as variables.
    settings: BTreeMap<String, String>,
    pub(crate) infra: Infra,
}

impl System {
    /// Starts everything and waits until every service is ready. `extra` are further settings, as variables.
    pub(crate) fn start(
        root: &Path,
        options: Options,
        extra: &[(&str, String)],
        progress: &Progress,
    ) -> Result<Self> {
        Self::start_with(Programs::build(root, progress)?, root, options, extra, progress)
    }

    /// The same with programs that were built elsewhere.
    pub(crate) fn start_with(
        programs: Programs,
        root: &Path,
        options: Options,
        extra: &[(&str, String)],
        progress: &Progress,
    ) -> Result<Self> {
        let infra = Infra::start(root, options.infra, progress)?;
        let client_secret = infra::secret()?;
        let ports = ports(options.any_ports)?;
        let log = |name: &str| infra.folder().join(format!("{name}.log"));
        let mut settings = settings(&infra, &ports, &client_secret)?;
        settings.extend(extra.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        let program = || program(&programs, &infra, &settings);

        let step = progress.step("migrations");
        process::run_logged("patchfleet migrate", program().arg("migrate"), &log("migrate"))?;
        step.done("applied");

        let step = progress.step("services");
        let together = ["all"];
        let apart = Service::ALL.map(Service::name);
        let mut processes = Vec::new();
        for name in if options.separate { apart.as_slice() } else { &together } {
            processes.push(Running::start(name, program().args(["serve", name]), &log(name))?);
        }
        for (service, port) in &ports {
            step.note(&format!("waiting for {service}"));
            let ready = stop::wait_until(service.name(), READY_LIMIT, || {
                check_alive(&mut processes)?;
                Ok(is_ready(*port))
            });
            if let Err(error) = ready {
                check_alive(&mut processes)?;
                let name = if options.separate { service.name() } else { "all" };
                return Err(error.context(format!("starting the services{}", log_end(&log(name)))));
            }
        }
        step.done("ready");
        let urls =
            ports.into_iter().map(|(service, port)| (service, format!("http://127.0.0.1:{port}"))).collect();
        Ok(Self { processes, programs, urls, client_secret, operator: OPERATOR, settings, infra })
    }

    /// Where a service answers.
    pub(crate) fn url(&self, service: Service) -> &str {
        self.urls.get(&service).map_or("", String::as_str)
    }

    /// The program with everything that the services are told.
    pub(crate) fn program(&self) -> Command {
        program(&self.programs, &self.infra, &self.settings)
    }

    /// What the services said last, for an error: their logs end with the run.
    pub(crate) fn log_ends(&self) -> String {
        let ends: String = self.processes.iter().map(Running::log_end).collect();
        format!(
            "the services are stopped{ends}\nPATCHFLEET_KEEP_RUN=1 keeps the folder with all logs. What went wrong"
        )
    }

    /// Waits for a signal; fails when something has ended by itself.
    pub(crate) fn serve(&mut self) -> Result<()> {
        while !stop::requested() {
            check_alive(&mut self.processes)?;
            self.infra.check_alive()?;
            std::thread::sleep(Duration::from_millis(200));
        }
        Ok(())
    }
}

impl Drop for System {
    fn drop(&mut self) {
        // All are told before the first is waited for.
        for process in &self.processes {
            process.signal(Signal::TERM);
        }
        for process in &mut self.processes {
            process.end(Signal::TERM, STOP_LIMIT);
        }
    }
}

fn program(programs: &Programs, infra: &Infra, settings: &BTreeMap<String, String>) -> Command {
    let mut command = Command::new(&programs.patchfleet);
    command.current_dir(infra.folder()).env(RUN_FOLDER_VARIABLE, infra.folder()).envs(settings);
    command
}

fn check_alive(processes: &mut [Running]) -> Result<()> {
    processes.iter_mut().try_for_each(Running::check_alive)
}

/// What every service is told, as variables.
pub(crate) fn settings(
    infra: &Infra,
    ports: &BTreeMap<Service, u16>,
    client_secret: &str,
) -> Result<BTreeMap<String, String>> {
    let service_database =
        env::var("PATCHFLEET__DATABASE__URL").or_else(|_| service_url(&infra.database_url))?;
    let port_of = |service| ports.get(&service).copied().unwrap_or_default();
    let mut settings = BTreeMap::from(
        [
            ("DATABASE__URL", service_database),
            ("DATABASE__MIGRATION_URL", infra.database_url.clone()),
            ("BROKER__URL", infra.amqp_url.clone()),
            ("INTERNAL__SECRET", infra::secret()?),
            ("IDENTITY__CLIENT_SECRET", client_secret.to_owned()),
            ("IDENTITY__ISSUER", format!("http://127.0.0.1:{}", port_of(Service::Tenancy))),
            ("IDENTITY__OPERATOR_SUBJECTS", OPERATOR.to_owned()),
        ]
        .map(|(name, value)| (format!("PATCHFLEET__{name}"), value)),
    );
    for (service, port) in ports {
        settings.insert(listen_variable(*service), format!("127.0.0.1:{port}"));
    }
    Ok(settings)
}

/// The variable that says where a service listens.
pub(crate) fn listen_variable(service: Service) -> String {
    format!("PATCHFLEET__SERVICES__{}__LISTEN", service.name().to_uppercase())
}

/// The same database as the role of the services, which has no password where the server trusts this machine.
fn service_url(owner_url: &str) -> Result<String> {
    let (scheme, rest) = owner_url.split_once("://").context("the database URL has no scheme")?;
    let server = rest.split_once('@').map_or(rest, |(_, server)| server);
    Ok(format!("{scheme}://{SERVICE_ROLE}@{server}"))
}

/// A free port for each service.
pub(crate) fn any_ports() -> Result<BTreeMap<Service, u16>> {
    ports(true)
}

/// A port for each service: the usual ones, or free ones where another system has taken one of them or may do so.
fn ports(any: bool) -> Result<BTreeMap<Service, u16>> {
    let all_free =
        !any && USUAL_PORTS.iter().all(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok());
    let ports = if all_free { USUAL_PORTS } else { infra::free_ports()? };
    Ok(Service::ALL.into_iter().zip(ports).collect())
}

/// Whether `GET /readyz` is answered with 200.
pub(crate) fn is_ready(port: u16) -> bool {
    let ask = || -> std::io::Result<String> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut stream = TcpStream::connect_timeout(&address, QUESTION_LIMIT)?;
        stream.set_read_timeout(Some(QUESTION_LIMIT))?;
        stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")?;
        let mut status = [0; 12];
        stream.read_exact(&mut status)?;
        Ok(String::from_utf8_lossy(&status).into_owned())
    };
    ask().is_ok_and(|status| status.ends_with(" 200"))
}

#[cfg(test)]
mod tests {
    use super::service_url;

    #[test]
    fn services_sign_in_without_the_superusers_password() {
        let url = service_url("postgres://postgres:secret@127.0.0.1:5432/postgres").unwrap();
        assert_eq!(url, "postgres://patchfleet_service@127.0.0.1:5432/postgres");
    }
}
