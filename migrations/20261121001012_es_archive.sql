-- Partitions of the log: their list, their width, and what becomes of old ones.

-- A partition that was exported, and perhaps taken away. Holds no facts, only where they are.
create table es.archive (
  part        text        primary key,
  from_pos    bigint      not null,
  until_pos   bigint      not null,
  -- Positions of its events; others may lie between them.
  first_seq   bigint,
  last_seq    bigint,
  events      bigint      not null,
  file        text        not null,
  sha256      text        not null,
  bytes       bigint      not null,
  exported_at timestamptz not null default clock_timestamp(),
  -- Since when its events cannot be read here.
  detached_at timestamptz,
  -- Since when the file is the only place where they are.
  dropped_at  timestamptz,
  check (dropped_at is null or detached_at is not null)
);
grant select on es.archive to pf_partner, pf_customer;
grant select, insert, update on es.archive to pf_platform;

-- The log's partitions, in their order: from (included) until (excluded) which place, and how large.
create function es.partitions() returns table (part text, from_pos bigint, until_pos bigint, events bigint, bytes bigint)
language sql stable security definer set search_path = pg_catalog as $$
  select c.relname::text,
         (regexp_match(b.bounds, 'FROM \(''?(\d+)''?\)'))[1]::bigint,
         (regexp_match(b.bounds, 'TO \(''?(\d+)''?\)'))[1]::bigint,
         -- What the server's upkeep has counted last; exact only in a full partition that has been analyzed.
         greatest(c.reltuples, 0)::bigint,
         pg_total_relation_size(c.oid)
    from pg_inherits i
    join pg_class c on c.oid = i.inhrelid
    cross join lateral (select pg_get_expr(c.relpartbound, c.oid) as bounds) b
   where i.inhparent = 'es.event'::regclass
   order by 2;
$$;
grant execute on function es.partitions() to patchfleet_service, pf_partner, pf_customer, pf_platform;

-- Makes sure that partitions exist for the next p_width places beyond the one that is being filled, each p_width wide.
drop function es.ensure_partitions();
create function es.ensure_partitions(p_width bigint default 10000000) returns int
language plpgsql security definer set search_path = pg_catalog as $$
declare
  reached constant bigint := (select last_value from es.event_pos);
  top bigint := (select max(p.until_pos) from es.partitions() p);
  name text;
  made int := 0;
begin
  if p_width < 1 then
    raise exception 'a partition of % places cannot be made', p_width using errcode = 'invalid_parameter_value';
  end if;
  -- Appends must not queue behind this while it waits for a lock.
  perform set_config('lock_timeout', '200ms', true);
  while top <= reached + p_width loop
    name := format('event_from_%s', top);
    -- Made first and attached then: attaching leaves readers and writers of the others alone.
    execute format('create table es.%I (like es.event including defaults)', name);
    execute format('alter table es.event attach partition es.%I for values from (%s) to (%s)', name, top, top + p_width);
    -- Reached through the parent only; a direct look would go round its policies.
    execute format('alter table es.%I enable row level security', name);
    execute format('alter table es.%I force row level security', name);
    top := top + p_width;
    made := made + 1;
  end loop;
  return made;
exception when lock_not_available then
  -- Later: there is a whole partition in reserve.
  return 0;
end
$$;
grant execute on function es.ensure_partitions(bigint) to patchfleet_service, pf_partner, pf_customer, pf_platform;

-- Who holds the fence: the oldest transaction that may still write, by its age. The age is null where the functions'
-- owner may not look at other people's sessions (pg_read_all_stats).
create function es.fence() returns table (xid text, age interval, pid int, application text, state text)
language sql stable security definer set search_path = pg_catalog as $$
  select a.backend_xid::text, clock_timestamp() - a.xact_start, a.pid, a.application_name, a.state
    from pg_stat_activity a
   where a.backend_xid is not null and a.pid <> pg_backend_pid()
  union all
  select p.transaction::text, clock_timestamp() - p.prepared, null, p.gid, 'prepared'
    from pg_prepared_xacts p
   order by 2 desc nulls last
   limit 1;
$$;
revoke all on function es.fence() from public;
grant execute on function es.fence() to patchfleet_service, pf_platform;
