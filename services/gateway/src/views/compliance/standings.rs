//! What a page of events says of devices against baselines, made into periods and counts in a few statements.

use super::{Counts, days::Changes};
use crate::views::Entry;
use crate::words::{ComplianceState, NotAssessedReason, name};
use chrono::{DateTime, Utc};
use contracts::approvals::{ComplianceEnded, ComplianceEvaluated, ComplianceEvent, SeverityCounts};
use eventstore::{StoreError, Tx};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use uuid::Uuid;

/// Results in the order of the log, not written yet.
#[derive(Default)]
pub(in crate::views) struct Standings(Vec<Noted>);

struct Noted {
    entry: Entry,
    device_id: Uuid,
    baseline_id: Uuid,
    /// None where the baseline does not hold any more.
    said: Option<Said>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Said {
    baseline_version: i64,
    state: ComplianceState,
    not_assessed: Option<NotAssessedReason>,
    missing: Vec<i64>,
    waived: i64,
    scanned_at: Option<DateTime<Utc>>,
}

impl Said {
    /// Everything but the scan: a new one that finds the same goes on with the period.
    fn is_same(&self, other: &Self) -> bool {
        (self.baseline_version, self.state, self.not_assessed, &self.missing, self.waived)
            == (other.baseline_version, other.state, other.not_assessed, &other.missing, other.waived)
    }

    fn counts(&self) -> Counts {
        Counts::one(self.state, &self.missing, self.waived)
    }
}

/// A period as it stands or will be written.
#[derive(Debug, Clone)]
struct Period {
    device_id: Uuid,
    baseline_id: Uuid,
    partner_id: Uuid,
    customer_id: Option<Uuid>,
    said: Said,
    valid_from: DateTime<Utc>,
    valid_until: Option<DateTime<Utc>>,
    evaluated_at: DateTime<Utc>,
    seq: i64,
}

#[derive(sqlx::FromRow)]
struct CurrentRow {
    device_id: Uuid,
    baseline_id: Uuid,
    partner_id: Uuid,
    customer_id: Uuid,
    baseline_version: i64,
    state: ComplianceState,
    not_assessed: Option<NotAssessedReason>,
    missing: Vec<i64>,
    waived: i64,
    valid_from: DateTime<Utc>,
    evaluated_at: DateTime<Utc>,
    scanned_at: Option<DateTime<Utc>>,
    seq: i64,
}

impl From<CurrentRow> for Period {
    fn from(row: CurrentRow) -> Self {
        Self {
            device_id: row.device_id,
            baseline_id: row.baseline_id,
            partner_id: row.partner_id,
            customer_id: Some(row.customer_id),
            said: Said {
                baseline_version: row.baseline_version,
                state: row.state,
                not_assessed: row.not_assessed,
                missing: row.missing,
                waived: row.waived,
                scanned_at: row.scanned_at,
            },
            valid_from: row.valid_from,
            valid_until: None,
            evaluated_at: row.evaluated_at,
            seq: row.seq,
        }
    }
}

impl From<&ComplianceEvaluated> for Said {
    fn from(fact: &ComplianceEvaluated) -> Self {
        let SeverityCounts { critical, high, medium, low, none, unknown } = fact.missing;
        Self {
            baseline_version: fact.baseline_version.into(),
            state: fact.state.into(),
            not_assessed: fact.not_assessed.map(Into::into),
            missing: [critical, high, medium, low, none, unknown].map(i64::from).to_vec(),
            waived: fact.waived.into(),
            scanned_at: fact.scanned_at,
        }
    }
}

impl Standings {
    pub(super) fn note(&mut self, entry: Entry, fact: ComplianceEvent) {
        let (device_id, baseline_id, said) = match fact {
            ComplianceEvent::ComplianceEvaluated(fact) => {
                (fact.device_id, fact.baseline_id, Some(Said::from(&fact)))
            }
            ComplianceEvent::ComplianceEnded(ComplianceEnded { device_id, baseline_id }) => {
                (device_id, baseline_id, None)
            }
            // The evaluation before it has said the same.
            ComplianceEvent::DeviceBecameCompliant(_) | ComplianceEvent::DeviceBecameNonCompliant(_) => {
                return;
            }
        };
        self.0.push(Noted { entry, device_id: device_id.0, baseline_id: baseline_id.0, said });
    }

    pub(in crate::views) async fn write(&mut self, tx: &mut Tx) -> Result<(), StoreError> {
        let notes = std::mem::take(&mut self.0);
        if notes.is_empty() {
            return Ok(());
        }
        let devices: Vec<Uuid> =
            notes.iter().map(|note| note.device_id).collect::<BTreeSet<_>>().into_iter().collect();
        let groups = groups_of(tx, &devices).await?;
        let mut current = current_of(tx, &devices).await?;
        let mut touched: BTreeMap<(Uuid, Uuid, i64), Period> = BTreeMap::new();
        let mut changes = Changes::default();
        for note in notes {
            let (key, seq) = ((note.device_id, note.baseline_id), note.entry.seq);
            let (ended, now) = note.take(current.remove(&key));
            if let Some(ended) = &ended {
                let day = ended.valid_until.unwrap_or(ended.valid_from).date_naive();
                count(&mut changes, day, ended, &groups, -ended.said.counts());
            }
            if let Some(begun) = now.as_ref().filter(|now| now.seq == seq) {
                count(&mut changes, begun.valid_from.date_naive(), begun, &groups, begun.said.counts());
            }
            for period in [ended, now.clone()].into_iter().flatten() {
                touched.insert((period.device_id, period.baseline_id, period.seq), period);
            }
            if let Some(now) = now {
                current.insert(key, now);
            }
        }
        write_periods(tx, touched.into_values().collect()).await?;
        changes.write(tx).await
    }
}

impl Noted {
    /// The period that ends, and the one that is there now: the one before, where the result is the same.
    fn take(self, before: Option<Period>) -> (Option<Period>, Option<Period>) {
        let at = self.entry.recorded_at;
        match (before, self.said) {
            (None, None) => (None, None),
            (Some(mut period), Some(said)) if period.said.is_same(&said) => {
                period.said = said;
                period.evaluated_at = at;
                (None, Some(period))
            }
            (before, said) => {
                // A clock that went back must not make a period end before it begins.
                let at = before.as_ref().map_or(at, |before| at.max(before.valid_from));
                let now = said.map(|said| Period {
                    device_id: self.device_id,
                    baseline_id: self.baseline_id,
                    partner_id: self.entry.partner_id,
                    customer_id: self.entry.customer_id,
                    said,
                    valid_from: at,
                    valid_until: None,
                    evaluated_at: self.entry.recorded_at,
                    seq: self.entry.seq,
                });
                (before.map(|before| Period { valid_until: Some(at), ..before }), now)
            }
        }
    }
}

/// Adds to the counts of all scopes that the device is in.
fn count(
    changes: &mut Changes,
    day: chrono::NaiveDate,
    period: &Period,
    groups: &HashMap<Uuid, Vec<Uuid>>,
    counts: Counts,
) {
    let Period { partner_id, customer_id, .. } = *period;
    changes.add(day, period.baseline_id, (partner_id, partner_id, None), counts);
    if let Some(id) = customer_id {
        changes.add(day, period.baseline_id, (id, partner_id, customer_id), counts);
    }
    for group_id in groups.get(&period.device_id).into_iter().flatten() {
        changes.add(day, period.baseline_id, (*group_id, partner_id, customer_id), counts);
    }
}

async fn groups_of(tx: &mut Tx, devices: &[Uuid]) -> Result<HashMap<Uuid, Vec<Uuid>>, StoreError> {
    let rows: Vec<(Uuid, Uuid)> = sqlx::query_as(
        "select device_id, group_id from compliance_group_member where device_id = any($1) and left_at is null",
    )
    .bind(devices)
    .fetch_all(&mut **tx)
    .await?;
    let mut groups: HashMap<Uuid, Vec<Uuid>> = HashMap::new();
    for (device_id, group_id) in rows {
        groups.entry(device_id).or_default().push(group_id);
    }
    Ok(groups)
}

async fn current_of(tx: &mut Tx, devices: &[Uuid]) -> Result<HashMap<(Uuid, Uuid), Period>, StoreError> {
    let rows: Vec<CurrentRow> = sqlx::query_as(
        "select device_id, baseline_id, partner_id, customer_id, baseline_version, state, not_assessed, missing, waived,
                valid_from, evaluated_at, scanned_at, seq
           from compliance_period
          where device_id = any($1) and valid_until is null",
    )
    .bind(devices)
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.into_iter().map(|row| ((row.device_id, row.baseline_id), row.into())).collect())
}

/// Those that end come before those that begin: at any moment one of each device and baseline has no end.
async fn write_periods(tx: &mut Tx, mut periods: Vec<Period>) -> Result<(), StoreError> {
    periods.sort_by_key(|period| (period.valid_until.is_none(), period.seq));
    let (ended, open): (Vec<_>, Vec<_>) =
        periods.into_iter().partition(|period| period.valid_until.is_some());
    for some in [ended, open] {
        write_some(tx, &some).await?;
    }
    Ok(())
}

/// A severity's counts by their place.
fn missing(periods: &[Period]) -> Vec<i64> {
    periods.iter().flat_map(|period| &period.said.missing).copied().collect()
}

async fn write_some(tx: &mut Tx, periods: &[Period]) -> Result<(), StoreError> {
    if periods.is_empty() {
        return Ok(());
    }
    let column = |of: fn(&Period) -> Uuid| periods.iter().map(of).collect::<Vec<_>>();
    sqlx::query(
        "insert into compliance_period (device_id, baseline_id, partner_id, customer_id, baseline_version, state,
                                        not_assessed, missing, waived, valid_from, valid_until, evaluated_at, scanned_at,
                                        device_seq, seq)
         select c.device_id, c.baseline_id, c.partner_id, c.customer_id, c.baseline_version, c.state, c.not_assessed,
                ($8::bigint[])[(c.n - 1) * 6 + 1 : c.n * 6], c.waived, c.valid_from, c.valid_until, c.evaluated_at,
                c.scanned_at, coalesce(d.seq, 0), c.seq
           from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::bigint[], $6::text[], $7::text[], $9::bigint[],
                       $10::timestamptz[], $11::timestamptz[], $12::timestamptz[], $13::timestamptz[], $14::bigint[])
                with ordinality
                as c (device_id, baseline_id, partner_id, customer_id, baseline_version, state, not_assessed, waived,
                      valid_from, valid_until, evaluated_at, scanned_at, seq, n)
           left join device d on d.device_id = c.device_id
             on conflict (device_id, baseline_id, seq) do update
            set valid_until = excluded.valid_until,
                evaluated_at = excluded.evaluated_at,
                scanned_at = excluded.scanned_at",
    )
    .bind(column(|period| period.device_id))
    .bind(column(|period| period.baseline_id))
    .bind(column(|period| period.partner_id))
    .bind(periods.iter().map(|period| period.customer_id).collect::<Vec<_>>())
    .bind(periods.iter().map(|period| period.said.baseline_version).collect::<Vec<_>>())
    .bind(periods.iter().map(|period| name(period.said.state)).collect::<Vec<_>>())
    .bind(periods.iter().map(|period| period.said.not_assessed.map(name)).collect::<Vec<_>>())
    .bind(missing(periods))
    .bind(periods.iter().map(|period| period.said.waived).collect::<Vec<_>>())
    .bind(periods.iter().map(|period| period.valid_from).collect::<Vec<_>>())
    .bind(periods.iter().map(|period| period.valid_until).collect::<Vec<_>>())
    .bind(periods.iter().map(|period| period.evaluated_at).collect::<Vec<_>>())
    .bind(periods.iter().map(|period| period.said.scanned_at).collect::<Vec<_>>())
    .bind(periods.iter().map(|period| period.seq).collect::<Vec<_>>())
    .execute(&mut **tx)
    .await?;
    Ok(())
}
