-- The audit trail: every event of the log as one record that proves itself and never changes.

create schema auditing;
call es.open_schema('auditing');

create table auditing.record (
  seq            bigint      primary key,
  event_id       uuid        not null unique,
  event_type     text        not null,
  partner_id     uuid        not null,
  customer_id    uuid,
  occurred_at    timestamptz not null,
  recorded_at    timestamptz not null,
  actor_kind     text        not null,
  actor_id       text        not null,
  correlation_id uuid        not null,
  -- Every id that the fact names: what the record is about.
  subject_ids    text[]      not null,
  -- The whole event, payload included, in its canonical bytes. Not jsonb, which cannot hold what a fact may say
  -- (U+0000) and would change the bytes.
  envelope       bytea       not null,
  -- RFC 6962, 2.1: the hash of a leaf, with the prefix that no inner node of the tree has.
  leaf           bytea       not null check (leaf = sha256('\x00'::bytea || envelope))
);
create index record_partner on auditing.record (partner_id, seq);
create index record_customer on auditing.record (customer_id, seq) where customer_id is not null;
create index record_correlation on auditing.record (correlation_id, seq);
create index record_subject on auditing.record using gin (subject_ids);
call es.protect('auditing.record', 'select');
-- Only the follower of the log writes, and it works at platform level.
grant insert on auditing.record to pf_platform;

create function auditing.refuse_change() returns trigger language plpgsql as $$
begin
  raise exception 'audit records cannot be changed' using errcode = 'restrict_violation';
end
$$;
create trigger audit_records_cannot_be_changed before update or delete on auditing.record
  for each row execute function auditing.refuse_change();
create trigger audit_records_cannot_be_truncated before truncate on auditing.record
  for each statement execute function auditing.refuse_change();
