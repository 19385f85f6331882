-- How far each consumer has got in the log, so that what a broker lost is read again from the log.

create table es.consumer (
  name       text        primary key,
  seq        bigint      not null default 0,
  updated_at timestamptz not null default now()
);
grant select, insert, update on es.consumer to pf_partner, pf_customer, pf_platform;
