//! Documents in the import folder, and nothing outside of it.

use super::FetchError;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

/// Reads a file below `folder`, at most `limit` bytes of it.
pub(super) async fn read(folder: PathBuf, path: PathBuf, limit: usize) -> Result<Vec<u8>, FetchError> {
    let reading = tokio::task::spawn_blocking({
        let path = path.clone();
        move || read_blocking(&folder, &path, limit)
    });
    reading.await.unwrap_or_else(|panic| Err(FetchError::Unreadable { path, reason: panic.to_string() }))
}

fn read_blocking(folder: &Path, path: &Path, limit: usize) -> Result<Vec<u8>, FetchError> {
    let owned = || path.to_owned();
    let unreadable =
        |error: std::io::Error| FetchError::Unreadable { path: path.to_owned(), reason: error.to_string() };
    let folder = folder.canonicalize().map_err(|error| FetchError::Folder { reason: error.to_string() })?;
    let file = folder.join(path).canonicalize().map_err(|error| {
        if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) {
            FetchError::Missing { path: owned() }
        } else {
            unreadable(error)
        }
    })?;
    // After every symbolic link is followed: a link inside the folder to a place inside it is fine.
    if !file.starts_with(&folder) {
        return Err(FetchError::OutsideFolder { path: owned() });
    }
    // Before opening: a pipe would wait for its writer for ever.
    if !file.metadata().map_err(unreadable)?.is_file() {
        return Err(FetchError::NotAFile { path: owned() });
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(file).map_err(unreadable)?;
    let read = file.take(limit as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if read > limit { Err(FetchError::TooLarge { limit }) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::read_blocking;
    use kernel::Refused;
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

        fn read(&self, path: &str, limit: usize) -> Result<Vec<u8>, &'static str> {
            read_blocking(&self.0.join("import"), Path::new(path), limit).map_err(|error| error.code())
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
        assert_eq!(folder.read("debian", 5), Err("feeds.source_not_a_file"));
        let nowhere = read_blocking(&folder.0.join("nowhere"), Path::new("list"), 5).unwrap_err();
        assert_eq!(nowhere.code(), "feeds.import_folder_unreadable");
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
