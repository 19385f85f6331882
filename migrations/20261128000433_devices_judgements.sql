-- A change of the catalogue is taken in at once, judged once per distinct inventory, and told to devices in small batches.

-- Changes of the catalogue, counted in the order in which they were taken in; a position may come later than a higher one.
alter table devices.catalogue add column change bigint not null default 0;
-- The last change that a device's latest scan was judged with: what it is told of older ones would be old.
alter table devices.device add column judged_change bigint not null default 0;
create index device_by_inventory_in_order on devices.device (inventory_hash, device_id);
drop index devices.device_by_inventory;

-- A change that some inventory has yet to be judged by, and the event that brought it.
create table devices.catalogue_change (
  change         bigint primary key,
  -- Whose patch it is: the nil id for everybody's.
  partner_id     uuid   not null,
  patch_id       uuid   not null,
  -- The patch as it was before, unless it is new.
  before         jsonb,
  event_id       uuid   not null,
  correlation_id uuid   not null,
  traceparent    text
);
call es.protect_shared('devices.catalogue_change');

-- What is left to do for an inventory that devices have and that holds something the patch names.
create table devices.judgement (
  change     bigint not null references devices.catalogue_change,
  hash       text   not null references devices.inventory on delete cascade,
  partner_id uuid   not null,
  -- What is said of it now and was not said before; null until it is judged. Without a difference the row goes.
  findings   jsonb,
  -- Devices up to this id have been told.
  told_to    uuid   not null default '00000000-0000-0000-0000-000000000000',
  primary key (change, hash)
);
create index judgement_to_make on devices.judgement (partner_id, hash, change) where findings is null;
create index judgement_to_tell on devices.judgement (change, hash) where findings is not null;
create index judgement_by_inventory on devices.judgement (hash);
call es.protect_shared('devices.judgement');

-- By whose rules the versions of an inventory are compared.
alter table devices.inventory add column version_order text not null default 'dpkg';

-- Fixes of binary packages find inventories by the package's own name; until now only the source's was kept.
insert into devices.inventory_item (item, hash, packages)
select i.os_id || ':' || i.os_version || '/binary/' || (package ->> 'name'), i.hash, jsonb_agg(package)
  from devices.inventory i
  join devices.inventory_item s on s.hash = i.hash
 cross join jsonb_array_elements(s.packages) as package
 where s.packages is not null
 group by 1, 2
on conflict do nothing;

-- Alpine's fixes name what packages were built from, as sources do.
update devices.catalogue_item
   set item = replace(item, '/binary/', '/')
 where item like 'alpine:%/binary/%' or item like 'wolfi:%/binary/%';
