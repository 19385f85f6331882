//! What is left to do after the catalogue changed: judging inventories, and telling the devices that have them.
//!
//! ```text
//! reactor ──queue──▶ devices.judgement ──make──▶ findings that are news ──tell──▶ Device::decide ──▶ event store
//!           (one row per distinct inventory)    (an inventory at a time)        (many devices at a time)
//! ```
//! Each step is a small transaction that takes its rows off the list, so that a process may end anywhere. A device is told
//! only where its latest scan was judged without the change: what a scan has seen since is newer.

mod make;
mod tell;

use devices_domain::applicability::CataloguePatch;
use eventstore::{StoreError, Tx};
use foundation::Foundation;
use kernel::{Envelope, PatchId, Scope};
use sqlx::types::Json;
use std::{sync::Arc, time::Duration};
use tokio::sync::Notify;

/// One process works at a time; the others look again later.
const LOCK: i64 = 0x7066_6a75_6467;
/// Bounds of the pause while there is nothing to do: the first after somebody has rung, when the transaction that brings
/// the work is about to end.
const PAUSE: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(500));
/// Pause after something went wrong.
const RETRY_PAUSE: Duration = Duration::from_millis(250);

/// Lets the worker know that there is work.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bell(Arc<Notify>);

impl Bell {
    /// There will be work as soon as the transaction at hand ends.
    pub(crate) fn ring(&self) {
        self.0.notify_one();
    }
}

/// A change of the catalogue that somebody has taken in.
#[derive(Debug)]
pub(crate) struct Change<'a> {
    /// Its number.
    pub(crate) number: i64,
    /// What brought it.
    pub(crate) event: &'a Envelope,
    /// Which patch changed.
    pub(crate) patch_id: PatchId,
    /// The patch as it was, unless it is new.
    pub(crate) before: Option<CataloguePatch>,
}

/// Notes for each inventory that holds one of the items, and that devices have, that it is to be judged.
pub(crate) async fn queue(tx: &mut Tx, change: &Change<'_>, items: &[String]) -> Result<(), StoreError> {
    sqlx::query(
        "with affected as (
           select distinct i.hash
             from devices.inventory_item i
            where i.item = any($8)
              and exists (select from devices.device d where d.inventory_hash = i.hash)
         ), noted as (
           insert into devices.catalogue_change
             (change, partner_id, patch_id, before, event_id, correlation_id, traceparent)
           select $1, $2, $3, $4, $5, $6, $7
            where exists (select from affected)
         )
         insert into devices.judgement (change, hash, partner_id)
         select $1, hash, $2
           from affected",
    )
    .bind(change.number)
    .bind(change.event.tenant.partner_id.0)
    .bind(change.patch_id.0)
    .bind(change.before.as_ref().map(Json))
    .bind(change.event.event_id.0)
    .bind(change.event.correlation_id.0)
    .bind(&change.event.traceparent)
    .bind(items)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Works until the process stops.
pub(crate) async fn run(foundation: Foundation, bell: Bell) {
    let mut pause = PAUSE.0;
    while !foundation.lifecycle.stop.is_cancelled() {
        let wait = match step(&foundation).await {
            Ok(true) => {
                pause = PAUSE.0;
                continue;
            }
            Ok(false) => {
                pause = (pause * 2).min(PAUSE.1);
                pause
            }
            // A device has just written something of its own; nothing was taken off the list.
            Err(error) if error.is_busy() => RETRY_PAUSE,
            Err(error) => {
                tracing::warn!(error.message = %error, "inventories could not be judged");
                RETRY_PAUSE
            }
        };
        tokio::select! {
            () = bell.0.notified() => pause = PAUSE.0,
            _ = foundation.lifecycle.stopped_within(wait) => {}
        }
    }
}

/// One transaction; true if there may be more to do. Everything is judged before anybody is told: what is known of the
/// fleet is then known soon, however many devices it has.
async fn step(foundation: &Foundation) -> Result<bool, StoreError> {
    let mut tx = foundation.database.begin(&Scope::Platform).await?;
    let is_ours: bool =
        sqlx::query_scalar("select pg_try_advisory_xact_lock($1)").bind(LOCK).fetch_one(&mut *tx).await?;
    let worked = is_ours && (make::some(&mut tx).await? || tell::some(&foundation.store, &mut tx).await?);
    tx.commit().await?;
    Ok(worked)
}
