//! Documents in zip files: which of them is known by the names inside, and what may be in one.

use crate::formats::wesng;
use crate::input::Input;
use crate::reading::Reading;
use crate::{DocumentError, Format};
use std::io::{self, BufReader, Read, Seek};
use zip::ZipArchive;
use zip::result::ZipError;

/// Bytes of a zip file: the definitions of Windows Exploit Suggester NG have some 5 MiB.
const ZIP_BYTES_MAX: u64 = 64 << 20;
/// Files in it: each has an entry in the directory, which is read as a whole.
const ZIP_ENTRIES_MAX: usize = 1_000;
/// Where an entry of the directory begins.
const ENTRY_MARK: [u8; 4] = *b"PK\x01\x02";
/// Where a file begins.
const FILE_MARK: [u8; 4] = *b"PK\x03\x04";

/// Reads the document that a zip file of `bytes` bytes holds.
pub(crate) fn read(
    mut source: impl Read + Seek,
    bytes: u64,
    reading: &mut Reading,
) -> Result<Format, DocumentError> {
    if bytes > ZIP_BYTES_MAX {
        return Err(DocumentError::TooLarge { limit: ZIP_BYTES_MAX });
    }
    if entries(&mut source, ZIP_ENTRIES_MAX)? > ZIP_ENTRIES_MAX {
        return Err(DocumentError::TooManyRecords { limit: ZIP_ENTRIES_MAX });
    }
    let mut archive = ZipArchive::new(BufReader::new(source)).map_err(|error| {
        // Without the directory at its end nothing of it can be found.
        if let ZipError::InvalidArchive(reason) = error {
            return DocumentError::truncated(format!("the zip file: {reason}"));
        }
        unreadable(error)
    })?;
    let names: Vec<String> = (0..archive.len())
        .map(|at| archive.name_for_index(at))
        .filter_map(|name| Some(name?.ok()?.into_owned()))
        .collect();
    let table = names.iter().find(|name| wesng::is_table(name)).ok_or_else(|| unknown(&names))?;
    let entry = archive.by_name(table).map_err(unreadable)?;
    // What the directory says of the entry's size is not believed any further.
    let packed_bytes = entry.compressed_size().min(bytes);
    let (_, input) = Input::open(Box::new(entry), packed_bytes)?;
    wesng::read(table, input, reading)?;
    Ok(Format::WesngZip)
}

/// Tells by the first bytes of a zip file what it holds: the directory is at its end, but each file has its name before it.
pub(crate) fn detect(head: &[u8]) -> Result<Format, DocumentError> {
    let marks = head.windows(FILE_MARK.len()).enumerate().filter(|(_, bytes)| *bytes == FILE_MARK);
    let names: Vec<String> = marks.filter_map(|(at, _)| name_at(head, at)).take(ZIP_ENTRIES_MAX).collect();
    if names.iter().any(|name| wesng::is_table(name)) { Ok(Format::WesngZip) } else { Err(unknown(&names)) }
}

/// The name of the file that begins there.
fn name_at(head: &[u8], at: usize) -> Option<String> {
    const LENGTH_AT: usize = 26;
    const NAME_AT: usize = 30;
    let length: [u8; 2] = head.get(at + LENGTH_AT..at + LENGTH_AT + 2)?.try_into().ok()?;
    let name = head.get(at + NAME_AT..)?.get(..u16::from_le_bytes(length).into())?;
    Some(String::from_utf8_lossy(name).into_owned())
}

fn unknown(names: &[String]) -> DocumentError {
    let names: Vec<&str> = names.iter().map(String::as_str).take(5).collect();
    DocumentError::UnknownFormat {
        looks_like: crate::text::clipped(&format!("a zip file of {}", names.join(", "))),
    }
}

/// Counts the entries of a zip file's directory, to no more than one above `limit`: it is read into memory as a whole, so
/// that one which is too large must be seen before. Leaves the file at its beginning.
pub fn entries(source: &mut (impl Read + Seek), limit: usize) -> io::Result<usize> {
    source.rewind()?;
    let mut entries = 0;
    let mut chunk = vec![0; 1 << 16];
    // The end of the chunk before: a mark may lie across.
    let mut kept = 0;
    loop {
        let read = source.read(chunk.get_mut(kept..).unwrap_or_default())?;
        if read == 0 {
            break;
        }
        let filled = kept + read;
        let window = chunk.get(..filled).unwrap_or_default();
        entries += window.windows(ENTRY_MARK.len()).filter(|bytes| *bytes == ENTRY_MARK).count();
        if entries > limit {
            break;
        }
        let keep = filled.min(ENTRY_MARK.len() - 1);
        chunk.copy_within(filled - keep..filled, 0);
        kept = keep;
    }
    source.rewind()?;
    Ok(entries)
}

fn unreadable(error: ZipError) -> DocumentError {
    if let ZipError::Io(error) = error {
        return error.into();
    }
    DocumentError::malformed(format!("the zip file: {error}"))
}
