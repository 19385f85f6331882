-- Groups of a customer's devices, and what a query may ask of a device.

alter table devices.device
  add column name       text    not null default '',
  add column os_id      text    not null default '',
  add column os_version text    not null default '',
  add column region     text,
  add column exposed    boolean not null default false;

-- What devices that are enrolled already have said of themselves. The owner of a table with forced row-level security sees
-- its rows only while it is not forced.
alter table es.event no force row level security;
alter table devices.device no force row level security;
update devices.device d
   set name       = said.fact ->> 'name',
       os_id      = said.fact -> 'os' ->> 'id',
       os_version = said.fact -> 'os' ->> 'version'
  from (select e.stream_id, convert_from(e.payload, 'utf8')::jsonb as fact
          from es.event e
         where e.event_type = 'devices.AgentEnrolled') said
 where said.stream_id = d.device_id;
alter table devices.device force row level security;
alter table es.event force row level security;

create index device_of_customer on devices.device (customer_id);

create table devices.device_group (
  group_id      uuid    primary key,
  partner_id    uuid    not null,
  customer_id   uuid    not null,
  name          text    not null,
  -- A row stays behind, so that a repeated command is answered as the first time.
  removed       boolean not null default false,
  -- Whether a query finds its devices; else they are listed. What the query does not ask for is null.
  is_found      boolean not null,
  platform      text,
  os_id         text,
  os_version    text,
  region        text,
  exposed       boolean,
  name_contains text
);
create unique index device_group_by_name on devices.device_group (customer_id, lower(name)) where not removed;
call es.protect('devices.device_group');

create table devices.group_member (
  group_id    uuid not null references devices.device_group,
  device_id   uuid not null,
  partner_id  uuid not null,
  customer_id uuid not null,
  primary key (group_id, device_id)
);
create index group_member_by_device on devices.group_member (device_id);
call es.protect('devices.group_member');
