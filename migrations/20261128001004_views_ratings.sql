-- The marks that partners and customers put on patches.

create table views.patch_rating (
  patch_id    uuid        not null,
  partner_id  uuid        not null,
  -- None: the partner's own mark.
  customer_id uuid,
  rating      smallint    not null check (rating between 1 and 5),
  comment     text,
  rated_at    timestamptz not null,
  seq         bigint      not null,
  unique nulls not distinct (patch_id, partner_id, customer_id)
);
call es.protect('views.patch_rating');
