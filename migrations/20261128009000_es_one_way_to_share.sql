-- One procedure for tables whose rows are the platform's, for everybody, or a partner's. `es.share_by_partner` made the same
-- policies under other names for tables that nobody writes in a partner's scope; that is an argument now.

drop procedure es.protect_shared(regclass);

-- Row-level security for a table whose rows of the nil partner are everybody's. Only whose rows they are may write them,
-- and of tables that are not written in a partner's scope (views) the platform alone.
--
-- One comparison with two values, which is no slower than one with one: nearly all rows are the platform's, so no index on
-- `partner_id` could serve it, and it stands as a filter behind any other one.
create procedure es.protect_shared(name regclass, by_partners boolean default true) language plpgsql as $$
declare
  own    text := '(select nullif(current_setting(''app.partner_id'', true), '''')::uuid)';
  nobody text := '''00000000-0000-0000-0000-000000000000''::uuid';
  role   text;
begin
  execute format('alter table %s enable row level security', name);
  execute format('alter table %s force row level security', name);
  execute format('create policy platform_rows on %s to pf_platform using (true)', name);
  foreach role in array array['pf_partner', 'pf_customer'] loop
    execute format('create policy %I on %s for select to %I using (partner_id = any (array[%s, %s]))',
                   role || '_seen', name, role, nobody, own);
  end loop;
  execute format('grant select on %s to pf_partner, pf_customer', name);
  execute format('grant select, insert, update, delete on %s to pf_platform', name);
  if by_partners then
    execute format('create policy partner_rows on %s to pf_partner using (partner_id = %s)', name, own);
    execute format('grant insert, update, delete on %s to pf_partner', name);
  end if;
end
$$;
revoke execute on procedure es.protect_shared(regclass, boolean) from public;

-- Tables that have the policies of the procedure that goes, whichever they are.
do $$
declare
  shared regclass;
begin
  for shared in select polrelid::regclass from pg_policy where polname = 'offered_rows' loop
    execute format('drop policy offered_rows on %s', shared);
    execute format('drop policy platform_rows on %s', shared);
    call es.protect_shared(shared, false);
  end loop;
end
$$;

drop procedure es.share_by_partner(regclass);
