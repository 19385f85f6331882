//! Reacts to the catalogue, to what scheduling wants of devices, and to new customers.

use crate::{
    catalogue,
    judgements::{self, Bell, Change},
    wake::Wake,
};
use chrono::TimeDelta;
use contracts::{
    agent::Work,
    feeds::{PatchEvent, PatchFacts},
    scheduling::{DeviceJobEvent, DeviceJobQueued, ScanJobEvent, ScanRequested},
    tenancy::CustomerRegistered,
};
use devices_domain::applicability::CataloguePatch;
use eventstore::{StoreError, Tx};
use kernel::{DeviceId, Envelope, EventData, JobId, Tenant};
use messaging::{Consumer, HandlerError, Outcome};
use sqlx::types::Json;
use std::{collections::BTreeSet, time::Duration};
use uuid::Uuid;

/// The patch's publication may still wait in a retry queue; by then it has arrived.
const CATALOGUE_DELAY: Duration = Duration::from_secs(1);
/// Events of one transaction: some 100 ms with changes of the catalogue alone.
const BATCH: usize = 50;
/// A scan that could not be delivered for so long is of no use: the agent scans by itself when it is back.
const SCAN_JOB_VALIDITY: TimeDelta = TimeDelta::days(1);

/// The one consumer of the service; handles events in their order.
pub(crate) struct Reactor {
    wake: Wake,
    bell: Bell,
}

impl Reactor {
    /// A reactor that rings for waiting agents, and for whoever judges inventories.
    pub(crate) fn new(wake: Wake, bell: Bell) -> Self {
        Self { wake, bell }
    }
}

#[async_trait::async_trait]
impl Consumer for Reactor {
    fn name(&self) -> &'static str {
        "devices.reactor"
    }

    fn interests(&self) -> &'static [&'static str] {
        &[
            "tenancy.CustomerRegistered",
            "feeds.PatchPublished",
            "feeds.PatchRevised",
            "feeds.PatchSuperseded",
            "feeds.PatchWithdrawn",
            "scheduling.ScanRequested",
            "scheduling.DeviceJobQueued",
        ]
    }

    // It only keeps rows; scans wait while it changes the catalogue.
    fn batch(&self) -> usize {
        BATCH
    }

    async fn handle(&self, tx: &mut Tx, event: &Envelope) -> Result<Outcome, HandlerError> {
        if PatchEvent::owns(&event.event_type) {
            self.catalogue_changed(tx, event).await
        } else if event.event_type == ScanRequested::TYPE {
            self.scan_requested(tx, event).await
        } else if event.event_type == DeviceJobQueued::TYPE {
            self.install_queued(tx, event).await
        } else if event.event_type == CustomerRegistered::TYPE {
            keep_customer(tx, event.tenant).await?;
            Ok(Outcome::Handled)
        } else {
            Ok(Outcome::Handled)
        }
    }
}

impl Reactor {
    async fn catalogue_changed(&self, tx: &mut Tx, event: &Envelope) -> Result<Outcome, HandlerError> {
        let number = catalogue::take(tx, event.seq).await?;
        match event.read::<PatchEvent>()? {
            PatchEvent::PatchPublished(fact) => self.patch_changed(tx, event, number, &fact.patch).await,
            PatchEvent::PatchRevised(fact) => self.patch_changed(tx, event, number, &fact.patch).await,
            PatchEvent::PatchSuperseded(fact) => {
                let patch_id = fact.patch_id;
                let before = catalogue::known(tx, patch_id).await?;
                catalogue::supersede(tx, patch_id, fact.superseded_by).await?;
                self.standing_changed(tx, Change { number, event, patch_id, before }).await
            }
            PatchEvent::PatchWithdrawn(fact) => {
                let patch_id = fact.patch_id;
                let before = catalogue::known(tx, patch_id).await?;
                catalogue::withdraw(tx, patch_id).await?;
                self.standing_changed(tx, Change { number, event, patch_id, before }).await
            }
            // When it was published does not change where it applies.
            PatchEvent::PatchMarkedOutOfBand(_) => Ok(Outcome::Handled),
        }
    }

    async fn standing_changed(&self, tx: &mut Tx, change: Change<'_>) -> Result<Outcome, HandlerError> {
        if change.before.is_none() {
            return Ok(Outcome::RetryAfter(CATALOGUE_DELAY));
        }
        let items = catalogue::items(tx, change.patch_id).await?;
        self.queue(tx, &change, &items).await
    }

    async fn patch_changed(
        &self,
        tx: &mut Tx,
        event: &Envelope,
        number: i64,
        patch: &PatchFacts,
    ) -> Result<Outcome, HandlerError> {
        let before = catalogue::known(tx, patch.patch_id).await?;
        // Most revisions are about a patch's texts.
        let is_same = |before: &CataloguePatch| {
            before.targets == patch.targets && before.vendor_patch_id == patch.vendor_patch_id
        };
        if before.as_ref().is_some_and(is_same) {
            return Ok(Outcome::Handled);
        }
        // Who was affected before may not be any more.
        let mut items: BTreeSet<String> = catalogue::items(tx, patch.patch_id).await?.into_iter().collect();
        catalogue::keep(tx, event.tenant.partner_id, patch).await?;
        items.extend(catalogue::items(tx, patch.patch_id).await?);
        let items: Vec<String> = items.into_iter().collect();
        self.queue(tx, &Change { number, event, patch_id: patch.patch_id, before }, &items).await
    }

    async fn queue(
        &self,
        tx: &mut Tx,
        change: &Change<'_>,
        items: &[String],
    ) -> Result<Outcome, HandlerError> {
        judgements::queue(tx, change, items).await?;
        self.bell.ring();
        Ok(Outcome::Handled)
    }

    async fn scan_requested(&self, tx: &mut Tx, event: &Envelope) -> Result<Outcome, HandlerError> {
        match event.read::<ScanJobEvent>()? {
            ScanJobEvent::ScanRequested(fact) => {
                let expires_at = event.recorded_at + SCAN_JOB_VALIDITY;
                self.queue_job(tx, event, fact.job_id, fact.device_id, &Work::Scan, expires_at).await
            }
            ScanJobEvent::ScanInitiated(_)
            | ScanJobEvent::ScanJobCompleted(_)
            | ScanJobEvent::ScanJobFailed(_) => Ok(Outcome::Handled),
        }
    }

    async fn install_queued(&self, tx: &mut Tx, event: &Envelope) -> Result<Outcome, HandlerError> {
        match event.read::<DeviceJobEvent>()? {
            DeviceJobEvent::DeviceJobQueued(fact) => {
                let work = Work::Install { patches: fact.patches, reboot_policy: fact.reboot_policy };
                self.queue_job(tx, event, fact.job_id, fact.device_id, &work, fact.expires_at).await
            }
            DeviceJobEvent::DeviceJobSkipped(_)
            | DeviceJobEvent::DeviceJobDispatched(_)
            | DeviceJobEvent::DeviceJobAcknowledged(_)
            | DeviceJobEvent::DownloadInitiated(_)
            | DeviceJobEvent::InstallStarted(_)
            | DeviceJobEvent::RebootRequired(_)
            | DeviceJobEvent::VerificationStarted(_)
            | DeviceJobEvent::DeviceJobSucceeded(_)
            | DeviceJobEvent::DeviceJobFailed(_)
            | DeviceJobEvent::DeviceJobTimedOut(_)
            | DeviceJobEvent::DeviceJobLateResultRecorded(_) => Ok(Outcome::Handled),
        }
    }

    async fn queue_job(
        &self,
        tx: &mut Tx,
        event: &Envelope,
        job_id: JobId,
        device_id: DeviceId,
        work: &Work,
        expires_at: chrono::DateTime<chrono::Utc>,
    ) -> Result<Outcome, HandlerError> {
        let Some(customer_id) = event.tenant.customer_id else {
            return Ok(Outcome::Park("a job without a customer".to_owned()));
        };
        // The device must be the same customer's; its row is older than any job for it.
        let known: Option<Uuid> = sqlx::query_scalar(
            "select device_id from devices.device where device_id = $1 and customer_id = $2",
        )
        .bind(device_id.0)
        .bind(customer_id.0)
        .fetch_optional(&mut **tx)
        .await?;
        if known.is_none() {
            return Ok(Outcome::Park(format!("device {device_id} is not one of customer {customer_id}")));
        }
        sqlx::query(
            "insert into devices.job
               (job_id, partner_id, customer_id, device_id, work, expires_at, correlation_id, causation_id, traceparent)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
             on conflict do nothing",
        )
        .bind(job_id.0)
        .bind(event.tenant.partner_id.0)
        .bind(customer_id.0)
        .bind(device_id.0)
        .bind(Json(work))
        .bind(expires_at)
        .bind(event.correlation_id.0)
        .bind(event.event_id.0)
        .bind(&event.traceparent)
        .execute(&mut **tx)
        .await?;
        self.wake.ring(device_id);
        Ok(Outcome::Handled)
    }
}

async fn keep_customer(tx: &mut Tx, tenant: Tenant) -> Result<(), StoreError> {
    let Some(customer_id) = tenant.customer_id else { return Ok(()) };
    sqlx::query(
        "insert into devices.customer (customer_id, partner_id) values ($1, $2) on conflict do nothing",
    )
    .bind(customer_id.0)
    .bind(tenant.partner_id.0)
    .execute(&mut **tx)
    .await?;
    Ok(())
}
