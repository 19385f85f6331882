-- How far each consumer has got in the log, so that what a broker lost is read again from the log.

create table es.consumer (
  name       text        primary key,
  seq        bigint      not null default 0,
  updated_at timestamptz not null default now()
);
grant select, insert, update on es.consumer to pf_partner, pf_customer, pf_platform;

-- Events that a consumer wants to see again later. They wait in the broker; this remembers them if the broker does not.
create table es.postponed (
  consumer text        not null,
  event_id uuid        not null,
  seq      bigint      not null,
  since    timestamptz not null default now(),
  primary key (consumer, event_id)
);
grant select, insert, delete on es.postponed to pf_partner, pf_customer, pf_platform;
