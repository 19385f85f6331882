//! Reads a stream, from its snapshot or its first event, and folds it.

use crate::{
    StoreError, Target,
    database::{per_role, scope_parameters},
};
use kernel::{Aggregate, CommandId, EventData, Scope, Snapshot, StreamId};
use sqlx::PgConnection;
use std::collections::HashMap;

/// A stream, read and folded.
pub(crate) struct Loaded<S> {
    pub(crate) state: S,
    pub(crate) version: i64,
    /// Version and place of the last event of the command in question, if it was carried out before.
    pub(crate) earlier: Option<(i64, i64)>,
    /// The version of the snapshot that it began with.
    base: i64,
}

#[derive(sqlx::FromRow)]
struct StreamRow {
    pos: Option<i64>,
    version: i64,
    event_type: Option<String>,
    schema_version: Option<i16>,
    command_id: Option<uuid::Uuid>,
    payload: Vec<u8>,
}

/// Loads; `begin` says that the statement is a transaction of its own, which has no scope yet.
pub(crate) async fn load<A: Aggregate>(
    connection: &mut PgConnection,
    scope: &Scope,
    begin: bool,
    stream_id: StreamId,
    command_id: Option<CommandId>,
) -> Result<Loaded<A::State>, StoreError> {
    let rows = read(connection, scope, begin, stream_id, command_id, A::SNAPSHOT.map(|s| s.shape)).await?;
    if let Some(loaded) = fold_rows::<A>(stream_id, command_id, rows)? {
        return Ok(loaded);
    }
    tracing::warn!(stream.id = %stream_id, stream.kind = A::STREAM, "a snapshot cannot be read and is left out");
    let rows = read(connection, scope, begin, stream_id, command_id, None).await?;
    let unreadable = || StoreError::Corrupt { what: format!("stream {stream_id} begins with no event") };
    fold_rows::<A>(stream_id, command_id, rows)?.ok_or_else(unreadable)
}

async fn read(
    connection: &mut PgConnection,
    scope: &Scope,
    begin: bool,
    stream_id: StreamId,
    command_id: Option<CommandId>,
    shape: Option<i32>,
) -> Result<Vec<StreamRow>, StoreError> {
    let (_, partner, customer) = scope_parameters(scope);
    let statement = per_role!(
        scope,
        "select pos, version, event_type, schema_version, command_id, payload from es.load_stream_",
        "($1, $2, $3, $4, $5, $6)"
    );
    Ok(sqlx::query_as(statement)
        .bind(begin)
        .bind(partner)
        .bind(customer)
        .bind(stream_id.0)
        .bind(shape)
        .bind(command_id.map(|id| id.0))
        .fetch_all(connection)
        .await?)
}

#[derive(sqlx::FromRow)]
struct RowOfStream {
    stream_id: uuid::Uuid,
    #[sqlx(flatten)]
    row: StreamRow,
}

/// Loads several streams in one statement, inside a transaction whose scope is `scope`, from their first events.
pub(crate) async fn load_several<A: Aggregate>(
    connection: &mut PgConnection,
    scope: &Scope,
    stream_ids: &[StreamId],
    command_id: CommandId,
) -> Result<Vec<Loaded<A::State>>, StoreError> {
    let statement = per_role!(
        scope,
        "select s.stream_id, l.pos, l.version, l.event_type, l.schema_version, l.command_id, l.payload
           from unnest($1::uuid[]) as s (stream_id)
          cross join lateral es.load_stream_",
        "(false, null, null, s.stream_id, null, $2) l
          order by s.stream_id, l.version"
    );
    let ids: std::collections::BTreeSet<uuid::Uuid> = stream_ids.iter().map(|id| id.0).collect();
    let rows: Vec<RowOfStream> = sqlx::query_as(statement)
        .bind(ids.into_iter().collect::<Vec<_>>())
        .bind(command_id.0)
        .fetch_all(connection)
        .await?;
    let mut of_stream: HashMap<uuid::Uuid, Vec<StreamRow>> = HashMap::new();
    for RowOfStream { stream_id, row } in rows {
        of_stream.entry(stream_id).or_default().push(row);
    }
    stream_ids
        .iter()
        .map(|stream_id| {
            let rows = of_stream.remove(&stream_id.0).unwrap_or_default();
            let unreadable =
                || StoreError::Corrupt { what: format!("stream {stream_id} begins with no event") };
            fold_rows::<A>(*stream_id, Some(command_id), rows)?.ok_or_else(unreadable)
        })
        .collect()
}

/// None where the rows begin with a snapshot that cannot be read.
fn fold_rows<A: Aggregate>(
    stream_id: StreamId,
    command_id: Option<CommandId>,
    rows: Vec<StreamRow>,
) -> Result<Option<Loaded<A::State>>, StoreError> {
    let mut loaded = Loaded { state: A::State::default(), version: 0, earlier: None, base: 0 };
    for row in rows {
        let (event_type, schema_version, pos) = match (row.event_type, row.schema_version, row.pos) {
            (Some(event_type), Some(schema_version), Some(pos)) => (event_type, schema_version, pos),
            (.., Some(pos)) => {
                // Where the command ended that was carried out before the snapshot.
                loaded.earlier = Some((row.version, pos));
                continue;
            }
            (.., None) => {
                let Some(state) = A::SNAPSHOT.and_then(|snapshot| (snapshot.read)(&row.payload)) else {
                    return Ok(None);
                };
                loaded = Loaded { state, version: row.version, earlier: None, base: row.version };
                continue;
            }
        };
        if row.version != loaded.version + 1 {
            return Err(StoreError::Corrupt {
                what: format!("stream {stream_id} goes from version {} to {}", loaded.version, row.version),
            });
        }
        let payload = serde_json::from_slice(&row.payload)
            .map_err(|error| StoreError::Corrupt { what: format!("event at {pos} is not JSON: {error}") })?;
        let event = A::Event::read(&event_type, schema_version, &payload)?;
        loaded.state = A::evolve(loaded.state, &event);
        loaded.version = row.version;
        if command_id.is_some_and(|id| Some(id.0) == row.command_id) {
            loaded.earlier = Some((row.version, pos));
        }
    }
    Ok(Some(loaded))
}

/// Whether enough events have come since the last snapshot.
pub(crate) fn snapshot_is_due<A: Aggregate>(loaded: &Loaded<A::State>, version: i64) -> bool {
    A::SNAPSHOT.is_some_and(|snapshot| version - loaded.base >= snapshot.every)
}

/// Keeps the state that `facts` lead to. `begin` as in [`load`].
pub(crate) async fn keep_snapshot<A: Aggregate>(
    connection: &mut PgConnection,
    target: Target<'_>,
    begin: bool,
    loaded: Loaded<A::State>,
    facts: &[A::Event],
    version: i64,
) -> Result<(), StoreError> {
    let Some(Snapshot { shape, write, .. }) = A::SNAPSHOT else { return Ok(()) };
    let Some(state) = write(&facts.iter().fold(loaded.state, A::evolve)) else { return Ok(()) };
    let (role, partner, customer) = scope_parameters(target.scope);
    sqlx::query("select es.keep_snapshot($1, $2, $3, $4, $5, $6, $7, $8, $9)")
        .bind(begin.then_some(role))
        .bind(partner)
        .bind(customer)
        .bind(target.stream_id.0)
        .bind(target.tenant.partner_id.0)
        .bind(target.tenant.customer_id.map(|id| id.0))
        .bind(version)
        .bind(shape)
        .bind(state)
        .execute(connection)
        .await?;
    metrics::counter!("eventstore_snapshots_total", "stream" => A::STREAM).increment(1);
    Ok(())
}
