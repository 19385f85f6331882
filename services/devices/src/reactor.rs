//! Reacts to the catalogue, to what scheduling wants of devices, and to new customers.

use crate::{catalogue, wake::Wake};
use chrono::TimeDelta;
use contracts::{
    agent::Work,
    feeds::{PatchEvent, PatchFacts},
    scheduling::{DeviceJobEvent, DeviceJobQueued, ScanJobEvent, ScanRequested},
    tenancy::CustomerRegistered,
};
use devices_domain::{DELTAS_MAX, Device, DeviceCommand, Seen, applicability::Finding};
use eventstore::{Store, StoreError, Target, Tx};
use kernel::{DeviceId, Envelope, EventData, JobId, PatchId, Scope, StreamId, Tenant};
use messaging::{Consumer, HandlerError, Outcome, settled};
use sqlx::types::Json;
use std::{collections::BTreeSet, time::Duration};
use uuid::Uuid;

/// The patch's publication may still wait in a retry queue; by then it has arrived.
const CATALOGUE_DELAY: Duration = Duration::from_secs(1);
/// A scan that could not be delivered for so long is of no use: the agent scans by itself when it is back.
const SCAN_JOB_VALIDITY: TimeDelta = TimeDelta::days(1);

/// The one consumer of the service; handles events in their order.
pub(crate) struct Reactor {
    store: Store,
    wake: Wake,
}

impl Reactor {
    /// A reactor that appends to `store` and rings for waiting agents.
    pub(crate) fn new(store: Store, wake: Wake) -> Self {
        Self { store, wake }
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

    // A change of the catalogue judges all devices that hold the package: that is long enough for one transaction.
    fn batch(&self) -> usize {
        1
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
        catalogue::take(tx, event.seq).await?;
        let known = match event.read::<PatchEvent>()? {
            PatchEvent::PatchPublished(fact) => return self.patch_changed(tx, event, &fact.patch).await,
            PatchEvent::PatchRevised(fact) => return self.patch_changed(tx, event, &fact.patch).await,
            PatchEvent::PatchSuperseded(fact) => {
                catalogue::supersede(tx, fact.patch_id, fact.superseded_by).await?.then_some(fact.patch_id)
            }
            PatchEvent::PatchWithdrawn(fact) => {
                catalogue::withdraw(tx, fact.patch_id).await?.then_some(fact.patch_id)
            }
            // When it was published does not change where it applies.
            PatchEvent::PatchMarkedOutOfBand(_) => return Ok(Outcome::Handled),
        };
        let Some(patch_id) = known else { return Ok(Outcome::RetryAfter(CATALOGUE_DELAY)) };
        let items = catalogue::items(tx, patch_id).await?;
        self.judge_anew(tx, event, patch_id, &items).await
    }

    async fn patch_changed(
        &self,
        tx: &mut Tx,
        event: &Envelope,
        patch: &PatchFacts,
    ) -> Result<Outcome, HandlerError> {
        // Who was affected before may not be any more.
        let mut items: BTreeSet<String> = catalogue::items(tx, patch.patch_id).await?.into_iter().collect();
        catalogue::keep(tx, event.tenant.partner_id, patch).await?;
        items.extend(catalogue::items(tx, patch.patch_id).await?);
        let items: Vec<String> = items.into_iter().collect();
        self.judge_anew(tx, event, patch.patch_id, &items).await
    }

    /// Judges the devices that hold one of the items, and no other; equal inventories once.
    async fn judge_anew(
        &self,
        tx: &mut Tx,
        event: &Envelope,
        patch_id: PatchId,
        items: &[String],
    ) -> Result<Outcome, HandlerError> {
        let holders = catalogue::holders(tx, items).await?;
        if holders.is_empty() {
            return Ok(Outcome::Handled);
        }
        let family = catalogue::family(tx, patch_id).await?;
        for same in holders.chunk_by(|a, b| a.hash == b.hash) {
            let Some(first) = same.first() else { continue };
            let findings = catalogue::judge_by(tx, &first.hash, &family).await?;
            for holder in same {
                self.compare(tx, event, holder, &findings).await?;
            }
        }
        Ok(Outcome::Handled)
    }

    async fn compare(
        &self,
        tx: &mut Tx,
        event: &Envelope,
        holder: &catalogue::Holder,
        findings: &catalogue::Findings,
    ) -> Result<(), HandlerError> {
        let missing = findings.values().filter(|finding| matches!(finding, Finding::Missing(_))).count();
        // Before the stream: everyone locks in this order.
        sqlx::query("update devices.device set missing_bound = missing_bound + $2 where device_id = $1")
            .bind(holder.device_id.0)
            .bind(i32::try_from(missing).unwrap_or(i32::MAX))
            .execute(&mut **tx)
            .await?;
        for part in 0..=findings.len() / DELTAS_MAX {
            let cause = event.reaction("devices", &format!("compare {} {part}", holder.device_id));
            let target = Target {
                // A partner's own patch is judged in the partner's scope, where there are no other devices.
                scope: &Scope::partner_of(event.tenant),
                tenant: holder.tenant,
                stream_id: StreamId(holder.device_id.0),
                cause: &cause,
                occurred_at: None,
            };
            let command = DeviceCommand::Compare { findings: findings.clone(), seen: Seen::InCatalogue };
            settled(self.store.execute_in::<Device>(tx, target, command).await)?;
        }
        Ok(())
    }

    async fn scan_requested(&self, tx: &mut Tx, event: &Envelope) -> Result<Outcome, HandlerError> {
        match event.read::<ScanJobEvent>()? {
            ScanJobEvent::ScanRequested(fact) => {
                let expires_at = event.recorded_at + SCAN_JOB_VALIDITY;
                self.queue(tx, event, fact.job_id, fact.device_id, &Work::Scan, expires_at).await
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
                self.queue(tx, event, fact.job_id, fact.device_id, &work, fact.expires_at).await
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

    async fn queue(
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
