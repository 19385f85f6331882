//! The use cases: authorise, look up, decide and append, answer.

use crate::{source::Source, sync::Feeds, syncs};
use actix_web::web::ServiceConfig;
use contracts::feeds::{ImportReport, RegisterFeed, SyncFeed};
use contracts::{Accepted, permissions::Permission};
use eventstore::Target;
use feeds_domain::catalogue::{Feed, FeedCommand, FeedSettings};
use foundation::{accepted, failed, store_failed};
use kernel::{FeedId, Scope, StreamId, Tenant};
use web::{ApiError, CommandContext};

/// The routes of the service's commands.
pub(crate) fn routes(feeds: &Feeds, routes: &mut ServiceConfig) {
    let commands = feeds.foundation.commands();
    routes.service(commands.route(feeds, register_feed)).service(commands.route(feeds, sync_feed));
}

async fn register_feed(
    feeds: Feeds,
    context: CommandContext,
    command: RegisterFeed,
) -> Result<Accepted<FeedId>, ApiError> {
    context.caller.require(Permission::ManageFeeds, None)?;
    Source::parse(&command.source).map_err(|refusal| ApiError::refused(&refusal))?;
    let RegisterFeed { name, kind, format, source } = command;
    let feed_id = FeedId::derived(context.cause.command_id.0, "feed");
    let register = FeedCommand::Register { feed_id, settings: FeedSettings { name, kind, format, source } };
    let target = Target {
        scope: &Scope::Platform,
        tenant: Tenant::PLATFORM,
        stream_id: StreamId(feed_id.0),
        cause: &context.cause,
        occurred_at: None,
    };
    let store = &feeds.foundation.store;
    let mut tx = feeds.foundation.database.begin(&Scope::Platform).await.map_err(store_failed)?;
    let committed = store.execute_in::<Feed>(&mut tx, target, register).await.map_err(failed)?;
    let state = store.load_in::<Feed>(&mut tx, target.scope, target.stream_id).await.map_err(store_failed)?;
    syncs::remember_feed(&mut tx, feed_id, &state, committed.pos).await.map_err(store_failed)?;
    tx.commit().await.map_err(|error| store_failed(error.into()))?;
    Ok(accepted(feed_id, committed))
}

async fn sync_feed(
    feeds: Feeds,
    context: CommandContext,
    command: SyncFeed,
) -> Result<Accepted<ImportReport>, ApiError> {
    context.caller.require(Permission::ManageFeeds, None)?;
    feeds.sync_to_the_end(context, command.feed_id).await
}
