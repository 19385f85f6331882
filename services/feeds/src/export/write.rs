//! Writes a bundle: the last issue of each document of some feeds, from the archive.

use super::manifest::{BundledDocument, BundledFeed, Manifest, VERSION};
use super::{MANIFEST, SIGNATURE, entry_of, signed_bytes};
use crate::archive::Archive;
use crate::import::hex;
use base64::{Engine, prelude::BASE64_STANDARD};
use chrono::{DateTime, Utc};
use contracts::feeds::{FeedFormat, FeedKind, Publisher};
use ed25519_dalek::{Signer, SigningKey};
use eventstore::{Database, StoreError, Tx};
use kernel::{FeedId, Refused, Scope, Tenant};
use sha2::{Digest, Sha256};
use sqlx::types::Json;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, BufWriter, Seek, Write};
use std::path::{Path, PathBuf};
use uuid::Uuid;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// Which feeds. A partner's feed is for its own customers and never exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// All of the platform that have a document.
    All,
    /// These.
    Feeds(Vec<FeedId>),
}

/// Why there is no bundle.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// Documents were not kept.
    #[error("feeds.archive_folder is not set: documents were not kept, so there is nothing to export")]
    NoArchive,
    /// Not one of the platform's.
    #[error("there is no feed {feed_id} of the platform")]
    UnknownFeed {
        /// Which.
        feed_id: FeedId,
    },
    /// Two feeds would be one at the other site.
    #[error("two feeds have the name {name:?}, by which the other site would know them")]
    SameName {
        /// The name.
        name: String,
    },
    /// None of the feeds has taken in a document.
    #[error("none of the feeds has taken in a document yet")]
    Nothing,
    /// Taken in before there was an archive, or lost. The service asks for it again after its next start.
    #[error(
        "the document {name:?} of the feed {feed:?} is not in the archive ({sha256}); synchronise the feed after the next start of the service"
    )]
    NotArchived {
        /// The feed's name.
        feed: String,
        /// The document's name.
        name: String,
        /// Its hash.
        sha256: String,
    },
    /// The file in the archive is not what its name says.
    #[error(
        "the archived document {path:?} is damaged; delete it, and synchronise the feed after the next start of the service"
    )]
    Damaged {
        /// Where.
        path: PathBuf,
    },
    /// There is a file already.
    #[error("{path:?} is there already")]
    FileExists {
        /// Which.
        path: PathBuf,
    },
    /// The bundle could not be written.
    #[error("the bundle cannot be written: {reason}")]
    Unwritable {
        /// What the system says.
        reason: String,
    },
    /// The database failed.
    #[error("the feeds could not be read from the database")]
    Database(#[from] StoreError),
}

impl Refused for ExportError {
    fn code(&self) -> &'static str {
        match self {
            Self::NoArchive => "feeds.export_no_archive",
            Self::UnknownFeed { .. } => "feeds.export_feed_unknown",
            Self::SameName { .. } => "feeds.export_same_name",
            Self::Nothing => "feeds.export_nothing",
            Self::NotArchived { .. } => "feeds.export_not_archived",
            Self::Damaged { .. } => "feeds.export_archive_damaged",
            Self::FileExists { .. } => "feeds.export_file_exists",
            Self::Unwritable { .. } => "feeds.export_unwritable",
            Self::Database(_) => "feeds.export_database",
        }
    }
}

impl From<io::Error> for ExportError {
    fn from(error: io::Error) -> Self {
        Self::Unwritable { reason: error.to_string() }
    }
}

impl From<sqlx::Error> for ExportError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error.into())
    }
}

/// Writes the last issues of all documents of the feeds to `to`, where no file may be; answers with what is in it.
pub async fn write_bundle(
    database: &Database,
    archive_folder: Option<&Path>,
    selection: &Selection,
    key: &SigningKey,
    made_at: DateTime<Utc>,
    to: &Path,
) -> Result<Manifest, ExportError> {
    let archive = Archive::new(archive_folder.ok_or(ExportError::NoArchive)?.to_owned());
    if to.exists() {
        return Err(ExportError::FileExists { path: to.to_owned() });
    }
    let feeds = feeds_of(database, selection).await?;
    let manifest = Manifest { version: VERSION, made_at, feeds };
    let (key, to) = (key.clone(), to.to_owned());
    let writing = tokio::task::spawn_blocking(move || write(&archive, manifest, &key, &to));
    writing.await.unwrap_or_else(|panic| Err(ExportError::Unwritable { reason: panic.to_string() }))
}

#[derive(sqlx::FromRow)]
struct FeedRow {
    feed_id: Uuid,
    name: String,
    kind: String,
    format: String,
    source: String,
    publisher: Option<Json<Publisher>>,
}

#[derive(sqlx::FromRow)]
struct DocumentRow {
    feed_id: Uuid,
    name: String,
    sha256: Vec<u8>,
    document_date: Option<DateTime<Utc>>,
    taken_at: DateTime<Utc>,
}

/// The feeds with what is known of their documents; how long each is shows when it is read.
async fn feeds_of(database: &Database, selection: &Selection) -> Result<Vec<BundledFeed>, ExportError> {
    let mut tx = database.begin(&Scope::Platform).await?;
    let rows: Vec<FeedRow> = sqlx::query_as(
        "select feed_id, name, kind, format, source, publisher
           from feeds.feed
          where partner_id = $1
          order by name, feed_id",
    )
    .bind(Tenant::PLATFORM.partner_id.0)
    .fetch_all(&mut *tx)
    .await?;
    let mut documents = documents_of(&mut tx).await?;
    if let Selection::Feeds(wanted) = selection
        && let Some(unknown) = wanted.iter().find(|id| !rows.iter().any(|row| row.feed_id == id.0))
    {
        return Err(ExportError::UnknownFeed { feed_id: *unknown });
    }
    let mut feeds: BTreeMap<String, BundledFeed> = BTreeMap::new();
    for row in rows {
        let is_wanted = match selection {
            Selection::All => true,
            Selection::Feeds(wanted) => wanted.contains(&FeedId(row.feed_id)),
        };
        let Some(documents) = documents.remove(&row.feed_id).filter(|_| is_wanted) else { continue };
        let feed = bundled(row, documents)?;
        if let Some(other) = feeds.insert(feed.name.clone(), feed) {
            return Err(ExportError::SameName { name: other.name });
        }
    }
    if feeds.is_empty() { Err(ExportError::Nothing) } else { Ok(feeds.into_values().collect()) }
}

async fn documents_of(tx: &mut Tx) -> Result<HashMap<Uuid, Vec<BundledDocument>>, ExportError> {
    let rows: Vec<DocumentRow> = sqlx::query_as(
        "select d.feed_id, d.name, d.sha256, d.document_date, d.taken_at
           from feeds.document d
           join feeds.feed f on f.feed_id = d.feed_id
          where f.partner_id = $1
          order by d.feed_id, d.name",
    )
    .bind(Tenant::PLATFORM.partner_id.0)
    .fetch_all(&mut **tx)
    .await?;
    let mut documents: HashMap<Uuid, Vec<BundledDocument>> = HashMap::new();
    for DocumentRow { feed_id, name, sha256, document_date, taken_at } in rows {
        let sha256 = hex(&sha256);
        let document = BundledDocument { name, sha256, bytes: 0, date: document_date, taken_at };
        documents.entry(feed_id).or_default().push(document);
    }
    Ok(documents)
}

fn bundled(row: FeedRow, documents: Vec<BundledDocument>) -> Result<BundledFeed, StoreError> {
    let FeedRow { feed_id, name, kind, format, source, publisher } = row;
    let corrupt = |column, word: &str| StoreError::Corrupt {
        what: format!("feeds.feed {feed_id} has the {column} {word:?}"),
    };
    let kind: FeedKind =
        serde_json::from_value(kind.as_str().into()).map_err(|_why| corrupt("kind", &kind))?;
    let format: FeedFormat =
        serde_json::from_value(format.as_str().into()).map_err(|_why| corrupt("format", &format))?;
    let publisher = publisher.map(|Json(publisher)| publisher);
    Ok(BundledFeed { name, kind, format, source, publisher, documents })
}

pub(super) fn write(
    archive: &Archive,
    mut manifest: Manifest,
    key: &SigningKey,
    to: &Path,
) -> Result<Manifest, ExportError> {
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Under another name until it is whole.
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    let mut zip = ZipWriter::new(BufWriter::new(file.as_file_mut()));
    let failed = |error: zip::result::ZipError| ExportError::Unwritable { reason: error.to_string() };
    // Documents are compressed already, and may be larger than a zip file's plain fields can say.
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored).large_file(true);
    let mut written: HashMap<String, u64> = HashMap::new();
    for feed in &mut manifest.feeds {
        for document in &mut feed.documents {
            if let Some(bytes) = written.get(&document.sha256) {
                document.bytes = *bytes;
                continue;
            }
            let (mut packed, bytes) = verified(archive, &feed.name, document)?;
            document.bytes = bytes;
            written.insert(document.sha256.clone(), bytes);
            zip.start_file(entry_of(&document.sha256), options).map_err(failed)?;
            io::copy(&mut packed, &mut zip)?;
        }
    }
    let bytes = serde_json::to_vec_pretty(&manifest).map_err(io::Error::from)?;
    let signature = key.sign(&signed_bytes(&bytes));
    zip.start_file(MANIFEST, options).map_err(failed)?;
    zip.write_all(&bytes)?;
    zip.start_file(SIGNATURE, options).map_err(failed)?;
    writeln!(zip, "{}", BASE64_STANDARD.encode(signature.to_bytes()))?;
    zip.finish().map_err(failed)?.flush()?;
    file.as_file().sync_all()?;
    file.persist_noclobber(to).map_err(|failed| {
        if failed.error.kind() == io::ErrorKind::AlreadyExists {
            return ExportError::FileExists { path: to.to_owned() };
        }
        failed.error.into()
    })?;
    Ok(manifest)
}

/// The archived document as it is packed, and its length: a bundle never holds what the other site would refuse.
fn verified(archive: &Archive, feed: &str, document: &BundledDocument) -> Result<(File, u64), ExportError> {
    let path = archive.path_of(&document.sha256);
    let mut packed = File::open(&path).map_err(|error| {
        if error.kind() != io::ErrorKind::NotFound {
            return error.into();
        }
        let (feed, name, sha256) = (feed.to_owned(), document.name.clone(), document.sha256.clone());
        ExportError::NotArchived { feed, name, sha256 }
    })?;
    let mut hash = Hashed { hash: Sha256::new(), bytes: 0 };
    let unpacked = zstd::stream::copy_decode(&packed, &mut hash);
    if unpacked.is_err() || hex(&hash.hash.finalize()) != document.sha256 {
        return Err(ExportError::Damaged { path });
    }
    packed.rewind()?;
    Ok((packed, hash.bytes))
}

struct Hashed {
    hash: Sha256,
    bytes: u64,
}

impl Write for Hashed {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        self.hash.update(piece);
        self.bytes += piece.len() as u64;
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
