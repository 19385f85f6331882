//! Every event has one audit record with the right hash.

use anyhow::Result;
use journeys::chaos::Check;
use sqlx::PgConnection;

/// Examples at the most.
const EXAMPLES: i64 = 5;

pub(super) async fn trail(database: &mut PgConnection) -> Result<Vec<Check>> {
    let mut records = Check::new("every event has one audit record, under its position and with its hash");
    let count: i64 =
        sqlx::query_scalar("select count(*) from auditing.record").fetch_one(&mut *database).await?;
    records.looked_at = u64::try_from(count)?;
    let missing: Vec<(i64,)> = sqlx::query_as(
        "select o.seq
           from es.order_log o join es.event e on e.pos = o.pos
           left join auditing.record r on r.seq = o.seq and r.event_id = e.event_id
          where r.seq is null
          order by o.seq limit $1",
    )
    .bind(EXAMPLES)
    .fetch_all(&mut *database)
    .await?;
    for (seq,) in missing {
        records.violate(format!("position {seq} has no record of its event"));
    }
    let events: i64 = sqlx::query_scalar("select count(*) from es.event").fetch_one(&mut *database).await?;
    if events != count {
        records.violate(format!("{count} records for {events} events"));
    }
    let altered: Vec<(i64,)> = sqlx::query_as(
        "select seq from auditing.record
          where leaf <> sha256('\\x00'::bytea || envelope)
             or (convert_from(envelope, 'UTF8')::jsonb ->> 'event_id')::uuid <> event_id
             or (convert_from(envelope, 'UTF8')::jsonb ->> 'seq')::bigint <> seq
          order by seq limit $1",
    )
    .bind(EXAMPLES)
    .fetch_all(database)
    .await?;
    for (seq,) in altered {
        records.violate(format!("the record at position {seq} does not match its hash or its event"));
    }
    Ok(vec![records])
}
