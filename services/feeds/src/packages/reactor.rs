//! Keeps what packages must know of others: customers, and where patches are approved.

use contracts::approvals::{ApprovalEvent, ApprovalScope};
use contracts::tenancy::CustomerRegistered;
use eventstore::Tx;
use kernel::{Envelope, EventData, PatchId};
use messaging::{Consumer, HandlerError, Outcome};

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
            "approvals.ApprovalLapsed",
        ]
    }

    async fn handle(&self, tx: &mut Tx, event: &Envelope) -> Result<Outcome, HandlerError> {
        if event.event_type == CustomerRegistered::TYPE {
            return keep_customer(tx, event).await;
        }
        if ApprovalEvent::owns(&event.event_type) {
            match event.read::<ApprovalEvent>()? {
                ApprovalEvent::PatchApproved(fact) => approved(tx, event, fact.scope, fact.patch_id).await?,
                ApprovalEvent::PatchRejected(fact) => not_approved(tx, fact.scope, fact.patch_id).await?,
                ApprovalEvent::ApprovalRevoked(fact) => not_approved(tx, fact.scope, fact.patch_id).await?,
                ApprovalEvent::ApprovalLapsed(fact) => not_approved(tx, fact.scope, fact.patch_id).await?,
                ApprovalEvent::ApprovalOpened(_)
                | ApprovalEvent::AutoApprovalRefused(_)
                | ApprovalEvent::ApprovalScheduled(_) => {}
            }
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

async fn approved(
    tx: &mut Tx,
    event: &Envelope,
    scope: ApprovalScope,
    patch_id: PatchId,
) -> Result<(), HandlerError> {
    let Some(customer_id) = scope.whole_customer() else { return Ok(()) };
    sqlx::query(
        "insert into feeds.package_approval (patch_id, customer_id, partner_id)
         values ($1, $2, $3)
         on conflict do nothing",
    )
    .bind(patch_id.0)
    .bind(customer_id.0)
    .bind(event.tenant.partner_id.0)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn not_approved(tx: &mut Tx, scope: ApprovalScope, patch_id: PatchId) -> Result<(), HandlerError> {
    let Some(customer_id) = scope.whole_customer() else { return Ok(()) };
    sqlx::query("delete from feeds.package_approval where patch_id = $1 and customer_id = $2")
        .bind(patch_id.0)
        .bind(customer_id.0)
        .execute(&mut **tx)
        .await?;
    Ok(())
}
