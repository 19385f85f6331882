//! Scan jobs.

use crate::reading::list::{ById, list};
use crate::views::Entry;
use crate::words::{ScanJobState, ScanReason};
use chrono::{DateTime, Utc};
use contracts::scheduling::{ScanInitiated, ScanJobCompleted, ScanJobEvent, ScanJobFailed, ScanRequested};
use eventstore::{StoreError, Tx};
use kernel::JobId;
use uuid::Uuid;

/// A scan job as GraphQL shows it.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct ScanJobRow {
    pub(crate) job_id: Uuid,
    pub(crate) device_id: Uuid,
    pub(crate) customer_id: Option<Uuid>,
    pub(crate) state: ScanJobState,
    pub(crate) because: ScanReason,
    pub(crate) reason: Option<String>,
    pub(crate) requested_at: DateTime<Utc>,
    pub(crate) finished_at: Option<DateTime<Utc>>,
}

macro_rules! columns {
    () => {
        "t.job_id, t.device_id, t.customer_id, t.state, t.because, t.reason, t.requested_at, t.finished_at, t.seq"
    };
}

impl ById for ScanJobRow {
    const BY_IDS: &'static str =
        concat!("select t.job_id as key, ", columns!(), " from views.scan_job t where t.job_id = any($1)");
}

list! {
    /// A device's scan jobs.
    SCAN_JOBS_OF_DEVICE: ScanJobRow, columns from "views.scan_job t"
    where "t.device_id = p.parent", newest first by "t.seq"
}

pub(super) async fn apply(tx: &mut Tx, entry: Entry, fact: ScanJobEvent) -> Result<(), StoreError> {
    match fact {
        ScanJobEvent::ScanRequested(ScanRequested { job_id, device_id, reason }) => {
            sqlx::query(
                "insert into scan_job (job_id, device_id, partner_id, customer_id, state, because,
                                       requested_at, seq)
                 values ($1, $2, $3, $4, 'REQUESTED', $5, $6, $7)",
            )
            .bind(job_id.0)
            .bind(device_id.0)
            .bind(entry.partner_id)
            .bind(entry.customer_id)
            .bind(ScanReason::from(reason))
            .bind(entry.recorded_at)
            .bind(entry.seq)
            .execute(&mut **tx)
            .await?;
            Ok(())
        }
        ScanJobEvent::ScanInitiated(ScanInitiated { job_id, .. }) => {
            change(tx, job_id, ScanJobState::Initiated, None, None).await
        }
        ScanJobEvent::ScanJobCompleted(ScanJobCompleted { job_id, .. }) => {
            change(tx, job_id, ScanJobState::Completed, None, Some(entry.recorded_at)).await
        }
        ScanJobEvent::ScanJobFailed(ScanJobFailed { job_id, reason, .. }) => {
            change(tx, job_id, ScanJobState::Failed, Some(reason), Some(entry.recorded_at)).await
        }
    }
}

async fn change(
    tx: &mut Tx,
    job_id: JobId,
    state: ScanJobState,
    reason: Option<String>,
    finished_at: Option<DateTime<Utc>>,
) -> Result<(), StoreError> {
    sqlx::query(
        "update scan_job
            set state = $2,
                reason = $3,
                finished_at = $4
          where job_id = $1",
    )
    .bind(job_id.0)
    .bind(state)
    .bind(reason)
    .bind(finished_at)
    .execute(&mut **tx)
    .await?;
    Ok(())
}
