//! The read models: one follower takes every event of every service into the tables of the schema `views`.
//!
//! Each subject has one file with its row, the lists it appears in, and what each event does to it. Statements that read
//! name the schema; those that write do not, so that the views can be built anew beside those that are read.

pub(crate) mod alert;
pub(crate) mod approval;
pub(crate) mod customer;
pub(crate) mod decision;
pub(crate) mod deployment;
pub(crate) mod device;
pub(crate) mod device_group;
pub(crate) mod device_job;
pub(crate) mod device_patch;
pub(crate) mod feed;
mod later;
pub(crate) mod package;
pub(crate) mod partner;
pub(crate) mod patch;
pub(crate) mod rating;
pub(crate) mod rule;
pub(crate) mod scan_job;
pub(crate) mod site;
pub(crate) mod user;
pub(crate) mod vulnerability;
pub(crate) mod webhook;
pub(crate) mod whitelist;

use contracts::{alerts, approvals, devices, feeds, packages, scheduling, tenancy};
use eventstore::{Projection, StoreError, Tx};
use kernel::{Envelope, EventData};
use later::Later;
use uuid::Uuid;

/// The name of the follower, and of its cursor.
pub(crate) const NAME: &str = "views";

/// Everything in the schema: a rebuild replaces it as a whole.
const TABLES: [&str; 39] = [
    "alert",
    "app_user",
    "approval",
    "approval_policy",
    "available_update",
    "customer",
    "decision",
    "delivery",
    "deployment",
    "device",
    "device_group",
    "device_job",
    "device_patch",
    "feed",
    "feed_sync",
    "group_member",
    "job_step",
    "kev_period",
    "package",
    "package_update",
    "partner",
    "patch",
    "patch_cve",
    "patch_kb",
    "patch_product_word",
    "patch_rating",
    "patch_supersedes",
    "patch_version",
    "patch_word",
    "role_grant",
    "rule",
    "rule_version",
    "run",
    "scan_job",
    "site",
    "site_version",
    "vulnerability",
    "webhook",
    "whitelist_entry",
];

/// The projection that keeps all views, so that each answer reflects one position of the log.
pub struct Views;

#[async_trait::async_trait]
impl Projection for Views {
    fn name(&self) -> &'static str {
        NAME
    }

    fn schema(&self) -> &'static str {
        "views"
    }

    fn tables(&self) -> &'static [&'static str] {
        &TABLES
    }

    fn opened_types(&self) -> &'static [&'static str] {
        &[tenancy::UserInvited::TYPE]
    }

    async fn apply(&self, tx: &mut Tx, event: &Envelope) -> Result<(), StoreError> {
        self.apply_page(tx, std::slice::from_ref(event)).await
    }

    async fn apply_page(&self, tx: &mut Tx, events: &[Envelope]) -> Result<(), StoreError> {
        let mut later = Later::default();
        for event in events {
            take(tx, &mut later, event).await?;
        }
        later.write(tx).await
    }
}

/// Writes what the event says, or notes it for later, in its service's file.
async fn take(tx: &mut Tx, later: &mut Later, event: &Envelope) -> Result<(), StoreError> {
    let entry = Entry::of(event);
    if let Some(fact) = read::<tenancy::PartnerEvent>(event)? {
        partner::apply(tx, entry, fact).await
    } else if let Some(fact) = read::<tenancy::CustomerEvent>(event)? {
        customer::apply(tx, entry, fact).await
    } else if let Some(fact) = read::<tenancy::UserEvent>(event)? {
        user::apply(tx, entry, fact).await
    } else if let Some(fact) = read::<feeds::FeedEvent>(event)? {
        feed::apply(tx, entry, fact).await
    } else if let Some(fact) = read::<feeds::PatchEvent>(event)? {
        patch::apply(tx, later, entry, fact).await
    } else if let Some(fact) = read::<feeds::VulnerabilityEvent>(event)? {
        vulnerability::apply(tx, later, entry, fact).await
    } else if let Some(fact) = read::<feeds::RatingEvent>(event)? {
        rating::apply(tx, entry, fact).await
    } else if let Some(fact) = read::<packages::PackageEvent>(event)? {
        package::apply(tx, entry, fact).await
    } else if let Some(fact) = read::<packages::SiteEvent>(event)? {
        site::apply(tx, entry, fact).await
    } else if let Some(fact) = read::<devices::DeviceEvent>(event)? {
        device::apply(tx, later, entry, &fact).await?;
        device_patch::apply(tx, later, entry, fact).await
    } else if let Some(fact) = read::<devices::GroupEvent>(event)? {
        device_group::apply(tx, entry, fact).await
    } else if let Some(fact) = read::<approvals::WhitelistEvent>(event)? {
        whitelist::apply(tx, entry, fact).await
    } else if let Some(fact) = read::<approvals::RuleEvent>(event)? {
        rule::apply(tx, entry, fact).await
    } else if let Some(fact) = read::<approvals::ApprovalEvent>(event)? {
        decision::apply(tx, later, entry, fact.clone()).await?;
        approval::apply(tx, later, entry, fact).await
    } else if let Some(fact) = read::<approvals::BlockEvent>(event)? {
        decision::apply_block(later, entry, fact);
        Ok(())
    } else if let Some(fact) = read::<approvals::ApprovalPolicyEvent>(event)? {
        decision::apply_policy(tx, entry, fact).await
    } else if let Some(fact) = read::<scheduling::ScanJobEvent>(event)? {
        scan_job::apply(tx, entry, fact).await
    } else if let Some(fact) = read::<scheduling::DeploymentEvent>(event)? {
        deployment::apply(tx, entry, fact).await
    } else if let Some(fact) = read::<scheduling::RunEvent>(event)? {
        deployment::apply_run(tx, entry, fact).await
    } else if let Some(fact) = read::<scheduling::DeviceJobEvent>(event)? {
        device_patch::apply_job(tx, later, entry, &fact).await?;
        device_job::apply(tx, later, entry, fact).await
    } else if let Some(fact) = read::<alerts::AlertEvent>(event)? {
        alert::apply(tx, entry, fact).await
    } else if let Some(fact) = read::<alerts::WebhookEvent>(event)? {
        webhook::apply(tx, entry, fact).await
    } else if let Some(fact) = read::<alerts::DeliveryEvent>(event)? {
        webhook::apply_delivery(tx, entry, fact).await
    } else {
        // Enrolment tokens, refused attempts and reads of the trail are for the auditors.
        Ok(())
    }
}

/// A fact of `E`, if the event is one. One of ours that cannot be read stops the projection.
fn read<E: EventData>(event: &Envelope) -> Result<Option<E>, StoreError> {
    if E::owns(&event.event_type) { Ok(Some(event.read()?)) } else { Ok(None) }
}

/// What the rows take from an event beside the fact itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) seq: i64,
    pub(crate) stream_id: Uuid,
    pub(crate) partner_id: Uuid,
    pub(crate) customer_id: Option<Uuid>,
    /// By the clock of whoever saw it.
    pub(crate) occurred_at: chrono::DateTime<chrono::Utc>,
    /// By the database's clock.
    pub(crate) recorded_at: chrono::DateTime<chrono::Utc>,
}

impl Entry {
    fn of(event: &Envelope) -> Self {
        Self {
            seq: event.seq.0,
            stream_id: event.stream_id.0,
            partner_id: event.tenant.partner_id.0,
            customer_id: event.tenant.customer_id.map(|id| id.0),
            occurred_at: event.occurred_at,
            recorded_at: event.recorded_at,
        }
    }
}

/// A number that GraphQL shows as `Int`; what does not fit is shown as the largest.
pub(crate) fn int(number: i64) -> i32 {
    i32::try_from(number).unwrap_or(if number < 0 { i32::MIN } else { i32::MAX })
}
