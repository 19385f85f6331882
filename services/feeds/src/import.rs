//! Takes a document's patches into the catalogue, many at a time, each time in one transaction.
//!
//! The tables say what is known of each patch, in the same transaction as its stream, so that a batch is decided without
//! reading streams: four statements read it, one appends all events, and the rest keeps the tables.

mod found;

pub(crate) use found::{Found, hex, prepared};

use crate::catalogue::{self, Relations, Said, Stored};
use crate::documents::DocumentKey;
use crate::error::SyncError;
use crate::syncs::{self, Counts, SyncId};
use contracts::feeds::PatchEvent;
use eventstore::{Committed, Part, Store, Target, Tx};
use feeds_documents::contents::Withdrawal;
use feeds_domain::catalogue::{Patch, PatchCommand, PatchRefusal, PatchState, replaces};
use kernel::{Aggregate, Cause, CommandId, PartnerId, PatchId, Scope, StreamId, Tenant};
use std::collections::{HashMap, HashSet};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Patches of one transaction. An open transaction holds back the order of everyone's events, so it must be short.
pub(crate) const BATCH: usize = 500;

/// One synchronisation at work.
#[derive(Clone, Copy)]
pub(crate) struct Import<'a> {
    pub(crate) store: &'a Store,
    pub(crate) sync: SyncId,
    /// Of the command that asked for it.
    pub(crate) cause: &'a Cause,
    pub(crate) stop: &'a CancellationToken,
    /// Whose feed it is; the nil id is the platform.
    pub(crate) owner: PartnerId,
    /// Who watches, if somebody does.
    pub(crate) watcher: Option<&'a dyn Watcher>,
    /// Whether a document that has the name of another one is its next issue. Of what comes by hand that is not known.
    pub(crate) by_name: bool,
}

/// Somebody who watches how far an import is.
pub trait Watcher: Send + Sync {
    /// So many documents were found.
    fn found(&self, documents: usize);
    /// A document is read now.
    fn reading(&self, name: &str);
    /// So many of its patches and vulnerabilities are taken in.
    fn taken(&self, done: usize, of: usize);
    /// It is done, well or not.
    fn done(&self);
}

/// One wish about one patch, named below the command that asked for the synchronisation.
pub(crate) struct Wish {
    pub(crate) patch_id: PatchId,
    pub(crate) what: String,
    pub(crate) command: PatchCommand,
}

/// What became of a wish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Published,
    Changed,
    Nothing,
    /// It was withdrawn before.
    Withdrawn,
}

impl Import<'_> {
    /// Takes in all patches; answers with the vendor ids of those that were withdrawn before.
    pub(crate) async fn publish_all(
        &self,
        document: DocumentKey<'_>,
        found: &[Found],
    ) -> Result<Vec<String>, SyncError> {
        let mut withdrawn = Vec::new();
        for (at, batch) in found.chunks(BATCH).enumerate() {
            self.publish(document, batch, &mut withdrawn).await?;
            self.tell_watcher(at * BATCH + batch.len(), found.len());
        }
        Ok(withdrawn)
    }

    async fn publish(
        &self,
        document: DocumentKey<'_>,
        batch: &[Found],
        withdrawn: &mut Vec<String>,
    ) -> Result<(), SyncError> {
        let mut tx = self.begin().await?;
        let ids: Vec<Uuid> = batch.iter().map(|found| found.facts.patch_id.0).collect();
        let recorded = catalogue::recorded(&mut tx, document, &ids).await?;
        let is_known = |found: &&Found| {
            recorded.get(&found.facts.patch_id).is_some_and(|hash| hash.as_slice() == found.hash)
        };
        let news: Vec<&Found> = batch.iter().filter(|found| !is_known(found)).collect();
        if news.is_empty() {
            return Ok(());
        }
        let ids: Vec<Uuid> = news.iter().map(|found| found.facts.patch_id.0).collect();
        let mut known = catalogue::load(&mut tx, &ids).await?;
        let is_own = |stored: Option<&Stored>| {
            stored.is_none_or(|stored| stored.feed_id == document.feed_id && stored.document == document.name)
        };
        let wishes = news
            .iter()
            .map(|found| {
                let Found { facts, hash } = found;
                let by_owner = is_own(known.get(&facts.patch_id));
                Wish {
                    patch_id: facts.patch_id,
                    // With the content in its name: the same command, repeated after the document changed, is not a
                    // repetition.
                    what: format!("publish/{}/{}/{}", document.name, facts.patch_id, hex(hash)),
                    command: PatchCommand::Publish { facts: Box::new(facts.clone()), by_owner },
                }
            })
            .collect();
        let (outcomes, _) = self.carry_out(&mut tx, document, &mut known, wishes).await?;

        let mut counts = Counts::default();
        let (mut said, mut own) = (Vec::new(), Vec::new());
        for (found, outcome) in news.iter().zip(&outcomes) {
            let patch_id = found.facts.patch_id;
            match outcome {
                Outcome::Published => counts.published += 1,
                Outcome::Changed => {
                    counts.revised += 1;
                    if is_own(known.get(&patch_id)) {
                        own.push(patch_id.0);
                    }
                }
                Outcome::Nothing => {}
                // Not noted as said, so that the next document that names it tells it again.
                Outcome::Withdrawn => {
                    withdrawn.push(found.facts.vendor_patch_id.clone());
                    continue;
                }
            }
            said.push((patch_id, found.hash));
        }
        catalogue::record(&mut tx, document, &said).await?;
        catalogue::forget_others(&mut tx, document, &own).await?;
        let touched: Vec<Uuid> = news
            .iter()
            .zip(&outcomes)
            .filter(|(_, outcome)| matches!(outcome, Outcome::Published | Outcome::Changed))
            .map(|(found, _)| found.facts.patch_id.0)
            .collect();
        self.supersede(&mut tx, document, &touched).await?;
        syncs::count(&mut tx, self.sync, counts).await?;
        Ok(tx.commit().await?)
    }

    /// Replaces older patches by these, and these by newer ones that were known before.
    async fn supersede(
        &self,
        tx: &mut Tx,
        document: DocumentKey<'_>,
        patch_ids: &[Uuid],
    ) -> Result<(), SyncError> {
        if patch_ids.is_empty() {
            return Ok(());
        }
        let mut replaced = HashSet::new();
        let mut wishes = Vec::new();
        for pair in catalogue::pairs(tx, patch_ids).await? {
            let (newer, older) = (pair.newer.0, pair.older.0);
            if replaces(&newer, &older) && replaced.insert(older.patch_id) {
                wishes.push(Wish {
                    patch_id: older.patch_id,
                    what: format!("supersede/{}/{}", older.patch_id, newer.patch_id),
                    command: PatchCommand::Supersede {
                        by: newer.patch_id,
                        by_vendor_id: newer.vendor_patch_id,
                    },
                });
            }
        }
        self.carry_out_known(tx, document, wishes).await.map(drop)
    }

    /// Takes back what the publisher takes back; answers with the number of patches.
    pub(crate) async fn withdraw_all(
        &self,
        document: DocumentKey<'_>,
        withdrawals: &[Withdrawal],
    ) -> Result<(), SyncError> {
        for batch in withdrawals.chunks(BATCH) {
            let mut tx = self.begin().await?;
            let reasons: HashMap<&str, &str> =
                batch.iter().map(|taken| (taken.vendor_patch_id.as_str(), taken.reason.as_str())).collect();
            let vendor_ids: Vec<&str> = reasons.keys().copied().collect();
            let known = catalogue::by_vendor_id(&mut tx, self.owner, &vendor_ids).await?;
            let wishes: Vec<Wish> = known
                .into_iter()
                .map(|(patch_id, vendor_id)| Wish {
                    patch_id,
                    what: format!("withdraw/{patch_id}"),
                    command: PatchCommand::Withdraw {
                        reason: reasons.get(vendor_id.as_str()).copied().unwrap_or_default().to_owned(),
                    },
                })
                .collect();
            // One vendor id may stand for patches of many releases.
            for wishes in chunked(wishes) {
                let outcomes = self.carry_out_known(&mut tx, document, wishes).await?;
                let withdrawn = outcomes.iter().filter(|outcome| **outcome == Outcome::Changed).count();
                let withdrawn = i32::try_from(withdrawn).unwrap_or(i32::MAX);
                syncs::count(&mut tx, self.sync, Counts { withdrawn, ..Counts::default() }).await?;
            }
            tx.commit().await?;
        }
        Ok(())
    }

    pub(crate) fn tell_watcher(&self, done: usize, of: usize) {
        if let Some(watcher) = self.watcher {
            watcher.taken(done, of);
        }
    }

    /// Begins a transaction that writes the catalogue, unless the service is stopping.
    pub(crate) async fn begin(&self) -> Result<Tx, SyncError> {
        if self.stop.is_cancelled() {
            return Err(SyncError::stopping());
        }
        let mut tx = self.store.database().begin(&Scope::Platform).await?;
        catalogue::lock(&mut tx).await?;
        Ok(tx)
    }

    /// Carries out one wish each about patches that are known.
    pub(crate) async fn carry_out_known(
        &self,
        tx: &mut Tx,
        document: DocumentKey<'_>,
        wishes: Vec<Wish>,
    ) -> Result<Vec<Outcome>, SyncError> {
        if wishes.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<Uuid> = wishes.iter().map(|wish| wish.patch_id.0).collect();
        let mut known = catalogue::load(tx, &ids).await?;
        Ok(self.carry_out(tx, document, &mut known, wishes).await?.0)
    }

    /// Carries out one wish about one patch that is known; none where it was withdrawn.
    pub(crate) async fn carry_out_one(
        &self,
        tx: &mut Tx,
        document: DocumentKey<'_>,
        wish: Wish,
    ) -> Result<Option<Committed>, SyncError> {
        let patch_id = wish.patch_id;
        let ids = [patch_id.0];
        let mut known = catalogue::load(tx, &ids).await?;
        let (outcomes, committed) = self.carry_out(tx, document, &mut known, vec![wish]).await?;
        if outcomes.contains(&Outcome::Withdrawn) {
            return Ok(None);
        }
        let version = known.get(&patch_id).map_or(0, |stored| stored.version);
        Ok(Some(committed.into_iter().next().unwrap_or(Committed { version, pos: None, repeated: false })))
    }

    /// Carries out one wish each about different patches: decides by what is known, appends all events at once, and
    /// keeps the patches as they are then, in `known` as well.
    async fn carry_out(
        &self,
        tx: &mut Tx,
        document: DocumentKey<'_>,
        known: &mut HashMap<PatchId, Stored>,
        wishes: Vec<Wish>,
    ) -> Result<(Vec<Outcome>, Vec<Committed>), SyncError> {
        let mut outcomes = Vec::with_capacity(wishes.len());
        let mut news: Vec<(PatchId, i64, Cause, Vec<PatchEvent>)> = Vec::new();
        let mut relations = Relations::default();
        for Wish { patch_id, what, command } in wishes {
            let stored = known.entry(patch_id).or_insert_with(|| Stored {
                state: PatchState::Unknown,
                version: 0,
                feed_id: document.feed_id,
                document: document.name.to_owned(),
                partner_id: self.owner,
            });
            let events = match Patch::decide(&stored.state, command) {
                Ok(events) => events,
                Err(PatchRefusal::Withdrawn) => {
                    outcomes.push(Outcome::Withdrawn);
                    continue;
                }
                // Whoever wishes something of a patch has seen it in the tables.
                Err(refusal @ PatchRefusal::Unknown) => {
                    return Err(SyncError::Failed(web::ApiError::internal(refusal)));
                }
            };
            if events.is_empty() {
                outcomes.push(Outcome::Nothing);
                continue;
            }
            outcomes.push(if stored.version == 0 { Outcome::Published } else { Outcome::Changed });
            let expected = stored.version;
            let before = Said::of(&stored.state);
            stored.state = events.iter().fold(std::mem::take(&mut stored.state), Patch::evolve);
            if let Some(now) = stored.state.facts() {
                relations.compare(&before, now);
            }
            stored.version += i64::try_from(events.len()).unwrap_or(i64::MAX);
            let command_id = CommandId::derived(self.cause.command_id.0, &what);
            news.push((patch_id, expected, Cause { command_id, ..self.cause.clone() }, events));
        }
        if news.is_empty() {
            return Ok((outcomes, Vec::new()));
        }
        let parts: Vec<Part<'_>> = news
            .iter()
            .map(|(patch_id, expected, cause, events)| {
                let target = Target {
                    scope: &Scope::Platform,
                    tenant: Tenant::partner(
                        known.get(patch_id).map_or(self.owner, |stored| stored.partner_id),
                    ),
                    stream_id: StreamId(patch_id.0),
                    cause,
                    occurred_at: None,
                };
                Part::of::<Patch>(target, *expected, events)
            })
            .collect();
        let committed = self.store.append_all_in(tx, &Scope::Platform, &parts).await?;
        let kept: Vec<(PatchId, &Stored)> = news
            .iter()
            .filter_map(|(patch_id, ..)| known.get(patch_id).map(|stored| (*patch_id, stored)))
            .collect();
        catalogue::keep(tx, &kept).await?;
        catalogue::keep_relations(tx, relations).await?;
        Ok((outcomes, committed))
    }
}

/// At most [`BATCH`] wishes at a time.
pub(crate) fn chunked(wishes: Vec<Wish>) -> Vec<Vec<Wish>> {
    let mut rest = wishes.into_iter().peekable();
    let mut chunks = Vec::new();
    while rest.peek().is_some() {
        chunks.push(rest.by_ref().take(BATCH).collect());
    }
    chunks
}
