//! The use cases: authorise, look up, decide and append, answer.

use crate::import::{Import, Wish};
use crate::{documents::DocumentKey, error::SyncError, source::Source, sync::Feeds, syncs};
use actix_web::web::ServiceConfig;
use contracts::feeds::{
    ChangeFeed, ClearPatchRating, ConnectivityReport, DisableFeed, EnableFeed, ImportReport,
    MarkPatchOutOfBand, RatePatch, RegisterFeed, SyncFeed, TestFeed,
};
use contracts::{Accepted, permissions::Permission};
use eventstore::Target;
use feeds_documents::openpgp::kept_keyring;
use feeds_domain::catalogue::patch_rating::{self, PatchRating, PatchRatingCommand};
use feeds_domain::catalogue::{
    FEED_KEYRING_CHARS_MAX, Feed, FeedCommand, FeedRefusal, FeedSettings, PatchCommand, PatchRefusal,
};
use foundation::{accepted, failed, store_failed};
use kernel::{CustomerId, FeedId, PartnerId, PatchId, Scope, StreamId, Tenant};
use web::{ApiError, CommandContext};

/// The routes of the service's commands.
pub(crate) fn routes(feeds: &Feeds, routes: &mut ServiceConfig) {
    let commands = feeds.foundation.commands();
    routes
        .service(commands.route(feeds, register_feed))
        .service(commands.route(feeds, change_feed))
        .service(commands.route(feeds, disable_feed))
        .service(commands.route(feeds, enable_feed))
        .service(commands.route(feeds, test_feed))
        .service(commands.route(feeds, sync_feed))
        .service(commands.route(feeds, mark_out_of_band))
        .service(commands.route(feeds, rate_patch))
        .service(commands.route(feeds, clear_patch_rating));
}

/// In whose name the caller works: a partner's, or the platform's (the nil id).
fn owner_of(context: &CommandContext) -> PartnerId {
    context.caller.scope.partner_id().unwrap_or(Tenant::PLATFORM.partner_id)
}

/// A source that this installation may be asked to read.
fn source_of(feeds: &Feeds, text: &str) -> Result<Source, ApiError> {
    let source = Source::parse(text).map_err(|refusal| ApiError::refused(&refusal))?;
    feeds.fetcher.permit(&source).map_err(|refusal| ApiError::refused(&refusal))?;
    Ok(source)
}

/// A keyring in the form in which it is kept.
fn keyring_of(given: Option<String>) -> Result<Option<String>, ApiError> {
    let Some(text) = given else { return Ok(None) };
    let kept = if text.len() > FEED_KEYRING_CHARS_MAX {
        Err(format!("it has more than {FEED_KEYRING_CHARS_MAX} characters"))
    } else {
        kept_keyring(&text)
    };
    kept.map(Some).map_err(|reason| ApiError::refused(&FeedRefusal::InvalidKeyring { reason }))
}

async fn register_feed(
    feeds: Feeds,
    context: CommandContext,
    command: RegisterFeed,
) -> Result<Accepted<FeedId>, ApiError> {
    context.caller.require(Permission::ManageFeeds, None)?;
    let source = source_of(&feeds, &command.source)?;
    let owner = owner_of(&context);
    let by_partner = owner != Tenant::PLATFORM.partner_id;
    source.require_owner(by_partner).map_err(|refusal| ApiError::refused(&refusal))?;
    let RegisterFeed { name, kind, format, source, schedule, publisher, keyring } = command;
    let keyring = keyring_of(keyring)?;
    let feed_id = FeedId::derived(context.cause.command_id.0, "feed");
    let settings = FeedSettings { name, kind, format, source, schedule, publisher, keyring };
    let register = FeedCommand::Register { feed_id, settings, by_partner };
    on_feed(&feeds, &context, feed_id, owner, register).await
}

async fn change_feed(
    feeds: Feeds,
    context: CommandContext,
    command: ChangeFeed,
) -> Result<Accepted<FeedId>, ApiError> {
    context.caller.require(Permission::ManageFeeds, None)?;
    let source = source_of(&feeds, &command.source)?;
    let owner = own_feed(&feeds, &context, command.feed_id).await?;
    let by_partner = owner != Tenant::PLATFORM.partner_id;
    source.require_owner(by_partner).map_err(|refusal| ApiError::refused(&refusal))?;
    let ChangeFeed { feed_id, name, source, schedule, publisher, keyring } = command;
    let keyring = keyring_of(keyring)?;
    let change = FeedCommand::Change { feed_id, name, source, schedule, publisher, keyring };
    on_feed(&feeds, &context, feed_id, owner, change).await
}

async fn disable_feed(
    feeds: Feeds,
    context: CommandContext,
    command: DisableFeed,
) -> Result<Accepted<FeedId>, ApiError> {
    context.caller.require(Permission::ManageFeeds, None)?;
    let owner = own_feed(&feeds, &context, command.feed_id).await?;
    let DisableFeed { feed_id, reason } = command;
    on_feed(&feeds, &context, feed_id, owner, FeedCommand::Disable { feed_id, reason }).await
}

async fn enable_feed(
    feeds: Feeds,
    context: CommandContext,
    command: EnableFeed,
) -> Result<Accepted<FeedId>, ApiError> {
    context.caller.require(Permission::ManageFeeds, None)?;
    let EnableFeed { feed_id } = command;
    let owner = own_feed(&feeds, &context, feed_id).await?;
    on_feed(&feeds, &context, feed_id, owner, FeedCommand::Enable { feed_id }).await
}

async fn test_feed(
    feeds: Feeds,
    context: CommandContext,
    command: TestFeed,
) -> Result<Accepted<ConnectivityReport>, ApiError> {
    context.caller.require(Permission::ManageFeeds, None)?;
    own_feed(&feeds, &context, command.feed_id).await?;
    let answer = feeds.test(command.feed_id).await?;
    Ok(Accepted { answer, written: None, repeated: false })
}

async fn sync_feed(
    feeds: Feeds,
    context: CommandContext,
    command: SyncFeed,
) -> Result<Accepted<ImportReport>, ApiError> {
    context.caller.require(Permission::ManageFeeds, None)?;
    let owner = own_feed(&feeds, &context, command.feed_id).await?;
    feeds.sync_to_the_end(context.cause, command.feed_id, owner).await
}

async fn mark_out_of_band(
    feeds: Feeds,
    context: CommandContext,
    command: MarkPatchOutOfBand,
) -> Result<Accepted<PatchId>, ApiError> {
    context.caller.require(Permission::ManageFeeds, None)?;
    let MarkPatchOutOfBand { patch_id, reason } = command;
    let owner = owner_of(&context);
    let document = DocumentKey { feed_id: FeedId(uuid::Uuid::nil()), name: "" };
    let import = Import {
        store: &feeds.foundation.store,
        sync: syncs::SyncId { command_id: context.cause.command_id, feed_id: document.feed_id },
        cause: &context.cause,
        stop: &feeds.foundation.lifecycle.stop,
        owner,
        watcher: None,
        by_name: true,
    };
    let marked = async {
        let mut tx = import.begin().await?;
        if syncs::patch_owner(&mut tx, patch_id).await? != Some(owner) {
            return Ok(None);
        }
        let what = "out of band".to_owned();
        let wish = Wish { patch_id, what, command: PatchCommand::MarkOutOfBand { reason } };
        let committed = import.carry_out_one(&mut tx, document, wish).await?;
        tx.commit().await?;
        Ok::<_, SyncError>(Some(committed))
    };
    match marked.await {
        Ok(Some(Some(committed))) => Ok(accepted(patch_id, committed)),
        Ok(Some(None)) => Err(ApiError::refused(&PatchRefusal::Withdrawn)),
        Ok(None) => Err(ApiError::refused(&PatchRefusal::Unknown)),
        Err(SyncError::Failed(error)) => Err(error),
        Err(SyncError::Refused { code, reason }) => {
            Err(ApiError::new(actix_web::http::StatusCode::UNPROCESSABLE_ENTITY, code, reason))
        }
    }
}

async fn rate_patch(
    feeds: Feeds,
    context: CommandContext,
    command: RatePatch,
) -> Result<Accepted<PatchId>, ApiError> {
    let RatePatch { patch_id, customer_id, rating, comment } = command;
    let rate = PatchRatingCommand::Rate { patch_id, rating, comment };
    on_rating(&feeds, &context, patch_id, customer_id, rate).await
}

async fn clear_patch_rating(
    feeds: Feeds,
    context: CommandContext,
    command: ClearPatchRating,
) -> Result<Accepted<PatchId>, ApiError> {
    let ClearPatchRating { patch_id, customer_id } = command;
    on_rating(&feeds, &context, patch_id, customer_id, PatchRatingCommand::Clear { patch_id }).await
}

async fn on_rating(
    feeds: &Feeds,
    context: &CommandContext,
    patch_id: PatchId,
    customer_id: Option<CustomerId>,
    command: PatchRatingCommand,
) -> Result<Accepted<PatchId>, ApiError> {
    context.caller.require(Permission::RatePatches, customer_id)?;
    let scope = context.caller.scope;
    let unknown = || ApiError::refused(&PatchRefusal::Unknown);
    let Some(partner_id) = scope.partner_id() else { return Err(unknown()) };
    // Whoever asks for a customer is narrowed to it before; that it is one of the partner's was found there.
    if scope.customer_id() != customer_id {
        return Err(unknown());
    }
    let mut tx = feeds.foundation.database.begin(&Scope::Platform).await.map_err(store_failed)?;
    let owner = syncs::patch_owner(&mut tx, patch_id).await.map_err(store_failed)?;
    drop(tx);
    if owner.is_none_or(|owner| owner != partner_id && owner != Tenant::PLATFORM.partner_id) {
        return Err(unknown());
    }
    let tenant = Tenant { partner_id, customer_id };
    let target = Target {
        scope: &scope,
        tenant,
        stream_id: patch_rating::stream_of(tenant, patch_id),
        cause: &context.cause,
        occurred_at: None,
    };
    let committed = feeds.foundation.store.execute::<PatchRating>(target, command).await.map_err(failed)?;
    Ok(accepted(patch_id, committed))
}

/// Whose feed it is, if it is the caller's; to everybody else there is no such feed.
pub(crate) async fn own_feed(
    feeds: &Feeds,
    context: &CommandContext,
    feed_id: FeedId,
) -> Result<PartnerId, ApiError> {
    let mut tx = feeds.foundation.database.begin(&Scope::Platform).await.map_err(store_failed)?;
    let owner = syncs::owner(&mut tx, feed_id).await.map_err(store_failed)?;
    owner.filter(|owner| *owner == owner_of(context)).ok_or_else(|| ApiError::refused(&FeedRefusal::Unknown))
}

/// Carries out a command on a feed, and keeps the feed as it is then.
async fn on_feed(
    feeds: &Feeds,
    context: &CommandContext,
    feed_id: FeedId,
    owner: PartnerId,
    command: FeedCommand,
) -> Result<Accepted<FeedId>, ApiError> {
    let target = Target {
        scope: &Scope::Platform,
        tenant: Tenant::partner(owner),
        stream_id: StreamId(feed_id.0),
        cause: &context.cause,
        occurred_at: None,
    };
    let store = &feeds.foundation.store;
    let mut tx = feeds.foundation.database.begin(&Scope::Platform).await.map_err(store_failed)?;
    let committed = store.execute_in::<Feed>(&mut tx, target, command).await.map_err(failed)?;
    let state = store.load_in::<Feed>(&mut tx, target.scope, target.stream_id).await.map_err(store_failed)?;
    syncs::remember_feed(&mut tx, feed_id, owner, &state, committed.pos).await.map_err(store_failed)?;
    tx.commit().await.map_err(|error| store_failed(error.into()))?;
    Ok(accepted(feed_id, committed))
}
