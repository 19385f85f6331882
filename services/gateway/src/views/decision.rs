//! Decisions that stand, in every scope: of partners, customers, groups and devices, and partners' hard blocks.

use crate::reading::list::{ById, list};
use crate::views::Entry;
use crate::views::later::{Later, column};
use crate::words::{ApprovalLevel, ApprovalMode, DecisionState, name};
use chrono::{DateTime, Utc};
use contracts::approvals::precedence::{BLOCK_RANK, Decided, Ruling};
use contracts::approvals::{
    ApprovalEvent, ApprovalPolicyEvent, ApprovalScope, BlockEvent, Change, PatchBlocked, SecondApprovalGiven,
    SecondApprovalRequested,
};
use eventstore::{StoreError, Tx};
use kernel::{CustomerId, PatchId, UserId};
use std::collections::BTreeMap;
use uuid::Uuid;

/// A decision as GraphQL shows it.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct DecisionRow {
    pub(crate) scope_id: Uuid,
    pub(crate) patch_id: Uuid,
    pub(crate) level: ApprovalLevel,
    pub(crate) customer_id: Option<Uuid>,
    pub(crate) state: DecisionState,
    pub(crate) mode: Option<ApprovalMode>,
    pub(crate) decided_by: Option<Uuid>,
    pub(crate) second_by: Option<Uuid>,
    pub(crate) comment: Option<String>,
    pub(crate) rule_id: Option<Uuid>,
    pub(crate) rule_version: Option<i64>,
    pub(crate) ends_at: Option<DateTime<Utc>>,
    pub(crate) since: DateTime<Utc>,
}

macro_rules! columns {
    () => {
        "t.scope_id, t.patch_id, t.level, t.customer_id, t.state, t.mode, t.decided_by, t.second_by, t.comment,
         t.rule_id, t.rule_version, t.ends_at, t.since, t.seq"
    };
}

list! {
    /// A customer's decisions and those of its partner that hold there, filtered by state.
    DECISIONS_OF_CUSTOMER: DecisionRow, columns from "views.customer c
        join views.decision t on coalesce(t.customer_id, t.partner_id) in (c.customer_id, c.partner_id)"
    where "c.customer_id = p.parent" only "t.state", newest first by "t.seq"
}

/// How a customer wants decisions to be taken.
#[derive(Debug, Clone, Copy, sqlx::FromRow)]
pub(crate) struct ApprovalPolicyRow {
    pub(crate) second_approver: bool,
}

impl ById for ApprovalPolicyRow {
    const BY_IDS: &'static str = "
        select t.customer_id as key, t.second_approver
          from views.approval_policy t
         where t.customer_id = any($1)";
}

/// The decisions about patch `$1` in the scopes `$2`.
pub(crate) const DECISIONS_IN_SCOPES: &str = concat!(
    "select ",
    columns!(),
    " from views.decision t where t.patch_id = $1 and t.scope_id = any($2) order by t.seq"
);

/// The rank that decides on the patch of `t` on the device of `t`; none while it is pending.
macro_rules! decisive_rank {
    () => {
        "least((select min(d.rank)
                  from views.decision d
                 where d.scope_id in (t.device_id, t.customer_id, t.partner_id) and d.patch_id = t.patch_id),
               (select min(d.rank)
                  from views.group_member g
                  join views.decision d on d.scope_id = g.group_id and d.patch_id = t.patch_id
                 where g.device_id = t.device_id))"
    };
}
pub(crate) use decisive_rank;

impl DecisionRow {
    /// What it says, where it is a decision: not a block, nor a request for a second approval.
    pub(crate) fn decided(&self) -> Option<Decided> {
        let ruling = match (self.state, self.mode, self.ends_at) {
            (DecisionState::Approved, Some(ApprovalMode::Auto), _) => Ruling::ApprovedByRule,
            (DecisionState::Approved, _, _) => Ruling::Approved,
            (DecisionState::Rejected, _, _) => Ruling::Rejected,
            (DecisionState::Deferred, _, Some(until)) => Ruling::Deferred { until },
            (DecisionState::Deferred, _, None)
            | (DecisionState::AwaitingSecondApprover | DecisionState::Blocked, _, _) => return None,
        };
        Some(Decided { scope: self.scope()?, ruling })
    }

    /// Where it holds.
    pub(crate) fn scope(&self) -> Option<ApprovalScope> {
        ApprovalScope::of(self.level.into(), self.scope_id, self.customer_id.map(CustomerId))
    }
}

/// By scope, patch, and whether it is a block: what the last fact left, which may be nothing.
#[derive(Default)]
pub(super) struct Standings(BTreeMap<(Uuid, Uuid, bool), Option<Standing>>);

struct Standing {
    scope: ApprovalScope,
    partner_id: Uuid,
    state: DecisionState,
    rank: Option<i16>,
    by: Author,
    ends_at: Option<DateTime<Utc>>,
    since: DateTime<Utc>,
    seq: i64,
}

/// Who or what stands behind a decision.
#[derive(Default)]
struct Author {
    mode: Option<ApprovalMode>,
    decided_by: Option<Uuid>,
    comment: Option<String>,
    rule_id: Option<Uuid>,
    rule_version: Option<i64>,
}

impl Author {
    fn person(user_id: UserId, comment: Option<String>) -> Self {
        Self { decided_by: Some(user_id.0), comment, ..Self::default() }
    }

    fn approval(mode: contracts::approvals::ApprovalMode) -> Self {
        match mode {
            contracts::approvals::ApprovalMode::Manual { approved_by, comment } => {
                Self { mode: Some(ApprovalMode::Manual), ..Self::person(approved_by, comment) }
            }
            contracts::approvals::ApprovalMode::Auto { rule_id, rule_version, .. } => Self {
                mode: Some(ApprovalMode::Auto),
                rule_id: Some(rule_id.0),
                rule_version: Some(i64::from(rule_version)),
                ..Self::default()
            },
        }
    }
}

pub(super) async fn apply(
    tx: &mut Tx,
    later: &mut Later,
    entry: Entry,
    fact: ApprovalEvent,
) -> Result<(), StoreError> {
    let change = Change::of(&fact);
    let by = match fact {
        ApprovalEvent::PatchApproved(fact) => Author::approval(fact.by),
        ApprovalEvent::PatchRejected(fact) => Author::person(fact.rejected_by, Some(fact.comment)),
        ApprovalEvent::PatchDeferred(fact) => Author::person(fact.deferred_by, fact.comment),
        ApprovalEvent::SecondApprovalRequested(SecondApprovalRequested {
            patch_id,
            scope,
            requested_by,
            comment,
        }) => {
            let by = Author::person(requested_by, comment);
            let waiting = (DecisionState::AwaitingSecondApprover, None, None);
            later.standings.note(entry, patch_id, scope, waiting, by);
            return Ok(());
        }
        ApprovalEvent::SecondApprovalGiven(SecondApprovalGiven { patch_id, scope, given_by, .. }) => {
            later.standings.write(tx).await?;
            return second(tx, patch_id, scope, given_by).await;
        }
        ApprovalEvent::ApprovalOpened(_)
        | ApprovalEvent::AutoApprovalRefused(_)
        | ApprovalEvent::ApprovalScheduled(_)
        | ApprovalEvent::DeferralEnded(_)
        | ApprovalEvent::ApprovalRevoked(_)
        | ApprovalEvent::ApprovalLapsed(_) => Author::default(),
    };
    match change {
        Some(Change::Stands { patch_id, decided }) => {
            let stands = (state(decided.ruling), Some(decided.rank()), decided.ruling.until());
            later.standings.note(entry, patch_id, decided.scope, stands, by);
        }
        Some(Change::Falls { patch_id, scope }) => later.standings.forget(patch_id, scope.id(), false),
        None => {}
    }
    Ok(())
}

fn state(ruling: Ruling) -> DecisionState {
    match ruling {
        Ruling::Rejected => DecisionState::Rejected,
        Ruling::Deferred { .. } => DecisionState::Deferred,
        Ruling::Approved | Ruling::ApprovedByRule => DecisionState::Approved,
    }
}

/// The approval that follows keeps who agreed to it.
async fn second(
    tx: &mut Tx,
    patch_id: PatchId,
    scope: ApprovalScope,
    given_by: UserId,
) -> Result<(), StoreError> {
    sqlx::query(
        "update decision set second_by = $3 where scope_id = $1 and patch_id = $2 and state = 'AWAITING_SECOND_APPROVER'",
    )
    .bind(scope.id())
    .bind(patch_id.0)
    .bind(given_by.0)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

pub(super) fn apply_block(later: &mut Later, entry: Entry, fact: BlockEvent) {
    match fact {
        BlockEvent::PatchBlocked(PatchBlocked { patch_id, partner_id, blocked_by, comment }) => {
            let blocked = (DecisionState::Blocked, Some(BLOCK_RANK), None);
            let scope = ApprovalScope::Partner { partner_id };
            later.standings.note(entry, patch_id, scope, blocked, Author::person(blocked_by, Some(comment)));
        }
        BlockEvent::PatchUnblocked(fact) => later.standings.forget(fact.patch_id, fact.partner_id.0, true),
    }
}

pub(super) async fn apply_policy(
    tx: &mut Tx,
    entry: Entry,
    fact: ApprovalPolicyEvent,
) -> Result<(), StoreError> {
    let ApprovalPolicyEvent::ApprovalPolicySet(fact) = fact;
    sqlx::query(
        "insert into approval_policy (customer_id, partner_id, second_approver)
         values ($1, $2, $3)
         on conflict (customer_id) do update set second_approver = excluded.second_approver",
    )
    .bind(fact.customer_id.0)
    .bind(entry.partner_id)
    .bind(fact.second_approver)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

impl Standings {
    fn note(
        &mut self,
        entry: Entry,
        patch_id: PatchId,
        scope: ApprovalScope,
        (state, rank, ends_at): (DecisionState, Option<i16>, Option<DateTime<Utc>>),
        by: Author,
    ) {
        let (partner_id, since, seq) = (entry.partner_id, entry.recorded_at, entry.seq);
        let standing = Standing { scope, partner_id, state, rank, by, ends_at, since, seq };
        self.0.insert((scope.id(), patch_id.0, state == DecisionState::Blocked), Some(standing));
    }

    fn forget(&mut self, patch_id: PatchId, scope_id: Uuid, blocked: bool) {
        self.0.insert((scope_id, patch_id.0, blocked), None);
    }

    pub(super) async fn write(&mut self, tx: &mut Tx) -> Result<(), StoreError> {
        let (mut gone, mut rows) = (Vec::new(), BTreeMap::new());
        for (key, standing) in std::mem::take(&mut self.0) {
            match standing {
                Some(standing) => drop(rows.insert(key, standing)),
                None => gone.push(key),
            }
        }
        if !gone.is_empty() {
            sqlx::query(
                "delete from decision d
                  using unnest($1::uuid[], $2::uuid[], $3::boolean[]) as g (scope_id, patch_id, blocked)
                  where d.scope_id = g.scope_id and d.patch_id = g.patch_id and d.blocked = g.blocked",
            )
            .bind(gone.iter().map(|key| key.0).collect::<Vec<_>>())
            .bind(gone.iter().map(|key| key.1).collect::<Vec<_>>())
            .bind(gone.iter().map(|key| key.2).collect::<Vec<_>>())
            .execute(&mut **tx)
            .await?;
        }
        if rows.is_empty() {
            return Ok(());
        }
        sqlx::query(
            "insert into decision (scope_id, patch_id, blocked, level, partner_id, customer_id, state, rank, mode,
                                   decided_by, comment, rule_id, rule_version, ends_at, since, seq)
             select *
               from unnest($1::uuid[], $2::uuid[], $3::boolean[], $4::text[], $5::uuid[], $6::uuid[], $7::text[],
                           $8::smallint[], $9::text[], $10::uuid[], $11::text[], $12::uuid[], $13::bigint[],
                           $14::timestamptz[], $15::timestamptz[], $16::bigint[])
             on conflict (scope_id, patch_id, blocked) do update
                set state = excluded.state,
                    rank = excluded.rank,
                    mode = excluded.mode,
                    decided_by = excluded.decided_by,
                    second_by = case when decision.state = 'AWAITING_SECOND_APPROVER' then decision.second_by end,
                    comment = excluded.comment,
                    rule_id = excluded.rule_id,
                    rule_version = excluded.rule_version,
                    ends_at = excluded.ends_at,
                    since = excluded.since,
                    seq = excluded.seq",
        )
        .bind(column(&rows, |key, _| key.0))
        .bind(column(&rows, |key, _| key.1))
        .bind(column(&rows, |key, _| key.2))
        .bind(column(&rows, |_, row| row.scope.level().word()))
        .bind(column(&rows, |_, row| row.partner_id))
        .bind(column(&rows, |_, row| row.scope.customer_id().map(|id| id.0)))
        .bind(column(&rows, |_, row| name(row.state)))
        .bind(column(&rows, |_, row| row.rank))
        .bind(column(&rows, |_, row| row.by.mode.map(name)))
        .bind(column(&rows, |_, row| row.by.decided_by))
        .bind(column(&rows, |_, row| row.by.comment.as_deref()))
        .bind(column(&rows, |_, row| row.by.rule_id))
        .bind(column(&rows, |_, row| row.by.rule_version))
        .bind(column(&rows, |_, row| row.ends_at))
        .bind(column(&rows, |_, row| row.since))
        .bind(column(&rows, |_, row| row.seq))
        .execute(&mut **tx)
        .await?;
        Ok(())
    }
}
