-- Transaction ids begin anew in another cluster, positions must not. A generation is the time that the log has spent in
-- one cluster; a restore begins the next.

create table es.generation (
  number    int         primary key,
  -- The cluster's own number: a database that was restored elsewhere finds another one there.
  cluster   bigint      not null default (pg_control_system()).system_identifier,
  -- The last place and position of the generation before.
  after_pos bigint      not null,
  after_seq bigint      not null,
  began_at  timestamptz not null default clock_timestamp()
);
grant select on es.generation to pf_partner, pf_customer, pf_platform;
insert into es.generation (number, after_pos, after_seq) select generation, 0, 0 from es.sequencer;

-- Whether the log has come from another cluster and has not begun its generation here yet. Nothing new would ever be
-- given a position: its transaction ids are below the cursor.
create function es.is_restored() returns boolean language sql stable as $$
  select g.cluster <> (pg_control_system()).system_identifier
      or s.xid > pg_snapshot_xmax(pg_current_snapshot())
    from es.sequencer s
    join es.generation g on g.number = s.generation;
$$;
grant execute on function es.is_restored() to patchfleet_service, pf_partner, pf_customer, pf_platform;

-- Begins a generation if the log has come from another cluster; does nothing otherwise. For the owner.
create function es.begin_generation() returns table (generation int, begun boolean, given bigint)
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

  -- What was committed and not given a position before the dump comes next, in the order that it had there.
  with late as (
    select e.xid, e.pos, e.partner_id, e.customer_id, e.stream, e.event_type, e.correlation_id, e.recorded_at,
           cur.seq + row_number() over (order by e.xid, e.pos) as seq
      from es.event e
     where e.pos > cur.generation_start
       and (e.xid, e.pos) > (cur.xid, cur.pos)
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
revoke all on function es.begin_generation() from public;

-- The same as before, and: where nothing was to do for long, the cursor follows the fence, so that the search begins
-- beyond the transaction ids of earlier generations, which may lie on its way.
create or replace function es.sequence(p_limit int) returns table (seq bigint, given int, fence text)
language plpgsql set enable_seqscan = off as $$
#variable_conflict use_column
declare
  cur es.sequencer%rowtype;
  seen constant pg_snapshot := pg_current_snapshot();
  far constant bigint := 10000;
begin
  fence := case when pg_snapshot_xmin(seen) < pg_snapshot_xmax(seen) then pg_snapshot_xmin(seen)::text end;

  -- A look first: without work there is nothing to lock, and no transaction id is used up.
  select * into cur from es.sequencer;
  perform from es.event e
    where (e.xid, e.pos) > (cur.xid, cur.pos)
      and e.xid < pg_snapshot_xmin(pg_current_snapshot())
      and e.pos > cur.generation_start
    order by e.xid, e.pos
    limit 1;
  if not found then
    if pg_snapshot_xmin(seen)::text::bigint > cur.xid::text::bigint + far then
      update es.sequencer s set xid = pg_snapshot_xmin(seen), pos = 0 where s.xid = cur.xid and s.pos = cur.pos;
    end if;
    return query select cur.seq, 0, fence;
    return;
  end if;

  return query
  with at as (
    select s.xid, s.pos, s.seq, s.generation_start from es.sequencer s for update
  ), page as (
    select e.xid, e.pos, e.partner_id, e.customer_id, e.stream, e.event_type, e.correlation_id, e.recorded_at,
           row_number() over (order by e.xid, e.pos) as n
      from es.event e
     -- Scalars, not a join: only so is the index entered at the cursor instead of the log being read from its start.
     -- Rows and fence (no transaction below it can still commit) come from one snapshot: else events would be skipped.
     where (e.xid, e.pos) > ((select at.xid from at), (select at.pos from at))
       and e.xid < pg_snapshot_xmin(pg_current_snapshot())
       and e.pos > (select at.generation_start from at)
     order by e.xid, e.pos
     limit p_limit
  ), ordered as (
    insert into es.order_log (seq, xid, pos, partner_id, customer_id, stream, event_type, correlation_id, recorded_at)
    select at.seq + p.n, p.xid, p.pos, p.partner_id, p.customer_id, p.stream, p.event_type, p.correlation_id, p.recorded_at
      from page p, at
     order by p.n
    returning seq, xid, pos, recorded_at
  ), minutes as (
    insert into es.order_minute as m (minute, first_seq, last_seq, events)
    select date_trunc('minute', o.recorded_at, 'UTC'), min(o.seq), max(o.seq), count(*)
      from ordered o
     group by 1
    on conflict (minute) do update
       set first_seq = least(m.first_seq, excluded.first_seq),
           last_seq = greatest(m.last_seq, excluded.last_seq),
           events = m.events + excluded.events
  ), last as (
    select o.seq, o.xid, o.pos from ordered o order by o.seq desc limit 1
  ), moved as (
    update es.sequencer s set xid = last.xid, pos = last.pos, seq = last.seq from last
    returning s.seq
  )
  select coalesce((select m.seq from moved m), (select at.seq from at)), (select count(*)::int from ordered), fence;
end
$$;

-- How many committed events have no position yet, counted up to p_limit.
create function es.waiting(p_limit bigint) returns bigint language plpgsql stable set enable_seqscan = off as $$
declare
  cur es.sequencer%rowtype;
  waiting bigint;
begin
  select * into cur from es.sequencer;
  select count(*) into waiting
    from (
      select from es.event e
       where (e.xid, e.pos) > (cur.xid, cur.pos) and e.pos > cur.generation_start
       order by e.xid, e.pos
       limit p_limit
    ) e;
  return waiting;
end
$$;
grant execute on function es.waiting(bigint) to patchfleet_service, pf_platform;
