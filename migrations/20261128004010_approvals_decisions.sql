-- What a decision may name, how customers want decisions to be taken, and which decisions stand.

create table approvals.device (
  device_id   uuid primary key,
  partner_id  uuid not null,
  customer_id uuid not null,
  platform    text not null
);
call es.protect('approvals.device');

create table approvals.device_group (
  group_id    uuid primary key,
  partner_id  uuid not null,
  customer_id uuid not null
);
call es.protect('approvals.device_group');

create table approvals.policy (
  customer_id     uuid    primary key,
  partner_id      uuid    not null,
  second_approver boolean not null
);
create index policy_partner on approvals.policy (partner_id) where second_approver;
call es.protect('approvals.policy');

-- Decisions that stand, in every scope: folded from the service's own facts by its reactor.
create table approvals.decision (
  -- The partner, customer, group or device.
  scope_id     uuid        not null,
  patch_id     uuid        not null,
  level        text        not null check (level in ('PARTNER', 'CUSTOMER', 'GROUP', 'DEVICE')),
  partner_id   uuid        not null,
  customer_id  uuid,
  state        text        not null check (state in ('AWAITING_SECOND', 'APPROVED', 'REJECTED', 'DEFERRED')),
  -- The end of a deferral.
  ends_at      timestamptz,
  -- A timer is at it until then; whoever finds it later takes over.
  leased_until timestamptz,
  primary key (scope_id, patch_id),
  check ((state = 'DEFERRED') = (ends_at is not null)),
  check ((level = 'PARTNER') = (customer_id is null))
);
create index decision_patch on approvals.decision (patch_id);
create index decision_due on approvals.decision (ends_at) where state = 'DEFERRED';
call es.protect_inherited('approvals.decision');
