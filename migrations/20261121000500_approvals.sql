-- What approvals must know to decide: the catalogue, customers, rules, whitelists, and where each approval stands.

create schema approvals;
call es.open_schema('approvals');

-- The catalogue belongs to nobody.
create table approvals.patch (
  patch_id                 uuid   primary key,
  vendor_patch_id          text   not null,
  name                     text   not null,
  os_versions              text[] not null,
  platform                 text   not null,
  severity                 text   not null,
  classification           text   not null,
  withdrawn                boolean not null default false,
  superseded_by            uuid,
  superseded_by_vendor_id  text
);
call es.share('approvals.patch');

create table approvals.customer (
  customer_id uuid primary key,
  partner_id  uuid not null
);
call es.protect('approvals.customer');

create table approvals.whitelist (
  customer_id uuid  not null,
  partner_id  uuid  not null,
  pattern     jsonb not null,
  primary key (customer_id, pattern)
);
call es.protect('approvals.whitelist');

create table approvals.rule (
  rule_id      uuid    primary key,
  customer_id  uuid    not null,
  partner_id   uuid    not null,
  rule_version int     not null,
  conditions   jsonb   not null,
  enabled      boolean not null
);
create index rule_customer on approvals.rule (customer_id) where enabled;
call es.protect('approvals.rule');

create table approvals.approval (
  patch_id    uuid    not null,
  customer_id uuid    not null,
  partner_id  uuid    not null,
  -- Whether rules still have something to decide.
  pending     boolean not null,
  primary key (customer_id, patch_id)
);
create index approval_patch on approvals.approval (patch_id);
create index approval_pending on approvals.approval (customer_id) where pending;
call es.protect('approvals.approval');
