//! What dashboards show: how devices stand, what waits for a decision, and what waits to be installed.

use crate::asking::{Asking, reachable};
use crate::errors::failed;
use crate::reading::View;
use crate::schema::compliance::{BaselineCompliance, Wanted, reached};
use crate::schema::global_id::{GlobalId, Kind};
use crate::schema::position::Position;
use crate::views::baseline::BaselineRow;
use crate::views::int;
use crate::words::DevicePlatform;
use async_graphql::{Context, ID, Object, Result, SimpleObject};
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use contracts::permissions::Permission;
use uuid::Uuid;

/// A scan older than this is no recent scan.
const STALE_AFTER: TimeDelta = TimeDelta::days(30);

/// What dashboards ask.
pub(crate) struct WidgetQueries;

/// How many patches wait for a decision.
#[derive(SimpleObject)]
pub(crate) struct PendingApprovals {
    /// The log position that the answer reflects.
    position: Position,
    /// Patches that wait, each counted once per customer.
    count: i32,
}

/// Devices by what waits to be installed on them.
#[derive(SimpleObject)]
pub(crate) struct PatchStatusWidget {
    /// The log position that the answer reflects.
    position: Position,
    /// The time up to which 30 days are counted.
    at: DateTime<Utc>,
    /// One for each platform, in the order Windows, Linux.
    platforms: Vec<PlatformPatchStatus>,
}

/// Devices of one platform; each is counted once.
#[derive(SimpleObject, sqlx::FromRow)]
pub(crate) struct PlatformPatchStatus {
    platform: DevicePlatform,
    /// All of them.
    devices: i32,
    /// Scanned within 30 days, and no approved critical or security patch waits to be installed.
    installed: i32,
    /// Scanned within 30 days, and an approved critical or security patch waits to be installed or for a restart.
    pending_installation: i32,
    /// Never scanned, or not within 30 days: what is known of them does not count.
    no_recent_scan: i32,
}

#[Object]
impl WidgetQueries {
    /// How devices stand against a baseline: all that the person reaches, or those of one customer, group or device.
    /// `asOf` asks for the end of a day (UTC); without it, for now. Absent if one of the ids leads nowhere.
    #[expect(clippy::too_many_arguments, reason = "they are the arguments of the GraphQL field")]
    async fn compliance(
        &self,
        ctx: &Context<'_>,
        baseline_id: ID,
        customer_id: Option<ID>,
        group_id: Option<ID>,
        device_id: Option<ID>,
        as_of: Option<NaiveDate>,
        wait_for: Option<Position>,
    ) -> Result<Option<BaselineCompliance>> {
        let view = opened(ctx, wait_for).await?;
        let Some(id) = GlobalId::read(&baseline_id).filter(|id| id.kind == Kind::Baseline) else {
            return Ok(None);
        };
        let Some(baseline) = view.find::<BaselineRow>(id.id).await? else {
            crate::commands::ownership::note_if_foreign(Asking::of(ctx), id, "compliance").await?;
            return Ok(None);
        };
        if !baseline.may_be_read() {
            return Ok(None);
        }
        Wanted { customer_id, group_id, device_id, as_of }.of(Asking::of(ctx), baseline).await
    }

    /// How many patches wait for a decision: at all customers that the person reaches, or at one.
    async fn pending_approvals(
        &self,
        ctx: &Context<'_>,
        customer_id: Option<ID>,
        wait_for: Option<Position>,
    ) -> Result<Option<PendingApprovals>> {
        let view = opened(ctx, wait_for).await?;
        let Some(customers) = customers(ctx, &view, customer_id).await? else { return Ok(None) };
        let mut tx = view.tx().await;
        let count: i64 = sqlx::query_scalar(
            "select count(*)
               from views.approval
              where state = 'PENDING' and ($1::uuid[] is null or customer_id = any($1))",
        )
        .bind(customers.0)
        .fetch_one(&mut **tx)
        .await
        .map_err(|error| failed(error.into()))?;
        Ok(Some(PendingApprovals { position: view.position().into(), count: int(count) }))
    }

    /// How many devices wait for approved critical and security patches: of all customers that the person reaches, of one
    /// customer, or of one group.
    async fn patch_status(
        &self,
        ctx: &Context<'_>,
        customer_id: Option<ID>,
        group_id: Option<ID>,
        wait_for: Option<Position>,
    ) -> Result<Option<PatchStatusWidget>> {
        let view = opened(ctx, wait_for).await?;
        let Some(customers) = customers(ctx, &view, customer_id).await? else { return Ok(None) };
        let group = match &group_id {
            None => None,
            Some(id) => match reached(Asking::of(ctx), &view, id, Kind::DeviceGroup).await? {
                None => return Ok(None),
                found => found,
            },
        };
        let mut tx = view.tx().await;
        let platforms: Vec<PlatformPatchStatus> =
            sqlx::query_as(include_str!("../sql/count_patch_status.sql"))
                .bind(customers.0)
                .bind(group)
                .bind(view.now() - STALE_AFTER)
                .fetch_all(&mut **tx)
                .await
                .map_err(|error| failed(error.into()))?;
        Ok(Some(PatchStatusWidget { position: view.position().into(), at: view.now(), platforms }))
    }
}

/// The customers that are meant; none of them for all in the database's scope.
struct Customers(Option<Vec<Uuid>>);

/// None where there is no such customer for the person.
async fn customers(ctx: &Context<'_>, view: &View, customer_id: Option<ID>) -> Result<Option<Customers>> {
    if let Some(id) = customer_id {
        let found = reached(Asking::of(ctx), view, &id, Kind::Customer).await?;
        return Ok(found.map(|id| Customers(Some(vec![id]))));
    }
    let only = reachable(view.caller(), Permission::ReadFleet);
    let ids = only.map(|ids| ids.iter().filter_map(|id| Uuid::try_parse(id).ok()).collect());
    Ok(Some(Customers(ids)))
}

/// The operation's state. The position to wait for has been read from the document before.
async fn opened(ctx: &Context<'_>, _wait_for: Option<Position>) -> Result<View> {
    Asking::of(ctx).view().await
}
