//! Lets rules look at what is due: after a change, and when a delay ends. A timer that fires early, late or twice does no
//! harm.

use super::judging::Judging;
use super::queue::{self, Due};
use crate::facts;
use approvals_domain::simulation::MONTHS_MAX;
use chrono::{DateTime, Months, TimeDelta, Utc};
use eventstore::{Store, StoreError};
use kernel::{CustomerId, PatchId, Scope, Tenant};
use messaging::HandlerError;
use runtime::{Clock, Lifecycle};
use std::sync::Arc;
use std::time::Duration;

/// Patches of one transaction: the order of everything waits for its end.
const BATCH: i64 = 100;

/// Customers of one round.
const CUSTOMERS: i64 = 100;

/// Rounds of one look: what is left is due in the next one.
const ROUNDS_MAX: usize = 1_000;

/// What could not be looked at for another reason than a conflict is put off by so much.
const PUT_OFF: TimeDelta = TimeDelta::minutes(1);

/// Rows of history that one look forgets.
const FORGOTTEN_MAX: i64 = 10_000;

/// The timer.
pub struct RuleTimer {
    store: Store,
    clock: Arc<dyn Clock>,
}

impl RuleTimer {
    /// A timer that appends to `store`.
    pub fn new(store: Store, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }

    /// Looks again and again until the process stops.
    pub(crate) async fn run(self, interval: Duration, lifecycle: Lifecycle) {
        while !lifecycle.stopped_within(interval).await {
            if let Err(error) = self.look().await {
                tracing::warn!(error = &error as &dyn std::error::Error, "the rules could not look");
            }
        }
    }

    /// Looks at everything that is due now; answers with how many patches at customers that were.
    pub async fn look(&self) -> Result<usize, StoreError> {
        let now = self.clock.now();
        let (mut looked_at, mut without) = (0, Vec::new());
        for _ in 0..ROUNDS_MAX {
            let mut tx = self.store.database().begin(&Scope::Platform).await?;
            let customers = queue::due_customers(&mut tx, now, &without, CUSTOMERS).await?;
            tx.commit().await?;
            if customers.is_empty() {
                break;
            }
            for tenant in customers {
                let Some(customer_id) = tenant.customer_id else { continue };
                match self.look_at(tenant, customer_id, now).await {
                    // Another process has them.
                    Ok(0) => without.push(customer_id),
                    Ok(patches) => looked_at += patches,
                    Err(HandlerError::Store(error)) if error.is_outage() => return Err(error),
                    Err(error) => {
                        without.push(customer_id);
                        self.put_off(tenant, customer_id, now, &error).await?;
                    }
                }
            }
        }
        self.forget(now).await?;
        Ok(looked_at)
    }

    async fn look_at(
        &self,
        tenant: Tenant,
        customer_id: CustomerId,
        now: DateTime<Utc>,
    ) -> Result<usize, HandlerError> {
        let mut tx = self.store.database().begin(&Scope::partner_of(tenant)).await?;
        let due = queue::take_due(&mut tx, customer_id, now, BATCH).await?;
        let ids: Vec<PatchId> = due.iter().map(|due| due.patch_id).collect();
        let pending = facts::pending_patches(&mut tx, customer_id, &ids).await?;
        let Some(judging) = Judging::at(&mut tx, &self.store, tenant, now).await? else { return Ok(0) };
        for Due { patch_id, trigger } in &due {
            match pending.iter().find(|patch| patch.patch_id == *patch_id) {
                Some(patch) => judging.judge(&mut tx, patch, trigger).await?,
                // Somebody has decided meanwhile.
                None => queue::plan(&mut tx, tenant, *patch_id, None, trigger).await?,
            }
        }
        tx.commit().await?;
        Ok(due.len())
    }

    /// Somebody else wrote the same stream: that is over in the next look. Anything else would come back at once.
    async fn put_off(
        &self,
        tenant: Tenant,
        customer_id: CustomerId,
        now: DateTime<Utc>,
        error: &HandlerError,
    ) -> Result<(), StoreError> {
        if matches!(error, HandlerError::Store(StoreError::Conflict { .. })) {
            return Ok(());
        }
        tracing::error!(
            error = error as &dyn std::error::Error,
            customer.id = %customer_id,
            "the rules of a customer could not look"
        );
        let mut tx = self.store.database().begin(&Scope::partner_of(tenant)).await?;
        sqlx::query("update approvals.rule_due set due_at = $3 where customer_id = $1 and due_at <= $2")
            .bind(customer_id.0)
            .bind(now)
            .bind(now + PUT_OFF)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Forgets what no simulation can look at any more.
    async fn forget(&self, now: DateTime<Utc>) -> Result<(), StoreError> {
        let Some(before) = now.checked_sub_months(Months::new(MONTHS_MAX.into())) else { return Ok(()) };
        let mut tx = self.store.database().begin(&Scope::Platform).await?;
        sqlx::query(
            "delete from approvals.missing
              where (device_id, patch_id) in (select device_id, patch_id
                                                from approvals.missing
                                               where gone_at < $1
                                               order by gone_at
                                               limit $2)",
        )
        .bind(before)
        .bind(FORGOTTEN_MAX)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }
}
