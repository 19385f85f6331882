//! The program that makes the load and judges the outcome, as a process that talks in lines.

use crate::{infra, process::RUN_FOLDER_VARIABLE};
use anyhow::{Context, Result, bail};
use journeys::chaos::{Progress, Report, Said, World};
use std::{
    fs::File,
    io::{BufRead, BufReader},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Mutex, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, channel},
    },
    thread,
    time::{Duration, Instant},
};

/// The program.
pub(super) struct Driver {
    child: Mutex<Child>,
    lines: Receiver<Said>,
    log: PathBuf,
}

impl Driver {
    /// Starts it.
    pub(super) fn start(program: &Path, world: &World) -> Result<Self> {
        let file = world.folder.join("chaos.json");
        infra::write_private(&file, &serde_json::to_string_pretty(world)?)?;
        let log = world.folder.join("chaos.log");
        let errors = File::create(&log).with_context(|| format!("making {}", log.display()))?;
        let mut child = Command::new(program)
            .arg(&file)
            .current_dir(&world.folder)
            .env(RUN_FOLDER_VARIABLE, &world.folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors)
            .process_group(0)
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        let out = child.stdout.take().context("the load program has no output")?;
        let (send, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                match serde_json::from_str(&line) {
                    Ok(said) => _ = send.send(said),
                    Err(error) => eprintln!("the load program said {line:?}: {error}"),
                }
            }
        });
        Ok(Self { child: Mutex::new(child), lines, log })
    }

    /// Waits until the load has begun.
    pub(super) fn until_ready(&self, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            crate::stop::check()?;
            match self.next(Duration::from_millis(100))? {
                Some(Said::Ready) => return Ok(()),
                Some(Said::Progress(_) | Said::Doing { .. } | Said::Report(_)) | None => {}
            }
        }
        bail!("the load did not begin within {} s{}", limit.as_secs(), self.said())
    }

    /// The latest progress since the last question.
    pub(super) fn progress(&self) -> Option<Progress> {
        self.lines
            .try_iter()
            .filter_map(|said| match said {
                Said::Progress(progress) => Some(progress),
                Said::Ready | Said::Doing { .. } | Said::Report(_) => None,
            })
            .last()
    }

    /// Fails when it has ended.
    pub(super) fn check_alive(&self) -> Result<()> {
        match self.child().try_wait().context("looking after the load program")? {
            None => Ok(()),
            Some(status) => bail!("the load program ended with {status}{}", self.said()),
        }
    }

    /// Tells it to end the load, and waits for its judgement.
    pub(super) fn finish(&self, limit: Duration, doing: impl Fn(&str)) -> Result<Report> {
        // Closing its input is the sign.
        drop(self.child().stdin.take());
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            crate::stop::check()?;
            match self.next(Duration::from_millis(100))? {
                Some(Said::Report(report)) => return Ok(report),
                Some(Said::Doing { what }) => doing(&what),
                Some(Said::Ready | Said::Progress(_)) | None => {}
            }
        }
        bail!("there was no judgement within {} s{}", limit.as_secs(), self.said())
    }

    fn next(&self, limit: Duration) -> Result<Option<Said>> {
        match self.lines.recv_timeout(limit) {
            Ok(said) => Ok(Some(said)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => bail!("the load program went away{}", self.said()),
        }
    }

    fn said(&self) -> String {
        crate::process::log_end(&self.log)
    }

    fn child(&self) -> std::sync::MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let mut child = self.child();
        _ = child.kill();
        _ = child.wait();
    }
}
