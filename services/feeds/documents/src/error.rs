//! Why a document is refused. Nothing of a refused document is taken in.

use crate::Format;
use contracts::feeds::FeedFormat;
use std::io;

/// Why a document is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// Nothing in it.
    #[error("the document is empty")]
    Empty,
    /// Beyond the limit.
    #[error("the document has more than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: u64,
    },
    /// It grows without measure when it is decompressed.
    #[error("the document grows to more than {limit} times its size")]
    Bomb {
        /// The limit.
        limit: u64,
    },
    /// One of its records is beyond the limit.
    #[error("a record of the document has more than {limit} bytes")]
    RecordTooLarge {
        /// The limit.
        limit: u64,
    },
    /// The bytes are no text in the encoding that they claim, or in UTF-8 where they claim none.
    #[error("the document is not {encoding}: {reason}")]
    WrongEncoding {
        /// Name of the encoding.
        encoding: String,
        /// Where and how.
        reason: String,
    },
    /// Not any format that is known here.
    #[error("the document is in no format known here{}", seen(.looks_like))]
    UnknownFormat {
        /// What it seems to be instead; empty where nothing can be said.
        looks_like: String,
    },
    /// A good document of another kind than the feed publishes.
    #[error("the document is {found}, and the feed publishes {expected:?}")]
    UnexpectedFormat {
        /// The feed's.
        expected: FeedFormat,
        /// The document's.
        found: Format,
    },
    /// It ends before it is complete.
    #[error("the document ends too early: {reason}")]
    Truncated {
        /// What is missing.
        reason: String,
    },
    /// It breaks the rules of its own format.
    #[error("the document is malformed: {reason}")]
    Malformed {
        /// Where and how.
        reason: String,
    },
    /// Elements inside elements without end.
    #[error("the document nests more than {limit} levels")]
    TooDeep {
        /// The limit.
        limit: usize,
    },
    /// More records than any real document has.
    #[error("the document has more than {limit} records")]
    TooManyRecords {
        /// The limit.
        limit: usize,
    },
    /// Its bytes are not those that their checksum or signature was made for.
    #[error("the document is not what its publisher signed: {reason}")]
    NotAuthentic {
        /// What does not fit.
        reason: String,
    },
    /// The system could not read it.
    #[error("the document cannot be read: {reason}")]
    Unreadable {
        /// What the system says.
        reason: String,
    },
}

fn seen(looks_like: &str) -> String {
    if looks_like.is_empty() { String::new() } else { format!(", it looks like {looks_like}") }
}

impl kernel::Refused for DocumentError {
    fn code(&self) -> &'static str {
        match self {
            Self::Empty => "feeds.document_empty",
            Self::TooLarge { .. } => "feeds.document_too_large",
            Self::Bomb { .. } => "feeds.document_bomb",
            Self::RecordTooLarge { .. } => "feeds.document_record_too_large",
            Self::WrongEncoding { .. } => "feeds.document_wrong_encoding",
            Self::UnknownFormat { .. } => "feeds.document_unknown_format",
            Self::UnexpectedFormat { .. } => "feeds.document_unexpected_format",
            Self::Truncated { .. } => "feeds.document_truncated",
            Self::Malformed { .. } => "feeds.document_malformed",
            Self::TooDeep { .. } => "feeds.document_too_deep",
            Self::TooManyRecords { .. } => "feeds.document_too_many_records",
            Self::NotAuthentic { .. } => "feeds.document_not_authentic",
            Self::Unreadable { .. } => "feeds.document_unreadable",
        }
    }
}

impl DocumentError {
    /// The document breaks the rules of its own format.
    pub(crate) fn malformed(reason: impl Into<String>) -> Self {
        Self::Malformed { reason: crate::text::clipped(&reason.into()) }
    }

    /// The document ends before it is complete.
    pub(crate) fn truncated(reason: impl Into<String>) -> Self {
        Self::Truncated { reason: crate::text::clipped(&reason.into()) }
    }
}

/// A limit was passed while bytes were read: carried through readers that only know [`io::Error`].
#[derive(Debug, Clone, thiserror::Error)]
#[error(transparent)]
pub(crate) struct Stopped(pub(crate) DocumentError);

impl From<DocumentError> for io::Error {
    fn from(error: DocumentError) -> Self {
        Self::other(Stopped(error))
    }
}

impl From<io::Error> for DocumentError {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the system has many words, and all others mean the same here"
    )]
    fn from(error: io::Error) -> Self {
        if let Some(Stopped(error)) = error.get_ref().and_then(|inner| inner.downcast_ref()) {
            return error.clone();
        }
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::truncated(error.to_string()),
            // What decompressors and decoders say of bytes that they cannot read.
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::Other => {
                Self::malformed(error.to_string())
            }
            _ => Self::Unreadable { reason: error.to_string() },
        }
    }
}

impl From<serde_json::Error> for DocumentError {
    fn from(error: serde_json::Error) -> Self {
        if error.is_io() {
            return io::Error::from(error).into();
        }
        let reason = error.to_string();
        if reason.starts_with("recursion limit exceeded") {
            // serde_json's own limit, which is not ours to choose.
            Self::TooDeep { limit: 128 }
        } else if error.is_eof() {
            Self::truncated(reason)
        } else {
            Self::malformed(reason)
        }
    }
}

impl From<csv::Error> for DocumentError {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "a reader of another's; whatever else it says, the document is malformed"
    )]
    fn from(error: csv::Error) -> Self {
        let reason = error.to_string();
        match error.into_kind() {
            csv::ErrorKind::Io(error) => error.into(),
            _ => Self::malformed(reason),
        }
    }
}

impl From<quick_xml::Error> for DocumentError {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "a reader of another's; whatever else it says, the document is malformed"
    )]
    fn from(error: quick_xml::Error) -> Self {
        use quick_xml::errors::{Error, IllFormedError};
        match error {
            Error::Io(error) => match error.get_ref().and_then(|inner| inner.downcast_ref()) {
                Some(Stopped(error)) => error.clone(),
                None => io::Error::new(error.kind(), error.to_string()).into(),
            },
            // Every syntax error of the reader says that the input ended inside of some markup.
            Error::Syntax(_) | Error::IllFormed(IllFormedError::MissingEndTag(_)) => {
                Self::truncated(error.to_string())
            }
            Error::Encoding(error) => {
                Self::WrongEncoding { encoding: "UTF-8".to_owned(), reason: error.to_string() }
            }
            _ => Self::malformed(error.to_string()),
        }
    }
}
