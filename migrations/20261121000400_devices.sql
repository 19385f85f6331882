-- Devices: who they are, what is installed on them, what the catalogue says of it, and the jobs that wait for them.

create schema devices;
call es.open_schema('devices');

create table devices.customer (
  customer_id uuid primary key,
  partner_id  uuid not null
);
call es.protect('devices.customer');

-- Only the hash of a token's secret is kept.
create table devices.enrolment_token (
  token_id     uuid        primary key,
  partner_id   uuid        not null,
  customer_id  uuid        not null,
  token_sha256 text        not null unique,
  expires_at   timestamptz not null
);
call es.protect('devices.enrolment_token');

-- An inventory is kept once per content, whoever reports it, and is matched once with the catalogue. It has no tenant:
-- to name it is to know its content's hash.
create table devices.inventory (
  hash       text        primary key,
  os_id      text        not null,
  os_version text        not null,
  item_count int         not null,
  created_at timestamptz not null default now()
);
call es.share('devices.inventory');

-- From what an advisory names (debian:12/openssl, kb/KB5034123) to the inventories that hold it.
create table devices.inventory_item (
  item       text    not null,
  hash       text    not null references devices.inventory on delete cascade,
  -- Linux: the binary packages that were built from this source.
  packages   jsonb,
  -- Windows: whether the update is offered; else it is installed.
  applicable boolean,
  primary key (item, hash),
  check (num_nonnulls(packages, applicable) = 1)
);
create index inventory_item_by_hash on devices.inventory_item (hash);
call es.share('devices.inventory_item');

create table devices.device (
  device_id       uuid        primary key,
  partner_id      uuid        not null,
  customer_id     uuid        not null,
  platform        text        not null,
  public_key      text        not null,
  online          boolean     not null,
  last_contact_at timestamptz not null,
  inventory_hash  text        references devices.inventory,
  -- At least as many as its missing patches.
  missing_bound   int         not null default 0,
  last_job_number bigint      not null default 0
);
create index device_by_inventory on devices.device (inventory_hash);
create index device_by_contact on devices.device (last_contact_at) where online;
call es.protect('devices.device');

-- Nonces of requests, for as long as their signatures are young enough to be believed.
create table devices.nonce (
  device_id   uuid        not null,
  nonce       text        not null,
  partner_id  uuid        not null,
  customer_id uuid        not null,
  seen_at     timestamptz not null,
  primary key (device_id, nonce)
);
create index nonce_by_age on devices.nonce (seen_at);
call es.protect('devices.nonce');

-- Jobs on their way to agents.
create table devices.job (
  job_id         uuid        primary key,
  partner_id     uuid        not null,
  customer_id    uuid        not null,
  device_id      uuid        not null references devices.device,
  work           jsonb       not null,
  expires_at     timestamptz not null,
  queued_at      timestamptz not null default clock_timestamp(),
  -- Given with the first delivery: an agent refuses numbers that go back.
  number         bigint,
  delivered_at   timestamptz,
  -- The agent has spoken of it, so that it needs no second delivery.
  reported       boolean     not null default false,
  correlation_id uuid        not null,
  causation_id   uuid        not null,
  traceparent    text
);
create index job_waiting on devices.job (device_id, queued_at) where not reported;
call es.protect('devices.job');

-- The catalogue, as far as it decides what is missing.
create table devices.catalogue_patch (
  patch_id        uuid    primary key,
  vendor_patch_id text    not null,
  targets         jsonb   not null,
  withdrawn       boolean not null default false,
  superseded_by   uuid
);
create index catalogue_patch_successor on devices.catalogue_patch (superseded_by);
call es.share('devices.catalogue_patch', false);

create table devices.catalogue_item (
  item     text not null,
  patch_id uuid not null references devices.catalogue_patch,
  primary key (item, patch_id)
);
create index catalogue_item_by_patch on devices.catalogue_item (patch_id);
call es.share('devices.catalogue_item', false);

-- How far in the log the catalogue is.
create table devices.catalogue (
  only_row boolean primary key default true check (only_row),
  seq      bigint  not null default 0
);
insert into devices.catalogue default values;
call es.share('devices.catalogue', false);
