-- Alerts: whose they are, what the alert SEARCH needs to know, webhooks and their deliveries.

create schema alerts;
call es.open_schema('alerts');

-- Whose alert it is. What it says stands in its events.
create table alerts.alert (
  alert_id    uuid primary key,
  partner_id  uuid not null,
  customer_id uuid
);
call es.protect('alerts.alert', 'select, insert');

-- Which patch is missing where, as the scans say.
create table alerts.missing_patch (
  device_id   uuid not null,
  patch_id    uuid not null,
  partner_id  uuid not null,
  customer_id uuid,
  primary key (device_id, patch_id)
);
create index missing_patch_by_customer on alerts.missing_patch (customer_id, patch_id);
call es.protect('alerts.missing_patch', 'select, insert, delete');

-- Which patch is approved at which customer.
create table alerts.approved_patch (
  customer_id uuid not null,
  patch_id    uuid not null,
  partner_id  uuid not null,
  primary key (customer_id, patch_id)
);
call es.protect('alerts.approved_patch', 'select, insert, delete');

create table alerts.webhook (
  webhook_id    uuid        primary key,
  partner_id    uuid        not null,
  -- The customer whose events it gets; none means all of the partner's.
  customer_id   uuid,
  url           text        not null,
  event_types   text[]      not null,
  -- With which service key its secrets were derived; they stand nowhere themselves.
  key_id        text        not null,
  -- It gets what comes after this position; none until its own registration has come through the log.
  active_from   bigint,
  -- Since when it has taken nothing.
  failing_since timestamptz,
  disabled_at   timestamptz
);
create index webhook_by_partner on alerts.webhook (partner_id);
call es.protect('alerts.webhook', 'select, insert, update');

-- One event on its way to one webhook.
create table alerts.delivery (
  webhook_id      uuid        not null,
  event_id        uuid        not null,
  partner_id      uuid        not null,
  customer_id     uuid,
  event_type      text        not null,
  position        bigint      not null,
  -- The exact bytes that every attempt sends.
  body            bytea       not null,
  correlation_id  uuid        not null,
  traceparent     text,
  state           text        not null default 'PENDING'
                  check (state in ('PENDING', 'RETRYING', 'DELIVERED', 'DEAD_LETTERED')),
  attempts        int         not null default 0,
  next_attempt_at timestamptz not null default now(),
  -- A worker is at it until then; whoever finds it later takes over.
  leased_until    timestamptz,
  -- Of the last attempt: the receiver's status, what went wrong, how its answer begins.
  status          int,
  reason          text,
  answer          text,
  settled_at      timestamptz,
  primary key (webhook_id, event_id)
);
create index delivery_due on alerts.delivery (next_attempt_at) where settled_at is null;
create index delivery_due_by_webhook on alerts.delivery (webhook_id, next_attempt_at) where settled_at is null;
call es.protect('alerts.delivery', 'select, insert, update');
