//! Where finished spans go.

use super::TelemetryError;
use crate::http;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use std::time::Duration;
use tokio::runtime::Handle;

/// One batch of spans must have been taken by then.
const EXPORT_DEADLINE: Duration = Duration::from_secs(5);

/// A source of trace ids that exports to `endpoint`, or nowhere.
pub(super) fn provider(
    endpoint: Option<&str>,
    service_name: &str,
) -> Result<SdkTracerProvider, TelemetryError> {
    let resource = Resource::builder().with_service_name(service_name.to_owned()).build();
    let builder = SdkTracerProvider::builder().with_resource(resource);
    Ok(match endpoint {
        None => builder.build(),
        Some(endpoint) => builder.with_batch_exporter(exporter(endpoint)?).build(),
    })
}

fn exporter(endpoint: &str) -> Result<SpanExporter, TelemetryError> {
    let unusable = |source| TelemetryError::Exporter { endpoint: endpoint.to_owned(), source };
    let client = OnRuntime {
        runtime: Handle::try_current().map_err(|e| unusable(e.into()))?,
        client: http::external_client(EXPORT_DEADLINE).map_err(|e| unusable(e.into()))?,
    };
    SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
        .build()
        .map_err(|e| unusable(e.into()))
}

/// Sends on the process's runtime: the SDK exports from a thread of its own, which has none.
#[derive(Debug)]
struct OnRuntime {
    runtime: Handle,
    client: reqwest::Client,
}

#[async_trait::async_trait]
impl HttpClient for OnRuntime {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        self.runtime
            .spawn(async move {
                let mut answer = client.execute(request.try_into()?).await?.error_for_status()?;
                let mut response = Response::builder().status(answer.status());
                if let Some(headers) = response.headers_mut() {
                    *headers = std::mem::take(answer.headers_mut());
                }
                Ok(response.body(answer.bytes().await?)?)
            })
            .await?
    }
}
