//! Feeds, patches and vulnerabilities: which facts are news.

mod feed;
mod issue;
mod patch;
pub mod patch_rating;
mod rating;
pub mod vulnerability;

pub use feed::{
    EVERY_MINUTES_MAX, EVERY_MINUTES_MIN, FEED_KEYRING_CHARS_MAX, FEED_NAME_CHARS_MAX, FEED_SOURCE_CHARS_MAX,
    Feed, FeedCommand, FeedRefusal, FeedSettings, FeedState, LastSync,
};
pub use issue::{Issue, IssueRefusal, Known, examine, is_believable_loss};
pub use patch::{Patch, PatchCommand, PatchRefusal, PatchState, combined, replaces};
pub use rating::Rating;

/// Characters of a reason: for people, and not a document.
const REASON_CHARS_MAX: usize = 1_000;
