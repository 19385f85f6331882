//! Logs, traces and metrics of the process.

mod export;
mod propagation;

pub use propagation::{current_trace_id, current_traceparent, follow};

use crate::settings::{LogFormat, TelemetrySettings};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use std::io::IsTerminal;
use std::sync::OnceLock;
use std::time::Duration;
use tracing_subscriber::filter::{EnvFilter, LevelFilter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt};

/// Spans that the collector has not taken by then are given up, so that a dead collector cannot hold the process.
const FLUSH_DEADLINE: Duration = Duration::from_secs(3);

/// Buckets for durations in seconds: from a cached read to a request that ran into its deadline.
const DURATION_BUCKETS: [f64; 12] = [0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// Why telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter is not one.
    #[error("telemetry.log_filter {filter:?} cannot be read")]
    Filter {
        /// What was given.
        filter: String,
        /// Why not.
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    /// The exporter does not take the address.
    #[error("telemetry.otlp_endpoint {endpoint:?} cannot be used")]
    Exporter {
        /// What was given.
        endpoint: String,
        /// Why not.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The process has a subscriber already.
    #[error("telemetry is set up already")]
    Installed(#[from] tracing_subscriber::util::TryInitError),
}

/// Flushes what is not exported yet when dropped, which must be while the multi-threaded runtime still works.
#[derive(Debug)]
#[must_use = "telemetry ends when the guard is dropped"]
pub struct Guard {
    provider: SdkTracerProvider,
}

impl Drop for Guard {
    fn drop(&mut self) {
        // There is nobody left to tell.
        let _ = self.provider.shutdown_with_timeout(FLUSH_DEADLINE);
    }
}

/// Sets up logs and traces for the whole process. Call once, on the runtime that will run the services.
///
/// Traces are exported only when an OTLP endpoint is set; trace ids exist and travel in any case.
pub fn init(settings: &TelemetrySettings, service_name: &str) -> Result<Guard, TelemetryError> {
    let provider = export::provider(settings.otlp_endpoint.as_deref(), service_name)?;
    let logs = logs(settings)?;
    // Not under the log filter: a quiet log must not end the trace.
    let traces = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("patchfleet"))
        .with_filter(LevelFilter::INFO);
    tracing_subscriber::registry().with(logs).with(traces).try_init()?;
    Ok(Guard { provider })
}

/// The process's metrics; the first call installs the recorder.
pub fn metrics_handle() -> Result<PrometheusHandle, BuildError> {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    if let Some(handle) = HANDLE.get() {
        return Ok(handle.clone());
    }
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &DURATION_BUCKETS)?
        .build_recorder();
    let handle = HANDLE.get_or_init(|| {
        let handle = recorder.handle();
        // Only the winner of a race installs; a foreign recorder stays, and this handle then shows nothing.
        if metrics::set_global_recorder(recorder).is_err() {
            tracing::warn!("another metrics recorder is installed, /metrics stays empty");
        }
        handle
    });
    Ok(handle.clone())
}

fn logs(settings: &TelemetrySettings) -> Result<Box<dyn Layer<Registry> + Send + Sync>, TelemetryError> {
    let filter = EnvFilter::try_new(&settings.log_filter)
        .map_err(|source| TelemetryError::Filter { filter: settings.log_filter.clone(), source })?;
    let layer = fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    Ok(match settings.log_format {
        LogFormat::Text => layer.with_filter(filter).boxed(),
        LogFormat::Json => layer.json().flatten_event(true).with_filter(filter).boxed(),
    })
}
