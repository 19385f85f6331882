-- A restored database may have been written to before its generation was begun. Those events count as well.

create or replace function es.begin_generation() returns table (generation int, begun boolean, given bigint)
language plpgsql set search_path = pg_catalog as $$
#variable_conflict use_column
declare
  cur es.sequencer%rowtype;
  place bigint;
begin
  -- The sequencer's own lock.
  if not pg_try_advisory_xact_lock(123585325003008) then
    raise exception 'a sequencer is at work: stop every service first' using errcode = 'object_in_use';
  end if;
  if not es.is_restored() then
    return query select s.generation, false, 0::bigint from es.sequencer s;
    return;
  end if;

  -- Waits for whoever is appending, and keeps everybody out until the end: a place that was drawn and is not committed
  -- would fall between the generations. The owner sees rows only where row-level security is not forced.
  alter table es.event no force row level security;
  alter table es.stream no force row level security;
  alter table es.order_log no force row level security;
  select * into cur from es.sequencer for update;

  -- What was committed and not given a position before the dump comes next, in the order that it had there; then what
  -- somebody has appended here already, with transaction ids that look older.
  with late as (
    select e.xid, e.pos, e.partner_id, e.customer_id, e.stream, e.event_type, e.correlation_id, e.recorded_at,
           cur.seq + row_number() over (order by e.xid < cur.xid, e.xid, e.pos) as seq
      from es.event e
     where e.pos > cur.generation_start
       and not exists (select from es.order_log o where o.pos = e.pos)
  ), ordered as (
    insert into es.order_log (seq, xid, pos, partner_id, customer_id, stream, event_type, correlation_id, recorded_at)
    select l.seq, l.xid, l.pos, l.partner_id, l.customer_id, l.stream, l.event_type, l.correlation_id, l.recorded_at
      from late l
     order by l.seq
    returning seq, recorded_at
  ), minutes as (
    insert into es.order_minute as m (minute, first_seq, last_seq, events)
    select date_trunc('minute', o.recorded_at, 'UTC'), min(o.seq), max(o.seq), count(*)
      from ordered o
     group by 1
    on conflict (minute) do update
       set first_seq = least(m.first_seq, excluded.first_seq),
           last_seq = greatest(m.last_seq, excluded.last_seq),
           events = m.events + excluded.events
  )
  select count(*) into given from ordered;

  -- A stream refuses a writer that is older than its last one, and here they all look older.
  update es.stream s set last_xid = '0' where s.last_xid >= pg_snapshot_xmin(pg_current_snapshot());

  select greatest((select max(e.pos) from es.event e), (select max(o.pos) from es.order_log o), q.last_value)
    into place
    from es.event_pos q;
  perform setval('es.event_pos', place);

  generation := cur.generation + 1;
  begun := true;
  insert into es.generation (number, after_pos, after_seq) values (generation, place, cur.seq + given);
  -- Whoever appends from now on has a transaction id that is running now, or a later one.
  update es.sequencer s
     set generation = cur.generation + 1,
         generation_start = place,
         xid = pg_snapshot_xmin(pg_current_snapshot()),
         pos = 0,
         seq = cur.seq + given;

  alter table es.event force row level security;
  alter table es.stream force row level security;
  alter table es.order_log force row level security;
  return next;
end
$$;
