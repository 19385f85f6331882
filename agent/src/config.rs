//! The agent's configuration: a TOML file, over it the environment, over it the flags.

use crate::AgentError;
use clap::{Args, ValueEnum};
use contracts::devices::AgentMode;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// Read when no other file is named; it need not exist.
pub const DEFAULT_FILE: &str = "/etc/patchfleet/agent.toml";
/// What every environment variable of the agent begins with.
pub const ENVIRONMENT_PREFIX: &str = "PATCHFLEET_AGENT_";

/// What the agent may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum Mode {
    /// Scans and installs.
    Full,
    /// Scans and refuses every install; writes nothing outside its state folder.
    ScanOnly,
}

impl From<Mode> for AgentMode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Full => Self::Full,
            Mode::ScanOnly => Self::ScanOnly,
        }
    }
}

/// Where the agent looks for patches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum BackendKind {
    /// Debian and its relatives: dpkg and apt.
    Apt,
    /// Enterprise Linux, Fedora, SUSE and their relatives: rpm. Scans only.
    Rpm,
    /// Alpine and its relatives: apk. Scans only.
    Apk,
    /// A recorded answer of Windows Update, from a file.
    Recorded,
}

/// The configuration. Holds the token, so it has no debug form.
#[derive(Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The server's URL. Plain http only to this machine itself, unless `allow_http`.
    pub server: Option<String>,
    /// One-time enrolment token; not needed any more once enrolled.
    pub token: Option<String>,
    /// Keys, identity and queue.
    pub state_folder: PathBuf,
    /// The device's name; the host name if not given.
    pub name: Option<String>,
    /// What the agent may do.
    pub mode: Mode,
    /// Where it looks for patches.
    pub backend: BackendKind,
    /// A private root instead of the machine itself.
    pub root: Option<PathBuf>,
    /// The recorded answer of Windows Update.
    pub recorded_answer: Option<PathBuf>,
    /// Certificates (PEM) to trust besides the machine's own.
    pub ca_file: Option<PathBuf>,
    /// Whether http to other machines is good enough.
    pub allow_http: bool,
    /// Whether to fetch the package lists before scans and installs; never done in scan-only mode.
    pub refresh: bool,
    /// Seconds between scans that nobody asked for; 0 for none.
    pub scan_interval_seconds: u64,
    /// Seconds that the package manager may take for one job's download, and again for its install.
    pub install_timeout_seconds: u64,
    /// What to log, as a `tracing` filter.
    pub log: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            server: None,
            token: None,
            state_folder: PathBuf::from("/var/lib/patchfleet-agent"),
            name: None,
            mode: Mode::Full,
            backend: BackendKind::Apt,
            root: None,
            recorded_answer: None,
            ca_file: None,
            allow_http: false,
            refresh: true,
            scan_interval_seconds: 86_400,
            install_timeout_seconds: 3_600,
            log: "info".to_owned(),
        }
    }
}

/// The same as flags and environment variables.
#[derive(Args, Clone, Default)]
pub struct Overrides {
    /// Configuration file (TOML) [default: /etc/patchfleet/agent.toml, if it exists]
    #[arg(long, env = "PATCHFLEET_AGENT_CONFIG", global = true)]
    pub config: Option<PathBuf>,
    /// URL of the server
    #[arg(long, env = "PATCHFLEET_AGENT_SERVER", global = true)]
    pub server: Option<String>,
    /// One-time enrolment token
    #[arg(long, env = "PATCHFLEET_AGENT_TOKEN", hide_env_values = true, global = true)]
    pub token: Option<String>,
    /// Folder of key, identity and queue [default: /var/lib/patchfleet-agent]
    #[arg(long, env = "PATCHFLEET_AGENT_STATE_FOLDER", global = true)]
    pub state_folder: Option<PathBuf>,
    /// Name of the device [default: host name]
    #[arg(long, env = "PATCHFLEET_AGENT_NAME", global = true)]
    pub name: Option<String>,
    /// What the agent may do [default: full]
    #[arg(long, env = "PATCHFLEET_AGENT_MODE", global = true)]
    pub mode: Option<Mode>,
    /// Where the agent looks for patches [default: apt]
    #[arg(long, env = "PATCHFLEET_AGENT_BACKEND", global = true)]
    pub backend: Option<BackendKind>,
    /// A private root instead of the machine itself
    #[arg(long, env = "PATCHFLEET_AGENT_ROOT", global = true)]
    pub root: Option<PathBuf>,
    /// Recorded answer of Windows Update (JSON), for the recorded backend
    #[arg(long, env = "PATCHFLEET_AGENT_RECORDED_ANSWER", global = true)]
    pub recorded_answer: Option<PathBuf>,
    /// Certificates (PEM) to trust besides the machine's own
    #[arg(long, env = "PATCHFLEET_AGENT_CA_FILE", global = true)]
    pub ca_file: Option<PathBuf>,
    /// Allow http to other machines [default: false]
    #[arg(long, env = "PATCHFLEET_AGENT_ALLOW_HTTP", global = true)]
    pub allow_http: Option<bool>,
    /// Fetch package lists before scans and installs, in full mode [default: true]
    #[arg(long, env = "PATCHFLEET_AGENT_REFRESH", global = true)]
    pub refresh: Option<bool>,
    /// Seconds between scans that nobody asked for, 0 for none [default: 86400]
    #[arg(long, env = "PATCHFLEET_AGENT_SCAN_INTERVAL_SECONDS", global = true)]
    pub scan_interval_seconds: Option<u64>,
    /// Seconds that the package manager may take [default: 3600]
    #[arg(long, env = "PATCHFLEET_AGENT_INSTALL_TIMEOUT_SECONDS", global = true)]
    pub install_timeout_seconds: Option<u64>,
    /// What to log [default: info]
    #[arg(long, env = "PATCHFLEET_AGENT_LOG", global = true)]
    pub log: Option<String>,
}

impl Config {
    /// Reads the file and lays the overrides over it.
    pub fn load(overrides: Overrides) -> Result<Self, AgentError> {
        let base = match &overrides.config {
            Some(path) => Self::read(path)?,
            None if Path::new(DEFAULT_FILE).exists() => Self::read(Path::new(DEFAULT_FILE))?,
            None => Self::default(),
        };
        base.overridden(overrides).checked()
    }

    /// Parses the content of a configuration file.
    pub fn parse(text: &str) -> Result<Self, AgentError> {
        toml::from_str(text).map_err(|e| AgentError::Config { detail: e.to_string() })
    }

    fn read(path: &Path) -> Result<Self, AgentError> {
        let text = std::fs::read_to_string(path).map_err(crate::files::failed("reading", path))?;
        Self::parse(&text).map_err(|e| AgentError::Config { detail: format!("{}: {e}", path.display()) })
    }

    fn overridden(self, over: Overrides) -> Self {
        Self {
            server: over.server.or(self.server),
            token: over.token.or(self.token),
            state_folder: over.state_folder.unwrap_or(self.state_folder),
            name: over.name.or(self.name),
            mode: over.mode.unwrap_or(self.mode),
            backend: over.backend.unwrap_or(self.backend),
            root: over.root.or(self.root),
            recorded_answer: over.recorded_answer.or(self.recorded_answer),
            ca_file: over.ca_file.or(self.ca_file),
            allow_http: over.allow_http.unwrap_or(self.allow_http),
            refresh: over.refresh.unwrap_or(self.refresh),
            scan_interval_seconds: over.scan_interval_seconds.unwrap_or(self.scan_interval_seconds),
            install_timeout_seconds: over.install_timeout_seconds.unwrap_or(self.install_timeout_seconds),
            log: over.log.unwrap_or(self.log),
        }
    }

    fn checked(self) -> Result<Self, AgentError> {
        let wrong = |detail: &str| Err(AgentError::Config { detail: detail.to_owned() });
        match (self.backend, &self.recorded_answer, &self.root) {
            (BackendKind::Recorded, None, _) => wrong("backend recorded needs recorded_answer"),
            (BackendKind::Recorded, Some(_), Some(_)) => wrong("root is not for backend recorded"),
            (BackendKind::Apt | BackendKind::Rpm | BackendKind::Apk, Some(_), _) => {
                wrong("recorded_answer is only for backend recorded")
            }
            (BackendKind::Recorded, Some(_), None)
            | (BackendKind::Apt | BackendKind::Rpm | BackendKind::Apk, None, _) => {
                if self.install_timeout_seconds == 0 {
                    return wrong("install_timeout_seconds is 0");
                }
                Ok(self)
            }
        }
    }
}

/// Refuses environment variables that look like ours and are not: a misspelt one would be ignored in silence.
pub fn refuse_unknown_environment(
    known: &[String],
    present: impl Iterator<Item = String>,
) -> Result<(), AgentError> {
    for name in present.filter(|name| name.starts_with(ENVIRONMENT_PREFIX)) {
        if !known.contains(&name) {
            return Err(AgentError::Config { detail: format!("unknown environment variable {name}") });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Config, Mode, Overrides, refuse_unknown_environment};

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        let error = Config::parse("servr = \"http://127.0.0.1\"").err().unwrap();
        assert_eq!(error.code(), "agent.config_invalid");
        assert!(error.to_string().contains("servr"), "{error}");
    }

    #[test]
    fn an_unknown_environment_variable_is_refused_by_name() {
        let known = ["PATCHFLEET_AGENT_SERVER".to_owned()];
        let names = |name: &str| [name.to_owned(), "PATH".to_owned()].into_iter();
        assert!(refuse_unknown_environment(&known, names("PATCHFLEET_AGENT_SERVER")).is_ok());
        let error = refuse_unknown_environment(&known, names("PATCHFLEET_AGENT_SERVR")).unwrap_err();
        assert!(error.to_string().contains("PATCHFLEET_AGENT_SERVR"), "{error}");
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_over_defaults() {
        let file = Config::parse("mode = \"scan_only\"\nname = \"a\"\n").unwrap();
        let config = file.overridden(Overrides { name: Some("b".to_owned()), ..Overrides::default() });
        assert_eq!((config.mode, config.name.as_deref()), (Mode::ScanOnly, Some("b")));
        assert_eq!(config.scan_interval_seconds, 86_400);
    }

    #[test]
    fn the_shipped_example_says_the_defaults() {
        let text = include_str!("../packaging/agent.toml");
        assert!(Config::parse(text).is_ok());
        // Every key stands there as a comment with its default: uncommented, it must be a valid file too.
        let uncommented: String = text
            .lines()
            .map(|line| {
                line.strip_prefix("#").filter(|l| l.contains(" = ") && !l.starts_with(' ')).unwrap_or(line)
            })
            .fold(String::new(), |all, line| all + line + "\n");
        let config = Config::parse(&uncommented).unwrap();
        assert_eq!(config.state_folder, Config::default().state_folder);
        assert_eq!(config.scan_interval_seconds, Config::default().scan_interval_seconds);
        assert_eq!(config.install_timeout_seconds, Config::default().install_timeout_seconds);
        assert!(config.root.is_some() && config.ca_file.is_some());
    }
}
