//! Loads, decides and appends.

use crate::{
    Database, ExecuteError, StoreError, Tx,
    append::{Appended, Batch, NewEvent, append},
    database::scope_parameters,
    privacy::seal,
};
use chrono::{DateTime, Utc};
use kernel::{Aggregate, Cause, CommandId, EventData, Scope, StreamId, Tenant};
use sqlx::PgExecutor;

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
    /// The stream's version afterwards.
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

/// A stream, read and folded.
struct Loaded<S> {
    state: S,
    version: i64,
    /// Where the last event of the command in question stands, if it was carried out before.
    earlier: Option<i64>,
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
        let loaded = load::<A>(&mut **tx, None, target.stream_id, Some(target.cause.command_id)).await?;
        let outcome = match decide::<A>(&loaded, command)? {
            Decision::Nothing(committed) => Some(committed),
            Decision::Append { version, events } => {
                let mut events: Vec<NewEvent> = events.iter().map(NewEvent::of).collect();
                seal(tx, self.database.keyring(), target.tenant, &mut events).await?;
                write::<A>(&mut **tx, None, target, version, &events).await?
            }
        };
        outcome.ok_or(ExecuteError::Store(StoreError::Conflict { stream_id: target.stream_id, attempts: 1 }))
    }

    /// The state of an aggregate and its version (0 if there is none in this scope).
    pub async fn load<A: Aggregate>(
        &self,
        scope: &Scope,
        stream_id: StreamId,
    ) -> Result<(A::State, i64), StoreError> {
        let loaded = load::<A>(self.database.pool(), Some(scope), stream_id, None).await?;
        Ok((loaded.state, loaded.version))
    }

    /// The state of an aggregate as the transaction sees it.
    pub async fn load_in<A: Aggregate>(
        &self,
        tx: &mut Tx,
        stream_id: StreamId,
    ) -> Result<A::State, StoreError> {
        Ok(load::<A>(&mut **tx, None, stream_id, None).await?.state)
    }
}

async fn attempt<A: Aggregate>(
    database: &Database,
    target: Target<'_>,
    command: A::Command,
) -> Result<Option<Committed>, ExecuteError<A::Refusal>> {
    let (pool, scope) = (database.pool(), Some(target.scope));
    let loaded = load::<A>(pool, scope, target.stream_id, Some(target.cause.command_id)).await?;
    match decide::<A>(&loaded, command)? {
        Decision::Nothing(committed) => Ok(Some(committed)),
        Decision::Append { version, events } => {
            let mut events: Vec<NewEvent> = events.iter().map(NewEvent::of).collect();
            if !events.iter().any(NewEvent::is_clear) {
                return write::<A>(pool, scope, target, version, &events).await;
            }
            // A new person's key and the first event about them are one transaction.
            let mut tx = database.begin(target.scope).await?;
            seal(&mut tx, database.keyring(), target.tenant, &mut events).await?;
            let outcome = write::<A>(&mut *tx, None, target, version, &events).await?;
            if outcome.is_some() {
                tx.commit().await?;
            }
            Ok(outcome)
        }
    }
}

enum Decision<E> {
    Nothing(Committed),
    Append { version: i64, events: Vec<E> },
}

fn decide<A: Aggregate>(
    loaded: &Loaded<A::State>,
    command: A::Command,
) -> Result<Decision<A::Event>, ExecuteError<A::Refusal>> {
    let version = loaded.version;
    if let Some(pos) = loaded.earlier {
        return Ok(Decision::Nothing(Committed { version, pos: Some(pos), repeated: true }));
    }
    let events = A::decide(&loaded.state, command).map_err(ExecuteError::Refused)?;
    if events.is_empty() {
        return Ok(Decision::Nothing(Committed { version, pos: None, repeated: false }));
    }
    Ok(Decision::Append { version, events })
}

async fn write<A: Aggregate>(
    executor: impl PgExecutor<'_>,
    scope: Option<&Scope>,
    target: Target<'_>,
    version: i64,
    events: &[NewEvent],
) -> Result<Option<Committed>, ExecuteError<A::Refusal>> {
    let batch = Batch {
        stream_id: target.stream_id,
        stream: A::STREAM,
        expected: version,
        tenant: target.tenant,
        cause: target.cause,
        occurred_at: target.occurred_at,
        events,
    };
    match append(executor, scope, &batch).await? {
        Appended::Written { version, pos } => {
            Ok(Some(Committed { version, pos: Some(pos), repeated: false }))
        }
        Appended::Conflict { order } => {
            metrics::counter!("eventstore_append_conflicts_total", "kind" => if order { "order" } else { "version" })
                .increment(1);
            Ok(None)
        }
        Appended::Foreign => Err(StoreError::Foreign { stream_id: target.stream_id }.into()),
    }
}

#[derive(sqlx::FromRow)]
struct StreamRow {
    pos: i64,
    version: i64,
    event_type: String,
    schema_version: i16,
    command_id: uuid::Uuid,
    payload: Vec<u8>,
}

async fn load<A: Aggregate>(
    executor: impl PgExecutor<'_>,
    scope: Option<&Scope>,
    stream_id: StreamId,
    command_id: Option<CommandId>,
) -> Result<Loaded<A::State>, StoreError> {
    let (role, partner, customer) = match scope.map(scope_parameters) {
        Some((role, partner, customer)) => (Some(role), partner, customer),
        None => (None, None, None),
    };
    let rows: Vec<StreamRow> = sqlx::query_as(
        "select pos, version, event_type, schema_version, command_id, payload
           from es.read_stream($1, $2, $3, $4)",
    )
    .bind(role)
    .bind(partner)
    .bind(customer)
    .bind(stream_id.0)
    .fetch_all(executor)
    .await?;

    let mut loaded = Loaded { state: A::State::default(), version: 0, earlier: None };
    for row in rows {
        if row.version != loaded.version + 1 {
            return Err(StoreError::Corrupt {
                what: format!("stream {stream_id} goes from version {} to {}", loaded.version, row.version),
            });
        }
        let payload = serde_json::from_slice(&row.payload).map_err(|error| StoreError::Corrupt {
            what: format!("event at {} is not JSON: {error}", row.pos),
        })?;
        let event = A::Event::read(&row.event_type, row.schema_version, &payload)?;
        loaded.state = A::evolve(loaded.state, &event);
        loaded.version = row.version;
        if command_id.is_some_and(|id| id.0 == row.command_id) {
            loaded.earlier = Some(row.pos);
        }
    }
    Ok(loaded)
}
