//! What each consumer has taken in, so that an event has one effect however often it is delivered.

use eventstore::{Database, StoreError, Tx};
use kernel::{Envelope, Scope};
use std::collections::HashSet;
use uuid::Uuid;

/// Notes in the transaction of the effects that `events` are handled; answers with those that are new. No others may be
/// handled.
///
/// What lies at or below the consumer's place is dealt with, even where its row was pruned, unless it was set aside.
pub(crate) async fn enter(
    tx: &mut Tx,
    consumer: &str,
    events: &[Envelope],
) -> Result<HashSet<Uuid>, sqlx::Error> {
    let ids: Vec<Uuid> = events.iter().map(|event| event.event_id.0).collect();
    let seqs: Vec<i64> = events.iter().map(|event| event.seq.0).collect();
    let new: Vec<Uuid> = sqlx::query_scalar(
        "with entered as (
           insert into es.inbox (consumer, event_id, seq)
           select $1, o.event_id, o.seq
             from unnest($2::uuid[], $3::bigint[]) as o (event_id, seq)
            where o.seq > coalesce((select c.seq from es.consumer c where c.name = $1), 0)
              -- Beyond the log are only events that were lost when the database was set back.
              and o.seq <= (select s.seq from es.sequencer s)
               or exists (select from es.postponed p where p.consumer = $1 and p.event_id = o.event_id)
           on conflict do nothing
           returning event_id
         ), settled as (
           -- Those that are not new as well: what is dealt with waits no longer.
           delete from es.postponed where consumer = $1 and event_id = any ($2)
         )
         select event_id from entered",
    )
    .bind(consumer)
    .bind(&ids)
    .bind(&seqs)
    .fetch_all(&mut **tx)
    .await?;
    Ok(new.into_iter().collect())
}

/// Pages of the table that one statement of the pruning looks at: a megabyte, some milliseconds. As long as a transaction
/// that writes goes on, no event of anybody gets its position.
const PRUNE_BLOCKS: i64 = 128;

/// Deletes the inbox rows that nobody needs: those at or below their consumer's place, which says the same. Answers with
/// how many they were. To be called every hour or so.
///
/// Rows younger than an hour stay: no statement runs so long that it could have seen the place from before the row.
pub async fn prune_inbox(database: &Database) -> Result<u64, StoreError> {
    let mut pruned = 0;
    let mut block = 0;
    loop {
        let mut tx = database.begin(&Scope::Platform).await?;
        let blocks: i64 =
            sqlx::query_scalar("select pg_relation_size('es.inbox') / current_setting('block_size')::bigint")
                .fetch_one(&mut *tx)
                .await?;
        if block >= blocks {
            return Ok(pruned);
        }
        // By ranges of the table's pages, so that no statement is long and none looks at a page twice.
        pruned += sqlx::query(
            "delete from es.inbox i
              using es.consumer c
              where i.ctid >= format('(%s,0)', $1::bigint)::tid
                and i.ctid < format('(%s,0)', $1::bigint + $2::bigint)::tid
                and c.name = i.consumer
                and i.seq <= c.seq
                and i.handled_at < now() - interval '1 hour'
                and not exists (select from es.postponed p
                                 where p.consumer = i.consumer and p.event_id = i.event_id)
                and not exists (select from es.parked k
                                 where k.consumer = i.consumer and k.event_id = i.event_id)",
        )
        .bind(block)
        .bind(PRUNE_BLOCKS)
        .execute(&mut *tx)
        .await?
        .rows_affected();
        tx.commit().await?;
        block += PRUNE_BLOCKS;
    }
}
