//! Documents that were taken in, kept as they came: what an export for disconnected sites is made of.
//!
//! Each is one file, compressed, under the SHA-256 of what is in it. Of the platform's feeds the last issue of each
//! document is kept; what a newer issue has replaced goes some time later.

use crate::import::hex;
use crate::sync::Feeds;
use chrono::{DateTime, TimeDelta, Utc};
use eventstore::StoreError;
use kernel::{Scope, Tenant};
use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Seek};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often the folder is looked through.
const UPKEEP_INTERVAL: Duration = Duration::from_hours(24);
/// When the database or the folder failed, the folder is looked through again after this time.
const UPKEEP_AGAIN: Duration = Duration::from_mins(10);
/// A file may be there some time before the database names it.
const REPLACED_AFTER: TimeDelta = TimeDelta::days(1);
/// The fastest that is still good: these are texts.
const COMPRESSION_LEVEL: i32 = 3;
/// Ending of the files.
const ENDING: &str = "zst";

/// A folder of documents.
#[derive(Debug, Clone)]
pub(crate) struct Archive {
    folder: PathBuf,
}

impl Archive {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Where the document with this hash is, compressed.
    pub(crate) fn path_of(&self, sha256: &str) -> PathBuf {
        // Files of many thousand documents are spread over folders by their first two letters.
        self.folder.join(sha256.get(..2).unwrap_or_default()).join(format!("{sha256}.{ENDING}"))
    }

    /// Keeps the document, unless it is there.
    pub(crate) fn keep(&self, document: &mut File, sha256: &str) -> io::Result<()> {
        let path = self.path_of(sha256);
        if path.exists() {
            return Ok(());
        }
        let folder = path.parent().unwrap_or(&self.folder);
        std::fs::create_dir_all(folder)?;
        document.rewind()?;
        // Under another name until it is whole.
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        zstd::stream::copy_encode(document, file.as_file_mut(), COMPRESSION_LEVEL)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    }

    /// The hashes of all documents that are there, with the time at which each was kept.
    fn kept(&self) -> io::Result<Vec<(String, DateTime<Utc>)>> {
        let mut kept = Vec::new();
        for folder in entries(&self.folder)? {
            if !folder.is_dir() {
                continue;
            }
            for file in entries(&folder)? {
                let name = file.file_stem().and_then(|name| name.to_str()).filter(|name| is_sha256(name));
                if let Some(sha256) = name.filter(|_| file.extension().is_some_and(|ending| ending == ENDING))
                {
                    kept.push((sha256.to_owned(), file.metadata()?.modified()?.into()));
                }
            }
        }
        Ok(kept)
    }

    /// Deletes what is not wanted any more; answers with the wanted documents that are not there.
    fn tidy(&self, wanted: &HashSet<String>, now: DateTime<Utc>) -> io::Result<Vec<String>> {
        std::fs::create_dir_all(&self.folder)?;
        let mut kept = HashSet::new();
        for (sha256, kept_at) in self.kept()? {
            if !wanted.contains(&sha256) && now - kept_at > REPLACED_AFTER {
                std::fs::remove_file(self.path_of(&sha256))?;
            }
            kept.insert(sha256);
        }
        Ok(wanted.difference(&kept).cloned().collect())
    }
}

/// Whether a text is a SHA-256 as we write them.
pub(crate) fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    folder.read_dir()?.map(|entry| Ok(entry?.path())).collect()
}

impl Feeds {
    /// Keeps a document that is taken in, where there is an archive. That it cannot is no reason to hold up the patches
    /// in it: an export says what it lacks, and the upkeep has it read again.
    pub(crate) async fn archive(&self, document: io::Result<File>, sha256: [u8; 32]) {
        let Some(archive) = self.archive.clone() else { return };
        let sha256 = hex(&sha256);
        let keeping = tokio::task::spawn_blocking(move || archive.keep(&mut document?, &sha256));
        if let Err(error) = keeping.await.unwrap_or_else(|panic| Err(io::Error::other(panic))) {
            tracing::warn!(error = &error as &dyn std::error::Error, "a document could not be archived");
        }
    }
}

/// Looks through the folder now and then, until the process stops.
pub(crate) async fn keep_up(feeds: Feeds) {
    let Some(archive) = feeds.archive.clone() else { return };
    let lifecycle = feeds.foundation.lifecycle.clone();
    loop {
        let pause = match look_through(&feeds, &archive).await {
            Ok(()) => UPKEEP_INTERVAL,
            Err(error) => {
                tracing::warn!(error = &*error, "the archive of documents could not be looked through");
                UPKEEP_AGAIN
            }
        };
        if lifecycle.stopped_within(pause).await {
            return;
        }
    }
}

async fn look_through(
    feeds: &Feeds,
    archive: &Archive,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let wanted = last_issues(feeds).await?;
    let (archive, now) = (archive.clone(), feeds.foundation.clock.now());
    let missing = tokio::task::spawn_blocking(move || archive.tidy(&wanted, now)).await??;
    if !missing.is_empty() {
        tracing::info!(documents = missing.len(), "documents that are not archived will be asked for again");
        forget_addresses(feeds, &missing).await?;
    }
    Ok(())
}

/// The last issues of all documents of the platform's feeds.
async fn last_issues(feeds: &Feeds) -> Result<HashSet<String>, StoreError> {
    let mut tx = feeds.foundation.database.begin(&Scope::Platform).await?;
    let issues: Vec<String> = sqlx::query_scalar(
        "select distinct encode(d.sha256, 'hex')
           from feeds.document d
           join feeds.feed f on f.feed_id = d.feed_id
          where f.partner_id = $1",
    )
    .bind(Tenant::PLATFORM.partner_id.0)
    .fetch_all(&mut *tx)
    .await?;
    Ok(issues.into_iter().collect())
}

/// Forgets what the web said of these documents, so that they are sent once more although they have not changed.
async fn forget_addresses(feeds: &Feeds, missing: &[String]) -> Result<(), StoreError> {
    let mut tx = feeds.foundation.database.begin(&Scope::Platform).await?;
    sqlx::query(
        "delete from feeds.address a
          using feeds.document d
          where a.feed_id = d.feed_id
            and a.document = d.name
            and encode(d.sha256, 'hex') = any($1)",
    )
    .bind(missing)
    .execute(&mut *tx)
    .await?;
    Ok(tx.commit().await?)
}

#[cfg(test)]
mod tests {
    use super::{Archive, REPLACED_AFTER};
    use chrono::{DateTime, TimeDelta, Utc};
    use std::collections::HashSet;
    use std::io::{Seek, Write};

    const ONE: &str = "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b";
    const OTHER: &str = "d4735e3a265e16eee03f59718b9b5d03019c07d8b6c51f90da3a666eec13ab35";

    fn document(text: &str) -> std::fs::File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    #[test]
    fn a_document_is_kept_once_under_its_hash_and_unpacks_to_what_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let archive = Archive::new(folder.path().join("archive"));
        archive.keep(&mut document("1"), ONE).unwrap();
        let mut again = document("another text under the same hash");
        again.rewind().unwrap();
        archive.keep(&mut again, ONE).unwrap();
        let packed = std::fs::read(archive.path_of(ONE)).unwrap();
        assert_eq!(zstd::stream::decode_all(packed.as_slice()).unwrap(), b"1");
        assert_eq!(archive.kept().unwrap().len(), 1);
    }

    #[test]
    fn what_was_replaced_goes_some_time_later_and_what_is_missing_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let archive = Archive::new(folder.path().to_owned());
        archive.keep(&mut document("1"), ONE).unwrap();
        let kept_at: DateTime<Utc> = archive.kept().unwrap()[0].1;
        let wanted = HashSet::from([OTHER.to_owned()]);
        assert_eq!(archive.tidy(&wanted, kept_at + REPLACED_AFTER).unwrap(), [OTHER]);
        assert!(archive.path_of(ONE).exists(), "it may have come just now");
        let later = kept_at + REPLACED_AFTER + TimeDelta::seconds(1);
        assert_eq!(archive.tidy(&HashSet::from([ONE.to_owned()]), later).unwrap(), [""; 0]);
        assert!(archive.path_of(ONE).exists(), "it is wanted");
        archive.tidy(&wanted, later).unwrap();
        assert!(!archive.path_of(ONE).exists());
    }
}
