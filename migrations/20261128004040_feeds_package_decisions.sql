-- Decisions in every scope, for where packages are wanted. feeds.package_approval is not written any more; the table goes
-- with the release after this one.

create table feeds.package_decision (
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
create index package_decision_patch on feeds.package_decision (patch_id);
call es.protect_inherited('feeds.package_decision');
