-- Appending and loading in as few steps of the server as there can be; snapshots; commands without a look at their stream.
--
-- A function for each scope role: a plan that depends on row-level security is thrown away when another role comes along,
-- and connections are shared by all scopes. The scope is set by assignments, since a call of es.set_scope from here would
-- be planned at every call. p_begin is false inside a transaction that has its scope.

drop function es.append(text, uuid, uuid, uuid, text, bigint, uuid, uuid, uuid, timestamptz, bytea, uuid[], text[], smallint[], bytea[], uuid);
drop function es.read_stream(text, uuid, uuid, uuid);

-- What a stream comes to, so that a long one need not be read from its first event. May be thrown away at any time.
create table es.snapshot (
  stream_id   uuid   primary key,
  partner_id  uuid   not null,
  customer_id uuid,
  version     bigint not null,
  -- Of the state's bytes: a program with another shape does not read them.
  shape       int    not null,
  state       bytea  not null
);
call es.protect('es.snapshot');

-- Where a command's events stand that were appended without a look at their stream.
create table es.command_key (
  command_id  uuid        primary key,
  partner_id  uuid        not null,
  customer_id uuid,
  stream_id   uuid        not null,
  version     bigint      not null,
  pos         bigint      not null,
  recorded_at timestamptz not null default now()
);
create index command_key_by_age on es.command_key (recorded_at);
call es.protect('es.command_key', 'select, insert');
grant delete on es.command_key to pf_platform;

do $do$
declare
  role text;
begin
  foreach role in array array['partner', 'customer', 'platform'] loop
    -- Appends a batch to one stream in one statement. Answers with one row:
    --   ok        the batch is written; version and pos are those of its last event
    --   repeated  the same command wrote the stream from the expected version on; version and pos are those of its last event
    --   conflict  the stream is at another version (given)
    --   order     a later transaction wrote the stream: roll back and try again with a new transaction
    --   foreign   the stream is another tenant's, or is expected to exist and does not
    execute replace($f$
    create function es.append_ROLE(
      p_begin boolean, p_scope_partner uuid, p_scope_customer uuid,
      p_stream_id uuid, p_stream text, p_expected bigint, p_partner uuid, p_customer uuid, p_command uuid, p_correlation uuid,
      p_occurred timestamptz, p_meta bytea, p_event_ids uuid[], p_types text[], p_schemas smallint[], p_payloads bytea[]
    ) returns table (status text, version bigint, pos bigint) language plpgsql as $$
    #variable_conflict use_column
    declare
      count constant int := cardinality(p_event_ids);
      seen es.stream%rowtype;
      done text;
    begin
      if p_begin then
        done := set_config('role', 'pf_ROLE', true);
        done := set_config('app.partner_id', coalesce(p_scope_partner::text, ''), true);
        done := set_config('app.customer_id', coalesce(p_scope_customer::text, ''), true);
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
        if seen.stream_id is null or seen.partner_id <> p_partner or seen.customer_id is distinct from p_customer then
          return query select 'foreign', seen.version, null::bigint;
        elsif seen.version = p_expected then
          return query select 'order', seen.version, null::bigint;
        else
          return query
            select case when count(*) > 0 then 'repeated' else 'conflict' end, coalesce(max(e.version), seen.version), max(e.pos)
              from es.event e
             where e.stream_id = p_stream_id and e.version > p_expected and e.command_id = p_command
               and exists (select
                             from es.event f
                            where f.stream_id = p_stream_id and f.version = p_expected + 1 and f.command_id = p_command);
        end if;
        return;
      end if;

      if count = 1 then
        insert into es.event (stream_id, stream, version, event_id, event_type, schema_version, partner_id, customer_id,
                              command_id, correlation_id, occurred_at, meta, payload)
        values (p_stream_id, p_stream, p_expected + 1, p_event_ids[1], p_types[1], p_schemas[1], p_partner, p_customer,
                p_command, p_correlation, coalesce(p_occurred, clock_timestamp()), p_meta, p_payloads[1])
        returning event.pos into pos;
        status := 'ok';
        version := p_expected + 1;
        return next;
        return;
      end if;

      return query
        with written as (
          insert into es.event (stream_id, stream, version, event_id, event_type, schema_version, partner_id, customer_id,
                                command_id, correlation_id, occurred_at, meta, payload)
          select p_stream_id, p_stream, p_expected + e.n, e.event_id, e.event_type, e.schema_version, p_partner, p_customer,
                 p_command, p_correlation, coalesce(p_occurred, clock_timestamp()), p_meta, e.payload
            from unnest(p_event_ids, p_types, p_schemas, p_payloads) with ordinality as e (event_id, event_type, schema_version, payload, n)
           order by e.n
          returning pos
        )
        select 'ok', p_expected + count, max(written.pos) from written;
    end
$$
    $f$, 'ROLE', role);

    -- Appends a batch to a stream at whatever version it is, once for its command, in one statement. Answers as es.append
    -- does, with ok, repeated, order or foreign.
    execute replace($f$
    create function es.append_blind_ROLE(
      p_begin boolean, p_scope_partner uuid, p_scope_customer uuid,
      p_stream_id uuid, p_stream text, p_partner uuid, p_customer uuid, p_command uuid, p_correlation uuid,
      p_occurred timestamptz, p_meta bytea, p_event_ids uuid[], p_types text[], p_schemas smallint[], p_payloads bytea[]
    ) returns table (status text, version bigint, pos bigint) language plpgsql as $$
    #variable_conflict use_column
    declare
      count constant int := cardinality(p_event_ids);
      seen es.stream%rowtype;
      done text;
    begin
      if p_begin then
        done := set_config('role', 'pf_ROLE', true);
        done := set_config('app.partner_id', coalesce(p_scope_partner::text, ''), true);
        done := set_config('app.customer_id', coalesce(p_scope_customer::text, ''), true);
      end if;
      -- The same command twice at once: the second waits here for the first one's end, and then sees its key.
      perform pg_advisory_xact_lock(hashtextextended('command ' || p_command::text, 0));
      return query select 'repeated', k.version, k.pos from es.command_key k where k.command_id = p_command;
      if found then
        return;
      end if;

      insert into es.stream (stream_id, stream, partner_id, customer_id, version)
      values (p_stream_id, p_stream, p_partner, p_customer, 0)
      on conflict do nothing;
      update es.stream s
         set version = s.version + count, last_xid = pg_current_xact_id()
       where s.stream_id = p_stream_id and s.last_xid <= pg_current_xact_id()
         and s.partner_id = p_partner and s.customer_id is not distinct from p_customer
      returning s.* into seen;
      if not found then
        select * into seen from es.stream s where s.stream_id = p_stream_id;
        return query select
          case
            when seen.stream_id is null or seen.partner_id <> p_partner or seen.customer_id is distinct from p_customer then 'foreign'
            else 'order'
          end, seen.version, null::bigint;
        return;
      end if;

      return query
        with written as (
          insert into es.event (stream_id, stream, version, event_id, event_type, schema_version, partner_id, customer_id,
                                command_id, correlation_id, occurred_at, meta, payload)
          select p_stream_id, p_stream, seen.version - count + e.n, e.event_id, e.event_type, e.schema_version, p_partner,
                 p_customer, p_command, p_correlation, coalesce(p_occurred, clock_timestamp()), p_meta, e.payload
            from unnest(p_event_ids, p_types, p_schemas, p_payloads) with ordinality as e (event_id, event_type, schema_version, payload, n)
           order by e.n
          returning pos
        ), noted as (
          insert into es.command_key (command_id, partner_id, customer_id, stream_id, version, pos)
          select p_command, p_partner, p_customer, p_stream_id, seen.version, max(written.pos) from written
          returning pos
        )
        select 'ok', seen.version, noted.pos from noted;
    end
$$
    $f$, 'ROLE', role);

    -- A stream from its snapshot of the shape p_shape on, or from its first event. A snapshot comes first, as a row without
    -- event_type: payload is the state, pos is where the command p_command ended if it was carried out before the snapshot.
    -- The setting: plans are kept for as long as a connection lives, and one that was made while a partition was empty
    -- would read that partition from end to end, again and again, when it has filled up.
    execute replace($f$
    create function es.load_stream_ROLE(
      p_begin boolean, p_scope_partner uuid, p_scope_customer uuid, p_stream_id uuid, p_shape int, p_command uuid
    ) returns table (pos bigint, version bigint, event_type text, schema_version smallint, command_id uuid, payload bytea)
    language plpgsql set enable_seqscan = off as $$
    #variable_conflict use_column
    declare
      base bigint := 0;
      state bytea;
      done text;
    begin
      if p_begin then
        done := set_config('role', 'pf_ROLE', true);
        done := set_config('app.partner_id', coalesce(p_scope_partner::text, ''), true);
        done := set_config('app.customer_id', coalesce(p_scope_customer::text, ''), true);
      end if;  if p_shape is not null then
        select s.version, s.state into base, state from es.snapshot s where s.stream_id = p_stream_id and s.shape = p_shape;
        if found then
          pos := null;
          if p_command is not null then
            select max(e.pos) into pos
              from es.event e
             where e.stream_id = p_stream_id and e.version <= base and e.command_id = p_command;
          end if;
          version := base;
          payload := state;
          return next;
        else
          base := 0;
        end if;
      end if;
      return query
        select e.pos, e.version, e.event_type, e.schema_version, e.command_id, e.payload
          from es.event e
         where e.stream_id = p_stream_id and e.version > base
         order by e.version;
    end
$$
    $f$, 'ROLE', role);
  end loop;
end
$do$;

-- Keeps a snapshot unless a later one is there, in the given scope, or in the transaction's where p_role is null.
create function es.keep_snapshot(
  p_role text, p_scope_partner uuid, p_scope_customer uuid,
  p_stream_id uuid, p_partner uuid, p_customer uuid, p_version bigint, p_shape int, p_state bytea
) returns void language plpgsql as $$
begin
  if p_role is not null then
    perform es.set_scope(p_role, p_scope_partner, p_scope_customer);
  end if;
  insert into es.snapshot as s (stream_id, partner_id, customer_id, version, shape, state)
  values (p_stream_id, p_partner, p_customer, p_version, p_shape, p_state)
  on conflict (stream_id) do update
    set version = excluded.version, shape = excluded.shape, state = excluded.state
  where s.version < excluded.version or s.shape <> excluded.shape;
end
$$;

do $do$
declare
  name regprocedure;
begin
  for name in
    select p.oid from pg_proc p where p.pronamespace = 'es'::regnamespace and p.proname ~ '^(append|load_stream|keep_snapshot)'
  loop
    execute format('grant execute on function %s to patchfleet_service, pf_partner, pf_customer, pf_platform', name);
  end loop;
end
$do$;
