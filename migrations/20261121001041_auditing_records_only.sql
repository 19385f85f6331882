-- The schema `auditing` holds the records and nothing else, so that it can be built anew as a whole: the function that
-- refuses changes moves to where every service can use it.

-- For tables whose rows only ever come: `create trigger … execute function es.refuse_rewriting('what they are')`.
create function es.refuse_rewriting() returns trigger language plpgsql as $$
begin
  raise exception '% cannot be changed', tg_argv[0] using errcode = 'restrict_violation';
end
$$;

drop trigger audit_records_cannot_be_changed on auditing.record;
drop trigger audit_records_cannot_be_truncated on auditing.record;
drop function auditing.refuse_change();
create trigger audit_records_cannot_be_changed before update or delete on auditing.record
  for each row execute function es.refuse_rewriting('audit records');
create trigger audit_records_cannot_be_truncated before truncate on auditing.record
  for each statement execute function es.refuse_rewriting('audit records');
