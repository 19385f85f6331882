//! A document's patches, ready to be compared with what is known.

use crate::catalogue::ContentHash;
use contracts::feeds::PatchFacts;
use feeds_domain::catalogue::combined;
use kernel::{FeedId, PartnerId, PatchId, Tenant, canonical_json};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fmt::Write;

/// A patch as the document has it.
pub(crate) struct Found {
    pub(super) facts: PatchFacts,
    pub(super) hash: ContentHash,
}

impl Found {
    pub(crate) fn patch_id(&self) -> PatchId {
        self.facts.patch_id
    }

    /// The same for another feed than it was read for.
    pub(crate) fn for_feed(self, feed_id: FeedId) -> Option<Self> {
        let facts = PatchFacts { feed_id, ..self.facts };
        Some(Self { hash: hash_of(&facts)?, facts })
    }
}

/// Prepares a document's patches: what it says of one patch in several places is put together, a partner's patches get
/// ids of their own, and those that the database cannot hold come back as reasons.
pub(crate) fn prepared(patches: Vec<PatchFacts>, owner: PartnerId) -> (Vec<Found>, Vec<String>) {
    let mut reasons = Vec::new();
    let mut places: HashMap<PatchId, usize> = HashMap::new();
    let mut single: Vec<PatchFacts> = Vec::new();
    for mut facts in patches {
        if owner != Tenant::PLATFORM.partner_id {
            facts.patch_id = PatchId::derived(owner.0, &facts.patch_id.to_string());
        }
        if let Some(&at) = places.get(&facts.patch_id) {
            let first = single.swap_remove(at);
            single.push(combined(first, facts));
            let last = single.len() - 1;
            single.swap(at, last);
        } else {
            places.insert(facts.patch_id, single.len());
            single.push(facts);
        }
    }
    let found = single.into_iter().filter_map(|facts| {
        let Some(hash) = hash_of(&facts) else {
            reasons
                .push(format!("{}: holds a NUL character", facts.vendor_patch_id.replace('\0', "\u{fffd}")));
            return None;
        };
        Some(Found { facts, hash })
    });
    (found.collect(), reasons)
}

/// SHA-256 of what a document says; none where Postgres, whose text cannot hold NUL, could not keep it.
fn hash_of(facts: &PatchFacts) -> Option<ContentHash> {
    let mut value = serde_json::to_value(facts).ok()?;
    if !facts.is_dated
        && let Some(date) = value.get_mut("release_date")
    {
        // The day of the import is not said by the document.
        *date = serde_json::Value::Null;
    }
    let bytes = canonical_json(&value);
    let holds_nul = bytes.windows(6).any(|part| part == b"\\u0000");
    (!bytes.is_empty() && !holds_nul).then(|| Sha256::digest(&bytes).into())
}

/// Bytes as lowercase hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
