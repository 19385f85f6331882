//! One command on each of many aggregates of a kind: read in one statement, decided one by one, appended in one statement.

use crate::{
    Committed, Part, Store, StoreError, Target, Tx,
    append::NewEvent,
    database::{per_role, scope_parameters},
    load::{Loaded, StreamRow, fold_rows, keep_snapshot, load, snapshot_is_due},
};
use kernel::{Aggregate, Scope};
use sqlx::Acquire;
use uuid::Uuid;

#[derive(sqlx::FromRow)]
struct NumberedRow {
    n: i64,
    #[sqlx(flatten)]
    row: StreamRow,
}

impl Store {
    /// [`Store::execute_in`] for many aggregates at once, inside a transaction whose scope is `scope` already. Answers in
    /// the order of the commands: what each wrote, or why it was refused; what was not refused commits together.
    ///
    /// No stream may be there twice, and no more events may follow than one batch takes ([`Store::append_all_in`]). A conflict ends the transaction: roll back and begin again.
    pub async fn execute_all_in<A: Aggregate>(
        &self,
        tx: &mut Tx,
        scope: &Scope,
        commands: Vec<(Target<'_>, A::Command)>,
    ) -> Result<Vec<Result<Committed, A::Refusal>>, StoreError> {
        let targets: Vec<Target<'_>> = commands.iter().map(|(target, _)| *target).collect();
        let loaded = load_all::<A>(tx, scope, &targets).await?;
        let mut outcomes = Vec::with_capacity(targets.len());
        let mut parts = Vec::new();
        let mut appended = Vec::new();
        for ((target, command), loaded) in commands.into_iter().zip(loaded) {
            let version = loaded.version;
            if let Some((version, pos)) = loaded.earlier {
                outcomes.push(Ok(Committed { version, pos: Some(pos), repeated: true }));
                continue;
            }
            match A::decide(&loaded.state, command) {
                Err(refusal) => outcomes.push(Err(refusal)),
                Ok(facts) => {
                    if !facts.is_empty() {
                        parts.push(Part::of::<A>(target, version, &facts));
                        appended.push((outcomes.len(), target, loaded, facts));
                    }
                    outcomes.push(Ok(Committed { version, pos: None, repeated: false }));
                }
            }
        }
        let written = self.append_all_in(tx, scope, &parts).await?;
        for ((at, target, loaded, facts), committed) in appended.into_iter().zip(written) {
            if let Some(outcome) = outcomes.get_mut(at) {
                *outcome = Ok(committed);
            }
            let is_personal = || facts.iter().map(NewEvent::of).any(|event| event.is_clear());
            let is_due = !committed.repeated && snapshot_is_due::<A>(&loaded, committed.version);
            // As in `execute_in`: what goes wrong with a snapshot must not take the commands with it.
            if is_due && !is_personal() {
                let mut aside = tx.begin().await.map_err(StoreError::Database)?;
                match keep_snapshot::<A>(&mut aside, target, false, loaded, &facts, committed.version).await {
                    Ok(()) => aside.commit().await.map_err(StoreError::Database)?,
                    Err(error) => {
                        aside.rollback().await.map_err(StoreError::Database)?;
                        tracing::warn!(stream.id = %target.stream_id, %error, "a snapshot was not kept");
                    }
                }
            }
        }
        Ok(outcomes)
    }
}

/// Reads every target's stream, in their order.
async fn load_all<A: Aggregate>(
    tx: &mut Tx,
    scope: &Scope,
    targets: &[Target<'_>],
) -> Result<Vec<Loaded<A::State>>, StoreError> {
    let (_, partner, customer) = scope_parameters(scope);
    let rows: Vec<NumberedRow> = sqlx::query_as(per_role!(
        scope,
        "select t.n, l.pos, l.version, l.event_type, l.schema_version, l.command_id, l.payload
           from unnest($4::uuid[], $6::uuid[]) with ordinality as t (stream_id, command_id, n)
          cross join lateral es.load_stream_",
        "($1, $2, $3, t.stream_id, $5, t.command_id) with ordinality
                       as l (pos, version, event_type, schema_version, command_id, payload, place)
          order by t.n, l.place"
    ))
    .bind(false)
    .bind(partner)
    .bind(customer)
    .bind(targets.iter().map(|target| target.stream_id.0).collect::<Vec<Uuid>>())
    .bind(A::SNAPSHOT.map(|snapshot| snapshot.shape))
    .bind(targets.iter().map(|target| target.cause.command_id.0).collect::<Vec<Uuid>>())
    .fetch_all(&mut **tx)
    .await?;
    let mut rows = rows.into_iter().peekable();
    let mut all = Vec::with_capacity(targets.len());
    for (n, target) in (1..).zip(targets) {
        let mut own = Vec::new();
        while let Some(NumberedRow { row, .. }) = rows.next_if(|row| row.n == n) {
            own.push(row);
        }
        let command_id = target.cause.command_id;
        let loaded = match fold_rows::<A>(target.stream_id, Some(command_id), own)? {
            Some(loaded) => loaded,
            // A snapshot of another shape: this one is read again by itself, which knows what to do.
            None => load::<A>(tx, scope, false, target.stream_id, Some(command_id)).await?,
        };
        all.push(loaded);
    }
    Ok(all)
}
