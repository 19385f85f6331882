-- The catalogue can be searched, and holds patches of partners beside those of the platform. Rows that were made before
-- lack what is new: `patchfleet views rebuild views` makes all of them anew from the log.

-- Gives the scope roles a table whose rows are the platform's (nil), for everybody, or a partner's, for the partner and
-- its customers. One comparison with two values, which is no slower than one with one: nearly all rows are the
-- platform's, so no index on `partner_id` could serve it, and it stands as a filter behind any other one.
create procedure es.share_by_partner(name regclass) language plpgsql as $$
begin
  execute format('alter table %s enable row level security', name);
  execute format('alter table %s force row level security', name);
  execute format('create policy offered_rows on %s for select to pf_partner, pf_customer using (partner_id = any (array[''00000000-0000-0000-0000-000000000000''::uuid, (select nullif(current_setting(''app.partner_id'', true), '''')::uuid)]))', name);
  execute format('create policy platform_rows on %s to pf_platform using (true)', name);
  execute format('grant select on %s to pf_partner, pf_customer', name);
  execute format('grant select, insert, update, delete on %s to pf_platform', name);
end
$$;
revoke execute on procedure es.share_by_partner from public;

alter table views.patch
  -- The nil id: the platform's, for everybody.
  add column partner_id    uuid     not null default '00000000-0000-0000-0000-000000000000',
  add column advisories    text[]   not null default '{}',
  add column version       text,
  add column size_bytes    bigint,
  add column cadence       text     not null default 'UNSCHEDULED',
  add column out_of_band   text,
  add column prerequisites text[]   not null default '{}',
  add column is_dated      boolean  not null default true,
  -- Whether one of its vulnerabilities is known to be exploited.
  add column is_kev        boolean  not null default false,
  -- The severity as a number, for sorting: 0 unknown to 5 critical.
  add column urgency       smallint not null default 0,
  -- What it is found by; the history keeps them too, where no index is.
  add column words         text[]   not null default '{}',
  add column product_words text[]   not null default '{}',
  add column kbs           text[]   not null default '{}';
call es.share_by_partner('views.patch');

-- Every list of patches is a walk along one of these, or starts from ids. What filters look at is in the index, so that a
-- search that finds little does not read the rows it passes.
create index patch_by_release on views.patch (release_date, seq)
  include (patch_id, partner_id, platform, severity, classification, state, is_kev, out_of_band, feed_id);
create index patch_by_urgency on views.patch (urgency, release_date, seq)
  include (patch_id, partner_id, platform, severity, classification, state, is_kev, out_of_band, feed_id);
drop index views.patch_in_order;
create unique index patch_in_order on views.patch (seq)
  include (patch_id, partner_id, platform, severity, classification, state, is_kev, out_of_band, feed_id);
create unique index patch_by_id on views.patch (patch_id)
  include (partner_id, platform, severity, classification, state, is_kev, out_of_band, feed_id, urgency, release_date, seq);
create index patch_kev on views.patch (release_date, seq) where is_kev;
create index patch_out_of_band on views.patch (release_date, seq) where out_of_band is not null;
create index patch_of_feed on views.patch (feed_id, release_date, seq);
create index patch_superseded_by on views.patch (superseded_by) where superseded_by is not null;
-- Operators on arrays are not leakproof: behind row-level security no index serves them.
drop index views.patch_by_cve;

-- Which patch closes which vulnerability; `place` is its place in the patch's own list.
create table views.patch_cve (
  cve        text   collate "C" not null,
  patch_id   uuid   not null,
  partner_id uuid   not null,
  place      bigint not null,
  -- Lists below a parent know their parent by an id of this type.
  cve_id     uuid   not null generated always as (md5(cve)::uuid) stored,
  primary key (cve, patch_id) include (partner_id)
);
create index patch_cve_of_vulnerability on views.patch_cve (cve_id);
create index patch_cve_of_patch on views.patch_cve (patch_id, place) include (cve, partner_id);
call es.share_by_partner('views.patch_cve');

create table views.patch_kb (
  kb         text collate "C" not null,
  patch_id   uuid not null,
  partner_id uuid not null,
  primary key (kb, patch_id) include (partner_id)
);
create index patch_kb_of_patch on views.patch_kb (patch_id, kb) include (partner_id);
call es.share_by_partner('views.patch_kb');

-- The words that a patch is found by, in lower case and the order of bytes: a search is a range of one index. `ilike` with
-- a trigram index would be neither leakproof nor, therefore, served by the index behind row-level security. Whose a row is
-- stands in every index, so that looking for words reads no rows at all.
create table views.patch_word (
  word       text collate "C" not null,
  patch_id   uuid not null,
  partner_id uuid not null,
  primary key (word, patch_id) include (partner_id)
);
create index patch_word_of_patch on views.patch_word (patch_id, word) include (partner_id);
call es.share_by_partner('views.patch_word');

-- The same for the products that it is for: operating systems, packages, components.
create table views.patch_product_word (
  word       text collate "C" not null,
  patch_id   uuid not null,
  partner_id uuid not null,
  primary key (word, patch_id) include (partner_id)
);
create index patch_product_word_of_patch on views.patch_product_word (patch_id, word) include (partner_id);
call es.share_by_partner('views.patch_product_word');

-- "This patch replaces that one", by the vendor's id: the older one may become known later, or never.
create table views.patch_supersedes (
  patch_id   uuid not null,
  supersedes text not null,
  partner_id uuid not null,
  primary key (patch_id, supersedes)
);
create index patch_supersedes_by_vendor_id on views.patch_supersedes (supersedes, patch_id);
call es.share_by_partner('views.patch_supersedes');
