-- The order carries copies of what readers look for, so that no read needs an index on the events, which every append
-- would pay for. The sequencer fills them in, after the commit.

alter table es.order_log
  add column partner_id     uuid,
  add column customer_id    uuid,
  add column stream         text,
  add column event_type     text,
  add column correlation_id uuid,
  add column recorded_at    timestamptz;

-- The owner of a table with forced row-level security sees its rows only while it is not forced.
alter table es.event no force row level security;
update es.order_log o
   set partner_id = e.partner_id,
       customer_id = e.customer_id,
       stream = e.stream,
       event_type = e.event_type,
       -- Events of before the column have it in their meta.
       correlation_id = coalesce(e.correlation_id, (convert_from(e.meta, 'utf8')::jsonb ->> 'correlation_id')::uuid),
       recorded_at = e.recorded_at
  from es.event e
 where e.pos = o.pos;
alter table es.event force row level security;

alter table es.order_log
  alter column partner_id set not null,
  alter column stream set not null,
  alter column event_type set not null,
  alter column recorded_at set not null;

-- Each in the order of pages, so that a page is read from where the last one ended.
create index order_log_partner on es.order_log (partner_id, seq);
create index order_log_customer on es.order_log (customer_id, seq) where customer_id is not null;
create index order_log_stream on es.order_log (stream, seq);
create index order_log_type on es.order_log (event_type, seq);
create index order_log_correlation on es.order_log (correlation_id, seq);

revoke select on es.order_log from pf_partner, pf_customer;
revoke select, insert on es.order_log from pf_platform;
call es.protect('es.order_log', 'select');
grant insert on es.order_log to pf_platform;

-- Which positions were recorded in which minute. Time and order are not quite the same, so a range of time becomes a
-- range of positions here, exactly and without an index on the time of every event.
create table es.order_minute (
  minute    timestamptz primary key,
  first_seq bigint      not null,
  last_seq  bigint      not null,
  events    bigint      not null
) with (fillfactor = 50);
grant select on es.order_minute to pf_partner, pf_customer;
grant select, insert, update on es.order_minute to pf_platform;
insert into es.order_minute (minute, first_seq, last_seq, events)
select date_trunc('minute', o.recorded_at, 'UTC'), min(o.seq), max(o.seq), count(*)
  from es.order_log o
 group by 1;

-- Events that arrived at or before this place belong to earlier generations: their transaction ids mean nothing here.
alter table es.sequencer add column generation_start bigint not null default 0;

-- Gives the next committed events their positions. Answers with the last position given, how many were given now, and
-- the fence: the oldest transaction that may still write, or null where none is open.
drop function es.sequence(int);
create function es.sequence(p_limit int) returns table (seq bigint, given int, fence text) language plpgsql as $$
#variable_conflict use_column
declare
  cur es.sequencer%rowtype;
  seen constant pg_snapshot := pg_current_snapshot();
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
grant execute on function es.sequence(int) to patchfleet_service, pf_platform;

-- A page of the log in one round trip: up to p_limit events after p_after, of the types in p_types (null: of all), among
-- the next p_window positions. The first column is how far the page reaches: everything up to there has been looked at.
-- An event whose partition was taken away is a row without an event_id.
create function es.read_log(
  p_role text, p_scope_partner uuid, p_scope_customer uuid, p_after bigint, p_limit int, p_types text[], p_window bigint
) returns table (
  reached bigint, seq bigint, arrived bigint,
  stream_id uuid, stream text, version bigint, event_id uuid, event_type text, schema_version smallint,
  partner_id uuid, customer_id uuid, command_id uuid, occurred_at timestamptz, recorded_at timestamptz, meta bytea, payload bytea
) language plpgsql as $$
#variable_conflict use_column
declare
  until bigint;
begin
  if p_role is not null then
    perform es.set_scope(p_role, p_scope_partner, p_scope_customer);
  end if;
  select least(s.seq, p_after + p_window) into until from es.sequencer s;
  return query
    select case when count(*) over () < p_limit then until else max(o.seq) over () end,
           o.seq, o.pos, e.stream_id, e.stream, e.version, e.event_id, e.event_type, e.schema_version,
           e.partner_id, e.customer_id, e.command_id, e.occurred_at, e.recorded_at, e.meta, e.payload
      from (
        select l.seq, l.xid, l.pos
          from es.order_log l
         where l.seq > p_after and l.seq <= until and (p_types is null or l.event_type = any (p_types))
         order by l.seq
         limit p_limit
      ) o
      -- The limit keeps this from becoming a join that reads a whole partition: each event is fetched by its place.
      left join lateral (select * from es.event e where e.xid = o.xid and e.pos = o.pos limit 1) e on true
     order by o.seq;
  if not found then
    reached := greatest(until, p_after);
    return next;
  end if;
end
$$;

-- Plans are kept for as long as a connection lives. One that was made while a partition was empty would read that
-- partition from end to end, again and again, when it has filled up.
alter function es.sequence(int) set enable_seqscan = off;
alter function es.read_log(text, uuid, uuid, bigint, int, text[], bigint) set enable_seqscan = off;
