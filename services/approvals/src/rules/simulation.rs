//! Runs a draft over what the service knows of the last months.

use super::estate::{Estate, missing_between, only_groups};
use approvals_domain::simulation::{Fate, Missed, PAIRS_MAX, Period, Refusal, fate};
use chrono::{DateTime, Utc};
use contracts::approvals::{
    RefusalReason, RefusedCount, RuleContents, RuleSimulation, SimulatedApproval, SimulatedKey,
};
use eventstore::{StoreError, Tx};
use kernel::{CustomerId, DeviceId, PatchId, Tenant};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// Approvals of one page.
const PAGE: usize = 100;

/// Devices that are named for one approval; all of them are counted.
const DEVICES_NAMED: i64 = 20;

/// An approval that there would have been.
struct Approved {
    key: SimulatedKey,
    at: DateTime<Utc>,
}

/// Why there is no answer.
pub(super) enum Failed {
    /// Nobody could read it.
    Refused(Refusal),
    /// The store did not do its part.
    Store(StoreError),
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// What the rule would have done for the tenant.
pub(super) async fn simulate(
    tx: &mut Tx,
    tenant: Tenant,
    contents: &RuleContents,
    period: Period,
    after: Option<SimulatedKey>,
) -> Result<RuleSimulation, Failed> {
    let Period { from, until } = period;
    let missing =
        missing_between(tx, tenant, &contents.groups, (from, until), PAIRS_MAX.saturating_add(1)).await?;
    if missing.len() > PAIRS_MAX {
        return Err(Failed::Refused(Refusal::TooLarge));
    }
    let estate = Estate::read(tx, tenant, &missing).await?;
    let (mut approved, mut refused) = (Vec::new(), BTreeMap::<RefusalReason, u64>::new());
    let (mut scheduled, mut ended_before) = (0, 0);
    let looked = estate.look(contents, missing);
    let looked_at = looked.len();
    for (missing, refusal) in looked {
        if let Some(reason) = refusal {
            *refused.entry(reason).or_default() += 1;
            continue;
        }
        let Some(patch) = estate.patches.get(&missing.patch_id) else { continue };
        let (release_date, ended_at) = (patch.candidate.release_date, patch.ended_at);
        match fate(&Missed { release_date, since: missing.since, ended_at }, contents, period) {
            Fate::Approved { at } => {
                let key = SimulatedKey { patch_id: missing.patch_id, customer_id: missing.customer_id };
                approved.push(Approved { key, at });
            }
            Fate::Scheduled { .. } => scheduled += 1,
            Fate::EndedBefore => ended_before += 1,
        }
    }
    approved.sort_unstable_by_key(|approved| approved.key);
    let (devices, installs) = count_devices(tx, contents, &approved, until).await?;
    let patches: BTreeSet<PatchId> = approved.iter().map(|approved| approved.key.patch_id).collect();
    let approvals = approved.len();
    let rest: Vec<&Approved> =
        approved.iter().filter(|approved| after.is_none_or(|after| approved.key > after)).collect();
    let page = rest.get(..PAGE).unwrap_or(&rest);
    let next = (page.len() < rest.len()).then(|| page.last().map(|last| last.key)).flatten();
    let items = items(tx, contents, page, &estate, until).await?;
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    Ok(RuleSimulation {
        from,
        until,
        looked_at: count(looked_at),
        patches: count(patches.len()),
        approvals: count(approvals),
        devices,
        installs,
        scheduled,
        ended_before,
        refused: refused.into_iter().map(|(reason, count)| RefusedCount { reason, count }).collect(),
        items,
        next,
    })
}

/// Distinct devices, and installations.
async fn count_devices(
    tx: &mut Tx,
    contents: &RuleContents,
    approved: &[Approved],
    until: DateTime<Utc>,
) -> Result<(u64, u64), StoreError> {
    let (devices, installs): (i64, i64) = sqlx::query_as(
        "select count(distinct m.device_id), count(*)
           from unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) as a (patch_id, customer_id, at)
           join approvals.missing m on m.patch_id = a.patch_id and m.customer_id = a.customer_id
          where m.found_at <= $4
            and (m.gone_at is null or m.gone_at > a.at)
            and ($5::uuid[] is null
                 or exists (select from approvals.rule_group_member g
                             where g.device_id = m.device_id and g.group_id = any ($5)))",
    )
    .bind(approved.iter().map(|approved| approved.key.patch_id.0).collect::<Vec<_>>())
    .bind(approved.iter().map(|approved| approved.key.customer_id.0).collect::<Vec<_>>())
    .bind(approved.iter().map(|approved| approved.at).collect::<Vec<_>>())
    .bind(until)
    .bind(only_groups(&contents.groups))
    .fetch_one(&mut **tx)
    .await?;
    Ok((u64::try_from(devices).unwrap_or_default(), u64::try_from(installs).unwrap_or_default()))
}

#[derive(sqlx::FromRow)]
struct DevicesRow {
    patch_id: Uuid,
    customer_id: Uuid,
    devices: i64,
    device_ids: Vec<Uuid>,
}

async fn items(
    tx: &mut Tx,
    contents: &RuleContents,
    page: &[&Approved],
    estate: &Estate,
    until: DateTime<Utc>,
) -> Result<Vec<SimulatedApproval>, StoreError> {
    let rows: Vec<DevicesRow> = sqlx::query_as(
        "select a.patch_id, a.customer_id, count(*) as devices,
                (array_agg(m.device_id order by m.device_id))[1:$6] as device_ids
           from unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) as a (patch_id, customer_id, at)
           join approvals.missing m on m.patch_id = a.patch_id and m.customer_id = a.customer_id
          where m.found_at <= $4
            and (m.gone_at is null or m.gone_at > a.at)
            and ($5::uuid[] is null
                 or exists (select from approvals.rule_group_member g
                             where g.device_id = m.device_id and g.group_id = any ($5)))
          group by a.patch_id, a.customer_id",
    )
    .bind(page.iter().map(|approved| approved.key.patch_id.0).collect::<Vec<_>>())
    .bind(page.iter().map(|approved| approved.key.customer_id.0).collect::<Vec<_>>())
    .bind(page.iter().map(|approved| approved.at).collect::<Vec<_>>())
    .bind(until)
    .bind(only_groups(&contents.groups))
    .bind(DEVICES_NAMED)
    .fetch_all(&mut **tx)
    .await?;
    let mut found: BTreeMap<SimulatedKey, DevicesRow> = rows
        .into_iter()
        .map(|row| {
            let (patch_id, customer_id) = (PatchId(row.patch_id), CustomerId(row.customer_id));
            (SimulatedKey { patch_id, customer_id }, row)
        })
        .collect();
    let item = |approved: &&Approved| {
        let SimulatedKey { patch_id, customer_id } = approved.key;
        let (devices, device_ids) =
            found.remove(&approved.key).map(|row| (row.devices, row.device_ids)).unwrap_or_default();
        let patch = estate.patches.get(&patch_id);
        SimulatedApproval {
            patch_id,
            vendor_patch_id: patch.map(|patch| patch.candidate.vendor_patch_id.clone()).unwrap_or_default(),
            customer_id,
            approves_at: approved.at,
            devices: u64::try_from(devices).unwrap_or_default(),
            device_ids: device_ids.into_iter().map(DeviceId).collect(),
        }
    };
    Ok(page.iter().map(item).collect())
}
