-- Rules and whitelists of partners, what each version of a rule says, and approvals that are still to come. Rows that
-- were made before lack what is new: `patchfleet views rebuild views` makes all of them anew from the log.

alter table views.rule
  add column contents jsonb not null default '{"groups": [], "conditions": {"severities": [], "classifications": [],
    "products": [], "vendors": [], "os_releases": [], "minimum_rating": null, "kev_only": false,
    "minimum_age_days": null}, "timing": {"kind": "DELAY", "days": 0}}';
create index rule_of_partner on views.rule (partner_id, seq) where customer_id is null;
-- A customer's people see what their partner's rules do for them.
create policy inherited_rows on views.rule for select to pf_customer
  using (customer_id is null and partner_id = (select nullif(current_setting('app.partner_id', true), '')::uuid));

create table views.rule_version (
  rule_id     uuid        not null,
  version     bigint      not null,
  partner_id  uuid        not null,
  customer_id uuid,
  contents    jsonb       not null,
  created_at  timestamptz not null,
  seq         bigint      not null,
  primary key (rule_id, version)
);
create index rule_version_in_order on views.rule_version (rule_id, seq);
call es.protect('views.rule_version');
create policy inherited_rows on views.rule_version for select to pf_customer
  using (customer_id is null and partner_id = (select nullif(current_setting('app.partner_id', true), '')::uuid));

-- Entries without a customer are a partner's own.
alter table views.whitelist_entry drop constraint whitelist_entry_pkey;
alter table views.whitelist_entry alter column customer_id drop not null;
create unique index whitelist_entry_key on views.whitelist_entry (partner_id, customer_id, kind, value)
  nulls not distinct;
create index whitelist_of_partner on views.whitelist_entry (partner_id, seq) where customer_id is null;
create policy inherited_rows on views.whitelist_entry for select to pf_customer
  using (customer_id is null and partner_id = (select nullif(current_setting('app.partner_id', true), '')::uuid));

-- The rule that will approve next, if nothing changes until then.
alter table views.approval
  add column scheduled_rule_id      uuid,
  add column scheduled_rule_version bigint,
  add column scheduled_at           timestamptz;
