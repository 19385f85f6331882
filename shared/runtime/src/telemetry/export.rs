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

#[cfg(test)]
mod tests {
    use super::{TelemetryError, provider};
    use opentelemetry::trace::{Tracer, TracerProvider};
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    /// The head and body of one request.
    async fn read_request(stream: &mut TcpStream) -> (String, Vec<u8>) {
        let mut bytes = Vec::new();
        loop {
            assert!(stream.read_buf(&mut bytes).await.unwrap() > 0, "the request broke off");
            let text = String::from_utf8_lossy(&bytes);
            let Some(head) = text.split_once("\r\n\r\n").map(|(head, _)| head.to_lowercase()) else {
                continue;
            };
            let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
            let body = bytes[head.len() + 4..].to_vec();
            if length.is_some_and(|length| length.parse() == Ok(body.len())) {
                return (head, body);
            }
        }
    }

    // The SDK waits for the export on its own thread while this one answers: both must make progress.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_finished_span_reaches_the_collector_as_protobuf() {
        let collector = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}/", collector.local_addr().unwrap());
        let provider = provider(Some(&endpoint), "feeds").unwrap();
        provider.tracer("test").in_span("import", |_| {});
        let flushed =
            tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(Duration::from_secs(5)));

        let (mut stream, _) = collector.accept().await.unwrap();
        let (head, body) = read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();

        assert!(head.starts_with("post /v1/traces "), "{head}");
        assert!(head.contains("content-type: application/x-protobuf"), "{head}");
        let text = String::from_utf8_lossy(&body);
        assert!(text.contains("import") && text.contains("service.name") && text.contains("feeds"));
        flushed.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn an_address_that_is_none_is_refused_by_name() {
        let error = provider(Some("not an address"), "feeds").unwrap_err();
        assert!(matches!(error, TelemetryError::Exporter { endpoint, .. } if endpoint == "not an address"));
    }
}
