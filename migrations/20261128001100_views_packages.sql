-- Update packages and where they are installed, as GraphQL shows them. An installation that was there before builds the
-- views anew (`patchfleet views rebuild`) only if it has recorded packages already, which none has.

create table views.package (
  package_id         uuid        primary key,
  -- The nil partner: the platform's, for everybody.
  partner_id         uuid        not null,
  customer_id        uuid        check (customer_id is null),
  package_type       text        not null check (package_type in ('SOFTWARE', 'HOTFIX', 'OEM')),
  vendor             text        not null,
  product            text        not null,
  name               text        not null,
  version            text        not null,
  patch_id           uuid,
  kb_id              text,
  downloads          jsonb       not null,
  release_notes_url  text,
  base_version       text,
  prerequisites      jsonb       not null,
  managed_in_band    boolean     not null,
  vendor_contact_url text,
  state              text        not null
                     check (state in ('REGISTERED', 'DOWNLOADING', 'DOWNLOAD_FAILED', 'DOWNLOADED', 'UPLOADING', 'UPLOADED',
                                      'VALIDATING', 'READY', 'INVALID', 'REFUSED', 'REMOVED')),
  certification      text        not null check (certification in ('NOT_NEEDED', 'AWAITING', 'CERTIFIED', 'REFUSED')),
  submitted_by       uuid,
  certified_by       uuid,
  -- Those that are in the storage.
  files              jsonb       not null default '[]',
  -- What was read from them.
  contents           jsonb,
  failure_code       text,
  failure_reason     text,
  superseded_by      uuid,
  removal_reason     text        check (removal_reason in ('BY_HAND', 'SUPERSEDED', 'INSTALLED', 'ABANDONED')),
  ready_at           timestamptz,
  changed_at         timestamptz not null,
  seq                bigint      not null
);
create index package_in_order on views.package (seq);
call es.protect('views.package');
-- A manufacturer's package is nobody's but its owner's before it is certified.
create policy shared_rows on views.package for select to pf_partner, pf_customer
  using (partner_id = '00000000-0000-0000-0000-000000000000' and certification in ('NOT_NEEDED', 'CERTIFIED'));
create policy partner_packages on views.package for select to pf_customer
  using (partner_id = (select nullif(current_setting('app.partner_id', true), '')::uuid)
         and certification in ('NOT_NEEDED', 'CERTIFIED'));

create table views.site (
  customer_id  uuid   primary key,
  partner_id   uuid   not null,
  connectivity text   not null check (connectivity in ('CONNECTED', 'DISCONNECTED', 'WEAK')),
  seq          bigint not null
);
call es.protect('views.site');

create table views.site_version (
  customer_id uuid        not null,
  -- In small letters.
  product_key text        not null,
  partner_id  uuid        not null,
  product     text        not null,
  version     text        not null,
  since       timestamptz not null,
  seq         bigint      not null,
  primary key (customer_id, product_key)
);
call es.protect('views.site_version');

-- One row for each time that a package was to be installed at a customer.
create table views.package_update (
  customer_id  uuid        not null,
  seq          bigint      not null,
  partner_id   uuid        not null,
  package_id   uuid        not null,
  product      text        not null,
  version      text        not null,
  state        text        not null check (state in ('STARTED', 'COMPLETED', 'FAILED')),
  reason       text,
  started_at   timestamptz not null,
  ended_at     timestamptz,
  primary key (customer_id, seq)
);
create index package_update_started on views.package_update (customer_id, package_id) where state = 'STARTED';
call es.protect('views.package_update');
