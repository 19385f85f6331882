//! Documents that other documents name: each is fetched where it has changed.

use super::release::is_absent;
use super::{Feeds, Place, Taken};
use crate::documents::{self, Address};
use crate::error::SyncError;
use crate::fetch::{FetchError, Fetched};
use crate::import::{Import, hex};
use crate::source::Source;
use feeds_documents::contents::{Contents, Link};
use feeds_documents::{DocumentError, Format};
use feeds_domain::catalogue::FeedSettings;
use std::collections::{HashMap, HashSet};

/// Documents that one document may name: CISA names some 3,000, Red Hat some 20,000 advisories.
const LINKS_MAX: usize = 50_000;
/// Pages of one list: all vulnerabilities there are come in some 160 of 2,000.
pub(crate) const PAGES_MAX: usize = 5_000;
/// A CSAF provider's list of what it has changed.
const CHANGES: &str = "changes.csv";
/// The list of what it has deleted, which not all have.
const DELETIONS: &str = "deletions.csv";
/// What is said of a document without anything in it.
const EMPTY: &str = "feeds.document_empty";
/// Letters of a hash before a file's name: the shortest in use is MD5.
const NAMED_HASH_CHARS_MIN: usize = 32;
/// Documents in a row that a source fails to send, each tried several times, before the others are left for the next time.
const OUTAGES_MAX: u32 = 3;

/// What a document leads to.
#[derive(Default)]
pub(crate) struct Leads {
    /// Documents that it names.
    pub(super) links: Vec<Link>,
    /// Whether these are documents that its publisher has deleted.
    pub(super) are_deleted: bool,
    /// Whether it lists what was changed; what was deleted may be listed beside it.
    are_changes: bool,
    /// Whether paths are those of an RPM repository.
    of_repository: bool,
    /// The place of the next page's first record, where it is one of several pages.
    pub(crate) next_page: Option<u64>,
}

impl Leads {
    pub(super) fn of(contents: &mut Contents, format: Format, place: Place<'_>) -> Self {
        let at = Source::parse(place.web.map_or(place.name, |(address, _)| address)).ok();
        let is_called = |name| at.as_ref().is_some_and(|at| at.is_called(name));
        let is_list = format == Format::CsafChanges;
        Self {
            links: std::mem::take(&mut contents.links),
            are_deleted: is_list && is_called(DELETIONS),
            are_changes: is_list && is_called(CHANGES),
            of_repository: format == Format::Repomd,
            next_page: contents.next_page,
        }
    }
}

impl Feeds {
    /// Takes in the documents that a document names and that have changed since.
    pub(super) async fn follow(
        &self,
        import: &Import<'_>,
        settings: &FeedSettings,
        source: &Source,
        leads: Leads,
        taken: &mut Taken,
    ) -> Result<(), SyncError> {
        let mut trail = Trail::default();
        trail.add(source, leads, taken);
        let known = self.known_addresses(import, &trail.waiting).await?;
        let mut outages = 0;
        while let Some((target, link)) = trail.waiting.pop() {
            let address = target.to_string();
            let state = match known.get(&address) {
                Some(state) => state.clone(),
                None => self.address(import, &address).await?,
            };
            if state.is_current(&link) {
                continue;
            }
            if trail.pages.contains(&address) {
                self.pause_between_pages().await?;
                tracing::info!(feed.id = %import.sync.feed_id, page = trail.pages.len() + 1, "next page");
            }
            let fetched = self.ask(import, target.clone(), &state.validators).await?;
            outages = if fetched.as_ref().is_err_and(FetchError::is_outage) { outages + 1 } else { 0 };
            let outcome = match fetched {
                Ok(Fetched::Document(spooled)) => {
                    if let Some(wanted) =
                        link.sha256.as_ref().filter(|wanted| **wanted != hex(&spooled.sha256))
                    {
                        let reason =
                            format!("its SHA-256 is {}, and {wanted} was announced", hex(&spooled.sha256));
                        // A list that was verified says what everything in the repository is.
                        if settings.keyring.is_some() {
                            let reason = format!("{address}: {reason}");
                            return Err(DocumentError::NotAuthentic { reason }.into());
                        }
                        Err(DocumentError::NotAuthentic { reason }.into())
                    } else {
                        let name = without_hash(&address);
                        let place = Place { name: &name, web: Some((&address, Some(&link))) };
                        self.take_document(import, settings, place, spooled, taken).await
                    }
                }
                Ok(Fetched::Unchanged | Fetched::Folder(_)) => Ok(Leads::default()),
                // Not everybody has deleted something.
                Err(error) if target.is_called(DELETIONS) && is_absent(&error) => Ok(Leads::default()),
                Err(error) => Err(error.into()),
            };
            match outcome {
                Ok(leads) => trail.add(&target, leads, taken),
                Err(SyncError::Refused { code: EMPTY, .. }) if target.is_called(DELETIONS) => {}
                Err(SyncError::Refused { reason, .. }) => taken.refuse(&address, &reason),
                Err(failed @ SyncError::Failed(_)) => return Err(failed),
            }
            if outages == OUTAGES_MAX && !trail.waiting.is_empty() {
                let left = format!("{} further documents", trail.waiting.len());
                taken.refuse(&left, "they were not asked for, because the source does not answer");
                break;
            }
        }
        Ok(())
    }

    /// Leaves the publisher of a list alone before the next page of it.
    pub(crate) async fn pause_between_pages(&self) -> Result<(), SyncError> {
        let pause = self.fetcher.page_pause();
        if !pause.is_zero() && self.foundation.lifecycle.stopped_within(pause).await {
            return Err(SyncError::stopping());
        }
        Ok(())
    }

    async fn known_addresses(
        &self,
        import: &Import<'_>,
        waiting: &[(Source, Link)],
    ) -> Result<HashMap<String, Address>, SyncError> {
        let wanted: Vec<String> = waiting.iter().map(|(target, _)| target.to_string()).collect();
        let mut tx = import.begin().await?;
        Ok(documents::addresses(&mut tx, import.sync.feed_id, &wanted).await?)
    }
}

/// Documents that were named and not read yet, the next one last; one that is read may name further ones.
#[derive(Default)]
struct Trail {
    waiting: Vec<(Source, Link)>,
    seen: HashSet<String>,
    /// Those of them that are further pages.
    pages: HashSet<String>,
}

impl Trail {
    fn add(&mut self, from: &Source, leads: Leads, taken: &mut Taken) {
        self.add_page(from, leads.next_page, taken);
        let base = if leads.of_repository { from.repository() } else { from.clone() };
        // First in, last out: what was changed comes before what was deleted.
        let deletions = leads.are_changes.then(|| link_to(DELETIONS));
        for link in deletions.into_iter().chain(leads.links.into_iter().rev()) {
            match base.resolve(&link.href) {
                Ok(target) if self.seen.len() < LINKS_MAX => {
                    if self.seen.insert(target.to_string()) {
                        self.waiting.push((target, link));
                    }
                }
                Ok(_) => taken.refuse(&link.href, "more documents are named than any publisher has"),
                Err(refusal) => taken.refuse(&link.href, &refusal.to_string()),
            }
        }
    }

    /// The next page, unless the list leads in circles.
    fn add_page(&mut self, from: &Source, next_page: Option<u64>, taken: &mut Taken) {
        let Some(target) = next_page.and_then(|first| from.page_from(first)) else { return };
        let address = target.to_string();
        if self.pages.len() >= PAGES_MAX {
            taken.refuse(&address, "there are more pages than any list has");
        } else if self.seen.insert(address.clone()) {
            let link = link_to(&address);
            self.pages.insert(address);
            self.waiting.push((target, link));
        }
    }
}

fn link_to(href: &str) -> Link {
    Link { href: href.to_owned(), updated: None, size_bytes: None, sha256: None }
}

/// The name of a document at an address: some repositories put its hash before the file's name, so that the next issue
/// has another address.
fn without_hash(address: &str) -> String {
    let (folder, file) = address.rsplit_once('/').unwrap_or(("", address));
    match file.split_once('-') {
        Some((hash, name))
            if hash.len() >= NAMED_HASH_CHARS_MIN && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) =>
        {
            format!("{folder}/{name}")
        }
        Some(_) | None => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::without_hash;

    #[test]
    fn the_hash_before_a_files_name_is_not_part_of_the_documents_name() {
        let hash = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
        let at = |file: &str| format!("https://rpm.example/repodata/{file}");
        assert_eq!(without_hash(&at(&format!("{hash}-updateinfo.xml.gz"))), at("updateinfo.xml.gz"));
        for file in
            ["updateinfo.xml.gz", "rhsa-2024_1234.json", "beef-updateinfo.xml", &format!("{hash}.xml")]
        {
            assert_eq!(without_hash(&at(file)), at(file));
        }
    }
}
