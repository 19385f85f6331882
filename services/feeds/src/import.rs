//! Takes a document's patches into the catalogue, some at a time, each time in one transaction.

use crate::catalogue::{self, ContentHash};
use crate::error::SyncError;
use crate::syncs::{self, Counts, SyncId};
use contracts::feeds::PatchFacts;
use eventstore::{Committed, ExecuteError, Store, Target, Tx};
use feeds_domain::catalogue::{Patch, PatchCommand, PatchRefusal, PatchState, replaces};
use foundation::failed;
use kernel::{Cause, CommandId, PatchId, Scope, StreamId, Tenant, canonical_json};
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::fmt::Write;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Patches of one transaction. An open transaction holds back the order of everyone's events, so it must be short.
pub(crate) const BATCH: usize = 200;

/// One synchronisation at work.
pub(crate) struct Import<'a> {
    pub(crate) store: &'a Store,
    pub(crate) sync: SyncId,
    /// Of the command that asked for it.
    pub(crate) cause: &'a Cause,
    pub(crate) stop: &'a CancellationToken,
}

/// A patch as the document has it.
pub(crate) struct Found {
    facts: PatchFacts,
    hash: ContentHash,
}

/// Prepares a document's patches; those that the database cannot hold come back as reasons.
pub(crate) fn prepared(patches: Vec<PatchFacts>) -> (Vec<Found>, Vec<String>) {
    let mut reasons = Vec::new();
    let found = patches.into_iter().filter_map(|facts| {
        let bytes = serde_json::to_value(&facts).map(|value| canonical_json(&value)).unwrap_or_default();
        // Postgres text cannot hold NUL.
        if bytes.is_empty() || bytes.windows(6).any(|part| part == b"\\u0000") {
            reasons
                .push(format!("{}: holds a NUL character", facts.vendor_patch_id.replace('\0', "\u{fffd}")));
            return None;
        }
        Some(Found { hash: Sha256::digest(&bytes).into(), facts })
    });
    (found.collect(), reasons)
}

/// Bytes as lowercase hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// What became of a patch that the document describes in new words.
enum Outcome {
    Published,
    Revised,
    Known,
    Withdrawn,
}

impl Import<'_> {
    /// Takes in all patches; answers with the vendor ids of those that were withdrawn before.
    pub(crate) async fn publish_all(&self, found: &[Found]) -> Result<Vec<String>, SyncError> {
        let mut withdrawn = Vec::new();
        for batch in found.chunks(BATCH) {
            self.publish(batch, &mut withdrawn).await?;
        }
        Ok(withdrawn)
    }

    async fn publish(&self, batch: &[Found], withdrawn: &mut Vec<String>) -> Result<(), SyncError> {
        let mut tx = self.begin().await?;
        let ids: Vec<Uuid> = batch.iter().map(|found| found.facts.patch_id.0).collect();
        let known = catalogue::recorded(&mut tx, self.sync.feed_id, &ids).await?;
        let is_known = |found: &&Found| {
            known.get(&found.facts.patch_id).is_some_and(|hash| hash.as_slice() == found.hash)
        };
        let mut counts = Counts::default();
        let (mut said, mut kept, mut own) = (Vec::new(), Vec::new(), Vec::new());
        for found in batch.iter().filter(|found| !is_known(found)) {
            let (outcome, facts) = self.describe(&mut tx, found).await?;
            match outcome {
                Outcome::Published => counts.published += 1,
                Outcome::Revised => counts.revised += 1,
                Outcome::Known => {}
                // Not noted as said, so that the next document that names it tells it again.
                Outcome::Withdrawn => {
                    withdrawn.push(found.facts.vendor_patch_id.clone());
                    continue;
                }
            }
            said.push((found.facts.patch_id, found.hash));
            if let Some(facts) = facts {
                if facts.feed_id == self.sync.feed_id {
                    own.push(facts.patch_id.0);
                }
                kept.push(facts);
            }
        }
        if said.is_empty() {
            return Ok(());
        }
        catalogue::record(&mut tx, self.sync.feed_id, &said).await?;
        catalogue::forget_others(&mut tx, self.sync.feed_id, &own).await?;
        catalogue::keep(&mut tx, &kept).await?;
        self.supersede(&mut tx, &kept).await?;
        syncs::count(&mut tx, self.sync, counts).await?;
        Ok(tx.commit().await?)
    }

    /// Tells the patch what the document says of it; answers with the patch as it is now, if that is news.
    async fn describe(&self, tx: &mut Tx, found: &Found) -> Result<(Outcome, Option<PatchFacts>), SyncError> {
        let patch_id = found.facts.patch_id;
        let publish = PatchCommand::Publish { facts: Box::new(found.facts.clone()) };
        // With the content in its name: the same command, repeated after the document changed, is not a repetition.
        let what = format!("publish/{patch_id}/{}", hex(&found.hash));
        let committed = match self.execute(tx, patch_id, &what, publish).await {
            Ok(committed) => committed,
            Err(ExecuteError::Refused(PatchRefusal::Withdrawn)) => return Ok((Outcome::Withdrawn, None)),
            Err(error) => return Err(unexpected(error)),
        };
        match committed {
            Committed { pos: None, .. } => Ok((Outcome::Known, None)),
            Committed { version: 1, .. } => Ok((Outcome::Published, Some(found.facts.clone()))),
            Committed { .. } => Ok((Outcome::Revised, self.facts(tx, patch_id).await?)),
        }
    }

    /// Replaces older patches by these, and these by newer ones that were known before.
    async fn supersede(&self, tx: &mut Tx, patches: &[PatchFacts]) -> Result<(), SyncError> {
        let ids: Vec<Uuid> = patches.iter().map(|facts| facts.patch_id.0).collect();
        let mut replaced = HashSet::new();
        for pair in catalogue::pairs(tx, &ids).await? {
            let (newer, older) = (pair.newer.0, pair.older.0);
            if !replaces(&newer, &older) || !replaced.insert(older.patch_id) {
                continue;
            }
            let what = format!("supersede/{}/{}", older.patch_id, newer.patch_id);
            let supersede =
                PatchCommand::Supersede { by: newer.patch_id, by_vendor_id: newer.vendor_patch_id };
            self.execute(tx, older.patch_id, &what, supersede).await.map_err(unexpected)?;
            catalogue::supersede(tx, older.patch_id, newer.patch_id).await?;
        }
        Ok(())
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

    /// Carries out one command on one patch. `what` names it below the command that asked for the synchronisation.
    pub(crate) async fn execute(
        &self,
        tx: &mut Tx,
        patch_id: PatchId,
        what: &str,
        command: PatchCommand,
    ) -> Result<Committed, ExecuteError<PatchRefusal>> {
        let command_id = CommandId::derived(self.cause.command_id.0, what);
        let cause = Cause { command_id, ..self.cause.clone() };
        let target = Target {
            scope: &Scope::Platform,
            tenant: Tenant::PLATFORM,
            stream_id: StreamId(patch_id.0),
            cause: &cause,
            occurred_at: None,
        };
        self.store.execute_in::<Patch>(tx, target, command).await
    }

    /// The patch as its stream tells it.
    pub(crate) async fn facts(
        &self,
        tx: &mut Tx,
        patch_id: PatchId,
    ) -> Result<Option<PatchFacts>, SyncError> {
        match self.store.load_in::<Patch>(tx, &Scope::Platform, StreamId(patch_id.0)).await? {
            PatchState::Published { facts } | PatchState::Superseded { facts, .. } => Ok(Some(*facts)),
            PatchState::Unknown | PatchState::Withdrawn => Ok(None),
        }
    }
}

/// The tables and the streams contradict each other, or the store did not do its part.
pub(crate) fn unexpected(error: ExecuteError<PatchRefusal>) -> SyncError {
    SyncError::Failed(failed(error))
}
