//! Approvals: one per patch and customer.

use crate::reading::list::{ById, list};
use crate::views::Entry;
use crate::words::{ApprovalMode, ApprovalState, RefusalReason};
use chrono::{DateTime, Utc};
use contracts::approvals::{
    self, ApprovalEvent, ApprovalLapsed, ApprovalOpened, ApprovalRevoked, AutoApprovalRefused, PatchApproved,
    PatchRejected,
};
use eventstore::{StoreError, Tx};
use kernel::{CustomerId, PatchId};
use uuid::Uuid;

/// An approval as GraphQL shows it.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct ApprovalRow {
    pub(crate) approval_id: Uuid,
    pub(crate) patch_id: Uuid,
    pub(crate) customer_id: Uuid,
    pub(crate) state: ApprovalState,
    pub(crate) since: DateTime<Utc>,
    pub(crate) mode: Option<ApprovalMode>,
    pub(crate) decided_by: Option<Uuid>,
    pub(crate) comment: Option<String>,
    pub(crate) rule_id: Option<Uuid>,
    pub(crate) rule_version: Option<i64>,
    pub(crate) refused_rule_id: Option<Uuid>,
    pub(crate) refused_rule_version: Option<i64>,
    pub(crate) refused_reason: Option<RefusalReason>,
    pub(crate) superseded_by: Option<Uuid>,
}

macro_rules! columns {
    () => {
        "t.approval_id, t.patch_id, t.customer_id, t.state, t.since, t.mode, t.decided_by, t.comment, t.rule_id,
         t.rule_version, t.refused_rule_id, t.refused_rule_version, t.refused_reason, t.superseded_by, t.seq"
    };
}

impl ById for ApprovalRow {
    const BY_IDS: &'static str = concat!(
        "select t.approval_id as key, ",
        columns!(),
        " from views.approval t where t.approval_id = any($1)"
    );
}

list! {
    /// A customer's approvals, filtered by state.
    APPROVALS_OF_CUSTOMER: ApprovalRow, columns from "views.approval t"
    where "t.customer_id = p.parent" only "t.state", newest first by "t.seq"
}

/// What a decision leaves behind.
#[derive(Default)]
struct Decision {
    mode: Option<ApprovalMode>,
    decided_by: Option<Uuid>,
    comment: Option<String>,
    rule_id: Option<Uuid>,
    rule_version: Option<i64>,
    superseded_by: Option<Uuid>,
}

pub(super) async fn apply(tx: &mut Tx, entry: Entry, fact: ApprovalEvent) -> Result<(), StoreError> {
    match fact {
        ApprovalEvent::ApprovalOpened(ApprovalOpened { patch_id, customer_id, .. }) => {
            let of = (patch_id, customer_id);
            decide(tx, entry, of, ApprovalState::Pending, Decision::default()).await
        }
        ApprovalEvent::PatchApproved(PatchApproved { patch_id, customer_id, by }) => {
            decide(tx, entry, (patch_id, customer_id), ApprovalState::Approved, approval(by)).await
        }
        ApprovalEvent::AutoApprovalRefused(AutoApprovalRefused {
            patch_id,
            customer_id,
            rule_id,
            rule_version,
            reason,
        }) => {
            sqlx::query(
                "update approval
                    set refused_rule_id = $3,
                        refused_rule_version = $4,
                        refused_reason = $5
                  where customer_id = $1 and patch_id = $2",
            )
            .bind(customer_id.0)
            .bind(patch_id.0)
            .bind(rule_id.0)
            .bind(i64::from(rule_version))
            .bind(RefusalReason::from(reason))
            .execute(&mut **tx)
            .await?;
            Ok(())
        }
        ApprovalEvent::PatchRejected(PatchRejected { patch_id, customer_id, rejected_by, comment }) => {
            let decision =
                Decision { decided_by: Some(rejected_by.0), comment: Some(comment), ..Decision::default() };
            decide(tx, entry, (patch_id, customer_id), ApprovalState::Rejected, decision).await
        }
        ApprovalEvent::ApprovalRevoked(ApprovalRevoked { patch_id, customer_id, revoked_by, comment }) => {
            let decision =
                Decision { decided_by: Some(revoked_by.0), comment: Some(comment), ..Decision::default() };
            decide(tx, entry, (patch_id, customer_id), ApprovalState::Pending, decision).await
        }
        ApprovalEvent::ApprovalLapsed(ApprovalLapsed { patch_id, customer_id, superseded_by, .. }) => {
            let decision = Decision { superseded_by: superseded_by.map(|id| id.0), ..Decision::default() };
            decide(tx, entry, (patch_id, customer_id), ApprovalState::Lapsed, decision).await
        }
    }
}

fn approval(by: approvals::ApprovalMode) -> Decision {
    match by {
        approvals::ApprovalMode::Manual { approved_by, comment } => Decision {
            mode: Some(ApprovalMode::Manual),
            decided_by: Some(approved_by.0),
            comment,
            ..Decision::default()
        },
        approvals::ApprovalMode::Auto { rule_id, rule_version, .. } => Decision {
            mode: Some(ApprovalMode::Auto),
            rule_id: Some(rule_id.0),
            rule_version: Some(i64::from(rule_version)),
            ..Decision::default()
        },
    }
}

/// The last decision stands alone: nothing of an earlier one may look as if it belonged to it.
async fn decide(
    tx: &mut Tx,
    entry: Entry,
    (patch_id, customer_id): (PatchId, CustomerId),
    state: ApprovalState,
    decision: Decision,
) -> Result<(), StoreError> {
    sqlx::query(
        "insert into approval (approval_id, patch_id, customer_id, partner_id, state, since, mode, decided_by,
                               comment, rule_id, rule_version, superseded_by, seq)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
         on conflict (customer_id, patch_id) do update
            set state = excluded.state,
                since = excluded.since,
                mode = excluded.mode,
                decided_by = excluded.decided_by,
                comment = excluded.comment,
                rule_id = excluded.rule_id,
                rule_version = excluded.rule_version,
                superseded_by = excluded.superseded_by,
                refused_rule_id = null,
                refused_rule_version = null,
                refused_reason = null",
    )
    .bind(entry.stream_id)
    .bind(patch_id.0)
    .bind(customer_id.0)
    .bind(entry.partner_id)
    .bind(state)
    .bind(entry.recorded_at)
    .bind(decision.mode)
    .bind(decision.decided_by)
    .bind(decision.comment)
    .bind(decision.rule_id)
    .bind(decision.rule_version)
    .bind(decision.superseded_by)
    .bind(entry.seq)
    .execute(&mut **tx)
    .await?;
    Ok(())
}
