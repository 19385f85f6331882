//! The one way a service listens: limits, request ids, traces, health and metrics, and an orderly stop.

mod health;
mod observe;

use crate::ApiError;
use actix_web::error::{JsonPayloadError, ResponseError};
use actix_web::http::StatusCode;
use actix_web::middleware::from_fn;
use actix_web::web::{Data, JsonConfig, PathConfig, PayloadConfig, QueryConfig, ServiceConfig};
use actix_web::{App, HttpServer};
use contracts::Service;
use health::{Check, Readiness};
use metrics_exporter_prometheus::PrometheusHandle;
use runtime::{Lifecycle, telemetry};
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Enough for every command; a service that takes documents asks for more.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// A client that does not send its head in this time occupies a connection for nothing.
const HEAD_DEADLINE: Duration = Duration::from_secs(10);

/// Longer than the longest command, so that an accepted request is answered.
const DRAIN_SECONDS: u64 = 12;

/// Histograms keep every sample until somebody looks or this has passed.
const UPKEEP: Duration = Duration::from_secs(5);

type Configure = Arc<dyn Fn(&mut ServiceConfig) + Send + Sync>;

/// A service's HTTP server, before it listens.
pub struct Server {
    service: Service,
    listen: SocketAddr,
    workers: usize,
    body_bytes_max: usize,
    configure: Vec<Configure>,
    checks: Vec<Check>,
}

/// Why a service does not listen.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address is taken or not ours.
    #[error("{service} cannot listen on {listen}")]
    Listen {
        /// The service.
        service: Service,
        /// The address.
        listen: SocketAddr,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The recorder cannot be made.
    #[error("metrics cannot be recorded")]
    Metrics(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Server {
    /// A server of `service` for `listen`; port 0 takes any free one.
    pub fn new(service: Service, listen: SocketAddr) -> Self {
        Self {
            service,
            listen,
            workers: 1,
            body_bytes_max: BODY_BYTES_MAX,
            configure: Vec::new(),
            checks: Vec::new(),
        }
    }

    /// Adds routes.
    #[must_use]
    pub fn configure(mut self, routes: impl Fn(&mut ServiceConfig) + Send + Sync + 'static) -> Self {
        self.configure.push(Arc::new(routes));
        self
    }

    /// Adds a condition without which the service is not ready.
    #[must_use]
    pub fn ready_when<F, Fut>(mut self, name: &'static str, check: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.checks.push(Check::new(name, check));
        self
    }

    /// Threads that answer requests; one is enough unless answers are computed.
    #[must_use]
    pub fn workers(self, workers: usize) -> Self {
        Self { workers, ..self }
    }

    /// The largest body in bytes.
    #[must_use]
    pub fn body_limit(self, body_bytes_max: usize) -> Self {
        Self { body_bytes_max, ..self }
    }

    /// Listens until the lifecycle stops, and answers what was accepted until then. Returns the bound address.
    pub fn start(self, lifecycle: &Lifecycle) -> Result<SocketAddr, ServeError> {
        let metrics = telemetry::metrics_handle().map_err(|e| ServeError::Metrics(e.into()))?;
        observe::describe();
        let failed = |source| ServeError::Listen { service: self.service, listen: self.listen, source };
        let listener = std::net::TcpListener::bind(self.listen).map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;

        let readiness = Readiness::new(self.checks, lifecycle.stop.clone());
        let (configure, limit, seen_as) = (self.configure, self.body_bytes_max, self.service);
        let scraped = metrics.clone();
        let server = HttpServer::new(move || {
            let app = App::new()
                .app_data(Data::new(seen_as))
                .app_data(Data::new(readiness.clone()))
                .app_data(Data::new(scraped.clone()))
                .configure(|config| limits(config, limit))
                .configure(health::routes);
            configure
                .iter()
                .fold(app, |app, routes| app.configure(|config| routes(config)))
                .wrap(from_fn(observe::observe))
        })
        .workers(self.workers)
        // A client that is gone ends its request: a device that was switched off while it waited for a job must not
        // count as being in contact, nor be handed one.
        .h1_allow_half_closed(false)
        .client_request_timeout(HEAD_DEADLINE)
        .shutdown_timeout(DRAIN_SECONDS)
        .disable_signals()
        .shutdown_signal(lifecycle.stop.clone().cancelled_owned())
        .listen(listener)
        .map_err(failed)?
        .run();

        tracing::info!(service.name = %self.service, server.address = %bound, "listening");
        lifecycle.spawn(format!("{} http", self.service), server);
        lifecycle.spawn(format!("{} metrics", self.service), keep_up(metrics, lifecycle.clone()));
        Ok(bound)
    }
}

fn limits(config: &mut ServiceConfig, body_bytes_max: usize) {
    config
        .app_data(PayloadConfig::new(body_bytes_max))
        .app_data(
            JsonConfig::default().limit(body_bytes_max).error_handler(|error, _| unreadable(&error).into()),
        )
        .app_data(
            PathConfig::default()
                .error_handler(|error, _| ApiError::not_found("web.not_found", error.to_string()).into()),
        )
        .app_data(QueryConfig::default().error_handler(|error, _| {
            ApiError::bad_request("web.query_malformed", error.to_string()).into()
        }));
}

fn unreadable(error: &JsonPayloadError) -> ApiError {
    if let JsonPayloadError::Deserialize(reason) = error {
        return ApiError::bad_request("web.body_malformed", reason.to_string());
    }
    // actix answers it with 400, as if the body itself were wrong.
    if matches!(error, JsonPayloadError::ContentType) {
        return observe::by_status(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    observe::by_status(error.status_code())
}

async fn keep_up(metrics: PrometheusHandle, lifecycle: Lifecycle) -> Result<(), std::convert::Infallible> {
    while !lifecycle.stopped_within(UPKEEP).await {
        metrics.run_upkeep();
    }
    Ok(())
}

#[cfg(test)]
mod tests;
