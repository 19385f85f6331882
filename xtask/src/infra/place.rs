//! Folders for servers: `.dev/` in the checkout, or one below the temporary folder where servers cannot use that.

use crate::process;
use anyhow::{Context, Result, bail};
use std::{
    env, fs,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

/// The user and group `nobody`, whom Postgres runs as when we are root.
pub(crate) const NOBODY: u32 = 65534;

/// Whether we run as root.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The folder that outlives runs: unpacked packages and the run folders.
pub(crate) fn base(root: &Path) -> Result<PathBuf> {
    let beside_code = root.join(".dev");
    if usable(&beside_code) {
        return Ok(beside_code);
    }
    let owner = rustix::process::geteuid().as_raw();
    let elsewhere = env::temp_dir().join(format!("patchfleet-{owner}"));
    if !usable(&elsewhere) {
        bail!("neither {} nor {} can hold servers' files", beside_code.display(), elsewhere.display());
    }
    // Anybody may have made a folder of this name before us.
    let found =
        fs::symlink_metadata(&elsewhere).with_context(|| format!("reading {}", elsewhere.display()))?;
    if found.uid() != owner || !found.is_dir() || found.mode() & 0o022 != 0 {
        bail!("{} is not a folder of our own: remove it", elsewhere.display());
    }
    Ok(elsewhere)
}

/// Creates the folder if needed; whether servers can be put there.
fn usable(folder: &Path) -> bool {
    // Erlang's start scripts hold their own path unquoted.
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    if !folder.to_str().is_some_and(|path| path.chars().all(plain)) || make(folder).is_err() {
        return false;
    }
    let probe = folder.join(".writable");
    if fs::write(&probe, "").is_err() {
        return false;
    }
    _ = fs::remove_file(probe);
    !is_root()
        || folder.ancestors().all(|part| fs::metadata(part).is_ok_and(|found| found.mode() & 0o001 != 0))
}

/// Makes a folder that others can pass through (as root, Postgres is somebody else), not list.
fn make(folder: &Path) -> Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    set_mode(folder, if is_root() { 0o711 } else { 0o700 })
}

/// Sets the permission bits of a file or folder.
pub(crate) fn set_mode(path: &Path, mode: u32) -> Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .with_context(|| format!("setting the mode of {}", path.display()))
}

/// The folder of one run, removed at its end.
pub(crate) struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// Makes a new one, after removing what killed runs left behind.
    pub(crate) fn create(base: &Path) -> Result<Self> {
        sweep(base);
        let millis = SystemTime::now().duration_since(UNIX_EPOCH).context("reading the clock")?.as_millis();
        let path = base.join(format!("run-{millis:x}-{}", std::process::id()));
        make(&path)?;
        let pid = std::process::id();
        let started = start_of(pid).context("reading when we started")?;
        // The pid last: a folder without it is left alone.
        for (name, text) in [(OWNER_START, started), (OWNER, pid.to_string())] {
            fs::write(path.join(name), text).context("writing down who owns the run folder")?;
        }
        Ok(Self { path })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a folder in it that only we can enter.
    pub(crate) fn private(&self, name: &str) -> Result<PathBuf> {
        let folder = self.path.join(name);
        fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        set_mode(&folder, 0o700)?;
        Ok(folder)
    }

    /// Makes a folder in it for a server that does not run as root.
    pub(crate) fn private_of_nobody(&self, name: &str) -> Result<PathBuf> {
        let folder = self.private(name)?;
        if is_root() {
            chown(&folder, Some(NOBODY), Some(NOBODY))
                .with_context(|| format!("giving away {}", folder.display()))?;
        }
        Ok(folder)
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        process::end_leftovers(&self.path);
        // A run that failed can be asked to leave its logs for a look.
        if env::var_os("PATCHFLEET_KEEP_RUN").is_none() {
            _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// The file that names the process a run folder belongs to.
const OWNER: &str = "owner.pid";

/// The file that holds when that process started, since a pid alone is given out again.
const OWNER_START: &str = "owner.start";

/// When a process started, in the kernel's ticks; none if it is gone.
fn start_of(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything; what follows is numbers, the start time the 20th.
    stat.rsplit_once(')')?.1.split_whitespace().nth(19).map(str::to_owned)
}

/// Ends the servers and removes the folders of runs whose owner was killed.
fn sweep(base: &Path) {
    let Ok(entries) = fs::read_dir(base) else { return };
    for entry in entries.flatten() {
        let folder = entry.path();
        if !entry.file_name().to_string_lossy().starts_with("run-") {
            continue;
        }
        let Ok(owner) = fs::read_to_string(folder.join(OWNER)) else { continue };
        let alive = start_of(owner.parse().unwrap_or_default());
        let recorded = fs::read_to_string(folder.join(OWNER_START)).ok();
        if alive.is_some() && (recorded.is_none() || recorded == alive) {
            continue;
        }
        process::end_leftovers(&folder);
        _ = fs::remove_dir_all(&folder);
    }
}

#[cfg(test)]
mod tests {
    use super::{OWNER, OWNER_START, RunFolder, start_of};
    use std::fs;

    #[test]
    fn the_folder_of_a_dead_run_is_removed_and_that_of_a_living_one_kept() {
        let base = std::env::temp_dir().join(format!("patchfleet-place-{}", std::process::id()));
        let reused = base.join("run-reused");
        fs::create_dir_all(&reused).unwrap();
        // The pid lives, but is no longer the process that made the folder.
        fs::write(reused.join(OWNER), std::process::id().to_string()).unwrap();
        fs::write(reused.join(OWNER_START), "1").unwrap();
        let living = RunFolder::create(&base).unwrap();
        assert!(!reused.exists());
        super::sweep(&base);
        assert!(living.path().exists());
        drop(living);
        fs::remove_dir(&base).unwrap();
    }

    #[test]
    fn a_process_has_a_start() {
        assert!(start_of(std::process::id()).unwrap().parse::<u64>().is_ok());
        assert_eq!(start_of(u32::MAX), None);
    }
}
