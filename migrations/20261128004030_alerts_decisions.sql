-- Decisions in every scope, for SEARCH. alerts.approved_patch is not written any more; the table goes with the release
-- after this one.

create table alerts.decision (
  -- The partner, customer, group or device.
  scope_id    uuid     not null,
  patch_id    uuid     not null,
  -- Whether it is a partner's hard block, which stands beside the partner's decision.
  blocked     boolean  not null default false,
  partner_id  uuid     not null,
  customer_id uuid,
  -- Its place in the order of precedence: of those that hold for a device the lowest decides.
  rank        smallint not null,
  primary key (scope_id, patch_id, blocked)
);
call es.protect_inherited('alerts.decision');

create table alerts.group_member (
  device_id   uuid not null,
  group_id    uuid not null,
  partner_id  uuid not null,
  customer_id uuid not null,
  primary key (device_id, group_id)
);
create index group_member_group on alerts.group_member (group_id);
call es.protect('alerts.group_member');

-- A partner's decision is looked for at all of its customers.
create index missing_patch_by_patch on alerts.missing_patch (patch_id);
