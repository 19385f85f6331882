//! Documents in the import folder, and nothing outside of it.

use super::{FetchError, Fetched, Head, Spooled, Validators, spool::Spool};
use feeds_documents::limits::HEAD_BYTES;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

/// Bytes copied at once.
const PIECE_BYTES: usize = 64 << 10;

/// Copies a file below `folder` into a temporary one, at most `limit` bytes of it; of a folder it lists the files.
///
/// A copy, because a document that changes while it is read would be neither the one nor the other.
pub(super) async fn read(folder: PathBuf, path: PathBuf, limit: u64) -> Result<Fetched, FetchError> {
    let reading = tokio::task::spawn_blocking({
        let path = path.clone();
        move || read_blocking(&folder, &path, limit)
    });
    reading.await.unwrap_or_else(|panic| Err(FetchError::Unreadable { path, reason: panic.to_string() }))
}

fn read_blocking(folder: &Path, path: &Path, limit: u64) -> Result<Fetched, FetchError> {
    match open(folder, path)? {
        Opened::Folder(files) => Ok(Fetched::Folder(files)),
        Opened::File(file) => spool_blocking(file, path, limit).map(Fetched::Document),
    }
}

/// Reads the beginning of a file below `folder`; of a folder, that of its first file.
pub(super) async fn head(folder: PathBuf, path: PathBuf) -> Result<Head, FetchError> {
    let reading = tokio::task::spawn_blocking({
        let path = path.clone();
        move || head_blocking(&folder, &path)
    });
    reading.await.unwrap_or_else(|panic| Err(FetchError::Unreadable { path, reason: panic.to_string() }))
}

fn head_blocking(folder: &Path, path: &Path) -> Result<Head, FetchError> {
    match open(folder, path)? {
        Opened::Folder(files) => match files.first() {
            Some(first) => head_blocking(folder, first),
            None => Err(FetchError::EmptyFolder { path: path.to_owned() }),
        },
        Opened::File(file) => {
            let mut bytes = Vec::new();
            file.take(HEAD_BYTES as u64).read_to_end(&mut bytes).map_err(|error| unreadable(path, &error))?;
            Ok(Head { bytes, conditional: false })
        }
    }
}

enum Opened {
    File(std::fs::File),
    /// With the files in it.
    Folder(Vec<PathBuf>),
}

fn open(folder: &Path, path: &Path) -> Result<Opened, FetchError> {
    let unreadable = |error: std::io::Error| unreadable(path, &error);
    let folder = folder.canonicalize().map_err(|error| FetchError::Folder { reason: error.to_string() })?;
    let file = folder.join(path).canonicalize().map_err(|error| {
        if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) {
            FetchError::Missing { path: path.to_owned() }
        } else {
            unreadable(error)
        }
    })?;
    // After every symbolic link is followed: a link inside the folder to a place inside it is fine.
    if !file.starts_with(&folder) {
        return Err(FetchError::OutsideFolder { path: path.to_owned() });
    }
    let metadata = file.metadata().map_err(unreadable)?;
    if metadata.is_dir() {
        return files_in(&file, path).map(Opened::Folder).map_err(unreadable);
    }
    // Before opening: a pipe would wait for its writer for ever.
    if !metadata.is_file() {
        return Err(FetchError::NotAFile { path: path.to_owned() });
    }
    std::fs::File::open(file).map(Opened::File).map_err(unreadable)
}

/// Copies a file into a temporary one, at most `limit` bytes of it.
pub(super) async fn spool(path: &Path, limit: u64) -> Result<Spooled, FetchError> {
    let path = path.to_owned();
    let spooling = tokio::task::spawn_blocking({
        let path = path.clone();
        move || {
            let file = std::fs::File::open(&path).map_err(|error| unreadable(&path, &error))?;
            spool_blocking(file, &path, limit)
        }
    });
    spooling.await.unwrap_or_else(|panic| Err(FetchError::Unreadable { path, reason: panic.to_string() }))
}

fn spool_blocking(mut file: std::fs::File, path: &Path, limit: u64) -> Result<Spooled, FetchError> {
    let mut spool = Spool::new(limit)?;
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let read = file.read(&mut piece).map_err(|error| unreadable(path, &error))?;
        let Some(piece) = piece.get(..read).filter(|piece| !piece.is_empty()) else { break };
        spool.write(piece)?;
    }
    spool.finish(Validators::default())
}

fn unreadable(path: &Path, error: &std::io::Error) -> FetchError {
    FetchError::Unreadable { path: path.to_owned(), reason: error.to_string() }
}

/// The regular files of a folder, by name; hidden ones are nobody's documents.
fn files_in(folder: &Path, path: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in folder.read_dir()? {
        let entry = entry?;
        let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        if !hidden && entry.path().is_file() {
            files.push(path.join(entry.file_name()));
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::{Fetched, read_blocking};
    use kernel::Refused;
    use std::io::Read;
    use std::os::unix::fs::symlink;
    use std::path::{Path, PathBuf};

    /// A folder of the test's own, with a neighbour outside.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let base = std::env::temp_dir().join(format!("patchfleet-feeds-{name}-{}", std::process::id()));
            let _ = std::fs::remove_dir_all(&base);
            std::fs::create_dir_all(base.join("import/debian")).unwrap();
            std::fs::write(base.join("secret"), "secret").unwrap();
            std::fs::write(base.join("import/debian/list"), "12345").unwrap();
            Self(base)
        }

        fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>, &'static str> {
            match read_blocking(&self.0.join("import"), Path::new(path), limit) {
                Ok(Fetched::Document(mut spooled)) => {
                    let mut bytes = Vec::new();
                    spooled.file.read_to_end(&mut bytes).unwrap();
                    Ok(bytes)
                }
                Ok(other) => panic!("{other:?}"),
                Err(error) => Err(error.code()),
            }
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_document_below_the_folder_is_read_up_to_the_limit() {
        let folder = Folder::new("limit");
        assert_eq!(folder.read("debian/list", 5), Ok(b"12345".to_vec()));
        assert_eq!(folder.read("debian/list", 4), Err("feeds.document_too_large"));
    }

    #[test]
    fn what_is_no_document_has_its_own_reason() {
        let folder = Folder::new("reasons");
        assert_eq!(folder.read("debian/none", 5), Err("feeds.source_missing"));
        assert_eq!(folder.read("debian/list/below", 5), Err("feeds.source_missing"));
        let nowhere = read_blocking(&folder.0.join("nowhere"), Path::new("list"), 5).unwrap_err();
        assert_eq!(nowhere.code(), "feeds.import_folder_unreadable");
    }

    #[test]
    fn of_a_folder_the_files_are_listed_by_name() {
        let folder = Folder::new("listing");
        for name in ["b", "a", ".hidden"] {
            std::fs::write(folder.0.join("import/debian").join(name), name).unwrap();
        }
        let listed = read_blocking(&folder.0.join("import"), Path::new("debian"), 5).unwrap();
        let Fetched::Folder(files) = listed else { panic!("{listed:?}") };
        assert_eq!(files, ["debian/a", "debian/b", "debian/list"].map(PathBuf::from));
    }

    #[test]
    fn a_link_may_lead_about_inside_the_folder_and_not_out_of_it() {
        let folder = Folder::new("links");
        let import = folder.0.join("import");
        symlink("debian/list", import.join("inside")).unwrap();
        symlink("../secret", import.join("outside")).unwrap();
        symlink(&folder.0, import.join("up")).unwrap();
        assert_eq!(folder.read("inside", 5), Ok(b"12345".to_vec()));
        for path in ["outside", "up/secret", "../secret"] {
            assert_eq!(folder.read(path, 99), Err("feeds.source_outside_folder"), "{path}");
        }
    }
}
