//! The side that sends commands.

use super::{Request, path};
use crate::ApiError;
use crate::error::Problem;
use access::{AssertionError, Caller, InternalAuth};
use actix_web::http::StatusCode;
use contracts::{Accepted, Command, Service};
use kernel::{CommandId, CorrelationId};
use runtime::settings::ServiceAddresses;
use runtime::{Clock, telemetry};
use std::sync::Arc;
use std::time::Duration;

/// A command that takes longer is answered as unavailable; sending it again is safe.
const DEADLINE: Duration = Duration::from_secs(10);

/// Sends commands to the services that own them.
#[derive(Clone)]
pub struct CommandClient {
    services: Arc<ServiceAddresses>,
    auth: InternalAuth,
    http: reqwest::Client,
    clock: Arc<dyn Clock>,
}

/// Why a command was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} ({code})")]
pub struct CommandFailure {
    /// The service's code, or `web.service_unavailable`, `web.service_timeout`, `web.service_answer`.
    pub code: String,
    /// The service's HTTP status, or the one to answer with.
    pub status: u16,
    /// Safe to show when the status is below 500.
    pub message: String,
    /// Whether the same command may be accepted later.
    pub retryable: bool,
}

impl CommandClient {
    /// A client for the services at these addresses.
    pub fn new(
        services: ServiceAddresses,
        auth: InternalAuth,
        http: reqwest::Client,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { services: Arc::new(services), auth, http, clock }
    }

    /// Sends a command in the name of `caller`. Sending it again with the same id has no second effect.
    pub async fn send<C: Command>(
        &self,
        caller: &Caller,
        command: C,
        command_id: CommandId,
        correlation_id: CorrelationId,
    ) -> Result<Accepted<C::Answer>, CommandFailure> {
        let body = Request { command, command_id, correlation_id };
        let answer = match self.post(caller, &body).await {
            // The connection was refused or had been closed. Once more, on a new one: commands are idempotent.
            Err(Lost::Connection(error)) => {
                tracing::debug!(service.name = %C::SERVICE, error.message = %error, "sending a command again");
                self.post(caller, &body).await
            }
            outcome => outcome,
        };
        let answer = answer.map_err(|lost| lost.into_failure(C::SERVICE))?;
        if !answer.status().is_success() {
            return Err(refusal(C::SERVICE, answer).await);
        }
        answer.json().await.map_err(|error| Lost::from(error).into_failure(C::SERVICE))
    }

    async fn post<C: Command>(&self, caller: &Caller, body: &Request<C>) -> Result<reqwest::Response, Lost> {
        let assertion = self.auth.assertion(caller, C::SERVICE, self.clock.now())?;
        let mut url = self.services.of(C::SERVICE).url.clone();
        url.set_path(&path(C::NAME));
        let mut request = self.http.post(url).bearer_auth(assertion).timeout(DEADLINE).json(body);
        if let Some(traceparent) = telemetry::current_traceparent() {
            request = request.header("traceparent", traceparent);
        }
        Ok(request.send().await?)
    }
}

/// No answer.
enum Lost {
    Connection(reqwest::Error),
    Time,
    Answer(reqwest::Error),
    Assertion(AssertionError),
}

impl From<reqwest::Error> for Lost {
    fn from(error: reqwest::Error) -> Self {
        if error.is_timeout() {
            Self::Time
        } else if error.is_decode() {
            Self::Answer(error)
        } else {
            Self::Connection(error)
        }
    }
}

impl From<AssertionError> for Lost {
    fn from(error: AssertionError) -> Self {
        Self::Assertion(error)
    }
}

impl Lost {
    fn into_failure(self, service: Service) -> CommandFailure {
        let (code, status, message, retryable) = match self {
            Self::Connection(error) => {
                ("web.service_unavailable", 503, format!("{service} cannot be reached: {error}"), true)
            }
            Self::Time => {
                ("web.service_timeout", 504, format!("{service} did not answer within {DEADLINE:?}"), true)
            }
            Self::Answer(error) => {
                ("web.service_answer", 502, format!("{service} answered what cannot be read: {error}"), false)
            }
            Self::Assertion(error) => (error.code(), 500, error.to_string(), false),
        };
        CommandFailure { code: code.into(), status, message, retryable }
    }
}

async fn refusal(service: Service, answer: reqwest::Response) -> CommandFailure {
    let status = answer.status().as_u16();
    let retryable = matches!(status, 429 | 502 | 503 | 504);
    match answer.json::<Problem>().await {
        Ok(problem) => {
            let message = problem.title.unwrap_or_else(|| format!("{service} failed"));
            CommandFailure { code: problem.code, status, message, retryable }
        }
        Err(_) => CommandFailure {
            code: "web.service_answer".into(),
            status,
            message: format!("{service} answered {status} without a problem"),
            retryable,
        },
    }
}

impl From<CommandFailure> for ApiError {
    fn from(failure: CommandFailure) -> Self {
        let status = StatusCode::from_u16(failure.status).unwrap_or(StatusCode::BAD_GATEWAY);
        Self::new(status, failure.code, failure.message)
    }
}
