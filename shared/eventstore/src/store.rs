//! Loads, decides and appends.

use crate::{
    Database, ExecuteError, StoreError, Tx,
    append::{Batch, NewEvent, append},
    load::{Loaded, keep_snapshot, load, snapshot_is_due},
    privacy::seal,
};
use chrono::{DateTime, Utc};
use kernel::{Aggregate, Cause, Journal, Scope, StreamId, Tenant};
use sqlx::{Acquire, PgExecutor};

/// How often a command is decided anew because others wrote the stream meanwhile.
const ATTEMPTS_MAX: u32 = 8;

/// Which aggregate, whose, and why.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// What the caller may touch.
    pub scope: &'a Scope,
    /// Whose fact it will be.
    pub tenant: Tenant,
    /// The aggregate.
    pub stream_id: StreamId,
    /// Who asks, and the command's id.
    pub cause: &'a Cause,
    /// When it happened, where that is not now: an agent's or vendor's clock.
    pub occurred_at: Option<DateTime<Utc>>,
}

/// What a command wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// The stream's version after the command's last event; the version it is at when there was nothing to do.
    pub version: i64,
    /// Where the command's last event arrived; none when there was nothing to do.
    pub pos: Option<i64>,
    /// Whether the same command had been carried out before.
    pub repeated: bool,
}

/// The store.
#[derive(Debug, Clone)]
pub struct Store {
    database: Database,
}

impl Store {
    /// A store in `database`.
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    /// The database below.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Carries out one command on one aggregate, exactly once in effect for its command id.
    pub async fn execute<A: Aggregate>(
        &self,
        target: Target<'_>,
        command: A::Command,
    ) -> Result<Committed, ExecuteError<A::Refusal>> {
        for _ in 0..ATTEMPTS_MAX {
            if let Some(committed) = attempt::<A>(&self.database, target, command.clone()).await? {
                return Ok(committed);
            }
        }
        Err(StoreError::Conflict { stream_id: target.stream_id, attempts: ATTEMPTS_MAX }.into())
    }

    /// The same inside a transaction whose scope is `target.scope` already: all of it commits or nothing.
    ///
    /// A conflict ends the transaction: roll back and begin again.
    pub async fn execute_in<A: Aggregate>(
        &self,
        tx: &mut Tx,
        target: Target<'_>,
        command: A::Command,
    ) -> Result<Committed, ExecuteError<A::Refusal>> {
        let command_id = Some(target.cause.command_id);
        let loaded = load::<A>(tx, target.scope, false, target.stream_id, command_id).await?;
        let facts = match decide::<A>(&loaded, command)? {
            Decision::Nothing(committed) => return Ok(committed),
            Decision::Append(facts) => facts,
        };
        let mut events: Vec<NewEvent> = facts.iter().map(NewEvent::of).collect();
        let personal = events.iter().any(NewEvent::is_clear);
        seal(tx, self.database.keyring(), target.tenant, &mut events).await?;
        let committed = write(&mut **tx, target, false, A::STREAM, Some(loaded.version), &events)
            .await?
            .ok_or(StoreError::Conflict { stream_id: target.stream_id, attempts: 1 })?;
        // A state of facts that were not sealed yet is not kept; the next one is folded from what is stored.
        if !committed.repeated && !personal && snapshot_is_due::<A>(&loaded, committed.version) {
            // A savepoint: what goes wrong with a snapshot must not take the command with it.
            let mut aside = tx.begin().await.map_err(StoreError::Database)?;
            match keep_snapshot::<A>(&mut aside, target, false, loaded, &facts, committed.version).await {
                Ok(()) => aside.commit().await.map_err(StoreError::Database)?,
                Err(error) => {
                    aside.rollback().await.map_err(StoreError::Database)?;
                    snapshot_was_not_kept(target, &error);
                }
            }
        }
        Ok(committed)
    }

    /// Records facts about which nobody decides, exactly once in effect for the command id, as long as its key is kept:
    /// see [`crate::prune_command_keys`].
    pub async fn record<J: Journal>(
        &self,
        target: Target<'_>,
        facts: &[J::Event],
    ) -> Result<Committed, StoreError> {
        let events: Vec<NewEvent> = facts.iter().map(NewEvent::of).collect();
        for _ in 0..ATTEMPTS_MAX {
            if let Some(committed) = self.try_to_record(target, J::STREAM, events.clone()).await? {
                return Ok(committed);
            }
        }
        Err(StoreError::Conflict { stream_id: target.stream_id, attempts: ATTEMPTS_MAX })
    }

    async fn try_to_record(
        &self,
        target: Target<'_>,
        stream: &'static str,
        mut events: Vec<NewEvent>,
    ) -> Result<Option<Committed>, StoreError> {
        if !events.iter().any(NewEvent::is_clear) {
            return write(self.database.pool(), target, true, stream, None, &events).await;
        }
        let mut tx = self.database.begin(target.scope).await?;
        seal(&mut tx, self.database.keyring(), target.tenant, &mut events).await?;
        let outcome = write(&mut *tx, target, false, stream, None, &events).await?;
        if outcome.is_some() {
            tx.commit().await?;
        }
        Ok(outcome)
    }

    /// The state of an aggregate and its version (0 if there is none in this scope).
    pub async fn load<A: Aggregate>(
        &self,
        scope: &Scope,
        stream_id: StreamId,
    ) -> Result<(A::State, i64), StoreError> {
        let mut connection = self.database.pool().acquire().await?;
        let loaded = load::<A>(&mut connection, scope, true, stream_id, None).await?;
        Ok((loaded.state, loaded.version))
    }

    /// The state of an aggregate as the transaction, whose scope is `scope`, sees it.
    pub async fn load_in<A: Aggregate>(
        &self,
        tx: &mut Tx,
        scope: &Scope,
        stream_id: StreamId,
    ) -> Result<A::State, StoreError> {
        Ok(load::<A>(tx, scope, false, stream_id, None).await?.state)
    }
}

async fn attempt<A: Aggregate>(
    database: &Database,
    target: Target<'_>,
    command: A::Command,
) -> Result<Option<Committed>, ExecuteError<A::Refusal>> {
    // One connection for both statements: each way through the pool costs as much as a statement.
    let mut connection = database.pool().acquire().await.map_err(StoreError::Database)?;
    let command_id = Some(target.cause.command_id);
    let loaded = load::<A>(&mut connection, target.scope, true, target.stream_id, command_id).await?;
    let facts = match decide::<A>(&loaded, command)? {
        Decision::Nothing(committed) => return Ok(Some(committed)),
        Decision::Append(facts) => facts,
    };
    let mut events: Vec<NewEvent> = facts.iter().map(NewEvent::of).collect();
    if events.iter().any(NewEvent::is_clear) {
        drop(connection);
        // A new person's key and the first event about them are one transaction.
        let mut tx = database.begin(target.scope).await?;
        seal(&mut tx, database.keyring(), target.tenant, &mut events).await?;
        let outcome = write(&mut *tx, target, false, A::STREAM, Some(loaded.version), &events).await?;
        if outcome.is_some() {
            tx.commit().await?;
        }
        return Ok(outcome);
    }
    let outcome = write(&mut *connection, target, true, A::STREAM, Some(loaded.version), &events).await?;
    let due = |committed: &Committed| !committed.repeated && snapshot_is_due::<A>(&loaded, committed.version);
    if let Some(committed) = outcome.filter(due) {
        let kept = keep_snapshot::<A>(&mut connection, target, true, loaded, &facts, committed.version).await;
        if let Err(error) = kept {
            snapshot_was_not_kept(target, &error);
        }
    }
    Ok(outcome)
}

/// The command is carried out whatever becomes of its snapshot.
fn snapshot_was_not_kept(target: Target<'_>, error: &StoreError) {
    tracing::warn!(stream.id = %target.stream_id, %error, "a snapshot was not kept");
}

enum Decision<E> {
    Nothing(Committed),
    Append(Vec<E>),
}

fn decide<A: Aggregate>(
    loaded: &Loaded<A::State>,
    command: A::Command,
) -> Result<Decision<A::Event>, ExecuteError<A::Refusal>> {
    if let Some((version, pos)) = loaded.earlier {
        return Ok(Decision::Nothing(Committed { version, pos: Some(pos), repeated: true }));
    }
    let version = loaded.version;
    let events = A::decide(&loaded.state, command).map_err(ExecuteError::Refused)?;
    if events.is_empty() {
        return Ok(Decision::Nothing(Committed { version, pos: None, repeated: false }));
    }
    Ok(Decision::Append(events))
}

/// None when another writer came first.
async fn write(
    executor: impl PgExecutor<'_>,
    target: Target<'_>,
    begin: bool,
    stream: &'static str,
    expected: Option<i64>,
    events: &[NewEvent],
) -> Result<Option<Committed>, StoreError> {
    let batch = Batch {
        stream_id: target.stream_id,
        stream,
        expected,
        tenant: target.tenant,
        cause: target.cause,
        occurred_at: target.occurred_at,
        events,
    };
    append(executor, target.scope, begin, &batch).await?.settle(target.stream_id)
}
