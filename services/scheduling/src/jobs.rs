//! One row per scan job and device job: which kind it is, how far it has come, and when it was last heard of.

use chrono::{DateTime, Utc};
use contracts::scheduling::{DeviceJobEvent, ScanJobEvent};
use eventstore::{StoreError, Tx};
use kernel::{CorrelationId, CustomerId, DeviceId, Envelope, JobId, PartnerId, Tenant};
use scheduling_domain::device_job::Stage;
use uuid::Uuid;

/// Jobs given up in one go: small enough that the others need not wait.
const SILENT_MAX: i64 = 100;

const SCAN: &str = "SCAN";
const INSTALL: &str = "INSTALL";

/// What a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A scan job.
    Scan,
    /// A device job.
    Install,
}

/// A job of which nobody has heard for too long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Silent {
    pub(crate) job_id: JobId,
    pub(crate) tenant: Tenant,
    pub(crate) stage: SilentStage,
    pub(crate) correlation_id: CorrelationId,
    pub(crate) traceparent: Option<String>,
}

/// Where it fell silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SilentStage {
    /// A scan job, wherever it was.
    Scan,
    /// A device job.
    Install(Stage),
}

/// Takes a fact of a scan job.
pub(crate) async fn apply_scan(
    tx: &mut Tx,
    event: &Envelope,
    fact: &ScanJobEvent,
) -> Result<(), sqlx::Error> {
    match fact {
        ScanJobEvent::ScanRequested(fact) => {
            insert(tx, event, fact.job_id, fact.device_id, SCAN, "REQUESTED", None).await
        }
        ScanJobEvent::ScanInitiated(fact) => moved(tx, event, fact.job_id, "INITIATED").await,
        ScanJobEvent::ScanJobCompleted(fact) => ended(tx, event, fact.job_id).await,
        ScanJobEvent::ScanJobFailed(fact) => ended(tx, event, fact.job_id).await,
    }
}

/// Takes a fact of a device job.
pub(crate) async fn apply_install(
    tx: &mut Tx,
    event: &Envelope,
    fact: &DeviceJobEvent,
) -> Result<(), sqlx::Error> {
    let reached = |stage: Stage| stage.name();
    match fact {
        DeviceJobEvent::DeviceJobQueued(fact) => {
            let stage = reached(Stage::Queued);
            insert(tx, event, fact.job_id, fact.device_id, INSTALL, stage, Some(fact.expires_at)).await
        }
        DeviceJobEvent::DeviceJobDispatched(fact) => {
            moved(tx, event, fact.job_id, reached(Stage::Dispatched)).await
        }
        DeviceJobEvent::DeviceJobAcknowledged(fact) => {
            moved(tx, event, fact.job_id, reached(Stage::Acknowledged)).await
        }
        DeviceJobEvent::DownloadInitiated(fact) => {
            moved(tx, event, fact.job_id, reached(Stage::Downloading)).await
        }
        DeviceJobEvent::InstallStarted(fact) => {
            moved(tx, event, fact.job_id, reached(Stage::Installing)).await
        }
        DeviceJobEvent::RebootRequired(fact) => {
            moved(tx, event, fact.job_id, reached(Stage::PendingReboot)).await
        }
        DeviceJobEvent::VerificationStarted(fact) => {
            moved(tx, event, fact.job_id, reached(Stage::Verifying)).await
        }
        DeviceJobEvent::DeviceJobSucceeded(fact) => ended(tx, event, fact.job_id).await,
        DeviceJobEvent::DeviceJobFailed(fact) => ended(tx, event, fact.job_id).await,
        DeviceJobEvent::DeviceJobTimedOut(fact) => ended(tx, event, fact.job_id).await,
        // Of a skipped job nobody will ever speak; one with a late result had ended before.
        DeviceJobEvent::DeviceJobSkipped(_) | DeviceJobEvent::DeviceJobLateResultRecorded(_) => Ok(()),
    }
}

async fn insert(
    tx: &mut Tx,
    event: &Envelope,
    job_id: JobId,
    device_id: DeviceId,
    kind: &'static str,
    stage: &'static str,
    expires_at: Option<DateTime<Utc>>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into scheduling.job (job_id, partner_id, customer_id, device_id, kind, stage, expires_at, heard_at,
                                     correlation_id, traceparent)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         on conflict (job_id) do nothing",
    )
    .bind(job_id.0)
    .bind(event.tenant.partner_id.0)
    .bind(event.tenant.customer_id.map(|id| id.0))
    .bind(device_id.0)
    .bind(kind)
    .bind(stage)
    .bind(expires_at)
    .bind(event.recorded_at)
    .bind(event.correlation_id.0)
    .bind(&event.traceparent)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// A restart may be asked for after the last stage began, which stays the last.
async fn moved(tx: &mut Tx, event: &Envelope, job_id: JobId, stage: &'static str) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update scheduling.job
            set stage = case stage when 'VERIFYING' then stage else $2 end,
                heard_at = $3
          where job_id = $1",
    )
    .bind(job_id.0)
    .bind(stage)
    .bind(event.recorded_at)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn ended(tx: &mut Tx, event: &Envelope, job_id: JobId) -> Result<(), sqlx::Error> {
    sqlx::query("update scheduling.job set open = false, heard_at = $2 where job_id = $1")
        .bind(job_id.0)
        .bind(event.recorded_at)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// What the job is, if it is one of ours for this device.
pub(crate) async fn kind_of(
    tx: &mut Tx,
    job_id: JobId,
    device_id: DeviceId,
) -> Result<Option<Kind>, StoreError> {
    let kind: Option<String> =
        sqlx::query_scalar("select kind from scheduling.job where job_id = $1 and device_id = $2")
            .bind(job_id.0)
            .bind(device_id.0)
            .fetch_optional(&mut **tx)
            .await?;
    kind.map(|kind| kind_by_name(&kind, job_id.0)).transpose()
}

#[derive(sqlx::FromRow)]
struct SilentRow {
    job_id: Uuid,
    partner_id: Uuid,
    customer_id: Uuid,
    kind: String,
    stage: String,
    correlation_id: Uuid,
    traceparent: Option<String>,
}

/// Queued installs that have expired, and everything else that was last heard of before `silent_since`. Those that were
/// looked at before come last, so that some that cannot be given up do not stand in the others' way.
pub(crate) async fn silent(
    tx: &mut Tx,
    now: DateTime<Utc>,
    silent_since: DateTime<Utc>,
) -> Result<Vec<Result<Silent, StoreError>>, StoreError> {
    // A row that is locked is being changed: somebody has just been heard of.
    let rows: Vec<SilentRow> = sqlx::query_as(
        "with silent as (
           select job_id
             from scheduling.job
            where open
              and case stage when 'QUEUED' then expires_at < $1 else heard_at < $2 end
            order by greatest(heard_at, looked_at)
            limit $3
              for update skip locked
         )
         update scheduling.job j
            set looked_at = $1
           from silent s
          where j.job_id = s.job_id
        returning j.job_id, j.partner_id, j.customer_id, j.kind, j.stage, j.correlation_id, j.traceparent",
    )
    .bind(now)
    .bind(silent_since)
    .bind(SILENT_MAX)
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.into_iter().map(Silent::try_from).collect())
}

impl TryFrom<SilentRow> for Silent {
    type Error = StoreError;

    fn try_from(row: SilentRow) -> Result<Self, StoreError> {
        let stage = match kind_by_name(&row.kind, row.job_id)? {
            Kind::Scan => SilentStage::Scan,
            Kind::Install => Stage::by_name(&row.stage).map(SilentStage::Install).ok_or_else(|| {
                let what = format!("scheduling.job {} has the stage {:?}", row.job_id, row.stage);
                StoreError::Corrupt { what }
            })?,
        };
        Ok(Self {
            job_id: JobId(row.job_id),
            tenant: Tenant::customer(PartnerId(row.partner_id), CustomerId(row.customer_id)),
            stage,
            correlation_id: CorrelationId(row.correlation_id),
            traceparent: row.traceparent,
        })
    }
}

fn kind_by_name(name: &str, job_id: Uuid) -> Result<Kind, StoreError> {
    match name {
        SCAN => Ok(Kind::Scan),
        INSTALL => Ok(Kind::Install),
        _ => Err(StoreError::Corrupt { what: format!("scheduling.job {job_id} has the kind {name:?}") }),
    }
}
