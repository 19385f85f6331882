//! A file in the storage as something that can be read at any place: its parts in a row.

use super::files::PartRow;
use super::storage::Storage;
use bytes::Bytes;
use std::io::{Error, ErrorKind, Read, Result, Seek, SeekFrom};
use tokio::runtime::Handle;

/// What is fetched at once: a directory of a zip file is read in small steps from few places.
const WINDOW: u64 = 256 * 1024;

/// A file of a package. Blocks while it fetches, so it is read on a thread that may.
pub(super) struct Stored {
    storage: Storage,
    parts: Vec<PartRow>,
    runtime: Handle,
    size: u64,
    at: u64,
    /// What was fetched last, and where it begins.
    window: (u64, Bytes),
}

impl Stored {
    pub(super) fn new(storage: Storage, parts: Vec<PartRow>, runtime: Handle) -> Self {
        let size = parts.last().map_or(0, PartRow::ends_at);
        Self { storage, parts, runtime, size, at: 0, window: (0, Bytes::new()) }
    }

    fn fetch(&mut self) -> Result<()> {
        let index = self.parts.partition_point(|part| part.ends_at() <= self.at);
        let part = self.parts.get(index).ok_or_else(|| Error::from(ErrorKind::UnexpectedEof))?;
        let from = self.at - part.starts_at();
        let until = (from + WINDOW).min(part.ends_at() - part.starts_at());
        let fetched = self.runtime.block_on(self.storage.get(&part.object, from..until));
        let bytes = fetched.map_err(|error| Error::other(error.chain()))?;
        if bytes.is_empty() {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.window = (self.at, bytes);
        Ok(())
    }
}

impl Read for Stored {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        if self.at >= self.size || buffer.is_empty() {
            return Ok(0);
        }
        let is_inside =
            |(start, bytes): &(u64, Bytes), at: u64| (*start..start + bytes.len() as u64).contains(&at);
        if !is_inside(&self.window, self.at) {
            self.fetch()?;
        }
        let (start, bytes) = &self.window;
        let inside = usize::try_from(self.at - start).map_err(Error::other)?;
        let known = &bytes[inside..];
        let count = known.len().min(buffer.len());
        buffer[..count].copy_from_slice(&known[..count]);
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for Stored {
    fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        let target = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(offset) => self.size.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.at.checked_add_signed(offset),
        };
        self.at = target.ok_or_else(|| Error::from(ErrorKind::InvalidInput))?;
        Ok(self.at)
    }
}
