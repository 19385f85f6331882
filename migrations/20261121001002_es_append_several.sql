-- Appends with less work per row, to several streams at once, and without a look at their stream even when many write it.

-- A new row is compared with the setting itself: reading it by a sub-select, which pays for many rows, costs a single row
-- more than all of the rest of the policy.
alter policy partner_rows on es.stream with check (partner_id = nullif(current_setting('app.partner_id', true), '')::uuid);
alter policy customer_rows on es.stream with check (customer_id = nullif(current_setting('app.customer_id', true), '')::uuid);
alter policy partner_rows on es.event with check (partner_id = nullif(current_setting('app.partner_id', true), '')::uuid);
alter policy customer_rows on es.event with check (customer_id = nullif(current_setting('app.customer_id', true), '')::uuid);

-- The commands whose events lie before the snapshot, so that a repeated one is known without reading them. Ids do not
-- compress. Snapshots of before have no commands, and snapshots are disposable.
delete from es.snapshot;
alter table es.snapshot add column commands uuid[] not null;
alter table es.snapshot alter column commands set storage external;

do $do$
declare
  role text;
begin
  foreach role in array array['partner', 'customer', 'platform'] loop
    -- Why a batch cannot be appended to a stream, in the words of es.append. Apart from it for the sake of its setting: the
    -- plan may have been made while the newest partition was empty, and would read all of it when it has filled up.
    execute replace($f$
    create function es.refusal_ROLE(p_stream_id uuid, p_expected bigint, p_partner uuid, p_customer uuid, p_command uuid)
    returns table (status text, version bigint, pos bigint) language plpgsql rows 1 set enable_seqscan = off as $$
    #variable_conflict use_column
    declare
      seen es.stream%rowtype;
    begin
      select * into seen from es.stream s where s.stream_id = p_stream_id;
      version := seen.version;
      if seen.stream_id is null then
        status := case when p_expected = 0 then 'foreign' else 'missing' end;
      elsif seen.partner_id <> p_partner or seen.customer_id is distinct from p_customer then
        status := 'foreign';
      elsif seen.version = p_expected then
        status := 'order';
      else
        -- The events of one command stand together, at most a thousand of them.
        select max(e.version), max(e.pos) into version, pos
          from es.event e
         where e.stream_id = p_stream_id and e.version between p_expected + 1 and p_expected + 1000
           and e.command_id = p_command
        having min(e.version) = p_expected + 1;
        status := case when pos is null then 'conflict' else 'repeated' end;
        version := coalesce(version, seen.version);
      end if;
      return next;
    end
$$
    $f$, 'ROLE', role);

    -- Appends a batch to one stream in one statement. Answers with one row:
    --   ok        the batch is written; version and pos are those of its last event
    --   repeated  the same command wrote the stream from the expected version on; version and pos are those of its last event
    --   conflict  the stream is at another version (given)
    --   order     a later transaction wrote the stream: roll back and try again with a new transaction
    --   foreign   the stream is another tenant's
    --   missing   the stream is expected to exist and does not, as far as this scope sees
    -- Only ok leaves anything behind. The events' places come from the sequence in this very session, so its current value
    -- is the last one's: a RETURNING would have each row checked by a second policy.
    execute replace($f$
    create or replace function es.append_ROLE(
      p_begin boolean, p_scope_partner uuid, p_scope_customer uuid,
      p_stream_id uuid, p_stream text, p_expected bigint, p_partner uuid, p_customer uuid, p_command uuid, p_correlation uuid,
      p_occurred timestamptz, p_meta bytea, p_event_ids uuid[], p_types text[], p_schemas smallint[], p_payloads bytea[]
    ) returns table (status text, version bigint, pos bigint) language plpgsql rows 1 as $$
    #variable_conflict use_column
    declare
      count constant int := cardinality(p_event_ids);
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
        return query select * from es.refusal_ROLE(p_stream_id, p_expected, p_partner, p_customer, p_command);
        return;
      end if;

      if count = 1 then
        insert into es.event (stream_id, stream, version, event_id, event_type, schema_version, partner_id, customer_id,
                              command_id, correlation_id, occurred_at, meta, payload)
        values (p_stream_id, p_stream, p_expected + 1, p_event_ids[1], p_types[1], p_schemas[1], p_partner, p_customer,
                p_command, p_correlation, coalesce(p_occurred, clock_timestamp()), p_meta, p_payloads[1]);
      else
        insert into es.event (stream_id, stream, version, event_id, event_type, schema_version, partner_id, customer_id,
                              command_id, correlation_id, occurred_at, meta, payload)
        select p_stream_id, p_stream, p_expected + e.n, e.event_id, e.event_type, e.schema_version, p_partner, p_customer,
               p_command, p_correlation, coalesce(p_occurred, clock_timestamp()), p_meta, e.payload
          from unnest(p_event_ids, p_types, p_schemas, p_payloads) with ordinality as e (event_id, event_type, schema_version, payload, n);
      end if;
      status := 'ok';
      version := p_expected + count;
      pos := currval('es.event_pos');
      return next;
    end
$$
    $f$, 'ROLE', role);

    -- Appends a batch to a stream at whatever version it is, once for its command, in one statement. Answers as es.append
    -- does, with ok, repeated, order or foreign.
    execute replace($f$
    create or replace function es.append_blind_ROLE(
      p_begin boolean, p_scope_partner uuid, p_scope_customer uuid,
      p_stream_id uuid, p_stream text, p_partner uuid, p_customer uuid, p_command uuid, p_correlation uuid,
      p_occurred timestamptz, p_meta bytea, p_event_ids uuid[], p_types text[], p_schemas smallint[], p_payloads bytea[]
    ) returns table (status text, version bigint, pos bigint) language plpgsql rows 1 as $$
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

      -- Locked before this transaction needs an id of its own: ids are then given in the order in which writers get the
      -- stream, and none of them has to begin again for having waited.
      select * into seen from es.stream s where s.stream_id = p_stream_id for update;
      if not found then
        insert into es.stream (stream_id, stream, partner_id, customer_id, version)
        values (p_stream_id, p_stream, p_partner, p_customer, 0)
        on conflict do nothing;
        select * into seen from es.stream s where s.stream_id = p_stream_id for update;
      end if;
      version := seen.version;
      if seen.stream_id is null or seen.partner_id <> p_partner or seen.customer_id is distinct from p_customer then
        status := 'foreign';
        return next;
        return;
      elsif seen.last_xid > pg_current_xact_id() then
        status := 'order';
        return next;
        return;
      end if;

      update es.stream s
         set version = seen.version + count, last_xid = pg_current_xact_id()
       where s.stream_id = p_stream_id;
      insert into es.event (stream_id, stream, version, event_id, event_type, schema_version, partner_id, customer_id,
                            command_id, correlation_id, occurred_at, meta, payload)
      select p_stream_id, p_stream, seen.version + e.n, e.event_id, e.event_type, e.schema_version, p_partner, p_customer,
             p_command, p_correlation, coalesce(p_occurred, clock_timestamp()), p_meta, e.payload
        from unnest(p_event_ids, p_types, p_schemas, p_payloads) with ordinality as e (event_id, event_type, schema_version, payload, n);
      status := 'ok';
      version := seen.version + count;
      pos := currval('es.event_pos');
      insert into es.command_key (command_id, partner_id, customer_id, stream_id, version, pos)
      values (p_command, p_partner, p_customer, p_stream_id, version, pos);
      return next;
    end
$$
    $f$, 'ROLE', role);

    -- Appends to several streams in one statement, all or nothing. Streams come one by one, and none of them twice; events
    -- come in the streams' order, each with the number of its stream. Answers with a row for every stream when all of it is
    -- written (ok), and else with a row for every stream that is in the way, in the words of es.append.
    -- Streams are locked in the order of their ids, so that two such batches never wait for each other.
    execute replace($f$
    create function es.append_all_ROLE(
      p_begin boolean, p_scope_partner uuid, p_scope_customer uuid,
      p_stream_ids uuid[], p_streams text[], p_expected bigint[], p_partners uuid[], p_customers uuid[], p_commands uuid[],
      p_correlations uuid[], p_occurred timestamptz[], p_metas bytea[],
      p_of int[], p_event_ids uuid[], p_types text[], p_schemas smallint[], p_payloads bytea[]
    ) returns table (stream_id uuid, status text, version bigint, pos bigint) language plpgsql set enable_seqscan = off as $$
    #variable_conflict use_column
    declare
      done text;
      refused record;
    begin
      if p_begin then
        done := set_config('role', 'pf_ROLE', true);
        done := set_config('app.partner_id', coalesce(p_scope_partner::text, ''), true);
        done := set_config('app.customer_id', coalesce(p_scope_customer::text, ''), true);
      end if;

      perform from es.stream s where s.stream_id = any(p_stream_ids) order by s.stream_id for update;

      return query
        select t.stream_id, r.status, r.version, r.pos
          from unnest(p_stream_ids, p_expected, p_partners, p_customers, p_commands)
                 with ordinality as t (stream_id, expected, partner_id, customer_id, command_id, n)
          left join es.stream s on s.stream_id = t.stream_id
         cross join lateral es.refusal_ROLE(t.stream_id, t.expected, t.partner_id, t.customer_id, t.command_id) r
         where case
                 when s.stream_id is null then t.expected <> 0
                 else s.version <> t.expected or s.last_xid > pg_current_xact_id()
                      or s.partner_id <> t.partner_id or s.customer_id is distinct from t.customer_id
               end
         order by t.n;
      if found then
        return;
      end if;

      insert into es.stream (stream_id, stream, partner_id, customer_id, version)
      select t.stream_id, t.stream, t.partner_id, t.customer_id, 0
        from unnest(p_stream_ids, p_streams, p_expected, p_partners, p_customers)
               as t (stream_id, stream, expected, partner_id, customer_id)
       where t.expected = 0
       order by t.stream_id
      on conflict do nothing;

      update es.stream s
         set version = t.expected + t.count, last_xid = pg_current_xact_id()
        from (select t.stream_id, t.expected, count(*) as count
                from unnest(p_stream_ids, p_expected) with ordinality as t (stream_id, expected, n)
                join unnest(p_of) as e (n) on e.n = t.n
               group by t.stream_id, t.expected) t
       where s.stream_id = t.stream_id and s.version = t.expected and s.last_xid <= pg_current_xact_id();

      -- A stream that was begun between the look and the insert, by us or by a tenant that this scope does not see. What is
      -- written already must not stay, so this is an error and not an answer.
      select t.stream_id, case when s.stream_id is null then 'foreign' else 'conflict' end as status into refused
        from unnest(p_stream_ids) with ordinality as t (stream_id, n)
        left join es.stream s on s.stream_id = t.stream_id
       where s.last_xid is distinct from pg_current_xact_id()
       order by t.n
       limit 1;
      if found then
        raise exception '%', refused.status using errcode = 'PF001', detail = refused.stream_id::text;
      end if;

      return query
        with written as (
          insert into es.event (stream_id, stream, version, event_id, event_type, schema_version, partner_id, customer_id,
                                command_id, correlation_id, occurred_at, meta, payload)
          select t.stream_id, t.stream, t.expected + e.nth, e.event_id, e.event_type, e.schema_version, t.partner_id,
                 t.customer_id, t.command_id, t.correlation_id, coalesce(t.occurred_at, clock_timestamp()), t.meta, e.payload
            from (select e.*, row_number() over (partition by e.n order by e.place) as nth
                    from unnest(p_of, p_event_ids, p_types, p_schemas, p_payloads)
                           with ordinality as e (n, event_id, event_type, schema_version, payload, place)) e
            join unnest(p_stream_ids, p_streams, p_expected, p_partners, p_customers, p_commands, p_correlations, p_occurred, p_metas)
                   with ordinality as t (stream_id, stream, expected, partner_id, customer_id, command_id, correlation_id, occurred_at, meta, n)
              on t.n = e.n
           order by e.place
          returning stream_id, version, pos
        )
        select t.stream_id, 'ok', max(w.version), max(w.pos)
          from unnest(p_stream_ids) with ordinality as t (stream_id, n)
          join written w on w.stream_id = t.stream_id
         group by t.stream_id, t.n
         order by t.n;
    end
$$
    $f$, 'ROLE', role);

    -- A stream from its snapshot of the shape p_shape on, or from its first event. A snapshot comes first, as a row without
    -- event_type: payload is the state. If the command p_command was carried out before the snapshot, a second row without
    -- event_type says where it ended, with its command_id.
    -- The setting: plans are kept for as long as a connection lives, and one that was made while a partition was empty
    -- would read that partition from end to end, again and again, when it has filled up.
    execute replace($f$
    create or replace function es.load_stream_ROLE(
      p_begin boolean, p_scope_partner uuid, p_scope_customer uuid, p_stream_id uuid, p_shape int, p_command uuid
    ) returns table (pos bigint, version bigint, event_type text, schema_version smallint, command_id uuid, payload bytea)
    language plpgsql set enable_seqscan = off as $$
    #variable_conflict use_column
    declare
      base bigint := 0;
      state bytea;
      repeated boolean;
      done text;
    begin
      if p_begin then
        done := set_config('role', 'pf_ROLE', true);
        done := set_config('app.partner_id', coalesce(p_scope_partner::text, ''), true);
        done := set_config('app.customer_id', coalesce(p_scope_customer::text, ''), true);
      end if;
      if p_shape is not null then
        select s.version, s.state, coalesce(p_command = any(s.commands), false) into base, state, repeated
          from es.snapshot s
         where s.stream_id = p_stream_id and s.shape = p_shape;
        if found then
          version := base;
          payload := state;
          return next;
          if repeated then
            return query
              -- Its events may be in a partition that was taken away; that it was carried out is known all the same.
              select coalesce(max(e.pos), 0), coalesce(max(e.version), base), null::text, null::smallint, p_command, ''::bytea
                from es.event e
               where e.stream_id = p_stream_id and e.version <= base and e.command_id = p_command;
          end if;
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

-- Keeps a snapshot unless a later one is there, in the given scope, or in the transaction's where p_role is null. Its
-- commands are those of the one before and of the events since.
create or replace function es.keep_snapshot(
  p_role text, p_scope_partner uuid, p_scope_customer uuid,
  p_stream_id uuid, p_partner uuid, p_customer uuid, p_version bigint, p_shape int, p_state bytea
) returns void language plpgsql set enable_seqscan = off as $$
declare
  known uuid[];
  base bigint;
begin
  if p_role is not null then
    perform es.set_scope(p_role, p_scope_partner, p_scope_customer);
  end if;
  select s.commands, s.version into known, base from es.snapshot s where s.stream_id = p_stream_id and s.version <= p_version for update;
  known := coalesce(known, array[]::uuid[]) || array(
    select distinct e.command_id
      from es.event e
     where e.stream_id = p_stream_id and e.version > coalesce(base, 0) and e.version <= p_version);
  insert into es.snapshot as s (stream_id, partner_id, customer_id, version, shape, state, commands)
  values (p_stream_id, p_partner, p_customer, p_version, p_shape, p_state, known)
  on conflict (stream_id) do update
    set version = excluded.version, shape = excluded.shape, state = excluded.state, commands = excluded.commands
  where s.version < excluded.version or (s.version = excluded.version and s.shape <> excluded.shape);
end
$$;

do $do$
declare
  name regprocedure;
begin
  for name in select p.oid from pg_proc p where p.pronamespace = 'es'::regnamespace and p.proname ~ '^(append_all|refusal)_' loop
    execute format('grant execute on function %s to patchfleet_service, pf_partner, pf_customer, pf_platform', name);
  end loop;
end
$do$;
