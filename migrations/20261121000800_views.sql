-- What GraphQL answers from, built from the log by one follower. `seq` is the position of the event that made the
-- row: unique, unchanging, and the order of every list.

create schema views;
call es.open_schema('views');

create table views.partner (
  partner_id  uuid        primary key,
  customer_id uuid,
  name        text        not null,
  seq         bigint      not null
);
create index partner_in_order on views.partner (seq);
call es.protect('views.partner');

create table views.customer (
  customer_id uuid        primary key,
  partner_id  uuid        not null,
  name        text        not null,
  time_zone   text        not null,
  seq         bigint      not null
);
create index customer_of_partner on views.customer (partner_id, seq);
call es.protect('views.customer');

create table views.app_user (
  user_id      uuid       primary key,
  partner_id   uuid       not null,
  customer_id  uuid,
  subject      text       not null,
  display_name text       not null,
  seq          bigint     not null
);
create index app_user_by_subject on views.app_user (subject, seq);
call es.protect('views.app_user');

create table views.role_grant (
  user_id     uuid        not null,
  role        text        not null,
  partner_id  uuid        not null,
  -- Where it holds; none means the whole partner.
  customer_id uuid,
  seq         bigint      not null,
  unique nulls not distinct (user_id, role, customer_id)
);
call es.protect('views.role_grant');

create table views.feed (
  feed_id         uuid        primary key,
  name            text        not null,
  kind            text        not null,
  format          text        not null,
  source          text        not null,
  synced_at       timestamptz,
  document_sha256 text,
  document_date   timestamptz,
  published       bigint      not null default 0,
  revised         bigint      not null default 0,
  unchanged       bigint      not null default 0,
  quarantined     text[]      not null default '{}',
  failed_at       timestamptz,
  failure_code    text,
  failure_reason  text,
  seq             bigint      not null
);
create index feed_in_order on views.feed (seq);
call es.share('views.feed', false);

create table views.patch (
  patch_id         uuid       primary key,
  feed_id          uuid       not null,
  vendor_patch_id  text       not null,
  name             text       not null,
  platform         text       not null,
  os_versions      text[]     not null,
  vendor_severity  text       not null,
  severity         text       not null,
  classification   text       not null,
  release_date     date       not null,
  cves             text[]     not null,
  targets          jsonb      not null,
  supersedes       text[]     not null,
  reboot           text       not null,
  url              text,
  state            text       not null check (state in ('PUBLISHED', 'SUPERSEDED', 'WITHDRAWN')),
  superseded_by    uuid,
  withdrawn_reason text,
  seq              bigint     not null
);
create index patch_in_order on views.patch (seq);
create index patch_by_vendor_id on views.patch (vendor_patch_id);
create index patch_by_cve on views.patch using gin (cves);
call es.share('views.patch', false);

create table views.device (
  device_id       uuid        primary key,
  partner_id      uuid        not null,
  customer_id     uuid,
  name            text        not null,
  platform        text        not null,
  os_release      text        not null,
  os_name         text        not null,
  mode            text        not null,
  agent_version   text        not null,
  online          boolean     not null,
  last_contact_at timestamptz not null,
  last_scan_at    timestamptz,
  scan_source     text,
  pending_reboot  boolean     not null default false,
  seq             bigint      not null
);
create index device_of_customer on views.device (customer_id, seq);
create index device_of_partner on views.device (partner_id);
call es.protect('views.device');

-- What is known of one patch on one device. INSTALLED only after a scan has seen it.
create table views.device_patch (
  device_id   uuid        not null,
  patch_id    uuid        not null,
  partner_id  uuid        not null,
  customer_id uuid,
  state       text        not null
              check (state in ('MISSING', 'DOWNLOADING', 'INSTALLING', 'PENDING_REBOOT', 'VERIFYING', 'INSTALLED', 'FAILED')),
  reason      text,
  packages    jsonb       not null default '[]',
  job_id      uuid,
  since       timestamptz not null,
  seq         bigint      not null,
  primary key (device_id, patch_id)
);
create index device_patch_of_device on views.device_patch (device_id, seq);
create index device_patch_not_installed on views.device_patch (customer_id, device_id) where state <> 'INSTALLED';
create index device_patch_of_job on views.device_patch (job_id) where job_id is not null;
create index device_patch_of_partner on views.device_patch (partner_id);
call es.protect('views.device_patch');

create table views.available_update (
  device_id         uuid    not null,
  -- Its place in the device's own list.
  seq               bigint  not null,
  partner_id        uuid    not null,
  customer_id       uuid,
  name              text    not null,
  installed_version text    not null,
  candidate_version text    not null,
  origin            text    not null,
  security          boolean not null,
  primary key (device_id, seq)
);
call es.protect('views.available_update');

create table views.scan_job (
  job_id       uuid        primary key,
  device_id    uuid        not null,
  partner_id   uuid        not null,
  customer_id  uuid,
  state        text        not null check (state in ('REQUESTED', 'INITIATED', 'COMPLETED', 'FAILED')),
  because      text        not null,
  reason       text,
  requested_at timestamptz not null,
  finished_at  timestamptz,
  seq          bigint      not null
);
create index scan_job_of_device on views.scan_job (device_id, seq);
call es.protect('views.scan_job');

create table views.approval (
  approval_id          uuid        primary key,
  patch_id             uuid        not null,
  customer_id          uuid        not null,
  partner_id           uuid        not null,
  state                text        not null check (state in ('PENDING', 'APPROVED', 'REJECTED', 'LAPSED')),
  since                timestamptz not null,
  mode                 text        check (mode in ('MANUAL', 'AUTO')),
  decided_by           uuid,
  comment              text,
  rule_id              uuid,
  rule_version         bigint,
  -- What the last rule that left it pending said.
  refused_rule_id      uuid,
  refused_rule_version bigint,
  refused_reason       text,
  superseded_by        uuid,
  seq                  bigint      not null,
  unique (customer_id, patch_id)
);
create index approval_of_customer on views.approval (customer_id, seq);
create index approval_of_partner on views.approval (partner_id);
call es.protect('views.approval');

create table views.whitelist_entry (
  customer_id uuid        not null,
  kind        text        not null check (kind in ('VENDOR_PATCH_ID', 'PRODUCT', 'CLASSIFICATION')),
  value       text        not null,
  partner_id  uuid        not null,
  added_at    timestamptz not null,
  seq         bigint      not null,
  primary key (customer_id, kind, value)
);
create index whitelist_of_customer on views.whitelist_entry (customer_id, seq);
call es.protect('views.whitelist_entry');

create table views.rule (
  rule_id         uuid        primary key,
  partner_id      uuid        not null,
  customer_id     uuid,
  name            text        not null,
  version         bigint      not null,
  enabled         boolean     not null,
  severities      text[]      not null,
  classifications text[]      not null,
  seq             bigint      not null
);
create index rule_of_customer on views.rule (customer_id, seq);
call es.protect('views.rule');

create table views.deployment (
  deployment_id uuid        primary key,
  partner_id    uuid        not null,
  customer_id   uuid,
  name          text        not null,
  reboot_policy text        not null,
  planned_at    timestamptz not null,
  seq           bigint      not null
);
create index deployment_of_customer on views.deployment (customer_id, seq);
call es.protect('views.deployment');

create table views.run (
  run_id        uuid        primary key,
  deployment_id uuid        not null,
  partner_id    uuid        not null,
  customer_id   uuid,
  state         text        not null
                check (state in ('RUNNING', 'COMPLETED', 'COMPLETED_WITH_FAILURES', 'NOTHING_TO_DO')),
  started_at    timestamptz not null,
  finished_at   timestamptz,
  -- The last event about it: what a subscriber has seen.
  changed       bigint      not null,
  seq           bigint      not null
);
create index run_of_deployment on views.run (deployment_id, seq);
call es.protect('views.run');

create table views.device_job (
  job_id        uuid        primary key,
  run_id        uuid        not null,
  deployment_id uuid        not null,
  device_id     uuid        not null,
  partner_id    uuid        not null,
  customer_id   uuid,
  state         text        not null
                check (state in ('QUEUED', 'DISPATCHED', 'ACKNOWLEDGED', 'DOWNLOADING', 'INSTALLING', 'PENDING_REBOOT',
                                 'VERIFYING', 'SUCCEEDED', 'FAILED', 'SKIPPED', 'TIMED_OUT')),
  reason_code   text,
  reason        text,
  patch_ids     uuid[]      not null,
  queued_at     timestamptz not null,
  expires_at    timestamptz,
  finished_at   timestamptz,
  -- The last event about it: what a subscriber has seen.
  changed       bigint      not null,
  seq           bigint      not null
);
create index device_job_of_deployment on views.device_job (deployment_id, seq);
create index device_job_of_run on views.device_job (run_id);
call es.protect('views.device_job');

create table views.job_step (
  job_id      uuid        not null,
  seq         bigint      not null,
  partner_id  uuid        not null,
  customer_id uuid,
  state       text        not null,
  detail      text,
  occurred_at timestamptz not null,
  recorded_at timestamptz not null,
  primary key (job_id, seq)
);
call es.protect('views.job_step');

create table views.alert (
  alert_id        uuid        primary key,
  partner_id      uuid        not null,
  customer_id     uuid,
  alert_type      text        not null,
  severity        text        not null,
  state           text        not null check (state in ('OPEN', 'ACKNOWLEDGED', 'RESOLVED')),
  message         text        not null,
  reason          text,
  device_id       uuid,
  job_id          uuid,
  patch_ids       uuid[]      not null,
  raised_at       timestamptz not null,
  acknowledged_at timestamptz,
  acknowledged_by uuid,
  resolved_at     timestamptz,
  resolved_by     uuid,
  seq             bigint      not null
);
create index alert_of_customer on views.alert (customer_id, seq);
create index alert_of_partner on views.alert (partner_id, seq) where customer_id is null;
call es.protect('views.alert');

create table views.webhook (
  webhook_id      uuid        primary key,
  partner_id      uuid        not null,
  customer_id     uuid,
  url             text        not null,
  event_types     text[]      not null,
  state           text        not null check (state in ('ACTIVE', 'DISABLED')),
  disabled_reason text,
  registered_at   timestamptz not null,
  seq             bigint      not null
);
create index webhook_of_customer on views.webhook (customer_id, seq);
create index webhook_of_partner on views.webhook (partner_id, seq) where customer_id is null;
call es.protect('views.webhook');

create table views.delivery (
  webhook_id      uuid        not null,
  event_id        uuid        not null,
  partner_id      uuid        not null,
  customer_id     uuid,
  state           text        not null check (state in ('DELIVERED', 'RETRYING', 'DEAD_LETTERED')),
  attempts        bigint      not null,
  http_status     int,
  reason          text,
  next_attempt_at timestamptz,
  updated_at      timestamptz not null,
  seq             bigint      not null,
  primary key (webhook_id, event_id)
);
create index delivery_of_webhook on views.delivery (webhook_id, seq);
call es.protect('views.delivery');

-- Which input a person's idempotency key stands for. Not a view: the gateway writes it before it sends the command.
create table views.idempotency_key (
  user_id     uuid        not null,
  mutation    text        not null,
  key         text        not null,
  partner_id  uuid        not null,
  customer_id uuid,
  input_hash  bytea       not null,
  created_at  timestamptz not null default now(),
  primary key (user_id, mutation, key)
);
call es.protect('views.idempotency_key');
