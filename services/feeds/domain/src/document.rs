//! A vendor's document becomes facts, or is refused as a whole with a reason.

use crate::{debian, msrc, tracker};
use chrono::{DateTime, Utc};
use contracts::Severity;
use contracts::feeds::{FeedFormat, PatchFacts};
use kernel::FeedId;

/// Largest document of one publication: the largest real month of Microsoft's is below 5 MiB.
pub const DOCUMENT_BYTES_MAX: usize = 64 << 20;
/// The Debian tracker is one document for all packages and years, and beyond 64 MiB already.
pub const TRACKER_BYTES_MAX: usize = 256 << 20;
/// Advisories, patches or packages of one document: Debian's whole history has some 6,000 advisories, its tracker some 5,000 packages.
pub const RECORDS_MAX: usize = 200_000;
/// CVEs of one patch: a kernel advisory has some hundreds.
pub const PATCH_CVES_MAX: usize = 5_000;
/// Products or source packages of one patch.
pub const PATCH_TARGETS_MAX: usize = 2_000;
/// Characters of an id, version or product name.
pub const TEXT_CHARS_MAX: usize = 500;
/// Elements inside elements: real documents need eight.
pub const NESTING_MAX: usize = 64;
/// Reasons that are told one by one.
pub const QUARANTINED_MAX: usize = 100;

/// What a document cannot say about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    /// The feed that the document came through.
    pub feed_id: FeedId,
}

/// All that was found in a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParsedDocument {
    /// The publisher's own date of the document; for Debian's list the day of its newest advisory.
    pub document_date: Option<DateTime<Utc>>,
    /// Patches, in the document's order.
    pub patches: Vec<PatchFacts>,
    /// Severities of vulnerabilities in source packages, for patches that another document describes.
    pub ratings: Vec<Rating>,
    /// Records left out, each with its reason; at most [`QUARANTINED_MAX`] and a line that counts the rest.
    pub quarantined: Vec<String>,
}

/// What a vendor thinks of one vulnerability in one source package of one release.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rating {
    /// Source package.
    pub source: String,
    /// `CVE-2023-1393`
    pub cve: String,
    /// Version of the operating system release, `12`.
    pub os_version: String,
    /// The vendor's word.
    pub vendor_severity: String,
    /// On our one scale.
    pub severity: Severity,
}

/// Why a document is refused. Nothing of a refused document is taken in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// Nothing in it.
    #[error("the document is empty")]
    Empty,
    /// Beyond the limit of its format.
    #[error("the document has {bytes} bytes, more than {limit}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// All formats taken here are UTF-8.
    #[error("the document is not UTF-8 at byte {offset}")]
    NotUtf8 {
        /// First bad byte.
        offset: usize,
    },
    /// Not any format that is known here.
    #[error("the document is in no format known here")]
    UnknownFormat,
    /// A good document of another kind than the feed publishes.
    #[error("the document is {found:?}, and the feed publishes {expected:?}")]
    UnexpectedFormat {
        /// The feed's.
        expected: FeedFormat,
        /// The document's.
        found: FeedFormat,
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
}

impl kernel::Refused for DocumentError {
    fn code(&self) -> &'static str {
        match self {
            Self::Empty => "feeds.document_empty",
            Self::TooLarge { .. } => "feeds.document_too_large",
            Self::NotUtf8 { .. } => "feeds.document_not_utf8",
            Self::UnknownFormat => "feeds.document_unknown_format",
            Self::UnexpectedFormat { .. } => "feeds.document_unexpected_format",
            Self::Truncated { .. } => "feeds.document_truncated",
            Self::Malformed { .. } => "feeds.document_malformed",
            Self::TooDeep { .. } => "feeds.document_too_deep",
            Self::TooManyRecords { .. } => "feeds.document_too_many_records",
        }
    }
}

/// The largest document of a format.
pub fn bytes_max(format: FeedFormat) -> usize {
    match format {
        FeedFormat::DebianDsaList | FeedFormat::MsrcCvrf => DOCUMENT_BYTES_MAX,
        FeedFormat::DebianTracker => TRACKER_BYTES_MAX,
    }
}

/// Reads a whole document of a known format.
pub fn parse(format: FeedFormat, bytes: &[u8], context: &Context) -> Result<ParsedDocument, DocumentError> {
    let limit = bytes_max(format);
    if bytes.len() > limit {
        return Err(DocumentError::TooLarge { bytes: bytes.len(), limit });
    }
    let text = std::str::from_utf8(bytes).map_err(|e| DocumentError::NotUtf8 { offset: e.valid_up_to() })?;
    let text = without_mark(text);
    if text.trim().is_empty() {
        return Err(DocumentError::Empty);
    }
    match detect(bytes) {
        None => return Err(DocumentError::UnknownFormat),
        Some(found) if found != format => {
            return Err(DocumentError::UnexpectedFormat { expected: format, found });
        }
        Some(_) => {}
    }
    match format {
        FeedFormat::DebianDsaList => debian::parse(text, context),
        FeedFormat::DebianTracker => tracker::parse(text),
        FeedFormat::MsrcCvrf => msrc::parse(text, context),
    }
}

/// The format of a document, told by its first part and never by its name.
pub fn detect(bytes: &[u8]) -> Option<FeedFormat> {
    /// Enough for every real head; a document may be long, its kind is told early.
    const HEAD_BYTES: usize = 64 << 10;
    let head = String::from_utf8_lossy(bytes.get(..HEAD_BYTES).unwrap_or(bytes));
    let head = without_mark(&head).trim_start();
    if head.starts_with('<') {
        msrc::is_month(head).then_some(FeedFormat::MsrcCvrf)
    } else if head.starts_with('{') {
        let has = |key: &str| head.contains(key);
        if has("\"DocumentTitle\"") || has("\"DocumentTracking\"") || has("\"ProductTree\"") {
            Some(FeedFormat::MsrcCvrf)
        } else {
            (has("\"releases\"") && has("\"urgency\"")).then_some(FeedFormat::DebianTracker)
        }
    } else {
        debian::is_list(head).then_some(FeedFormat::DebianDsaList)
    }
}

/// Some publishers put a byte order mark before UTF-8.
fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// Collects what is left out, without growing with a hostile document.
#[derive(Debug, Default)]
pub(crate) struct Quarantine {
    reasons: Vec<String>,
    more: usize,
}

impl Quarantine {
    pub(crate) fn add(&mut self, reason: impl AsRef<str>) {
        if self.reasons.len() < QUARANTINED_MAX {
            self.reasons.push(clipped(reason.as_ref()));
        } else {
            self.more += 1;
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.reasons.len() + self.more
    }

    pub(crate) fn into_reasons(mut self) -> Vec<String> {
        if self.more > 0 {
            self.reasons.push(format!("and {} more", self.more));
        }
        self.reasons
    }
}

/// At most [`TEXT_CHARS_MAX`] characters of a text that people read, and U+FFFD for what cannot be printed or kept.
pub(crate) fn clipped(text: &str) -> String {
    let printable =
        |character: char| if character.is_control() { char::REPLACEMENT_CHARACTER } else { character };
    let mut characters = text.chars().map(printable);
    let mut kept: String = characters.by_ref().take(TEXT_CHARS_MAX).collect();
    if characters.next().is_some() {
        kept.push('…');
    }
    kept
}

/// Whether a text may serve as an id, version or name: not empty, not endless, nothing unprintable.
pub(crate) fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.chars().count() <= TEXT_CHARS_MAX && !text.chars().any(char::is_control)
}

/// Whether a text is a CVE id: `CVE-2023-1393`.
pub(crate) fn is_cve(text: &str) -> bool {
    let digits = |part: &str, least: usize| {
        (least..=19).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit())
    };
    text.strip_prefix("CVE-")
        .and_then(|rest| rest.split_once('-'))
        .is_some_and(|(year, number)| year.len() == 4 && digits(year, 4) && digits(number, 4))
}
