-- Delivery: parked events in the database, inbox rows that can be pruned, retries that outlive the broker, and what the
-- relay needs to tell a consumer what it must have seen before.

-- By its position a row of the inbox can be recognised as one that nobody needs any more: everything at or below its
-- consumer's place is dealt with, row or no row. Rows of before get theirs here, once.
alter table es.inbox add column seq bigint;
update es.inbox i
   set seq = o.seq
  from es.event e
  join es.order_log o on o.xid = e.xid and o.pos = e.pos
 where e.event_id = i.event_id;

-- How often an event was tried, and when it is due again. The broker brings it back; if the broker has lost it, this does.
alter table es.postponed
  add column attempt int         not null default 0,
  add column due_at  timestamptz not null default now();
grant update on es.postponed to pf_partner, pf_customer, pf_platform;

-- Events that a consumer cannot handle, until a person decides: handled again (the row goes) or dropped (the row stays
-- and says who, when and why). A message that is no event belongs to the platform, and what can be kept of it is here.
create table es.parked (
  consumer     text        not null,
  event_id     uuid        not null,
  seq          bigint,
  event_type   text        not null,
  partner_id   uuid        not null,
  customer_id  uuid,
  reason       text        not null,
  attempts     int         not null,
  parked_at    timestamptz not null default now(),
  unreadable   bytea,
  dropped_at   timestamptz,
  dropped_by   text,
  drop_reason  text,
  primary key (consumer, event_id),
  check ((seq is null) = (unreadable is not null)),
  check ((dropped_at is null) = (dropped_by is null) and (dropped_at is null) = (drop_reason is null))
);
call es.protect('es.parked');

-- The last position of each event type that the relay has published. Changes together with the relay's cursor.
create table es.relayed (
  event_type text   primary key,
  seq        bigint not null
);
grant select, insert, update on es.relayed to pf_platform;
