//! What can go wrong inside a transaction, and when it is worth another attempt.

use eventstore::{ExecuteError, StoreError};
use foundation::store_failed;
use kernel::Refused;
use std::time::Duration;
use web::ApiError;

/// Attempts of one request when other writers come first: an agent's own requests seldom meet.
const ATTEMPTS_MAX: u32 = 8;
/// Pause before the second attempt; grows with each.
const PAUSE: Duration = Duration::from_millis(5);

/// SQLSTATEs of a transaction that lost against another and may simply begin again: deadlock, serialization.
const LOST: [&str; 2] = ["40P01", "40001"];
/// SQLSTATE of a lock that was not given in time, as while a large document changes the catalogue.
const LOCK_TIMEOUT: &str = "55P03";

/// A transaction did not come to its end.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The client is to be told.
    Answer(ApiError),
    /// The machinery failed.
    Store(StoreError),
}

impl From<ApiError> for Fault {
    fn from(error: ApiError) -> Self {
        Self::Answer(error)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

impl<R: Refused> From<ExecuteError<R>> for Fault {
    fn from(error: ExecuteError<R>) -> Self {
        match error {
            ExecuteError::Refused(refusal) => Self::Answer(ApiError::refused(&refusal)),
            ExecuteError::Store(error) => Self::Store(error),
        }
    }
}

impl From<Fault> for ApiError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Answer(error) => error,
            Fault::Store(error) if sqlstate(&error).as_deref() == Some(LOCK_TIMEOUT) => {
                Self::unavailable("devices.busy", error)
            }
            Fault::Store(error) => store_failed(error),
        }
    }
}

fn sqlstate(error: &StoreError) -> Option<String> {
    match error {
        StoreError::Database(error) => error.as_database_error()?.code().map(std::borrow::Cow::into_owned),
        StoreError::Conflict { .. }
        | StoreError::Foreign { .. }
        | StoreError::Corrupt { .. }
        | StoreError::Archived { .. }
        | StoreError::UnsafeRole { .. }
        | StoreError::Privacy(_) => None,
    }
}

fn lost_to_another(error: &StoreError) -> bool {
    matches!(error, StoreError::Conflict { .. })
        || sqlstate(error).is_some_and(|state| LOST.contains(&state.as_str()))
}

/// Runs a whole transaction, and again when another writer came first.
pub(crate) async fn retried<T, Fut>(mut transaction: impl FnMut() -> Fut) -> Result<T, ApiError>
where
    Fut: Future<Output = Result<T, Fault>>,
{
    let mut attempt = 1;
    loop {
        match transaction().await {
            Err(Fault::Store(error)) if attempt < ATTEMPTS_MAX && lost_to_another(&error) => {
                tokio::time::sleep(PAUSE * attempt).await;
                attempt += 1;
            }
            outcome => return outcome.map_err(ApiError::from),
        }
    }
}
