//! What was found in a document, in the words of the catalogue.

use crate::DocumentError;
use crate::limits::{PATCHES_MAX, QUARANTINED_MAX};
use crate::text::clipped;
use chrono::{DateTime, Utc};
use contracts::feeds::{Cvss, Epss, KevEntry, PatchFacts, SsvcInputs};
pub use feeds_domain::catalogue::Rating;

/// All that was found in a document.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Contents {
    /// The publisher's own id of the document (`2024-Jan`, `RHSA-2024:4420`), where it has one.
    pub document_id: Option<String>,
    /// The publisher's own date of the document: of its last revision, or of its newest record.
    pub document_date: Option<DateTime<Utc>>,
    /// Until when the publisher wants the document believed, where it says so: a repository's `Valid-Until`. Whether
    /// that has passed is for the reader's clock to say.
    pub valid_until: Option<DateTime<Utc>>,
    /// Patches, in the document's order.
    pub patches: Vec<PatchFacts>,
    /// What the document says of vulnerabilities, whether or not a patch closes them.
    pub vulnerabilities: Vec<VulnerabilityFacts>,
    /// Whether the document lists *all* known exploited vulnerabilities, so that one that is not in it is none any more.
    pub is_whole_kev: bool,
    /// Severities of vulnerabilities in source packages, for patches that another document describes.
    pub ratings: Vec<Rating>,
    /// Patches that their publisher takes back.
    pub withdrawn: Vec<Withdrawal>,
    /// Further documents that this one names.
    pub links: Vec<Link>,
    /// Records that the document holds, whether or not they could be read. A document with far fewer than the one
    /// before it is not believed.
    pub records: usize,
    /// Records left out, each with its reason; at most [`QUARANTINED_MAX`] and a line that counts the rest.
    pub quarantined: Vec<String>,
    more_quarantined: usize,
}

/// What one source says of one vulnerability.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VulnerabilityFacts {
    /// `CVE-2024-20674`
    pub cve: String,
    /// Who says so: `nvd`, `cisa-kev`, `first-epss`, `cisa-vulnrichment`, or the short name of a CVE numbering authority.
    pub source: String,
    /// It is known to be exploited.
    pub kev: Option<KevEntry>,
    /// How likely it is to be exploited.
    pub epss: Option<Epss>,
    /// Scores, the highest version first.
    pub cvss: Vec<Cvss>,
    /// Inputs of a decision.
    pub ssvc: Option<SsvcInputs>,
    /// Why the id means no vulnerability any more, where it was rejected.
    pub rejected: Option<String>,
}

/// A patch that its publisher takes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Withdrawal {
    /// The publisher, as in [`crate::identity::Vendor`].
    pub vendor: crate::identity::Vendor,
    /// The vendor's id: for whatever release it was.
    pub vendor_patch_id: String,
    /// Why, in the publisher's words where it gives some.
    pub reason: String,
}

/// A further document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// A web address, or a path relative to this document.
    pub href: String,
    /// When it was last changed, where this document says so.
    pub updated: Option<DateTime<Utc>>,
    /// Its size, where this document says so.
    pub size_bytes: Option<u64>,
    /// SHA-256 of its bytes as they are fetched, lowercase hex, where this document says so.
    pub sha256: Option<String>,
}

impl Contents {
    /// Adds a patch.
    pub(crate) fn patch(&mut self, facts: PatchFacts) -> Result<(), DocumentError> {
        if self.patches.len() >= PATCHES_MAX {
            return Err(DocumentError::TooManyRecords { limit: PATCHES_MAX });
        }
        self.patches.push(facts);
        Ok(())
    }

    /// Notes a record that is left out, without growing with a hostile document.
    pub(crate) fn quarantine(&mut self, reason: impl AsRef<str>) {
        if self.quarantined.len() < QUARANTINED_MAX {
            self.quarantined.push(clipped(reason.as_ref()));
        } else {
            self.more_quarantined += 1;
        }
    }

    /// How many records were left out.
    pub fn quarantined_count(&self) -> usize {
        if self.more_quarantined == 0 {
            self.quarantined.len()
        } else {
            QUARANTINED_MAX + self.more_quarantined
        }
    }

    /// Adds the line that counts what is not told one by one.
    pub(crate) fn close(&mut self) {
        if self.more_quarantined > 0 && self.quarantined.len() == QUARANTINED_MAX {
            self.quarantined.push(format!("and {} more", self.more_quarantined));
        }
    }
}
