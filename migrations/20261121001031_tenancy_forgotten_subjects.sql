-- A forgotten person's row stays without the subject: whose user it was is still known, who it was is not.

alter table tenancy.subject
  drop constraint subject_pkey,
  alter column subject drop not null,
  drop constraint subject_user_id_key,
  add primary key (user_id);
create unique index subject_taken on tenancy.subject (subject);
