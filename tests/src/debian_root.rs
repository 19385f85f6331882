//! A private Debian root with a package repository of its own, made with the machine's real apt and dpkg.
//!
//! Works as root and as an ordinary user, and leaves the machine's own packages alone: every tool is told to live
//! below the given folder. Needs `apt-get`, `dpkg`, `dpkg-deb` and `sha256sum`, which every Debian machine has.

use anyhow::{Context, bail};
use std::fmt::Write;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const OS_RELEASE: &str = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME=\"Debian GNU/Linux\"\n\
    VERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\nID=debian\n";
const FOLDERS: &[&str] = &[
    "etc/apt/apt.conf.d",
    "etc/apt/preferences.d",
    "etc/apt/sources.list.d",
    "etc/apt/trusted.gpg.d",
    "home",
    "run",
    "tmp",
    "usr/bin",
    "var/cache/apt/archives/partial",
    "var/lib/apt/lists/partial",
    "var/lib/dpkg/info",
    "var/lib/dpkg/triggers",
    "var/lib/dpkg/updates",
    "var/log/apt",
];
/// dpkg asks for `ldconfig` and `start-stop-daemon`, which an ordinary user's path does not have.
const TOOL_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What a package's `postinst` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Postinst {
    /// There is none.
    Absent,
    /// It complains on standard error and ends with status 1.
    Fails,
    /// It waits until the root has a file `tmp/go`: a package manager at work for as long as a test needs.
    Waits,
}

impl Postinst {
    fn script(self, name: &str) -> Option<String> {
        match self {
            Self::Absent => None,
            Self::Fails => Some(format!("echo '{name}: cannot migrate its settings' >&2\nexit 1\n")),
            Self::Waits => Some("while [ ! -e \"$DPKG_ROOT/tmp/go\" ]; do sleep 0.1; done\n".to_owned()),
        }
    }
}

/// A private root: Debian 12, `pfdemo` and `pfbad` 1.0 installed, 1.1 of both offered by a local repository.
///
/// Version 1.1 of `pfbad` cannot be installed: its `postinst` fails.
#[derive(Debug, Clone)]
pub struct DebianRoot {
    root: PathBuf,
    repository: PathBuf,
    work: PathBuf,
}

impl DebianRoot {
    /// Makes root and repository in `folder`, which is made too.
    pub fn create(folder: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        let folder = folder.canonicalize()?;
        if folder.to_str().is_none_or(|text| text.contains(['"', ' ', ';', '[', ']', '%'])) {
            bail!("apt cannot use the folder {}: its name has a space, quote or bracket", folder.display());
        }
        let made = Self {
            root: folder.join("root"),
            repository: folder.join("repository"),
            work: folder.join("build"),
        };
        for path in FOLDERS {
            fs::create_dir_all(made.root.join(path))?;
        }
        fs::create_dir_all(&made.repository)?;
        fs::create_dir_all(&made.work)?;
        for (path, content) in [
            ("etc/os-release", OS_RELEASE),
            ("var/lib/dpkg/status", ""),
            ("var/lib/dpkg/available", ""),
            ("etc/apt/sources.list", &format!("deb [trusted=yes] file:{} ./\n", made.repository.display())),
        ] {
            fs::write(made.root.join(path), content)?;
        }
        fs::write(made.apt_config(), made.apt_config_text())?;

        made.publish("pfdemo", "1.0", Postinst::Absent)?;
        made.publish("pfbad", "1.0", Postinst::Absent)?;
        made.apt_get(&["install", "pfdemo=1.0", "pfbad=1.0"])?;
        made.publish("pfdemo", "1.1", Postinst::Absent)?;
        made.publish("pfbad", "1.1", Postinst::Fails)?;
        Ok(made)
    }

    /// The root: what an agent's `root` option is to name.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Builds a package with `dpkg-deb`, adds it to the repository and lets the root's apt know.
    pub fn publish(&self, name: &str, version: &str, postinst: Postinst) -> anyhow::Result<()> {
        let tree = self.work.join(format!("{name}_{version}"));
        let content = tree.join("usr/share/pfdemo");
        let control = tree.join("DEBIAN");
        fs::create_dir_all(&content)?;
        fs::create_dir_all(&control)?;
        fs::write(content.join(name), format!("{name} {version}\n"))?;
        fs::write(control.join("control"), control_text(name, version))?;
        if let Some(script) = postinst.script(name) {
            let path = control.join("postinst");
            fs::write(&path, format!("#!/bin/sh\n{script}"))?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        }
        // dpkg-deb refuses a control folder that only its owner may enter, as a strict umask makes it.
        for folder in [&tree, &control] {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
        }
        let file = self.repository.join(format!("{name}_{version}_all.deb"));
        run(Command::new("dpkg-deb").arg("--root-owner-group").arg("--build").arg(&tree).arg(&file))?;
        self.write_index()?;
        self.apt_get(&["update"])?;
        Ok(())
    }

    /// What dpkg says is there: name, version and status (`installed`, `half-configured` …), sorted by name.
    pub fn versions(&self) -> anyhow::Result<Vec<(String, String, String)>> {
        let text = run(Command::new("dpkg-query")
            .arg(format!("--admindir={}", self.root.join("var/lib/dpkg").display()))
            .args(["--show", "--showformat", "${Package} ${Version} ${db:Status-Status}\n"]))?;
        let mut versions: Vec<_> = text
            .lines()
            .filter_map(|line| {
                let mut words = line.split(' ').map(str::to_owned);
                Some((words.next()?, words.next()?, words.next()?))
            })
            .collect();
        versions.sort();
        Ok(versions)
    }

    /// The version at which a package is installed and configured.
    pub fn version_of(&self, name: &str) -> anyhow::Result<Option<String>> {
        let found = self.versions()?.into_iter().find(|(n, _, status)| n == name && status == "installed");
        Ok(found.map(|(_, version, _)| version))
    }

    /// Writes `Packages` and `Release` for every package file that is there.
    fn write_index(&self) -> anyhow::Result<()> {
        let mut files: Vec<_> = fs::read_dir(&self.repository)?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<_, _>>()?;
        files.retain(|path| path.extension().is_some_and(|end| end == "deb"));
        files.sort();
        let mut packages = String::new();
        for path in &files {
            let control = run(Command::new("dpkg-deb").arg("--field").arg(path))?;
            let name = path.file_name().unwrap_or_default().display();
            let (size, sha256) = (fs::metadata(path)?.len(), sha256(path)?);
            let _ = writeln!(packages, "{control}\nFilename: ./{name}\nSize: {size}\nSHA256: {sha256}\n");
        }
        let index = self.repository.join("Packages");
        fs::write(&index, &packages)?;
        let (size, sha256) = (packages.len(), sha256(&index)?);
        let release = format!(
            "Origin: Patchfleet\nLabel: Patchfleet-Demo-Security\nSuite: stable-security\nVersion: 12\n\
             Codename: bookworm\nDate: Thu, 01 Jan 2026 00:00:00 UTC\nSHA256:\n {sha256} {size} Packages\n"
        );
        fs::write(self.repository.join("Release"), release)?;
        Ok(())
    }

    fn apt_config(&self) -> PathBuf {
        self.work.join("apt.conf")
    }

    // Read by APT_CONFIG before the machine's own apt.conf.d would be: its hooks are not for this root.
    fn apt_config_text(&self) -> String {
        let root = self.root.display();
        format!(
            "Dir \"{root}\";\nDir::State::status \"{root}/var/lib/dpkg/status\";\nDir::Bin::dpkg \"/usr/bin/dpkg\";\n\
             Debug::NoLocking \"true\";\nAPT::Sandbox::User \"\";\nDpkg::Use-Pty \"false\";\n\
             DPkg::Options {{ \"--root={root}\"; \"--log={root}/var/log/dpkg.log\"; \"--force-not-root\"; \
             \"--force-script-chrootless\"; }};\n"
        )
    }

    fn apt_get(&self, arguments: &[&str]) -> anyhow::Result<String> {
        run(Command::new("apt-get")
            .args(["--quiet", "--yes"])
            .args(arguments)
            .env("APT_CONFIG", self.apt_config())
            .env("HOME", self.root.join("home"))
            .env("DEBIAN_FRONTEND", "noninteractive"))
    }
}

fn control_text(name: &str, version: &str) -> String {
    format!(
        "Package: {name}\nVersion: {version}\nArchitecture: all\nSection: misc\nPriority: optional\n\
         Maintainer: Patchfleet Demo <demo@example.org>\nDescription: package of the demonstration\n"
    )
}

fn sha256(path: &Path) -> anyhow::Result<String> {
    let line = run(Command::new("sha256sum").arg("--binary").arg(path))?;
    let hash = line.split(' ').next().unwrap_or_default().trim_start_matches('\\');
    Ok(hash.to_owned())
}

fn run(command: &mut Command) -> anyhow::Result<String> {
    let program = command.get_program().display().to_string();
    let output = command
        .env("LC_ALL", "C")
        .env("PATH", TOOL_PATH)
        .output()
        .with_context(|| format!("starting {program}; is this a Debian machine?"))?;
    if !output.status.success() {
        let said = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
        bail!("{program} ended with {}: {}", output.status, String::from_utf8_lossy(&said).trim());
    }
    String::from_utf8(output.stdout)
        .map(|text| text.trim_end().to_owned())
        .with_context(|| format!("{program} said something that is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::DebianRoot;

    #[test]
    fn the_root_has_both_packages_at_1_0() {
        let folder = std::env::temp_dir()
            .join(format!("patchfleet-root-{}", uuid::Uuid::from_u128(std::process::id().into())));
        let root = DebianRoot::create(&folder).unwrap();
        let entry = |name: &str| (name.to_owned(), "1.0".to_owned(), "installed".to_owned());
        assert_eq!(root.versions().unwrap(), [entry("pfbad"), entry("pfdemo")]);
        assert_eq!(root.version_of("pfdemo").unwrap().as_deref(), Some("1.0"));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
