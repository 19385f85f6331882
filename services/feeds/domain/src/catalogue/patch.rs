//! A patch in the catalogue.
//!
//! ```text
//! unknown --publish--> published --publish (changed), rate--> published (revised)
//!                          |--supersede--> superseded (still known, still revised)
//!                          '--withdraw---> withdrawn
//! ```

use super::REASON_CHARS_MAX;
use crate::severity;
use contracts::feeds::{
    PatchEvent, PatchFacts, PatchMarkedOutOfBand, PatchPublished, PatchRevised, PatchSuperseded,
    PatchWithdrawn,
};
use contracts::{Cadence, FixTarget, OsRelease, OutOfBandReason, RebootBehaviour, Severity};
use kernel::{Aggregate, PatchId, Refused};
use std::collections::HashSet;

/// One installable correction.
#[derive(Debug)]
pub struct Patch;

/// What is known of a patch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum PatchState {
    /// Nothing.
    #[default]
    Unknown,
    /// It can be installed.
    Published {
        /// All that is known.
        facts: Box<PatchFacts>,
    },
    /// A newer one replaces it; it stays known.
    Superseded {
        /// All that is known.
        facts: Box<PatchFacts>,
        /// The newer one.
        superseded_by: PatchId,
    },
    /// The publisher took it back.
    Withdrawn,
}

impl PatchState {
    /// All that is known of it, unless it is unknown or was taken back.
    pub fn facts(&self) -> Option<&PatchFacts> {
        match self {
            Self::Published { facts } | Self::Superseded { facts, .. } => Some(facts),
            Self::Unknown | Self::Withdrawn => None,
        }
    }
}

/// A wish about a patch.
#[derive(Debug, Clone, PartialEq)]
pub enum PatchCommand {
    /// A document describes it.
    Publish {
        /// As the document has it.
        facts: Box<PatchFacts>,
        /// Whether it is the document that described the patch first: it may take back what it said. Others only add.
        by_owner: bool,
    },
    /// Another document of the vendor says how severe it is.
    Rate {
        /// The vendor's word.
        vendor_severity: String,
    },
    /// A newer patch replaces it.
    Supersede {
        /// The newer one.
        by: PatchId,
        /// Its vendor id.
        by_vendor_id: String,
    },
    /// Somebody knows that it came outside of the regular cycle.
    MarkOutOfBand {
        /// Why it could not wait.
        reason: OutOfBandReason,
    },
    /// The publisher takes it back.
    Withdraw {
        /// Why.
        reason: String,
    },
}

/// A "no" about a patch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatchRefusal {
    /// There is no such patch.
    #[error("there is no such patch")]
    Unknown,
    /// It was taken back.
    #[error("the patch was withdrawn by its publisher")]
    Withdrawn,
}

impl Refused for PatchRefusal {
    fn code(&self) -> &'static str {
        match self {
            Self::Unknown => "feeds.patch_unknown",
            Self::Withdrawn => "feeds.patch_withdrawn",
        }
    }

    fn is_not_found(&self) -> bool {
        matches!(self, Self::Unknown)
    }
}

impl Aggregate for Patch {
    const STREAM: &'static str = "feeds.patch";
    type State = PatchState;
    type Command = PatchCommand;
    type Event = PatchEvent;
    type Refusal = PatchRefusal;

    fn decide(state: &PatchState, command: PatchCommand) -> Result<Vec<PatchEvent>, PatchRefusal> {
        match (state, command) {
            (PatchState::Unknown, PatchCommand::Publish { facts, .. }) => {
                Ok(vec![PatchPublished { patch: *facts }.into()])
            }
            (
                PatchState::Published { facts: known } | PatchState::Superseded { facts: known, .. },
                PatchCommand::Publish { facts, by_owner },
            ) => Ok(revision(known, merged(known, *facts, by_owner))),
            (
                PatchState::Published { facts: known } | PatchState::Superseded { facts: known, .. },
                PatchCommand::Rate { vendor_severity },
            ) => {
                let severity = severity::from_word(&vendor_severity);
                if severity == Severity::Unknown {
                    return Ok(Vec::new());
                }
                Ok(revision(known, PatchFacts { vendor_severity, severity, ..(**known).clone() }))
            }
            (PatchState::Published { facts }, PatchCommand::Supersede { by, by_vendor_id }) => {
                if by == facts.patch_id {
                    return Ok(Vec::new());
                }
                let patch_id = facts.patch_id;
                Ok(vec![
                    PatchSuperseded { patch_id, superseded_by: by, superseded_by_vendor_id: by_vendor_id }
                        .into(),
                ])
            }
            // The first replacement counts: what replaces the replacement is found by following the chain.
            (PatchState::Superseded { .. } | PatchState::Withdrawn, PatchCommand::Supersede { .. })
            | (PatchState::Withdrawn, PatchCommand::Withdraw { .. } | PatchCommand::Rate { .. }) => {
                Ok(Vec::new())
            }
            (
                PatchState::Published { facts } | PatchState::Superseded { facts, .. },
                PatchCommand::Withdraw { reason },
            ) => {
                let reason = reason.chars().take(REASON_CHARS_MAX).collect();
                Ok(vec![PatchWithdrawn { patch_id: facts.patch_id, reason }.into()])
            }
            (
                PatchState::Published { facts } | PatchState::Superseded { facts, .. },
                PatchCommand::MarkOutOfBand { reason },
            ) => Ok(if facts.out_of_band == Some(reason) {
                Vec::new()
            } else {
                vec![PatchMarkedOutOfBand { patch_id: facts.patch_id, reason }.into()]
            }),
            (PatchState::Withdrawn, PatchCommand::Publish { .. } | PatchCommand::MarkOutOfBand { .. }) => {
                Err(PatchRefusal::Withdrawn)
            }
            (
                PatchState::Unknown,
                PatchCommand::Rate { .. }
                | PatchCommand::Supersede { .. }
                | PatchCommand::MarkOutOfBand { .. }
                | PatchCommand::Withdraw { .. },
            ) => Err(PatchRefusal::Unknown),
        }
    }

    fn evolve(state: PatchState, event: &PatchEvent) -> PatchState {
        match (state, event) {
            (_, PatchEvent::PatchWithdrawn(_)) => PatchState::Withdrawn,
            (PatchState::Superseded { superseded_by, .. }, PatchEvent::PatchRevised(fact)) => {
                PatchState::Superseded { facts: Box::new(fact.patch.clone()), superseded_by }
            }
            (
                _,
                PatchEvent::PatchPublished(PatchPublished { patch })
                | PatchEvent::PatchRevised(PatchRevised { patch, .. }),
            ) => PatchState::Published { facts: Box::new(patch.clone()) },
            (
                PatchState::Published { facts } | PatchState::Superseded { facts, .. },
                PatchEvent::PatchSuperseded(fact),
            ) => PatchState::Superseded { facts, superseded_by: fact.superseded_by },
            (PatchState::Published { facts }, PatchEvent::PatchMarkedOutOfBand(fact)) => {
                PatchState::Published { facts: marked(facts, fact.reason) }
            }
            (PatchState::Superseded { facts, superseded_by }, PatchEvent::PatchMarkedOutOfBand(fact)) => {
                PatchState::Superseded { facts: marked(facts, fact.reason), superseded_by }
            }
            (
                state @ (PatchState::Unknown | PatchState::Withdrawn),
                PatchEvent::PatchSuperseded(_) | PatchEvent::PatchMarkedOutOfBand(_),
            ) => state,
        }
    }
}

fn marked(mut facts: Box<PatchFacts>, reason: OutOfBandReason) -> Box<PatchFacts> {
    facts.out_of_band = Some(reason);
    facts.cadence = Cadence::OutOfBand;
    facts
}

/// What is true after a document: a severity once known is not lost to a document that has none, and a patch belongs to
/// the document that published it first. The same patch in another document (a KB that next month's document names
/// again) only adds to it.
fn merged(known: &PatchFacts, found: PatchFacts, by_owner: bool) -> PatchFacts {
    let (severity, vendor_severity) = if found.severity == Severity::Unknown {
        (known.severity, known.vendor_severity.clone())
    } else {
        (found.severity, found.vendor_severity.clone())
    };
    if by_owner {
        // What the document cannot say stays as it is: the day on which an undated patch was first seen, and what a
        // person knows about its cycle.
        let dated = if found.is_dated { &found } else { known };
        let (release_date, is_dated) = (dated.release_date, dated.is_dated);
        let cycle = if found.out_of_band.is_none() && known.out_of_band.is_some() { known } else { &found };
        let (cadence, out_of_band) = (cycle.cadence, cycle.out_of_band);
        return PatchFacts {
            severity,
            vendor_severity,
            release_date,
            is_dated,
            cadence,
            out_of_band,
            ..found
        };
    }
    combined(known.clone(), found)
}

/// Two descriptions of one patch together: the first one with what the second one adds.
pub fn combined(mut facts: PatchFacts, found: PatchFacts) -> PatchFacts {
    if found.severity > facts.severity {
        facts.severity = found.severity;
        facts.vendor_severity = found.vendor_severity;
    }
    add(&mut facts.os_versions, found.os_versions);
    add(&mut facts.cves, found.cves);
    add(&mut facts.supersedes, found.supersedes);
    add(&mut facts.advisories, found.advisories);
    add(&mut facts.prerequisites, found.prerequisites);
    facts.size_bytes = facts.size_bytes.or(found.size_bytes);
    facts.version = facts.version.or(found.version);
    facts.out_of_band = facts.out_of_band.or(found.out_of_band);
    if facts.reboot == RebootBehaviour::Unknown {
        facts.reboot = found.reboot;
    }
    let known_targets: HashSet<(OsRelease, String)> = facts.targets.iter().map(target_key).collect();
    facts
        .targets
        .extend(found.targets.into_iter().filter(|target| !known_targets.contains(&target_key(target))));
    if found.is_dated && (!facts.is_dated || found.release_date < facts.release_date) {
        facts.release_date = found.release_date;
        facts.is_dated = true;
    }
    facts
}

fn add(known: &mut Vec<String>, found: Vec<String>) {
    let new: Vec<String> = found.into_iter().filter(|text| !known.contains(text)).collect();
    if !new.is_empty() {
        known.extend(new);
        known.sort();
        known.dedup();
    }
}

fn target_key(target: &FixTarget) -> (OsRelease, String) {
    match target {
        FixTarget::SourcePackage { os, source, .. } => (os.clone(), source.clone()),
        FixTarget::Kb { os, kb, .. } => (os.clone(), kb.clone()),
        FixTarget::BinaryPackage { os, package, module, .. } => {
            (os.clone(), format!("{package} {}", module.as_deref().unwrap_or_default()))
        }
        FixTarget::OemComponent { os, vendor, component, .. } => {
            (os.clone(), format!("{vendor} {component}"))
        }
    }
}

fn revision(known: &PatchFacts, now: PatchFacts) -> Vec<PatchEvent> {
    let changed: Vec<String> = [
        ("vendor_patch_id", known.vendor_patch_id == now.vendor_patch_id),
        ("name", known.name == now.name),
        ("platform", known.platform == now.platform),
        ("os_versions", known.os_versions == now.os_versions),
        ("vendor_severity", known.vendor_severity == now.vendor_severity),
        ("severity", known.severity == now.severity),
        ("classification", known.classification == now.classification),
        ("release_date", known.release_date == now.release_date),
        ("cves", known.cves == now.cves),
        ("targets", known.targets == now.targets),
        ("supersedes", known.supersedes == now.supersedes),
        ("reboot", known.reboot == now.reboot),
        ("url", known.url == now.url),
        ("advisories", known.advisories == now.advisories),
        ("version", known.version == now.version),
        ("size_bytes", known.size_bytes == now.size_bytes),
        ("cadence", known.cadence == now.cadence),
        ("out_of_band", known.out_of_band == now.out_of_band),
        ("prerequisites", known.prerequisites == now.prerequisites),
        ("is_dated", known.is_dated == now.is_dated),
    ]
    .into_iter()
    .filter(|(_, same)| !same)
    .map(|(field, _)| field.to_owned())
    .collect();
    if changed.is_empty() { Vec::new() } else { vec![PatchRevised { patch: now, changed }.into()] }
}

/// Whether `newer` replaces `older` everywhere: its vendor says so, and it is for every release that the older one is for.
///
/// A KB that replaces another one only on some products leaves it valid on the rest. One that claims to replace something
/// younger than itself is not believed, so that two patches never replace each other.
pub fn replaces(newer: &PatchFacts, older: &PatchFacts) -> bool {
    newer.patch_id != older.patch_id
        && newer.platform == older.platform
        && newer.supersedes.contains(&older.vendor_patch_id)
        && (older.release_date, &older.vendor_patch_id) < (newer.release_date, &newer.vendor_patch_id)
        && older.targets.iter().all(|target| newer.targets.iter().any(|other| other.os() == target.os()))
}
