//! Rules and whitelists in the service's own tables.

use super::{ALL_CUSTOMERS, customer_key};
use crate::facts::corrupt;
use approvals_domain::evaluation::Listed;
use contracts::approvals::{ApprovalLevel, RuleConditions, RuleContents, RuleOwner, WhitelistPattern};
use eventstore::{StoreError, Tx};
use kernel::{CustomerId, DeviceGroupId, PartnerId, RuleId, Tenant};
use serde_json::Value;
use std::collections::HashMap;
use uuid::Uuid;

/// A rule as it is now.
pub(crate) struct KeptRule {
    pub(crate) rule_id: RuleId,
    pub(crate) owner: RuleOwner,
    pub(crate) rule_version: u32,
    pub(crate) contents: RuleContents,
}

#[derive(sqlx::FromRow)]
struct RuleRow {
    rule_id: Uuid,
    partner_id: Uuid,
    customer_id: Uuid,
    rule_version: i32,
    conditions: Value,
    groups: Vec<Uuid>,
    timing: Value,
}

impl TryFrom<RuleRow> for KeptRule {
    type Error = StoreError;

    fn try_from(row: RuleRow) -> Result<Self, StoreError> {
        Ok(Self {
            rule_id: RuleId(row.rule_id),
            owner: tenant(row.partner_id, row.customer_id).into(),
            rule_version: u32::try_from(row.rule_version).unwrap_or_default(),
            contents: RuleContents {
                groups: row.groups.into_iter().map(DeviceGroupId).collect(),
                conditions: conditions(row.conditions)?,
                timing: serde_json::from_value(row.timing).map_err(corrupt)?,
            },
        })
    }
}

/// Whose a row is.
fn tenant(partner_id: Uuid, customer_id: Uuid) -> Tenant {
    let customer_id = Some(CustomerId(customer_id)).filter(|id| *id != ALL_CUSTOMERS);
    Tenant { partner_id: PartnerId(partner_id), customer_id }
}

/// Conditions as they were written at any time: early ones lack what was not asked then.
fn conditions(kept: Value) -> Result<RuleConditions, StoreError> {
    let mut whole = serde_json::to_value(RuleConditions::default()).map_err(corrupt)?;
    if let (Some(whole), Value::Object(kept)) = (whole.as_object_mut(), kept) {
        whole.extend(kept);
    }
    serde_json::from_value(whole).map_err(corrupt)
}

/// Rules that are switched on and work for the tenant, oldest first: the own ones and the partner's. A partner's work
/// for some of its customers at least.
pub(crate) async fn active_rules(tx: &mut Tx, tenant: Tenant) -> Result<Vec<KeptRule>, StoreError> {
    let rows: Vec<RuleRow> = sqlx::query_as(
        "select rule_id, partner_id, customer_id, rule_version, conditions, groups, timing
           from approvals.rule
          where partner_id = $1 and ($2::uuid is null or customer_id = any (array[$2, $3])) and enabled
          order by position",
    )
    .bind(tenant.partner_id.0)
    .bind(tenant.customer_id.map(|id| id.0))
    .bind(ALL_CUSTOMERS.0)
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// How many rules the owner has, switched off ones as well.
pub(crate) async fn count_rules(tx: &mut Tx, owner: Tenant) -> Result<usize, StoreError> {
    let count: i64 =
        sqlx::query_scalar("select count(*) from approvals.rule where partner_id = $1 and customer_id = $2")
            .bind(owner.partner_id.0)
            .bind(customer_key(owner))
            .fetch_one(&mut **tx)
            .await?;
    Ok(usize::try_from(count).unwrap_or(usize::MAX))
}

/// Whose the rule is, if the transaction's scope sees it.
pub(crate) async fn tenant_of_rule(tx: &mut Tx, rule_id: RuleId) -> Result<Option<Tenant>, StoreError> {
    let row: Option<(Uuid, Uuid)> =
        sqlx::query_as("select partner_id, customer_id from approvals.rule where rule_id = $1")
            .bind(rule_id.0)
            .fetch_optional(&mut **tx)
            .await?;
    Ok(row.map(|(partner_id, customer_id)| tenant(partner_id, customer_id)))
}

/// Notes a rule as it is now.
pub(crate) async fn keep_rule(
    tx: &mut Tx,
    owner: Tenant,
    rule_id: RuleId,
    rule_version: u32,
    contents: &RuleContents,
    enabled: bool,
) -> Result<(), StoreError> {
    let groups: Vec<Uuid> = contents.groups.iter().map(|id| id.0).collect();
    sqlx::query(
        "insert into approvals.rule (rule_id, customer_id, partner_id, rule_version, conditions, groups, timing,
                                     enabled)
         values ($1, $2, $3, $4, $5, $6, $7, $8)
         on conflict (rule_id) do update
            set rule_version = excluded.rule_version,
                conditions = excluded.conditions,
                groups = excluded.groups,
                timing = excluded.timing,
                enabled = excluded.enabled",
    )
    .bind(rule_id.0)
    .bind(customer_key(owner))
    .bind(owner.partner_id.0)
    .bind(i32::try_from(rule_version).unwrap_or(i32::MAX))
    .bind(serde_json::to_value(&contents.conditions).map_err(corrupt)?)
    .bind(groups)
    .bind(serde_json::to_value(contents.timing).map_err(corrupt)?)
    .bind(enabled)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Notes or forgets a whitelist entry.
pub(crate) async fn keep_whitelist_entry(
    tx: &mut Tx,
    owner: Tenant,
    pattern: &WhitelistPattern,
    listed: bool,
) -> Result<(), StoreError> {
    let statement = if listed {
        "insert into approvals.whitelist (customer_id, partner_id, pattern) values ($1, $2, $3) on conflict do nothing"
    } else {
        "delete from approvals.whitelist where customer_id = $1 and partner_id = $2 and pattern = $3"
    };
    sqlx::query(statement)
        .bind(customer_key(owner))
        .bind(owner.partner_id.0)
        .bind(serde_json::to_value(pattern).map_err(corrupt)?)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// The whitelists of a partner, or of one of its customers, as far as the transaction's scope sees them.
pub(crate) struct Whitelists {
    of_partner: Vec<Listed>,
    of_customers: HashMap<CustomerId, Vec<Listed>>,
}

impl Whitelists {
    /// Reads the tenant's and the partner's.
    pub(crate) async fn read(tx: &mut Tx, tenant: Tenant) -> Result<Self, StoreError> {
        let rows: Vec<(Uuid, Value)> = sqlx::query_as(
            "select customer_id, pattern
               from approvals.whitelist
              where partner_id = $1 and ($2::uuid is null or customer_id = any (array[$2, $3]))
              order by customer_id, pattern",
        )
        .bind(tenant.partner_id.0)
        .bind(tenant.customer_id.map(|id| id.0))
        .bind(ALL_CUSTOMERS.0)
        .fetch_all(&mut **tx)
        .await?;
        let (mut of_partner, mut of_customers) = (Vec::new(), HashMap::<_, Vec<Listed>>::new());
        for (customer_id, pattern) in rows {
            let pattern = serde_json::from_value(pattern).map_err(corrupt)?;
            if CustomerId(customer_id) == ALL_CUSTOMERS {
                of_partner.push(Listed { level: ApprovalLevel::Partner, pattern });
            } else {
                let listed = Listed { level: ApprovalLevel::Customer, pattern };
                of_customers.entry(CustomerId(customer_id)).or_default().push(listed);
            }
        }
        Ok(Self { of_partner, of_customers })
    }

    /// What holds at the customer: the nearer first.
    pub(crate) fn at(&self, customer_id: CustomerId) -> Vec<Listed> {
        let own = self.of_customers.get(&customer_id).into_iter().flatten();
        own.chain(&self.of_partner).cloned().collect()
    }

    /// Whether the customer has entries of its own.
    pub(crate) fn is_own(&self, customer_id: CustomerId) -> bool {
        self.of_customers.contains_key(&customer_id)
    }

    /// What holds anywhere.
    pub(crate) fn anywhere(&self) -> Vec<Listed> {
        self.of_customers.values().flatten().chain(&self.of_partner).cloned().collect()
    }
}
