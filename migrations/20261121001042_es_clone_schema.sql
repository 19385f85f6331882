-- Projections are built anew beside the live ones: their schemas can be cloned, and two schemas can be compared.
-- Both are for the owner of the tables. What stands in the catalogue is written as text with the one schema in the search
-- path, so that no name is qualified, and carried out or compared with the other one in its place.

-- Makes `p_to` what `p_from` is, without its rows: tables, defaults, constraints, indexes, triggers, row-level security
-- and its policies, owners and grants, all by the same names. Refuses a schema that holds more than tables.
create procedure es.clone_schema(p_from text, p_to text) language plpgsql as $$
declare
  before constant text := current_setting('search_path');
  source constant oid := p_from::regnamespace;
  strange text;
  statements text[];
  statement text;
begin
  select string_agg(name, ', ' order by name) into strange from (
    select relname::text as name from pg_class where relnamespace = source and relkind not in ('r', 'i')
    union all
    select proname::text from pg_proc where pronamespace = source
    union all
    select typname::text from pg_type where typnamespace = source and typtype not in ('c', 'b')
  ) as other;
  if strange is not null then
    raise exception 'schema % holds more than tables and cannot be cloned: %', p_from, strange using errcode = 'feature_not_supported';
  end if;

  perform set_config('search_path', p_from, true);
  with tables as (
    select c.*, quote_ident(c.relname) as name from pg_class c where c.relnamespace = source and c.relkind = 'r'
  ), parts (place, name, text) as (
    select 1, t.name,
           format('create table %s (like %I.%s including all excluding indexes)%s', t.name, p_from, t.name,
                  coalesce(' with (' || array_to_string(t.reloptions, ', ') || ')', ''))
      from tables t
    union all
    select 2, t.name, format('alter table %s owner to %s', t.name, t.relowner::regrole) from tables t
    union all
    -- Foreign keys last: they lean on the others' keys.
    select case when k.contype = 'f' then 4 else 3 end, k.conname,
           format('alter table %s add constraint %I %s', t.name, k.conname, pg_get_constraintdef(k.oid, true))
      from tables t
      join pg_constraint k on k.conrelid = t.oid and k.contype in ('p', 'u', 'x', 'f')
    union all
    select 5, t.name, pg_get_indexdef(i.indexrelid, 0, true)
      from tables t
      join pg_index i on i.indrelid = t.oid
     where not exists (select from pg_constraint k where k.conindid = i.indexrelid and k.contype in ('p', 'u', 'x'))
    union all
    select 6, t.name, pg_get_triggerdef(g.oid, true)
      from tables t
      join pg_trigger g on g.tgrelid = t.oid and not g.tgisinternal
    union all
    select 7, t.name, format('alter table %s enable row level security', t.name) from tables t where t.relrowsecurity
    union all
    select 7, t.name, format('alter table %s force row level security', t.name) from tables t where t.relforcerowsecurity
    union all
    select 8, t.name,
           format('create policy %I on %s as %s for %s to %s%s%s', p.policyname, t.name, p.permissive, p.cmd,
                  (select string_agg(quote_ident(r), ', ') from unnest(p.roles) as r),
                  ' using (' || p.qual || ')', ' with check (' || p.with_check || ')')
      from tables t
      join pg_policies p on p.schemaname = p_from and p.tablename = t.relname
    union all
    select 9, t.name,
           format('grant %s on %s to %s%s', a.privilege_type, t.name,
                  case a.grantee when 0 then 'public' else a.grantee::regrole::text end,
                  case when a.is_grantable then ' with grant option' else '' end)
      from tables t, aclexplode(t.relacl) as a
     where a.grantee <> t.relowner
    union all
    select 9, t.name,
           format('grant %s (%I) on %s to %s', a.privilege_type, c.attname, t.name,
                  case a.grantee when 0 then 'public' else a.grantee::regrole::text end)
      from tables t
      join pg_attribute c on c.attrelid = t.oid and c.attnum > 0 and not c.attisdropped, aclexplode(c.attacl) as a
    union all
    select 10, n.nspname,
           format('grant %s on schema %I to %s', a.privilege_type, p_to,
                  case a.grantee when 0 then 'public' else a.grantee::regrole::text end)
      from pg_namespace n, aclexplode(n.nspacl) as a
     where n.oid = source and a.grantee <> n.nspowner
  )
  -- format() leaves out a null clause, as `using` of a policy that has none.
  select array_agg(text order by place, name, text) into statements from parts;

  execute format('create schema %I authorization %s', p_to, (select nspowner::regrole from pg_namespace where oid = source));
  perform set_config('search_path', p_to, true);
  foreach statement in array statements loop
    execute statement;
  end loop;
  perform set_config('search_path', before, true);
end
$$;
comment on procedure es.clone_schema is 'an empty copy of a schema of tables, down to names, policies and grants';

-- All that a schema is, apart from its rows and its name: one line for each thing, in a fixed order.
create function es.describe_schema(p_schema text) returns setof text language plpgsql as $$
declare
  before constant text := current_setting('search_path');
  source constant oid := p_schema::regnamespace;
begin
  perform set_config('search_path', p_schema, true);
  return query
  with relations as (
    select c.* from pg_class c where c.relnamespace = source
  )
  select line from (
    select format('schema owner %s', n.nspowner::regrole) as line from pg_namespace n where n.oid = source
    union all
    select format('schema grant %s to %s', a.privilege_type, case a.grantee when 0 then 'public' else a.grantee::regrole::text end)
      from pg_namespace n, aclexplode(n.nspacl) as a where n.oid = source
    union all
    select format('relation %s: kind %s, persistence %s, owner %s, options %s, row security %s, forced %s, replica identity %s',
                  r.relname, r.relkind, r.relpersistence, r.relowner::regrole, r.reloptions, r.relrowsecurity,
                  r.relforcerowsecurity, r.relreplident)
      from relations r
    union all
    select format('grant on %s: %s to %s, grantable %s', r.relname, a.privilege_type,
                  case a.grantee when 0 then 'public' else a.grantee::regrole::text end, a.is_grantable)
      from relations r, aclexplode(r.relacl) as a
    union all
    select format('column %s.%s: place %s, type %s, collation %s, required %s, default %s, identity %s, generated %s, storage %s, compression %s, statistics %s, grants %s',
                  r.relname, c.attname, row_number() over (partition by r.oid order by c.attnum),
                  format_type(c.atttypid, c.atttypmod), c.attcollation::regcollation, c.attnotnull,
                  pg_get_expr(d.adbin, d.adrelid, true), c.attidentity, c.attgenerated, c.attstorage, c.attcompression,
                  c.attstattarget, c.attacl)
      from relations r
      join pg_attribute c on c.attrelid = r.oid and c.attnum > 0 and not c.attisdropped
      left join pg_attrdef d on d.adrelid = r.oid and d.adnum = c.attnum
     where r.relkind = 'r'
    union all
    select format('constraint %s on %s: %s, valid %s', k.conname, r.relname, pg_get_constraintdef(k.oid, true), k.convalidated)
      from relations r
      join pg_constraint k on k.conrelid = r.oid
    union all
    select format('index: %s, valid %s', pg_get_indexdef(i.indexrelid, 0, true), i.indisvalid)
      from relations r
      join pg_index i on i.indrelid = r.oid
    union all
    select format('trigger: %s, enabled %s', pg_get_triggerdef(g.oid, true), g.tgenabled)
      from relations r
      join pg_trigger g on g.tgrelid = r.oid and not g.tgisinternal
    union all
    select format('policy %s on %s: %s for %s to %s using %s with check %s', p.policyname, p.tablename, p.permissive, p.cmd, p.roles, p.qual, p.with_check)
      from pg_policies p where p.schemaname = p_schema
    union all
    select format('function %s', f.oid::regprocedure) from pg_proc f where f.pronamespace = source
  ) as lines
  order by line;
  perform set_config('search_path', before, true);
end
$$;
comment on function es.describe_schema is 'what a schema is, apart from its rows and its name';

revoke execute on procedure es.clone_schema from public;
revoke execute on function es.describe_schema from public;
