//! Answers to operations, with a code on every error, and their form on the wire.

use std::collections::BTreeMap;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, RETRY_AFTER, WWW_AUTHENTICATE,
};
use async_graphql::indexmap::IndexMap;
use async_graphql::{Name, PathSegment, Response, ServerError, Value};
use serde::Serialize;

use super::complexity;
use super::limits::ERRORS_MAX;
use super::measure::Cost;
use super::negotiate::Format;
use super::refusal::Refusal;

/// The result of one operation, or of one event of a subscription.
#[derive(Debug, Serialize)]
pub(super) struct Answer {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) errors: Vec<ServerError>,
    /// `None` where nothing was executed: an answer must not have `data` then.
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Value>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    extensions: BTreeMap<String, Value>,
    #[serde(skip)]
    status: StatusCode,
    #[serde(skip)]
    headers: Vec<(String, Vec<u8>)>,
}

impl Answer {
    pub(super) fn of_response(mut response: Response) -> Self {
        // An object without selected fields is written as null by the library.
        if response.data == Value::Null && response.errors.is_empty() {
            response.data = Value::Object(IndexMap::new());
        }
        // Whatever went wrong without a path went wrong before the first resolver ran.
        let executed = response.data != Value::Null
            || response.errors.is_empty()
            || response.errors.iter().any(|error| !error.path.is_empty());
        if !executed && response.errors.len() > ERRORS_MAX {
            let omitted = response.errors.len() - ERRORS_MAX;
            response.errors.truncate(ERRORS_MAX);
            response.extensions.insert("errorsOmitted".to_owned(), Value::from(omitted));
        }
        for error in &mut response.errors {
            assign_code(error, executed);
        }
        Self {
            errors: response.errors,
            data: executed.then_some(response.data),
            extensions: response.extensions,
            status: if executed { StatusCode::OK } else { StatusCode::BAD_REQUEST },
            headers: response
                .http_headers
                .iter()
                .map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()))
                .collect(),
        }
    }

    pub(super) fn of_refusal(refusal: &Refusal) -> Self {
        let at = if let Refusal::Syntax { at, .. } = refusal { *at } else { None };
        let mut error = ServerError::new(refusal.to_string(), at);
        set_code(&mut error, refusal.code());
        Self {
            errors: vec![error],
            data: None,
            extensions: BTreeMap::new(),
            status: refusal.status(),
            headers: Vec::new(),
        }
    }

    /// Tells whether the operation was carried out, with or without errors in its fields.
    pub(super) fn is_executed(&self) -> bool {
        self.data.is_some()
    }

    #[must_use]
    pub(super) fn with_cost(mut self, cost: Cost) -> Self {
        let mut members = IndexMap::new();
        members.insert(Name::new("expandedFields"), Value::from(cost.expanded_fields));
        members.insert(Name::new("depth"), Value::from(cost.depth));
        if let Some(complexity) = self.extensions.remove(complexity::RESPONSE_KEY) {
            members.insert(Name::new("complexity"), complexity);
        }
        self.extensions.insert("cost".to_owned(), Value::Object(members));
        self
    }

    /// Drops what is only reported once per operation from an event of a subscription.
    #[must_use]
    pub(super) fn into_event(mut self) -> Self {
        self.extensions.remove(complexity::RESPONSE_KEY);
        self
    }

    pub(super) fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|error| {
            tracing::error!(error = %error, "an answer could not be written as JSON");
            r#"{"errors":[{"message":"internal error","extensions":{"code":"graphql.internal"}}]}"#.to_owned()
        })
    }

    pub(super) fn into_http(self, format: Format) -> HttpResponse {
        let status = match format {
            Format::GraphqlResponse => self.status,
            // Clients of the older type take any other status for a broken connection.
            Format::Json | Format::EventStream => StatusCode::OK,
        };
        let mut response = HttpResponse::build(status);
        for (name, value) in &self.headers {
            response.append_header((name.as_str(), value.as_slice()));
        }
        response
            .insert_header((CONTENT_TYPE, format.media_type()))
            .insert_header((CACHE_CONTROL, "no-store"))
            .body(self.to_json())
    }
}

/// Answers a request that never became an operation.
pub(super) fn refuse(refusal: &Refusal, format: Option<Format>) -> HttpResponse {
    let answer = Answer::of_refusal(refusal);
    let format = match format {
        Some(Format::GraphqlResponse) => Format::GraphqlResponse,
        Some(Format::Json | Format::EventStream) | None => Format::Json,
    };
    if refusal.is_about_the_document() {
        return answer.into_http(format);
    }
    let mut response = HttpResponse::build(refusal.status());
    if let Some(header) = explaining_header(refusal) {
        response.insert_header(header);
    }
    response
        .insert_header((CONTENT_TYPE, format.media_type()))
        .insert_header((CACHE_CONTROL, "no-store"))
        .body(answer.to_json())
}

/// Tells the client in a header what to do differently, where HTTP has one for it.
fn explaining_header(refusal: &Refusal) -> Option<(HeaderName, &'static str)> {
    let status = refusal.status();
    if *refusal == Refusal::MutationByGet {
        Some((ALLOW, "POST"))
    } else if status == StatusCode::METHOD_NOT_ALLOWED {
        Some((ALLOW, "GET, POST"))
    } else if status == StatusCode::UNAUTHORIZED {
        Some((WWW_AUTHENTICATE, "Bearer"))
    } else if status == StatusCode::SERVICE_UNAVAILABLE {
        Some((RETRY_AFTER, "5"))
    } else {
        None
    }
}

/// Gives an error of the library or of a resolver the code it lacks.
///
/// An error converted by `?` keeps its source; its text was written for operators, so it goes to the log.
fn assign_code(error: &mut ServerError, executed: bool) {
    if error.extensions.as_ref().is_some_and(|extensions| extensions.get("code").is_some()) {
        return;
    }
    if !executed {
        set_code(error, "graphql.validation");
    } else if error.source.is_some() {
        tracing::error!(error = %error.message, graphql.path = %path(error), "a resolver failed");
        "internal error".clone_into(&mut error.message);
        set_code(error, "graphql.internal");
    } else {
        set_code(error, "graphql.execution");
    }
}

fn path(error: &ServerError) -> String {
    let segments = error.path.iter().map(|segment| match segment {
        PathSegment::Field(name) => name.clone(),
        PathSegment::Index(index) => index.to_string(),
    });
    segments.collect::<Vec<_>>().join(".")
}

fn set_code(error: &mut ServerError, code: &str) {
    let mut extensions = error.extensions.take().unwrap_or_default();
    extensions.set("code", code);
    error.extensions = Some(extensions);
}
