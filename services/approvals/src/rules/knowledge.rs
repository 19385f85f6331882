//! What the service learns for its rules: exploits, ratings, publishers, groups, and what is missing where.

use super::{ALL_CUSTOMERS, customer_key};
use contracts::devices::{DeviceEvent, GroupEvent};
use contracts::feeds::{FeedEvent, Publisher, RatingEvent, VulnerabilityEvent};
use eventstore::{StoreError, Tx};
use kernel::{CustomerId, DeviceGroupId, DeviceId, Envelope, FeedId, PatchId};
use std::collections::HashMap;
use uuid::Uuid;

/// Takes facts in that change what rules see.
pub(crate) struct RuleKnowledge;

impl RuleKnowledge {
    /// Notes an exploit or its end; answers with the vulnerability, if anything changed.
    pub(crate) async fn take_vulnerability(
        tx: &mut Tx,
        fact: VulnerabilityEvent,
    ) -> Result<Option<String>, StoreError> {
        let (statement, cve) = match fact {
            VulnerabilityEvent::VulnerabilityAddedToKev(fact) => {
                ("insert into approvals.kev (cve) values ($1) on conflict do nothing", fact.cve)
            }
            VulnerabilityEvent::VulnerabilityRemovedFromKev(fact) => {
                ("delete from approvals.kev where cve = $1", fact.cve)
            }
            // No rule asks for it.
            VulnerabilityEvent::KevEntryChanged(_)
            | VulnerabilityEvent::EpssChanged(_)
            | VulnerabilityEvent::CvssChanged(_)
            | VulnerabilityEvent::SsvcInputsChanged(_)
            | VulnerabilityEvent::VulnerabilityRejected(_)
            | VulnerabilityEvent::VulnerabilityReinstated(_) => return Ok(None),
        };
        let done = sqlx::query(statement).bind(&cve).execute(&mut **tx).await?;
        Ok((done.rows_affected() > 0).then_some(cve))
    }

    /// Notes a tenant's mark; answers with the patch.
    pub(crate) async fn take_rating(
        tx: &mut Tx,
        event: &Envelope,
        fact: RatingEvent,
    ) -> Result<PatchId, StoreError> {
        let (patch_id, rating) = match fact {
            RatingEvent::PatchRated(fact) => (fact.patch_id, Some(fact.rating)),
            RatingEvent::PatchRatingCleared(fact) => (fact.patch_id, None),
        };
        let statement = if rating.is_some() {
            "insert into approvals.rating (patch_id, partner_id, customer_id, rating)
             values ($1, $2, $3, $4)
             on conflict (patch_id, partner_id, customer_id) do update set rating = excluded.rating"
        } else {
            "delete from approvals.rating
              where patch_id = $1 and partner_id = $2 and customer_id = $3 and $4::smallint is null"
        };
        sqlx::query(statement)
            .bind(patch_id.0)
            .bind(event.tenant.partner_id.0)
            .bind(customer_key(event.tenant))
            .bind(rating.map(i16::from))
            .execute(&mut **tx)
            .await?;
        Ok(patch_id)
    }

    /// Notes who publishes a feed.
    pub(crate) async fn take_feed(tx: &mut Tx, event: &Envelope, fact: FeedEvent) -> Result<(), StoreError> {
        match fact {
            FeedEvent::FeedRegistered(fact) => {
                keep_feed(tx, event, fact.feed_id, fact.name, fact.publisher).await
            }
            FeedEvent::FeedChanged(fact) => {
                keep_feed(tx, event, fact.feed_id, fact.name, fact.publisher).await
            }
            FeedEvent::FeedDisabled(_)
            | FeedEvent::FeedEnabled(_)
            | FeedEvent::FeedSyncCompleted(_)
            | FeedEvent::FeedSyncFailed(_) => Ok(()),
        }
    }

    /// Notes the devices of groups.
    pub(crate) async fn take_group(
        tx: &mut Tx,
        event: &Envelope,
        fact: GroupEvent,
    ) -> Result<(), StoreError> {
        match fact {
            GroupEvent::GroupDefined(_) | GroupEvent::GroupChanged(_) => {}
            GroupEvent::GroupMembershipChanged(fact) => {
                let ids = |devices: Vec<DeviceId>| devices.into_iter().map(|id| id.0).collect::<Vec<_>>();
                sqlx::query(
                    "delete from approvals.rule_group_member where group_id = $1 and device_id = any($2)",
                )
                .bind(fact.group_id.0)
                .bind(ids(fact.removed))
                .execute(&mut **tx)
                .await?;
                sqlx::query(
                    "insert into approvals.rule_group_member (group_id, device_id, customer_id, partner_id)
                     select $1, device_id, $3, $4 from unnest($2::uuid[]) as added (device_id)
                     on conflict do nothing",
                )
                .bind(fact.group_id.0)
                .bind(ids(fact.added))
                .bind(fact.customer_id.0)
                .bind(event.tenant.partner_id.0)
                .execute(&mut **tx)
                .await?;
            }
            GroupEvent::GroupRemoved(fact) => {
                sqlx::query("delete from approvals.rule_group_member where group_id = $1")
                    .bind(fact.group_id.0)
                    .execute(&mut **tx)
                    .await?;
            }
        }
        Ok(())
    }

    /// Notes since when or until when a device lacks a patch.
    pub(crate) async fn take_scan(
        tx: &mut Tx,
        event: &Envelope,
        fact: &DeviceEvent,
    ) -> Result<(), StoreError> {
        let (device_id, patch_id, is_missing) = match fact {
            DeviceEvent::PatchFoundMissing(fact) => (fact.device_id, fact.patch_id, true),
            DeviceEvent::PatchFoundInstalled(fact) => (fact.device_id, fact.patch_id, false),
            DeviceEvent::PatchNoLongerApplicable(fact) => (fact.device_id, fact.patch_id, false),
            DeviceEvent::AgentEnrolled(_)
            | DeviceEvent::DeviceCameOnline(_)
            | DeviceEvent::DeviceWentOffline(_)
            | DeviceEvent::DeviceExposureChanged(_)
            | DeviceEvent::DeviceRegionChanged(_)
            | DeviceEvent::ScanCompleted(_)
            | DeviceEvent::ScanFailed(_)
            | DeviceEvent::AvailableUpdatesChanged(_)
            | DeviceEvent::JobDelivered(_)
            | DeviceEvent::JobReported(_) => return Ok(()),
        };
        let Some(customer_id) = event.tenant.customer_id else { return Ok(()) };
        let statement = if is_missing {
            "insert into approvals.missing as m (device_id, patch_id, customer_id, partner_id, found_at, seq)
             values ($1, $2, $3, $4, $5, $6)
             on conflict (device_id, patch_id) do update
                set gone_at = null,
                    seq = excluded.seq
              where m.seq < excluded.seq"
        } else {
            "update approvals.missing
                set gone_at = $5,
                    seq = $6
              where device_id = $1 and patch_id = $2 and customer_id = $3 and partner_id = $4 and seq < $6"
        };
        sqlx::query(statement)
            .bind(device_id.0)
            .bind(patch_id.0)
            .bind(customer_id.0)
            .bind(event.tenant.partner_id.0)
            .bind(event.recorded_at)
            .bind(event.seq.0)
            .execute(&mut **tx)
            .await?;
        Ok(())
    }
}

async fn keep_feed(
    tx: &mut Tx,
    event: &Envelope,
    feed_id: FeedId,
    name: String,
    publisher: Option<Publisher>,
) -> Result<(), StoreError> {
    let vendors: Vec<String> =
        std::iter::once(name).chain(publisher.map(|publisher| publisher.name)).collect();
    sqlx::query(
        "insert into approvals.feed (feed_id, partner_id, vendors)
         values ($1, $2, $3)
         on conflict (feed_id) do update set vendors = excluded.vendors",
    )
    .bind(feed_id.0)
    .bind(event.tenant.partner_id.0)
    .bind(vendors)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// What a partner and its customers think of patches.
pub(super) struct Ratings(HashMap<(PatchId, CustomerId), u8>);

impl Ratings {
    /// Reads those of the tenant and its partner; of these patches only, where some are given.
    pub(super) async fn read(
        tx: &mut Tx,
        tenant: kernel::Tenant,
        patches: Option<&[PatchId]>,
    ) -> Result<Self, StoreError> {
        let patches = patches.map(|ids| ids.iter().map(|id| id.0).collect::<Vec<Uuid>>());
        let rows: Vec<(Uuid, Uuid, i16)> = sqlx::query_as(
            "select patch_id, customer_id, rating
               from approvals.rating
              where partner_id = $1
                and ($2::uuid is null or customer_id = any (array[$2, $3]))
                and ($4::uuid[] is null or patch_id = any ($4))",
        )
        .bind(tenant.partner_id.0)
        .bind(tenant.customer_id.map(|id| id.0))
        .bind(ALL_CUSTOMERS.0)
        .bind(patches)
        .fetch_all(&mut **tx)
        .await?;
        let rated = rows.into_iter().filter_map(|(patch_id, customer_id, rating)| {
            Some(((PatchId(patch_id), CustomerId(customer_id)), u8::try_from(rating).ok()?))
        });
        Ok(Self(rated.collect()))
    }

    /// The customer's, or else the partner's.
    pub(super) fn at(&self, patch_id: PatchId, customer_id: CustomerId) -> Option<u8> {
        let own = self.0.get(&(patch_id, customer_id));
        own.or_else(|| self.0.get(&(patch_id, ALL_CUSTOMERS))).copied()
    }
}

/// Those of the groups that the customer has.
pub(super) async fn known_groups(
    tx: &mut Tx,
    customer_id: CustomerId,
    groups: &[DeviceGroupId],
) -> Result<Vec<DeviceGroupId>, StoreError> {
    let ids: Vec<Uuid> = groups.iter().map(|id| id.0).collect();
    let known: Vec<Uuid> = sqlx::query_scalar(
        "select group_id from approvals.device_group where customer_id = $1 and group_id = any($2) order by group_id",
    )
    .bind(customer_id.0)
    .bind(ids)
    .fetch_all(&mut **tx)
    .await?;
    Ok(known.into_iter().map(DeviceGroupId).collect())
}
