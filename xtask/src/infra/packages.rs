//! Debian packages unpacked into a private folder: no root needed, nothing installed, no service started.

use super::{postgres, rabbitmq};
use crate::{process, progress::Step, stop, workspace};
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, SystemTime},
};

/// Large packages that come along and that servers without JIT and Perl do not load.
const NOT_UNPACKED: [&str; 3] = ["libllvm", "libperl", "perl"];

/// How often the size of a download is looked at.
const POLL: Duration = Duration::from_millis(200);

const MEGABYTE: u64 = 1_000_000;

/// What the unpacked folder holds; the file is written last, so its absence means an interrupted unpacking.
#[derive(Debug, Serialize, Deserialize)]
struct Complete {
    /// Start scripts hold their own path, so a moved folder is unpacked again.
    root: PathBuf,
    packages: BTreeSet<String>,
}

/// Unpacked packages.
pub(crate) struct Packages {
    root: PathBuf,
}

impl Packages {
    /// Why packages cannot be had on this machine, if so.
    pub(crate) fn obstacle() -> Option<String> {
        ["apt-get", "apt-cache", "dpkg-deb"]
            .into_iter()
            .find(|program| workspace::on_path(program).is_none())
            .map(|program| format!("there is no {program} to fetch Debian packages with"))
    }

    /// Downloads and unpacks what is needed, or takes what an earlier run left.
    pub(crate) fn get(base: &Path, database: bool, broker: bool, step: &Step) -> Result<Self> {
        let folder = base.join("packages");
        fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        // Two runs that start together fetch once.
        let lock = File::create(folder.join("lock")).context("making the lock of the package folder")?;
        lock.lock().context("locking the package folder")?;
        let found = Self { root: folder.join("root") };
        let complete = found.complete();
        let has = |wanted: bool, name: &str| {
            !wanted
                || complete
                    .as_ref()
                    .is_some_and(|done| done.packages.iter().any(|package| package.starts_with(name)))
        };
        if has(database, "postgresql-") && has(broker, "rabbitmq-server") {
            return Ok(found);
        }
        let apt = Apt::prepare(&folder)?;
        step.note("reading package lists");
        if let Err(error) = apt.update() {
            stop::check()?;
            // One unreachable source among several is enough for apt to complain.
            step.note(&format!("going on although {error:#}"));
        }
        let mut packages = complete.map(|done| done.packages).unwrap_or_default();
        if database && !packages.iter().any(|package| package.starts_with("postgresql-")) {
            packages.insert(apt.postgres_of_this_release()?);
        }
        if broker {
            packages.insert("rabbitmq-server".to_owned());
        }
        apt.download(&packages, step)?;
        found.unpack(&apt.newest_archives()?, packages, step)?;
        Ok(found)
    }

    pub(crate) fn postgres(&self) -> Result<postgres::Programs> {
        // They were built to read the time zones of the system.
        if !Path::new("/usr/share/zoneinfo/UTC").exists() {
            bail!("PostgreSQL needs time zone data: apt-get install tzdata");
        }
        let versions = self.root.join("usr/lib/postgresql");
        let entries = fs::read_dir(&versions).with_context(|| format!("reading {}", versions.display()))?;
        let bin = entries
            .flatten()
            .map(|entry| entry.path().join("bin"))
            .find(|bin| bin.join("initdb").is_file())
            .context("the unpacked packages hold no initdb")?;
        Ok(postgres::Programs { bin, libraries: self.libraries() })
    }

    pub(crate) fn rabbitmq(&self) -> Result<rabbitmq::Programs> {
        let unpacked_or_installed = |name: &str| {
            Some(self.root.join("usr/lib/erlang/bin").join(name))
                .filter(|file| file.exists())
                .or_else(|| workspace::on_path(name))
                .with_context(|| format!("neither the unpacked packages nor the path hold {name}"))
        };
        Ok(rabbitmq::Programs {
            server: self.root.join("usr/lib/rabbitmq/bin/rabbitmq-server"),
            erl: unpacked_or_installed("erl")?,
            epmd: unpacked_or_installed("epmd")?,
        })
    }

    /// The folder of shared libraries, whose name depends on the processor.
    fn libraries(&self) -> Option<PathBuf> {
        let entries = fs::read_dir(self.root.join("usr/lib")).ok()?;
        entries
            .flatten()
            .map(|entry| entry.path())
            .find(|path| path.to_string_lossy().ends_with("-linux-gnu"))
    }

    fn complete(&self) -> Option<Complete> {
        let text = fs::read(self.root.join("complete.json")).ok()?;
        serde_json::from_slice::<Complete>(&text).ok().filter(|done| done.root == self.root)
    }

    fn unpack(&self, archives: &[PathBuf], packages: BTreeSet<String>, step: &Step) -> Result<()> {
        if self.root.exists() {
            fs::remove_dir_all(&self.root).with_context(|| format!("removing {}", self.root.display()))?;
        }
        fs::create_dir_all(&self.root).with_context(|| format!("making {}", self.root.display()))?;
        step.note(&format!("unpacking {} packages", archives.len()));
        for (count, archive) in archives.iter().enumerate() {
            stop::check()?;
            step.amount(&format!("unpacking {} of {}", count + 1, archives.len()));
            process::output_of(Command::new("dpkg-deb").arg("-x").arg(archive).arg(&self.root))?;
        }
        self.relocate_erlang()?;
        let complete = Complete { root: self.root.clone(), packages };
        let text = serde_json::to_string_pretty(&complete).context("writing down what was unpacked")?;
        fs::write(self.root.join("complete.json"), text).context("writing down what was unpacked")
    }

    /// Four start scripts of Erlang hold the folder it was built for.
    fn relocate_erlang(&self) -> Result<()> {
        let erlang = self.root.join("usr/lib/erlang");
        let mut folders = vec![erlang.join("bin")];
        for entry in fs::read_dir(&erlang).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with("erts-") {
                folders.push(entry.path().join("bin"));
            }
        }
        for script in folders.iter().flat_map(|folder| ["erl", "start"].map(|name| folder.join(name))) {
            if let Ok(text) = fs::read_to_string(&script) {
                let moved = text.replace("/usr/lib/erlang", &erlang.display().to_string());
                fs::write(&script, moved).with_context(|| format!("writing {}", script.display()))?;
            }
        }
        Ok(())
    }
}

/// apt with lists, cache and configuration of our own; it only reads the machine's sources and package status.
struct Apt {
    folder: PathBuf,
    config: PathBuf,
}

impl Apt {
    fn prepare(packages: &Path) -> Result<Self> {
        let folder = packages.join("apt");
        for name in ["state/lists/partial", "cache/archives/partial", "log"] {
            fs::create_dir_all(folder.join(name)).with_context(|| format!("making apt's folder {name}"))?;
        }
        let at = folder.display();
        let config = folder.join("apt.conf");
        let text = format!(
            "Dir::State \"{at}/state\";\n\
             Dir::State::lists \"{at}/state/lists\";\n\
             Dir::State::status \"/var/lib/dpkg/status\";\n\
             Dir::Cache \"{at}/cache\";\n\
             Dir::Cache::archives \"{at}/cache/archives\";\n\
             Dir::Log \"{at}/log\";\n\
             Debug::NoLocking \"true\";\n\
             APT::Sandbox::User \"\";\n\
             Acquire::Languages \"none\";\n\
             Acquire::Retries \"3\";\n\
             #clear APT::Update::Pre-Invoke;\n\
             #clear APT::Update::Post-Invoke;\n\
             #clear APT::Update::Post-Invoke-Success;\n\
             #clear DPkg::Pre-Invoke;\n\
             #clear DPkg::Post-Invoke;\n"
        );
        fs::write(&config, text).context("writing apt's configuration")?;
        Ok(Self { folder, config })
    }

    fn call(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.arg("-c").arg(&self.config).env("LC_ALL", "C").env("DEBIAN_FRONTEND", "noninteractive");
        command
    }

    fn log(&self) -> PathBuf {
        self.folder.join("log/calls.log")
    }

    fn update(&self) -> Result<()> {
        process::run_logged("apt-get update", self.call("apt-get").args(["-q", "update"]), &self.log())
    }

    /// "postgresql-15" on bookworm, "postgresql-17" on trixie.
    fn postgres_of_this_release(&self) -> Result<String> {
        let answer = process::output_of(self.call("apt-cache").args(["depends", "postgresql"]))?;
        postgres_package(&answer).with_context(|| format!("no PostgreSQL in apt's answer: {answer}"))
    }

    fn download(&self, packages: &BTreeSet<String>, step: &Step) -> Result<()> {
        let install = |options: &[&str]| {
            let mut command = self.call("apt-get");
            // Reinstall: what is installed already is asked for as well, because it is not used from there.
            command.args(["install", "-q", "--yes", "--no-install-recommends", "--reinstall"]);
            command.args(options).args(packages);
            command
        };
        let missing = process::output_of(&mut install(&["--print-uris", "-qq"]))?;
        let total: u64 = missing.lines().filter_map(|line| line.split(' ').nth(2)?.parse::<u64>().ok()).sum();
        step.note(&format!("downloading {} MB of Debian packages", total / MEGABYTE));
        let before = self.downloaded_bytes();
        thread::scope(|scope| {
            let run = scope
                .spawn(|| process::run_logged("apt-get", &mut install(&["--download-only"]), &self.log()));
            while !run.is_finished() {
                let done = self.downloaded_bytes().saturating_sub(before);
                step.amount(&format!("downloading {} of {} MB", done / MEGABYTE, total / MEGABYTE));
                thread::sleep(POLL);
            }
            run.join().unwrap_or_else(|_| bail!("the download panicked"))
        })
    }

    fn archives(&self) -> PathBuf {
        self.folder.join("cache/archives")
    }

    fn downloaded_bytes(&self) -> u64 {
        let size = |folder: PathBuf| -> u64 {
            let entries = fs::read_dir(folder).into_iter().flatten().flatten();
            entries
                .filter_map(|entry| entry.metadata().ok())
                .filter(fs::Metadata::is_file)
                .map(|file| file.len())
                .sum()
        };
        size(self.archives()) + size(self.archives().join("partial"))
    }

    /// One archive per package: an interrupted run of another day may have left an older build, and apt gives each
    /// file the time of the archive's server.
    fn newest_archives(&self) -> Result<Vec<PathBuf>> {
        let mut newest: BTreeMap<String, (SystemTime, PathBuf)> = BTreeMap::new();
        for entry in fs::read_dir(self.archives()).context("reading the downloaded packages")?.flatten() {
            let file = entry.file_name().to_string_lossy().into_owned();
            let Some(name) = file.strip_suffix(".deb").and_then(|file| file.split('_').next()) else {
                continue;
            };
            if NOT_UNPACKED.iter().any(|unneeded| name.starts_with(unneeded)) {
                continue;
            }
            let modified =
                entry.metadata().and_then(|data| data.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
            let held = newest.entry(name.to_owned()).or_insert_with(|| (modified, entry.path()));
            if held.0 < modified {
                *held = (modified, entry.path());
            }
        }
        Ok(newest.into_values().map(|(_, path)| path).collect())
    }
}

fn postgres_package(depends: &str) -> Option<String> {
    depends
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Depends: "))
        .find(|name| name.strip_prefix("postgresql-").is_some_and(|major| major.parse::<u32>().is_ok()))
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::postgres_package;

    #[test]
    fn the_release_says_which_postgres_it_offers() {
        let answer = "postgresql\n  Depends: postgresql-17\n  Suggests: postgresql-doc\n";
        assert_eq!(postgres_package(answer).as_deref(), Some("postgresql-17"));
        assert_eq!(postgres_package("postgresql\n  Suggests: postgresql-doc\n"), None);
    }
}
