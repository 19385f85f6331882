//! Microsoft's updates, collected by their KB numbers from whatever document lists them.
//!
//! Microsoft's documents are about vulnerabilities, products or files; a device installs a KB. So every document is
//! turned around: each of its records is a [`Statement`] of one KB, and all that is said of a KB becomes one patch.

mod naming;
mod patch;
mod texts;

use crate::contents::{Contents, Link, Withdrawal};
use crate::identity::Vendor;
use crate::limits::{PATCH_CVES_MAX, PATCH_TARGETS_MAX};
use crate::reading::Reading;
use crate::text::{clipped, is_cve, is_plain, is_reference};
use crate::{DocumentError, json};
use chrono::NaiveDate;
use contracts::Classification;
pub(super) use naming::kb_of;
use naming::{is_later_build, kbs_in};
use serde_json::value::RawValue;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use texts::{TextId, Texts};

/// KBs of a document: Microsoft's security updates of twenty years are some 12,000.
const UPDATES_MAX: usize = 30_000;
/// Products of all KBs together: twenty years make some 60,000.
const PRODUCTS_MAX: usize = 200_000;
/// Advisories, severities and the like of all KBs together: twenty years make some 150,000.
const DETAILS_MAX: usize = 600_000;

/// What one record says of one KB.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Statement<'a> {
    /// The KB number, or words in its place.
    pub(super) fix: &'a str,
    /// What it is for.
    pub(super) products: &'a [&'a str],
    /// Build of these products after it.
    pub(super) build: &'a str,
    /// What it closes: `CVE-2024-20674`, `ADV200013`.
    pub(super) advisories: &'a [&'a str],
    /// The vendor's words.
    pub(super) severities: &'a [&'a str],
    /// KB numbers of what it replaces, among other words.
    pub(super) supersedes: &'a str,
    /// Whether it restarts.
    pub(super) restart: Option<Restart>,
    /// `Security Update`, `Monthly Rollup`.
    pub(super) sub_type: &'a str,
    /// Its full title, where the record has one.
    pub(super) title: &'a str,
    /// Kind of update; a security update where nothing else is said.
    pub(super) classification: Option<Classification>,
    /// When it was published, or when something of it was.
    pub(super) released: Option<NaiveDate>,
    /// The publisher calls it one outside of the cycle.
    pub(super) out_of_band: bool,
    /// The publisher took it back; nothing else of the statement counts then.
    pub(super) expired: bool,
    /// Bytes to download.
    pub(super) size_bytes: Option<u64>,
}

/// Whether an update restarts the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Restart {
    No,
    Maybe,
    Yes,
}

impl Restart {
    /// Microsoft's word.
    pub(super) fn from_word(text: &str) -> Option<Self> {
        match text.trim().to_ascii_lowercase().as_str() {
            "yes" | "alwaysrequiresreboot" => Some(Self::Yes),
            "maybe" | "canrequestreboot" => Some(Self::Maybe),
            "no" | "neverreboots" => Some(Self::No),
            _ => None,
        }
    }
}

/// What the days of a document's statements mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Days {
    /// An update was published on its first day.
    OfPublication,
    /// Something about an update was published, perhaps long after the update.
    OfAnyChange,
}

/// All updates of a document.
#[derive(Debug, Default)]
pub(super) struct Updates {
    texts: Texts,
    by_kb: BTreeMap<String, Update>,
    /// Edge, Office click-to-run, Mariner: their fixes have words where others have a KB. Counted, not listed one by one.
    without_kb: BTreeMap<TextId, usize>,
    products: usize,
    details: usize,
}

/// What a document says of one KB.
#[derive(Debug, Default)]
struct Update {
    /// Product to the build after the update.
    products: BTreeMap<TextId, TextId>,
    cves: BTreeSet<TextId>,
    advisories: BTreeSet<TextId>,
    severities: BTreeSet<TextId>,
    supersedes: BTreeSet<TextId>,
    sub_types: BTreeSet<TextId>,
    titles: BTreeSet<TextId>,
    restarts: BTreeSet<Restart>,
    classification: Option<Classification>,
    released: Option<NaiveDate>,
    out_of_band: bool,
    /// Something of it is still to be had.
    current: bool,
    size_bytes: Option<u64>,
}

impl Updates {
    /// Takes in what a record says.
    pub(super) fn add(&mut self, said: &Statement<'_>) -> Result<(), DocumentError> {
        let Some(kb) = kb_of(said.fix) else { return self.add_without_kb(said.fix) };
        let full = self.by_kb.len() >= UPDATES_MAX;
        let update = match self.by_kb.entry(kb) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(_) if full => return Err(DocumentError::TooManyRecords { limit: UPDATES_MAX }),
            Entry::Vacant(new) => new.insert(Update::default()),
        };
        if said.expired {
            return Ok(());
        }
        update.current = true;
        let texts = &mut self.texts;
        let build = texts.id(if is_plain(said.build) { said.build } else { "" })?;
        for product in said.products.iter().filter(|product| is_plain(product)) {
            match update.products.entry(texts.id(product)?) {
                Entry::Occupied(mut known) => {
                    if is_later_build(texts.text(build), texts.text(*known.get())) {
                        known.insert(build);
                    }
                }
                Entry::Vacant(new) => {
                    new.insert(build);
                    self.products += 1;
                }
            }
        }
        let mut details = Details { texts, added: 0 };
        for advisory in said.advisories.iter().copied() {
            if is_cve(advisory) {
                details.note(&mut update.cves, advisory)?;
            }
            details.note(&mut update.advisories, advisory)?;
        }
        for severity in said.severities {
            details.note(&mut update.severities, severity.trim())?;
        }
        for older in kbs_in(said.supersedes) {
            details.note(&mut update.supersedes, &older)?;
        }
        details.note(&mut update.sub_types, said.sub_type.trim())?;
        details.note(&mut update.titles, said.title.trim())?;
        self.details += details.added;
        update.restarts.extend(said.restart);
        update.classification = patch::weightier(update.classification, said.classification);
        update.released = update.released.into_iter().chain(said.released).min();
        update.out_of_band |= said.out_of_band;
        update.size_bytes = update.size_bytes.max(said.size_bytes);
        self.within_limits()
    }

    fn add_without_kb(&mut self, words: &str) -> Result<(), DocumentError> {
        let words = self.texts.id(&clipped(words.trim()))?;
        *self.without_kb.entry(words).or_insert_with(|| {
            self.details += 1;
            0
        }) += 1;
        self.within_limits()
    }

    fn within_limits(&self) -> Result<(), DocumentError> {
        if self.products > PRODUCTS_MAX {
            return Err(DocumentError::TooManyRecords { limit: PRODUCTS_MAX });
        }
        if self.details > DETAILS_MAX {
            return Err(DocumentError::TooManyRecords { limit: DETAILS_MAX });
        }
        Ok(())
    }

    /// The publisher calls the whole document one outside of the cycle.
    pub(super) fn all_out_of_band(&mut self) {
        self.by_kb.values_mut().for_each(|update| update.out_of_band = true);
    }

    /// Gives each KB as a patch. Its day is `otherwise` where no statement has one; `names` are those of products where
    /// statements only have their ids.
    pub(super) fn finish(
        self,
        reading: &mut Reading,
        days: Days,
        otherwise: Option<NaiveDate>,
        names: Option<&HashMap<String, String>>,
    ) -> Result<(), DocumentError> {
        let Self { texts, by_kb, without_kb, .. } = self;
        let contents = &mut reading.contents;
        let mut without_kb: Vec<(&str, usize)> =
            without_kb.into_iter().map(|(words, times)| (texts.text(words), times)).collect();
        without_kb.sort_unstable();
        for (words, times) in without_kb {
            contents.quarantine(format!("{times} fixes {words:?} have no KB number"));
        }
        for (kb, update) in by_kb {
            if !update.current {
                contents.withdraw(Withdrawal {
                    vendor: Vendor::Microsoft,
                    vendor_patch_id: kb,
                    reason: "it is expired".to_owned(),
                })?;
                continue;
            }
            let mut products: BTreeMap<&str, &str> = BTreeMap::new();
            let mut unknown = BTreeSet::new();
            for (&product, &build) in &update.products {
                let product = texts.text(product);
                let name = names.map_or(Some(product), |names| names.get(product).map(String::as_str));
                let Some(name) = name else {
                    unknown.insert(product);
                    continue;
                };
                let known = products.entry(name).or_default();
                if is_later_build(texts.text(build), known) {
                    *known = texts.text(build);
                }
            }
            for product in unknown {
                contents.quarantine(format!("{kb}: product {product:?} is not in the product tree"));
            }
            if products.is_empty() {
                contents.quarantine(format!("{kb}: is for no known product"));
            } else if products.len() > PATCH_TARGETS_MAX || update.cves.len() > PATCH_CVES_MAX {
                contents.quarantine(format!(
                    "{kb}: more than {PATCH_TARGETS_MAX} products or {PATCH_CVES_MAX} CVEs"
                ));
            } else if let Some(released) = update.released.or(otherwise) {
                let facts = patch::facts(&kb, &update, &products, &texts, (released, days), reading.feed_id);
                contents.patch(facts)?;
            } else {
                contents.quarantine(format!("{kb}: no day of publication"));
            }
        }
        Ok(())
    }
}

/// Whether the name of a release says that it came outside of the cycle: `2017-Jan-OOB`, `Oct-OOB`.
pub(super) fn is_out_of_band(release: &str) -> bool {
    release.to_ascii_uppercase().contains("OOB")
}

/// Where the next page of a list is.
pub(super) fn link_next_page(value: &RawValue, contents: &mut Contents) -> Result<(), DocumentError> {
    match json::item::<Option<String>>(value) {
        Ok(Some(href)) if is_reference(href.trim()) => contents.link(Link::to(&href)),
        Ok(None) => Ok(()),
        Ok(Some(_)) | Err(_) => {
            contents.quarantine("the next page has no address that could be one");
            Ok(())
        }
    }
}

/// Adds to the sets of an update, and counts what was not there.
struct Details<'a> {
    texts: &'a mut Texts,
    added: usize,
}

impl Details<'_> {
    fn note(&mut self, set: &mut BTreeSet<TextId>, text: &str) -> Result<(), DocumentError> {
        if is_plain(text) && set.insert(self.texts.id(text)?) {
            self.added += 1;
        }
        Ok(())
    }
}
