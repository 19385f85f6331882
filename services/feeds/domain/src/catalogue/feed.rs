//! A feed: registered once, then a history of documents taken in or refused.

use super::REASON_CHARS_MAX;
use chrono::{DateTime, Utc};
use contracts::feeds::{FeedEvent, FeedFormat, FeedKind, FeedRegistered, FeedSyncCompleted, FeedSyncFailed};
use kernel::{Aggregate, FeedId, Refused};

/// Characters of a feed's name.
pub const FEED_NAME_CHARS_MAX: usize = 200;
/// Characters of a path or web address.
pub const FEED_SOURCE_CHARS_MAX: usize = 2_000;
/// A source of documents.
#[derive(Debug)]
pub struct Feed;

/// What is known of a feed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum FeedState {
    /// Nothing.
    #[default]
    Unknown,
    /// It is registered.
    Registered {
        /// As it was registered.
        settings: FeedSettings,
        /// How the last synchronisation ended.
        last_sync: LastSync,
        /// Date of the newest document ever taken in.
        newest: Option<DateTime<Utc>>,
    },
}

/// What a feed is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedSettings {
    /// Display name.
    pub name: String,
    /// Who stands behind it.
    pub kind: FeedKind,
    /// How it is written.
    pub format: FeedFormat,
    /// A path or an http(s) URL.
    pub source: String,
}

/// How a feed's last synchronisation ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum LastSync {
    /// There was none.
    #[default]
    Never,
    /// This document was taken in.
    Completed {
        /// SHA-256, lowercase hex.
        document_sha256: String,
    },
    /// It was refused.
    Failed {
        /// Stable code.
        code: String,
        /// What is wrong.
        reason: String,
    },
}

/// A wish about a feed.
#[derive(Debug, Clone, PartialEq)]
pub enum FeedCommand {
    /// Make it known.
    Register {
        /// The feed.
        feed_id: FeedId,
        /// What it is.
        settings: FeedSettings,
    },
    /// Ask whether a document may be taken in; adds nothing.
    Examine {
        /// The publisher's date of the document.
        document_date: Option<DateTime<Utc>>,
    },
    /// A document was taken in.
    RecordSync(FeedSyncCompleted),
    /// A document was refused, or none could be had.
    RecordFailure(FeedSyncFailed),
}

/// A "no" about a feed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FeedRefusal {
    /// There is no such feed.
    #[error("there is no such feed")]
    Unknown,
    /// Another one is registered under the id.
    #[error("a feed {name:?} is registered already")]
    AlreadyRegistered {
        /// Its name.
        name: String,
    },
    /// A feed needs a name that can be shown.
    #[error("a feed's name has 1 to {FEED_NAME_CHARS_MAX} printable characters")]
    InvalidName,
    /// A feed needs a source.
    #[error("a feed's source has 1 to {FEED_SOURCE_CHARS_MAX} printable characters")]
    InvalidSource,
    /// An older issue of a document must not replace a newer one.
    #[error("the document of {document_date} is older than the one of {newest} that is known")]
    DocumentOlder {
        /// Of the document.
        document_date: DateTime<Utc>,
        /// Of the newest one known.
        newest: DateTime<Utc>,
    },
}

impl Refused for FeedRefusal {
    fn code(&self) -> &'static str {
        match self {
            Self::Unknown => "feeds.feed_unknown",
            Self::AlreadyRegistered { .. } => "feeds.feed_exists",
            Self::InvalidName => "feeds.feed_name_invalid",
            Self::InvalidSource => "feeds.feed_source_invalid",
            Self::DocumentOlder { .. } => "feeds.document_older",
        }
    }

    fn is_not_found(&self) -> bool {
        matches!(self, Self::Unknown)
    }

    fn is_conflict(&self) -> bool {
        matches!(self, Self::AlreadyRegistered { .. })
    }
}

impl Aggregate for Feed {
    const STREAM: &'static str = "feeds.feed";
    type State = FeedState;
    type Command = FeedCommand;
    type Event = FeedEvent;
    type Refusal = FeedRefusal;

    fn decide(state: &FeedState, command: FeedCommand) -> Result<Vec<FeedEvent>, FeedRefusal> {
        match (state, command) {
            (FeedState::Unknown, FeedCommand::Register { feed_id, settings }) => {
                let FeedSettings { name, kind, format, source } = checked(&settings)?;
                Ok(vec![FeedRegistered { feed_id, name, kind, format, source }.into()])
            }
            (FeedState::Registered { settings: known, .. }, FeedCommand::Register { settings, .. }) => {
                if *known == checked(&settings)? {
                    Ok(Vec::new())
                } else {
                    Err(FeedRefusal::AlreadyRegistered { name: known.name.clone() })
                }
            }
            (
                FeedState::Unknown,
                FeedCommand::Examine { .. } | FeedCommand::RecordSync(_) | FeedCommand::RecordFailure(_),
            ) => Err(FeedRefusal::Unknown),
            (FeedState::Registered { newest, .. }, FeedCommand::Examine { document_date }) => {
                not_older(document_date, *newest).map(|()| Vec::new())
            }
            (FeedState::Registered { last_sync, newest, .. }, FeedCommand::RecordSync(sync)) => {
                not_older(sync.document_date, *newest)?;
                let known = matches!(last_sync, LastSync::Completed { document_sha256 } if *document_sha256 == sync.document_sha256);
                let changed = sync.published + sync.revised > 0;
                Ok(if known && !changed { Vec::new() } else { vec![sync.into()] })
            }
            (FeedState::Registered { last_sync, .. }, FeedCommand::RecordFailure(failure)) => {
                let reason: String = failure.reason.chars().take(REASON_CHARS_MAX).collect();
                // A feed that fails every hour for the same reason is news once.
                let known = matches!(
                    last_sync,
                    LastSync::Failed { code, reason: known } if *code == failure.code && *known == reason
                );
                Ok(if known { Vec::new() } else { vec![FeedSyncFailed { reason, ..failure }.into()] })
            }
        }
    }

    fn evolve(state: FeedState, event: &FeedEvent) -> FeedState {
        match (state, event) {
            (_, FeedEvent::FeedRegistered(fact)) => FeedState::Registered {
                settings: FeedSettings {
                    name: fact.name.clone(),
                    kind: fact.kind,
                    format: fact.format,
                    source: fact.source.clone(),
                },
                last_sync: LastSync::Never,
                newest: None,
            },
            (FeedState::Registered { settings, newest, .. }, FeedEvent::FeedSyncCompleted(fact)) => {
                FeedState::Registered {
                    settings,
                    last_sync: LastSync::Completed { document_sha256: fact.document_sha256.clone() },
                    newest: newest.max(fact.document_date),
                }
            }
            (FeedState::Registered { settings, newest, .. }, FeedEvent::FeedSyncFailed(fact)) => {
                FeedState::Registered {
                    settings,
                    last_sync: LastSync::Failed { code: fact.code.clone(), reason: fact.reason.clone() },
                    newest,
                }
            }
            (FeedState::Unknown, FeedEvent::FeedSyncCompleted(_) | FeedEvent::FeedSyncFailed(_)) => {
                FeedState::Unknown
            }
        }
    }
}

fn checked(settings: &FeedSettings) -> Result<FeedSettings, FeedRefusal> {
    let name = settings.name.trim().to_owned();
    let source = settings.source.trim().to_owned();
    let is_text = |text: &str, limit: usize| {
        (1..=limit).contains(&text.chars().count()) && !text.chars().any(char::is_control)
    };
    if !is_text(&name, FEED_NAME_CHARS_MAX) {
        Err(FeedRefusal::InvalidName)
    } else if !is_text(&source, FEED_SOURCE_CHARS_MAX) {
        Err(FeedRefusal::InvalidSource)
    } else {
        Ok(FeedSettings { name, source, kind: settings.kind, format: settings.format })
    }
}

fn not_older(document: Option<DateTime<Utc>>, newest: Option<DateTime<Utc>>) -> Result<(), FeedRefusal> {
    match (document, newest) {
        (Some(document_date), Some(newest)) if document_date < newest => {
            Err(FeedRefusal::DocumentOlder { document_date, newest })
        }
        (Some(_) | None, _) => Ok(()),
    }
}
