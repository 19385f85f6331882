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
            Fault::Store(error) => store_failed(error),
        }
    }
}

/// Runs a whole transaction, and again when another writer came first.
pub(crate) async fn retried<T, Fut>(mut transaction: impl FnMut() -> Fut) -> Result<T, ApiError>
where
    Fut: Future<Output = Result<T, Fault>>,
{
    let mut attempt = 1;
    loop {
        match transaction().await {
            Err(Fault::Store(StoreError::Conflict { .. })) if attempt < ATTEMPTS_MAX => {
                tokio::time::sleep(PAUSE * attempt).await;
                attempt += 1;
            }
            outcome => return outcome.map_err(ApiError::from),
        }
    }
}
