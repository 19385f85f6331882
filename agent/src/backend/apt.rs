//! dpkg and apt: the machine's own, or those of a private root.

mod failure;
mod parse;
mod private_root;

use crate::AgentError;
use crate::backend::{Description, Scan, os_release, tool};
use crate::config::{Config, Mode};
use crate::files;
use contracts::VersionOrder;
use contracts::agent::Inventory;
use contracts::devices::{AvailableUpdate, PackageVersion};
use contracts::scheduling::PatchOrder;
use parse::{Candidate, Installed, Origin};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::process::Command;

pub use failure::Failure;
pub(super) use failure::last_words;

/// For questions to dpkg and apt; building apt's cache takes seconds on small machines.
const QUESTION_LIMIT: Duration = Duration::from_mins(3);
/// For `apt-get update` over a slow line.
const REFRESH_LIMIT: Duration = Duration::from_mins(10);
/// Packages of one job; a distribution's whole point release has fewer.
const ORDERED_PACKAGES_MAX: usize = 2_000;
/// Names in one call of `apt-cache policy`, far from the kernel's limit of arguments.
const NAMES_PER_CALL: usize = 2_000;
/// Characters of the list of sources in a report.
const SOURCE_CHARS_MAX: usize = 256;

/// The backend for Debian and its relatives.
pub struct Apt {
    root: Option<PathBuf>,
    work: PathBuf,
    // apt's settings for the private root, read before the machine's own would be.
    settings: Option<PathBuf>,
    refresh: bool,
    install_limit: Duration,
}

/// A package that is to be brought from one version to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Binary package, with its architecture if that is a foreign one.
    pub name: String,
    /// At least this version.
    pub fixed_version: String,
    /// The version that is offered.
    pub to: String,
}

/// What an install is going to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The changes; empty if everything ordered is there already.
    pub changes: Vec<Change>,
    /// Where the packages come from.
    pub source: String,
}

impl Apt {
    pub(super) fn open(config: &Config, work: &Path) -> Result<Self, AgentError> {
        let root = config.root.as_deref().map(private_root::usable).transpose()?;
        files::private_folder(work)?;
        let settings = match &root {
            Some(root) => {
                let path = work.join("apt.conf");
                files::write(&path, private_root::apt_settings(root).as_bytes())?;
                Some(path)
            }
            None => None,
        };
        Ok(Self {
            root,
            work: work.to_owned(),
            settings,
            refresh: config.refresh && config.mode == Mode::Full,
            install_limit: Duration::from_secs(config.install_timeout_seconds),
        })
    }

    pub(super) fn describe(&self) -> Result<Description, AgentError> {
        os_release::describe(&self.within(""))
    }

    pub(super) async fn scan(&self) -> Result<Scan, AgentError> {
        let os = self.describe()?.os;
        self.refresh_lists().await;
        let installed = self.installed().await?;
        let native = self.native_architecture().await?;
        let names: BTreeSet<String> = installed.iter().map(|i| full_name(i, &native)).collect();
        let (candidates, origins) = self.offers(&names).await?;
        let mut available = Vec::new();
        for item in &installed {
            let name = full_name(item, &native);
            let Some(candidate) = candidates.get(&name) else { continue };
            let origin = best_origin(candidate, &origins);
            if candidate.version != item.package.version
                && let Some(origin) = origin
                && self.is_newer(&candidate.version, &item.package.version).await?
            {
                available.push(AvailableUpdate {
                    name,
                    installed_version: item.package.version.clone(),
                    candidate_version: candidate.version.clone(),
                    origin: origin.name.clone(),
                    security: origin.security,
                });
            }
        }
        available.sort();
        available.dedup();
        Ok(Scan {
            os,
            inventory: Inventory::Packages {
                order: VersionOrder::Dpkg,
                packages: installed.into_iter().map(|i| i.package).collect(),
            },
            available,
            source: sources_text(origins.values()),
            pending_reboot: self.within("run/reboot-required").exists(),
        })
    }

    /// Finds out what must be done so that every ordered package is at its fixed version, or why it cannot be.
    pub async fn plan(&self, patches: &[PatchOrder]) -> Result<Plan, Failure> {
        let mut ordered: BTreeMap<&str, &str> = BTreeMap::new();
        for package in patches.iter().flat_map(|patch| &patch.packages) {
            let (name, fixed) = (package.name.as_str(), package.fixed_version.as_str());
            if !parse::is_package_name(name) || !parse::is_version(fixed) {
                return Err(Failure::new(
                    "other",
                    format!("{name:?} {fixed:?} is not a package and a version"),
                ));
            }
            let known = ordered.get(name).copied();
            if known.is_none_or(|known| known == fixed)
                || self.is_newer(fixed, known.unwrap_or(fixed)).await?
            {
                ordered.insert(name, fixed);
            }
        }
        if ordered.is_empty() || ordered.len() > ORDERED_PACKAGES_MAX {
            let reason = format!("the job names {} packages, not 1 to {ORDERED_PACKAGES_MAX}", ordered.len());
            return Err(Failure::new("other", reason));
        }
        self.refresh_lists().await;
        let installed = self.installed_by_name().await?;
        let names: BTreeSet<String> = ordered.keys().map(|name| (*name).to_owned()).collect();
        let (candidates, origins) = self.offers(&names).await?;

        let (mut changes, mut used) = (Vec::new(), Vec::new());
        for (name, fixed) in ordered {
            let Some(item) = installed.get(name) else {
                return Err(Failure::new("other", format!("{name} is not installed here")));
            };
            if item.whole && !self.is_newer(fixed, &item.package.version).await? {
                continue;
            }
            let not_offered = |what: &str| {
                Err(Failure::new(
                    "not_offered",
                    format!("{name} {fixed} is wanted, the device's sources offer {what}"),
                ))
            };
            let Some(candidate) = candidates.get(name).filter(|c| parse::is_version(&c.version)) else {
                return not_offered("nothing");
            };
            let origin = best_origin(candidate, &origins);
            if origin.is_none() || self.is_newer(fixed, &candidate.version).await? {
                return not_offered(&candidate.version);
            }
            used.extend(origin);
            changes.push(Change {
                name: name.to_owned(),
                fixed_version: fixed.to_owned(),
                to: candidate.version.clone(),
            });
        }
        Ok(Plan { changes, source: sources_text(used.into_iter()) })
    }

    /// Fetches the packages of a plan.
    pub async fn download(&self, plan: &Plan) -> Result<(), Failure> {
        let mut command = self.apt_get(self.install_limit);
        command.arg("--download-only");
        let finished = tool::run("apt-get", install_arguments(&mut command, plan)).await?;
        if finished.succeeded() { Ok(()) } else { Err(Failure::of(&finished, "download")) }
    }

    /// Installs the packages of a plan and says which packages were changed, in whatever way.
    pub async fn install(&self, plan: &Plan) -> Result<Vec<PackageVersion>, Failure> {
        let before = self.installed_by_name().await?;
        let mut command = self.apt_get(self.install_limit);
        let finished = tool::run("apt-get", install_arguments(&mut command, plan)).await?;
        let after = self.installed_by_name().await?;
        if !finished.succeeded() {
            // apt also fails over packages that were broken before: what was ordered decides.
            for change in &plan.changes {
                let done = match after.get(&change.name) {
                    Some(item) => {
                        item.whole && !self.is_newer(&change.fixed_version, &item.package.version).await?
                    }
                    None => false,
                };
                if !done {
                    return Err(Failure::of(&finished, "other"));
                }
            }
            tracing::warn!(
                reason = failure::last_words(&finished.stderr),
                "everything ordered is installed, yet apt-get complained about something else"
            );
        }
        let changed = after.into_iter().filter(|(name, item)| before.get(name) != Some(item));
        Ok(changed.map(|(name, item)| PackageVersion { name, version: item.package.version }).collect())
    }

    /// Lets dpkg end what it had begun when it was cut off; without that, apt refuses every later install.
    pub async fn repair(&self) -> Result<(), Failure> {
        let mut command = self.program("dpkg", self.install_limit);
        command
            .args(private_root::dpkg_options(self.root.as_deref()))
            .args(["--force-confdef", "--force-confold"]);
        let finished = tool::run("dpkg", command.args(["--configure", "--pending"])).await?;
        if finished.succeeded() { Ok(()) } else { Err(Failure::of(&finished, "other")) }
    }

    /// Fetches package lists. Old lists are better than none, so a failure is only logged.
    async fn refresh_lists(&self) {
        if !self.refresh {
            return;
        }
        let mut command = self.apt_get(REFRESH_LIMIT);
        match tool::run("apt-get", command.arg("update")).await {
            Ok(finished) if finished.succeeded() => {}
            Ok(finished) => {
                let reason = failure::last_words(&finished.stderr);
                tracing::warn!(reason, "package lists could not be fetched; going on with the old ones");
            }
            Err(error) => {
                tracing::warn!(%error, "package lists could not be fetched; going on with the old ones");
            }
        }
    }

    async fn installed(&self) -> Result<Vec<Installed>, AgentError> {
        let mut command = self.program("dpkg-query", QUESTION_LIMIT);
        command.arg(format!("--admindir={}", self.within("var/lib/dpkg").display()));
        command.args(["--show", "--showformat", parse::INSTALLED_FORMAT]);
        tool::ask("dpkg-query", &mut command).await.map(|text| parse::installed(&text))
    }

    async fn installed_by_name(&self) -> Result<BTreeMap<String, Installed>, AgentError> {
        let native = self.native_architecture().await?;
        let installed = self.installed().await?;
        Ok(installed.into_iter().map(|item| (full_name(&item, &native), item)).collect())
    }

    async fn native_architecture(&self) -> Result<String, AgentError> {
        let mut command = self.program("dpkg", QUESTION_LIMIT);
        let text = tool::ask("dpkg", command.arg("--print-architecture")).await?;
        Ok(text.trim().to_owned())
    }

    async fn offers(
        &self,
        names: &BTreeSet<String>,
    ) -> Result<(HashMap<String, Candidate>, HashMap<String, Origin>), AgentError> {
        let origins = parse::origins(&tool::ask("apt-cache", &mut self.apt_cache_policy()).await?);
        let names: Vec<&String> = names.iter().collect();
        let mut candidates = HashMap::new();
        for some in names.chunks(NAMES_PER_CALL) {
            let mut command = self.apt_cache_policy();
            let text = tool::ask("apt-cache", command.arg("--").args(some)).await?;
            candidates.extend(parse::candidates(&text));
        }
        Ok((candidates, origins))
    }

    /// Asks dpkg itself, whose order is the one that counts.
    async fn is_newer(&self, version: &str, than: &str) -> Result<bool, AgentError> {
        let mut command = self.program("dpkg", QUESTION_LIMIT);
        let finished = tool::run("dpkg", command.args(["--compare-versions", version, "gt", than])).await?;
        match finished.status {
            Some(0) => Ok(true),
            Some(1) => Ok(false),
            Some(_) | None => Err(AgentError::Tool {
                tool: "dpkg".to_owned(),
                detail: format!(
                    "cannot compare {version:?} with {than:?}: {}",
                    failure::last_words(&finished.stderr)
                ),
            }),
        }
    }

    fn apt_cache_policy(&self) -> Command {
        let mut command = self.program("apt-cache", QUESTION_LIMIT);
        // A question must leave nothing behind on the machine: apt's caches of it go to our own folder.
        for (option, file) in [("pkgcache", "pkgcache.bin"), ("srcpkgcache", "srcpkgcache.bin")] {
            command.arg("-o").arg(format!("Dir::Cache::{option}={}", self.work.join(file).display()));
        }
        command.arg("policy");
        command
    }

    fn apt_get(&self, limit: Duration) -> Command {
        let mut command = self.program("apt-get", limit);
        command.args(["--quiet", "--yes"]);
        for option in [
            "Dpkg::Use-Pty=false",
            "DPkg::Lock::Timeout=60",
            "DPkg::Options::=--force-confdef",
            "DPkg::Options::=--force-confold",
        ] {
            command.args(["-o", option]);
        }
        command
    }

    fn program(&self, name: &str, limit: Duration) -> Command {
        let mut command = tool::program(name, limit);
        command
            .env("DEBIAN_FRONTEND", "noninteractive")
            .env("APT_LISTCHANGES_FRONTEND", "none")
            .env("NEEDRESTART_MODE", "l")
            .env("UCF_FORCE_CONFFOLD", "1");
        match &self.settings {
            Some(settings) => command.env("APT_CONFIG", settings).env("HOME", &self.work),
            None => command.env("HOME", "/root"),
        };
        command
    }

    fn within(&self, path: &str) -> PathBuf {
        self.root.as_deref().unwrap_or(Path::new("/")).join(path)
    }
}

/// Never from outside: names are checked against dpkg's grammar and against what is installed, versions are the
/// ones that this device's own sources offer.
fn install_arguments<'a>(command: &'a mut Command, plan: &Plan) -> &'a mut Command {
    command
        .args(["--only-upgrade", "--no-remove", "--no-install-recommends", "install", "--"])
        .args(plan.changes.iter().map(|change| format!("{}={}", change.name, change.to)))
}

/// The name by which apt knows a package: with its architecture if that is not the machine's own.
fn full_name(item: &Installed, native: &str) -> String {
    let package = &item.package;
    if package.architecture == native || package.architecture == "all" {
        package.name.clone()
    } else {
        format!("{}:{}", package.name, package.architecture)
    }
}

fn best_origin<'a>(candidate: &Candidate, origins: &'a HashMap<String, Origin>) -> Option<&'a Origin> {
    let mut known = candidate.sources.iter().filter_map(|key| origins.get(key));
    let first = known.clone().next();
    known.find(|origin| origin.security).or(first)
}

fn sources_text<'a>(origins: impl Iterator<Item = &'a Origin>) -> String {
    let addresses: BTreeSet<&str> = origins.map(|origin| origin.address.as_str()).collect();
    let list = addresses.into_iter().collect::<Vec<_>>().join(", ");
    format!("apt: {list}").chars().take(SOURCE_CHARS_MAX).collect()
}
