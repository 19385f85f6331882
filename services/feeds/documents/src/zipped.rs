//! Documents in zip files: which of them is known by the names inside, and what may be in one.

use crate::formats::wesng;
use crate::input::Input;
use crate::reading::Reading;
use crate::{DocumentError, Format};
use std::io::{BufReader, Read, Seek, SeekFrom};
use zip::ZipArchive;
use zip::result::ZipError;

/// Bytes of a zip file: the definitions of Windows Exploit Suggester NG have some 5 MiB.
const ZIP_BYTES_MAX: u64 = 64 << 20;
/// Files in it: each has an entry in the directory, which is read as a whole.
const ZIP_ENTRIES_MAX: usize = 1_000;
/// Where an entry of the directory begins.
const ENTRY_MARK: [u8; 4] = *b"PK\x01\x02";

/// Reads the document that a zip file of `bytes` bytes holds.
pub(crate) fn read(
    mut source: impl Read + Seek,
    bytes: u64,
    reading: &mut Reading,
) -> Result<Format, DocumentError> {
    if bytes > ZIP_BYTES_MAX {
        return Err(DocumentError::TooLarge { limit: ZIP_BYTES_MAX });
    }
    limit_entries(&mut source)?;
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
    let Some(table) = names.iter().find(|name| wesng::is_table(name)) else {
        let names: Vec<&str> = names.iter().map(String::as_str).take(5).collect();
        return Err(DocumentError::UnknownFormat {
            looks_like: crate::text::clipped(&format!("a zip file of {}", names.join(", "))),
        });
    };
    let entry = archive.by_name(table).map_err(unreadable)?;
    // What the directory says of the entry's size is not believed any further.
    let packed_bytes = entry.compressed_size().min(bytes);
    let (_, input) = Input::open(Box::new(entry), packed_bytes)?;
    wesng::read(table, input, reading)?;
    Ok(Format::WesngZip)
}

/// Refuses a directory that is too large before it is read into memory.
fn limit_entries(source: &mut (impl Read + Seek)) -> Result<(), DocumentError> {
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
        if entries > ZIP_ENTRIES_MAX {
            return Err(DocumentError::TooManyRecords { limit: ZIP_ENTRIES_MAX });
        }
        let keep = filled.min(ENTRY_MARK.len() - 1);
        chunk.copy_within(filled - keep..filled, 0);
        kept = keep;
    }
    source.seek(SeekFrom::Start(0))?;
    Ok(())
}

fn unreadable(error: ZipError) -> DocumentError {
    if let ZipError::Io(error) = error {
        return error.into();
    }
    DocumentError::malformed(format!("the zip file: {error}"))
}
