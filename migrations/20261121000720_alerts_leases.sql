-- How many deliveries of a webhook are under way, without reading all that wait: a dead receiver may have very many.

create index delivery_leased on alerts.delivery (webhook_id, leased_until)
  where settled_at is null and leased_until is not null;
