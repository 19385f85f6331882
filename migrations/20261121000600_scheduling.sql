-- What scheduling must look up: devices with what they miss, approvals, and the jobs on their way. All of it is folded
-- from events by one consumer, in the order of the log.

create schema scheduling;
call es.open_schema('scheduling');

create table scheduling.device (
  device_id   uuid    primary key,
  partner_id  uuid    not null,
  customer_id uuid    not null,
  online      boolean not null,
  mode        text    not null check (mode in ('FULL', 'SCAN_ONLY'))
);
call es.protect('scheduling.device');

create table scheduling.missing (
  device_id   uuid  not null,
  patch_id    uuid  not null,
  partner_id  uuid  not null,
  customer_id uuid  not null,
  -- What keeps the patch missing, in the shape of the fact.
  packages    jsonb not null,
  primary key (device_id, patch_id)
);
call es.protect('scheduling.missing');

create table scheduling.approval (
  customer_id uuid not null,
  patch_id    uuid not null,
  partner_id  uuid not null,
  primary key (customer_id, patch_id)
);
call es.protect('scheduling.approval');

-- The vendors' ids of patches: the shared catalogue, the same for all tenants.
create table scheduling.patch (
  patch_id        uuid primary key,
  vendor_patch_id text not null
);
call es.share('scheduling.patch');

create table scheduling.job (
  job_id         uuid        primary key,
  partner_id     uuid        not null,
  customer_id    uuid        not null,
  device_id      uuid        not null,
  kind           text        not null check (kind in ('SCAN', 'INSTALL')),
  stage          text        not null,
  -- False once it has ended. The row stays, because results may arrive late.
  open           boolean     not null default true,
  -- A queued install is not begun after this.
  expires_at     timestamptz,
  heard_at       timestamptz not null,
  -- What asked for the job, so that giving it up belongs to the same request and trace.
  correlation_id uuid        not null,
  traceparent    text
);
create index job_silent on scheduling.job (heard_at) where open;
call es.protect('scheduling.job');
