//! What the alert SEARCH needs to know: what is missing where, what was decided about it, and what of it is approved.

use alerts_domain::raising::Found;
use contracts::approvals::precedence::{BLOCK_RANK, Decided, Ruling};
use contracts::approvals::{ApprovalEvent, ApprovalScope, BlockEvent, Change};
use contracts::devices::{DeviceEvent, GroupEvent};
use eventstore::Tx;
use kernel::{CustomerId, DeviceId, Envelope, JobId, PartnerId, PatchId, Tenant};
use messaging::HandlerError;
use uuid::Uuid;

/// What was found at a customer.
pub(super) type FoundAt = (Tenant, Found);

pub(super) async fn device(tx: &mut Tx, event: &Envelope) -> Result<Option<Found>, HandlerError> {
    match event.read()? {
        DeviceEvent::PatchFoundMissing(fact) => {
            sqlx::query(
                "insert into alerts.missing_patch (device_id, patch_id, partner_id, customer_id)
                 values ($1, $2, $3, $4)
                 on conflict do nothing",
            )
            .bind(fact.device_id.0)
            .bind(fact.patch_id.0)
            .bind(event.tenant.partner_id.0)
            .bind(event.tenant.customer_id.map(|id| id.0))
            .execute(&mut **tx)
            .await?;
            Ok(None)
        }
        DeviceEvent::PatchFoundInstalled(fact) => no_longer_missing(tx, fact.device_id, fact.patch_id).await,
        DeviceEvent::PatchNoLongerApplicable(fact) => {
            no_longer_missing(tx, fact.device_id, fact.patch_id).await
        }
        DeviceEvent::ScanCompleted(fact) => found_by_scan(tx, fact.device_id, fact.job_id).await,
        DeviceEvent::AgentEnrolled(_)
        | DeviceEvent::DeviceCameOnline(_)
        | DeviceEvent::DeviceWentOffline(_)
        | DeviceEvent::ScanFailed(_)
        | DeviceEvent::AvailableUpdatesChanged(_)
        | DeviceEvent::DeviceExposureChanged(_)
        | DeviceEvent::DeviceRegionChanged(_)
        | DeviceEvent::JobDelivered(_)
        | DeviceEvent::JobReported(_) => Ok(None),
    }
}

async fn no_longer_missing(
    tx: &mut Tx,
    device_id: DeviceId,
    patch_id: PatchId,
) -> Result<Option<Found>, HandlerError> {
    sqlx::query("delete from alerts.missing_patch where device_id = $1 and patch_id = $2")
        .bind(device_id.0)
        .bind(patch_id.0)
        .execute(&mut **tx)
        .await?;
    Ok(None)
}

/// The rank that decides on the patch of `m` on the device of `m`; none while it is pending.
macro_rules! decisive_rank {
    () => {
        "least((select min(d.rank)
                  from alerts.decision d
                 where d.scope_id in (m.device_id, m.customer_id, m.partner_id) and d.patch_id = m.patch_id),
               (select min(d.rank)
                  from alerts.group_member g
                  join alerts.decision d on d.scope_id = g.group_id and d.patch_id = m.patch_id
                 where g.device_id = m.device_id))"
    };
}

async fn found_by_scan(
    tx: &mut Tx,
    device_id: DeviceId,
    job_id: Option<JobId>,
) -> Result<Option<Found>, HandlerError> {
    let rows: Vec<(Uuid, Option<i16>)> = sqlx::query_as(concat!(
        "select m.patch_id, ",
        decisive_rank!(),
        " from alerts.missing_patch m where m.device_id = $1 order by m.patch_id"
    ))
    .bind(device_id.0)
    .fetch_all(&mut **tx)
    .await?;
    let missing = u32::try_from(rows.len()).unwrap_or(u32::MAX);
    let approved = rows
        .into_iter()
        .filter(|(_, rank)| contracts::approvals::precedence::rank_approves(*rank))
        .map(|(id, _)| PatchId(id))
        .collect();
    Ok(Some(Found { device_id: Some(device_id), job_id, missing, approved }))
}

/// Keeps a decision; answers with what earlier scans found of the patch where that lets it through now.
pub(super) async fn decided(tx: &mut Tx, event: &Envelope) -> Result<Vec<FoundAt>, HandlerError> {
    let fact: ApprovalEvent = event.read()?;
    let Some(change) = Change::of(&fact) else { return Ok(vec![]) };
    let (patch_id, scope) = (change.patch_id(), change.scope());
    let place = Kept { scope_id: scope.id(), patch_id, blocked: false, tenant: event.tenant };
    place.keep(tx, change.decided().map(|decided| decided.rank())).await?;
    let lets_through = matches!(fact, ApprovalEvent::PatchApproved(_) | ApprovalEvent::DeferralEnded(_));
    if !lets_through {
        return Ok(vec![]);
    }
    // What a nearer decision had let through before is not news.
    let approval = Decided { scope, ruling: Ruling::Approved }.rank();
    let from = change.decided().map_or(approval, |decided| decided.rank());
    found_before(tx, scope.id(), patch_id, from).await
}

/// Keeps a partner's hard block; answers with what earlier scans found of the patch when it ends.
pub(super) async fn blocked(tx: &mut Tx, event: &Envelope) -> Result<Vec<FoundAt>, HandlerError> {
    let fact: BlockEvent = event.read()?;
    let (patch_id, partner_id, blocked) = fact.now();
    let place = Kept { scope_id: partner_id.0, patch_id, blocked: true, tenant: event.tenant };
    place.keep(tx, blocked.then_some(BLOCK_RANK)).await?;
    if blocked {
        return Ok(vec![]);
    }
    let everywhere = ApprovalScope::Partner { partner_id };
    found_before(tx, everywhere.id(), patch_id, BLOCK_RANK).await
}

/// Keeps who belongs to a group.
pub(super) async fn grouped(tx: &mut Tx, event: &Envelope) -> Result<(), HandlerError> {
    match event.read()? {
        GroupEvent::GroupMembershipChanged(fact) => {
            let ids = |devices: &[DeviceId]| devices.iter().map(|id| id.0).collect::<Vec<_>>();
            sqlx::query("delete from alerts.group_member where group_id = $1 and device_id = any($2)")
                .bind(fact.group_id.0)
                .bind(ids(&fact.removed))
                .execute(&mut **tx)
                .await?;
            sqlx::query(
                "insert into alerts.group_member (device_id, group_id, partner_id, customer_id)
                 select device_id, $2, $3, $4 from unnest($1::uuid[]) as added (device_id)
                 on conflict do nothing",
            )
            .bind(ids(&fact.added))
            .bind(fact.group_id.0)
            .bind(event.tenant.partner_id.0)
            .bind(fact.customer_id.0)
            .execute(&mut **tx)
            .await?;
        }
        GroupEvent::GroupRemoved(fact) => {
            sqlx::query("delete from alerts.group_member where group_id = $1")
                .bind(fact.group_id.0)
                .execute(&mut **tx)
                .await?;
        }
        GroupEvent::GroupDefined(_) | GroupEvent::GroupChanged(_) => {}
    }
    Ok(())
}

/// The row of a decision or block.
struct Kept {
    scope_id: Uuid,
    patch_id: PatchId,
    blocked: bool,
    tenant: Tenant,
}

impl Kept {
    /// Keeps its rank, or forgets it.
    async fn keep(&self, tx: &mut Tx, rank: Option<i16>) -> Result<(), HandlerError> {
        let Some(rank) = rank else {
            sqlx::query("delete from alerts.decision where scope_id = $1 and patch_id = $2 and blocked = $3")
                .bind(self.scope_id)
                .bind(self.patch_id.0)
                .bind(self.blocked)
                .execute(&mut **tx)
                .await?;
            return Ok(());
        };
        sqlx::query(
            "insert into alerts.decision (scope_id, patch_id, blocked, partner_id, customer_id, rank)
             values ($1, $2, $3, $4, $5, $6)
             on conflict (scope_id, patch_id, blocked) do update set rank = excluded.rank",
        )
        .bind(self.scope_id)
        .bind(self.patch_id.0)
        .bind(self.blocked)
        .bind(self.tenant.partner_id.0)
        .bind(self.tenant.customer_id.map(|id| id.0))
        .bind(rank)
        .execute(&mut **tx)
        .await?;
        Ok(())
    }
}

/// Where earlier scans found the patch within the scope and a rank of `from` or later lets it through, by customer.
async fn found_before(
    tx: &mut Tx,
    scope_id: Uuid,
    patch_id: PatchId,
    from: i16,
) -> Result<Vec<FoundAt>, HandlerError> {
    // Two devices are enough to know that it is more than one.
    let rows: Vec<(Uuid, Uuid, Vec<Uuid>)> = sqlx::query_as(concat!(
        "select m.partner_id, m.customer_id, (array_agg(m.device_id))[1:2]
           from alerts.missing_patch m
          cross join lateral (select ",
        decisive_rank!(),
        " as rank) r
          where m.patch_id = $2
            and m.customer_id is not null
            and ($1 in (m.partner_id, m.customer_id, m.device_id)
                 or exists (select from alerts.group_member g where g.group_id = $1 and g.device_id = m.device_id))
            and r.rank >= $3
            and r.rank % 10 = 2
          group by m.partner_id, m.customer_id
          order by m.customer_id"
    ))
    .bind(scope_id)
    .bind(patch_id.0)
    .bind(from)
    .fetch_all(&mut **tx)
    .await?;
    let found = |(partner_id, customer_id, devices): (Uuid, Uuid, Vec<Uuid>)| {
        let tenant = Tenant::customer(PartnerId(partner_id), CustomerId(customer_id));
        let device_id = match devices.as_slice() {
            [only] => Some(DeviceId(*only)),
            [] | [_, _, ..] => None,
        };
        (tenant, Found { device_id, job_id: None, missing: 1, approved: vec![patch_id] })
    };
    Ok(rows.into_iter().map(found).collect())
}
