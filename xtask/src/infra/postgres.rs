//! A private PostgreSQL server.

use super::{
    place::{self, NOBODY, RunFolder},
    secret,
};
use crate::{
    process::{self, RUN_FOLDER_VARIABLE, Running},
    progress::Step,
    stop, workspace,
};
use anyhow::{Context, Result};
use rustix::process::{Pid, Signal};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

/// The oldest version that the migrations are meant for.
const MAJOR_MIN: u32 = 15;

/// Tests hold one pool per service and per test.
const CONNECTIONS_MAX: u32 = 300;

/// The services' role is made by a migration, which knows no password. It owns nothing; the superuser, who could run
/// programs as us, proves itself.
const ACCESS: &str = "host all patchfleet_service 127.0.0.1/32 trust\n\
                      host all all 127.0.0.1/32 scram-sha-256\n";

/// The role that services sign in as; a migration makes it.
const SERVICE_ROLE: &str = "patchfleet_service";

/// A start replays at most what one run wrote.
const START_LIMIT: Duration = Duration::from_mins(1);

/// Where a PostgreSQL's programs are.
#[derive(Debug, Clone)]
pub(crate) struct Programs {
    pub(crate) bin: PathBuf,
    /// Folder of shared libraries, for unpacked packages.
    pub(crate) libraries: Option<PathBuf>,
}

impl Programs {
    /// Those installed on this machine, the newest first.
    pub(crate) fn installed() -> Option<Self> {
        let mut bins: Vec<PathBuf> = workspace::on_path("initdb")
            .and_then(|file| file.parent().map(Path::to_owned))
            .into_iter()
            .collect();
        let mut packaged: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
            .collect();
        packaged.sort_by_key(|(major, _)| std::cmp::Reverse(*major));
        bins.extend(packaged.into_iter().map(|(_, bin)| bin));
        bins.into_iter().map(|bin| Self { bin, libraries: None }).find(|found| {
            found.bin.join("initdb").is_file() && found.major().is_some_and(|major| major >= MAJOR_MIN)
        })
    }

    fn major(&self) -> Option<u32> {
        // "postgres (PostgreSQL) 15.8 (Debian 15.8-0+deb12u1)"
        let version = process::output_of(Command::new(self.bin.join("postgres")).arg("--version")).ok()?;
        version.split_whitespace().nth(2)?.split('.').next()?.parse().ok()
    }
}

/// One server with its own data.
pub(crate) struct Postgres {
    programs: Programs,
    run_folder: PathBuf,
    folder: PathBuf,
    log: PathBuf,
    port: u16,
    durable: bool,
    password: String,
    running: Option<Running>,
}

impl Postgres {
    /// Makes the data folder and starts the server.
    pub(crate) fn create(
        programs: Programs,
        run: &RunFolder,
        port: u16,
        durable: bool,
        step: &Step,
    ) -> Result<Self> {
        let folder = run.private_of_nobody("postgres")?;
        let mut server = Self {
            programs,
            run_folder: run.path().to_owned(),
            log: run.path().join("postgres.log"),
            folder,
            port,
            durable,
            password: secret()?,
            running: None,
        };
        step.note("making a database");
        server.make_data()?;
        step.note("starting");
        server.start()?;
        Ok(server)
    }

    /// How its superuser reaches it.
    pub(crate) fn url(&self) -> String {
        format!("postgres://postgres:{}@127.0.0.1:{}/postgres", self.password, self.port)
    }

    /// Where a test finds the programs of this version, and the libraries that unpacked ones need.
    pub(crate) fn program_variables(&self) -> Vec<(&'static str, String)> {
        let mut variables = vec![("PATCHFLEET_TEST_POSTGRES_BIN", self.programs.bin.display().to_string())];
        if let Some(libraries) = &self.programs.libraries {
            variables.push(("PATCHFLEET_TEST_POSTGRES_LIBRARIES", libraries.display().to_string()));
        }
        variables
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        self.running.as_ref().map(Running::pid)
    }

    /// Fails when the server has ended by itself.
    pub(crate) fn check_alive(&mut self) -> Result<()> {
        self.running.as_mut().map_or(Ok(()), Running::check_alive)
    }

    /// Starts the server on its port with its data, and waits until it takes connections.
    pub(crate) fn start(&mut self) -> Result<()> {
        let mut command = self.program("postgres");
        command.arg("-D").arg(self.data()).args(["-p", &self.port.to_string()]);
        for setting in [
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            &format!("max_connections={CONNECTIONS_MAX}"),
            // Costs more than our short statements take.
            "jit=off",
        ] {
            command.args(["-c", setting]);
        }
        if !self.durable {
            // The data ends with the run, so nothing is gained by surviving a power cut.
            for setting in ["fsync=off", "synchronous_commit=off", "full_page_writes=off"] {
                command.args(["-c", setting]);
            }
        }
        let mut running = Running::start("PostgreSQL", &mut command, &self.log)?;
        let status = self.data().join("postmaster.pid");
        let pid = running.pid().to_string();
        stop::wait_until("PostgreSQL", START_LIMIT, || {
            running.check_alive()?;
            let lines = fs::read_to_string(&status).unwrap_or_default();
            Ok(lines.lines().next() == Some(&pid) && lines.lines().any(|line| line.trim() == "ready"))
        })?;
        self.running = Some(running);
        Ok(())
    }

    /// Ends the server: in order, so that clients are told, or at once, as a crash would.
    pub(crate) fn stop(&mut self, crash: bool) {
        if let Some(mut running) = self.running.take() {
            running.end(if crash { Signal::QUIT } else { Signal::INT }, Duration::from_secs(10));
        }
    }

    /// Kills every process of the server at once.
    pub(crate) fn kill(&mut self) {
        let Some(mut running) = self.running.take() else { return };
        // Held first, so that it starts no process that would be missed.
        running.signal(Signal::STOP);
        for child in process::children(running.pid()) {
            process::signal(child, Signal::KILL);
        }
        running.end(Signal::KILL, Duration::from_secs(10));
    }

    /// Ends the sessions of the services as `pg_terminate_backend` does.
    pub(crate) fn end_sessions(&self) -> Result<usize> {
        let sessions = self.sessions()?;
        for session in &sessions {
            process::signal(*session, Signal::TERM);
        }
        Ok(sessions.len())
    }

    /// Kills one session's process, and waits until the server has recovered from that.
    pub(crate) fn crash_session(&self) -> Result<()> {
        let Some(victim) = self.sessions()?.into_iter().next() else { return Ok(()) };
        // The server lets go of every session before it recovers.
        let before = process::children(self.running.as_ref().context("the server is down")?.pid());
        process::signal(victim, Signal::KILL);
        stop::wait_until("PostgreSQL", START_LIMIT, || {
            let alive = process::children(self.pid().unwrap_or_default());
            let status = fs::read_to_string(self.data().join("postmaster.pid")).unwrap_or_default();
            let ready = status.lines().any(|line| line.trim() == "ready");
            Ok(ready && !alive.is_empty() && before.iter().all(|pid| !alive.contains(pid)))
        })
    }

    /// The processes of the services' sessions, known by their titles.
    fn sessions(&self) -> Result<Vec<Pid>> {
        let server = self.running.as_ref().context("the server is down")?.pid();
        let of_service = |pid: &Pid| {
            let title = fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).unwrap_or_default();
            String::from_utf8_lossy(&title).starts_with(&format!("postgres: {SERVICE_ROLE} "))
        };
        Ok(process::children(server).into_iter().filter(of_service).collect())
    }

    fn make_data(&self) -> Result<()> {
        let password_file = self.folder.join("password");
        fs::write(&password_file, &self.password).context("writing the superuser's password")?;
        place::set_mode(&password_file, 0o600)?;
        if place::is_root() {
            std::os::unix::fs::chown(&password_file, Some(NOBODY), Some(NOBODY))
                .context("giving away the password file")?;
        }
        let mut command = self.program("initdb");
        command.arg("-D").arg(self.data()).arg("--pwfile").arg(&password_file);
        command.args([
            "--username=postgres",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
        ]);
        process::run_logged("initdb", &mut command, &self.log)?;
        fs::remove_file(&password_file).context("removing the password file")?;
        fs::write(self.data().join("pg_hba.conf"), ACCESS).context("writing who may connect")
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// A call of one of its programs, as a user that it accepts: it refuses root.
    fn program(&self, name: &str) -> Command {
        let program = self.programs.bin.join(name);
        let mut command = if place::is_root() {
            let mut command = Command::new("setpriv");
            command.arg(format!("--reuid={NOBODY}")).arg(format!("--regid={NOBODY}"));
            command.args(["--clear-groups", "--inh-caps=-all", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command
            .current_dir(&self.folder)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("LC_ALL", "C");
        command.env(RUN_FOLDER_VARIABLE, &self.run_folder);
        if let Some(libraries) = &self.programs.libraries {
            command.env("LD_LIBRARY_PATH", libraries);
        }
        command
    }
}
