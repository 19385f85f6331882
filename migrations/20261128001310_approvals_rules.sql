-- Rules and whitelists of partners, what rules look at, when they look again, and what was missing where.

-- A row of the nil customer is a partner's own: it holds at all of its customers, and they may read it.
create policy inherited_rows on approvals.rule for select to pf_customer
  using (customer_id = '00000000-0000-0000-0000-000000000000'
         and partner_id = (select nullif(current_setting('app.partner_id', true), '')::uuid));
create policy inherited_rows on approvals.whitelist for select to pf_customer
  using (customer_id = '00000000-0000-0000-0000-000000000000'
         and partner_id = (select nullif(current_setting('app.partner_id', true), '')::uuid));
-- Two partners may let the same patches through.
alter table approvals.whitelist drop constraint whitelist_pkey;
alter table approvals.whitelist add primary key (partner_id, customer_id, pattern);

-- The conditions of earlier rows lack what is new; whoever reads them knows what that meant.
alter table approvals.rule
  add column groups uuid[] not null default '{}',
  add column timing jsonb  not null default '{"kind": "DELAY", "days": 0}';
drop index approvals.rule_customer;
create index rule_of_owner on approvals.rule (partner_id, customer_id);

-- Earlier rows have neither until their publisher revises them.
alter table approvals.patch
  add column feed_id      uuid,
  add column release_date date,
  -- When it was superseded or withdrawn.
  add column ended_at     timestamptz;

create table approvals.patch_cve (
  cve        text collate "C" not null,
  patch_id   uuid             not null,
  partner_id uuid             not null,
  primary key (cve, patch_id)
);
create index patch_cve_of_patch on approvals.patch_cve (patch_id);
call es.protect_shared('approvals.patch_cve');

-- Vulnerabilities that are known to be exploited.
create table approvals.kev (
  cve text collate "C" primary key
);
call es.share('approvals.kev', false);

-- Who publishes: the feed's name and its publisher's.
create table approvals.feed (
  feed_id    uuid   primary key,
  partner_id uuid   not null,
  vendors    text[] not null
);
call es.protect_shared('approvals.feed');

-- The nil customer: the partner's own.
create table approvals.rating (
  patch_id    uuid     not null,
  customer_id uuid     not null,
  partner_id  uuid     not null,
  rating      smallint not null,
  primary key (patch_id, partner_id, customer_id)
);
call es.protect('approvals.rating');
create policy inherited_rows on approvals.rating for select to pf_customer
  using (customer_id = '00000000-0000-0000-0000-000000000000'
         and partner_id = (select nullif(current_setting('app.partner_id', true), '')::uuid));

-- What scans found missing on a device, and until when.
create table approvals.missing (
  device_id   uuid        not null,
  patch_id    uuid        not null,
  customer_id uuid        not null,
  partner_id  uuid        not null,
  -- The first time.
  found_at    timestamptz not null,
  gone_at     timestamptz,
  -- Position of the last event about it: an older one changes nothing.
  seq         bigint      not null,
  primary key (device_id, patch_id)
);
create index missing_of_patch on approvals.missing (partner_id, patch_id, customer_id)
  include (device_id, found_at, gone_at);
create index missing_gone on approvals.missing (gone_at) where gone_at is not null;
call es.protect('approvals.missing');

-- Devices of groups that rules may work for.
create table approvals.rule_group_member (
  group_id    uuid not null,
  device_id   uuid not null,
  customer_id uuid not null,
  partner_id  uuid not null,
  primary key (group_id, device_id)
);
call es.protect('approvals.rule_group_member');

-- Which pending patch the rules look at again, when, and because of what.
create table approvals.rule_due (
  customer_id    uuid        not null,
  patch_id       uuid        not null,
  partner_id     uuid        not null,
  due_at         timestamptz not null,
  event_id       uuid        not null,
  correlation_id uuid        not null,
  traceparent    text,
  primary key (customer_id, patch_id)
);
create index rule_due_at on approvals.rule_due (due_at);
call es.protect('approvals.rule_due');
