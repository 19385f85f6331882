-- Decisions in every scope, and the groups that some of them are for. Approvals of customers in scheduling.approval are
-- not written any more; the table goes with the release after this one.

create table scheduling.decision (
  -- The partner, customer, group or device.
  scope_id    uuid        not null,
  patch_id    uuid        not null,
  level       text        not null check (level in ('PARTNER', 'CUSTOMER', 'GROUP', 'DEVICE')),
  partner_id  uuid        not null,
  customer_id uuid,
  ruling      text        not null check (ruling in ('REJECTED', 'DEFERRED', 'APPROVED', 'APPROVED_BY_RULE')),
  -- The end of a deferral.
  ends_at     timestamptz,
  primary key (scope_id, patch_id)
);
call es.protect_inherited('scheduling.decision');

-- Patches that a partner keeps from all of its customers.
create table scheduling.block (
  partner_id  uuid not null,
  patch_id    uuid not null,
  -- Never one: a block is the partner's.
  customer_id uuid check (customer_id is null),
  primary key (partner_id, patch_id)
);
call es.protect_inherited('scheduling.block');

create table scheduling.group_member (
  device_id   uuid not null,
  group_id    uuid not null,
  partner_id  uuid not null,
  customer_id uuid not null,
  primary key (device_id, group_id)
);
create index group_member_group on scheduling.group_member (group_id);
call es.protect('scheduling.group_member');

alter table scheduling.patch
  -- Neither superseded nor withdrawn.
  add column installable boolean not null default true,
  -- What it runs on; unknown for those that were taken in before.
  add column platform    text;
