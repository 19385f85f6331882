//! Looks whether a feed's source can be reached and holds what the feed publishes; takes nothing in.

use crate::error::SyncError;
use crate::source::Source;
use crate::sync::{Feeds, beside, is_absent};
use contracts::feeds::ConnectivityReport;
use feeds_documents::DocumentError;
use feeds_domain::catalogue::{Feed, FeedRefusal, FeedSettings, FeedState};
use foundation::store_failed;
use kernel::{FeedId, Scope, StreamId};
use std::time::Instant;
use web::ApiError;

impl Feeds {
    /// Reads the beginning of the feed's document, once. What does not work stands in the report.
    pub(crate) async fn test(&self, feed_id: FeedId) -> Result<ConnectivityReport, ApiError> {
        let store = &self.foundation.store;
        let (state, _) =
            store.load::<Feed>(&Scope::Platform, StreamId(feed_id.0)).await.map_err(store_failed)?;
        let FeedState::Registered { settings, .. } = state else {
            return Err(ApiError::refused(&FeedRefusal::Unknown));
        };
        let mut report = ConnectivityReport {
            reachable: false,
            found_format: None,
            bytes: 0,
            milliseconds: 0,
            conditional: false,
            code: None,
            reason: None,
        };
        let started = Instant::now();
        match self.look(&settings, &mut report).await {
            Ok(()) => report.reachable = true,
            Err(SyncError::Refused { code, reason }) => {
                report.code = Some(code.to_owned());
                report.reason = Some(reason);
            }
            Err(SyncError::Failed(error)) => return Err(error),
        }
        report.milliseconds = started.elapsed().as_millis().try_into().unwrap_or(u64::MAX);
        Ok(report)
    }

    async fn look(&self, settings: &FeedSettings, report: &mut ConnectivityReport) -> Result<(), SyncError> {
        let source = Source::parse(&settings.source)?;
        let head = match &settings.keyring {
            None => self.fetcher.head(source).await?,
            Some(_) => match self.fetcher.head(beside(&source, "InRelease")?).await {
                Err(error) if is_absent(&error) => self.fetcher.head(beside(&source, "Release")?).await?,
                head => head?,
            },
        };
        report.bytes = head.bytes.len() as u64;
        report.conditional = head.conditional;
        // Bytes of a stranger are unpacked away from the threads that serve requests.
        let format = tokio::task::spawn_blocking(move || feeds_documents::detect(&head.bytes))
            .await
            .map_err(|panic| SyncError::Failed(ApiError::internal(panic)))??;
        report.found_format = Some(format.word().to_owned());
        if format.feed() == settings.format {
            Ok(())
        } else {
            Err(DocumentError::UnexpectedFormat { expected: settings.format, found: format }.into())
        }
    }
}
