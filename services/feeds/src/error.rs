//! Why a document is not taken in: it is refused, which is a fact about the feed, or the machinery failed.

use crate::{export::BundleError, fetch::FetchError, source::SourceRefusal, sync::SignatureRefusal};
use actix_web::http::StatusCode;
use eventstore::StoreError;
use feeds_documents::DocumentError;
use feeds_domain::catalogue::{FeedRefusal, IssueRefusal};
use foundation::store_failed;
use kernel::Refused;
use web::ApiError;

/// A synchronisation that did not come to its end.
#[derive(Debug)]
pub(crate) enum SyncError {
    /// The document or its source is at fault: recorded, and the same answer for the same command.
    Refused {
        /// Stable code.
        code: &'static str,
        /// For people.
        reason: String,
    },
    /// Nothing is known of the document's quality; the same command again goes on.
    Failed(ApiError),
}

impl SyncError {
    fn refused(refusal: &impl Refused) -> Self {
        // Postgres text cannot hold NUL, and a hostile document may.
        Self::Refused { code: refusal.code(), reason: refusal.to_string().replace('\0', "\u{fffd}") }
    }

    /// The service is going down.
    pub(crate) fn stopping() -> Self {
        let stopping = std::io::Error::other("the service is stopping; the same command goes on later");
        Self::Failed(ApiError::unavailable("feeds.stopping", stopping))
    }
}

impl From<SourceRefusal> for SyncError {
    fn from(refusal: SourceRefusal) -> Self {
        Self::refused(&refusal)
    }
}

impl From<SignatureRefusal> for SyncError {
    fn from(refusal: SignatureRefusal) -> Self {
        Self::refused(&refusal)
    }
}

impl From<FetchError> for SyncError {
    fn from(refusal: FetchError) -> Self {
        Self::refused(&refusal)
    }
}

impl From<BundleError> for SyncError {
    fn from(refusal: BundleError) -> Self {
        Self::refused(&refusal)
    }
}

impl From<DocumentError> for SyncError {
    fn from(refusal: DocumentError) -> Self {
        Self::refused(&refusal)
    }
}

impl From<IssueRefusal> for SyncError {
    fn from(refusal: IssueRefusal) -> Self {
        Self::refused(&refusal)
    }
}

impl From<FeedRefusal> for SyncError {
    fn from(refusal: FeedRefusal) -> Self {
        Self::refused(&refusal)
    }
}

impl From<StoreError> for SyncError {
    fn from(error: StoreError) -> Self {
        if is_lock_timeout(&error) {
            return Self::Failed(ApiError::unavailable("feeds.catalogue_busy", error));
        }
        Self::Failed(store_failed(error))
    }
}

/// Another process wrote the catalogue for longer than connections wait.
fn is_lock_timeout(error: &StoreError) -> bool {
    const LOCK_NOT_AVAILABLE: &str = "55P03";
    let StoreError::Database(sqlx::Error::Database(error)) = error else { return false };
    error.code().is_some_and(|code| code == LOCK_NOT_AVAILABLE)
}

impl From<sqlx::Error> for SyncError {
    fn from(error: sqlx::Error) -> Self {
        StoreError::from(error).into()
    }
}

impl From<SyncError> for ApiError {
    fn from(error: SyncError) -> Self {
        match error {
            SyncError::Refused { code, reason } => Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, reason),
            SyncError::Failed(error) => error,
        }
    }
}
