//! Feeds and patches: which facts are news.

mod feed;
mod patch;
mod rating;

pub use feed::{
    FEED_NAME_CHARS_MAX, FEED_SOURCE_CHARS_MAX, Feed, FeedCommand, FeedRefusal, FeedSettings, FeedState,
    LastSync,
};
pub use patch::{Patch, PatchCommand, PatchRefusal, PatchState, replaces};
pub use rating::Rating;

/// Characters of a reason: for people, and not a document.
const REASON_CHARS_MAX: usize = 1_000;
