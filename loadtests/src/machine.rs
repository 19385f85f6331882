//! On what, and with what, a measurement was made: a number without it says nothing.

use crate::statistics::Spread;
use serde::Serialize;
use std::{
    collections::BTreeMap,
    fs,
    io::{Read, Write},
    path::Path,
    process::Command,
    time::Instant,
};

/// The conditions of a run.
#[derive(Debug, Clone, Serialize)]
pub struct Conditions {
    /// When it began.
    pub began_at: String,
    /// The commit, with `+` when the working tree differed from it.
    pub commit: String,
    /// How the program was built.
    pub build: &'static str,
    /// The processor.
    pub cpu: String,
    /// How many of them.
    pub cores: usize,
    /// Memory in GB.
    pub memory_gb: u64,
    /// The kernel.
    pub kernel: String,
    /// How long the disk takes to keep 8 kB, in milliseconds: what fsync costs here.
    pub fsync_ms: f64,
    /// The load of the last minute before the run: above 0.5, others were at work and the numbers are worth little.
    pub load_before: f64,
    /// Servers and their settings.
    pub servers: BTreeMap<String, String>,
}

impl Conditions {
    /// Looks around.
    pub(crate) fn observe() -> Self {
        Self {
            began_at: chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
            commit: commit(),
            build: if cfg!(debug_assertions) { "debug" } else { "optimised" },
            cpu: cpu().unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_gb: memory_gb().unwrap_or(0),
            kernel: read("/proc/sys/kernel/osrelease"),
            fsync_ms: fsync_ms().unwrap_or(f64::NAN),
            load_before: read("/proc/loadavg")
                .split_whitespace()
                .next()
                .and_then(|load| load.parse().ok())
                .unwrap_or(0.0),
            servers: BTreeMap::new(),
        }
    }
}

fn read(file: &str) -> String {
    fs::read_to_string(file).unwrap_or_default().trim().to_owned()
}

/// The median of a hundred, in the folder of the run's servers.
fn fsync_ms() -> Option<f64> {
    let state = std::env::var_os("PATCHFLEET_INFRA_STATE").map(std::path::PathBuf::from);
    let folder = state.as_deref().and_then(Path::parent).map_or_else(std::env::temp_dir, Path::to_owned);
    let name = folder.join(format!("fsync-{}", std::process::id()));
    let mut file = fs::File::create(&name).ok()?;
    let times: std::io::Result<Vec<f64>> = (0..100)
        .map(|_| {
            let started = Instant::now();
            file.write_all(&[7; 8192])?;
            file.sync_data()?;
            Ok(started.elapsed().as_secs_f64() * 1_000.0)
        })
        .collect();
    _ = fs::remove_file(&name);
    Some(Spread::of(&times.ok()?).median)
}

fn cpu() -> Option<String> {
    let text = read("/proc/cpuinfo");
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn memory_gb() -> Option<u64> {
    let text = read("/proc/meminfo");
    let kilobytes: u64 =
        text.lines().find(|line| line.starts_with("MemTotal"))?.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes.div_ceil(1024 * 1024))
}

fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output =
            Command::new("git").args(arguments).output().ok().filter(|output| output.status.success());
        output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else { return "unknown".to_owned() };
    // What was measured is built from these; a note in a page changes nothing.
    let dirty = git(&["status", "--porcelain", "--", "shared", "loadtests/src", "migrations", "Cargo.lock"]);
    if dirty.is_none_or(|text| text.is_empty()) { commit } else { format!("{commit}+") }
}

/// The version that a RabbitMQ gives with its first words.
pub(crate) fn broker_version(url: &str) -> Option<String> {
    let rest = url.split_once("://")?.1;
    let server = rest.rsplit_once('@').map_or(rest, |(_, server)| server).split('/').next()?;
    let mut stream = std::net::TcpStream::connect(server).ok()?;
    stream.set_read_timeout(Some(std::time::Duration::from_secs(5))).ok()?;
    stream.write_all(b"AMQP\x00\x00\x09\x01").ok()?;
    let mut bytes = [0; 1024];
    let read = stream.read(&mut bytes).ok()?;
    version_in(bytes.get(..read)?)
}

/// The long string behind the name in a table of properties.
fn version_in(bytes: &[u8]) -> Option<String> {
    const NAME: &[u8] = b"\x07versionS";
    let at = bytes.windows(NAME.len()).position(|window| window == NAME)? + NAME.len();
    let length = u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?);
    let text = bytes.get(at + 4..at + 4 + usize::try_from(length).ok()?)?;
    Some(String::from_utf8_lossy(text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::version_in;

    #[test]
    fn the_brokers_version_is_found_among_its_properties() {
        let bytes = b"..\x07productS\0\0\0\x08RabbitMQ\x07versionS\0\0\0\x063.10.8\x05other";
        assert_eq!(version_in(bytes).as_deref(), Some("3.10.8"));
        assert_eq!(version_in(b"\x07versionS\0\0\0\xff3.10"), None);
    }
}
