//! Who is asking: the seam between the front and whatever checks credentials.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::HeaderMap;
use async_graphql::Request;

/// Checks the credentials of a request or socket.
#[async_trait::async_trait]
pub trait Authenticator: Send + Sync + 'static {
    /// Turns headers into a session; the `authorization` of a `connection_init` arrives as that header.
    async fn authenticate(&self, headers: &HeaderMap) -> Result<Session, Denied>;
}

/// Why somebody gets no session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denied {
    /// The credentials are missing or worth nothing.
    Unauthenticated { code: String, message: String },
    /// The credentials could not be checked.
    Unavailable { code: String, message: String },
}

/// An authenticated caller.
#[derive(Clone)]
pub struct Session {
    prepare: Arc<dyn Fn(Request) -> Request + Send + Sync>,
    expires_in: Option<Duration>,
}

impl Session {
    /// Makes a session whose operations are prepared by `prepare`: it inserts the caller, and loaders that must
    /// be new for every operation.
    pub fn new(prepare: impl Fn(Request) -> Request + Send + Sync + 'static) -> Self {
        Self { prepare: Arc::new(prepare), expires_in: None }
    }

    /// Ends sockets and event streams of this session after `duration`.
    #[must_use]
    pub fn expires_in(self, duration: Duration) -> Self {
        Self { expires_in: Some(duration), ..self }
    }

    pub(super) fn prepare(&self, request: Request) -> Request {
        (self.prepare)(request)
    }

    pub(super) fn remaining(&self) -> Option<Duration> {
        self.expires_in
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("expires_in", &self.expires_in).finish_non_exhaustive()
    }
}
