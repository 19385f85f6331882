//! What a payload holds, without unpacking it.

use super::PackageError;
use crate::text::{clipped, is_plain};
use std::collections::BTreeSet;
use std::io::{self, Read, Seek, SeekFrom};
use zip::ZipArchive;

/// Entries of a payload: real ones have some thousands.
pub const ENTRIES_MAX: usize = 50_000;
/// Bytes of a payload's directory, which is in memory as a whole: 50,000 entries with paths of 150 characters.
const DIRECTORY_BYTES_MAX: u64 = 12 << 20;
/// Bytes that a payload unpacks to: the largest updates are some 30 GB.
pub const UNPACKED_BYTES_MAX: u64 = 256 << 30;

/// A file in a payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZipEntry {
    /// Its path, with `/`.
    pub path: String,
    /// Its size when it is unpacked, as the zip file says.
    pub size_bytes: u64,
}

/// Lists a payload's files in its own order; folders are not listed. Only its directory is read.
pub fn zip_manifest(source: impl Read + Seek) -> Result<Vec<ZipEntry>, PackageError> {
    let directory = Directory { source, left: DIRECTORY_BYTES_MAX };
    let archive = ZipArchive::new(directory)
        .map_err(|error| PackageError::PayloadUnreadable { reason: clipped(&error.to_string()) })?;
    if archive.len() > ENTRIES_MAX {
        return Err(PackageError::TooManyEntries { limit: ENTRIES_MAX });
    }
    if archive.is_empty() {
        return Err(PackageError::PayloadUnreadable { reason: "it holds nothing".to_owned() });
    }
    let unreadable = |reason: String| PackageError::PayloadUnreadable { reason: clipped(&reason) };
    // The reader keeps one of two entries of the same name, and nobody should guess which one counts.
    if archive.has_duplicate_names() {
        return Err(unreadable("two of its entries have the same name".to_owned()));
    }
    let mut entries = Vec::new();
    let mut paths = BTreeSet::new();
    let mut unpacked: u64 = 0;
    for at in 0..archive.len() {
        let entry = archive.by_index_data(at).map_err(|error| unreadable(error.to_string()))?;
        let name = entry.name().map_err(|error| unreadable(error.to_string()))?;
        let path = name.strip_suffix('/').unwrap_or(&name);
        if !is_safe_path(path) || entry.is_symlink() {
            return Err(PackageError::PathUnsafe { path: clipped(&name) });
        }
        if !paths.insert(path.to_lowercase()) {
            return Err(PackageError::PathTwice { path: clipped(path) });
        }
        if entry.encrypted() {
            return Err(unreadable(format!("{path:?} is encrypted")));
        }
        unpacked = unpacked.saturating_add(entry.size());
        if unpacked > UNPACKED_BYTES_MAX {
            return Err(PackageError::PayloadTooLarge { limit: UNPACKED_BYTES_MAX });
        }
        if !entry.is_dir() {
            entries.push(ZipEntry { path: path.to_owned(), size_bytes: entry.size() });
        }
    }
    Ok(entries)
}

/// A path that stays below the folder that it is unpacked into, on every system.
fn is_safe_path(path: &str) -> bool {
    is_plain(path) && path.split('/').all(is_safe_part)
}

/// A name of a file or folder that leads nowhere else: no separator, drive, stream or parent, and nothing that Windows
/// would cut off.
pub(super) fn is_safe_part(part: &str) -> bool {
    !part.is_empty()
        && !part.contains(['/', '\\', ':', '*', '?', '"', '<', '>', '|'])
        && !part.ends_with(['.', ' '])
        && !part.starts_with(' ')
        && !is_device(part)
}

/// Names that Windows takes for devices, whatever their extension.
fn is_device(part: &str) -> bool {
    let stem = part.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    let numbered = ["COM", "LPT"].iter().filter_map(|device| stem.strip_prefix(device)).any(|number| {
        number.chars().count() == 1 && number.chars().all(|digit| "123456789¹²³".contains(digit))
    });
    numbered || ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"].contains(&stem.as_str())
}

/// The end of a zip file, where its directory is. A directory of any length would be taken into memory.
struct Directory<S> {
    source: S,
    left: u64,
}

impl<S: Read> Read for Directory<S> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buf)?;
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| {
            io::Error::other(format!("its directory has more than {DIRECTORY_BYTES_MAX} bytes"))
        })?;
        Ok(read)
    }
}

impl<S: Seek> Seek for Directory<S> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.source.seek(to)
    }
}
