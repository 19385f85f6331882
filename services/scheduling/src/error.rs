//! What a caller gets when a command is not carried out.

use eventstore::{ExecuteError, StoreError};
use foundation::store_failed;
use kernel::{CustomerId, DeviceId, PatchId, Refused};
use web::ApiError;

/// Something named in a command that does not exist for the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unknown {
    /// There is no such customer for the caller.
    #[error("there is no customer {customer_id}")]
    Customer {
        /// What was named.
        customer_id: CustomerId,
    },
    /// There is no such device for the caller, or it belongs to another customer.
    #[error("there is no device {device_id}")]
    Device {
        /// What was named.
        device_id: DeviceId,
    },
    /// The catalogue has no such patch.
    #[error("there is no patch {patch_id}")]
    Patch {
        /// What was named.
        patch_id: PatchId,
    },
}

impl Refused for Unknown {
    fn code(&self) -> &'static str {
        match self {
            Self::Customer { .. } => "scheduling.customer_not_found",
            Self::Device { .. } => "scheduling.device_not_found",
            Self::Patch { .. } => "scheduling.patch_not_found",
        }
    }

    fn is_not_found(&self) -> bool {
        true
    }
}

/// Why a transaction of a command came to nothing.
#[derive(Debug)]
pub(crate) enum Stop {
    /// An answer for the caller.
    Refused(ApiError),
    /// The machinery; the route tries again what somebody else was in the way of.
    Store(StoreError),
}

impl<R: Refused> From<ExecuteError<R>> for Stop {
    fn from(error: ExecuteError<R>) -> Self {
        match error {
            ExecuteError::Refused(refusal) => Self::Refused(ApiError::refused(&refusal)),
            ExecuteError::Store(error) => Self::Store(error),
        }
    }
}

impl From<Unknown> for Stop {
    fn from(unknown: Unknown) -> Self {
        Self::Refused(ApiError::refused(&unknown))
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<sqlx::Error> for Stop {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

impl From<Stop> for ApiError {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Refused(error) => error,
            Stop::Store(error) => store_failed(error),
        }
    }
}
