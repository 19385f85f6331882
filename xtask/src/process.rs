//! Programs we start: each in its own process group, stopped by pid, never left behind.

use crate::stop;
use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::{
    fs::{File, OpenOptions},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

/// How often a wait for an exit looks again.
const POLL: Duration = Duration::from_millis(20);

/// How many lines of a log belong into an error.
const LOG_LINES_SHOWN: usize = 25;

/// A program that runs beside us and ends with us.
pub(crate) struct Running {
    name: String,
    child: Child,
    log: Option<PathBuf>,
}

impl Running {
    /// Starts the program with its output appended to `log`.
    pub(crate) fn start(name: &str, command: &mut Command, log: &Path) -> Result<Self> {
        let out = append(log)?;
        let err = out.try_clone().with_context(|| format!("opening {} twice", log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .process_group(0)
            .spawn()
            .with_context(|| format!("starting {name}: {}", command.get_program().display()))?;
        Ok(Self { name: name.to_owned(), child, log: Some(log.to_owned()) })
    }

    /// Starts the program with our own output.
    pub(crate) fn start_visible(name: &str, command: &mut Command) -> Result<Self> {
        let child = command
            .stdin(Stdio::null())
            // A group of its own, so that a signal to us reaches it once, and from us.
            .process_group(0)
            .spawn()
            .with_context(|| format!("starting {name}: {}", command.get_program().display()))?;
        Ok(Self { name: name.to_owned(), child, log: None })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Fails with the end of the log when the program has ended.
    pub(crate) fn check_alive(&mut self) -> Result<()> {
        match self.child.try_wait().with_context(|| format!("looking after {}", self.name))? {
            None => Ok(()),
            Some(status) => bail!("{} ended with {status}{}", self.name, self.log_end()),
        }
    }

    /// How the program ended; none as long as it runs.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().with_context(|| format!("looking after {}", self.name))
    }

    /// Waits for the end of the program; a signal to us ends it.
    pub(crate) fn wait(&mut self) -> Result<ExitStatus> {
        loop {
            if let Some(status) =
                self.child.try_wait().with_context(|| format!("waiting for {}", self.name))?
            {
                return Ok(status);
            }
            stop::check()?;
            thread::sleep(POLL);
        }
    }

    /// Sends the signal and does not wait.
    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(pid) = pid_of(&self.child) {
            _ = kill_process(pid, signal);
        }
    }

    /// Sends the signal, waits up to `grace` for the end, then kills the whole group.
    pub(crate) fn end(&mut self, signal: Signal, grace: Duration) {
        let Some(pid) = pid_of(&self.child) else { return };
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            // The leader is gone; what it started in its group may not be.
            _ = kill_process_group(pid, Signal::KILL);
            return;
        }
        _ = kill_process(pid, signal);
        let started = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && started.elapsed() < grace {
            thread::sleep(POLL);
        }
        _ = kill_process_group(pid, Signal::KILL);
        _ = self.child.wait();
    }

    /// The last lines of its log.
    pub(crate) fn log_end(&self) -> String {
        self.log.as_deref().map(log_end).unwrap_or_default()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end(Signal::TERM, Duration::from_secs(10));
    }
}

/// The last lines of a log, to be put behind an error.
pub(crate) fn log_end(log: &Path) -> String {
    let text =
        std::fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let shown = &lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..];
    if shown.is_empty() {
        String::new()
    } else {
        format!("\nthe end of {}:\n  {}", log.display(), shown.join("\n  "))
    }
}

/// Runs a program to its end with its output in `log`; fails with the end of the log.
pub(crate) fn run_logged(name: &str, command: &mut Command, log: &Path) -> Result<()> {
    let status = Running::start(name, command, log)?.wait()?;
    if !status.success() {
        bail!("{name} failed with {status}{}", log_end(log));
    }
    Ok(())
}

/// Runs a program to its end with our own output.
pub(crate) fn run_visible(name: &str, command: &mut Command) -> Result<()> {
    let status = Running::start_visible(name, command)?.wait()?;
    if !status.success() {
        bail!("{name} failed with {status}");
    }
    Ok(())
}

/// What a program prints. For short calls.
pub(crate) fn output_of(command: &mut Command) -> Result<String> {
    let name = command.get_program().display().to_string();
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("starting {name}"))?;
    if !output.status.success() {
        bail!("{name} failed with {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The children of a process.
pub(crate) fn children(pid: u32) -> Vec<Pid> {
    let listed = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    listed.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)).collect()
}

/// Sends a signal to a process that may be gone already.
pub(crate) fn signal(pid: Pid, signal: Signal) {
    _ = kill_process(pid, signal);
}

/// The variable that marks what a run started, so that a later run can find what a killed one left.
pub(crate) const RUN_FOLDER_VARIABLE: &str = "PATCHFLEET_RUN_FOLDER";

/// How long a leftover may take to end its own children.
const LEFTOVER_GRACE: Duration = Duration::from_secs(5);

/// Ends the processes that carry the mark of this run folder.
///
/// The environment of a shell that merely read the run's URLs does not carry it.
pub(crate) fn end_leftovers(run_folder: &Path) {
    let started = Instant::now();
    for signal in [Signal::TERM, Signal::KILL] {
        for pid in marked(run_folder) {
            _ = kill_process(pid, signal);
        }
        while signal == Signal::TERM && started.elapsed() < LEFTOVER_GRACE && !marked(run_folder).is_empty() {
            thread::sleep(POLL);
        }
    }
}

/// Postgres writes its titles over its environment, and is known by its data folder.
fn marked(run_folder: &Path) -> Vec<Pid> {
    let mark = format!("{RUN_FOLDER_VARIABLE}={}\0", run_folder.display());
    let data = format!("\0-D\0{}/", run_folder.display());
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let is_marked = |process: &std::fs::DirEntry| {
        file_contains(&process.path().join("environ"), &mark)
            || file_contains(&process.path().join("cmdline"), &data)
    };
    processes
        .filter(is_marked)
        .filter_map(|process| Pid::from_raw(process.file_name().to_str()?.parse().ok()?))
        .filter(|pid| pid.as_raw_nonzero().get().unsigned_abs() != std::process::id())
        .collect()
}

fn file_contains(file: &Path, text: &str) -> bool {
    std::fs::read(file).is_ok_and(|bytes| bytes.windows(text.len()).any(|window| window == text.as_bytes()))
}

fn pid_of(child: &Child) -> Option<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw)
}

fn append(log: &Path) -> Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(log)
        .with_context(|| format!("opening {}", log.display()))
}
