//! Documents that other documents name: each is fetched where it has changed.

use super::{Feeds, Place, Taken};
use crate::documents::{self, Address};
use crate::error::SyncError;
use crate::fetch::{FetchError, Fetched};
use crate::import::{Import, hex};
use crate::source::Source;
use feeds_documents::DocumentError;
use feeds_documents::contents::Link;
use feeds_domain::catalogue::FeedSettings;
use std::collections::{HashMap, HashSet};

/// Documents that one document may name: CISA names some 3,000, Red Hat some 20,000 advisories.
const LINKS_MAX: usize = 50_000;
/// Documents in a row that a source fails to send, each tried several times, before the others are left for the next time.
const OUTAGES_MAX: u32 = 3;

impl Feeds {
    /// Takes in the documents that a document names and that have changed since.
    pub(super) async fn follow(
        &self,
        import: &Import<'_>,
        settings: &FeedSettings,
        source: &Source,
        links: Vec<Link>,
        taken: &mut Taken,
    ) -> Result<(), SyncError> {
        let mut trail = Trail::default();
        trail.add(source, links, taken);
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
                        let place = Place { name: &address, web: Some((&address, Some(&link))) };
                        self.take_document(import, settings, place, spooled, taken).await
                    }
                }
                Ok(Fetched::Unchanged | Fetched::Folder(_)) => Ok(Vec::new()),
                Err(error) => Err(error.into()),
            };
            match outcome {
                Ok(links) => trail.add(&target, links, taken),
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
}

impl Trail {
    fn add(&mut self, from: &Source, links: Vec<Link>, taken: &mut Taken) {
        for link in links.into_iter().rev() {
            match from.resolve(&link.href) {
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
}
