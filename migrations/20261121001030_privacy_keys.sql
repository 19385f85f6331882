-- The keys of persons. A personal text in an event is ciphertext under its person's key; without the key the text is
-- gone from every copy of the event, and the event's bytes and hashes stay as they are. A schema of its own, because
-- its backups must not live as long as those of the log.

create schema privacy;
call es.open_schema('privacy');

create table privacy.subject_key (
  subject_id   uuid        primary key,
  partner_id   uuid        not null,
  customer_id  uuid,
  -- Encrypted under a key that is not in the database, and names which one; null once the person is forgotten.
  wrapped_key  bytea,
  created_at   timestamptz not null default clock_timestamp(),
  forgotten_at timestamptz,
  constraint a_key_or_a_day_of_forgetting check ((wrapped_key is null) = (forgotten_at is not null))
);
call es.protect('privacy.subject_key', 'select, insert, update');

create function privacy.refuse_remembering() returns trigger language plpgsql as $$
begin
  raise exception 'who is forgotten stays forgotten' using errcode = 'restrict_violation';
end
$$;
create trigger who_is_forgotten_stays_forgotten before update on privacy.subject_key
  for each row when (old.forgotten_at is not null) execute function privacy.refuse_remembering();

-- The keys of these subjects, for sealing. Who has none gets the offered one; of two offers at once the first is taken.
create function privacy.keys_for(p_partner uuid, p_customer uuid, p_subjects uuid[], p_offered bytea[])
returns table (subject_id uuid, wrapped_key bytea) language plpgsql as $$
#variable_conflict use_column
begin
  insert into privacy.subject_key (subject_id, partner_id, customer_id, wrapped_key)
  select o.subject_id, p_partner, p_customer, o.wrapped_key
    from unnest(p_subjects, p_offered) as o (subject_id, wrapped_key)
   -- In one order for all, so that two writers cannot wait for each other.
   order by o.subject_id
  on conflict do nothing;
  -- A statement of its own: it sees what another transaction committed while the insert waited for it.
  return query
    select k.subject_id, k.wrapped_key
      from privacy.subject_key k
     where k.subject_id = any(p_subjects);
end
$$;

-- Destroys a subject's key, and lets nobody give it another one. Whether there was something to do.
create function privacy.forget(p_partner uuid, p_customer uuid, p_subject uuid) returns boolean language plpgsql as $$
begin
  insert into privacy.subject_key as k (subject_id, partner_id, customer_id, forgotten_at)
  values (p_subject, p_partner, p_customer, clock_timestamp())
  on conflict (subject_id) do update
     set wrapped_key = null, forgotten_at = excluded.forgotten_at
   where k.forgotten_at is null;
  return found;
end
$$;

grant execute on all functions in schema privacy to patchfleet_service, pf_partner, pf_customer, pf_platform;
