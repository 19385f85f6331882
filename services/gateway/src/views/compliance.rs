//! How devices stand against baselines, now and at the end of any day before.
//!
//! ```text
//! ComplianceEvaluated ─▶ periods: one result per device and baseline, for as long as it is the same
//!                   └──▶ days: counts per partner, customer and group at the end of each day
//! ```

mod counts;
mod days;
mod standings;

pub(crate) use counts::Counts;
pub(super) use standings::Standings;

use crate::reading::list::{List, list};
use crate::views::Entry;
use crate::views::later::Later;
use crate::words::{ComplianceState, NotAssessedReason};
use chrono::{DateTime, Utc};
use contracts::approvals::ComplianceEvent;
use contracts::devices::{GroupDefined, GroupEvent, GroupMembershipChanged, GroupRemoved};
use eventstore::{StoreError, Tx};
use kernel::{DeviceGroupId, DeviceId};
use std::marker::PhantomData;
use uuid::Uuid;

/// A device against a baseline as GraphQL shows it.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct PeriodRow {
    pub(crate) device_id: Uuid,
    pub(crate) baseline_id: Uuid,
    pub(crate) baseline_version: i64,
    pub(crate) state: ComplianceState,
    pub(crate) not_assessed: Option<NotAssessedReason>,
    pub(crate) missing: Vec<i64>,
    pub(crate) waived: i64,
    pub(crate) valid_from: DateTime<Utc>,
    pub(crate) valid_until: Option<DateTime<Utc>>,
    pub(crate) evaluated_at: DateTime<Utc>,
    pub(crate) scanned_at: Option<DateTime<Utc>>,
}

impl PeriodRow {
    /// The counts of this one device.
    pub(crate) fn counts(&self) -> Counts {
        Counts::one(self.state, &self.missing, self.waived)
    }
}

macro_rules! columns {
    () => {
        "t.device_id, t.baseline_id, t.baseline_version, t.state, t.not_assessed, t.missing, t.waived, t.valid_from,
         t.valid_until, t.evaluated_at, t.scanned_at, t.device_seq as seq"
    };
}

macro_rules! period_columns {
    () => {
        "t.device_id, t.baseline_id, t.baseline_version, t.state, t.not_assessed, t.missing, t.waived, t.valid_from,
         t.valid_until, t.evaluated_at, t.scanned_at, t.seq"
    };
}
list! {
    /// How a device stands now, against every baseline that holds for it.
    COMPLIANCE_OF_DEVICE: PeriodRow, period_columns from "views.compliance_period t"
    where "t.device_id = p.parent and t.valid_until is null", oldest first by "t.seq"
}

/// Declares a list of devices against one baseline in the order of devices. The parent is the scope; the filter says the
/// rest: the baseline, the state (or nothing), the time (or nothing), and then the customers that are reached (or none of
/// them, for all).
macro_rules! standing_list {
    ($(#[$doc:meta])* $name:ident where $scope:literal at $time:literal) => {
        $(#[$doc])*
        pub(crate) static $name: List<PeriodRow> = List {
            name: stringify!($name),
            page: concat!(
                "select p.parent, l.* from unnest($1::uuid[]) as p (parent) cross join lateral (select ", columns!(),
                " from views.compliance_period t where ", $scope, " and ", $time,
                " and t.baseline_id = ($2::text[])[1]::uuid
                  and (($2::text[])[2] = '' or t.state = ($2::text[])[2])
                  and (cardinality($2::text[]) = 3 or t.customer_id::text = any($2::text[]))
                  and ($3::bigint is null or t.device_seq > $3)
                order by t.device_seq limit $4) l order by l.seq",
            ),
            count: concat!(
                "select p.parent, (select count(*) from views.compliance_period t where ", $scope, " and ", $time,
                " and t.baseline_id = ($2::text[])[1]::uuid
                  and (($2::text[])[2] = '' or t.state = ($2::text[])[2])
                  and (cardinality($2::text[]) = 3 or t.customer_id::text = any($2::text[]))) as total
                  from unnest($1::uuid[]) as p (parent)",
            ),
            row: PhantomData,
        };
    };
}

standing_list! {
    /// The devices of a partner, as they stand.
    DEVICES_OF_PARTNER_NOW where "t.partner_id = p.parent"
    at "t.valid_until is null"
}

standing_list! {
    /// The devices of a partner, as they stood just before a time.
    DEVICES_OF_PARTNER_THEN where "t.partner_id = p.parent"
    at "t.valid_from < ($2::text[])[3]::timestamptz
        and (t.valid_until is null or t.valid_until >= ($2::text[])[3]::timestamptz)"
}

standing_list! {
    /// The devices of a customer, as they stand.
    DEVICES_OF_CUSTOMER_NOW where "t.customer_id = p.parent"
    at "t.valid_until is null"
}

standing_list! {
    /// The devices of a customer, as they stood just before a time.
    DEVICES_OF_CUSTOMER_THEN where "t.customer_id = p.parent"
    at "t.valid_from < ($2::text[])[3]::timestamptz
        and (t.valid_until is null or t.valid_until >= ($2::text[])[3]::timestamptz)"
}

standing_list! {
    /// The devices of a group, as they stand.
    DEVICES_OF_GROUP_NOW where "t.device_id in (select m.device_id from views.compliance_group_member m
                       where m.group_id = p.parent and m.left_at is null)"
    at "t.valid_until is null"
}

standing_list! {
    /// The devices of a group, as they stood just before a time.
    DEVICES_OF_GROUP_THEN where "t.device_id in (select m.device_id from views.compliance_group_member m
                       where m.group_id = p.parent and m.joined_at < ($2::text[])[3]::timestamptz
                         and (m.left_at is null or m.left_at >= ($2::text[])[3]::timestamptz))"
    at "t.valid_from < ($2::text[])[3]::timestamptz
        and (t.valid_until is null or t.valid_until >= ($2::text[])[3]::timestamptz)"
}

/// The counts of one customer against a baseline.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct CustomerCountsRow {
    pub(crate) customer_id: Uuid,
    pub(crate) counts: Counts,
}

/// The customers of a partner with their counts against a baseline. The filter says which: the baseline, the day, and then
/// the customers that are reached (or none of them, for all).
pub(crate) static CUSTOMERS_OF_PARTNER_ON_DAY: List<CustomerCountsRow> = List {
    name: "CUSTOMERS_OF_PARTNER_ON_DAY",
    page: "
        select p.parent, l.*
          from unnest($1::uuid[]) as p (parent)
         cross join lateral (
               select t.customer_id, d.counts, t.seq
                 from views.customer t
                cross join lateral (
                      select k.counts
                        from views.compliance_day k
                       where k.baseline_id = ($2::text[])[1]::uuid
                         and k.scope_id = t.customer_id
                         and k.day <= ($2::text[])[2]::date
                       order by k.day desc
                       limit 1) d
                where t.partner_id = p.parent
                  and (cardinality($2::text[]) = 2 or t.customer_id::text = any($2::text[]))
                  and ($3::bigint is null or t.seq > $3)
                  and d.counts[1] + d.counts[2] + d.counts[3] + d.counts[4] > 0
                order by t.seq
                limit $4) l
         order by l.seq",
    count: "
        select p.parent,
               (select count(*)
                  from views.customer t
                 cross join lateral (
                       select k.counts
                         from views.compliance_day k
                        where k.baseline_id = ($2::text[])[1]::uuid
                          and k.scope_id = t.customer_id
                          and k.day <= ($2::text[])[2]::date
                        order by k.day desc
                        limit 1) d
                 where t.partner_id = p.parent
                   and (cardinality($2::text[]) = 2 or t.customer_id::text = any($2::text[]))
                   and d.counts[1] + d.counts[2] + d.counts[3] + d.counts[4] > 0) as total
          from unnest($1::uuid[]) as p (parent)",
    row: PhantomData,
};

/// The counts of scopes against a baseline at the end of a day.
pub(crate) const COUNTS_ON_DAY: &str = "
    select d.counts
      from unnest($2::uuid[]) as s (scope_id)
     cross join lateral (
           select k.counts
             from views.compliance_day k
            where k.baseline_id = $1 and k.scope_id = s.scope_id and k.day <= $3
            order by k.day desc
            limit 1) d";

/// How one device stood just before a time.
pub(crate) const DEVICE_AT: &str = concat!(
    "select ",
    columns!(),
    " from views.compliance_period t
     where t.baseline_id = $1 and t.device_id = $2 and t.valid_from < $3
       and (t.valid_until is null or t.valid_until >= $3)
     order by t.seq desc
     limit 1"
);

pub(super) fn apply(later: &mut Later, entry: Entry, fact: ComplianceEvent) {
    later.compliance.note(entry, fact);
}

/// Groups have counts of their own: who comes brings what is known of it, who leaves takes it along.
pub(super) async fn apply_group(
    tx: &mut Tx,
    later: &mut Later,
    entry: Entry,
    fact: GroupEvent,
) -> Result<(), StoreError> {
    match fact {
        GroupEvent::GroupDefined(GroupDefined { group_id, .. }) => {
            sqlx::query(
                "insert into compliance_group (group_id, partner_id, customer_id, seq) values ($1, $2, $3, $4)",
            )
            .bind(group_id.0)
            .bind(entry.partner_id)
            .bind(entry.customer_id)
            .bind(entry.seq)
            .execute(&mut **tx)
            .await?;
        }
        GroupEvent::GroupMembershipChanged(GroupMembershipChanged { group_id, added, removed, .. }) => {
            later.compliance.write(tx).await?;
            leave(tx, entry, group_id, Some(&removed)).await?;
            join(tx, entry, group_id, &added).await?;
        }
        GroupEvent::GroupRemoved(GroupRemoved { group_id, .. }) => {
            later.compliance.write(tx).await?;
            leave(tx, entry, group_id, None).await?;
            sqlx::query("delete from compliance_group where group_id = $1")
                .bind(group_id.0)
                .execute(&mut **tx)
                .await?;
        }
        // Which devices are meant says the membership that follows.
        GroupEvent::GroupChanged(_) => {}
    }
    Ok(())
}

async fn join(
    tx: &mut Tx,
    entry: Entry,
    group_id: DeviceGroupId,
    added: &[DeviceId],
) -> Result<(), StoreError> {
    let joined: Vec<Uuid> = sqlx::query_scalar(
        "insert into compliance_group_member (group_id, device_id, partner_id, customer_id, joined_at, seq)
         select $1, d.device_id, $2, $3, $4, $5
           from (select distinct device_id from unnest($6::uuid[]) as u (device_id)) d
             on conflict (device_id, group_id) where left_at is null do nothing
         returning device_id",
    )
    .bind(group_id.0)
    .bind(entry.partner_id)
    .bind(entry.customer_id)
    .bind(entry.recorded_at)
    .bind(entry.seq)
    .bind(added.iter().map(|id| id.0).collect::<Vec<_>>())
    .fetch_all(&mut **tx)
    .await?;
    days::count_group(tx, entry, group_id, &joined, 1).await
}

/// Without `removed`, all that are still there.
async fn leave(
    tx: &mut Tx,
    entry: Entry,
    group_id: DeviceGroupId,
    removed: Option<&[DeviceId]>,
) -> Result<(), StoreError> {
    let left: Vec<Uuid> = sqlx::query_scalar(
        "update compliance_group_member
            set left_at = greatest(joined_at, $2)
          where group_id = $1 and left_at is null and ($3::uuid[] is null or device_id = any($3))
         returning device_id",
    )
    .bind(group_id.0)
    .bind(entry.recorded_at)
    .bind(removed.map(|devices| devices.iter().map(|id| id.0).collect::<Vec<_>>()))
    .fetch_all(&mut **tx)
    .await?;
    days::count_group(tx, entry, group_id, &left, -1).await
}
