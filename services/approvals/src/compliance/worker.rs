//! Measures sets of devices, some at a time, and those of which time alone changes the result.
//!
//! A set is leased by the lock on its row: whoever dies gives it back, and another process goes on where the last committed
//! turn ended. A timer that fires early, late or twice does no harm.

use super::{measuring::Measuring, tasks};
use eventstore::{Store, StoreError, Tx};
use kernel::{Actor, Cause, CommandId, CorrelationId, EventId, PartnerId, Scope};
use runtime::{Clock, Lifecycle};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// Devices of one transaction: few, since it appends events and holds up the order of everything until it ends.
const DEVICES_PER_TURN: i64 = 100;
/// Devices that time alone sends here, at a time.
const DUE_PER_LOOK: i64 = 1_000;

/// The worker.
pub struct Worker {
    store: Store,
    clock: Arc<dyn Clock>,
}

impl Worker {
    /// A worker that appends to `store` and goes by `clock`.
    pub fn new(store: Store, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }

    /// Looks again and again until the process stops.
    pub async fn run(self, interval: Duration, lifecycle: Lifecycle) {
        while !lifecycle.stopped_within(interval).await {
            let mut looked = self.find_due().await.map(|_| ());
            while looked.is_ok() && !lifecycle.stop.is_cancelled() {
                match self.turn().await {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(error) => looked = Err(error),
                }
            }
            if let Err(error) = looked {
                tracing::warn!(error = &error as &dyn std::error::Error, "compliance stands still");
            }
        }
    }

    /// Measures all that is due now.
    pub async fn look(&self) -> Result<(), StoreError> {
        self.find_due().await?;
        while self.turn().await? {}
        Ok(())
    }

    /// Makes tasks of devices of which time alone has changed the result.
    async fn find_due(&self) -> Result<usize, StoreError> {
        let mut tx = self.store.database().begin(&Scope::Platform).await?;
        let devices: Vec<Uuid> = sqlx::query_scalar(
            "with due as (
                 select device_id, baseline_id
                   from approvals.compliance_record
                  where look_again_at <= $1
                  order by look_again_at
                  limit $2
                    for update skip locked
             )
             update approvals.compliance_record r
                set look_again_at = null
               from due
              where r.device_id = due.device_id and r.baseline_id = due.baseline_id
             returning r.device_id",
        )
        .bind(self.clock.now())
        .bind(DUE_PER_LOOK)
        .fetch_all(&mut *tx)
        .await?;
        // Time is nobody's event: what follows is named after the device and the time.
        for device_id in &devices {
            let at = self.clock.now().timestamp_micros();
            let event_id = EventId::derived(*device_id, &format!("approvals/time/{at}"));
            tasks::add_devices(&mut tx, &[*device_id], (event_id.0, event_id.0)).await?;
        }
        tx.commit().await?;
        Ok(devices.len())
    }

    /// Measures some devices of one set; false when nothing is due.
    async fn turn(&self) -> Result<bool, StoreError> {
        let mut tx = self.store.database().begin(&Scope::Platform).await?;
        let Some(task) = tasks::take(&mut tx).await? else { return Ok(false) };
        let partner_id = PartnerId(task.partner_id);
        sqlx::query("select es.set_scope('pf_partner', $1, null)")
            .bind(partner_id.0)
            .execute(&mut *tx)
            .await?;
        let devices = tasks::devices_of(&mut tx, &task, DEVICES_PER_TURN).await?;
        let free = lock(&mut tx, &devices).await?;
        let held: Vec<Uuid> = devices.iter().copied().filter(|device| !free.contains(device)).collect();
        let scope = Scope::Partner { partner_id };
        let measuring = Measuring { store: &self.store, scope: &scope, now: self.clock.now() };
        let cause = |what: &str| Cause {
            command_id: CommandId::derived(task.event_id, &format!("approvals/{what}")),
            correlation_id: CorrelationId(task.correlation_id),
            causation_id: (task.event_id != task.correlation_id).then_some(EventId(task.event_id)),
            actor: Actor::system("approvals"),
            traceparent: None,
        };
        measuring.measure(&mut tx, &free, cause).await?;
        let full = i64::try_from(devices.len()).is_ok_and(|devices| devices == DEVICES_PER_TURN);
        tasks::move_on(&mut tx, &task, devices.last().copied().filter(|_| full)).await?;
        tasks::add_devices(&mut tx, &held, (task.event_id, task.correlation_id)).await?;
        tx.commit().await?;
        Ok(true)
    }
}

/// Locks devices that nobody else is at; waiting for one could be waiting for a transaction that waits for this one.
async fn lock(tx: &mut Tx, devices: &[Uuid]) -> Result<Vec<Uuid>, StoreError> {
    Ok(sqlx::query_scalar(
        "select device_id
           from approvals.compliance_device
          where device_id = any($1)
          order by device_id
            for update skip locked",
    )
    .bind(devices)
    .fetch_all(&mut **tx)
    .await?)
}
