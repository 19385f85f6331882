-- Whose customer is whose, so that a webhook is registered for a customer of the own partner only.

create table alerts.customer (
  customer_id uuid primary key,
  partner_id  uuid not null
);
call es.protect('alerts.customer', 'select, insert');
