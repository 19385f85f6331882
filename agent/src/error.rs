//! What can go wrong in the agent itself.

use std::path::PathBuf;
use std::time::Duration;

/// A failure of the agent, its files, its server or its tools.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The configuration cannot be used.
    #[error("configuration: {detail}")]
    Config {
        /// What is wrong with it.
        detail: String,
    },
    /// A file or folder cannot be used.
    #[error("{doing} {path}")]
    File {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error("{path} cannot be read: {detail}")]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// Two agents must not share a device identity and a queue.
    #[error("the state folder {path} is in use by another agent")]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// The device is already known to a server.
    #[error("already enrolled at {server} as device {device_id}")]
    AlreadyEnrolled {
        /// Where.
        server: String,
        /// As what.
        device_id: kernel::DeviceId,
    },
    /// The server said no.
    #[error("the server answered {status} {code}: {detail}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// Its stable code.
        code: String,
        /// Its words.
        detail: String,
        /// How long it wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// The server cannot be reached, or its answer cannot be read.
    #[error("{doing}: no usable answer from the server")]
    Unreachable {
        /// What was tried.
        doing: &'static str,
        /// Why not.
        source: reqwest::Error,
    },
    /// The server's answer is not what the protocol says.
    #[error("{doing}: the server's answer cannot be understood: {detail}")]
    Misunderstood {
        /// What was tried.
        doing: &'static str,
        /// What is wrong with it.
        detail: String,
    },
    /// A program of the operating system did not do its work.
    #[error("{tool}: {detail}")]
    Tool {
        /// Which.
        tool: String,
        /// What it said.
        detail: String,
    },
    /// The operating system gave no random numbers.
    #[error("no random numbers: {detail}")]
    Random {
        /// What it said.
        detail: String,
    },
}

impl AgentError {
    /// The stable code.
    pub fn code(&self) -> &str {
        match self {
            Self::Config { .. } => "agent.config_invalid",
            Self::File { .. } => "agent.file_unusable",
            Self::Damaged { .. } => "agent.file_damaged",
            Self::InUse { .. } => "agent.state_in_use",
            Self::AlreadyEnrolled { .. } => "agent.already_enrolled",
            Self::Refused { code, .. } => code,
            Self::Unreachable { .. } => "agent.server_unreachable",
            Self::Misunderstood { .. } => "agent.answer_malformed",
            Self::Tool { .. } => "agent.tool_failed",
            Self::Random { .. } => "agent.no_random_numbers",
        }
    }

    /// Whether the same request can never succeed, however often it is sent.
    ///
    /// 401 and 403 are not among them: a wrong clock or a server being restored must not cost a report.
    pub fn is_permanent(&self) -> bool {
        matches!(self, Self::Refused { status: 400 | 404..=407 | 409..=424 | 426, .. })
    }
}

/// The error and its sources in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
