//! One process among several that may do a piece of work: whoever holds an advisory lock on a session of its own.

use crate::{Database, StoreError};
use std::time::Duration;

/// A server that does not answer for so long is gone, and with it the lock.
const ANSWER_DEADLINE: Duration = Duration::from_secs(5);

/// The right to do one piece of work alone. Ends with this value, and with the connection.
#[derive(Debug)]
pub struct Leadership {
    session: sqlx::PgConnection,
}

impl Leadership {
    /// Asks for the right to do `what`; none while another process has it. Not to be given up half-way.
    pub async fn seek(database: &Database, what: &str) -> Result<Option<Self>, StoreError> {
        let mut session = database.pool().acquire().await?;
        let leads: bool = sqlx::query_scalar("select pg_try_advisory_lock(hashtextextended($1, 0))")
            .bind(what)
            .fetch_one(&mut *session)
            .await?;
        // The lock belongs to the session: a pooled connection must not be handed on with it.
        Ok(leads.then(|| Self { session: session.detach() }))
    }

    /// Fails when the right is lost.
    pub async fn confirm(&mut self) -> Result<(), StoreError> {
        let asked = sqlx::query("select 1").execute(&mut self.session);
        match tokio::time::timeout(ANSWER_DEADLINE, asked).await {
            Ok(answer) => Ok(answer.map(|_| ())?),
            Err(_elapsed) => Err(StoreError::Database(sqlx::Error::PoolTimedOut)),
        }
    }
}
