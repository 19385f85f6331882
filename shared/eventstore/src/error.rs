//! What can go wrong below the rules.

/// The machinery failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Other writers kept coming first.
    #[error("stream {stream_id} was changed by others {attempts} times in a row")]
    Conflict {
        /// The stream.
        stream_id: kernel::StreamId,
        /// How often it was tried.
        attempts: u32,
    },
    /// The stream belongs to another tenant.
    #[error("stream {stream_id} is not in this scope")]
    Foreign {
        /// The stream.
        stream_id: kernel::StreamId,
    },
    /// Stored data contradicts its type.
    #[error("stored data is corrupt: {what}")]
    Corrupt {
        /// What contradicts what.
        what: String,
    },
    /// The event's partition was taken away; its events are elsewhere.
    #[error(
        "the event at position {seq} is not in the database: its partition {part} was taken away after its export to {file}, and must be attached again"
    )]
    Archived {
        /// The event.
        seq: kernel::Position,
        /// The partition.
        part: String,
        /// Where its events are.
        file: String,
    },
    /// The service's database role could see other tenants' rows.
    #[error(
        "database role {role} may not be used: it {why}; sign in as patchfleet_service, or a role like it"
    )]
    UnsafeRole {
        /// The role.
        role: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A personal text could not be sealed or opened.
    #[error(transparent)]
    Privacy(#[from] crate::PrivacyError),
    /// The database did not answer as wished.
    #[error("the database did not answer as wished")]
    Database(#[from] sqlx::Error),
}

impl From<kernel::MalformedEvent> for StoreError {
    fn from(error: kernel::MalformedEvent) -> Self {
        Self::Corrupt { what: error.to_string() }
    }
}

impl From<kernel::MalformedPersonal> for StoreError {
    fn from(error: kernel::MalformedPersonal) -> Self {
        Self::Privacy(error.into())
    }
}

impl StoreError {
    /// Whether somebody else was in the way for a moment, so that the same thing works when tried again.
    pub fn is_busy(&self) -> bool {
        match self {
            Self::Conflict { .. } => true,
            Self::Database(sqlx::Error::Database(error)) => {
                error.code().is_some_and(|code| BUSY_STATES.contains(&code.as_ref()))
            }
            Self::Database(_)
            | Self::Foreign { .. }
            | Self::Corrupt { .. }
            | Self::Archived { .. }
            | Self::UnsafeRole { .. }
            | Self::Privacy(_) => false,
        }
    }

    /// Whether the database is out of reach, so that the same thing may work later.
    pub fn is_outage(&self) -> bool {
        match self {
            Self::Database(error) => is_outage(error),
            Self::Conflict { .. }
            | Self::Foreign { .. }
            | Self::Corrupt { .. }
            | Self::Archived { .. }
            | Self::UnsafeRole { .. }
            | Self::Privacy(_) => false,
        }
    }
}

/// SQLSTATEs of somebody in the way: serialisation failure, deadlock, lock not available.
const BUSY_STATES: [&str; 3] = ["40001", "40P01", "55P03"];

/// SQLSTATE classes of a server that is going down, starting or out of resources. Of its class 57 only what an operator
/// does to it: a statement that takes too long (57014) would take as long again.
const OUTAGE_CLASSES: [&str; 3] = ["08", "53", "57P"];

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "sqlx's errors are open-ended; what is not named is no outage"
)]
fn is_outage(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::BeginFailed => true,
        sqlx::Error::Database(error) => {
            error.code().is_some_and(|code| OUTAGE_CLASSES.iter().any(|class| code.starts_with(class)))
        }
        _ => false,
    }
}

/// A command was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError<R: std::error::Error + 'static> {
    /// A rule said no.
    #[error(transparent)]
    Refused(R),
    /// The machinery failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl<R: std::error::Error> From<sqlx::Error> for ExecuteError<R> {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(StoreError::Database(error))
    }
}
