//! Baselines, their versions and where they hold.

use crate::reading::list::{ById, list};
use crate::views::Entry;
use crate::words::BaselineLevel;
use chrono::{DateTime, Utc};
use contracts::approvals::{
    ApprovalLevel, ApprovalScope, BaselineAssigned, BaselineAssignmentEvent, BaselineContent,
    BaselineCreated, BaselineEvent, BaselineRetired, BaselineRule, BaselineUnassigned,
    BaselineVersionCreated,
};
use eventstore::{StoreError, Tx};
use kernel::{BaselineId, PatchId};
use sqlx::types::Json;
use uuid::Uuid;

/// A baseline as GraphQL shows it.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct BaselineRow {
    pub(crate) baseline_id: Uuid,
    pub(crate) customer_id: Option<Uuid>,
    pub(crate) name: String,
    pub(crate) version: i64,
    pub(crate) rules: Json<Vec<BaselineRule>>,
    pub(crate) included: Vec<Uuid>,
    pub(crate) excluded: Vec<Uuid>,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) retired_at: Option<DateTime<Utc>>,
}

macro_rules! columns {
    () => {
        "t.baseline_id, t.customer_id, t.name, t.version, t.rules, t.included, t.excluded, t.created_at, t.retired_at,
         t.seq"
    };
}

impl ById for BaselineRow {
    const BY_IDS: &'static str = concat!(
        "select t.baseline_id as key, ",
        columns!(),
        " from views.baseline t where t.baseline_id = any($1)"
    );
}

list! {
    /// A partner's baselines: its templates and its customers' own; the filter names the customers that are reached.
    BASELINES_OF_PARTNER: BaselineRow, columns from "views.baseline t"
    where "t.partner_id = p.parent" only "coalesce(t.customer_id, t.partner_id)::text", oldest first by "t.seq"
}

list! {
    /// What a customer can be measured against: its own baselines and its partner's templates.
    BASELINES_OF_CUSTOMER: BaselineRow,
    columns from "views.customer c join views.baseline t on t.partner_id = c.partner_id"
    where "c.customer_id = p.parent and (t.customer_id is null or t.customer_id = c.customer_id)", oldest first by "t.seq"
}

/// What a baseline asked for, for a while.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct BaselineVersionRow {
    pub(crate) version: i64,
    pub(crate) valid_from: DateTime<Utc>,
    pub(crate) valid_until: Option<DateTime<Utc>>,
    pub(crate) rules: Json<Vec<BaselineRule>>,
    pub(crate) included: Vec<Uuid>,
    pub(crate) excluded: Vec<Uuid>,
}

macro_rules! version_columns {
    () => {
        "t.version, t.valid_from, t.valid_until, t.rules, t.included, t.excluded, t.seq"
    };
}

list! {
    /// A baseline's versions.
    VERSIONS_OF_BASELINE: BaselineVersionRow, version_columns from "views.baseline_version t"
    where "t.baseline_id = p.parent", newest first by "t.seq"
}

/// The version that held just before a time.
pub(crate) const VERSION_AT: &str = "
    select version, valid_from, valid_until, rules, included, excluded
      from views.baseline_version
     where baseline_id = $1 and valid_from < $2 and (valid_until is null or valid_until >= $2)
     order by version desc
     limit 1";

/// Where a baseline holds or held.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct AssignmentRow {
    pub(crate) level: BaselineLevel,
    pub(crate) target_id: Uuid,
    pub(crate) customer_id: Option<Uuid>,
    pub(crate) assigned_at: DateTime<Utc>,
    pub(crate) unassigned_at: Option<DateTime<Utc>>,
}

macro_rules! assignment_columns {
    () => {
        "t.level, t.target_id, t.customer_id, t.assigned_at, t.unassigned_at, t.seq"
    };
}

list! {
    /// Where a baseline holds or held; the filter names the customers that are reached.
    ASSIGNMENTS_OF_BASELINE: AssignmentRow, assignment_columns from "views.baseline_assignment t"
    where "t.baseline_id = p.parent" only "coalesce(t.customer_id, t.partner_id)::text", oldest first by "t.seq"
}

pub(super) async fn apply(tx: &mut Tx, entry: Entry, fact: BaselineEvent) -> Result<(), StoreError> {
    match fact {
        BaselineEvent::BaselineCreated(BaselineCreated { baseline_id, customer_id, name, content }) => {
            let BaselineContent { rules, included, excluded } = content;
            sqlx::query(
                "insert into baseline (baseline_id, partner_id, customer_id, name, version, rules, included, excluded,
                                       created_at, seq)
                 values ($1, $2, $3, $4, 1, $5, $6, $7, $8, $9)",
            )
            .bind(baseline_id.0)
            .bind(entry.partner_id)
            .bind(customer_id.map(|id| id.0))
            .bind(name)
            .bind(Json(rules))
            .bind(ids(&included))
            .bind(ids(&excluded))
            .bind(entry.recorded_at)
            .bind(entry.seq)
            .execute(&mut **tx)
            .await?;
            begin_version(tx, entry, baseline_id).await
        }
        BaselineEvent::BaselineVersionCreated(BaselineVersionCreated {
            baseline_id,
            baseline_version,
            content,
        }) => {
            let BaselineContent { rules, included, excluded } = content;
            end_version(tx, entry, baseline_id).await?;
            sqlx::query(
                "update baseline
                    set version = $2,
                        rules = $3,
                        included = $4,
                        excluded = $5
                  where baseline_id = $1",
            )
            .bind(baseline_id.0)
            .bind(i64::from(baseline_version))
            .bind(Json(rules))
            .bind(ids(&included))
            .bind(ids(&excluded))
            .execute(&mut **tx)
            .await?;
            begin_version(tx, entry, baseline_id).await
        }
        BaselineEvent::BaselineRetired(BaselineRetired { baseline_id }) => {
            end_version(tx, entry, baseline_id).await?;
            sqlx::query("update baseline set retired_at = $2 where baseline_id = $1")
                .bind(baseline_id.0)
                .bind(entry.recorded_at)
                .execute(&mut **tx)
                .await?;
            Ok(())
        }
    }
}

fn ids(patches: &[PatchId]) -> Vec<Uuid> {
    patches.iter().map(|patch_id| patch_id.0).collect()
}

async fn begin_version(tx: &mut Tx, entry: Entry, baseline_id: BaselineId) -> Result<(), StoreError> {
    sqlx::query(
        "insert into baseline_version (baseline_id, version, partner_id, customer_id, valid_from, rules, included,
                                       excluded, seq)
         select baseline_id, version, partner_id, customer_id, $2, rules, included, excluded, $3
           from baseline
          where baseline_id = $1",
    )
    .bind(baseline_id.0)
    .bind(entry.recorded_at)
    .bind(entry.seq)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn end_version(tx: &mut Tx, entry: Entry, baseline_id: BaselineId) -> Result<(), StoreError> {
    sqlx::query(
        "update baseline_version
            set valid_until = greatest(valid_from, $2)
          where baseline_id = $1 and valid_until is null",
    )
    .bind(baseline_id.0)
    .bind(entry.recorded_at)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

pub(super) async fn apply_assignment(
    tx: &mut Tx,
    entry: Entry,
    fact: BaselineAssignmentEvent,
) -> Result<(), StoreError> {
    match fact {
        BaselineAssignmentEvent::BaselineAssigned(BaselineAssigned { baseline_id, scope }) => {
            sqlx::query(
                "insert into baseline_assignment (baseline_id, target_id, level, partner_id, customer_id, assigned_at,
                                                  seq)
                 values ($1, $2, $3, $4, $5, $6, $7)",
            )
            .bind(baseline_id.0)
            .bind(target(scope))
            .bind(BaselineLevel::from(scope.level()))
            .bind(entry.partner_id)
            .bind(entry.customer_id)
            .bind(entry.recorded_at)
            .bind(entry.seq)
            .execute(&mut **tx)
            .await?;
        }
        BaselineAssignmentEvent::BaselineUnassigned(BaselineUnassigned { baseline_id, scope }) => {
            sqlx::query(
                "update baseline_assignment
                    set unassigned_at = greatest(assigned_at, $3)
                  where baseline_id = $1 and target_id = $2 and unassigned_at is null",
            )
            .bind(baseline_id.0)
            .bind(target(scope))
            .bind(entry.recorded_at)
            .execute(&mut **tx)
            .await?;
        }
    }
    Ok(())
}

fn target(scope: ApprovalScope) -> Uuid {
    match scope {
        ApprovalScope::Partner { partner_id } => partner_id.0,
        ApprovalScope::Customer { customer_id } => customer_id.0,
        ApprovalScope::Group { group_id, .. } => group_id.0,
        ApprovalScope::Device { device_id, .. } => device_id.0,
    }
}

impl From<ApprovalLevel> for BaselineLevel {
    fn from(level: ApprovalLevel) -> Self {
        match level {
            ApprovalLevel::Partner => Self::Partner,
            ApprovalLevel::Customer => Self::Customer,
            ApprovalLevel::Group => Self::Group,
            ApprovalLevel::Device => Self::Device,
        }
    }
}
