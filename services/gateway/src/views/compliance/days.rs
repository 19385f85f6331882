//! Counts per partner, customer and group at the end of each day, kept by adding what changed.

use super::Counts;
use crate::views::Entry;
use crate::words::ComplianceState;
use chrono::NaiveDate;
use eventstore::{StoreError, Tx};
use kernel::DeviceGroupId;
use std::collections::BTreeMap;
use uuid::Uuid;

/// What changed, by day, baseline and scope.
#[derive(Default)]
pub(super) struct Changes(BTreeMap<NaiveDate, BTreeMap<(Uuid, Uuid), Change>>);

struct Change {
    partner_id: Uuid,
    customer_id: Option<Uuid>,
    counts: Counts,
}

impl Changes {
    /// Adds to the counts of one scope.
    pub(super) fn add(
        &mut self,
        day: NaiveDate,
        baseline_id: Uuid,
        (scope_id, partner_id, customer_id): (Uuid, Uuid, Option<Uuid>),
        counts: Counts,
    ) {
        let changes = self.0.entry(day).or_default();
        let change = changes.entry((baseline_id, scope_id)).or_insert(Change {
            partner_id,
            customer_id,
            counts: Counts::default(),
        });
        change.counts += counts;
    }

    /// Day by day: each continues what the day before left.
    pub(super) async fn write(self, tx: &mut Tx) -> Result<(), StoreError> {
        for (day, changes) in self.0 {
            write_day(tx, day, &changes).await?;
        }
        Ok(())
    }
}

async fn write_day(
    tx: &mut Tx,
    day: NaiveDate,
    of_day: &BTreeMap<(Uuid, Uuid), Change>,
) -> Result<(), StoreError> {
    let changed: Vec<_> = of_day.iter().filter(|(_, change)| !change.counts.is_zero()).collect();
    if changed.is_empty() {
        return Ok(());
    }
    let counts: Vec<i64> = changed.iter().flat_map(|(_, change)| change.counts.as_slice()).copied().collect();
    let width = i32::try_from(counts.len() / changed.len()).unwrap_or_default();
    // An array of arrays cannot be unnested by one level: each finds its part by its number. Days after this one are
    // there only where the server's clock went back, and have to change as well.
    sqlx::query(
        "with change as (
             select c.baseline_id, c.scope_id, c.partner_id, c.customer_id,
                    ($5::bigint[])[(c.n - 1) * $6 + 1 : c.n * $6] as counts
               from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[])
                    with ordinality as c (baseline_id, scope_id, partner_id, customer_id, n)
         ), later as (
             update compliance_day k
                set counts = (select array_agg(a + b order by n)
                                from unnest(k.counts, c.counts) with ordinality as s (a, b, n))
               from change c
              where k.baseline_id = c.baseline_id and k.scope_id = c.scope_id and k.day > $7
         )
         insert into compliance_day (baseline_id, scope_id, day, partner_id, customer_id, counts)
         select c.baseline_id, c.scope_id, $7, c.partner_id, c.customer_id,
                case when before.counts is null then c.counts
                     else (select array_agg(a + b order by n)
                             from unnest(before.counts, c.counts) with ordinality as s (a, b, n)) end
           from change c
           left join lateral (
                select k.counts
                  from compliance_day k
                 where k.baseline_id = c.baseline_id and k.scope_id = c.scope_id and k.day <= $7
                 order by k.day desc
                 limit 1) before on true
             on conflict (baseline_id, scope_id, day) do update set counts = excluded.counts",
    )
    .bind(changed.iter().map(|((baseline_id, _), _)| *baseline_id).collect::<Vec<_>>())
    .bind(changed.iter().map(|((_, scope_id), _)| *scope_id).collect::<Vec<_>>())
    .bind(changed.iter().map(|(_, change)| change.partner_id).collect::<Vec<_>>())
    .bind(changed.iter().map(|(_, change)| change.customer_id).collect::<Vec<_>>())
    .bind(counts)
    .bind(width)
    .bind(day)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

#[derive(sqlx::FromRow)]
struct StandingRow {
    baseline_id: Uuid,
    state: ComplianceState,
    missing: Vec<i64>,
    waived: i64,
}

/// Adds devices to a group's counts, or takes them away.
pub(super) async fn count_group(
    tx: &mut Tx,
    entry: Entry,
    group_id: DeviceGroupId,
    devices: &[Uuid],
    sign: i64,
) -> Result<(), StoreError> {
    if devices.is_empty() {
        return Ok(());
    }
    let rows: Vec<StandingRow> = sqlx::query_as(
        "select baseline_id, state, missing, waived
           from compliance_period
          where device_id = any($1) and valid_until is null",
    )
    .bind(devices)
    .fetch_all(&mut **tx)
    .await?;
    let mut changes = Changes::default();
    for row in rows {
        let counts = Counts::one(row.state, &row.missing, row.waived);
        let counts = if sign < 0 { -counts } else { counts };
        let scope = (group_id.0, entry.partner_id, entry.customer_id);
        changes.add(entry.recorded_at.date_naive(), row.baseline_id, scope, counts);
    }
    changes.write(tx).await
}
