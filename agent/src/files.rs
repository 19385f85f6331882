//! Files that are either wholly there or not at all.

use crate::AgentError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Says which file an I/O error is about.
pub(crate) fn failed(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> AgentError {
    let path = path.to_owned();
    move |source| AgentError::File { doing, path, source }
}

/// Makes a folder that only its owner may enter, or narrows one that is there.
pub(crate) fn private_folder(path: &Path) -> Result<(), AgentError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed("making the folder", path))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(failed("closing the folder", path))
}

/// Writes a file of mode 0600 so that a power cut leaves the old content or the new one.
pub(crate) fn write(path: &Path, content: &[u8]) -> Result<(), AgentError> {
    let temporary = path.with_extension("tmp");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)
        .map_err(failed("opening", &temporary))?;
    file.write_all(content).and_then(|()| file.sync_all()).map_err(failed("writing", &temporary))?;
    fs::rename(&temporary, path).map_err(failed("renaming to", path))?;
    sync_parent(path)
}

/// Writes a value as JSON; see [`write`].
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), AgentError> {
    let content = serde_json::to_vec(value)
        .map_err(|e| AgentError::Damaged { path: path.to_owned(), detail: e.to_string() })?;
    write(path, &content)
}

/// Reads a JSON file; none if it is not there.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, AgentError> {
    match fs::read(path) {
        Ok(content) => serde_json::from_slice(&content)
            .map(Some)
            .map_err(|e| AgentError::Damaged { path: path.to_owned(), detail: e.to_string() }),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("reading", path)(error)),
    }
}

/// Makes the creation, renaming or removal of a file outlast a power cut.
pub(crate) fn sync_parent(path: &Path) -> Result<(), AgentError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("syncing", folder))
}
