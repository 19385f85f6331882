//! Gets a document, whole and within limits, from the import folder or the web.

mod address;
mod download;
mod folder;
mod head;
mod page;
mod spool;
mod stream;

pub(crate) use head::Head;

use crate::{config::FeedsSettings, source::Source};
use kernel::Refused;
use runtime::settings::Environment;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Fetches documents.
#[derive(Debug)]
pub(crate) struct Fetcher {
    folder: PathBuf,
    bytes_max: u64,
    patience: Patience,
    page_pause: Duration,
    private_addresses: bool,
    plain_http: bool,
    client: reqwest::Client,
}

/// How long and how often a document on the web is tried to be had.
#[derive(Debug, Clone, Copy)]
struct Patience {
    /// For the document, with all attempts and the pauses between them.
    deadline: Duration,
    /// For the next byte.
    stall: Duration,
    /// Attempts in a row that bring nothing.
    attempts: u32,
    /// Before the second attempt; doubled before each further one.
    first_pause: Duration,
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
    /// It would be open to everybody on the way, who could put another document in its place.
    #[error("{url} is not https, which feeds.allow_http does not allow")]
    PlainHttp {
        /// The source.
        url: String,
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
    /// Silent in the middle.
    #[error("the source sent nothing for {limit:?}")]
    Stalled {
        /// The limit.
        limit: Duration,
    },
    /// What should be the rest of a document that broke off is something else.
    #[error("the source sent another part of the document than was asked for")]
    WrongPart,
    /// An answer, but not the document.
    #[error("the source answered {status}{}", moved(.location.as_deref()))]
    Status {
        /// HTTP status.
        status: u16,
        /// Where it says the document is. Not followed: a source is registered under the address it has.
        location: Option<String>,
        /// How long it wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// A folder without documents.
    #[error("there is no document in the folder {path:?}")]
    EmptyFolder {
        /// The source.
        path: PathBuf,
    },
    /// It did not get better.
    #[error("{last}; tried {attempts} times")]
    GaveUp {
        /// How often.
        attempts: u32,
        /// What happened the last time.
        last: Box<FetchError>,
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
            Self::PlainHttp { .. } => "feeds.source_plain_http",
            Self::Unreachable { .. } => "feeds.source_unreachable",
            Self::Timeout { .. } => "feeds.source_timeout",
            Self::Stalled { .. } => "feeds.source_stalled",
            Self::WrongPart => "feeds.source_wrong_part",
            Self::Status { .. } => "feeds.source_status",
            Self::EmptyFolder { .. } => "feeds.source_empty",
            Self::GaveUp { last, .. } => last.code(),
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
    pub(crate) validators: Validators,
}

/// Copies a file that somebody named at a terminal into a temporary one.
pub(crate) async fn spool_file(path: &Path, limit: u64) -> Result<Spooled, FetchError> {
    folder::spool(path, limit).await
}

impl Fetcher {
    /// Bytes that a document may have.
    pub(crate) fn bytes_max(&self) -> u64 {
        self.bytes_max
    }

    /// How long a publisher of a list is left alone between two pages of it.
    pub(crate) fn page_pause(&self) -> Duration {
        self.page_pause
    }

    /// A fetcher that keeps to the operator's limits.
    pub(crate) fn new(config: &FeedsSettings, environment: Environment) -> reqwest::Result<Self> {
        let patience = Patience {
            deadline: config.fetch_timeout(),
            stall: config.fetch_stall(),
            attempts: config.fetch_attempts,
            first_pause: config.fetch_pause(),
        };
        let private_addresses = config.private_addresses_allowed(environment);
        // The deadline is kept to around the attempts: here it must not come first.
        let longest = patience.deadline.saturating_add(patience.stall);
        let client = if private_addresses {
            runtime::http::external_client(longest)?
        } else {
            address::public_only_client(longest)?
        };
        Ok(Self {
            folder: config.import_folder.clone(),
            bytes_max: config.document_bytes_max,
            patience,
            page_pause: config.page_pause(),
            private_addresses,
            plain_http: config.plain_http_allowed(environment),
            client,
        })
    }

    /// What is at a source, unless nothing has changed since `known`.
    pub(crate) async fn fetch(&self, source: Source, known: &Validators) -> Result<Fetched, FetchError> {
        self.permit(&source)?;
        match source {
            Source::File(path) => folder::read(self.folder.clone(), path, self.bytes_max).await,
            Source::Web(url) => page::read(&self.client, url, known, self.bytes_max, self.patience).await,
        }
    }

    /// The beginning of the document at a source; of a folder, that of its first document.
    pub(crate) async fn head(&self, source: Source) -> Result<Head, FetchError> {
        self.permit(&source)?;
        match source {
            Source::File(path) => folder::head(self.folder.clone(), path).await,
            Source::Web(url) => head::read(&self.client, url, self.bytes_max, self.patience).await,
        }
    }

    /// Refuses what the operator does not want to be asked for anything.
    pub(crate) fn permit(&self, source: &Source) -> Result<(), FetchError> {
        let Source::Web(url) = source else { return Ok(()) };
        if !self.plain_http && url.scheme() != "https" {
            return Err(FetchError::PlainHttp { url: url.to_string() });
        }
        if !self.private_addresses {
            address::require_public(url)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Fetcher, Validators};
    use crate::config::FeedsSettings;
    use crate::source::Source;
    use kernel::Refused;
    use runtime::settings::Environment;

    #[tokio::test]
    async fn production_asks_nobody_by_plain_http() {
        let fetcher = Fetcher::new(&FeedsSettings::default(), Environment::Production).unwrap();
        let source = Source::parse("http://93.184.215.14/oct.xml").unwrap();
        let refused = fetcher.fetch(source.clone(), &Validators::default()).await.unwrap_err();
        assert_eq!(refused.code(), "feeds.source_plain_http");
        assert_eq!(fetcher.head(source).await.unwrap_err().code(), "feeds.source_plain_http");
        let source = Source::parse("https://127.0.0.1/oct.xml").unwrap();
        assert_eq!(fetcher.permit(&source).unwrap_err().code(), "feeds.source_address_refused");
    }
}
