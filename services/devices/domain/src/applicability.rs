//! Which patches an inventory lacks, has, or has no use for.
//!
//! Linux: a patch is missing where a package that it mends is below the fixed version, in the distribution's own order.
//! Windows: the device's Update Agent says which KBs apply; the catalogue adds the rest.

mod shelf;

use contracts::{FixTarget, OsRelease, agent::Inventory, devices::MissingPackage};
use kernel::PatchId;
use serde::{Deserialize, Serialize};
use shelf::Shelf;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What applicability needs to know of a patch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CataloguePatch {
    /// The patch.
    pub patch_id: PatchId,
    /// The vendor's id.
    pub vendor_patch_id: String,
    /// What must be on a device for the patch to count as installed.
    pub targets: Vec<FixTarget>,
    /// Whether it is still the vendor's word.
    pub standing: Standing,
}

impl CataloguePatch {
    /// What replaces it, if anything does.
    pub fn successor(&self) -> Option<PatchId> {
        match self.standing {
            Standing::Superseded { by } => Some(by),
            Standing::Current | Standing::Withdrawn => None,
        }
    }
}

/// Whether a patch is still the vendor's word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standing {
    /// It is.
    Current,
    /// A newer one replaces it where the newer one applies.
    Superseded {
        /// The newer one.
        by: PatchId,
    },
    /// It was taken back.
    Withdrawn,
}

/// What an inventory says of a patch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Finding {
    /// Applicable and not installed.
    Missing(Vec<MissingPackage>),
    /// Applicable and there.
    Installed,
    /// Has no use here.
    NotApplicable(Reason),
}

/// Why a patch has no use here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Reason {
    /// A newer one is installed or to be installed instead.
    #[error("superseded by {by}")]
    Superseded {
        /// The newer one's vendor id.
        by: String,
    },
    /// Its publisher took it back.
    #[error("withdrawn by its publisher")]
    Withdrawn,
    /// Nothing that it mends is installed, and no updater offers it.
    #[error("nothing that it mends is installed")]
    NothingToPatch,
}

/// Judges every given patch. A patch that is not given gets no finding.
///
/// An entry whose fixed version is no version is passed over: nothing can be said of it.
pub fn assess(
    os: &OsRelease,
    inventory: &Inventory,
    catalogue: &[CataloguePatch],
) -> BTreeMap<PatchId, Finding> {
    let shelf = Shelf::of(os, inventory);
    let mut findings: BTreeMap<PatchId, Finding> =
        catalogue.iter().map(|patch| (patch.patch_id, shelf.judge(patch))).collect();
    let known: HashMap<PatchId, &CataloguePatch> = catalogue.iter().map(|p| (p.patch_id, p)).collect();
    // Judged before any is replaced: in a chain of three, the first is superseded by the third as well.
    let effective: BTreeSet<PatchId> = findings
        .iter()
        .filter(|(_, finding)| matches!(finding, Finding::Missing(_) | Finding::Installed))
        .map(|(id, _)| *id)
        .collect();
    for patch in catalogue {
        let missing = matches!(findings.get(&patch.patch_id), Some(Finding::Missing(_)));
        if let Some(newer) = replacement(patch, &known, &effective).filter(|_| missing) {
            let reason = Reason::Superseded { by: newer.vendor_patch_id.clone() };
            findings.insert(patch.patch_id, Finding::NotApplicable(reason));
        }
    }
    findings
}

/// What is news in `after` for whoever knows `before`: what became missing or is missing otherwise than it was, and what
/// was missing and no longer is.
pub fn news(
    before: &BTreeMap<PatchId, Finding>,
    after: BTreeMap<PatchId, Finding>,
) -> BTreeMap<PatchId, Finding> {
    let is_news = |id: &PatchId, now: &Finding| match (before.get(id), now) {
        (Some(Finding::Missing(then)), Finding::Missing(now)) => then != now,
        (Some(Finding::Missing(_)), Finding::Installed | Finding::NotApplicable(_))
        | (Some(Finding::Installed | Finding::NotApplicable(_)) | None, Finding::Missing(_)) => true,
        (_, Finding::Installed | Finding::NotApplicable(_)) => false,
    };
    after.into_iter().filter(|(id, now)| is_news(id, now)).collect()
}

/// The nearest patch in the chain of supersedence that is installed or missing here.
fn replacement<'a>(
    patch: &CataloguePatch,
    known: &HashMap<PatchId, &'a CataloguePatch>,
    effective: &BTreeSet<PatchId>,
) -> Option<&'a CataloguePatch> {
    let mut seen = BTreeSet::from([patch.patch_id]);
    let mut standing = &patch.standing;
    while let Standing::Superseded { by } = standing {
        // A vendor's circle must not hold us for ever, nor hide all of its members.
        if !seen.insert(*by) {
            return None;
        }
        let newer = known.get(by)?;
        if effective.contains(by) {
            return Some(newer);
        }
        standing = &newer.standing;
    }
    None
}

#[cfg(test)]
mod tests;
