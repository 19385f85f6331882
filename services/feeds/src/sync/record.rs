//! How a synchronisation ended, as an event of the feed and as the answer to whoever asked.

use super::{Feeds, Taken};
use crate::error::SyncError;
use crate::import::Import;
use crate::syncs::{self, Counts, Ended};
use contracts::feeds::{FeedSyncCompleted, FeedSyncFailed, ImportReport};
use eventstore::{Committed, ExecuteError, Target, Tx};
use feeds_domain::catalogue::{Feed, FeedCommand, LastSync};
use kernel::{Scope, StreamId, Tenant};

impl Feeds {
    /// Records that the documents were taken in.
    pub(crate) async fn complete(
        &self,
        import: &Import<'_>,
        taken: Taken,
        last_sync: &LastSync,
    ) -> Result<Ended, SyncError> {
        let sync = import.sync;
        let mut tx = import.begin().await?;
        let documents = i32::try_from(taken.documents).unwrap_or(i32::MAX);
        syncs::count(&mut tx, sync, Counts { documents, ..Counts::default() }).await?;
        let counts = syncs::counted(&mut tx, sync).await?;
        let [published, revised, rated, withdrawn, vulnerabilities, documents] = [
            counts.published,
            counts.revised,
            counts.rated,
            counts.withdrawn,
            counts.vulnerabilities,
            counts.documents,
        ]
        .map(i32::cast_unsigned);
        let described = u32::try_from(taken.described).unwrap_or(u32::MAX);
        let document_sha256 = taken.sha256.unwrap_or_else(|| match last_sync {
            LastSync::Completed { document_sha256, .. } => document_sha256.clone(),
            LastSync::Never | LastSync::Failed { .. } => String::new(),
        });
        let report = ImportReport {
            feed_id: sync.feed_id,
            document_sha256,
            documents,
            published,
            revised: revised + rated,
            unchanged: described.saturating_sub(published + revised),
            withdrawn,
            vulnerabilities,
            quarantined: taken.quarantined,
            refused: taken.refused,
            signature: taken.signature,
        };
        let record = FeedSyncCompleted {
            feed_id: sync.feed_id,
            document_sha256: report.document_sha256.clone(),
            document_date: taken.date,
            documents: report.documents,
            published: report.published,
            revised: report.revised,
            unchanged: report.unchanged,
            withdrawn: report.withdrawn,
            vulnerabilities: report.vulnerabilities,
            quarantined: report.quarantined.clone(),
            refused: report.refused.clone(),
            signature: report.signature.clone(),
        };
        let committed = self
            .on_feed(
                &mut tx,
                import,
                FeedCommand::RecordSync { sync: record, new_documents: taken.new_documents },
            )
            .await?;
        let pos = match committed.pos {
            Some(pos) => pos,
            None => syncs::feed_pos(&mut tx, sync.feed_id).await?,
        };
        tracing::info!(
            feed.id = %sync.feed_id,
            documents.read = report.documents,
            documents.refused = report.refused.len(),
            patches.published = report.published,
            patches.revised = report.revised,
            patches.unchanged = report.unchanged,
            patches.withdrawn = report.withdrawn,
            vulnerabilities.changed = report.vulnerabilities,
            records.quarantined = report.quarantined.len(),
            "feed synchronised"
        );
        let ended = Ended::Completed { report, pos };
        syncs::end(&mut tx, sync, &ended, pos).await?;
        tx.commit().await?;
        Ok(ended)
    }

    /// Records that the document was refused.
    pub(super) async fn refuse(
        &self,
        import: &Import<'_>,
        code: &'static str,
        reason: String,
    ) -> Result<Ended, SyncError> {
        let sync = import.sync;
        tracing::warn!(feed.id = %sync.feed_id, error.code = code, error.message = reason, "document refused");
        let mut tx = import.begin().await?;
        let failure = FeedSyncFailed { feed_id: sync.feed_id, code: code.to_owned(), reason: reason.clone() };
        let committed = self.on_feed(&mut tx, import, FeedCommand::RecordFailure(failure)).await?;
        let pos = match committed.pos {
            Some(pos) => pos,
            None => syncs::feed_pos(&mut tx, sync.feed_id).await?,
        };
        let ended = Ended::Refused { code: code.to_owned(), reason };
        syncs::end(&mut tx, sync, &ended, pos).await?;
        tx.commit().await?;
        Ok(ended)
    }

    async fn on_feed(
        &self,
        tx: &mut Tx,
        import: &Import<'_>,
        command: FeedCommand,
    ) -> Result<Committed, SyncError> {
        let target = Target {
            scope: &Scope::Platform,
            tenant: Tenant::partner(import.owner),
            stream_id: StreamId(import.sync.feed_id.0),
            cause: import.cause,
            occurred_at: None,
        };
        let outcome = self.foundation.store.execute_in::<Feed>(tx, target, command).await;
        outcome.map_err(|error| match error {
            ExecuteError::Refused(refusal) => refusal.into(),
            ExecuteError::Store(error) => error.into(),
        })
    }
}
