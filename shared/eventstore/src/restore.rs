//! Makes a log that was restored into another cluster go on: begins its next generation there.

use sqlx::{Connection, PgConnection};

/// SQLSTATE with which `es.begin_generation` says that a sequencer leads.
const IN_USE: &str = "55006";

/// What a restore needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restored {
    /// The log's generation now.
    pub generation: i32,
    /// Whether it was begun now; otherwise the log was at home already, and nothing was changed.
    pub begun: bool,
    /// How many events were committed before the dump, or after the restore, and got their positions now.
    pub given: i64,
}

/// A restored log cannot go on yet.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The server did not let us in.
    #[error("signing in to the database")]
    Connect(#[source] sqlx::Error),
    /// Services run.
    #[error("a sequencer is at work in this database: stop every service first")]
    InUse,
    /// It did not work; nothing was changed.
    #[error("beginning a generation of the log")]
    Begin(#[source] sqlx::Error),
}

/// Begins a generation of the log if it has come from another cluster, where transaction ids have another meaning.
/// `url` names the owner of the tables. Harmless anywhere else, and a second time.
pub async fn restore(url: &str) -> Result<Restored, RestoreError> {
    let mut owner = PgConnection::connect(url).await.map_err(RestoreError::Connect)?;
    let begun = sqlx::query_as("select generation, begun, given from es.begin_generation()")
        .fetch_one(&mut owner)
        .await;
    let (generation, begun, given) = begun.map_err(|error| match error.as_database_error() {
        Some(refused) if refused.code().as_deref() == Some(IN_USE) => RestoreError::InUse,
        _ => RestoreError::Begin(error),
    })?;
    // Ending it in good order is a courtesy; the server ends it anyway.
    let _ = owner.close().await;
    Ok(Restored { generation, begun, given })
}
