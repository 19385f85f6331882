-- Update packages: what they are, their files part by part, and what is installed at customers.
-- A package of the platform (the nil partner) is for everybody, a partner's for its customers; neither before it may be
-- seen: a manufacturer's package is certified first.

create table feeds.package (
  package_id    uuid        primary key,
  partner_id    uuid        not null,
  -- Packages belong to no customer.
  customer_id   uuid        check (customer_id is null),
  package_type  text        not null,
  vendor        text        not null,
  product       text        not null,
  version       text        not null,
  -- The patch that it installs.
  patch_id      uuid,
  facts         jsonb       not null,
  state         text        not null,
  -- Whether customers may see it.
  visible       boolean     not null,
  -- What is in it, once it was read.
  contents      jsonb,
  superseded_at timestamptz,
  -- Since when it is in this state.
  changed_at    timestamptz not null,
  -- Whether the storage holds nothing of it any more.
  bytes_gone    boolean     not null default false
);
-- The same package is not imported twice; what was refused or removed may come again.
create unique index package_identity on feeds.package (partner_id, package_type, lower(vendor), lower(product), version)
  where state not in ('INVALID', 'REFUSED', 'REMOVED');
create index package_at_work on feeds.package (state) where not bytes_gone;
call es.protect('feeds.package');
create policy shared_rows on feeds.package for select to pf_partner, pf_customer
  using (partner_id = '00000000-0000-0000-0000-000000000000' and visible);
create policy partner_packages on feeds.package for select to pf_customer
  using (partner_id = (select nullif(current_setting('app.partner_id', true), '')::uuid) and visible);

-- A file as it is coming, or as it is.
create table feeds.package_file (
  package_id       uuid   not null references feeds.package,
  name             text   not null,
  partner_id       uuid   not null,
  customer_id      uuid   check (customer_id is null),
  -- None where only the download's end will tell.
  size_bytes       bigint,
  announced_sha256 text,
  received         bigint not null default 0,
  -- The state of SHA-256 after `received` bytes, so that an upload can go on in another process.
  hash_state       bytea,
  -- Set when the file is whole.
  sha256           text,
  primary key (package_id, name)
);
call es.protect('feeds.package_file');

-- Where the bytes of a file lie, part after part.
create table feeds.package_part (
  package_id  uuid   not null,
  name        text   not null,
  partner_id  uuid   not null,
  customer_id uuid   check (customer_id is null),
  starts_at   bigint not null,
  bytes       bigint not null,
  object      text   not null,
  primary key (package_id, name, starts_at),
  foreign key (package_id, name) references feeds.package_file on delete cascade
);
call es.protect('feeds.package_part');

-- The systems of each customer.
create table feeds.site (
  customer_id  uuid primary key,
  partner_id   uuid not null,
  connectivity text not null default 'CONNECTED'
);
call es.protect('feeds.site');

-- What became of each package at each customer where somebody wanted it.
create table feeds.package_update (
  package_id  uuid        not null references feeds.package,
  customer_id uuid        not null,
  partner_id  uuid        not null,
  state       text        not null check (state in ('STARTED', 'COMPLETED', 'FAILED')),
  changed_at  timestamptz not null,
  primary key (package_id, customer_id)
);
call es.protect('feeds.package_update');

-- Where the patches that packages install are approved.
create table feeds.package_approval (
  patch_id    uuid not null,
  customer_id uuid not null,
  partner_id  uuid not null,
  primary key (patch_id, customer_id)
);
call es.protect('feeds.package_approval');
