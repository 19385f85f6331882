//! Raises alerts, and keeps what that and the commands need to know.
//!
//! One queue for all of the services' events: what the scans found and what was approved is taken in one after the
//! other, so that SEARCH is missed by neither.

use alerts_domain::alert::{Alert, Command};
use alerts_domain::raising::{Found, Trigger, alert_for};
use async_trait::async_trait;
use contracts::alerts::WebhookEvent;
use contracts::approvals::{ApprovalEvent, ApprovalScope};
use contracts::devices::DeviceEvent;
use contracts::feeds::FeedEvent;
use contracts::scheduling::{DeviceJobEvent, ScanJobEvent};
use contracts::tenancy::{CustomerEvent, CustomerRegistered};
use eventstore::{Store, Target, Tx};
use kernel::{
    ActorKind, AlertId, CustomerId, DeviceId, Envelope, EventData, JobId, PatchId, Scope, StreamId,
};
use messaging::{Consumer, HandlerError, Outcome, settled};
use uuid::Uuid;

/// Reacts to facts that are worth an alert.
pub(crate) struct Raising {
    store: Store,
}

impl Raising {
    pub(crate) fn new(store: Store) -> Self {
        Self { store }
    }

    async fn raise(&self, tx: &mut Tx, event: &Envelope, trigger: Trigger) -> Result<(), HandlerError> {
        let Some(condition) = alert_for(&trigger) else { return Ok(()) };
        let alert_id = AlertId::derived(event.event_id.0, "alert");
        let customer_id = event.tenant.customer_id;
        sqlx::query(
            "insert into alerts.alert (alert_id, partner_id, customer_id)
             values ($1, $2, $3)
             on conflict do nothing",
        )
        .bind(alert_id.0)
        .bind(event.tenant.partner_id.0)
        .bind(customer_id.map(|id| id.0))
        .execute(&mut **tx)
        .await?;
        let (scope, cause) = (Scope::partner_of(event.tenant), event.reaction("alerts", "raise"));
        let target = Target {
            scope: &scope,
            tenant: event.tenant,
            stream_id: StreamId(alert_id.0),
            cause: &cause,
            occurred_at: Some(event.occurred_at),
        };
        let command = Command::Raise { alert_id, customer_id, condition };
        settled(self.store.execute_in::<Alert>(tx, target, command).await)?;
        Ok(())
    }
}

#[async_trait]
impl Consumer for Raising {
    fn name(&self) -> &'static str {
        "alerts.raising"
    }

    fn interests(&self) -> &'static [&'static str] {
        &[
            "tenancy.CustomerRegistered",
            "scheduling.ScanInitiated",
            "scheduling.DownloadInitiated",
            "scheduling.RebootRequired",
            "scheduling.DeviceJobSucceeded",
            "scheduling.DeviceJobFailed",
            "scheduling.DeviceJobTimedOut",
            "feeds.FeedSyncFailed",
            "devices.PatchFoundMissing",
            "devices.PatchFoundInstalled",
            "devices.PatchNoLongerApplicable",
            "devices.ScanCompleted",
            "approvals.PatchApproved",
            "approvals.PatchRejected",
            "approvals.ApprovalRevoked",
            "approvals.ApprovalLapsed",
            "alerts.WebhookDisabled",
        ]
    }

    async fn handle(&self, tx: &mut Tx, event: &Envelope) -> Result<Outcome, HandlerError> {
        if event.event_type == CustomerRegistered::TYPE {
            keep_customer(tx, event).await?;
        } else if let Some(trigger) = trigger(tx, event).await? {
            self.raise(tx, event, trigger).await?;
        }
        Ok(Outcome::Handled)
    }
}

async fn keep_customer(tx: &mut Tx, event: &Envelope) -> Result<(), HandlerError> {
    sqlx::query(
        "insert into alerts.customer (customer_id, partner_id) values ($1, $2) on conflict do nothing",
    )
    .bind(event.read::<CustomerEvent>().map(|CustomerEvent::CustomerRegistered(fact)| fact.customer_id.0)?)
    .bind(event.tenant.partner_id.0)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn trigger(tx: &mut Tx, event: &Envelope) -> Result<Option<Trigger>, HandlerError> {
    let event_type = event.event_type.as_str();
    Ok(if ScanJobEvent::owns(event_type) {
        Some(Trigger::ScanJob(event.read()?))
    } else if DeviceJobEvent::owns(event_type) {
        Some(Trigger::DeviceJob(event.read()?))
    } else if FeedEvent::owns(event_type) {
        Some(Trigger::Feed(event.read()?))
    } else if WebhookEvent::owns(event_type) {
        webhook(event)?
    } else if DeviceEvent::owns(event_type) {
        device(tx, event).await?.map(Trigger::Found)
    } else if ApprovalEvent::owns(event_type) {
        approval(tx, event).await?.map(Trigger::Found)
    } else {
        None
    })
}

/// A person who switches a webhook off knows that it is off.
fn webhook(event: &Envelope) -> Result<Option<Trigger>, HandlerError> {
    Ok(match event.read()? {
        WebhookEvent::WebhookDisabled(fact) if event.actor.kind == ActorKind::System => {
            Some(Trigger::WebhookSwitchedOff { webhook_id: fact.webhook_id, reason: fact.reason })
        }
        WebhookEvent::WebhookDisabled(_) | WebhookEvent::WebhookRegistered(_) => None,
    })
}

async fn device(tx: &mut Tx, event: &Envelope) -> Result<Option<Found>, HandlerError> {
    match event.read()? {
        DeviceEvent::PatchFoundMissing(fact) => {
            sqlx::query(
                "insert into alerts.missing_patch (device_id, patch_id, partner_id, customer_id)
                 values ($1, $2, $3, $4)
                 on conflict do nothing",
            )
            .bind(fact.device_id.0)
            .bind(fact.patch_id.0)
            .bind(event.tenant.partner_id.0)
            .bind(event.tenant.customer_id.map(|id| id.0))
            .execute(&mut **tx)
            .await?;
            Ok(None)
        }
        DeviceEvent::PatchFoundInstalled(fact) => no_longer_missing(tx, fact.device_id, fact.patch_id).await,
        DeviceEvent::PatchNoLongerApplicable(fact) => {
            no_longer_missing(tx, fact.device_id, fact.patch_id).await
        }
        DeviceEvent::ScanCompleted(fact) => found_by_scan(tx, fact.device_id, fact.job_id).await,
        DeviceEvent::AgentEnrolled(_)
        | DeviceEvent::DeviceCameOnline(_)
        | DeviceEvent::DeviceWentOffline(_)
        | DeviceEvent::ScanFailed(_)
        | DeviceEvent::AvailableUpdatesChanged(_)
        | DeviceEvent::DeviceExposureChanged(_)
        | DeviceEvent::DeviceRegionChanged(_)
        | DeviceEvent::JobDelivered(_)
        | DeviceEvent::JobReported(_) => Ok(None),
    }
}

async fn no_longer_missing(
    tx: &mut Tx,
    device_id: DeviceId,
    patch_id: PatchId,
) -> Result<Option<Found>, HandlerError> {
    sqlx::query("delete from alerts.missing_patch where device_id = $1 and patch_id = $2")
        .bind(device_id.0)
        .bind(patch_id.0)
        .execute(&mut **tx)
        .await?;
    Ok(None)
}

async fn found_by_scan(
    tx: &mut Tx,
    device_id: DeviceId,
    job_id: Option<JobId>,
) -> Result<Option<Found>, HandlerError> {
    let rows: Vec<(Uuid, bool)> = sqlx::query_as(
        "select m.patch_id, a.patch_id is not null
           from alerts.missing_patch m
           left join alerts.approved_patch a on a.customer_id = m.customer_id and a.patch_id = m.patch_id
          where m.device_id = $1
          order by m.patch_id",
    )
    .bind(device_id.0)
    .fetch_all(&mut **tx)
    .await?;
    let missing = u32::try_from(rows.len()).unwrap_or(u32::MAX);
    let approved = rows.into_iter().filter(|(_, approved)| *approved).map(|(id, _)| PatchId(id)).collect();
    Ok(Some(Found { device_id: Some(device_id), job_id, missing, approved }))
}

async fn approval(tx: &mut Tx, event: &Envelope) -> Result<Option<Found>, HandlerError> {
    match event.read()? {
        ApprovalEvent::PatchApproved(fact) => {
            let Some(customer_id) = fact.scope.whole_customer() else { return Ok(None) };
            sqlx::query(
                "insert into alerts.approved_patch (customer_id, patch_id, partner_id)
                 values ($1, $2, $3)
                 on conflict do nothing",
            )
            .bind(customer_id.0)
            .bind(fact.patch_id.0)
            .bind(event.tenant.partner_id.0)
            .execute(&mut **tx)
            .await?;
            found_before(tx, customer_id, fact.patch_id).await
        }
        ApprovalEvent::PatchRejected(fact) => no_longer_approved(tx, fact.scope, fact.patch_id).await,
        ApprovalEvent::ApprovalRevoked(fact) => no_longer_approved(tx, fact.scope, fact.patch_id).await,
        ApprovalEvent::ApprovalLapsed(fact) => no_longer_approved(tx, fact.scope, fact.patch_id).await,
        ApprovalEvent::ApprovalOpened(_)
        | ApprovalEvent::AutoApprovalRefused(_)
        | ApprovalEvent::ApprovalScheduled(_) => Ok(None),
    }
}

async fn no_longer_approved(
    tx: &mut Tx,
    scope: ApprovalScope,
    patch_id: PatchId,
) -> Result<Option<Found>, HandlerError> {
    let Some(customer_id) = scope.whole_customer() else { return Ok(None) };
    sqlx::query("delete from alerts.approved_patch where customer_id = $1 and patch_id = $2")
        .bind(customer_id.0)
        .bind(patch_id.0)
        .execute(&mut **tx)
        .await?;
    Ok(None)
}

/// What earlier scans found of a patch that has just been approved.
async fn found_before(
    tx: &mut Tx,
    customer_id: CustomerId,
    patch_id: PatchId,
) -> Result<Option<Found>, HandlerError> {
    // Two are enough to know that it is more than one.
    let devices: Vec<Uuid> = sqlx::query_scalar(
        "select device_id from alerts.missing_patch where customer_id = $1 and patch_id = $2 limit 2",
    )
    .bind(customer_id.0)
    .bind(patch_id.0)
    .fetch_all(&mut **tx)
    .await?;
    let device_id = match devices.as_slice() {
        [] => return Ok(None),
        [only] => Some(DeviceId(*only)),
        [_, _, ..] => None,
    };
    Ok(Some(Found { device_id, job_id: None, missing: 1, approved: vec![patch_id] }))
}

#[cfg(test)]
mod tests {
    use super::Raising;
    use messaging::Consumer;

    #[tokio::test]
    async fn every_type_it_asks_for_exists() {
        let database = testkit::TestDatabase::create().await;
        let raising = Raising::new(eventstore::Store::new(database.connect().await));
        for interest in raising.interests() {
            assert!(alerts_domain::subscription::is_known(interest), "{interest}");
        }
    }
}
