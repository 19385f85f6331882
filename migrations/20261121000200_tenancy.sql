-- What tenancy must look up to decide: which partner a customer belongs to, and which subjects are taken.

create schema tenancy;
call es.open_schema('tenancy');

create table tenancy.customer (
  customer_id uuid primary key,
  partner_id  uuid not null
);
call es.protect('tenancy.customer');

create table tenancy.partner (
  partner_id  uuid primary key,
  customer_id uuid
);
call es.protect('tenancy.partner');

-- Who may ask for a token, by the identity provider's name for them. One subject is one person on the whole platform.
create table tenancy.subject (
  subject     text primary key,
  user_id     uuid not null unique,
  partner_id  uuid not null,
  customer_id uuid
);
call es.protect('tenancy.subject');
