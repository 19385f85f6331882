//! Feeds.

use super::payload;
use crate::commands::carry_out;
use crate::schema::global_id::{Kind, global};
use crate::words::{FeedFormat, FeedKind};
use async_graphql::{Context, ID, InputObject, Object, Result, SimpleObject};
use contracts::feeds;
use kernel::FeedId;

/// What feeds does.
#[derive(Default)]
pub(crate) struct FeedsMutations;

#[derive(InputObject)]
pub(crate) struct RegisterFeedInput {
    idempotency_key: String,
    name: String,
    kind: FeedKind,
    format: FeedFormat,
    /// A path below the configured import folder, or an http(s) URL.
    source: String,
}

payload! {
    RegisterFeedPayload of FeedId {
        feed_id: ID = |id| Some(global(Kind::Feed, id.0)),
    }
}

#[derive(InputObject)]
pub(crate) struct SyncFeedInput {
    idempotency_key: String,
    feed_id: ID,
}

payload! {
    SyncFeedPayload of feeds::ImportReport {
        report: ImportReport = |report| Some(report.into()),
    }
}

/// What an import did.
#[derive(SimpleObject)]
pub(crate) struct ImportReport {
    /// SHA-256 of the document, lowercase hex.
    document_sha256: String,
    /// New patches.
    published: u32,
    /// Changed patches.
    revised: u32,
    /// Patches as they were.
    unchanged: u32,
    /// Records left out, with reasons.
    quarantined: Vec<String>,
}

impl From<&feeds::ImportReport> for ImportReport {
    fn from(report: &feeds::ImportReport) -> Self {
        Self {
            document_sha256: report.document_sha256.clone(),
            published: report.published,
            revised: report.revised,
            unchanged: report.unchanged,
            quarantined: report.quarantined.clone(),
        }
    }
}

#[Object]
impl FeedsMutations {
    /// Registers a feed.
    async fn register_feed(
        &self,
        ctx: &Context<'_>,
        input: RegisterFeedInput,
    ) -> Result<RegisterFeedPayload> {
        let RegisterFeedInput { idempotency_key, name, kind, format, source } = input;
        let (kind, format) = (kind.into(), format.into());
        let register = feeds::RegisterFeed { name, kind, format, source, schedule: None, publisher: None };
        Ok(carry_out(ctx, &idempotency_key, |_| Some(register)).await?.into())
    }

    /// Reads the feed's source now and takes in what is new.
    async fn sync_feed(&self, ctx: &Context<'_>, input: SyncFeedInput) -> Result<SyncFeedPayload> {
        let SyncFeedInput { idempotency_key, feed_id } = input;
        let outcome = carry_out(ctx, &idempotency_key, |ids| {
            Some(feeds::SyncFeed { feed_id: ids.one("feedId", Kind::Feed, &feed_id)? })
        });
        Ok(outcome.await?.into())
    }
}
