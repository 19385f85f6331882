//! Databases with events in them, and the tables that the baselines write to.

use crate::server::Place;
use anyhow::Result;
use sqlx::Connection;

/// Events of a stream in the fill.
const STREAM_LENGTH: u64 = 10;

/// Events in one statement of the fill: enough to be quick, few enough to show progress.
const STEP: u64 = 500_000;

/// The baselines' tables. The copy of the event table has its columns, defaults, indexes and partitions, but no
/// policies, no triggers and a sequence of its own.
const BASELINES: &str = "
create schema bench;
create table bench.raw (
  pos        bigint generated always as identity primary key,
  stream_id  uuid   not null,
  version    bigint not null,
  event_id   uuid   not null,
  event_type text   not null,
  meta       bytea  not null,
  payload    bytea  not null
);
create sequence bench.event_pos;
create table bench.event (like es.event including all) partition by range (pos);
alter table bench.event alter pos set default nextval('bench.event_pos');
do $$
declare
  part record;
begin
  for part in
    select c.relname, pg_get_expr(c.relpartbound, c.oid) as bound
      from pg_inherits i join pg_class c on c.oid = i.inhrelid
     where i.inhparent = 'es.event'::regclass
  loop
    execute format('create table bench.%I partition of bench.event %s', part.relname, part.bound);
  end loop;
end
$$;";

/// Adds the baselines' tables, empty.
pub(crate) async fn add_baselines(place: &Place) -> Result<()> {
    place.run(BASELINES).await
}

/// Stores `count` events in the store's tables and in their copy, and gives them their positions.
pub(crate) async fn fill(place: &Place, count: u64, note: impl Fn(&str)) -> Result<()> {
    store_all(place, count, &note).await?;
    sequence(place, count, &note).await?;
    note("copying them to the baseline's table");
    place
        .run(
            "insert into bench.event (pos, xid, stream_id, stream, version, event_id, event_type, schema_version, partner_id,
                                      customer_id, command_id, correlation_id, occurred_at, recorded_at, meta, payload)
             select pos, xid, stream_id, stream, version, event_id, event_type, schema_version, partner_id, customer_id,
                    command_id, correlation_id, occurred_at, recorded_at, '', ''
               from es.event;
             select setval('bench.event_pos', (select last_value from es.event_pos));
             analyze es.stream; analyze es.event; analyze bench.event;",
        )
        .await
}

/// Stores `count` events by plain SQL, ten a stream; they have no positions yet.
pub(crate) async fn store_all(place: &Place, count: u64, note: impl Fn(&str)) -> Result<()> {
    let mut first = 0;
    while first < count {
        note(&format!("storing events: {first} of {count}"));
        let last = (first + STEP).min(count);
        store(place, first, last).await?;
        first = last;
    }
    Ok(())
}

/// Gives the stored events their positions by the sequencer's own function, with larger steps than it takes itself.
pub(crate) async fn sequence(place: &Place, count: u64, note: impl Fn(&str)) -> Result<()> {
    let mut owner = place.owner().await?;
    sqlx::raw_sql("set statement_timeout = 0").execute(&mut owner).await?;
    loop {
        let (seq, given): (i64, i32) =
            sqlx::query_as("select seq, given from es.sequence(20000)").fetch_one(&mut owner).await?;
        if given == 0 {
            // Other databases of the server may hold the fence for a moment.
            if seq.unsigned_abs() >= count {
                return Ok(());
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        note(&format!("giving them their positions: {seq} of {count}"));
    }
}

/// A table as somebody would have it who follows by `pos`.
pub(crate) async fn add_followed(place: &Place) -> Result<()> {
    place
        .run(
            "create table bench.followed as table es.event;
             create unique index on bench.followed (pos);
             analyze bench.followed;",
        )
        .await
}

async fn store(place: &Place, first: u64, end: u64) -> Result<()> {
    let mut owner = place.owner().await?;
    sqlx::raw_sql("set statement_timeout = 0").execute(&mut owner).await?;
    let mut tx = owner.begin().await?;
    let bound = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let length = bound(STREAM_LENGTH);
    sqlx::query(
        "insert into es.stream (stream_id, stream, partner_id, customer_id, version)
         select md5('stream' || s)::uuid, 'loadtests.meter', md5('partner' || s % 20)::uuid, md5('customer' || s % 200)::uuid, $3
           from generate_series($1::bigint / $3, ($2::bigint - 1) / $3) as s",
    )
    .bind(bound(first))
    .bind(bound(end))
    .bind(length)
    .execute(&mut *tx)
    .await?;
    let sample =
        crate::workload::Columns::new(kernel::Tenant::PLATFORM, kernel::StreamId(uuid::Uuid::nil()), 1);
    sqlx::query(
        "insert into es.event (stream_id, stream, version, event_id, event_type, schema_version, partner_id,
                               customer_id, command_id, correlation_id, occurred_at, meta, payload)
         select md5('stream' || n / $3)::uuid, 'loadtests.meter', n % $3 + 1, gen_random_uuid(), $6, 1,
                md5('partner' || n / $3 % 20)::uuid, md5('customer' || n / $3 % 200)::uuid, gen_random_uuid(),
                gen_random_uuid(), now(), $4, $5
           from generate_series($1::bigint, $2::bigint - 1) as n",
    )
    .bind(bound(first))
    .bind(bound(end))
    .bind(length)
    .bind(sample.meta)
    .bind(sample.payload)
    .bind(crate::workload::EVENT_TYPE)
    .execute(&mut *tx)
    .await?;
    Ok(tx.commit().await?)
}

/// Takes the policies away, and nothing else.
pub(crate) async fn drop_policies(place: &Place) -> Result<()> {
    place
        .run(
            "do $$
             declare
               name regclass;
             begin
               for name in
                 select c.oid from pg_class c join pg_namespace n on n.oid = c.relnamespace
                  where n.nspname = 'es' and c.relkind in ('r', 'p') and c.relrowsecurity
               loop
                 execute format('alter table %s disable row level security', name);
                 execute format('alter table %s no force row level security', name);
               end loop;
             end
             $$;",
        )
        .await
}
