//! Systems of RPM packages: reads what is installed, and installs nothing.

mod parse;

use super::{Description, Scan, os_release, tool};
use crate::AgentError;
use crate::config::Config;
use contracts::VersionOrder;
use contracts::agent::Inventory;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// For one question to rpm; its database of a large server is read in seconds.
const QUESTION_LIMIT: Duration = Duration::from_mins(3);
/// Where the database of a private root may be, the newer place first.
const DATABASES: [&str; 2] = ["usr/lib/sysimage/rpm", "var/lib/rpm"];
/// What a report says was asked.
const SOURCE: &str = "rpm: the installed packages; no update source is asked";

/// The backend for Enterprise Linux, Fedora, SUSE and their relatives.
pub struct Rpm {
    root: PathBuf,
    /// Of a private root; the machine's own is where rpm looks by itself.
    database: Option<PathBuf>,
}

impl Rpm {
    pub(super) fn open(config: &Config) -> Result<Self, AgentError> {
        let Some(root) = &config.root else {
            return Ok(Self { root: PathBuf::from("/"), database: None });
        };
        let database = DATABASES.iter().map(|place| root.join(place)).find(|folder| folder.is_dir());
        let Some(database) = database else {
            let detail = format!("root {} has no database of rpm", root.display());
            return Err(AgentError::Config { detail });
        };
        Ok(Self { root: root.clone(), database: Some(database) })
    }

    pub(super) fn describe(&self) -> Result<Description, AgentError> {
        os_release::describe(&self.root)
    }

    pub(super) async fn scan(&self) -> Result<Scan, AgentError> {
        let os = self.describe()?.os;
        let text = match self.ask(parse::FORMAT).await {
            // Enterprise Linux 7 knows no modules, and no tag for them.
            Err(error) if error.to_string().contains("unknown tag") => {
                self.ask(parse::FORMAT_WITHOUT_MODULES).await?
            }
            asked => asked?,
        };
        let installed = parse::installed(&text);
        if installed.is_empty() {
            let detail = "names no installed package at all".to_owned();
            return Err(AgentError::Tool { tool: "rpm".to_owned(), detail });
        }
        let started = if self.database.is_none() { parse::boot_time(&read("/proc/stat")) } else { None };
        let pending_reboot = started.is_some_and(|at| parse::needs_restart(&installed, at));
        let mut packages: Vec<_> = installed.into_iter().map(|it| it.package).collect();
        packages.sort();
        packages.dedup();
        Ok(Scan {
            os,
            inventory: Inventory::Packages { order: VersionOrder::Rpm, packages },
            available: Vec::new(),
            source: SOURCE.to_owned(),
            pending_reboot,
        })
    }

    async fn ask(&self, format: &str) -> Result<String, AgentError> {
        let mut command = tool::program("rpm", QUESTION_LIMIT);
        if let Some(database) = &self.database {
            command.arg("--dbpath").arg(database);
        }
        command.args(["--query", "--all", "--queryformat", format]);
        tool::ask("rpm", &mut command).await
    }
}

fn read(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}
