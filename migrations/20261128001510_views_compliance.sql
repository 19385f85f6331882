-- Baselines and how devices stand, now and at any time before, built from the log.

create table views.baseline (
  baseline_id uuid        primary key,
  partner_id  uuid        not null,
  -- None: a partner's template, which its customers see as well.
  customer_id uuid,
  name        text        not null,
  version     bigint      not null,
  rules       jsonb       not null,
  included    uuid[]      not null,
  excluded    uuid[]      not null,
  created_at  timestamptz not null,
  retired_at  timestamptz,
  seq         bigint      not null
);
create index baseline_of_partner on views.baseline (partner_id, seq);
call es.protect_inherited('views.baseline');

-- What it asked for, and from when to when.
create table views.baseline_version (
  baseline_id uuid        not null,
  version     bigint      not null,
  partner_id  uuid        not null,
  customer_id uuid,
  valid_from  timestamptz not null,
  -- None while it is what is asked for now.
  valid_until timestamptz,
  rules       jsonb       not null,
  included    uuid[]      not null,
  excluded    uuid[]      not null,
  seq         bigint      not null,
  primary key (baseline_id, version)
);
call es.protect_inherited('views.baseline_version');

create table views.baseline_assignment (
  baseline_id   uuid        not null,
  -- A partner, customer, group or device.
  target_id     uuid        not null,
  level         text        not null check (level in ('PARTNER', 'CUSTOMER', 'GROUP', 'DEVICE')),
  partner_id    uuid        not null,
  customer_id   uuid,
  assigned_at   timestamptz not null,
  unassigned_at timestamptz,
  seq           bigint      not null,
  primary key (baseline_id, seq)
);
create unique index baseline_assignment_current on views.baseline_assignment (baseline_id, target_id)
  where unassigned_at is null;
call es.protect_inherited('views.baseline_assignment');

-- Which devices were in which group, and from when to when: groups have roll-ups of their own.
create table views.compliance_group_member (
  group_id    uuid        not null,
  device_id   uuid        not null,
  partner_id  uuid        not null,
  customer_id uuid,
  joined_at   timestamptz not null,
  left_at     timestamptz,
  seq         bigint      not null,
  primary key (group_id, device_id, seq)
);
create unique index compliance_group_member_current on views.compliance_group_member (device_id, group_id)
  where left_at is null;
call es.protect('views.compliance_group_member');

-- Whose a group is.
create table views.compliance_group (
  group_id    uuid   primary key,
  partner_id  uuid   not null,
  customer_id uuid,
  seq         bigint not null
);
call es.protect('views.compliance_group');

-- How a device stood against a baseline, and from when to when. A row is one result for as long as it was the same.
create table views.compliance_period (
  device_id        uuid        not null,
  baseline_id      uuid        not null,
  partner_id       uuid        not null,
  customer_id      uuid        not null,
  baseline_version bigint      not null,
  state            text        not null
                   check (state in ('COMPLIANT', 'NON_COMPLIANT', 'PENDING_REBOOT', 'NOT_ASSESSED')),
  not_assessed     text        check (not_assessed in ('NEVER_SCANNED', 'NO_RECENT_SCAN')),
  -- Missing patches by severity: critical, high, medium, low, none, unknown.
  missing          bigint[]    not null,
  waived           bigint      not null,
  valid_from       timestamptz not null,
  valid_until      timestamptz,
  evaluated_at     timestamptz not null,
  scanned_at       timestamptz,
  -- Of the device: its place among the devices, the same in every period.
  device_seq       bigint      not null,
  seq              bigint      not null,
  primary key (device_id, baseline_id, seq)
);
create unique index compliance_current on views.compliance_period (device_id, baseline_id) where valid_until is null;
create index compliance_current_of_baseline on views.compliance_period (baseline_id, device_seq) include (state, customer_id)
  where valid_until is null;
create index compliance_current_of_customer on views.compliance_period (customer_id, baseline_id, device_seq)
  where valid_until is null;
create index compliance_of_baseline on views.compliance_period (baseline_id, device_seq, valid_from);
create index compliance_of_customer on views.compliance_period (customer_id, baseline_id, device_seq, valid_from);
call es.protect('views.compliance_period');

-- Counts at the end of each day (UTC) on which something changed; the last one before a date is that date's.
create table views.compliance_day (
  baseline_id    uuid     not null,
  -- A partner, customer or group.
  scope_id       uuid     not null,
  day            date     not null,
  partner_id     uuid     not null,
  customer_id    uuid,
  -- Devices by state, then missing patches by severity, then waived ones: see `Counts`.
  counts         bigint[] not null,
  primary key (baseline_id, scope_id, day)
);
call es.protect('views.compliance_day');

-- For the number of patches that wait for a decision.
create index approval_pending on views.approval (partner_id, customer_id) where state = 'PENDING';
