//! On which machine, from which commit, and beside what else a run was made.

use crate::process::output_of;
use serde::{Deserialize, Serialize};
use std::{fs, path::Path, process::Command};

/// What a number must be read with.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Conditions {
    pub(super) began_at: String,
    /// With a plus where the tree was not as committed.
    pub(super) commit: String,
    pub(super) cpu: String,
    pub(super) cores: usize,
    pub(super) memory_gb: u64,
    pub(super) kernel: String,
    /// The load of the last minute before the run.
    pub(super) load_before: f64,
}

impl Conditions {
    /// Looks around.
    pub(super) fn observe(root: &Path) -> Self {
        Self {
            began_at: told(Command::new("date").args(["-u", "+%Y-%m-%dT%H:%M:%SZ"])),
            commit: commit(root),
            cpu: field("/proc/cpuinfo", "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_gb: memory_gb().unwrap_or(0),
            kernel: read("/proc/sys/kernel/osrelease"),
            load_before: read("/proc/loadavg")
                .split_whitespace()
                .next()
                .and_then(|load| load.parse().ok())
                .unwrap_or(0.0),
        }
    }
}

fn told(command: &mut Command) -> String {
    output_of(command).map(|text| text.trim().to_owned()).unwrap_or_default()
}

fn commit(root: &Path) -> String {
    let git = |arguments: &[&str]| told(Command::new("git").current_dir(root).args(arguments));
    let commit = git(&["rev-parse", "--short=12", "HEAD"]);
    let changed = git(&["status", "--porcelain", "--", "services", "shared", "migrations", "tests", "xtask"]);
    if changed.is_empty() { commit } else { format!("{commit}+") }
}

fn read(file: &str) -> String {
    fs::read_to_string(file).unwrap_or_default().trim().to_owned()
}

fn field(file: &str, name: &str) -> Option<String> {
    let text = read(file);
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn memory_gb() -> Option<u64> {
    let kilobytes: u64 = field("/proc/meminfo", "MemTotal")?.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes.div_ceil(1024 * 1024))
}
