//! Several streams at once: one statement that reads them, and one that appends to them, all or nothing.

use crate::{
    Committed, PrivacyError, Store, StoreError, Target, Tx,
    append::{Appended, BATCH_MAX, NewEvent, meta, new_event_id},
    database::{per_role, scope_parameters},
    load::load_several,
    privacy::seal,
};
use kernel::{Aggregate, CommandId, Scope, StreamId};
use sqlx::PgExecutor;
use std::collections::HashSet;
use uuid::Uuid;

/// Events of one batch over several streams at the most: the order of everything waits for the transaction's end.
const EVENTS_MAX: usize = 10_000;

/// SQLSTATE with which `es.append_all` takes back what it wrote, because a stream was begun by others meanwhile.
const TAKEN_BACK: &str = "PF001";

/// What one stream gets in a batch over several.
#[derive(Debug, Clone)]
pub struct Part<'a> {
    target: Target<'a>,
    stream: &'static str,
    expected: i64,
    events: Vec<NewEvent>,
}

impl<'a> Part<'a> {
    /// `facts` for the aggregate that was read at the version `expected` (0: there was none).
    pub fn of<A: Aggregate>(target: Target<'a>, expected: i64, facts: &[A::Event]) -> Self {
        let events = facts.iter().map(NewEvent::of).collect();
        Self { target, stream: A::STREAM, expected, events }
    }
}

/// An aggregate as it was read beside others.
#[derive(Debug, Clone)]
pub struct Standing<S> {
    /// Its state.
    pub state: S,
    /// Its version; 0 if there is none in the scope.
    pub version: i64,
    /// What the command had written to it, if it was carried out before.
    pub earlier: Option<Committed>,
}

impl Store {
    /// The states of several aggregates as the transaction, whose scope is `scope`, sees them, in the order of
    /// `stream_ids`, which are distinct. They are folded from their first events: for streams that stay short.
    pub async fn load_all_in<A: Aggregate>(
        &self,
        tx: &mut Tx,
        scope: &Scope,
        stream_ids: &[StreamId],
        command_id: CommandId,
    ) -> Result<Vec<Standing<A::State>>, StoreError> {
        let loaded = load_several::<A>(tx, scope, stream_ids, command_id).await?;
        let standing = loaded.into_iter().map(|loaded| Standing {
            state: loaded.state,
            version: loaded.version,
            earlier: loaded.earlier.map(|(version, pos)| Committed {
                version,
                pos: Some(pos),
                repeated: true,
            }),
        });
        Ok(standing.collect())
    }

    /// Appends to several streams in one statement: everything is kept, or nothing and the answer names the stream that
    /// refused. Answers in the order of `parts`; all of them are repeated when the whole batch had been appended before.
    pub async fn append_all(&self, scope: &Scope, parts: &[Part<'_>]) -> Result<Vec<Committed>, StoreError> {
        if parts.iter().flat_map(|part| &part.events).any(NewEvent::is_clear) {
            let mut tx = self.database().begin(scope).await?;
            let committed = self.append_all_in(&mut tx, scope, parts).await?;
            tx.commit().await?;
            return Ok(committed);
        }
        append_all(self.database().pool(), scope, true, parts).await
    }

    /// The same inside a transaction whose scope is `scope` already.
    ///
    /// A refusal ends the transaction: roll back and begin again.
    pub async fn append_all_in(
        &self,
        tx: &mut Tx,
        scope: &Scope,
        parts: &[Part<'_>],
    ) -> Result<Vec<Committed>, StoreError> {
        let mut parts = parts.to_vec();
        for part in &mut parts {
            seal(tx, self.database().keyring(), part.target.tenant, &mut part.events).await?;
        }
        append_all(&mut **tx, scope, false, &parts).await
    }
}

#[derive(sqlx::FromRow)]
struct PartRow {
    stream_id: Uuid,
    status: String,
    version: Option<i64>,
    pos: Option<i64>,
}

async fn append_all(
    executor: impl PgExecutor<'_>,
    scope: &Scope,
    begin: bool,
    parts: &[Part<'_>],
) -> Result<Vec<Committed>, StoreError> {
    if parts.is_empty() {
        return Ok(Vec::new());
    }
    check(parts)?;
    let (_, scope_partner, scope_customer) = scope_parameters(scope);
    let events = || parts.iter().flat_map(|part| &part.events);
    let of: Vec<i32> =
        (1..).zip(parts).flat_map(|(number, part)| part.events.iter().map(move |_| number)).collect();
    let rows: Result<Vec<PartRow>, sqlx::Error> = sqlx::query_as(per_role!(
        scope,
        "select stream_id, status, version, pos from es.append_all_",
        "($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)"
    ))
    .bind(begin)
    .bind(scope_partner)
    .bind(scope_customer)
    .bind(parts.iter().map(|part| part.target.stream_id.0).collect::<Vec<_>>())
    .bind(parts.iter().map(|part| part.stream).collect::<Vec<_>>())
    .bind(parts.iter().map(|part| part.expected).collect::<Vec<_>>())
    .bind(parts.iter().map(|part| part.target.tenant.partner_id.0).collect::<Vec<_>>())
    .bind(parts.iter().map(|part| part.target.tenant.customer_id.map(|id| id.0)).collect::<Vec<_>>())
    .bind(parts.iter().map(|part| part.target.cause.command_id.0).collect::<Vec<_>>())
    .bind(parts.iter().map(|part| part.target.cause.correlation_id.0).collect::<Vec<_>>())
    .bind(parts.iter().map(|part| part.target.occurred_at).collect::<Vec<_>>())
    .bind(parts.iter().map(|part| meta(part.target.cause)).collect::<Vec<_>>())
    .bind(of)
    .bind(events().map(|_| new_event_id()).collect::<Vec<_>>())
    .bind(events().map(|event| event.event_type).collect::<Vec<_>>())
    .bind(events().map(|event| event.schema_version).collect::<Vec<_>>())
    .bind(events().map(|event| event.payload.as_slice()).collect::<Vec<_>>())
    .fetch_all(executor)
    .await;
    let committed = match rows {
        Ok(rows) => outcome(parts, &rows)?,
        Err(error) => return Err(taken_back(error)),
    };
    if begin {
        crate::sequencer::poke();
    }
    Ok(committed)
}

/// What the statement takes for granted.
fn check(parts: &[Part<'_>]) -> Result<(), StoreError> {
    let corrupt = |what| Err(StoreError::Corrupt { what });
    let mut streams = HashSet::new();
    for part in parts {
        let (stream_id, events) = (part.target.stream_id, part.events.len());
        if !streams.insert(stream_id) {
            return corrupt(format!("stream {stream_id} is in one batch twice"));
        }
        if !(1..=BATCH_MAX).contains(&events) {
            return corrupt(format!("{events} events for stream {stream_id} in one batch"));
        }
        if let Some(clear) = part.events.iter().find(|event| event.is_clear()) {
            return Err(PrivacyError::NotSealed { event_type: clear.event_type }.into());
        }
    }
    let events: usize = parts.iter().map(|part| part.events.len()).sum();
    if events > EVENTS_MAX {
        return corrupt(format!("{events} events in one batch over {} streams", parts.len()));
    }
    Ok(())
}

/// Every stream's place, or the refusal of the first that is in the way.
fn outcome(parts: &[Part<'_>], rows: &[PartRow]) -> Result<Vec<Committed>, StoreError> {
    let conflict = |stream_id| StoreError::Conflict { stream_id, attempts: 1 };
    let mut committed = Vec::with_capacity(rows.len());
    for row in rows {
        let stream_id = StreamId(row.stream_id);
        let appended = Appended::read(&row.status, row.version, row.pos)?;
        committed.push(appended.settle(stream_id)?.ok_or_else(|| conflict(stream_id))?);
    }
    // Some of it was there before, the rest is not: that was another batch, and this one is in its way.
    if let (true, Some(row)) = (committed.len() < parts.len(), rows.first()) {
        return Err(conflict(StreamId(row.stream_id)));
    }
    Ok(committed)
}

fn taken_back(error: sqlx::Error) -> StoreError {
    let refusal = error.as_database_error().filter(|error| error.code().as_deref() == Some(TAKEN_BACK));
    let stream_id = refusal
        .and_then(|error| error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>())
        .and_then(|error| Some((error.message() == "foreign", error.detail()?.parse::<StreamId>().ok()?)));
    match stream_id {
        Some((true, stream_id)) => StoreError::Foreign { stream_id },
        Some((false, stream_id)) => StoreError::Conflict { stream_id, attempts: 1 },
        None => StoreError::Database(error),
    }
}
