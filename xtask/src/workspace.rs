//! Where things are: the checkout, its target folder, the cargo that started us.

use anyhow::{Context, Result};
use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// The folder of the workspace's `Cargo.toml`: the nearest one above the current folder.
pub(crate) fn root() -> Result<PathBuf> {
    let current = env::current_dir().context("reading the current folder")?;
    for folder in current.ancestors() {
        let manifest = folder.join("Cargo.toml");
        if fs::read_to_string(manifest).is_ok_and(|text| text.contains("[workspace]")) {
            return Ok(folder.to_owned());
        }
    }
    let built_at = Path::new(env!("CARGO_MANIFEST_DIR"));
    built_at.parent().map(Path::to_owned).context("no workspace above the current folder")
}

/// The cargo to call: the one that runs us, or the one on the path.
pub(crate) fn cargo() -> String {
    env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())
}

/// The folder of debug builds.
pub(crate) fn debug_folder(root: &Path) -> PathBuf {
    env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| root.join("target"), |folder| root.join(folder))
        .join("debug")
}

/// The first executable of this name on the path.
pub(crate) fn on_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}
