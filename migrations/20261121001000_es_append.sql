-- The correlation id of an event as a column, so that all that follows from one request is found without opening its
-- meta. Events of before have none.
alter table es.event add column correlation_id uuid;

-- The last parameter has a default: a program of before, which does not give it, can still append.
drop function es.append(text, uuid, uuid, uuid, text, bigint, uuid, uuid, uuid, timestamptz, bytea, uuid[], text[], smallint[], bytea[]);
create function es.append(
  p_role text, p_scope_partner uuid, p_scope_customer uuid,
  p_stream_id uuid, p_stream text, p_expected bigint, p_partner uuid, p_customer uuid, p_command uuid,
  p_occurred timestamptz, p_meta bytea, p_event_ids uuid[], p_types text[], p_schemas smallint[], p_payloads bytea[],
  p_correlation uuid default null
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
                            command_id, correlation_id, occurred_at, meta, payload)
      select p_stream_id, p_stream, p_expected + e.n, e.event_id, e.event_type, e.schema_version, p_partner, p_customer,
             p_command, p_correlation, coalesce(p_occurred, clock_timestamp()), p_meta, e.payload
        from unnest(p_event_ids, p_types, p_schemas, p_payloads) with ordinality as e (event_id, event_type, schema_version, payload, n)
       order by e.n
      returning pos
    )
    select 'ok', p_expected + count, max(written.pos) from written;
end
$$;
grant execute on function es.append(text, uuid, uuid, uuid, text, bigint, uuid, uuid, uuid, timestamptz, bytea, uuid[], text[], smallint[], bytea[], uuid)
  to patchfleet_service, pf_partner, pf_customer, pf_platform;
