//! Around every request: its id, its span, its metrics, and one form for every error.

use crate::ApiError;
use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, web::Data};
use contracts::Service;
use runtime::{Ids, SystemIds, telemetry};
use std::time::Instant;
use tracing::Instrument;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longer ones are somebody else's idea of a joke in our log.
const REQUEST_ID_CHARS_MAX: usize = 64;

const REQUESTS: &str = "patchfleet_http_requests_total";
const DURATION: &str = "patchfleet_http_request_duration_seconds";

const UNMATCHED: &str = "unmatched";

pub(super) async fn observe<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let started = Instant::now();
    let method = request.method().clone();
    let service = request.app_data::<Data<Service>>().map_or("", |service| service.name());
    let request_id = request_id(&request);
    let span = span(&request, service, &request_id);

    async {
        let answer = next.call(request).await?;
        let route = answer.request().match_pattern().unwrap_or_else(|| UNMATCHED.into());
        let mut answer = with_problem(answer, &request_id);
        if let Ok(value) = HeaderValue::from_str(&request_id) {
            answer.headers_mut().insert(REQUEST_ID, value);
        }
        record(service, &method, route, answer.status(), started);
        Ok(answer)
    }
    .instrument(span)
    .await
}

/// The error for a status that the framework chose.
pub(super) fn by_status(status: StatusCode) -> ApiError {
    let (code, message) = match status {
        StatusCode::NOT_FOUND => ("web.not_found", "no such address"),
        StatusCode::METHOD_NOT_ALLOWED => ("web.method_not_allowed", "this address takes another method"),
        StatusCode::PAYLOAD_TOO_LARGE => ("web.body_too_large", "the body is too large"),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => ("web.media_type", "the content type is not supported"),
        StatusCode::REQUEST_TIMEOUT => ("web.request_timeout", "the request took too long to arrive"),
        status if status.is_client_error() => ("web.body_malformed", "the request cannot be read"),
        _ => ("web.internal", "internal error"),
    };
    ApiError::new(status, code, message)
}

fn request_id(request: &ServiceRequest) -> String {
    let given = request.headers().get(REQUEST_ID).and_then(|value| value.to_str().ok());
    let harmless = |id: &&str| {
        (1..=REQUEST_ID_CHARS_MAX).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    given.filter(harmless).map_or_else(|| SystemIds.uuid().to_string(), ToOwned::to_owned)
}

fn span(request: &ServiceRequest, service: &str, request_id: &str) -> tracing::Span {
    let span = tracing::info_span!(
        "request",
        otel.name = tracing::field::Empty,
        otel.kind = "server",
        service.name = service,
        request.id = request_id,
        http.request.method = %request.method(),
        http.response.status_code = tracing::field::Empty,
    );
    if let Some(traceparent) = request.headers().get("traceparent").and_then(|value| value.to_str().ok()) {
        telemetry::follow(&span, traceparent);
    }
    span
}

// The framework's own errors are plain texts or empty: they get the same form as ours. Ours get the request id.
fn with_problem<B: MessageBody>(
    answer: ServiceResponse<B>,
    request_id: &str,
) -> ServiceResponse<EitherBody<B>> {
    let status = answer.status();
    if !status.is_client_error() && !status.is_server_error() {
        return answer.map_into_left_body();
    }
    let ours = answer.response().error().and_then(|error| error.as_error::<ApiError>());
    let response = match ours {
        Some(error) => {
            log(error);
            error.response(Some(request_id))
        }
        None if answer.response().error().is_some() || is_bare(&answer) => {
            by_status(status).response(Some(request_id))
        }
        // A handler that wrote an error body of its own, such as GraphQL.
        None => return answer.map_into_left_body(),
    };
    let allow = answer.headers().get(header::ALLOW).cloned();
    let mut answer = answer.into_response(response.map_into_right_body());
    if let Some(allow) = allow {
        answer.headers_mut().insert(header::ALLOW, allow);
    }
    answer
}

fn is_bare<B>(answer: &ServiceResponse<B>) -> bool {
    !answer.headers().contains_key(header::CONTENT_TYPE)
}

fn log(error: &ApiError) {
    if error.status.is_server_error() {
        tracing::error!(error.code = %error.code, error.message = error.chain(), "request failed");
    } else {
        tracing::debug!(error.code = %error.code, error.message = error.chain(), "request refused");
    }
}

/// What the metrics mean, for whoever reads `/metrics`.
pub(super) fn describe() {
    metrics::describe_counter!(REQUESTS, "Requests answered, by route and status.");
    metrics::describe_histogram!(
        DURATION,
        metrics::Unit::Seconds,
        "From the head of a request to its answer."
    );
}

/// The standard methods by name and everything else as one: a label that callers choose would grow without end.
fn name_of(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "_OTHER",
    }
}

fn record(service: &'static str, method: &Method, route: String, status: StatusCode, started: Instant) {
    let span = tracing::Span::current();
    span.record("otel.name", format!("{} {route}", name_of(method)));
    span.record("http.response.status_code", status.as_u16());
    tracing::debug!(http.route = route, http.response.status_code = status.as_u16(), "request answered");
    let labels = [
        ("service", service.to_owned()),
        ("method", name_of(method).to_owned()),
        ("route", route),
        ("status", status.as_u16().to_string()),
    ];
    metrics::counter!(REQUESTS, &labels).increment(1);
    metrics::histogram!(DURATION, &labels).record(started.elapsed());
}
