//! Bundles of another site: each feed takes in its own documents, and is registered where it is not known.

use super::{Imported, Offline, OpenFeed, Outcome};
use crate::error::SyncError;
use crate::export::{Bundle, BundledDocument, BundledFeed};
use crate::import::{Import, Watcher};
use crate::sync::{Place, read_document};
use anyhow::bail;
use contracts::NAMESPACE;
use feeds_documents::{DocumentError, Options};
use feeds_domain::catalogue::FeedSettings;
use kernel::{FeedId, Scope, Tenant};
use uuid::Uuid;

impl Offline {
    /// Takes in all documents of a bundle that was verified; one that is refused holds up no other.
    ///
    /// Feeds are known by name and format. One that is missing is registered with the source that it has at the other
    /// site, and is not read by itself.
    pub async fn import_bundle(&self, mut bundle: Bundle, watcher: &dyn Watcher) -> anyhow::Result<Outcome> {
        let feeds = bundle.feeds().to_vec();
        watcher.found(feeds.iter().map(|feed| feed.documents.len()).sum());
        let mut outcome = Outcome::default();
        for feed in feeds {
            let mut open = match self.open_bundled(&feed).await {
                Ok(open) => open,
                Err(SyncError::Refused { reason, .. }) => bail!("{}: {reason}", feed.name),
                Err(SyncError::Failed(error)) => bail!("{}: {error}", feed.name),
            };
            for document in &feed.documents {
                let name = if document.name.is_empty() { &feed.name } else { &document.name };
                watcher.reading(name);
                bundle = match self.take_bundled(bundle, document, &mut open, watcher).await {
                    (bundle, Ok(())) => bundle,
                    (bundle, Err(SyncError::Refused { reason, .. })) => {
                        outcome.refused.push(format!("{name}: {reason}"));
                        bundle
                    }
                    (_, Err(SyncError::Failed(error))) => bail!("{name}: {error}"),
                };
                watcher.done();
            }
            let Imported { format, report } = self.close(open).await?;
            outcome.imported.push(Imported { format, report });
        }
        Ok(outcome)
    }

    async fn open_bundled(&self, feed: &BundledFeed) -> Result<OpenFeed, SyncError> {
        let BundledFeed { name, kind, format, source, publisher, .. } = feed.clone();
        if let Some(feed_id) = self.known(feed).await? {
            return self.opened(feed_id, format).await;
        }
        let feed_id = FeedId::derived(NAMESPACE, &format!("feed by bundle/{format:?}/{name}"));
        let (schedule, keyring) = (None, None);
        let settings = FeedSettings { name, kind, format, source, schedule, publisher, keyring };
        self.register(feed_id, settings).await?;
        self.opened(feed_id, format).await
    }

    /// The feed of this name and format, the eldest where there are several.
    async fn known(&self, feed: &BundledFeed) -> Result<Option<FeedId>, SyncError> {
        let format = serde_json::to_value(feed.format).ok();
        let mut tx = self.feeds.foundation.database.begin(&Scope::Platform).await?;
        let known: Option<Uuid> = sqlx::query_scalar(
            "select feed_id
               from feeds.feed
              where partner_id = $1 and name = $2 and format = $3
              order by pos, feed_id
              limit 1",
        )
        .bind(Tenant::PLATFORM.partner_id.0)
        .bind(&feed.name)
        .bind(format.as_ref().and_then(|word| word.as_str()))
        .fetch_optional(&mut *tx)
        .await?;
        Ok(known.map(FeedId))
    }

    async fn take_bundled(
        &self,
        bundle: Bundle,
        document: &BundledDocument,
        open: &mut OpenFeed,
        watcher: &dyn Watcher,
    ) -> (Bundle, Result<(), SyncError>) {
        let wanted = document.clone();
        let unpacking = tokio::task::spawn_blocking(move || {
            let mut bundle = bundle;
            let unpacked = bundle.unpack(&wanted);
            (bundle, unpacked)
        });
        let (bundle, unpacked) = match unpacking.await {
            Ok((bundle, unpacked)) => (bundle, unpacked),
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        };
        let taken = async {
            let (file, digest) = (unpacked?, document.digest().unwrap_or_default());
            let received_on = self.feeds.foundation.clock.now().date_naive();
            let feed_id = open.sync.feed_id;
            let options = Options { feed_id, received_on, figures: false };
            let read = read_document(file, options, Tenant::PLATFORM.partner_id).await?;
            if read.format.feed() != open.format {
                let (expected, found) = (open.format, read.format);
                return Err(DocumentError::UnexpectedFormat { expected, found }.into());
            }
            let by_name = open.by_name;
            let import =
                Import { watcher: Some(watcher), by_name, ..self.import_for(open.sync, &open.cause) };
            let place = Place { name: &document.name, web: None };
            let read = read.for_feed(feed_id, digest);
            self.feeds.take_read(&import, place, read, &mut open.taken).await.map(drop)
        };
        let taken = taken.await;
        (bundle, taken)
    }
}
