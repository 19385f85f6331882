//! What an orchestrator asks: alive, ready, and how busy.

use actix_web::HttpResponse;
use actix_web::web::{Data, ServiceConfig, get};
use futures_util::future::{BoxFuture, join_all};
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::json;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// Below the usual timeout of a probe, so that the answer names the check that hangs.
const CHECK_DEADLINE: Duration = Duration::from_secs(2);

#[derive(Clone)]
pub(super) struct Check {
    name: &'static str,
    run: Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>,
}

/// All conditions of one service.
#[derive(Clone)]
pub(super) struct Readiness {
    checks: Arc<[Check]>,
    stop: tokio_util::sync::CancellationToken,
}

impl Check {
    pub(super) fn new<F, Fut>(name: &'static str, check: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), String>> + Send + 'static,
    {
        Self { name, run: Arc::new(move || Box::pin(check())) }
    }

    async fn failure(&self) -> Option<(&'static str, String)> {
        let outcome = tokio::time::timeout(CHECK_DEADLINE, (self.run)()).await;
        let outcome = outcome.unwrap_or_else(|_| Err(format!("no answer within {CHECK_DEADLINE:?}")));
        outcome.err().map(|reason| (self.name, reason))
    }
}

impl Readiness {
    pub(super) fn new(checks: Vec<Check>, stop: tokio_util::sync::CancellationToken) -> Self {
        Self { checks: checks.into(), stop }
    }

    async fn failures(&self) -> Vec<(&'static str, String)> {
        if self.stop.is_cancelled() {
            return vec![("lifecycle", "stopping".into())];
        }
        join_all(self.checks.iter().map(Check::failure)).await.into_iter().flatten().collect()
    }
}

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .route("/healthz", get().to(alive))
        .route("/readyz", get().to(ready))
        .route("/metrics", get().to(metrics));
}

async fn alive() -> HttpResponse {
    HttpResponse::Ok().json(json!({"status": "alive"}))
}

async fn ready(readiness: Data<Readiness>) -> HttpResponse {
    let failures = readiness.failures().await;
    if failures.is_empty() {
        return HttpResponse::Ok().json(json!({"status": "ready"}));
    }
    // The reasons are for the log: this address is open to whoever can reach it.
    for (name, reason) in &failures {
        tracing::warn!(check.name = name, error.message = reason, "not ready");
    }
    let failing: Vec<_> = failures.iter().map(|(name, _)| name).collect();
    HttpResponse::ServiceUnavailable().json(json!({"status": "not ready", "failing": failing}))
}

async fn metrics(handle: Data<PrometheusHandle>) -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(handle.render())
}
