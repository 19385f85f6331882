//! A private RabbitMQ node with its own Erlang port mapper.

use super::{place, place::RunFolder, secret};
use crate::{
    process::{self, RUN_FOLDER_VARIABLE, Running},
    progress::Step,
    stop, workspace,
};
use anyhow::{Context, Result};
use rustix::process::Signal;
use std::{
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

/// A node opens its port after 6 to 19 seconds on an idle machine, later on a busy one.
const START_LIMIT: Duration = Duration::from_mins(2);

/// How long one attempt to talk to the node may take.
const TALK_LIMIT: Duration = Duration::from_secs(2);

/// How the node is called.
const NODE: &str = "rmq@127.0.0.1";

/// How long the node may take to evaluate an expression.
const EVALUATE_LIMIT: Duration = Duration::from_secs(10);

/// What a client says first in AMQP 0-9-1.
const AMQP_HEADER: &[u8] = b"AMQP\x00\x00\x09\x01";

/// Where a RabbitMQ's programs are.
#[derive(Debug, Clone)]
pub(crate) struct Programs {
    /// The server itself, not the wrapper in `/usr/sbin` that switches user.
    pub(crate) server: PathBuf,
    pub(crate) erl: PathBuf,
    pub(crate) epmd: PathBuf,
}

impl Programs {
    /// Those installed on this machine.
    pub(crate) fn installed() -> Option<Self> {
        let server = [
            Some(PathBuf::from("/usr/lib/rabbitmq/bin/rabbitmq-server")),
            workspace::on_path("rabbitmq-server"),
        ]
        .into_iter()
        .flatten()
        .find(|file| fs::read_to_string(file).is_ok_and(|text| text.contains("rabbitmq-env")))?;
        let erl = workspace::on_path("erl").or_else(|| existing("/usr/lib/erlang/bin/erl"))?;
        let epmd = workspace::on_path("epmd").or_else(|| existing("/usr/lib/erlang/bin/epmd"))?;
        Some(Self { server, erl, epmd })
    }
}

fn existing(file: &str) -> Option<PathBuf> {
    Some(PathBuf::from(file)).filter(|file| file.is_file())
}

/// The ports of one node.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ports {
    pub(crate) amqp: u16,
    pub(crate) management: u16,
    pub(crate) distribution: u16,
    pub(crate) epmd: u16,
}

/// One node with its own data.
pub(crate) struct RabbitMq {
    programs: Programs,
    run_folder: PathBuf,
    folder: PathBuf,
    ports: Ports,
    password: String,
    /// Started first and by us, so that it ends with us: the one a node starts by itself stays behind.
    epmd: Option<Running>,
    running: Option<Running>,
}

impl RabbitMq {
    /// Writes the configuration and starts the node.
    pub(crate) fn create(programs: Programs, run: &RunFolder, ports: Ports, step: &Step) -> Result<Self> {
        let folder = run.private("rabbitmq")?;
        let mut node = Self {
            programs,
            run_folder: run.path().to_owned(),
            folder,
            ports,
            password: secret()?,
            epmd: None,
            running: None,
        };
        node.configure()?;
        step.note("starting, which takes 5 to 20 seconds");
        node.start()?;
        Ok(node)
    }

    /// How an administrator's connection reaches it.
    pub(crate) fn url(&self) -> String {
        format!("amqp://patchfleet:{}@127.0.0.1:{}/%2f", self.password, self.ports.amqp)
    }

    /// The management API, with which tests make virtual hosts.
    pub(crate) fn admin_url(&self) -> String {
        format!("http://patchfleet:{}@127.0.0.1:{}", self.password, self.ports.management)
    }

    pub(crate) fn port(&self) -> u16 {
        self.ports.amqp
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        self.running.as_ref().map(Running::pid)
    }

    /// Fails when the node has ended by itself.
    pub(crate) fn check_alive(&mut self) -> Result<()> {
        self.running.as_mut().map_or(Ok(()), Running::check_alive)
    }

    /// Starts the node on its port with its data, and waits until it speaks AMQP.
    pub(crate) fn start(&mut self) -> Result<()> {
        let log = self.folder.join("node.log");
        if self.epmd.is_none() {
            let mut command = Command::new(&self.programs.epmd);
            command.args(["-port", &self.ports.epmd.to_string(), "-address", "127.0.0.1"]);
            command.env_clear().env(RUN_FOLDER_VARIABLE, &self.run_folder);
            self.epmd = Some(Running::start("epmd", &mut command, &log)?);
        }
        let mut running = Running::start("RabbitMQ", &mut self.command(), &log)?;
        let Ports { amqp, management, .. } = self.ports;
        stop::wait_until("RabbitMQ", START_LIMIT, || {
            running.check_alive()?;
            Ok(speaks(amqp, AMQP_HEADER) && speaks(management, b"GET / HTTP/1.0\r\n\r\n"))
        })?;
        self.running = Some(running);
        Ok(())
    }

    /// Ends the node: in order, so that clients are told, or at once, as a crash would.
    pub(crate) fn stop(&mut self, crash: bool) {
        if let Some(mut running) = self.running.take() {
            running.end(if crash { Signal::KILL } else { Signal::TERM }, Duration::from_secs(20));
        }
    }

    /// Has the node evaluate an Erlang expression; answers with its value.
    pub(crate) fn evaluate(&self, expression: &str) -> Result<String> {
        let call = format!(
            "R = rpc:call('{NODE}', erl_eval, exprs, [element(2, erl_parse:parse_exprs(element(2, \
             erl_scan:string(\"{expression}.\")))), []], {}), io:format(\"~0p\", [R]), halt().",
            EVALUATE_LIMIT.as_millis()
        );
        let mut command = Command::new(&self.programs.erl);
        command
            .current_dir(&self.folder)
            .env_clear()
            .env(RUN_FOLDER_VARIABLE, &self.run_folder)
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", self.folder.join("home"))
            .env("LC_ALL", "C.UTF-8")
            .env("ERL_EPMD_PORT", self.ports.epmd.to_string())
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .args(["-noinput", "-hidden", "-name"])
            .arg(format!("control-{}@127.0.0.1", std::process::id()))
            .args(["-kernel", "inet_dist_use_interface", "{127,0,0,1}"])
            .args(["-eval", &call]);
        let answer = process::output_of(&mut command)?;
        // {value,7,[]}
        let value = answer.strip_prefix("{value,").and_then(|rest| rest.strip_suffix(",[]}"));
        value
            .map(ToOwned::to_owned)
            .with_context(|| format!("the broker could not evaluate {expression}: {answer}"))
    }

    /// Ends the node for good.
    pub(crate) fn end(&mut self) {
        self.stop(true);
        if let Some(mut epmd) = self.epmd.take() {
            epmd.end(Signal::KILL, Duration::from_secs(2));
        }
    }

    fn configure(&self) -> Result<()> {
        let Ports { amqp, management, .. } = self.ports;
        let settings = format!(
            "listeners.tcp.1 = 127.0.0.1:{amqp}\n\
             management.tcp.ip = 127.0.0.1\n\
             management.tcp.port = {management}\n\
             default_user = patchfleet\n\
             default_pass = {}\n\
             log.console = false\n\
             log.file.level = info\n\
             vm_memory_high_watermark.absolute = 1GB\n\
             disk_free_limit.absolute = 50MB\n\
             raft.wal_max_size_bytes = 64000000\n",
            self.password,
        );
        for (name, text) in [
            ("rabbitmq.conf", settings.as_str()),
            // Empty: the machine's own node must not lend us its settings.
            ("rabbitmq-env.conf", ""),
            ("enabled_plugins", "[rabbitmq_management].\n"),
        ] {
            fs::write(self.folder.join(name), text).with_context(|| format!("writing {name}"))?;
        }
        for name in ["home", "log", "data", "generated"] {
            let folder = self.folder.join(name);
            fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        }
        let cookie = self.folder.join("home/.erlang.cookie");
        fs::write(&cookie, secret()?).context("writing the Erlang cookie")?;
        place::set_mode(&cookie, 0o400)
    }

    fn command(&self) -> Command {
        let at = |name: &str| self.folder.join(name);
        let erl_folder = self.programs.erl.parent().unwrap_or(Path::new("/usr/bin"));
        let mut command = Command::new(&self.programs.server);
        command
            .current_dir(&self.folder)
            .env_clear()
            .env(RUN_FOLDER_VARIABLE, &self.run_folder)
            .env("PATH", format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", erl_folder.display()))
            .env("HOME", at("home"))
            .env("LC_ALL", "C.UTF-8")
            // Makes the start script become the node instead of waiting for it, so that our pid is the node's.
            .env("RUNNING_UNDER_SYSTEMD", "true")
            .env("RABBITMQ_NODENAME", NODE)
            .env("RABBITMQ_USE_LONGNAME", "true")
            .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODE_PORT", self.ports.amqp.to_string())
            .env("RABBITMQ_DIST_PORT", self.ports.distribution.to_string())
            .env("ERL_EPMD_PORT", self.ports.epmd.to_string())
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "-kernel inet_dist_use_interface {127,0,0,1}")
            .env("RABBITMQ_CONF_ENV_FILE", at("rabbitmq-env.conf"))
            .env("RABBITMQ_CONFIG_FILE", at("rabbitmq.conf"))
            .env("RABBITMQ_ADVANCED_CONFIG_FILE", at("advanced.config"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", at("enabled_plugins"))
            .env("RABBITMQ_MNESIA_BASE", at("data"))
            .env("RABBITMQ_LOG_BASE", at("log"))
            .env("RABBITMQ_LOGS", at("log/rabbit.log"))
            .env("RABBITMQ_GENERATED_CONFIG_DIR", at("generated"))
            .env("RABBITMQ_SCHEMA_DIR", at("generated"))
            .env("RABBITMQ_PID_FILE", at("node.pid"));
        command
    }
}

impl Drop for RabbitMq {
    fn drop(&mut self) {
        self.end();
    }
}

/// Whether something on the port answers to the bytes.
fn speaks(port: u16, bytes: &[u8]) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let talk = || -> std::io::Result<usize> {
        let mut stream = TcpStream::connect_timeout(&address, TALK_LIMIT)?;
        stream.set_read_timeout(Some(TALK_LIMIT))?;
        stream.write_all(bytes)?;
        stream.read(&mut [0; 8])
    };
    talk().is_ok_and(|read| read > 0)
}
