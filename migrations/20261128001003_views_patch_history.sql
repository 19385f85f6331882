-- What was known of each patch, and from when to when, by the clock of the log. A row is the patch as it was then.

create table views.patch_version (
  patch_id         uuid        not null,
  known_from       timestamptz not null,
  -- None while it is what is known now.
  known_until      timestamptz,
  partner_id       uuid        not null,
  feed_id          uuid        not null,
  vendor_patch_id  text        not null,
  name             text        not null,
  platform         text        not null,
  os_versions      text[]      not null,
  vendor_severity  text        not null,
  severity         text        not null,
  classification   text        not null,
  release_date     date        not null,
  cves             text[]      not null,
  targets          jsonb       not null,
  supersedes       text[]      not null,
  reboot           text        not null,
  url              text,
  state            text        not null,
  superseded_by    uuid,
  withdrawn_reason text,
  advisories       text[]      not null,
  version          text,
  size_bytes       bigint,
  cadence          text        not null,
  out_of_band      text,
  prerequisites    text[]      not null,
  is_dated         boolean     not null,
  urgency          smallint    not null,
  words            text[]      not null,
  product_words    text[]      not null,
  kbs              text[]      not null,
  -- Of the patch: its place in the catalogue.
  seq              bigint      not null,
  -- Of the event that made the row.
  changed          bigint      not null,
  primary key (patch_id, changed)
);
create index patch_version_by_release on views.patch_version (release_date, seq) include (known_from, known_until);
create index patch_version_by_urgency on views.patch_version (urgency, release_date, seq) include (known_from, known_until);
create index patch_version_in_order on views.patch_version (seq) include (known_from, known_until);
create unique index patch_version_current on views.patch_version (patch_id) where known_until is null;
call es.share_by_partner('views.patch_version');
