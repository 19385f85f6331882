//! Auto-approval rules.

use crate::reading::list::{ById, list};
use crate::views::Entry;
use crate::words::{Classification, Severity, name};
use chrono::{DateTime, Utc};
use contracts::approvals::{
    RuleConditions, RuleContents, RuleCreated, RuleDisabled, RuleEnabled, RuleEvent, RuleVersionCreated,
};
use eventstore::{StoreError, Tx};
use kernel::RuleId;
use sqlx::types::Json;
use uuid::Uuid;

/// A rule as GraphQL shows it.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct RuleRow {
    pub(crate) rule_id: Uuid,
    /// None for a partner's.
    pub(crate) customer_id: Option<Uuid>,
    pub(crate) name: String,
    pub(crate) version: i64,
    pub(crate) enabled: bool,
    pub(crate) severities: Vec<Severity>,
    pub(crate) classifications: Vec<Classification>,
    pub(crate) contents: Json<RuleContents>,
}

/// What a rule said at some time.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct RuleVersionRow {
    pub(crate) version: i64,
    pub(crate) contents: Json<RuleContents>,
    pub(crate) created_at: DateTime<Utc>,
}

macro_rules! columns {
    () => {
        "t.rule_id, t.customer_id, t.name, t.version, t.enabled, t.severities, t.classifications, t.contents,
         t.seq"
    };
}

macro_rules! version_columns {
    () => {
        "t.version, t.contents, t.created_at, t.seq"
    };
}

impl ById for RuleRow {
    const BY_IDS: &'static str =
        concat!("select t.rule_id as key, ", columns!(), " from views.rule t where t.rule_id = any($1)");
}

list! {
    /// A customer's rules.
    RULES_OF_CUSTOMER: RuleRow, columns from "views.rule t"
    where "t.customer_id = p.parent", oldest first by "t.seq"
}

list! {
    /// A partner's own rules, which work for all of its customers.
    RULES_OF_PARTNER: RuleRow, columns from "views.rule t"
    where "t.partner_id = p.parent and t.customer_id is null", oldest first by "t.seq"
}

list! {
    /// The rules of the partner whose customer it is.
    RULES_INHERITED: RuleRow, columns
    from "views.rule t join views.customer c on c.partner_id = t.partner_id"
    where "c.customer_id = p.parent and t.customer_id is null", oldest first by "t.seq"
}

list! {
    /// What a rule said before and says now.
    VERSIONS_OF_RULE: RuleVersionRow, version_columns from "views.rule_version t"
    where "t.rule_id = p.parent", newest first by "t.seq"
}

pub(super) async fn apply(tx: &mut Tx, entry: Entry, fact: RuleEvent) -> Result<(), StoreError> {
    match fact {
        RuleEvent::RuleCreated(RuleCreated { rule_id, owner, name, contents }) => {
            let (severities, classifications) = words(&contents.conditions);
            sqlx::query(
                "insert into rule (rule_id, partner_id, customer_id, name, version, enabled, severities,
                                   classifications, contents, seq)
                 values ($1, $2, $3, $4, 1, true, $5, $6, $7, $8)",
            )
            .bind(rule_id.0)
            .bind(entry.partner_id)
            .bind(owner.customer_id().map(|id| id.0))
            .bind(name)
            .bind(severities)
            .bind(classifications)
            .bind(Json(&contents))
            .bind(entry.seq)
            .execute(&mut **tx)
            .await?;
            keep_version(tx, entry, rule_id, 1, &contents).await
        }
        RuleEvent::RuleVersionCreated(RuleVersionCreated { rule_id, rule_version, contents }) => {
            let (severities, classifications) = words(&contents.conditions);
            sqlx::query(
                "update rule
                    set version = $2,
                        severities = $3,
                        classifications = $4,
                        contents = $5
                  where rule_id = $1",
            )
            .bind(rule_id.0)
            .bind(i64::from(rule_version))
            .bind(severities)
            .bind(classifications)
            .bind(Json(&contents))
            .execute(&mut **tx)
            .await?;
            keep_version(tx, entry, rule_id, rule_version, &contents).await
        }
        RuleEvent::RuleDisabled(RuleDisabled { rule_id }) => enable(tx, rule_id, false).await,
        RuleEvent::RuleEnabled(RuleEnabled { rule_id }) => enable(tx, rule_id, true).await,
    }
}

async fn enable(tx: &mut Tx, rule_id: RuleId, enabled: bool) -> Result<(), StoreError> {
    sqlx::query("update rule set enabled = $2 where rule_id = $1")
        .bind(rule_id.0)
        .bind(enabled)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

async fn keep_version(
    tx: &mut Tx,
    entry: Entry,
    rule_id: RuleId,
    rule_version: u32,
    contents: &RuleContents,
) -> Result<(), StoreError> {
    sqlx::query(
        "insert into rule_version (rule_id, version, partner_id, customer_id, contents, created_at, seq)
         values ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(rule_id.0)
    .bind(i64::from(rule_version))
    .bind(entry.partner_id)
    .bind(entry.customer_id)
    .bind(Json(contents))
    .bind(entry.recorded_at)
    .bind(entry.seq)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

fn words(conditions: &RuleConditions) -> (Vec<&'static str>, Vec<&'static str>) {
    let severities = conditions.severities.iter().map(|word| name(Severity::from(*word))).collect();
    let classifications =
        conditions.classifications.iter().map(|word| name(Classification::from(*word))).collect();
    (severities, classifications)
}
