//! A device under test: a folder, a private Debian root, and the agent's program.

use crate::server::{Server, TOKEN};
use chrono::TimeDelta;
use contracts::agent::{Job, SignedJob, Work};
use contracts::devices::MissingPackage;
use contracts::scheduling::{PatchOrder, RebootPolicy};
use journeys::debian_root::DebianRoot;
use kernel::{JobId, PatchId};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use uuid::Uuid;

pub(crate) const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

pub(crate) struct Device {
    folder: PathBuf,
    pub(crate) debian: DebianRoot,
}

/// A running agent; ended hard when dropped, so that no test leaves one behind.
pub(crate) struct Running(Child);

impl Device {
    pub(crate) fn new() -> Self {
        let folder =
            std::env::temp_dir().join(format!("patchfleet-test-{}", patchfleet_agent::clock::new_id()));
        let debian = DebianRoot::create(&folder.join("debian")).unwrap();
        Self { folder, debian }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.folder.join("state")
    }

    /// The program with this device's folders and nothing from the environment of the test.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = bare_command(arguments);
        command.arg("--state-folder").arg(self.state()).arg("--root").arg(self.debian.root());
        command
    }

    pub(crate) fn run(&self, server: &Server, more: &[&str]) -> Running {
        Running::start(self.command(&["run", "--server", &server.url, "--token", TOKEN]).args(more))
    }

    /// The report ids in the agent's queue, in order.
    pub(crate) fn queued_report_ids(&self) -> Vec<Uuid> {
        let mut files: Vec<_> =
            std::fs::read_dir(self.state().join("queue")).unwrap().map(|e| e.unwrap().path()).collect();
        files.retain(|path| path.extension().is_some_and(|end| end == "json"));
        files.sort();
        let id = |path: &PathBuf| {
            let value: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
            value["report"]["report"]["report_id"].as_str().unwrap().parse().unwrap()
        };
        files.iter().map(id).collect()
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

pub(crate) fn bare_command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_patchfleet-agent"));
    command.args(arguments).env_clear().env("RUST_BACKTRACE", "0");
    command
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self(command.stdin(Stdio::null()).spawn().unwrap())
    }

    pub(crate) fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// Asks it to stop as a service manager does, and waits for its end.
    pub(crate) fn terminate(mut self) -> ExitStatus {
        let pid = self.0.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        self.0.wait().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn job(server: &Server, number: i64, work: Work) -> Job {
    Job {
        job_id: JobId(patchfleet_agent::clock::new_id()),
        device_id: server.device_id,
        number,
        expires_at: patchfleet_agent::clock::now() + TimeDelta::hours(1),
        work,
        traceparent: Some(TRACEPARENT.to_owned()),
    }
}

pub(crate) fn install(packages: &[(&str, &str)]) -> Work {
    let missing = |(name, fixed): &(&str, &str)| MissingPackage {
        name: (*name).to_owned(),
        installed_version: "1.0".to_owned(),
        fixed_version: (*fixed).to_owned(),
    };
    let order = PatchOrder {
        patch_id: PatchId(Uuid::from_u128(1)),
        vendor_patch_id: "DSA-0001-1".to_owned(),
        packages: packages.iter().map(missing).collect(),
    };
    Work::Install { patches: vec![order], reboot_policy: RebootPolicy::Never }
}

pub(crate) fn signed(server: &Server, job: &Job) -> SignedJob {
    signing::sign_job(&server.job_key, job)
}

pub(crate) fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}
