-- Decisions in every scope, how customers want them to be taken, and since when a patch is missing.

create table views.decision (
  -- The partner, customer, group or device.
  scope_id     uuid        not null,
  patch_id     uuid        not null,
  -- Whether it is a partner's hard block, which stands beside the partner's decision.
  blocked      boolean     not null default false,
  level        text        not null check (level in ('PARTNER', 'CUSTOMER', 'GROUP', 'DEVICE')),
  partner_id   uuid        not null,
  customer_id  uuid,
  state        text        not null
               check (state in ('AWAITING_SECOND_APPROVER', 'APPROVED', 'REJECTED', 'DEFERRED', 'BLOCKED')),
  -- Its place in the order of precedence: of those that hold for a device the lowest decides. What waits for a second
  -- person has none.
  rank         smallint,
  mode         text        check (mode in ('MANUAL', 'AUTO')),
  decided_by   uuid,
  second_by    uuid,
  comment      text,
  rule_id      uuid,
  rule_version bigint,
  -- The end of a deferral.
  ends_at      timestamptz,
  since        timestamptz not null,
  seq          bigint      not null,
  primary key (scope_id, patch_id, blocked)
);
create index decision_of_patch on views.decision (patch_id, seq);
create index decision_of_customer on views.decision (customer_id, seq);
create index decision_of_partner on views.decision (partner_id, seq);
call es.protect_inherited('views.decision');

create table views.approval_policy (
  customer_id     uuid    primary key,
  partner_id      uuid    not null,
  second_approver boolean not null
);
call es.protect('views.approval_policy');

alter table views.approval
  drop constraint approval_state_check,
  add constraint approval_state_check check (
    state in ('PENDING', 'AWAITING_SECOND_APPROVER', 'APPROVED', 'REJECTED', 'DEFERRED', 'LAPSED')),
  add column ends_at timestamptz;

alter table views.device_patch
  add column missing_since timestamptz;
update views.device_patch set missing_since = since where state = 'MISSING';
-- What is missing at a customer, for what waits for a decision there.
create index device_patch_missing_at on views.device_patch (customer_id, patch_id) where state <> 'INSTALLED';
