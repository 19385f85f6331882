//! Lets a test in another process ask the launcher, which stays the servers' parent, to restart one of them.

use super::Servers;
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::{
    env, fs,
    io::{BufRead, BufReader, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

/// The variable that names the state file.
pub(crate) const STATE_VARIABLE: &str = "PATCHFLEET_INFRA_STATE";

/// A request is one short line.
const REQUEST_LIMIT: Duration = Duration::from_secs(5);

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Server {
    /// PostgreSQL.
    Database,
    /// RabbitMQ.
    Broker,
}

/// What a run started; for tests and for curious people.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct State {
    /// The launcher.
    pub(crate) owner_pid: u32,
    pub(crate) folder: PathBuf,
    /// Where restart requests go.
    pub(crate) control: SocketAddr,
    /// Proves that a request comes from somebody who can read this file.
    pub(crate) token: String,
    /// None where the server was given by its URL, and cannot be restarted by us.
    pub(crate) database: Option<Started>,
    pub(crate) broker: Option<Started>,
}

/// A server that was started by us. Its pid changes with a restart.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Started {
    pub(crate) pid: Option<u32>,
    pub(crate) port: u16,
    pub(crate) log: PathBuf,
}

#[derive(Debug, Serialize, Deserialize)]
struct Request {
    token: String,
    server: Server,
    crash: bool,
    down_for: Duration,
}

#[derive(Debug, Serialize, Deserialize)]
struct Answer {
    error: Option<String>,
}

/// Binds the address that requests go to.
pub(super) fn bind() -> Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("binding the control address")?;
    let address = listener.local_addr().context("reading the control address")?;
    Ok((listener, address))
}

/// Serves requests until the process ends.
pub(super) fn serve(listener: TcpListener, token: String, servers: Arc<Servers>) {
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (servers, token) = (Arc::clone(&servers), token.clone());
            // A caller who goes away before the answer has no use for it.
            thread::spawn(move || _ = answer(stream, &token, &servers));
        }
    });
}

fn answer(mut stream: TcpStream, token: &str, servers: &Servers) -> Result<()> {
    stream.set_read_timeout(Some(REQUEST_LIMIT))?;
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line)?;
    let request: Request = serde_json::from_str(&line).context("reading a control request")?;
    let outcome = if request.token == token {
        servers.restart(request.server, request.crash, request.down_for)
    } else {
        Err(anyhow::anyhow!("wrong token"))
    };
    let answer = Answer { error: outcome.err().map(|error| format!("{error:#}")) };
    writeln!(stream, "{}", serde_json::to_string(&answer)?)?;
    Ok(())
}

/// Asks the launcher named by the state file to restart a server, and waits until it serves again.
pub(crate) fn request_restart(server: Server, crash: bool, down_for: Duration) -> Result<Duration> {
    let file = env::var_os(STATE_VARIABLE).with_context(|| {
        format!("{STATE_VARIABLE} names no state file: run this from within `cargo xtask test`, or `source .dev/env`")
    })?;
    let state = read_state(Path::new(&file))?;
    let started = Instant::now();
    let mut stream = TcpStream::connect(state.control)
        .with_context(|| format!("reaching the launcher (pid {}) at {}", state.owner_pid, state.control))?;
    let request = Request { token: state.token, server, crash, down_for };
    writeln!(stream, "{}", serde_json::to_string(&request)?).context("asking for a restart")?;
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line).context("waiting for the restart")?;
    let answer: Answer = serde_json::from_str(&line).context("reading the launcher's answer")?;
    if let Some(error) = answer.error {
        bail!(error);
    }
    Ok(started.elapsed())
}

fn read_state(file: &Path) -> Result<State> {
    let text = fs::read(file).with_context(|| format!("reading {}", file.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("understanding {}", file.display()))
}
