//! What agents say and ask over HTTP: see `contracts::agent` for the routes and their shapes.

mod contact;
mod enrol;
mod jobs;
mod rate;
mod scans;

use crate::{config::DevicesSettings, fault::Fault, wake::Wake};
use ::web::ApiError;
use actix_web::{
    HttpResponse,
    web::{self, ServiceConfig},
};
use contact::Contact;
use devices_domain::{Device, DeviceCommand};
use ed25519_dalek::SigningKey;
use eventstore::{Committed, Target, Tx};
use foundation::Foundation;
use kernel::{Actor, Cause, CommandId, CorrelationId, EventId, JobId, StreamId};
use rate::RateLimit;
use runtime::telemetry;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use uuid::Uuid;
use web::Data;

/// What every request of an agent needs.
#[derive(Clone)]
pub(crate) struct Agents {
    foundation: Foundation,
    config: DevicesSettings,
    job_key: Arc<SigningKey>,
    wake: Wake,
    rate: Arc<RateLimit>,
}

impl Agents {
    /// Answers agents.
    pub(crate) fn new(
        foundation: Foundation,
        config: DevicesSettings,
        job_key: SigningKey,
        wake: Wake,
    ) -> Self {
        let rate = Arc::new(RateLimit::new(config.requests_per_second, config.requests_burst));
        Self { foundation, config, job_key: Arc::new(job_key), wake, rate }
    }

    /// Asks the device's aggregate inside a transaction of the device's scope.
    async fn execute(
        &self,
        tx: &mut Tx,
        contact: &Contact,
        cause: &Cause,
        occurred_at: Option<chrono::DateTime<chrono::Utc>>,
        command: DeviceCommand,
    ) -> Result<Committed, Fault> {
        let target = Target {
            scope: &contact.scope(),
            tenant: contact.tenant,
            stream_id: StreamId(contact.device_id.0),
            cause,
            occurred_at,
        };
        Ok(self.foundation.store.execute_in::<Device>(tx, target, command).await?)
    }
}

/// The routes of agents.
pub(crate) fn routes(agents: &Agents, routes: &mut ServiceConfig) {
    routes.app_data(Data::new(agents.clone())).service(
        web::scope("/agent/v1")
            .service(web::resource("/enrol").route(web::post().to(enrol::enrol)))
            .service(web::resource("/checkin").route(web::post().to(contact::check_in)))
            .service(web::resource("/scans").route(web::post().to(scans::report)))
            .service(web::resource("/jobs").route(web::get().to(jobs::next)))
            .service(web::resource("/jobs/{job_id}/reports").route(web::post().to(jobs::report))),
    );
}

/// Why an agent's words become facts: its own report, and the job that it belongs to.
fn cause(contact: &Contact, origin: Option<&Origin>, command_id: CommandId) -> Cause {
    let traceparent = telemetry::current_traceparent();
    Cause {
        command_id,
        correlation_id: origin.map_or(CorrelationId(command_id.0), |origin| origin.correlation_id),
        causation_id: origin.map(|origin| origin.causation_id),
        actor: Actor::agent(contact.device_id),
        traceparent: traceparent.or_else(|| origin.and_then(|origin| origin.traceparent.clone())),
    }
}

/// From what a job came.
struct Origin {
    is_scan: bool,
    correlation_id: CorrelationId,
    causation_id: EventId,
    traceparent: Option<String>,
}

/// Finds and locks a job of the device. Jobs are locked before devices, and devices before their streams.
async fn origin(tx: &mut Tx, contact: &Contact, job_id: JobId) -> Result<Origin, Fault> {
    let row: Option<(bool, Uuid, Uuid, Option<String>)> = sqlx::query_as(
        "select work ->> 'kind' = 'scan', correlation_id, causation_id, traceparent
           from devices.job
          where job_id = $1 and device_id = $2
            for update",
    )
    .bind(job_id.0)
    .bind(contact.device_id.0)
    .fetch_optional(&mut **tx)
    .await?;
    let (is_scan, correlation_id, causation_id, traceparent) =
        row.ok_or_else(|| ApiError::not_found("devices.job_unknown", "there is no such job"))?;
    Ok(Origin {
        is_scan,
        correlation_id: CorrelationId(correlation_id),
        causation_id: EventId(causation_id),
        traceparent,
    })
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body)
        .map_err(|error| ApiError::bad_request("web.body_malformed", error.to_string()))
}

/// A problem with the time after which trying again is useful.
fn later(error: &ApiError, seconds: u64) -> HttpResponse {
    HttpResponse::build(error.status)
        .insert_header(("retry-after", seconds.to_string()))
        .content_type(::web::error::PROBLEM_JSON)
        .body(serde_json::to_string(&error.problem(None)).unwrap_or_default())
}
