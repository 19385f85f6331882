-- What a partner says for all of its customers: they see it, and only the partner writes it.

-- Row-level security for a table whose rows without a customer hold at every customer of the partner.
create procedure es.protect_inherited(name regclass) language plpgsql as $$
declare
  partner  text := '(select nullif(current_setting(''app.partner_id'', true), '''')::uuid)';
  customer text := '(select nullif(current_setting(''app.customer_id'', true), '''')::uuid)';
begin
  execute format('alter table %s enable row level security', name);
  execute format('alter table %s force row level security', name);
  execute format('create policy platform_rows on %s to pf_platform using (true)', name);
  execute format('create policy partner_rows on %s to pf_partner using (partner_id = %s)', name, partner);
  -- One comparison: a row is the customer's, or, where it names none, its partner's.
  execute format('create policy customer_seen on %s for select to pf_customer
                    using (coalesce(customer_id, partner_id) = any (array[%s, %s]))', name, customer, partner);
  execute format('create policy customer_made on %s for insert to pf_customer with check (customer_id = %s)', name, customer);
  execute format('create policy customer_changed on %s for update to pf_customer using (customer_id = %s)', name, customer);
  execute format('create policy customer_taken on %s for delete to pf_customer using (customer_id = %s)', name, customer);
  execute format('grant select, insert, update, delete on %s to pf_partner, pf_customer, pf_platform', name);
end
$$;
revoke execute on procedure es.protect_inherited from public;
