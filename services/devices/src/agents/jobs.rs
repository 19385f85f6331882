//! Handing out jobs, and hearing how they go.

use super::{Agents, Origin, cause, contact::Contact, origin, read};
use crate::fault::{Fault, retried};
use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Path, Query},
};
use chrono::{DateTime, TimeDelta, Utc};
use contracts::agent::{JOB_WAIT_SECONDS_MAX, Job, JobReport, Receipt, SignedJob, Work};
use devices_domain::{DeviceCommand, report::check_job};
use kernel::{CommandId, CorrelationId, EventId, JobId};
use serde::Deserialize;
use sqlx::types::Json;
use std::time::{Duration, Instant};
use uuid::Uuid;
use web::{ApiError, Body};

/// A job that was handed out and not spoken of for so long was lost on the way: agents speak up at once.
const REDELIVERY: TimeDelta = TimeDelta::seconds(60);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wait {
    #[serde(default)]
    wait: u64,
}

#[derive(sqlx::FromRow)]
struct JobRow {
    job_id: Uuid,
    work: Json<Work>,
    expires_at: DateTime<Utc>,
    correlation_id: Uuid,
    causation_id: Uuid,
    traceparent: Option<String>,
}

/// `GET /agent/v1/jobs?wait=25`
pub(super) async fn next(
    agents: Data<Agents>,
    request: HttpRequest,
    query: Query<Wait>,
) -> Result<HttpResponse, ApiError> {
    let contact = match agents.meet(&request, b"").await {
        Ok(contact) => contact,
        Err(turned) => return turned.answer(),
    };
    let started = Instant::now();
    let patience = Duration::from_secs(query.wait.min(JOB_WAIT_SECONDS_MAX));
    // Waiting is contact: often enough that the device does not go offline meanwhile.
    let touch_every = agents.config.offline_after() / 3;
    let mut touched = started;
    // Before looking, so that nothing that comes in between is missed.
    let mut listener = agents.wake.listen(contact.device_id);
    loop {
        if let Some(job) = retried(|| agents.deliver(&contact)).await? {
            return Ok(HttpResponse::Ok().json(job));
        }
        let Some(left) = patience.checked_sub(started.elapsed()).filter(|left| !left.is_zero()) else {
            break;
        };
        if touched.elapsed() >= touch_every {
            retried(|| agents.still_there(&contact)).await?;
            touched = Instant::now();
        }
        let untouched = touch_every.saturating_sub(touched.elapsed());
        let stopped = tokio::select! {
            () = agents.foundation.lifecycle.stopped() => true,
            // At the latest when the next touch is due, or when patience ends, for a last look.
            _ = tokio::time::timeout(left.min(untouched), listener.heard()) => false,
        };
        if stopped {
            break;
        }
    }
    Ok(HttpResponse::NoContent().finish())
}

/// `POST /agent/v1/jobs/{job_id}/reports`
pub(super) async fn report(
    agents: Data<Agents>,
    request: HttpRequest,
    path: Path<String>,
    Body(body): Body,
) -> Result<HttpResponse, ApiError> {
    let contact = match agents.meet(&request, &body).await {
        Ok(contact) => contact,
        Err(turned) => return turned.answer(),
    };
    let job_id: JobId = path
        .parse()
        .map_err(|error: kernel::InvalidId| ApiError::not_found("devices.job_unknown", error.to_string()))?;
    let report: JobReport = read(&body)?;
    check_job(&report, agents.foundation.clock.now()).map_err(|invalid| ApiError::refused(&invalid))?;
    retried(|| agents.take_report(&contact, job_id, &report)).await?;
    Ok(HttpResponse::Accepted().json(Receipt { inventory_wanted: false }))
}

impl Agents {
    async fn still_there(&self, contact: &Contact) -> Result<(), Fault> {
        let mut tx = self.foundation.database.begin(&contact.scope()).await?;
        self.touch(&mut tx, contact).await?;
        tx.commit().await?;
        Ok(())
    }

    /// The device's oldest job that waits, signed; it counts as delivered from now on.
    async fn deliver(&self, contact: &Contact) -> Result<Option<SignedJob>, Fault> {
        let now = self.foundation.clock.now();
        let mut tx = self.foundation.database.begin(&contact.scope()).await?;
        let row: Option<JobRow> = sqlx::query_as(
            "select job_id, work, expires_at, correlation_id, causation_id, traceparent
               from devices.job
              where device_id = $1 and not reported and expires_at > $2
                and (delivered_at is null or delivered_at < $3)
              order by queued_at, job_id
              limit 1
                for update skip locked",
        )
        .bind(contact.device_id.0)
        .bind(now)
        .bind(now - REDELIVERY)
        .fetch_optional(&mut *tx)
        .await?;
        let Some(row) = row else { return Ok(None) };
        // A new number each time: an agent that has done a later job meanwhile refuses the old one. It knows a job that
        // it has had by its id.
        let number: i64 = sqlx::query_scalar(
            "update devices.device set last_job_number = last_job_number + 1
              where device_id = $1
          returning last_job_number",
        )
        .bind(contact.device_id.0)
        .fetch_one(&mut *tx)
        .await?;
        sqlx::query("update devices.job set number = $2, delivered_at = $3 where job_id = $1")
            .bind(row.job_id)
            .bind(number)
            .bind(now)
            .execute(&mut *tx)
            .await?;
        let job = Job {
            job_id: JobId(row.job_id),
            device_id: contact.device_id,
            number,
            expires_at: row.expires_at,
            work: row.work.0,
            traceparent: row.traceparent.clone(),
        };
        let origin = Origin {
            is_scan: matches!(job.work, Work::Scan),
            correlation_id: CorrelationId(row.correlation_id),
            causation_id: EventId(row.causation_id),
            traceparent: row.traceparent,
        };
        let mut cause = cause(contact, Some(&origin), CommandId::derived(row.job_id, "deliver"));
        // The agent only asked; the job belongs to the trace of whoever wanted it.
        cause.traceparent = origin.traceparent.or(cause.traceparent);
        let command = DeviceCommand::Deliver { job_id: job.job_id };
        self.execute(&mut tx, contact, &cause, None, command).await?;
        tx.commit().await?;
        Ok(Some(signing::sign_job(&self.job_key, &job)))
    }

    async fn take_report(&self, contact: &Contact, job_id: JobId, report: &JobReport) -> Result<(), Fault> {
        let mut tx = self.foundation.database.begin(&contact.scope()).await?;
        let origin = origin(&mut tx, contact, job_id).await?;
        let cause = cause(contact, Some(&origin), CommandId::derived(report.report_id, "job report"));
        let command = DeviceCommand::Report { job_id, step: report.report.clone(), is_scan: origin.is_scan };
        self.execute(&mut tx, contact, &cause, Some(report.occurred_at), command).await?;
        sqlx::query("update devices.job set reported = true where job_id = $1 and not reported")
            .bind(job_id.0)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }
}
