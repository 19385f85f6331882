-- A partner's own patches beside those of the platform: everybody sees the platform's, and of the others only the own.

-- Row-level security for a table whose rows of the nil partner are everybody's. Only whose rows they are may write them.
create procedure es.protect_shared(name regclass) language plpgsql as $$
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
  execute format('create policy partner_rows on %s to pf_partner using (partner_id = %s)', name, own);
  execute format('grant select on %s to pf_customer', name);
  execute format('grant select, insert, update, delete on %s to pf_partner, pf_platform', name);
end
$$;

alter table devices.catalogue_patch
  add column partner_id uuid not null default '00000000-0000-0000-0000-000000000000';
call es.protect_shared('devices.catalogue_patch');
alter table devices.catalogue_item
  add column partner_id uuid not null default '00000000-0000-0000-0000-000000000000';
call es.protect_shared('devices.catalogue_item');
-- How far the catalogue is holds for a partner's part of it as well.
grant update on devices.catalogue to pf_partner;

alter table approvals.patch
  add column partner_id uuid not null default '00000000-0000-0000-0000-000000000000';
revoke all on approvals.patch from pf_customer;
call es.protect_shared('approvals.patch');
