//! Measures devices: reads all that the rules need in a few statements, and writes what is news in as many.

use approvals_domain::compliance::{self, Command, Compliance, Last, Lens, Patch, Scanned, assess};
use chrono::{DateTime, NaiveDate, Utc};
use contracts::approvals::{BaselineContent, ComplianceEvaluated, ComplianceEvent};
use contracts::{Classification, Severity};
use eventstore::{Part, Store, StoreError, Target, Tx};
use kernel::{
    Aggregate, BaselineId, Cause, CustomerId, DeviceId, PartnerId, PatchId, Scope, StreamId, Tenant,
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use uuid::Uuid;

/// Streams in one statement at the most.
const PARTS_MAX: usize = 1_000;

/// In whose name and at what time.
pub(super) struct Measuring<'a> {
    pub(super) store: &'a Store,
    pub(super) scope: &'a Scope,
    pub(super) now: DateTime<Utc>,
}

#[derive(sqlx::FromRow)]
struct DeviceRow {
    device_id: Uuid,
    partner_id: Uuid,
    customer_id: Uuid,
    scanned_at: Option<DateTime<Utc>>,
    pending_reboot: bool,
}

#[derive(sqlx::FromRow)]
struct PatchRow {
    patch_id: Uuid,
    name: String,
    os_versions: Vec<String>,
    severity: String,
    classification: String,
    release_date: NaiveDate,
    is_kev: bool,
}

#[derive(sqlx::FromRow)]
struct RecordRow {
    device_id: Uuid,
    baseline_id: Uuid,
    version: i64,
    evaluated: Option<Value>,
}

/// A baseline that holds for some of the devices.
struct Held {
    version: u32,
    lens: Lens,
}

/// What is known of the devices.
struct Fleet {
    devices: Vec<DeviceRow>,
    /// Baselines by device.
    holding: BTreeSet<(Uuid, Uuid)>,
    baselines: HashMap<Uuid, Held>,
    missing: HashMap<Uuid, Vec<Uuid>>,
    patches: HashMap<Uuid, Patch>,
    /// By device and baseline.
    records: BTreeMap<(Uuid, Uuid), RecordRow>,
}

/// What is news of one device against one baseline.
struct News {
    tenant: Tenant,
    stream_id: StreamId,
    device_id: Uuid,
    baseline_id: Uuid,
    expected: i64,
    facts: Vec<ComplianceEvent>,
    evaluated: Option<Value>,
    look_again_at: Option<DateTime<Utc>>,
    cause: Cause,
}

impl Measuring<'_> {
    /// Measures the devices against all baselines that hold for them; `cause` names what follows from what.
    pub(super) async fn measure(
        &self,
        tx: &mut Tx,
        devices: &[Uuid],
        cause: impl Fn(&str) -> Cause,
    ) -> Result<(), StoreError> {
        if devices.is_empty() {
            return Ok(());
        }
        let fleet = Fleet::read(tx, devices).await?;
        let mut all = Vec::new();
        for device in &fleet.devices {
            for baseline_id in fleet.baselines_of(device.device_id) {
                all.extend(self.news(&fleet, device, baseline_id, &cause)?);
            }
        }
        for some in all.chunks(PARTS_MAX) {
            self.write(tx, some).await?;
        }
        Ok(())
    }

    /// None where nothing is to be written, not even another time to look again.
    fn news(
        &self,
        fleet: &Fleet,
        device: &DeviceRow,
        baseline_id: Uuid,
        cause: &impl Fn(&str) -> Cause,
    ) -> Result<Option<News>, StoreError> {
        let record = fleet.records.get(&(device.device_id, baseline_id));
        let state = record.map_or(Ok(compliance::State::Unmeasured), RecordRow::state)?;
        let (device_id, baseline) = (DeviceId(device.device_id), BaselineId(baseline_id));
        let holds = fleet.holding.contains(&(device.device_id, baseline_id));
        let (command, look_again_at) = match fleet.baselines.get(&baseline_id).filter(|_| holds) {
            None => (Command::End { device_id, baseline_id: baseline }, None),
            Some(held) => {
                let scanned = Scanned { at: device.scanned_at, pending_reboot: device.pending_reboot };
                let missing = fleet.missing_on(device.device_id);
                let assessment = assess(&held.lens, scanned, missing, |_| false, self.now);
                let baseline_version = held.version;
                let record =
                    Command::Record { device_id, baseline_id: baseline, baseline_version, assessment };
                (record, assessment.look_again_at)
            }
        };
        let facts = match Compliance::decide(&state, command) {
            Ok(facts) => facts,
            Err(never) => match never {},
        };
        let evaluated = match facts.iter().fold(state, Compliance::evolve) {
            compliance::State::Unmeasured => None,
            compliance::State::Measured(_) => last_evaluation(&facts)
                .map(|fact| serde_json::to_value(fact).map_err(corrupt))
                .transpose()?
                .or_else(|| record.and_then(|record| record.evaluated.clone())),
        };
        if facts.is_empty() && record.is_none() {
            return Ok(None);
        }
        Ok(Some(News {
            tenant: Tenant::customer(PartnerId(device.partner_id), CustomerId(device.customer_id)),
            stream_id: StreamId::derived(device.device_id, &format!("compliance/{baseline_id}")),
            device_id: device.device_id,
            baseline_id,
            expected: record.map_or(0, |record| record.version),
            facts,
            evaluated,
            look_again_at,
            cause: cause(&format!("compliance {} {baseline_id}", device.device_id)),
        }))
    }

    async fn write(&self, tx: &mut Tx, news: &[News]) -> Result<(), StoreError> {
        let parts: Vec<Part<'_>> = news
            .iter()
            .filter(|one| !one.facts.is_empty())
            .map(|one| {
                let target = Target {
                    scope: self.scope,
                    tenant: one.tenant,
                    stream_id: one.stream_id,
                    cause: &one.cause,
                    occurred_at: None,
                };
                Part::of::<Compliance>(target, one.expected, &one.facts)
            })
            .collect();
        self.store.append_all_in(tx, self.scope, &parts).await?;
        let version = |one: &News| one.expected + i64::try_from(one.facts.len()).unwrap_or(0);
        sqlx::query(
            "insert into approvals.compliance_record (device_id, baseline_id, partner_id, customer_id, version,
                                                      evaluated, look_again_at)
             select *
               from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::bigint[], $6::jsonb[],
                           $7::timestamptz[])
             on conflict (device_id, baseline_id) do update
                set version = excluded.version,
                    evaluated = excluded.evaluated,
                    look_again_at = excluded.look_again_at",
        )
        .bind(news.iter().map(|one| one.device_id).collect::<Vec<_>>())
        .bind(news.iter().map(|one| one.baseline_id).collect::<Vec<_>>())
        .bind(news.iter().map(|one| one.tenant.partner_id.0).collect::<Vec<_>>())
        .bind(news.iter().map(|one| one.tenant.customer_id.map(|id| id.0)).collect::<Vec<_>>())
        .bind(news.iter().map(version).collect::<Vec<_>>())
        .bind(news.iter().map(|one| one.evaluated.clone()).collect::<Vec<_>>())
        .bind(news.iter().map(|one| one.look_again_at).collect::<Vec<_>>())
        .execute(&mut **tx)
        .await?;
        Ok(())
    }
}

fn last_evaluation(facts: &[ComplianceEvent]) -> Option<&ComplianceEvaluated> {
    facts.iter().rev().find_map(|fact| match fact {
        ComplianceEvent::ComplianceEvaluated(fact) => Some(fact),
        ComplianceEvent::DeviceBecameCompliant(_)
        | ComplianceEvent::DeviceBecameNonCompliant(_)
        | ComplianceEvent::ComplianceEnded(_) => None,
    })
}

impl RecordRow {
    fn state(&self) -> Result<compliance::State, StoreError> {
        let Some(evaluated) = self.evaluated.clone() else { return Ok(compliance::State::Unmeasured) };
        let fact: ComplianceEvaluated = serde_json::from_value(evaluated).map_err(corrupt)?;
        Ok(compliance::State::Measured(Last::from(&fact)))
    }
}

impl Fleet {
    async fn read(tx: &mut Tx, devices: &[Uuid]) -> Result<Self, StoreError> {
        let rows: Vec<DeviceRow> = sqlx::query_as(
            "select device_id, partner_id, customer_id, scanned_at, pending_reboot
               from approvals.compliance_device
              where device_id = any($1)
              order by device_id",
        )
        .bind(devices)
        .fetch_all(&mut **tx)
        .await?;
        let holding = holding(tx, devices).await?;
        let records: Vec<RecordRow> = sqlx::query_as(
            "select device_id, baseline_id, version, evaluated
               from approvals.compliance_record
              where device_id = any($1)",
        )
        .bind(devices)
        .fetch_all(&mut **tx)
        .await?;
        let baselines = baselines(tx, &holding).await?;
        // Where nothing holds, nothing counts, and a fleet without baselines costs two statements.
        let (missing, patches) = if holding.is_empty() {
            (HashMap::new(), HashMap::new())
        } else {
            (missing(tx, devices).await?, patches(tx, devices).await?)
        };
        let records = records.into_iter().map(|row| ((row.device_id, row.baseline_id), row)).collect();
        Ok(Self { devices: rows, holding, baselines, missing, patches, records })
    }

    /// Those that hold, and those that did.
    fn baselines_of(&self, device_id: Uuid) -> BTreeSet<Uuid> {
        let of = (device_id, Uuid::nil())..=(device_id, Uuid::max());
        let held = self.records.range(of.clone()).map(|((_, baseline_id), _)| *baseline_id);
        self.holding.range(of).map(|(_, baseline_id)| *baseline_id).chain(held).collect()
    }

    fn missing_on(&self, device_id: Uuid) -> impl Iterator<Item = &Patch> {
        let patches = self.missing.get(&device_id).map_or(&[][..], Vec::as_slice);
        patches.iter().filter_map(|patch_id| self.patches.get(patch_id))
    }
}

/// Which baselines hold for which devices: by partner, customer, group or for the device itself.
async fn holding(tx: &mut Tx, devices: &[Uuid]) -> Result<BTreeSet<(Uuid, Uuid)>, StoreError> {
    let rows: Vec<(Uuid, Uuid)> = sqlx::query_as(
        "select distinct t.device_id, a.baseline_id
           from (select d.device_id, u.target_id
                   from approvals.compliance_device d
                  cross join lateral unnest(array[d.device_id, d.customer_id, d.partner_id]) as u (target_id)
                  where d.device_id = any($1)
                  union all
                 select m.device_id, m.group_id
                   from approvals.compliance_group_member m
                  where m.device_id = any($1)) t
           join approvals.baseline_assignment a on a.target_id = t.target_id
           join approvals.baseline b on b.baseline_id = a.baseline_id and not b.retired",
    )
    .bind(devices)
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.into_iter().collect())
}

async fn baselines(tx: &mut Tx, holding: &BTreeSet<(Uuid, Uuid)>) -> Result<HashMap<Uuid, Held>, StoreError> {
    let ids: BTreeSet<Uuid> = holding.iter().map(|(_, baseline_id)| *baseline_id).collect();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let rows: Vec<(Uuid, i32, Value)> = sqlx::query_as(
        "select baseline_id, baseline_version, content from approvals.baseline where baseline_id = any($1)",
    )
    .bind(ids.into_iter().collect::<Vec<_>>())
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter()
        .map(|(baseline_id, version, content)| {
            let content: BaselineContent = serde_json::from_value(content).map_err(corrupt)?;
            let version = u32::try_from(version).unwrap_or_default();
            Ok((baseline_id, Held { version, lens: Lens::of(content) }))
        })
        .collect()
}

async fn missing(tx: &mut Tx, devices: &[Uuid]) -> Result<HashMap<Uuid, Vec<Uuid>>, StoreError> {
    let rows: Vec<(Uuid, Uuid)> = sqlx::query_as(
        "select device_id, patch_id from approvals.compliance_missing where device_id = any($1)",
    )
    .bind(devices)
    .fetch_all(&mut **tx)
    .await?;
    let mut missing: HashMap<Uuid, Vec<Uuid>> = HashMap::new();
    for (device_id, patch_id) in rows {
        missing.entry(device_id).or_default().push(patch_id);
    }
    Ok(missing)
}

/// Each patch once, however many devices miss it.
async fn patches(tx: &mut Tx, devices: &[Uuid]) -> Result<HashMap<Uuid, Patch>, StoreError> {
    let rows: Vec<PatchRow> = sqlx::query_as(
        "select p.patch_id, p.name, p.os_versions, p.severity, p.classification, p.release_date,
                exists (select
                          from approvals.compliance_patch_cve c
                          join approvals.compliance_kev k on k.cve = c.cve
                         where c.patch_id = p.patch_id) as is_kev
           from approvals.compliance_patch p
          where p.patch_id in (select m.patch_id from approvals.compliance_missing m where m.device_id = any($1))",
    )
    .bind(devices)
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter().map(|row| Ok((row.patch_id, row.read()?))).collect()
}

impl PatchRow {
    fn read(self) -> Result<Patch, StoreError> {
        Ok(Patch {
            patch_id: PatchId(self.patch_id),
            name: self.name,
            os_versions: self.os_versions,
            severity: word::<Severity>(self.severity)?,
            classification: word::<Classification>(self.classification)?,
            release_date: self.release_date,
            is_kev: self.is_kev,
        })
    }
}

/// Reads a stored word of one of our enums.
fn word<T: DeserializeOwned>(text: String) -> Result<T, StoreError> {
    serde_json::from_value(Value::String(text)).map_err(corrupt)
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
fn corrupt(error: serde_json::Error) -> StoreError {
    StoreError::Corrupt { what: format!("a table of approvals contradicts its type: {error}") }
}
