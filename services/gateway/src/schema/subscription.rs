//! Subscriptions: what is read anew whenever the views have moved on.

use crate::asking::{Asking, forbidden, reaches, require, unknown_user};
use crate::commands::ownership;
use crate::errors::{coded, failed};
use crate::reading::{Seen, View};
use crate::schema::global_id::{GlobalId, Kind};
use crate::schema::position::Position;
use crate::views::alert::{ALERTS_RAISED, AlertRow};
use crate::views::customer::CustomerRow;
use crate::views::deployment::{DeploymentRow, LAST_CHANGE};
use async_graphql::{Context, ID, Result, SimpleObject, Subscription};
use contracts::permissions::Permission;
use futures_util::stream::{self, Stream, StreamExt};
use kernel::{CustomerId, Tenant};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use uuid::Uuid;

/// Positions move with every event of all tenants: a subscriber looks ten times a second at the most.
const LOOK_PAUSE: Duration = Duration::from_millis(100);

/// Alerts that one look takes at the most; more follow with the next.
const ALERTS_MAX: usize = 100;

/// The root of subscriptions.
pub(crate) struct Subscription;

/// A deployment as it stands now.
#[derive(SimpleObject)]
pub(crate) struct DeploymentChange {
    deployment: Seen<DeploymentRow>,
    position: Position,
}

/// An alert that was raised.
#[derive(SimpleObject)]
pub(crate) struct AlertRaised {
    alert: Seen<AlertRow>,
    position: Position,
}

#[Subscription]
impl Subscription {
    /// The deployment now, and again whenever its run or one of its device jobs has changed.
    async fn deployment_changed(
        &self,
        ctx: &Context<'_>,
        id: ID,
    ) -> Result<impl Stream<Item = Result<DeploymentChange>> + use<>> {
        let watching = Watching::start(ctx)?;
        let wanted = wanted(&id, Kind::Deployment)?;
        if watching.deployment(wanted).await?.is_none() {
            ownership::note_if_foreign(&watching.asking, wanted, "deploymentChanged").await?;
            return Err(not_found(wanted));
        }
        let seen = (watching, 0_i64);
        Ok(stream::unfold(Some(seen), move |seen| async move {
            let (mut watching, last) = seen?;
            loop {
                let look = watching.change(wanted, last).await;
                match look {
                    Ok(Some((change, now))) => return Some((Ok(change), Some((watching, now)))),
                    Ok(None) => {}
                    Err(error) => return Some((Err(error), None)),
                }
                if !watching.moved().await {
                    return None;
                }
            }
        }))
    }

    /// Alerts of the customer that are raised from now on.
    async fn alert_raised(
        &self,
        ctx: &Context<'_>,
        customer_id: ID,
    ) -> Result<impl Stream<Item = Result<AlertRaised>> + use<>> {
        let watching = Watching::start(ctx)?;
        let wanted = wanted(&customer_id, Kind::Customer)?;
        let view = watching.view().await?;
        if view.find::<CustomerRow>(wanted.id).await?.is_none_or(|customer| !customer.may_be_read()) {
            ownership::note_if_foreign(&watching.asking, wanted, "alertRaised").await?;
            return Err(not_found(wanted));
        }
        let from = view.position().0;
        let looks = stream::unfold(Some((watching, from)), move |seen| async move {
            let (mut watching, last) = seen?;
            loop {
                match watching.alerts(wanted.id, last).await {
                    Ok((alerts, _)) if alerts.is_empty() => {}
                    Ok((alerts, now)) => {
                        let alerts = alerts.into_iter().map(Ok).collect::<Vec<_>>();
                        return Some((alerts, Some((watching, now))));
                    }
                    Err(error) => return Some((vec![Err(error)], None)),
                }
                if !watching.moved().await {
                    return None;
                }
            }
        });
        Ok(looks.flat_map(stream::iter))
    }
}

/// A subscriber who looks again whenever the views have moved.
struct Watching {
    asking: Arc<Asking>,
    reached: watch::Receiver<kernel::Position>,
}

impl Watching {
    fn start(ctx: &Context<'_>) -> Result<Self> {
        let asking = Asking::of(ctx).clone();
        asking.caller.require_anywhere(Permission::ReadFleet).map_err(forbidden)?;
        Ok(Self { reached: asking.services.library.reached.clone(), asking })
    }

    /// Waits for the views to move; false when they never will again.
    async fn moved(&mut self) -> bool {
        tokio::time::sleep(LOOK_PAUSE).await;
        self.reached.changed().await.is_ok()
    }

    /// The state of now, with the roles of now.
    async fn view(&self) -> Result<View> {
        let services = &self.asking.services;
        let caller = services.identity.caller(&self.asking.caller.subject).await.map_err(failed)?;
        let caller = caller.ok_or_else(unknown_user)?;
        caller.require_anywhere(Permission::ReadFleet).map_err(forbidden)?;
        services.library.open(&Arc::new(caller), None, services.clock.now()).await
    }

    async fn deployment(&self, wanted: GlobalId) -> Result<Option<Seen<DeploymentRow>>> {
        let view = self.view().await?;
        let found = view.find::<DeploymentRow>(wanted.id).await?;
        Ok(found.filter(|found| may_read(&view, found.row.customer_id)))
    }

    /// The deployment, if an event later than `last` has changed it.
    async fn change(&self, wanted: GlobalId, last: i64) -> Result<Option<(DeploymentChange, i64)>> {
        let Some(deployment) = self.deployment(wanted).await? else { return Err(not_found(wanted)) };
        require(
            deployment.view.caller(),
            Permission::ReadFleet,
            Some(CustomerId(deployment.row.customer_id)),
        )?;
        let now: Option<i64> = sqlx::query_scalar(LAST_CHANGE)
            .bind(wanted.id)
            .fetch_one(&mut **deployment.view.tx().await)
            .await
            .map_err(|error| failed(error.into()))?;
        let now = now.unwrap_or(0);
        let position = deployment.view.position().into();
        Ok((now > last).then_some((DeploymentChange { deployment, position }, now)))
    }

    /// The alerts raised after `last`, and the place of the last of them.
    async fn alerts(&self, customer_id: Uuid, last: i64) -> Result<(Vec<AlertRaised>, i64)> {
        let view = self.view().await?;
        require(view.caller(), Permission::ReadFleet, Some(CustomerId(customer_id)))?;
        let rows = view.rows(&ALERTS_RAISED, customer_id, None, Some(last), ALERTS_MAX).await?;
        let now = rows.last().map_or(last, |(seq, _)| *seq);
        let position = view.position();
        let raised =
            rows.into_iter().map(|(_, row)| AlertRaised { alert: view.seen(row), position: position.into() });
        Ok((raised.collect(), now))
    }
}

fn may_read(view: &View, customer_id: Uuid) -> bool {
    let caller = view.caller();
    let Some(partner_id) = caller.scope.partner_id() else { return false };
    reaches(caller, Tenant::customer(partner_id, CustomerId(customer_id)))
}

fn wanted(id: &str, kind: Kind) -> Result<GlobalId> {
    match GlobalId::read(id) {
        Some(id) if id.kind == kind => Ok(id),
        Some(_) | None => {
            Err(coded("graphql.id_invalid", format!("{id:?} is not the id of a {}", kind.words())))
        }
    }
}

fn not_found(wanted: GlobalId) -> async_graphql::Error {
    let error = async_graphql::Error::new(format!("there is no such {}", wanted.kind.words()));
    crate::errors::with_code(error, &wanted.kind.not_found())
}
