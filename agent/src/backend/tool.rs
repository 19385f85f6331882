//! Running the operating system's programs: bounded in time and output, in a known environment.

use crate::AgentError;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;

/// A service or an ordinary user may lack the folders in which dpkg's helpers are.
const TOOL_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Bytes kept of each stream: `apt-cache policy` for 10,000 packages says about 10 MB.
const OUTPUT_BYTES_MAX: usize = 32 * 1024 * 1024;
/// What apt needs to get out where only a proxy does.
const INHERITED: &[&str] = &[
    "http_proxy",
    "https_proxy",
    "ftp_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "TMPDIR",
];
/// Seconds between asking a program that takes too long to end, and ending it.
const KILL_AFTER_SECONDS: u64 = 60;
/// What `timeout` ends with when the time was up, and when it had to insist.
const TIMED_OUT: [i32; 2] = [124, 137];

/// What `timeout` ends with when there is no such program.
const NOT_FOUND: i32 = 127;

/// How a program ended.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) status: Option<i32>,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl Finished {
    pub(super) fn succeeded(&self) -> bool {
        self.status == Some(0)
    }

    pub(super) fn timed_out(&self) -> bool {
        self.status.is_some_and(|status| TIMED_OUT.contains(&status))
    }
}

/// A program of the operating system, to be run in an environment that holds only what it needs.
pub(super) fn program(name: &str, limit: Duration) -> Command {
    // coreutils' `timeout` puts the program into a process group of its own, so a Ctrl-C for the agent does not
    // cut dpkg off, and ends the whole group when the time is up.
    let mut command = Command::new("timeout");
    command
        .arg(format!("--kill-after={KILL_AFTER_SECONDS}"))
        .arg(limit.as_secs().to_string())
        .arg(name)
        .env_clear()
        .env("PATH", TOOL_PATH)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    for name in INHERITED {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}

/// Runs a program to its end.
pub(super) async fn run(tool: &'static str, command: &mut Command) -> Result<Finished, AgentError> {
    let failed = |detail: String| AgentError::Tool { tool: tool.to_owned(), detail };
    let mut child = command.spawn().map_err(|e| failed(format!("cannot be started: {e}")))?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let (stdout, stderr) = tokio::join!(tail(out), tail(err));
    let status = child.wait().await.map_err(|e| failed(e.to_string()))?;
    Ok(Finished { status: status.code(), stdout, stderr })
}

/// Runs a program that only answers a question.
pub(super) async fn ask(tool: &'static str, command: &mut Command) -> Result<String, AgentError> {
    let finished = run(tool, command).await?;
    if finished.succeeded() {
        return Ok(finished.stdout);
    }
    let said = super::apt::last_words(&finished.stderr);
    let detail = match finished.status {
        Some(NOT_FOUND) => "is not installed here".to_owned(),
        Some(_) if finished.timed_out() => "took too long".to_owned(),
        Some(status) => format!("ended with {status}: {said}"),
        None => format!("was ended by a signal: {said}"),
    };
    Err(AgentError::Tool { tool: tool.to_owned(), detail })
}

/// Reads to the end and keeps the last bytes.
async fn tail(stream: Option<impl AsyncRead + Unpin>) -> String {
    let Some(mut stream) = stream else { return String::new() };
    let mut kept = Vec::new();
    let mut chunk = vec![0u8; 64 * 1024];
    // A stream that breaks ends with the program; its status tells.
    while let Ok(read @ 1..) = stream.read(&mut chunk).await {
        kept.extend_from_slice(&chunk[..read]);
        if kept.len() > 2 * OUTPUT_BYTES_MAX {
            kept.drain(..kept.len() - OUTPUT_BYTES_MAX);
        }
    }
    String::from_utf8_lossy(&kept).into_owned()
}
