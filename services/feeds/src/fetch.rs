//! Gets a document, whole and within limits, from the import folder or the web.

mod address;
mod folder;
mod page;
mod spool;
mod stream;

use crate::{config::FeedsSettings, source::Source};
use kernel::Refused;
use runtime::settings::Environment;
use std::path::PathBuf;
use std::time::Duration;

/// Fetches documents.
#[derive(Debug)]
pub(crate) struct Fetcher {
    folder: PathBuf,
    bytes_max: u64,
    deadline: Duration,
    private_addresses: bool,
    client: reqwest::Client,
}

/// Why there is no document.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    /// The operator's folder is not there.
    #[error("the import folder cannot be read: {reason}")]
    Folder {
        /// What the system says.
        reason: String,
    },
    /// No such file.
    #[error("there is no file {path:?} in the import folder")]
    Missing {
        /// The source.
        path: PathBuf,
    },
    /// A symbolic link out of the folder.
    #[error("{path:?} leads out of the import folder")]
    OutsideFolder {
        /// The source.
        path: PathBuf,
    },
    /// A folder, a pipe or a device.
    #[error("{path:?} is not a regular file")]
    NotAFile {
        /// The source.
        path: PathBuf,
    },
    /// The file is there and cannot be read.
    #[error("{path:?} cannot be read: {reason}")]
    Unreadable {
        /// The source.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// Beyond the limit; the rest was not read.
    #[error("the document has more than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: u64,
    },
    /// No room for the document while it is read.
    #[error("the document cannot be kept in a temporary file: {reason}")]
    Spool {
        /// What the system says.
        reason: String,
    },
    /// It leads into the own network, which the operator does not allow.
    #[error("{host} is not a public address, which feeds.allow_private_addresses does not allow")]
    PrivateAddress {
        /// Named by the source.
        host: String,
    },
    /// No connection, or one that broke off.
    #[error("the source cannot be reached: {reason}")]
    Unreachable {
        /// What happened.
        reason: String,
    },
    /// Too slow.
    #[error("the document did not arrive within {deadline:?}")]
    Timeout {
        /// The limit.
        deadline: Duration,
    },
    /// An answer, but not the document.
    #[error("the source answered {status}{}", moved(.location.as_deref()))]
    Status {
        /// HTTP status.
        status: u16,
        /// Where it says the document is. Not followed: a source is registered under the address it has.
        location: Option<String>,
    },
}

fn moved(location: Option<&str>) -> String {
    location.map(|url| format!(", the document is at {url:?}")).unwrap_or_default()
}

impl Refused for FetchError {
    fn code(&self) -> &'static str {
        match self {
            Self::Folder { .. } => "feeds.import_folder_unreadable",
            Self::Missing { .. } => "feeds.source_missing",
            Self::OutsideFolder { .. } => "feeds.source_outside_folder",
            Self::NotAFile { .. } => "feeds.source_not_a_file",
            Self::Unreadable { .. } => "feeds.source_unreadable",
            Self::TooLarge { .. } => "feeds.document_too_large",
            Self::Spool { .. } => "feeds.spool_failed",
            Self::PrivateAddress { .. } => "feeds.source_address_refused",
            Self::Unreachable { .. } => "feeds.source_unreachable",
            Self::Timeout { .. } => "feeds.source_timeout",
            Self::Status { .. } => "feeds.source_status",
        }
    }
}

/// With what a source can say that nothing has changed (RFC 9110).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Validators {
    pub(crate) etag: Option<String>,
    pub(crate) last_modified: Option<String>,
}

/// What is at a source.
#[derive(Debug)]
pub(crate) enum Fetched {
    /// The document that is known.
    Unchanged,
    /// A document.
    Document(Spooled),
    /// A folder with these files, by name.
    Folder(Vec<PathBuf>),
}

/// A document in a temporary file that has no name: it goes with whoever holds it.
#[derive(Debug)]
pub(crate) struct Spooled {
    pub(crate) file: std::fs::File,
    pub(crate) sha256: [u8; 32],
    pub(crate) bytes: u64,
    pub(crate) validators: Validators,
}

impl Fetcher {
    /// A fetcher that keeps to the operator's limits.
    pub(crate) fn new(config: &FeedsSettings, environment: Environment) -> reqwest::Result<Self> {
        let deadline = config.fetch_timeout();
        let private_addresses = config.private_addresses_allowed(environment);
        let client = if private_addresses {
            runtime::http::external_client(deadline)?
        } else {
            address::public_only_client(deadline)?
        };
        Ok(Self {
            folder: config.import_folder.clone(),
            bytes_max: config.document_bytes_max,
            deadline,
            private_addresses,
            client,
        })
    }

    /// What is at a source, unless nothing has changed since `known`.
    pub(crate) async fn fetch(&self, source: Source, known: &Validators) -> Result<Fetched, FetchError> {
        match source {
            Source::File(path) => folder::read(self.folder.clone(), path, self.bytes_max).await,
            Source::Web(url) => {
                if !self.private_addresses {
                    address::require_public(&url)?;
                }
                page::read(&self.client, url, known, self.bytes_max, self.deadline).await
            }
        }
    }
}
