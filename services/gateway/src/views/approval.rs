//! Approvals of whole customers: one per patch and customer.

use crate::reading::list::{ById, list};
use crate::views::Entry;
use crate::views::later::{Later, column};
use crate::words::{ApprovalMode, ApprovalState, RefusalReason, name};
use chrono::{DateTime, Utc};
use contracts::approvals::{
    self, ApprovalEvent, ApprovalLapsed, ApprovalOpened, ApprovalRevoked, ApprovalScheduled,
    AutoApprovalRefused, DeferralEnded, PatchApproved, PatchDeferred, PatchRejected, SecondApprovalRequested,
};
use eventstore::{StoreError, Tx};
use kernel::{CustomerId, PatchId};
use std::collections::BTreeMap;
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
    pub(crate) ends_at: Option<DateTime<Utc>>,
    pub(crate) scheduled_rule_id: Option<Uuid>,
    pub(crate) scheduled_rule_version: Option<i64>,
    pub(crate) scheduled_at: Option<DateTime<Utc>>,
}

macro_rules! columns {
    () => {
        "t.approval_id, t.patch_id, t.customer_id, t.state, t.since, t.mode, t.decided_by, t.comment, t.rule_id,
         t.rule_version, t.refused_rule_id, t.refused_rule_version, t.refused_reason, t.superseded_by, t.ends_at,
         t.scheduled_rule_id, t.scheduled_rule_version, t.scheduled_at, t.seq"
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
    ends_at: Option<DateTime<Utc>>,
}

/// Decisions by customer and patch.
#[derive(Default)]
pub(super) struct Decisions(BTreeMap<(Uuid, Uuid), Decided>);

struct Decided {
    approval_id: Uuid,
    partner_id: Uuid,
    state: ApprovalState,
    since: DateTime<Utc>,
    decision: Decision,
    seq: i64,
}

pub(super) async fn apply(
    tx: &mut Tx,
    later: &mut Later,
    entry: Entry,
    fact: ApprovalEvent,
) -> Result<(), StoreError> {
    match fact {
        ApprovalEvent::ApprovalOpened(ApprovalOpened { patch_id, customer_id, .. }) => {
            let of = (patch_id, customer_id);
            later.decisions.note(entry, of, ApprovalState::Pending, Decision::default());
        }
        ApprovalEvent::PatchApproved(PatchApproved { patch_id, scope, by }) => {
            let Some(customer_id) = scope.whole_customer() else { return Ok(()) };
            later.decisions.note(entry, (patch_id, customer_id), ApprovalState::Approved, approval(by));
        }
        ApprovalEvent::AutoApprovalRefused(AutoApprovalRefused {
            patch_id,
            customer_id,
            rule_id,
            rule_version,
            reason,
            next_change_at: _,
        }) => {
            later.decisions.write(tx).await?;
            sqlx::query(
                "update approval
                    set refused_rule_id = $3,
                        refused_rule_version = $4,
                        refused_reason = $5,
                        scheduled_rule_version = case when scheduled_rule_id = $3 then null else scheduled_rule_version end,
                        scheduled_at = case when scheduled_rule_id = $3 then null else scheduled_at end,
                        scheduled_rule_id = nullif(scheduled_rule_id, $3)
                  where customer_id = $1 and patch_id = $2",
            )
            .bind(customer_id.0)
            .bind(patch_id.0)
            .bind(rule_id.0)
            .bind(i64::from(rule_version))
            .bind(RefusalReason::from(reason))
            .execute(&mut **tx)
            .await?;
        }
        ApprovalEvent::ApprovalScheduled(ApprovalScheduled {
            patch_id,
            scope,
            rule_id,
            rule_version,
            approves_at,
            inputs: _,
        }) => {
            let Some(customer_id) = scope.whole_customer() else { return Ok(()) };
            later.decisions.write(tx).await?;
            // Of several rules, the first to come is shown; a rule that says another time means that one.
            sqlx::query(
                "update approval
                    set scheduled_rule_id = $3,
                        scheduled_rule_version = $4,
                        scheduled_at = $5
                  where customer_id = $1 and patch_id = $2
                    and (scheduled_at is null or scheduled_rule_id = $3 or scheduled_at > $5)",
            )
            .bind(customer_id.0)
            .bind(patch_id.0)
            .bind(rule_id.0)
            .bind(i64::from(rule_version))
            .bind(approves_at)
            .execute(&mut **tx)
            .await?;
        }
        ApprovalEvent::PatchRejected(PatchRejected { patch_id, scope, rejected_by, comment }) => {
            let Some(customer_id) = scope.whole_customer() else { return Ok(()) };
            let decision =
                Decision { decided_by: Some(rejected_by.0), comment: Some(comment), ..Decision::default() };
            later.decisions.note(entry, (patch_id, customer_id), ApprovalState::Rejected, decision);
        }
        ApprovalEvent::SecondApprovalRequested(SecondApprovalRequested {
            patch_id,
            scope,
            requested_by,
            comment,
        }) => {
            let Some(customer_id) = scope.whole_customer() else { return Ok(()) };
            let decision = Decision { decided_by: Some(requested_by.0), comment, ..Decision::default() };
            let state = ApprovalState::AwaitingSecondApprover;
            later.decisions.note(entry, (patch_id, customer_id), state, decision);
        }
        // The approval follows.
        ApprovalEvent::SecondApprovalGiven(_) => {}
        ApprovalEvent::PatchDeferred(PatchDeferred { patch_id, scope, until, deferred_by, comment }) => {
            let Some(customer_id) = scope.whole_customer() else { return Ok(()) };
            let (decided_by, ends_at) = (Some(deferred_by.0), Some(until));
            let decision = Decision { decided_by, comment, ends_at, ..Decision::default() };
            later.decisions.note(entry, (patch_id, customer_id), ApprovalState::Deferred, decision);
        }
        ApprovalEvent::DeferralEnded(DeferralEnded { patch_id, scope, .. }) => {
            let Some(customer_id) = scope.whole_customer() else { return Ok(()) };
            let of = (patch_id, customer_id);
            later.decisions.note(entry, of, ApprovalState::Pending, Decision::default());
        }
        ApprovalEvent::ApprovalRevoked(ApprovalRevoked { patch_id, scope, revoked_by, comment }) => {
            let Some(customer_id) = scope.whole_customer() else { return Ok(()) };
            let decision =
                Decision { decided_by: Some(revoked_by.0), comment: Some(comment), ..Decision::default() };
            later.decisions.note(entry, (patch_id, customer_id), ApprovalState::Pending, decision);
        }
        ApprovalEvent::ApprovalLapsed(ApprovalLapsed { patch_id, scope, superseded_by, .. }) => {
            let Some(customer_id) = scope.whole_customer() else { return Ok(()) };
            let decision = Decision { superseded_by: superseded_by.map(|id| id.0), ..Decision::default() };
            later.decisions.note(entry, (patch_id, customer_id), ApprovalState::Lapsed, decision);
        }
    }
    Ok(())
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

impl Decisions {
    /// The last decision stands alone: nothing of an earlier one may look as if it belonged to it.
    fn note(
        &mut self,
        entry: Entry,
        (patch_id, customer_id): (PatchId, CustomerId),
        state: ApprovalState,
        decision: Decision,
    ) {
        // The first one made the row.
        let seq = self.0.get(&(customer_id.0, patch_id.0)).map_or(entry.seq, |earlier| earlier.seq);
        let decided = Decided {
            approval_id: entry.stream_id,
            partner_id: entry.partner_id,
            state,
            since: entry.recorded_at,
            decision,
            seq,
        };
        self.0.insert((customer_id.0, patch_id.0), decided);
    }

    pub(super) async fn write(&mut self, tx: &mut Tx) -> Result<(), StoreError> {
        let rows = std::mem::take(&mut self.0);
        if rows.is_empty() {
            return Ok(());
        }
        sqlx::query(
            "insert into approval (approval_id, patch_id, customer_id, partner_id, state, since, mode, decided_by,
                                   comment, rule_id, rule_version, superseded_by, seq, ends_at)
             select *
               from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::timestamptz[], $7::text[],
                           $8::uuid[], $9::text[], $10::uuid[], $11::bigint[], $12::uuid[], $13::bigint[], $14::timestamptz[])
             on conflict (customer_id, patch_id) do update
                set state = excluded.state,
                    since = excluded.since,
                    mode = excluded.mode,
                    decided_by = excluded.decided_by,
                    comment = excluded.comment,
                    rule_id = excluded.rule_id,
                    rule_version = excluded.rule_version,
                    superseded_by = excluded.superseded_by,
                    ends_at = excluded.ends_at,
                    refused_rule_id = null,
                    refused_rule_version = null,
                    refused_reason = null,
                    scheduled_rule_id = null,
                    scheduled_rule_version = null,
                    scheduled_at = null",
        )
        .bind(column(&rows, |_, row| row.approval_id))
        .bind(column(&rows, |key, _| key.1))
        .bind(column(&rows, |key, _| key.0))
        .bind(column(&rows, |_, row| row.partner_id))
        .bind(column(&rows, |_, row| name(row.state)))
        .bind(column(&rows, |_, row| row.since))
        .bind(column(&rows, |_, row| row.decision.mode.map(name)))
        .bind(column(&rows, |_, row| row.decision.decided_by))
        .bind(column(&rows, |_, row| row.decision.comment.as_deref()))
        .bind(column(&rows, |_, row| row.decision.rule_id))
        .bind(column(&rows, |_, row| row.decision.rule_version))
        .bind(column(&rows, |_, row| row.decision.superseded_by))
        .bind(column(&rows, |_, row| row.seq))
        .bind(column(&rows, |_, row| row.decision.ends_at))
        .execute(&mut **tx)
        .await?;
        Ok(())
    }
}
