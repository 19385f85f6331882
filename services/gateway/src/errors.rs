//! What goes wrong, as GraphQL tells it: a code for everyone, the reason only where it is the client's business.

use async_graphql::{Error, ErrorExtensions};
use eventstore::StoreError;
use std::sync::Arc;

/// An error of the client, or one it can do something about.
pub(crate) fn coded(code: &'static str, message: impl Into<String>) -> Error {
    with_code(Error::new(message), code)
}

/// An error with a code that another service gave.
pub(crate) fn with_code(error: Error, code: &str) -> Error {
    error.extend_with(|_, extensions| extensions.set("code", code))
}

/// The store did not do its part.
#[expect(clippy::needless_pass_by_value, reason = "used as a function in map_err")]
pub(crate) fn failed(error: StoreError) -> Error {
    tell(&error)
}

/// The store did not do its part for several fields at once.
pub(crate) fn shared_failure(error: &Arc<StoreError>) -> Error {
    tell(error)
}

fn tell(error: &StoreError) -> Error {
    let source: &(dyn std::error::Error + 'static) = error;
    if error.is_outage() {
        tracing::warn!(error = source, "the views could not be read");
        return coded("store.unavailable", "temporarily unavailable");
    }
    tracing::error!(error = source, "the views could not be read");
    coded("graphql.internal", "internal error")
}
