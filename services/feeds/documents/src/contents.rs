//! What was found in a document, in the words of the catalogue.

use crate::DocumentError;
use crate::limits::{
    CONTENTS_BYTES_MAX, LINKS_MAX, PATCHES_MAX, QUARANTINED_MAX, RATINGS_MAX, VULNERABILITIES_MAX,
};
use crate::text::{clipped, is_reference};
use chrono::{DateTime, Utc};
use contracts::FixTarget;
use contracts::feeds::{Cvss, Epss, KevEntry, PatchFacts, SsvcInputs};
pub use feeds_domain::catalogue::Rating;
use kernel::PatchId;
use std::collections::HashSet;

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
    /// The place of the next page's first record, where this is one of several pages.
    pub next_page: Option<u64>,
    /// Records that the document holds, whether or not they could be read. A document with far fewer than the one
    /// before it is not believed.
    pub records: usize,
    /// Records left out, each with its reason; at most [`QUARANTINED_MAX`] and a line that counts the rest.
    pub quarantined: Vec<String>,
    more_quarantined: usize,
    /// Ids of all patches.
    ids: HashSet<PatchId>,
    /// What patches and vulnerabilities take in memory, about.
    bytes: u64,
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

impl Link {
    /// A document of which nothing is said but where it is.
    pub(crate) fn to(href: &str) -> Self {
        Self { href: href.trim().to_owned(), updated: None, size_bytes: None, sha256: None }
    }
}

impl Contents {
    /// Adds a patch; of two with the same id the first one counts.
    pub(crate) fn patch(&mut self, facts: PatchFacts) -> Result<(), DocumentError> {
        if self.patches.len() >= PATCHES_MAX {
            return Err(DocumentError::TooManyRecords { limit: PATCHES_MAX });
        }
        self.weigh(patch_bytes(&facts) + KNOWN_ID_BYTES)?;
        if self.ids.insert(facts.patch_id) {
            push(&mut self.patches, facts);
        } else {
            self.quarantine(format!("{} is here twice, the first one counts", facts.vendor_patch_id));
        }
        Ok(())
    }

    /// Puts what is better known now in the place of a patch.
    pub(crate) fn replace(&mut self, at: usize, facts: PatchFacts) -> Result<(), DocumentError> {
        if let Some(before) = self.patches.get_mut(at) {
            self.bytes = self.bytes.saturating_sub(patch_bytes(before) as u64);
            let bytes = patch_bytes(&facts);
            *before = facts;
            self.weigh(bytes)?;
        }
        Ok(())
    }

    /// Accounts for memory that a parser takes until it is done.
    pub(crate) fn hold(&mut self, bytes: usize) -> Result<(), DocumentError> {
        self.weigh(bytes)
    }

    /// Memory that was accounted for is free again.
    pub(crate) fn let_go(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes as u64);
    }

    /// Adds what is said of a vulnerability.
    pub(crate) fn vulnerability(&mut self, mut facts: VulnerabilityFacts) -> Result<(), DocumentError> {
        if self.vulnerabilities.len() >= VULNERABILITIES_MAX {
            return Err(DocumentError::TooManyRecords { limit: VULNERABILITIES_MAX });
        }
        // Most have one score, and a list that grows begins with room for four.
        facts.cvss.shrink_to_fit();
        self.weigh(vulnerability_bytes(&facts))?;
        push(&mut self.vulnerabilities, facts);
        Ok(())
    }

    /// Adds a patch that is taken back.
    pub(crate) fn withdraw(&mut self, withdrawal: Withdrawal) -> Result<(), DocumentError> {
        if self.withdrawn.len() >= PATCHES_MAX {
            return Err(DocumentError::TooManyRecords { limit: PATCHES_MAX });
        }
        let texts = text_bytes(&withdrawal.vendor_patch_id) + text_bytes(&withdrawal.reason);
        self.weigh(size_of::<Withdrawal>() + texts)?;
        push(&mut self.withdrawn, withdrawal);
        Ok(())
    }

    /// Adds a severity.
    pub(crate) fn rate(&mut self, rating: Rating) -> Result<(), DocumentError> {
        if self.ratings.len() >= RATINGS_MAX {
            return Err(DocumentError::TooManyRecords { limit: RATINGS_MAX });
        }
        let texts = [&rating.source, &rating.cve, &rating.os_version, &rating.vendor_severity];
        self.weigh(size_of::<Rating>() + texts.into_iter().map(|text| text_bytes(text)).sum::<usize>())?;
        push(&mut self.ratings, rating);
        Ok(())
    }

    /// Adds a further document, if it is one that may be fetched.
    pub(crate) fn link(&mut self, link: Link) -> Result<(), DocumentError> {
        if !is_reference(&link.href) {
            self.quarantine(format!("{:?} is no address of a document", link.href));
            return Ok(());
        }
        if self.links.len() >= LINKS_MAX {
            return Err(DocumentError::TooManyRecords { limit: LINKS_MAX });
        }
        let sha256 = link.sha256.as_deref().map_or(0, text_bytes);
        self.weigh(size_of::<Link>() + text_bytes(&link.href) + sha256)?;
        push(&mut self.links, link);
        Ok(())
    }

    /// A small document may say the same of many releases; no limit of single lists keeps all of them in memory.
    fn weigh(&mut self, bytes: usize) -> Result<(), DocumentError> {
        self.bytes = self.bytes.saturating_add(bytes as u64);
        if self.bytes > CONTENTS_BYTES_MAX {
            return Err(DocumentError::TooLarge { limit: CONTENTS_BYTES_MAX });
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

/// What it takes to know a patch's id, with free places of the set.
const KNOWN_ID_BYTES: usize = 40;
/// What an allocation takes besides its bytes, and what it is a multiple of.
const ALLOCATION_BYTES: usize = 16;

/// Adds to a list that grows by a sixteenth: doubled, the longest would take memory for nothing.
fn push<T>(list: &mut Vec<T>, item: T) {
    if list.len() == list.capacity() {
        list.reserve_exact(list.len() / 16 + 16);
    }
    list.push(item);
}

pub(crate) fn text_bytes(text: &str) -> usize {
    if text.is_empty() { 0 } else { (text.len() + ALLOCATION_BYTES).next_multiple_of(ALLOCATION_BYTES) }
}

fn list_bytes(list: &[String]) -> usize {
    size_of_val(list) + list.iter().map(|text| text_bytes(text)).sum::<usize>()
}

fn patch_bytes(patch: &PatchFacts) -> usize {
    let texts = [&patch.name, &patch.vendor_patch_id, &patch.vendor_severity];
    let more = [&patch.url, &patch.version].into_iter().flatten();
    let lists = [&patch.os_versions, &patch.cves, &patch.supersedes, &patch.advisories, &patch.prerequisites];
    let targets: usize = patch.targets.iter().map(target_bytes).sum();
    size_of::<PatchFacts>()
        + texts.into_iter().chain(more).map(|text| text_bytes(text)).sum::<usize>()
        + lists.into_iter().map(|list| list_bytes(list)).sum::<usize>()
        + size_of_val(patch.targets.as_slice())
        + targets
}

fn target_bytes(target: &FixTarget) -> usize {
    let os = target.os();
    let texts = match target {
        FixTarget::SourcePackage { source, fixed_version, .. } => {
            text_bytes(source) + text_bytes(fixed_version)
        }
        FixTarget::Kb { kb, fixed_build, .. } => {
            text_bytes(kb) + text_bytes(fixed_build.as_deref().unwrap_or_default())
        }
        FixTarget::BinaryPackage { package, fixed_version, architectures, module, .. } => {
            text_bytes(package)
                + text_bytes(fixed_version)
                + list_bytes(architectures)
                + text_bytes(module.as_deref().unwrap_or_default())
        }
        FixTarget::OemComponent { vendor, component, fixed_version, .. } => {
            text_bytes(vendor) + text_bytes(component) + text_bytes(fixed_version)
        }
    };
    text_bytes(&os.id) + text_bytes(&os.version) + texts
}

fn vulnerability_bytes(facts: &VulnerabilityFacts) -> usize {
    let scores = facts.cvss.iter().map(|score| text_bytes(&score.version) + text_bytes(&score.vector));
    let kev =
        facts.kev.iter().flat_map(|kev| [&kev.vendor, &kev.product, &kev.name]).map(|text| text_bytes(text));
    size_of::<VulnerabilityFacts>()
        + text_bytes(&facts.cve)
        + text_bytes(&facts.source)
        + size_of_val(facts.cvss.as_slice())
        + scores.chain(kev).sum::<usize>()
        + facts.rejected.as_deref().map_or(0, text_bytes)
}

#[cfg(test)]
mod tests {
    use super::{Contents, VulnerabilityFacts};
    use crate::DocumentError;
    use crate::identity::{self, Vendor};
    use crate::limits::CONTENTS_BYTES_MAX;
    use contracts::DevicePlatform;
    use kernel::FeedId;

    #[test]
    fn what_a_document_says_in_all_is_bounded() {
        let os = identity::os("rhel", "9");
        let id = identity::patch_id(Vendor::RedHat, "RHSA-2031:0001", &os);
        let feed_id = FeedId(uuid::Uuid::from_u128(7));
        let day = chrono::NaiveDate::default();
        let mut patch = identity::blank(feed_id, id, "RHSA-2031:0001", DevicePlatform::Linux, day);
        patch.cves = vec!["CVE-2031-10001".to_owned(); 100_000];
        let mut contents = Contents::default();
        let numbered = |number: i32| {
            let id = format!("RHSA-2031:{number:04}");
            contracts::feeds::PatchFacts {
                patch_id: identity::patch_id(Vendor::RedHat, &id, &os),
                ..patch.clone()
            }
        };
        let refused = (0..1_000).find_map(|number| contents.patch(numbered(number)).err());
        assert_eq!(refused, Some(DocumentError::TooLarge { limit: CONTENTS_BYTES_MAX }));
        assert!(contents.patches.len() > 10);
        let facts = VulnerabilityFacts { source: "x".repeat(1 << 20), ..VulnerabilityFacts::default() };
        let mut contents = Contents::default();
        let refused = (0..1_000).find_map(|_| contents.vulnerability(facts.clone()).err());
        assert_eq!(refused, Some(DocumentError::TooLarge { limit: CONTENTS_BYTES_MAX }));
    }
}
