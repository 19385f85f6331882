//! Raises alerts, and keeps what that and the commands need to know.
//!
//! One queue for all of the services' events: what the scans found and what was approved is taken in one after the
//! other, so that SEARCH is missed by neither.

use super::search;
use alerts_domain::alert::{Alert, Command};
use alerts_domain::raising::{Trigger, alert_for};
use async_trait::async_trait;
use contracts::alerts::WebhookEvent;
use contracts::approvals::{ApprovalEvent, BlockEvent};
use contracts::devices::{DeviceEvent, GroupEvent};
use contracts::feeds::FeedEvent;
use contracts::scheduling::{DeviceJobEvent, ScanJobEvent};
use contracts::tenancy::{CustomerEvent, CustomerRegistered};
use eventstore::{Store, Target, Tx};
use kernel::{ActorKind, AlertId, Envelope, EventData, Scope, StreamId, Tenant};
use messaging::{Consumer, HandlerError, Outcome, settled};

/// Reacts to facts that are worth an alert.
pub(crate) struct Raising {
    store: Store,
}

impl Raising {
    pub(crate) fn new(store: Store) -> Self {
        Self { store }
    }

    async fn raise(
        &self,
        tx: &mut Tx,
        event: &Envelope,
        tenant: Tenant,
        trigger: Trigger,
    ) -> Result<(), HandlerError> {
        let Some(condition) = alert_for(&trigger) else { return Ok(()) };
        let customer_id = tenant.customer_id;
        // What a partner decides may be worth an alert at each of its customers.
        let which = match customer_id {
            Some(customer_id) if event.tenant != tenant => format!(" at {customer_id}"),
            Some(_) | None => String::new(),
        };
        let alert_id = AlertId::derived(event.event_id.0, &format!("alert{which}"));
        sqlx::query(
            "insert into alerts.alert (alert_id, partner_id, customer_id)
             values ($1, $2, $3)
             on conflict do nothing",
        )
        .bind(alert_id.0)
        .bind(tenant.partner_id.0)
        .bind(customer_id.map(|id| id.0))
        .execute(&mut **tx)
        .await?;
        let scope = Scope::partner_of(event.tenant);
        let cause = event.reaction("alerts", &format!("raise{which}"));
        let target = Target {
            scope: &scope,
            tenant,
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
            "devices.GroupMembershipChanged",
            "devices.GroupRemoved",
            "approvals.PatchApproved",
            "approvals.PatchRejected",
            "approvals.ApprovalRevoked",
            "approvals.PatchDeferred",
            "approvals.DeferralEnded",
            "approvals.ApprovalLapsed",
            "approvals.PatchBlocked",
            "approvals.PatchUnblocked",
            "alerts.WebhookDisabled",
        ]
    }

    async fn handle(&self, tx: &mut Tx, event: &Envelope) -> Result<Outcome, HandlerError> {
        if event.event_type == CustomerRegistered::TYPE {
            keep_customer(tx, event).await?;
        } else {
            for (tenant, trigger) in triggers(tx, event).await? {
                self.raise(tx, event, tenant, trigger).await?;
            }
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

/// What the event asks for, and at whom.
async fn triggers(tx: &mut Tx, event: &Envelope) -> Result<Vec<(Tenant, Trigger)>, HandlerError> {
    let event_type = event.event_type.as_str();
    let own = |trigger: Option<Trigger>| trigger.into_iter().map(|trigger| (event.tenant, trigger)).collect();
    let found = |found: Vec<search::FoundAt>| {
        found.into_iter().map(|(tenant, found)| (tenant, Trigger::Found(found))).collect()
    };
    Ok(if ScanJobEvent::owns(event_type) {
        own(Some(Trigger::ScanJob(event.read()?)))
    } else if DeviceJobEvent::owns(event_type) {
        own(Some(Trigger::DeviceJob(event.read()?)))
    } else if FeedEvent::owns(event_type) {
        own(Some(Trigger::Feed(event.read()?)))
    } else if WebhookEvent::owns(event_type) {
        own(webhook(event)?)
    } else if DeviceEvent::owns(event_type) {
        own(search::device(tx, event).await?.map(Trigger::Found))
    } else if ApprovalEvent::owns(event_type) {
        found(search::decided(tx, event).await?)
    } else if BlockEvent::owns(event_type) {
        found(search::blocked(tx, event).await?)
    } else if GroupEvent::owns(event_type) {
        search::grouped(tx, event).await?;
        vec![]
    } else {
        vec![]
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
