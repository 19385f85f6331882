-- Groups of devices; where devices stand, and whether they can be reached from the internet.

alter table views.device
  add column exposed boolean not null default false,
  add column region  text;
create index device_by_region on views.device (customer_id, region) where region is not null;

create table views.device_group (
  group_id    uuid   primary key,
  partner_id  uuid   not null,
  customer_id uuid   not null,
  name        text   not null,
  -- What its devices have in common; none where they are listed.
  query       jsonb,
  seq         bigint not null
);
create index device_group_of_customer on views.device_group (customer_id, seq);
create index device_group_of_partner on views.device_group (partner_id, seq);
call es.protect('views.device_group');

create table views.group_member (
  group_id    uuid   not null,
  device_id   uuid   not null,
  partner_id  uuid   not null,
  customer_id uuid   not null,
  -- The places of device and group in their own lists: the order here, from either side.
  device_seq  bigint not null,
  group_seq   bigint not null,
  primary key (group_id, device_id)
);
create index group_member_in_order on views.group_member (group_id, device_seq);
create index group_member_of_device on views.group_member (device_id, group_seq);
call es.protect('views.group_member');

create index package_update_of_partner on views.package_update (partner_id, seq);
