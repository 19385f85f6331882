//! Which patches an inventory lacks, has, or has no use for.
//!
//! Linux: a patch is missing where a binary package built from one of its source packages is below the fixed version.
//! Windows: the device's Update Agent says which KBs apply; the catalogue adds the rest.

use crate::DebianVersion;
use contracts::{
    FixTarget, OsRelease,
    agent::{InstalledPackage, Inventory},
    devices::MissingPackage,
};
use kernel::PatchId;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What applicability needs to know of a patch.
#[derive(Debug, Clone, PartialEq, Eq)]
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

/// Whether a patch is still the vendor's word.
#[derive(Debug, Clone, PartialEq, Eq)]
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// Applicable and not installed.
    Missing(Vec<MissingPackage>),
    /// Applicable and there.
    Installed,
    /// Has no use here.
    NotApplicable(Reason),
}

/// Why a patch has no use here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
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

/// An inventory, arranged for looking up.
struct Shelf<'a> {
    os: &'a OsRelease,
    by_source: HashMap<&'a str, Vec<&'a InstalledPackage>>,
    installed: BTreeSet<&'a str>,
    applicable: BTreeSet<&'a str>,
}

impl<'a> Shelf<'a> {
    fn of(os: &'a OsRelease, inventory: &'a Inventory) -> Self {
        let mut shelf =
            Self { os, by_source: HashMap::new(), installed: BTreeSet::new(), applicable: BTreeSet::new() };
        match inventory {
            Inventory::Packages { packages } => {
                for package in packages {
                    shelf.by_source.entry(&package.source).or_default().push(package);
                }
            }
            Inventory::WindowsUpdates { installed, applicable, .. } => {
                shelf.installed = installed.iter().map(String::as_str).collect();
                shelf.applicable = applicable.iter().map(String::as_str).collect();
            }
        }
        shelf
    }

    fn judge(&self, patch: &CataloguePatch) -> Finding {
        if patch.standing == Standing::Withdrawn {
            return Finding::NotApplicable(Reason::Withdrawn);
        }
        let mut applies = false;
        let mut missing = BTreeSet::new();
        for target in &patch.targets {
            match target {
                FixTarget::SourcePackage { os, source, fixed_version } if os == self.os => {
                    let (packages, Ok(fixed)) =
                        (self.by_source.get(source.as_str()), fixed_version.parse::<DebianVersion>())
                    else {
                        continue;
                    };
                    for package in packages.into_iter().flatten() {
                        applies = true;
                        if below(&package.source_version, &fixed) {
                            missing.insert(MissingPackage {
                                name: package.name.clone(),
                                installed_version: package.version.clone(),
                                fixed_version: fixed_version.clone(),
                            });
                        }
                    }
                }
                // The update agent knows its own system better than a list of product names.
                FixTarget::Kb { kb, .. } if self.applicable.contains(kb.as_str()) => {
                    applies = true;
                    missing.insert(MissingPackage {
                        name: kb.clone(),
                        installed_version: String::new(),
                        fixed_version: String::new(),
                    });
                }
                FixTarget::Kb { kb, .. } => applies |= self.installed.contains(kb.as_str()),
                // No agent reports packages of such systems yet, nor firmware and drivers: nothing can be said of them.
                FixTarget::SourcePackage { .. }
                | FixTarget::BinaryPackage { .. }
                | FixTarget::OemComponent { .. } => {}
            }
        }
        if !missing.is_empty() {
            Finding::Missing(missing.into_iter().collect())
        } else if applies {
            Finding::Installed
        } else {
            Finding::NotApplicable(Reason::NothingToPatch)
        }
    }
}

/// A version that cannot be read is never taken for a fixed one; reports with such versions are refused before.
fn below(installed: &str, fixed: &DebianVersion) -> bool {
    installed.parse::<DebianVersion>().map_or(true, |installed| installed < *fixed)
}

#[cfg(test)]
mod tests;
