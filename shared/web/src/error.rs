//! What a client gets when something does not work: `application/problem+json` (RFC 9457) with a stable code.

use access::{AssertionError, Denied, TokenError};
use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, HttpResponseBuilder, ResponseError};
use kernel::Refused;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::error::Error;

/// The media type of every error.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// An answer that is not what the client asked for.
#[derive(Debug, thiserror::Error)]
#[error("{message} ({code})")]
pub struct ApiError {
    /// Dotted and stable, for example `approvals.own_request`.
    pub code: Cow<'static, str>,
    /// HTTP status.
    pub status: StatusCode,
    /// For the client; never shown when the status is 500 or above.
    pub message: String,
    /// For operators; logged once, never shown.
    #[source]
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

/// The body of an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// The code as a URI.
    #[serde(rename = "type")]
    pub kind: String,
    /// The message; absent when the server is at fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// HTTP status.
    pub status: u16,
    /// Dotted and stable.
    pub code: String,
    /// For asking the operators about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

impl ApiError {
    /// An error with its code.
    pub fn new(status: StatusCode, code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { code: code.into(), status, message: message.into(), source: None }
    }

    /// The thing does not exist, or not for this caller.
    pub fn not_found(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, message)
    }

    /// The request is not understood.
    pub fn bad_request(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// Something that should not happen.
    pub fn internal(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "web.internal", "internal error").because(source)
    }

    /// Something that is needed is not there now; trying again is useful.
    pub fn unavailable(
        code: impl Into<Cow<'static, str>>,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, "temporarily unavailable").because(source)
    }

    /// A rule said no.
    pub fn refused(refusal: &dyn Refused) -> Self {
        let status = if refusal.is_not_found() {
            StatusCode::NOT_FOUND
        } else if refusal.is_conflict() {
            StatusCode::CONFLICT
        } else {
            StatusCode::UNPROCESSABLE_ENTITY
        };
        Self::new(status, refusal.code(), refusal.to_string())
    }

    /// The same error with what led to it.
    #[must_use]
    pub fn because(self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { source: Some(source.into()), ..self }
    }

    /// The body for the client.
    pub fn problem(&self, request_id: Option<&str>) -> Problem {
        Problem {
            kind: format!("urn:patchfleet:error:{}", self.code),
            title: (!self.status.is_server_error()).then(|| self.message.clone()),
            status: self.status.as_u16(),
            code: self.code.clone().into_owned(),
            request_id: request_id.map(ToOwned::to_owned),
        }
    }

    /// The message and everything that led to it, for the log.
    pub fn chain(&self) -> String {
        let mut text = self.message.clone();
        let mut source = self.source();
        while let Some(error) = source {
            text.push_str(": ");
            text.push_str(&error.to_string());
            source = error.source();
        }
        text
    }

    pub(crate) fn response(&self, request_id: Option<&str>) -> HttpResponse {
        let mut response = HttpResponseBuilder::new(self.status);
        response.content_type(PROBLEM_JSON);
        if self.status == StatusCode::UNAUTHORIZED {
            response.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
        }
        // Not `.json()`, which would set its own content type.
        response.body(serde_json::to_string(&self.problem(request_id)).unwrap_or_default())
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        self.response(None)
    }
}

impl From<Denied> for ApiError {
    fn from(denied: Denied) -> Self {
        Self::new(StatusCode::FORBIDDEN, denied.code(), denied.to_string())
    }
}

impl From<TokenError> for ApiError {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::IssuerUnavailable => Self::unavailable(error.code(), error),
            TokenError::Missing
            | TokenError::Malformed { .. }
            | TokenError::Expired { .. }
            | TokenError::WrongIssuer
            | TokenError::WrongAudience
            | TokenError::UnknownKey
            | TokenError::Invalid { .. } => {
                Self::new(StatusCode::UNAUTHORIZED, error.code(), error.to_string())
            }
        }
    }
}

impl From<AssertionError> for ApiError {
    fn from(error: AssertionError) -> Self {
        match error {
            AssertionError::Signing => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, error.code(), "internal error").because(error)
            }
            AssertionError::Expired { .. } | AssertionError::Invalid { .. } => {
                Self::new(StatusCode::UNAUTHORIZED, error.code(), error.to_string())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ApiError;
    use actix_web::http::StatusCode;
    use serde_json::json;

    #[test]
    fn a_client_error_says_what_is_wrong() {
        let error = ApiError::bad_request("feeds.unknown_vendor", "no feed of \"acme\" is known");
        assert_eq!(
            serde_json::to_value(error.problem(Some("r-1"))).unwrap(),
            json!({
                "type": "urn:patchfleet:error:feeds.unknown_vendor",
                "title": "no feed of \"acme\" is known",
                "status": 400,
                "code": "feeds.unknown_vendor",
                "requestId": "r-1",
            })
        );
    }

    #[test]
    fn a_server_error_shows_code_and_request_id_only() {
        let error = ApiError::internal(std::io::Error::other("password authentication failed"));
        let text = serde_json::to_string(&error.problem(Some("r-1"))).unwrap();
        assert!(!text.contains("password") && !text.contains("title"), "{text}");
        assert_eq!(error.chain(), "internal error: password authentication failed");
    }

    #[test]
    fn a_token_that_is_missing_is_answered_with_how_to_bring_one() {
        let response = ApiError::from(access::TokenError::Missing).response(None);
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(response.headers().get("www-authenticate").unwrap(), "Bearer");
    }
}
