//! What was found in a document, in the words of the catalogue.

use crate::DocumentError;
use crate::limits::{PATCHES_BYTES_MAX, PATCHES_MAX, QUARANTINED_MAX};
use crate::text::clipped;
use chrono::{DateTime, Utc};
use contracts::FixTarget;
use contracts::feeds::{Cvss, Epss, KevEntry, PatchFacts, SsvcInputs};
pub use feeds_domain::catalogue::Rating;

/// All that was found in a document.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Contents {
    /// The publisher's own id of the document (`2024-Jan`, `RHSA-2024:4420`), where it has one.
    pub document_id: Option<String>,
    /// The publisher's own date of the document: of its last revision, or of its newest record.
    pub document_date: Option<DateTime<Utc>>,
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
    patches_bytes: usize,
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
        self.hold(bytes_of(&facts))?;
        self.patches.push(facts);
        Ok(())
    }

    /// Puts what is better known now in the place of a patch.
    pub(crate) fn replace(&mut self, at: usize, facts: PatchFacts) -> Result<(), DocumentError> {
        if let Some(before) = self.patches.get_mut(at) {
            self.patches_bytes = self.patches_bytes.saturating_sub(bytes_of(before));
            let bytes = bytes_of(&facts);
            *before = facts;
            self.hold(bytes)?;
        }
        Ok(())
    }

    /// Accounts for memory that patches take, before they do.
    pub(crate) fn hold(&mut self, bytes: usize) -> Result<(), DocumentError> {
        self.patches_bytes = self.patches_bytes.saturating_add(bytes);
        if self.patches_bytes > PATCHES_BYTES_MAX {
            return Err(DocumentError::TooManyRecords { limit: PATCHES_MAX });
        }
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

/// Memory that a patch takes, as near as it matters: every text is a piece of memory of its own.
fn bytes_of(facts: &PatchFacts) -> usize {
    let texts = [&facts.cves, &facts.supersedes, &facts.advisories, &facts.prerequisites, &facts.os_versions];
    let texts: usize = texts.into_iter().flatten().map(|text| size_of::<String>() + text_bytes(text)).sum();
    let own =
        text_bytes(&facts.name) + text_bytes(&facts.vendor_patch_id) + text_bytes(&facts.vendor_severity);
    size_of::<PatchFacts>() + own + texts + facts.targets.iter().map(target_bytes).sum::<usize>()
}

fn target_bytes(target: &FixTarget) -> usize {
    let os = target.os();
    let texts = match target {
        FixTarget::SourcePackage { source, fixed_version, .. } => {
            text_bytes(source) + text_bytes(fixed_version)
        }
        FixTarget::Kb { kb, fixed_build, .. } => {
            text_bytes(kb) + fixed_build.as_deref().map_or(0, text_bytes)
        }
        FixTarget::BinaryPackage { package, fixed_version, architectures, module, .. } => {
            let architectures: usize =
                architectures.iter().map(|text| size_of::<String>() + text_bytes(text)).sum();
            let module = module.as_deref().map_or(0, text_bytes);
            text_bytes(package) + text_bytes(fixed_version) + architectures + module
        }
        FixTarget::OemComponent { vendor, component, fixed_version, .. } => {
            text_bytes(vendor) + text_bytes(component) + text_bytes(fixed_version)
        }
    };
    size_of::<FixTarget>() + text_bytes(&os.id) + text_bytes(&os.version) + texts
}

/// A text's own memory, which comes in pieces of 16 bytes.
fn text_bytes(text: &str) -> usize {
    text.len().next_multiple_of(16) + 16
}

#[cfg(test)]
mod tests {
    use super::{Contents, bytes_of};
    use crate::identity::{Vendor, blank, os, patch_id};
    use crate::limits::PATCHES_BYTES_MAX;
    use contracts::{DevicePlatform, FixTarget};
    use kernel::FeedId;

    #[test]
    fn patches_take_no_more_memory_than_there_is_for_them() {
        let debian = os("debian", "12");
        let feed_id = FeedId::derived(contracts::NAMESPACE, "test");
        let id = patch_id(Vendor::Debian, "DSA-1", &debian);
        let mut facts = blank(feed_id, id, "DSA-1", DevicePlatform::Linux, chrono::NaiveDate::MIN);
        let source = "x".repeat(1_000);
        facts.targets =
            vec![FixTarget::SourcePackage { os: debian, source, fixed_version: String::new() }; 100];
        assert!(bytes_of(&facts) > 100_000);
        let mut contents = Contents::default();
        let room_for = PATCHES_BYTES_MAX / bytes_of(&facts);
        contents.hold((room_for - 1) * bytes_of(&facts)).unwrap();
        contents.patch(facts.clone()).unwrap();
        contents.replace(0, facts.clone()).unwrap();
        assert!(contents.patch(facts).is_err());
    }
}
