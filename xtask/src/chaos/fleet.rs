//! Every service as a process of its own, some of them twice, each of which can be ended and started again.

use crate::{
    infra::Infra,
    process::Running,
    services::{self, READY_LIMIT},
    stop,
};
use anyhow::{Context, Result, bail};
use contracts::Service;
use rustix::process::Signal;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// Services with a second process, which takes over what the first one led.
const TWICE: [Service; 2] = [Service::Backbone, Service::Approvals];

/// A service must have ended in order by then; the program gives itself 25 s.
const DRAIN_LIMIT: Duration = Duration::from_secs(28);

/// Something that can be hit; by one blow at a time.
#[derive(Default)]
pub(super) struct Target {
    busy: AtomicBool,
}

impl Target {
    /// Takes it, unless a blow has it already.
    pub(super) fn take(&self) -> bool {
        !self.busy.swap(true, Ordering::SeqCst)
    }

    pub(super) fn give_back(&self) {
        self.busy.store(false, Ordering::SeqCst);
    }
}

/// One process of a service.
pub(super) struct Member {
    pub(super) name: String,
    pub(super) service: Service,
    pub(super) target: Target,
    port: u16,
    log: PathBuf,
    program: PathBuf,
    settings: BTreeMap<String, String>,
    folder: PathBuf,
    state: Mutex<State>,
}

struct State {
    running: Option<Running>,
    since: Instant,
}

impl Member {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(&self) -> Result<()> {
        let mut command = Command::new(&self.program);
        command
            .args(["serve", self.service.name()])
            .current_dir(&self.folder)
            .env(crate::process::RUN_FOLDER_VARIABLE, &self.folder)
            .envs(&self.settings);
        let mut state = self.state();
        state.running = Some(Running::start(&self.name, &mut command, &self.log)?);
        state.since = Instant::now();
        Ok(())
    }

    /// Waits until it answers that it is ready; fails when it ends by itself.
    fn until_ready(&self) -> Result<()> {
        stop::wait_until(&self.name, READY_LIMIT, || {
            if let Some(running) = self.state().running.as_mut() {
                running.check_alive()?;
            }
            Ok(services::is_ready(self.port))
        })
    }

    /// Fails when it has ended by itself.
    pub(super) fn check_alive(&self) -> Result<()> {
        self.state().running.as_mut().map_or(Ok(()), Running::check_alive)
    }

    /// Since when this process runs.
    pub(super) fn since(&self) -> Instant {
        self.state().since
    }

    /// kill -9, and a new process after a while.
    pub(super) fn kill(&self, down_for: Duration) -> Result<()> {
        self.end(Signal::KILL, Duration::from_secs(5));
        thread::sleep(down_for);
        self.start()?;
        self.until_ready()
    }

    /// SIGTERM, and a new process after a while; answers with how long it took to end. Fails if it did not end in order.
    pub(super) fn terminate(&self, down_for: Duration) -> Result<Duration> {
        let begun = Instant::now();
        let mut running = self.state().running.take().context("it does not run")?;
        running.signal(Signal::TERM);
        let status = loop {
            if let Some(status) = running.ended()? {
                break Some(status);
            }
            if begun.elapsed() > DRAIN_LIMIT {
                break None;
            }
            thread::sleep(Duration::from_millis(20));
        };
        let took = begun.elapsed();
        drop(running);
        thread::sleep(down_for);
        self.start()?;
        self.until_ready()?;
        match status {
            Some(status) if status.success() => Ok(took),
            Some(status) => bail!("{} ended with {status} after SIGTERM", self.name),
            None => bail!("{} did not end within {DRAIN_LIMIT:?} after SIGTERM", self.name),
        }
    }

    /// Lets it stand still for a while.
    pub(super) fn pause(&self, length: Duration) -> Result<()> {
        let signal = |signal| {
            if let Some(running) = &self.state().running {
                running.signal(signal);
            }
        };
        signal(Signal::STOP);
        thread::sleep(length);
        signal(Signal::CONT);
        self.until_ready()
    }

    fn end(&self, signal: Signal, grace: Duration) {
        let running = self.state().running.take();
        if let Some(mut running) = running {
            running.end(signal, grace);
        }
    }
}

/// All processes, and the two servers as targets.
pub(super) struct Fleet {
    pub(super) members: Vec<Member>,
    pub(super) database: Target,
    pub(super) broker: Target,
}

impl Fleet {
    /// Starts every process and waits until all are ready.
    pub(super) fn start(
        program: &Path,
        infra: &Infra,
        settings: &BTreeMap<String, String>,
        ports: &BTreeMap<Service, u16>,
        second_ports: [u16; TWICE.len()],
    ) -> Result<Self> {
        let member = |service: Service, name: String, port: u16| {
            let mut settings = settings.clone();
            settings.insert(services::listen_variable(service), format!("127.0.0.1:{port}"));
            Member {
                log: infra.folder().join(format!("{name}.log")),
                name,
                service,
                target: Target::default(),
                port,
                program: program.to_owned(),
                settings,
                folder: infra.folder().to_owned(),
                state: Mutex::new(State { running: None, since: Instant::now() }),
            }
        };
        let mut members: Vec<Member> =
            ports.iter().map(|(service, port)| member(*service, service.name().to_owned(), *port)).collect();
        for (service, port) in TWICE.into_iter().zip(second_ports) {
            members.push(member(service, format!("{service}-2"), port));
        }
        for member in &members {
            member.start()?;
        }
        for member in &members {
            member.until_ready().with_context(|| format!("starting {}", member.name))?;
        }
        Ok(Self { members, database: Target::default(), broker: Target::default() })
    }

    /// Where each service answers.
    pub(super) fn urls(&self) -> BTreeMap<String, Vec<String>> {
        let mut urls: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for member in &self.members {
            let of_service = urls.entry(member.service.name().to_owned()).or_default();
            of_service.push(format!("http://127.0.0.1:{}", member.port));
        }
        urls
    }

    /// Processes that are down although nobody ended them.
    pub(super) fn dead(&self) -> Vec<String> {
        self.members
            .iter()
            .filter_map(|member| member.check_alive().err())
            .map(|error| format!("{error:#}"))
            .collect()
    }

    /// Lines of all logs that contain `text`, with the name of the process.
    pub(super) fn logged(&self, text: &str) -> Vec<String> {
        let lines_of = |member: &Member| {
            let log = std::fs::read(&member.log).unwrap_or_default();
            let log = String::from_utf8_lossy(&log).into_owned();
            let found = log.lines().filter(|line| line.contains(text));
            found.map(|line| format!("{}: {line}", member.name)).collect::<Vec<_>>()
        };
        self.members.iter().flat_map(lines_of).collect()
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        // All are told before the first is waited for.
        for member in &self.members {
            if let Some(running) = &member.state().running {
                running.signal(Signal::TERM);
            }
        }
        for member in &self.members {
            member.end(Signal::TERM, DRAIN_LIMIT);
        }
    }
}
