-- The event store: roles, tenant protection, streams, events, order, relay cursor, inbox.

-- Roles. The service signs in as patchfleet_service, which owns nothing, inherits nothing and cannot bypass row-level
-- security; every transaction takes one of the three scope roles. Without a password it can sign in only where the
-- server trusts the connection: set one in production (ALTER ROLE patchfleet_service PASSWORD …).
do $$
declare
  name text;
begin
  foreach name in array array['pf_partner', 'pf_customer', 'pf_platform'] loop
    if not exists (select from pg_roles where rolname = name) then
      execute format('create role %I nologin', name);
    end if;
  end loop;
  if not exists (select from pg_roles where rolname = 'patchfleet_service') then
    create role patchfleet_service login noinherit;
  end if;
  grant pf_partner, pf_customer, pf_platform to patchfleet_service;
end
$$;

create schema es;
grant usage on schema es to patchfleet_service, pf_partner, pf_customer, pf_platform;

-- Makes a schema usable by the three scope roles.
create procedure es.open_schema(name text) language plpgsql as $$
begin
  execute format('grant usage on schema %I to pf_partner, pf_customer, pf_platform', name);
end
$$;

-- Puts a tenant table (columns partner_id, customer_id) behind row-level security: one equality per scope role,
-- because an OR or a sub-select on another table costs a hundred times more.
create procedure es.protect(name regclass, privileges text default 'select, insert, update, delete') language plpgsql as $$
begin
  execute format('alter table %s enable row level security', name);
  execute format('alter table %s force row level security', name);
  execute format('create policy partner_rows on %s to pf_partner using (partner_id = (select nullif(current_setting(''app.partner_id'', true), '''')::uuid))', name);
  execute format('create policy customer_rows on %s to pf_customer using (customer_id = (select nullif(current_setting(''app.customer_id'', true), '''')::uuid))', name);
  execute format('create policy platform_rows on %s to pf_platform using (true)', name);
  execute format('grant %s on %s to pf_partner, pf_customer, pf_platform', privileges, name);
end
$$;

-- Gives the scope roles a table that has no tenant: the shared catalogue and the like.
create procedure es.share(name regclass, read_write boolean default true) language plpgsql as $$
begin
  execute format('grant select on %s to pf_partner, pf_customer, pf_platform', name);
  if read_write then
    execute format('grant insert, update, delete on %s to pf_partner, pf_customer, pf_platform', name);
  else
    execute format('grant insert, update, delete on %s to pf_platform', name);
  end if;
end
$$;

-- The scope of the rest of the transaction.
create function es.set_scope(p_role text, p_partner uuid, p_customer uuid) returns void language sql as $$
  select set_config('role', p_role, true),
         set_config('app.partner_id', coalesce(p_partner::text, ''), true),
         set_config('app.customer_id', coalesce(p_customer::text, ''), true);
$$;

create table es.stream (
  stream_id   uuid   primary key,
  stream      text   not null,
  partner_id  uuid   not null,
  customer_id uuid,
  version     bigint not null,
  -- The last writer. A transaction that got its xid earlier must not write a later version, or the log's order
  -- (by xid) would turn the stream's versions round.
  last_xid    xid8   not null default pg_current_xact_id()
) with (fillfactor = 70);
call es.protect('es.stream', 'select, insert, update');

create sequence es.event_pos;
grant usage on sequence es.event_pos to pf_partner, pf_customer, pf_platform;

create table es.event (
  pos            bigint      not null default nextval('es.event_pos'),
  xid            xid8        not null default pg_current_xact_id(),
  stream_id      uuid        not null,
  stream         text        not null,
  version        bigint      not null,
  event_id       uuid        not null,
  event_type     text        not null,
  schema_version smallint    not null,
  partner_id     uuid        not null,
  customer_id    uuid,
  command_id     uuid        not null,
  occurred_at    timestamptz not null,
  recorded_at    timestamptz not null default clock_timestamp(),
  -- Actor, correlation, causation and trace: canonical JSON, as the payload.
  meta           bytea       not null,
  payload        bytea       not null,
  unique (xid, pos)
) partition by range (pos);
create index event_stream on es.event (stream_id, version);
call es.protect('es.event', 'select, insert');

-- Makes sure that partitions exist for the next ten million places.
create function es.ensure_partitions() returns int language plpgsql security definer set search_path = pg_catalog as $$
declare
  width constant bigint := 10000000;
  reached bigint := (select last_value from es.event_pos);
  part bigint;
  made int := 0;
begin
  -- Appends must not queue behind this while it waits for a lock.
  perform set_config('lock_timeout', '200ms', true);
  for part in reached / width .. reached / width + 1 loop
    if to_regclass(format('es.event_%s', part)) is null then
      -- Made first and attached then: attaching leaves readers and writers of the others alone.
      execute format('create table es.event_%s (like es.event including defaults)', part);
      execute format('alter table es.event attach partition es.event_%s for values from (%s) to (%s)', part, part * width, (part + 1) * width);
      -- Reached through the parent only; a direct look would go round its policies.
      execute format('alter table es.event_%s enable row level security', part);
      execute format('alter table es.event_%s force row level security', part);
      made := made + 1;
    end if;
  end loop;
  return made;
exception when lock_not_available then
  -- Later: there is a whole partition in reserve.
  return 0;
end
$$;
select es.ensure_partitions();

-- What is written stays as it was: no grant allows it, and this refuses it even to the owner.
create function es.refuse_change() returns trigger language plpgsql as $$
begin
  raise exception 'stored events cannot be changed' using errcode = 'restrict_violation';
end
$$;
create trigger stored_events_cannot_be_changed before update or delete on es.event
  for each row execute function es.refuse_change();
create trigger stored_events_cannot_be_truncated before truncate on es.event
  for each statement execute function es.refuse_change();

-- Appends a batch to one stream in one round trip. Answers with one row:
--   ok        the batch is written; version and pos are those of its last event
--   conflict  the stream is at another version (given)
--   order     a later transaction wrote the stream: roll back and try again with a new transaction
--   foreign   the stream is another tenant's, or is expected to exist and does not
create function es.append(
  p_role text, p_scope_partner uuid, p_scope_customer uuid,
  p_stream_id uuid, p_stream text, p_expected bigint, p_partner uuid, p_customer uuid, p_command uuid,
  p_occurred timestamptz, p_meta bytea, p_event_ids uuid[], p_types text[], p_schemas smallint[], p_payloads bytea[]
) returns table (status text, version bigint, pos bigint) language plpgsql as $$
#variable_conflict use_column
declare
  count constant int := cardinality(p_event_ids);
  seen es.stream%rowtype;
begin
  if p_role is not null then
    perform es.set_scope(p_role, p_scope_partner, p_scope_customer);
  end if;

  if p_expected = 0 then
    insert into es.stream (stream_id, stream, partner_id, customer_id, version)
    values (p_stream_id, p_stream, p_partner, p_customer, count)
    on conflict do nothing;
  else
    update es.stream s
       set version = p_expected + count, last_xid = pg_current_xact_id()
     where s.stream_id = p_stream_id and s.version = p_expected and s.last_xid <= pg_current_xact_id()
       and s.partner_id = p_partner and s.customer_id is not distinct from p_customer;
  end if;

  if not found then
    select * into seen from es.stream s where s.stream_id = p_stream_id;
    return query select
      case
        when seen.stream_id is null or seen.partner_id <> p_partner or seen.customer_id is distinct from p_customer then 'foreign'
        when seen.version <> p_expected then 'conflict'
        else 'order'
      end, seen.version, null::bigint;
    return;
  end if;

  return query
    with written as (
      insert into es.event (stream_id, stream, version, event_id, event_type, schema_version, partner_id, customer_id,
                            command_id, occurred_at, meta, payload)
      select p_stream_id, p_stream, p_expected + e.n, e.event_id, e.event_type, e.schema_version, p_partner, p_customer,
             p_command, coalesce(p_occurred, clock_timestamp()), p_meta, e.payload
        from unnest(p_event_ids, p_types, p_schemas, p_payloads) with ordinality as e (event_id, event_type, schema_version, payload, n)
       order by e.n
      returning pos
    )
    select 'ok', p_expected + count, max(written.pos) from written;
end
$$;

-- A stream from its first event, in the given scope (or in the transaction's, where p_role is null).
create function es.read_stream(p_role text, p_scope_partner uuid, p_scope_customer uuid, p_stream_id uuid)
returns table (pos bigint, version bigint, event_type text, schema_version smallint, command_id uuid, payload bytea)
language plpgsql as $$
#variable_conflict use_column
begin
  if p_role is not null then
    perform es.set_scope(p_role, p_scope_partner, p_scope_customer);
  end if;
  return query
    select e.pos, e.version, e.event_type, e.schema_version, e.command_id, e.payload
      from es.event e
     where e.stream_id = p_stream_id
     order by e.version;
end
$$;

-- The one order of everything: dense positions, given after commit by a single sequencer.
create table es.order_log (
  seq bigint primary key,
  xid xid8   not null,
  pos bigint not null unique
);
grant select on es.order_log to pf_partner, pf_customer;
grant select, insert on es.order_log to pf_platform;

create table es.sequencer (
  only_row   boolean primary key default true check (only_row),
  -- Grows with every restore: xids start anew in a restored cluster, positions must not.
  generation int     not null default 1,
  xid        xid8    not null default '0',
  pos        bigint  not null default 0,
  seq        bigint  not null default 0
);
insert into es.sequencer default values;
grant select on es.sequencer to pf_partner, pf_customer;
grant select, update on es.sequencer to pf_platform;

-- Gives the next committed events their positions; answers with the last position given and how many were.
-- Rows and fence (no transaction below it can still commit) come from one snapshot: else events would be skipped.
create function es.sequence(p_limit int) returns table (seq bigint, given int) language sql as $$
  with cursor as (
    select xid, pos, seq from es.sequencer for update
  ), page as (
    select e.xid, e.pos, row_number() over (order by e.xid, e.pos) as n
      from es.event e
     -- Scalars, not a join: only so is the index entered at the cursor instead of the log being read from its start.
     where (e.xid, e.pos) > ((select c.xid from cursor c), (select c.pos from cursor c))
       and e.xid < pg_snapshot_xmin(pg_current_snapshot())
     order by e.xid, e.pos
     limit p_limit
  ), ordered as (
    insert into es.order_log (seq, xid, pos)
    select c.seq + p.n, p.xid, p.pos from page p, cursor c order by p.n
    returning seq, xid, pos
  ), last as (
    select seq, xid, pos from ordered order by seq desc limit 1
  ), moved as (
    update es.sequencer s set xid = last.xid, pos = last.pos, seq = last.seq from last
    returning s.seq
  )
  select coalesce((select m.seq from moved m), (select c.seq from cursor c)), (select count(*)::int from ordered);
$$;

-- How far the relay has published.
create table es.relay (
  name text   primary key,
  seq  bigint not null default 0
);
insert into es.relay (name) values ('amqp');
grant select, update on es.relay to pf_platform;

-- What each consumer has taken in, written in the transaction of its effect.
create table es.inbox (
  consumer   text        not null,
  event_id   uuid        not null,
  handled_at timestamptz not null default now(),
  primary key (consumer, event_id)
);
grant select, insert on es.inbox to pf_partner, pf_customer, pf_platform;
grant delete on es.inbox to pf_platform;

-- How far each follower of the log (views, audit records) has got.
create table es.follower (
  name       text        primary key,
  seq        bigint      not null default 0,
  updated_at timestamptz not null default now()
);
grant select on es.follower to pf_partner, pf_customer;
grant select, insert, update on es.follower to pf_platform;

grant execute on all functions in schema es to patchfleet_service, pf_partner, pf_customer, pf_platform;
