//! Feeds, and what people say of patches.

use super::payload;
use crate::commands::carry_out;
use crate::schema::catalogue::feed::FeedSignature;
use crate::schema::global_id::{Kind, global};
use crate::words::{FeedFormat, FeedKind, OutOfBandReason};
use async_graphql::{Context, ID, InputObject, Object, Result, SimpleObject};
use contracts::feeds;
use kernel::{FeedId, PatchId};

/// What feeds does.
#[derive(Default)]
pub(crate) struct FeedsMutations;

/// When a feed is read by itself.
#[derive(InputObject)]
pub(crate) struct FeedScheduleInput {
    /// Minutes from one reading to the next, 5 to 44,640 (a month).
    every_minutes: u32,
}

impl From<FeedScheduleInput> for feeds::FeedSchedule {
    fn from(FeedScheduleInput { every_minutes }: FeedScheduleInput) -> Self {
        Self { every_minutes }
    }
}

/// Who publishes a feed.
#[derive(InputObject)]
pub(crate) struct PublisherInput {
    name: String,
    /// Web address at which it can be reached.
    contact_url: Option<String>,
}

impl From<PublisherInput> for feeds::Publisher {
    fn from(PublisherInput { name, contact_url }: PublisherInput) -> Self {
        Self { name, contact_url }
    }
}

#[derive(InputObject)]
pub(crate) struct RegisterFeedInput {
    idempotency_key: String,
    name: String,
    kind: FeedKind,
    format: FeedFormat,
    /// A path below the configured import folder, or an http(s) URL.
    source: String,
    /// When it is read by itself; without it somebody has to ask.
    schedule: Option<FeedScheduleInput>,
    /// Who publishes it.
    publisher: Option<PublisherInput>,
    /// Whose signatures count, for a repository of Debian's kind: `OpenPGP` certificates, armoured or as Base64. With a
    /// keyring nothing is taken in that is not signed by one of its keys.
    keyring: Option<String>,
}

payload! {
    RegisterFeedPayload of FeedId {
        feed_id: ID = |id| Some(global(Kind::Feed, id.0)),
    }
}

#[derive(InputObject)]
pub(crate) struct ChangeFeedInput {
    idempotency_key: String,
    feed_id: ID,
    name: String,
    /// A path below the configured import folder, or an http(s) URL.
    source: String,
    /// When it is read by itself from now on; without it somebody has to ask.
    schedule: Option<FeedScheduleInput>,
    /// Who publishes it.
    publisher: Option<PublisherInput>,
    /// Whose signatures count, for a repository of Debian's kind: `OpenPGP` certificates, armoured or as Base64. With a
    /// keyring nothing is taken in that is not signed by one of its keys.
    keyring: Option<String>,
}

payload! { ChangeFeedPayload of FeedId {} }

#[derive(InputObject)]
pub(crate) struct DisableFeedInput {
    idempotency_key: String,
    feed_id: ID,
    /// Why.
    reason: String,
}

payload! { DisableFeedPayload of FeedId {} }

#[derive(InputObject)]
pub(crate) struct EnableFeedInput {
    idempotency_key: String,
    feed_id: ID,
}

payload! { EnableFeedPayload of FeedId {} }

#[derive(InputObject)]
pub(crate) struct TestFeedInput {
    idempotency_key: String,
    feed_id: ID,
}

payload! {
    TestFeedPayload of feeds::ConnectivityReport {
        report: ConnectivityReport = |report| Some(report.clone().into()),
    }
}

/// What a look at a feed's source found.
#[derive(SimpleObject)]
pub(crate) struct ConnectivityReport {
    /// Whether a document of the feed's format is there.
    reachable: bool,
    /// Name of the format that was found.
    found_format: Option<String>,
    /// Bytes that were read to find out: a whole number that may be beyond 32 bits.
    bytes: f64,
    /// How long it took.
    milliseconds: f64,
    /// Whether the source can say that nothing has changed (`ETag` or `Last-Modified`).
    conditional: bool,
    /// Stable code of what is wrong.
    code: Option<String>,
    /// What is wrong.
    reason: Option<String>,
}

impl From<feeds::ConnectivityReport> for ConnectivityReport {
    #[expect(clippy::cast_precision_loss, reason = "neither comes near 2^53")]
    fn from(report: feeds::ConnectivityReport) -> Self {
        let feeds::ConnectivityReport {
            reachable,
            found_format,
            bytes,
            milliseconds,
            conditional,
            code,
            reason,
        } = report;
        let (bytes, milliseconds) = (bytes as f64, milliseconds as f64);
        Self { reachable, found_format, bytes, milliseconds, conditional, code, reason }
    }
}

#[derive(InputObject)]
pub(crate) struct SyncFeedInput {
    idempotency_key: String,
    feed_id: ID,
}

payload! {
    SyncFeedPayload of feeds::ImportReport {
        report: ImportReport = |report| Some(report.clone().into()),
    }
}

/// What an import did.
#[derive(SimpleObject)]
pub(crate) struct ImportReport {
    /// SHA-256 of the document, lowercase hex; of the first one, where it names others.
    document_sha256: String,
    /// Documents that were read.
    documents: u32,
    /// New patches.
    published: u32,
    /// Changed patches.
    revised: u32,
    /// Patches as they were.
    unchanged: u32,
    /// Patches that their publisher took back.
    withdrawn: u32,
    /// Vulnerabilities of which something became known or changed.
    vulnerabilities: u32,
    /// Records left out, with reasons.
    quarantined: Vec<String>,
    /// Documents left out, with reasons.
    refused: Vec<String>,
    /// Who signed what was read; absent where nothing was read that is signed in a way known here.
    signature: Option<FeedSignature>,
}

impl From<feeds::ImportReport> for ImportReport {
    fn from(report: feeds::ImportReport) -> Self {
        let feeds::ImportReport {
            feed_id: _,
            document_sha256,
            documents,
            published,
            revised,
            unchanged,
            withdrawn,
            vulnerabilities,
            quarantined,
            refused,
            signature,
        } = report;
        Self {
            document_sha256,
            documents,
            published,
            revised,
            unchanged,
            withdrawn,
            vulnerabilities,
            quarantined,
            refused,
            signature: signature.map(Into::into),
        }
    }
}

#[derive(InputObject)]
pub(crate) struct MarkPatchOutOfBandInput {
    idempotency_key: String,
    patch_id: ID,
    /// Why it could not wait.
    reason: OutOfBandReason,
}

payload! { MarkPatchOutOfBandPayload of PatchId {} }

#[derive(InputObject)]
pub(crate) struct RatePatchInput {
    idempotency_key: String,
    patch_id: ID,
    /// The customer whose mark it is; the partner's own without one.
    customer_id: Option<ID>,
    /// How much the patch matters: 1 (least) to 5 (most).
    rating: u8,
    /// Why, at most 1,000 characters.
    comment: Option<String>,
}

payload! { RatePatchPayload of PatchId {} }

#[derive(InputObject)]
pub(crate) struct ClearPatchRatingInput {
    idempotency_key: String,
    patch_id: ID,
    /// The customer whose mark it is; the partner's own without one.
    customer_id: Option<ID>,
}

payload! { ClearPatchRatingPayload of PatchId {} }

#[Object]
impl FeedsMutations {
    /// Registers a feed: the platform's for everybody, a partner's for itself and its customers.
    async fn register_feed(
        &self,
        ctx: &Context<'_>,
        input: RegisterFeedInput,
    ) -> Result<RegisterFeedPayload> {
        let RegisterFeedInput { idempotency_key, name, kind, format, source, schedule, publisher, keyring } =
            input;
        let register = feeds::RegisterFeed {
            name,
            kind: kind.into(),
            format: format.into(),
            source,
            schedule: schedule.map(Into::into),
            publisher: publisher.map(Into::into),
            keyring,
        };
        Ok(carry_out(ctx, &idempotency_key, |_| Some(register)).await?.into())
    }

    /// Changes a feed's settings: what is not given is taken away. Its format stays.
    async fn change_feed(&self, ctx: &Context<'_>, input: ChangeFeedInput) -> Result<ChangeFeedPayload> {
        let ChangeFeedInput { idempotency_key, feed_id, name, source, schedule, publisher, keyring } = input;
        let outcome = carry_out(ctx, &idempotency_key, |ids| {
            Some(feeds::ChangeFeed {
                feed_id: ids.one("feedId", Kind::Feed, &feed_id)?,
                name,
                source,
                schedule: schedule.map(Into::into),
                publisher: publisher.map(Into::into),
                keyring,
            })
        });
        Ok(outcome.await?.into())
    }

    /// Reads a feed no more.
    async fn disable_feed(&self, ctx: &Context<'_>, input: DisableFeedInput) -> Result<DisableFeedPayload> {
        let DisableFeedInput { idempotency_key, feed_id, reason } = input;
        let outcome = carry_out(ctx, &idempotency_key, |ids| {
            Some(feeds::DisableFeed { feed_id: ids.one("feedId", Kind::Feed, &feed_id)?, reason })
        });
        Ok(outcome.await?.into())
    }

    /// Reads a feed again.
    async fn enable_feed(&self, ctx: &Context<'_>, input: EnableFeedInput) -> Result<EnableFeedPayload> {
        let EnableFeedInput { idempotency_key, feed_id } = input;
        let outcome = carry_out(ctx, &idempotency_key, |ids| {
            Some(feeds::EnableFeed { feed_id: ids.one("feedId", Kind::Feed, &feed_id)? })
        });
        Ok(outcome.await?.into())
    }

    /// Looks whether a feed's source can be reached and holds what the feed publishes; takes nothing in.
    async fn test_feed(&self, ctx: &Context<'_>, input: TestFeedInput) -> Result<TestFeedPayload> {
        let TestFeedInput { idempotency_key, feed_id } = input;
        let outcome = carry_out(ctx, &idempotency_key, |ids| {
            Some(feeds::TestFeed { feed_id: ids.one("feedId", Kind::Feed, &feed_id)? })
        });
        Ok(outcome.await?.into())
    }

    /// Reads the feed's source now and takes in what is new.
    async fn sync_feed(&self, ctx: &Context<'_>, input: SyncFeedInput) -> Result<SyncFeedPayload> {
        let SyncFeedInput { idempotency_key, feed_id } = input;
        let outcome = carry_out(ctx, &idempotency_key, |ids| {
            Some(feeds::SyncFeed { feed_id: ids.one("feedId", Kind::Feed, &feed_id)? })
        });
        Ok(outcome.await?.into())
    }

    /// Marks a patch as published outside of the regular cycle.
    async fn mark_patch_out_of_band(
        &self,
        ctx: &Context<'_>,
        input: MarkPatchOutOfBandInput,
    ) -> Result<MarkPatchOutOfBandPayload> {
        let MarkPatchOutOfBandInput { idempotency_key, patch_id, reason } = input;
        let outcome = carry_out(ctx, &idempotency_key, |ids| {
            let patch_id = ids.one("patchId", Kind::Patch, &patch_id)?;
            Some(feeds::MarkPatchOutOfBand { patch_id, reason: reason.into() })
        });
        Ok(outcome.await?.into())
    }

    /// Marks how much a patch matters to a customer, or to the partner.
    async fn rate_patch(&self, ctx: &Context<'_>, input: RatePatchInput) -> Result<RatePatchPayload> {
        let RatePatchInput { idempotency_key, patch_id, customer_id, rating, comment } = input;
        let outcome = carry_out(ctx, &idempotency_key, |ids| {
            let patch_id = ids.one("patchId", Kind::Patch, &patch_id);
            let customer_id = ids.some("customerId", Kind::Customer, customer_id.as_ref());
            Some(feeds::RatePatch { patch_id: patch_id?, customer_id: customer_id?, rating, comment })
        });
        Ok(outcome.await?.into())
    }

    /// Takes such a mark back.
    async fn clear_patch_rating(
        &self,
        ctx: &Context<'_>,
        input: ClearPatchRatingInput,
    ) -> Result<ClearPatchRatingPayload> {
        let ClearPatchRatingInput { idempotency_key, patch_id, customer_id } = input;
        let outcome = carry_out(ctx, &idempotency_key, |ids| {
            let patch_id = ids.one("patchId", Kind::Patch, &patch_id);
            let customer_id = ids.some("customerId", Kind::Customer, customer_id.as_ref());
            Some(feeds::ClearPatchRating { patch_id: patch_id?, customer_id: customer_id? })
        });
        Ok(outcome.await?.into())
    }
}
