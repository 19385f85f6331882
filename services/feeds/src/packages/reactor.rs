//! Keeps what packages must know of others: customers, and what was decided about patches where.

use contracts::approvals::precedence::BLOCK_RANK;
use contracts::approvals::{ApprovalEvent, BlockEvent, Change};
use contracts::tenancy::CustomerRegistered;
use eventstore::Tx;
use kernel::{Envelope, EventData, PatchId, Tenant};
use messaging::{Consumer, HandlerError, Outcome};
use uuid::Uuid;

/// The consumer.
pub(super) struct Reactor;

#[async_trait::async_trait]
impl Consumer for Reactor {
    fn name(&self) -> &'static str {
        "feeds.packages"
    }

    fn interests(&self) -> &'static [&'static str] {
        &[
            "tenancy.CustomerRegistered",
            "approvals.PatchApproved",
            "approvals.PatchRejected",
            "approvals.ApprovalRevoked",
            "approvals.PatchDeferred",
            "approvals.DeferralEnded",
            "approvals.ApprovalLapsed",
            "approvals.PatchBlocked",
            "approvals.PatchUnblocked",
        ]
    }

    async fn handle(&self, tx: &mut Tx, event: &Envelope) -> Result<Outcome, HandlerError> {
        if event.event_type == CustomerRegistered::TYPE {
            return keep_customer(tx, event).await;
        }
        if ApprovalEvent::owns(&event.event_type) {
            if let Some(change) = Change::of(&event.read()?) {
                let kept =
                    Kept { scope_id: change.scope().id(), patch_id: change.patch_id(), blocked: false };
                kept.keep(tx, event.tenant, change.decided().map(|decided| decided.rank())).await?;
            }
        } else if BlockEvent::owns(&event.event_type) {
            let (patch_id, partner_id, blocked) = event.read::<BlockEvent>()?.now();
            let kept = Kept { scope_id: partner_id.0, patch_id, blocked: true };
            kept.keep(tx, event.tenant, blocked.then_some(BLOCK_RANK)).await?;
        }
        Ok(Outcome::Handled)
    }
}

async fn keep_customer(tx: &mut Tx, event: &Envelope) -> Result<Outcome, HandlerError> {
    let Some(customer_id) = event.tenant.customer_id else {
        return Ok(Outcome::Park("a customer without an id".to_owned()));
    };
    sqlx::query("insert into feeds.site (customer_id, partner_id) values ($1, $2) on conflict do nothing")
        .bind(customer_id.0)
        .bind(event.tenant.partner_id.0)
        .execute(&mut **tx)
        .await?;
    Ok(Outcome::Handled)
}

/// The row of a decision or block.
struct Kept {
    scope_id: Uuid,
    patch_id: PatchId,
    blocked: bool,
}

impl Kept {
    /// Keeps its rank, or forgets it.
    async fn keep(&self, tx: &mut Tx, tenant: Tenant, rank: Option<i16>) -> Result<(), HandlerError> {
        let Some(rank) = rank else {
            sqlx::query(
                "delete from feeds.package_decision where scope_id = $1 and patch_id = $2 and blocked = $3",
            )
            .bind(self.scope_id)
            .bind(self.patch_id.0)
            .bind(self.blocked)
            .execute(&mut **tx)
            .await?;
            return Ok(());
        };
        sqlx::query(
            "insert into feeds.package_decision (scope_id, patch_id, blocked, partner_id, customer_id, rank)
             values ($1, $2, $3, $4, $5, $6)
             on conflict (scope_id, patch_id, blocked) do update set rank = excluded.rank",
        )
        .bind(self.scope_id)
        .bind(self.patch_id.0)
        .bind(self.blocked)
        .bind(tenant.partner_id.0)
        .bind(tenant.customer_id.map(|id| id.0))
        .bind(rank)
        .execute(&mut **tx)
        .await?;
        Ok(())
    }
}
