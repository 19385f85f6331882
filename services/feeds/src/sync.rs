//! Synchronises a feed: fetch, read, take in, record. What breaks off goes on with the same command, and what was
//! finished answers as the first time.

use crate::error::SyncError;
use crate::fetch::Fetcher;
use crate::import::{Found, Import, hex, prepared};
use crate::source::Source;
use crate::syncs::{self, Ended, SyncId};
use chrono::{DateTime, Utc};
use contracts::Accepted;
use contracts::feeds::{FeedFormat, FeedSyncCompleted, FeedSyncFailed, ImportReport};
use eventstore::{Committed, ExecuteError, StoreError, Target, Tx};
use feeds_domain::catalogue::{Feed, FeedCommand, FeedRefusal, FeedSettings, FeedState};
use feeds_domain::document::{Context, DocumentError, QUARANTINED_MAX, Rating, parse};
use foundation::{Foundation, store_failed};
use kernel::{Aggregate, FeedId, Scope, StreamId, Tenant};
use sha2::{Digest, Sha256};
use std::convert::Infallible;
use std::sync::Arc;
use tokio::sync::{Mutex, oneshot};
use tracing::Instrument;
use web::{ApiError, CommandContext};

/// The service at work.
#[derive(Clone)]
pub(crate) struct Feeds {
    pub(crate) foundation: Foundation,
    fetcher: Arc<Fetcher>,
    /// One document at a time: it may be large, and a repeated command waits here for the answer to the first.
    one_at_a_time: Arc<Mutex<()>>,
}

/// A document as it was read, ready to be taken in.
struct Document {
    sha256: String,
    date: Option<DateTime<Utc>>,
    found: Vec<Found>,
    ratings: Vec<Rating>,
    quarantined: Vec<String>,
}

/// What was taken in.
struct Taken {
    sha256: String,
    date: Option<DateTime<Utc>>,
    /// Patches that were published, revised or as they were.
    described: usize,
    quarantined: Vec<String>,
}

impl Feeds {
    pub(crate) fn new(foundation: Foundation, fetcher: Fetcher) -> Self {
        Self { foundation, fetcher: Arc::new(fetcher), one_at_a_time: Arc::default() }
    }

    /// Synchronises the feed, to its end even when the one who asked does not wait that long.
    pub(crate) async fn sync_to_the_end(
        self,
        context: CommandContext,
        feed_id: FeedId,
    ) -> Result<Accepted<ImportReport>, ApiError> {
        let (tell, told) = oneshot::channel();
        let lifecycle = self.foundation.lifecycle.clone();
        let work = async move {
            // Nobody may be waiting any more: the answer stands in the database.
            let _ = tell.send(self.sync(&context, feed_id).await);
            Ok::<_, Infallible>(())
        };
        lifecycle.spawn("feeds sync", work.in_current_span());
        told.await.unwrap_or_else(|gone| Err(ApiError::internal(gone)))
    }

    async fn sync(
        &self,
        context: &CommandContext,
        feed_id: FeedId,
    ) -> Result<Accepted<ImportReport>, ApiError> {
        let _one = self.one_at_a_time.lock().await;
        let sync = SyncId { command_id: context.cause.command_id, feed_id };
        if let Some(ended) = self.ended(sync).await.map_err(store_failed)? {
            return ended.answer(true);
        }
        let store = &self.foundation.store;
        let (state, _) =
            store.load::<Feed>(&Scope::Platform, StreamId(feed_id.0)).await.map_err(store_failed)?;
        let FeedState::Registered { settings, .. } = &state else {
            return Err(ApiError::refused(&FeedRefusal::Unknown));
        };
        let stop = &self.foundation.lifecycle.stop;
        let import = Import { store, sync, cause: &context.cause, stop };
        let outcome = match self.take_in(&import, &state, settings).await {
            Ok(taken) => self.complete(&import, taken).await,
            Err(error) => Err(error),
        };
        let ended = match outcome {
            Err(SyncError::Refused { code, reason }) => self.refuse(&import, code, reason).await?,
            outcome => outcome?,
        };
        ended.answer(false)
    }

    async fn ended(&self, sync: SyncId) -> Result<Option<Ended>, StoreError> {
        let mut tx = self.foundation.database.begin(&Scope::Platform).await?;
        syncs::ended(&mut tx, sync).await
    }

    /// Everything but the record of it.
    async fn take_in(
        &self,
        import: &Import<'_>,
        state: &FeedState,
        settings: &FeedSettings,
    ) -> Result<Taken, SyncError> {
        let fetching = self.fetcher.fetch(Source::parse(&settings.source)?, settings.format);
        let bytes = tokio::select! {
            bytes = fetching => bytes?,
            () = import.stop.cancelled() => return Err(SyncError::stopping()),
        };
        let Document { sha256, date, found, ratings, mut quarantined } =
            read(settings.format, bytes, import.sync.feed_id).await?;
        Feed::decide(state, FeedCommand::Examine { document_date: date })?;

        let withdrawn = import.publish_all(&found).await?;
        let described = found.len() - withdrawn.len();
        quarantined.extend(withdrawn.into_iter().map(|id| format!("{id}: was withdrawn by its publisher")));
        // The line that counts the rest is one more.
        quarantined.truncate(QUARANTINED_MAX + 1);
        match settings.format {
            FeedFormat::DebianDsaList => import.apply_ratings().await?,
            FeedFormat::DebianTracker => {
                import.keep_ratings(ratings).await?;
                import.apply_ratings().await?;
            }
            FeedFormat::MsrcCvrf => {}
        }
        Ok(Taken { sha256, date, described, quarantined })
    }

    /// Records that the document was taken in.
    async fn complete(&self, import: &Import<'_>, taken: Taken) -> Result<Ended, SyncError> {
        let sync = import.sync;
        let mut tx = import.begin().await?;
        let counts = syncs::counted(&mut tx, sync).await?;
        let [published, revised, rated] =
            [counts.published, counts.revised, counts.rated].map(i32::cast_unsigned);
        let described = u32::try_from(taken.described).unwrap_or(u32::MAX);
        let report = ImportReport {
            feed_id: sync.feed_id,
            document_sha256: taken.sha256,
            published,
            revised: revised + rated,
            unchanged: described.saturating_sub(published + revised),
            quarantined: taken.quarantined,
        };
        let record = FeedSyncCompleted {
            feed_id: sync.feed_id,
            document_sha256: report.document_sha256.clone(),
            document_date: taken.date,
            published: report.published,
            revised: report.revised,
            unchanged: report.unchanged,
            quarantined: report.quarantined.clone(),
        };
        let committed = self.on_feed(&mut tx, import, FeedCommand::RecordSync(record)).await?;
        let pos = match committed.pos {
            Some(pos) => pos,
            None => syncs::feed_pos(&mut tx, sync.feed_id).await?,
        };
        tracing::info!(
            feed.id = %sync.feed_id,
            patches.published = report.published,
            patches.revised = report.revised,
            patches.unchanged = report.unchanged,
            records.quarantined = report.quarantined.len(),
            "feed synchronised"
        );
        let ended = Ended::Completed { report, pos };
        syncs::end(&mut tx, sync, &ended, pos).await?;
        tx.commit().await?;
        Ok(ended)
    }

    /// Records that the document was refused.
    async fn refuse(
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
            tenant: Tenant::PLATFORM,
            stream_id: StreamId(import.sync.feed_id.0),
            cause: import.cause,
            occurred_at: None,
        };
        let outcome = self.foundation.store.execute_in::<Feed>(tx, target, command).await;
        outcome.map_err(|error| match error {
            // Another process took in a newer document meanwhile.
            ExecuteError::Refused(refusal) => refusal.into(),
            ExecuteError::Store(error) => error.into(),
        })
    }
}

/// Reads a document away from the threads that serve requests: it may be large, and hostile.
async fn read(format: FeedFormat, bytes: Vec<u8>, feed_id: FeedId) -> Result<Document, SyncError> {
    let reading = tokio::task::spawn_blocking(move || {
        let parsed = parse(format, &bytes, &Context { feed_id })?;
        let (found, unfit) = prepared(parsed.patches);
        let quarantined = parsed.quarantined.into_iter().map(|reason| reason.replace('\0', "\u{fffd}"));
        Ok::<_, DocumentError>(Document {
            sha256: hex(&Sha256::digest(&bytes)),
            date: parsed.document_date,
            found,
            ratings: parsed.ratings,
            quarantined: quarantined.chain(unfit).collect(),
        })
    });
    match reading.await {
        Ok(document) => Ok(document?),
        Err(panic) => Err(SyncError::Failed(ApiError::internal(panic))),
    }
}
