//! Why a wish about a feed is not carried out.

use super::{EVERY_MINUTES_MAX, EVERY_MINUTES_MIN, FEED_NAME_CHARS_MAX, FEED_SOURCE_CHARS_MAX};
use contracts::feeds::FeedFormat;
use kernel::Refused;

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
    /// An interval that is too short or too long.
    #[error(
        "a feed is read every {EVERY_MINUTES_MIN} to {EVERY_MINUTES_MAX} minutes, not every {every_minutes}"
    )]
    InvalidSchedule {
        /// What was asked for.
        every_minutes: u32,
    },
    /// A publisher needs a name, and a contact that is a web address.
    #[error(
        "a publisher has a name of 1 to {FEED_NAME_CHARS_MAX} printable characters and an http(s) address, if any"
    )]
    InvalidPublisher,
    /// A keyring that nothing can be verified with.
    #[error("the keyring cannot be used: {reason}")]
    InvalidKeyring {
        /// What is wrong with it.
        reason: String,
    },
    /// Only repositories of Debian's kind have signatures that are verified here.
    #[error("a feed of the format {format:?} has no signatures that a keyring could verify")]
    UnusedKeyring {
        /// The feed's.
        format: FeedFormat,
    },
    /// Partners publish partners' feeds, and the platform all others.
    #[error("{}", if *.by_partner { "a partner's feed is of the kind PARTNER" } else { "feeds of the kind PARTNER belong to partners" })]
    WrongKind {
        /// Who asked.
        by_partner: bool,
    },
    /// It is switched off.
    #[error("the feed is disabled")]
    Disabled,
}

impl Refused for FeedRefusal {
    fn code(&self) -> &'static str {
        match self {
            Self::Unknown => "feeds.feed_unknown",
            Self::AlreadyRegistered { .. } => "feeds.feed_exists",
            Self::InvalidName => "feeds.feed_name_invalid",
            Self::InvalidSource => "feeds.feed_source_invalid",
            Self::InvalidSchedule { .. } => "feeds.feed_schedule_invalid",
            Self::InvalidPublisher => "feeds.feed_publisher_invalid",
            Self::InvalidKeyring { .. } => "feeds.feed_keyring_invalid",
            Self::UnusedKeyring { .. } => "feeds.feed_keyring_unused",
            Self::WrongKind { .. } => "feeds.feed_kind_wrong",
            Self::Disabled => "feeds.feed_disabled",
        }
    }

    fn is_not_found(&self) -> bool {
        matches!(self, Self::Unknown)
    }

    fn is_conflict(&self) -> bool {
        matches!(self, Self::AlreadyRegistered { .. })
    }
}
