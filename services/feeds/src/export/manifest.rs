//! What a bundle says of itself.

use super::DOCUMENTS_MAX;
use crate::archive::is_sha256;
use chrono::{DateTime, Utc};
use contracts::feeds::{FeedFormat, FeedKind, Publisher};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// The only version so far.
pub(super) const VERSION: u32 = 1;

/// Feeds and the last issues of their documents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Of this shape.
    pub version: u32,
    /// When the bundle was made.
    pub made_at: DateTime<Utc>,
    /// The feeds.
    pub feeds: Vec<BundledFeed>,
}

/// One feed of a bundle: the other site knows it by its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BundledFeed {
    /// Display name.
    pub name: String,
    /// Who stands behind it.
    pub kind: FeedKind,
    /// How it is written.
    pub format: FeedFormat,
    /// Where its documents came from.
    pub source: String,
    /// Who publishes it.
    pub publisher: Option<Publisher>,
    /// Its documents.
    pub documents: Vec<BundledDocument>,
}

/// One document of a feed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BundledDocument {
    /// The id that its publisher gives it, or where it was found; empty where neither is needed.
    pub name: String,
    /// SHA-256, lowercase hex.
    pub sha256: String,
    /// How long it is.
    pub bytes: u64,
    /// The publisher's own date.
    pub date: Option<DateTime<Utc>>,
    /// When it was taken in.
    pub taken_at: DateTime<Utc>,
}

impl BundledDocument {
    /// The SHA-256 as bytes.
    pub(crate) fn digest(&self) -> Option<[u8; 32]> {
        let mut digest = [0; 32];
        for (place, at) in digest.iter_mut().zip((0..).step_by(2)) {
            *place = u8::from_str_radix(self.sha256.get(at..at + 2)?, 16).ok()?;
        }
        Some(digest)
    }
}

impl Manifest {
    /// What is wrong with what stands in it.
    pub(super) fn fault(&self, bytes_max: u64) -> Option<String> {
        let mut names = HashSet::new();
        for feed in &self.feeds {
            if !names.insert(&feed.name) {
                return Some(format!("there are two feeds {:?}", feed.name));
            }
            let mut names = HashSet::new();
            for document in &feed.documents {
                let BundledDocument { name, sha256, bytes, .. } = document;
                if name.chars().any(char::is_control) {
                    return Some(format!("the name {name:?} cannot be printed"));
                }
                if !names.insert(name) {
                    return Some(format!("there are two documents {name:?} of the feed {:?}", feed.name));
                }
                if !is_sha256(sha256) {
                    return Some(format!("{sha256:?} is not a SHA-256"));
                }
                if *bytes > bytes_max {
                    return Some(format!("the document {name:?} has more than {bytes_max} bytes"));
                }
            }
        }
        let documents: usize = self.feeds.iter().map(|feed| feed.documents.len()).sum();
        (documents > DOCUMENTS_MAX).then(|| format!("there are more than {DOCUMENTS_MAX} documents"))
    }
}
