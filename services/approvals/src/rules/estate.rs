//! What is missing at a tenant's devices, as rules would see it: how much a rule would approve of what is pending, and
//! what it would have approved before.

use super::kept::{KeptRule, Whitelists, active_rules};
use super::knowledge::{Ratings, known_groups};
use crate::facts::{self, Patch};
use approvals_domain::evaluation::Candidate;
use approvals_domain::overlap::{self, Known};
use approvals_domain::simulation::refusal;
use chrono::{DateTime, Utc};
use contracts::approvals::{RefusalReason, RuleContents, RuleWarning};
use eventstore::{StoreError, Tx};
use kernel::{CustomerId, DeviceGroupId, PatchId, RuleId, Tenant};
use std::collections::{BTreeSet, HashMap};
use uuid::Uuid;

/// A patch that is, or was, missing at a customer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Missing {
    pub(super) patch_id: PatchId,
    pub(super) customer_id: CustomerId,
    /// The first time on any device.
    pub(super) since: DateTime<Utc>,
    /// On how many devices.
    pub(super) devices: u64,
}

#[derive(sqlx::FromRow)]
struct MissingRow {
    patch_id: Uuid,
    customer_id: Uuid,
    since: DateTime<Utc>,
    devices: i64,
}

impl From<MissingRow> for Missing {
    fn from(row: MissingRow) -> Self {
        Self {
            patch_id: PatchId(row.patch_id),
            customer_id: CustomerId(row.customer_id),
            since: row.since,
            devices: u64::try_from(row.devices).unwrap_or_default(),
        }
    }
}

/// The groups that a statement is limited to; none for all devices.
pub(super) fn only_groups(groups: &[DeviceGroupId]) -> Option<Vec<Uuid>> {
    (!groups.is_empty()).then(|| groups.iter().map(|id| id.0).collect())
}

/// What is missing now and waits for a decision.
async fn pending(tx: &mut Tx, tenant: Tenant, groups: &[DeviceGroupId]) -> Result<Vec<Missing>, StoreError> {
    let rows: Vec<MissingRow> = sqlx::query_as(
        "select m.patch_id, m.customer_id, min(m.found_at) as since, count(*) as devices
           from approvals.missing m
           join approvals.approval a on a.customer_id = m.customer_id and a.patch_id = m.patch_id and a.pending
          where m.partner_id = $1
            and ($2::uuid is null or m.customer_id = $2)
            and m.gone_at is null
            and ($3::uuid[] is null
                 or exists (select from approvals.rule_group_member g
                             where g.device_id = m.device_id and g.group_id = any ($3)))
          group by m.patch_id, m.customer_id",
    )
    .bind(tenant.partner_id.0)
    .bind(tenant.customer_id.map(|id| id.0))
    .bind(only_groups(groups))
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// What was missing at some time of a period, in the order of its keys.
pub(super) async fn missing_between(
    tx: &mut Tx,
    tenant: Tenant,
    groups: &[DeviceGroupId],
    (from, until): (DateTime<Utc>, DateTime<Utc>),
    limit: usize,
) -> Result<Vec<Missing>, StoreError> {
    let rows: Vec<MissingRow> = sqlx::query_as(
        "select m.patch_id, m.customer_id, min(m.found_at) as since, count(*) as devices
           from approvals.missing m
          where m.partner_id = $1
            and ($2::uuid is null or m.customer_id = $2)
            and m.found_at <= $5
            and (m.gone_at is null or m.gone_at >= $4)
            and ($3::uuid[] is null
                 or exists (select from approvals.rule_group_member g
                             where g.device_id = m.device_id and g.group_id = any ($3)))
          group by m.patch_id, m.customer_id
          order by m.patch_id, m.customer_id
          limit $6",
    )
    .bind(tenant.partner_id.0)
    .bind(tenant.customer_id.map(|id| id.0))
    .bind(only_groups(groups))
    .bind(from)
    .bind(until)
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// Everything that rules of a tenant look at.
pub(super) struct Estate {
    pub(super) patches: HashMap<PatchId, Patch>,
    whitelists: Whitelists,
    ratings: Ratings,
}

/// What is missing, and why a rule would refuse it for good.
pub(super) type Looked = (Missing, Option<RefusalReason>);

impl Estate {
    /// Reads it for what is missing.
    pub(super) async fn read(tx: &mut Tx, tenant: Tenant, missing: &[Missing]) -> Result<Self, StoreError> {
        let ids: BTreeSet<PatchId> = missing.iter().map(|missing| missing.patch_id).collect();
        let ids: Vec<PatchId> = ids.into_iter().collect();
        let patches = facts::patches(tx, &ids).await?;
        Ok(Self {
            patches: patches.into_iter().map(|patch| (patch.patch_id, patch)).collect(),
            whitelists: Whitelists::read(tx, tenant).await?,
            ratings: Ratings::read(tx, tenant, None).await?,
        })
    }

    /// What a rule would say of everything that is missing. What the catalogue has not brought yet is left out.
    pub(super) fn look(&self, contents: &RuleContents, mut missing: Vec<Missing>) -> Vec<Looked> {
        // A whitelist is put together once for each customer; where there is only the partner's, the answers are the same.
        missing.sort_unstable_by_key(|missing| (missing.customer_id, missing.patch_id));
        let (mut whitelist, mut whose) = (Vec::new(), None);
        let mut shared: HashMap<(PatchId, Option<u8>), Option<RefusalReason>> = HashMap::new();
        let mut looked = Vec::with_capacity(missing.len());
        for missing in missing {
            let Missing { patch_id, customer_id, .. } = missing;
            let Some(patch) = self.patches.get(&patch_id) else { continue };
            if whose != Some(customer_id) {
                (whitelist, whose) = (self.whitelists.at(customer_id), Some(customer_id));
            }
            let rating = self.ratings.at(patch_id, customer_id);
            let look = || {
                let candidate = Candidate { rating, ..patch.candidate.clone() };
                refusal(&candidate, contents, &whitelist)
            };
            let refused = if self.whitelists.is_own(customer_id) {
                look()
            } else {
                *shared.entry((patch_id, rating)).or_insert_with(look)
            };
            looked.push((missing, refused));
        }
        looked
    }
}

/// How many installations a rule would allow, now or once its delay has ended, and how many wait for a decision.
pub(super) async fn reach(
    tx: &mut Tx,
    tenant: Tenant,
    contents: &RuleContents,
) -> Result<(u64, u64), StoreError> {
    let all = pending(tx, tenant, &[]).await?;
    let waiting = all.iter().map(|missing| missing.devices).sum();
    let concerned =
        if contents.groups.is_empty() { all } else { pending(tx, tenant, &contents.groups).await? };
    let estate = Estate::read(tx, tenant, &concerned).await?;
    let looked = estate.look(contents, concerned);
    let approved = looked.iter().filter(|(_, refused)| refused.is_none());
    Ok((approved.map(|(missing, _)| missing.devices).sum(), waiting))
}

/// A group that the rule names and the tenant does not have.
pub(super) async fn unknown_group(
    tx: &mut Tx,
    tenant: Tenant,
    groups: &[DeviceGroupId],
) -> Result<Option<DeviceGroupId>, StoreError> {
    let Some(customer_id) = tenant.customer_id else { return Ok(None) };
    let known = known_groups(tx, customer_id, groups).await?;
    Ok(groups.iter().find(|group| !known.contains(group)).copied())
}

/// How a rule gets on with those that work for the same devices.
pub(super) async fn warnings(
    tx: &mut Tx,
    tenant: Tenant,
    rule_id: RuleId,
) -> Result<Vec<RuleWarning>, StoreError> {
    let rules = active_rules(tx, tenant).await?;
    let known = |KeptRule { rule_id, owner, contents, .. }| Known { rule_id, owner, contents };
    let rules: Vec<Known> = rules.into_iter().map(known).collect();
    let whitelist = Whitelists::read(tx, tenant).await?.anywhere();
    Ok(overlap::warnings(rule_id, &rules, &whitelist))
}
