//! Everything the front itself says no to, with its code and HTTP status.

use actix_web::http::StatusCode;
use async_graphql::Pos;

/// A request the front refuses before it reaches the schema, or gives up on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("none of the accepted media types can be served: {accept}")]
    NotAcceptable { accept: String },
    #[error("the body must be application/json in UTF-8, not {content_type}")]
    UnsupportedContentType { content_type: String },
    #[error("the method {method} is not supported here")]
    MethodNotAllowed { method: String },
    #[error("a mutation must be sent by POST")]
    MutationByGet,
    #[error("this address only serves WebSockets")]
    UpgradeRequired,
    #[error("the WebSocket handshake is invalid: {reason}")]
    InvalidHandshake { reason: String },
    #[error("the body is larger than {limit} bytes")]
    BodyTooLarge { limit: usize },
    #[error("the body did not arrive within {seconds} seconds")]
    BodyTooSlow { seconds: u64 },
    #[error("the request cannot be read: {reason}")]
    MalformedRequest { reason: String },
    #[error("batches are not supported, send one operation per request")]
    BatchingUnsupported,
    #[error("the request has no query")]
    MissingQuery,
    #[error("too many open streams, at most {limit} are served")]
    TooManyStreams { limit: usize },
    #[error("the server is stopping")]
    Stopping,
    #[error("{message}")]
    Unauthenticated { code: String, message: String },
    #[error("{message}")]
    AuthenticationUnavailable { code: String, message: String },

    #[error("the document cannot be parsed: {reason}")]
    Syntax { reason: String, at: Option<Pos> },
    #[error("the document has more than {limit} tokens")]
    TooManyTokens { limit: usize },
    #[error("the document has {count} operations, at most {limit} are allowed")]
    TooManyOperations { count: usize, limit: usize },
    #[error("the document expands to {count} fields, at most {limit} are allowed")]
    TooManyFields { count: u64, limit: u64 },
    #[error("the document is nested {depth} levels deep, at most {limit} are allowed")]
    TooDeep { depth: usize, limit: usize },
    #[error("the document has {count} aliases after expanding fragments, at most {limit} are allowed")]
    TooManyAliases { count: u64, limit: u64 },
    #[error("the document has {count} directives after expanding fragments, at most {limit} are allowed")]
    TooManyDirectives { count: u64, limit: u64 },
    #[error("the operation has {count} fields at its root, at most {limit} are allowed")]
    TooManyRootFields { count: u64, limit: u64 },
    #[error("the introspection would multiply the schema, select fewer nested lists")]
    IntrospectionTooLarge,
    #[error("the fragment {name} spreads itself")]
    FragmentCycle { name: String },
    #[error("too many operations are running in this socket, at most {limit} are allowed")]
    TooManyRunningOperations { limit: usize },
    #[error("a subscription needs a WebSocket or text/event-stream")]
    SubscriptionTransport,
    #[error("a subscription follows one field, not {count}")]
    SubscriptionRootFields { count: u64 },
    #[error("the operation took longer than {milliseconds} ms")]
    Timeout { milliseconds: u128 },
}

impl Refusal {
    /// Names the reason in a way that does not change with the wording.
    pub fn code(&self) -> &str {
        match self {
            Self::NotAcceptable { .. } => "graphql.not_acceptable",
            Self::UnsupportedContentType { .. } => "graphql.unsupported_content_type",
            Self::MethodNotAllowed { .. } => "graphql.method_not_allowed",
            Self::MutationByGet => "graphql.mutation_by_get",
            Self::UpgradeRequired => "graphql.upgrade_required",
            Self::InvalidHandshake { .. } => "graphql.invalid_handshake",
            Self::BodyTooLarge { .. } => "graphql.body_too_large",
            Self::BodyTooSlow { .. } => "graphql.body_too_slow",
            Self::MalformedRequest { .. } => "graphql.malformed_request",
            Self::BatchingUnsupported => "graphql.batching_unsupported",
            Self::MissingQuery => "graphql.missing_query",
            Self::TooManyStreams { .. } => "graphql.too_many_streams",
            Self::Stopping => "graphql.stopping",
            Self::Unauthenticated { code, .. } | Self::AuthenticationUnavailable { code, .. } => code,
            Self::Syntax { .. } => "graphql.syntax",
            Self::TooManyTokens { .. } => "graphql.too_many_tokens",
            Self::TooManyOperations { .. } => "graphql.too_many_operations",
            Self::TooManyFields { .. } => "graphql.too_many_fields",
            Self::TooDeep { .. } => "graphql.too_deep",
            Self::TooManyAliases { .. } => "graphql.too_many_aliases",
            Self::TooManyDirectives { .. } => "graphql.too_many_directives",
            Self::TooManyRootFields { .. } => "graphql.too_many_root_fields",
            Self::IntrospectionTooLarge => "graphql.introspection_too_large",
            Self::FragmentCycle { .. } => "graphql.fragment_cycle",
            Self::TooManyRunningOperations { .. } => "graphql.too_many_running_operations",
            Self::SubscriptionTransport => "graphql.subscription_transport",
            Self::SubscriptionRootFields { .. } => "graphql.subscription_root_fields",
            Self::Timeout { .. } => "graphql.timeout",
        }
    }

    /// Tells whether the request was well formed and its document is what is refused.
    pub fn is_about_the_document(&self) -> bool {
        self.status() == StatusCode::BAD_REQUEST
            && !matches!(
                self,
                Self::InvalidHandshake { .. }
                    | Self::MalformedRequest { .. }
                    | Self::BatchingUnsupported
                    | Self::MissingQuery
            )
    }

    /// Returns the HTTP status; refused documents only have it where the media type lets the status speak.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::NotAcceptable { .. } => StatusCode::NOT_ACCEPTABLE,
            Self::UnsupportedContentType { .. } => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::MethodNotAllowed { .. } | Self::MutationByGet => StatusCode::METHOD_NOT_ALLOWED,
            Self::UpgradeRequired => StatusCode::UPGRADE_REQUIRED,
            Self::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyTooSlow { .. } => StatusCode::REQUEST_TIMEOUT,
            Self::Unauthenticated { .. } => StatusCode::UNAUTHORIZED,
            Self::TooManyStreams { .. }
            | Self::Stopping
            | Self::AuthenticationUnavailable { .. }
            | Self::Timeout { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::InvalidHandshake { .. }
            | Self::MalformedRequest { .. }
            | Self::BatchingUnsupported
            | Self::MissingQuery
            | Self::Syntax { .. }
            | Self::TooManyTokens { .. }
            | Self::TooManyOperations { .. }
            | Self::TooManyFields { .. }
            | Self::TooDeep { .. }
            | Self::TooManyAliases { .. }
            | Self::TooManyDirectives { .. }
            | Self::TooManyRootFields { .. }
            | Self::IntrospectionTooLarge
            | Self::FragmentCycle { .. }
            | Self::TooManyRunningOperations { .. }
            | Self::SubscriptionTransport
            | Self::SubscriptionRootFields { .. } => StatusCode::BAD_REQUEST,
        }
    }
}
