//! Agents as processes of their own.

use anyhow::{Context, Result};
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// How long an agent may take to finish what it does before it is killed.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// How an agent is to run.
#[derive(Debug, Clone)]
pub struct Setup<'a> {
    /// The program.
    pub program: &'a Path,
    /// Folder of this agent's files.
    pub folder: PathBuf,
    /// Where the devices service takes agents.
    pub server: &'a str,
    /// The device's name.
    pub name: &'a str,
    /// Further flags: `--root`, `--mode`, `--backend` …
    pub flags: Vec<String>,
}

/// A running agent. Stopped with this value.
pub struct Agent {
    child: Child,
    /// What it logs.
    pub log: PathBuf,
}

impl Setup<'_> {
    fn command(&self) -> Command {
        let mut command = Command::new(self.program);
        command
            .arg("--state-folder")
            .arg(self.folder.join("state"))
            .args(["--name", self.name])
            .args(&self.flags)
            .stdin(Stdio::null());
        command
    }

    /// Starts it; it enrols with the token by itself.
    pub fn start(&self, token: &str) -> Result<Agent> {
        std::fs::create_dir_all(&self.folder)?;
        let log = self.folder.join("agent.log");
        let file = std::fs::File::create(&log)?;
        let child = self
            .command()
            .args(["--server", self.server, "run"])
            .env("PATCHFLEET_AGENT_TOKEN", token)
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("starting {}", self.program.display()))?;
        Ok(Agent { child, log })
    }

    /// What the agent would report, read without a server.
    pub fn scan(&self) -> Result<Value> {
        std::fs::create_dir_all(&self.folder)?;
        let output = self.command().args(["scan", "--json"]).output()?;
        anyhow::ensure!(
            output.status.success(),
            "the agent's scan failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        serde_json::from_slice(&output.stdout).context("the agent's scan is not JSON")
    }
}

impl Agent {
    /// Stops it in good order.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        // By pid, as everything that we start.
        let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        let deadline = Instant::now() + STOP_PATIENCE;
        while Instant::now() < deadline {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.end();
    }
}
