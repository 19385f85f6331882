//! Auto-approval rules.

use crate::reading::list::{ById, list};
use crate::views::Entry;
use crate::words::{Classification, Severity, name};
use contracts::approvals::{
    RuleConditions, RuleCreated, RuleDisabled, RuleEnabled, RuleEvent, RuleVersionCreated,
};
use eventstore::{StoreError, Tx};
use kernel::RuleId;
use uuid::Uuid;

/// A rule as GraphQL shows it.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct RuleRow {
    pub(crate) rule_id: Uuid,
    pub(crate) customer_id: Uuid,
    pub(crate) name: String,
    pub(crate) version: i64,
    pub(crate) enabled: bool,
    pub(crate) severities: Vec<Severity>,
    pub(crate) classifications: Vec<Classification>,
}

macro_rules! columns {
    () => {
        "t.rule_id, t.customer_id, t.name, t.version, t.enabled, t.severities, t.classifications, t.seq"
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

pub(super) async fn apply(tx: &mut Tx, entry: Entry, fact: RuleEvent) -> Result<(), StoreError> {
    match fact {
        RuleEvent::RuleCreated(RuleCreated { rule_id, customer_id, name, conditions }) => {
            let (severities, classifications) = words(&conditions);
            sqlx::query(
                "insert into rule (rule_id, partner_id, customer_id, name, version, enabled, severities,
                                   classifications, seq)
                 values ($1, $2, $3, $4, 1, true, $5, $6, $7)",
            )
            .bind(rule_id.0)
            .bind(entry.partner_id)
            .bind(customer_id.0)
            .bind(name)
            .bind(severities)
            .bind(classifications)
            .bind(entry.seq)
            .execute(&mut **tx)
            .await?;
            Ok(())
        }
        RuleEvent::RuleVersionCreated(RuleVersionCreated { rule_id, rule_version, conditions }) => {
            let (severities, classifications) = words(&conditions);
            sqlx::query(
                "update rule
                    set version = $2,
                        severities = $3,
                        classifications = $4
                  where rule_id = $1",
            )
            .bind(rule_id.0)
            .bind(i64::from(rule_version))
            .bind(severities)
            .bind(classifications)
            .execute(&mut **tx)
            .await?;
            Ok(())
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

fn words(conditions: &RuleConditions) -> (Vec<&'static str>, Vec<&'static str>) {
    let severities = conditions.severities.iter().map(|word| name(Severity::from(*word))).collect();
    let classifications =
        conditions.classifications.iter().map(|word| name(Classification::from(*word))).collect();
    (severities, classifications)
}
