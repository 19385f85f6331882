-- Feeds of many documents, read by a schedule, the platform's or a partner's; patches with all that is said of them;
-- vulnerabilities as all sources together describe them.

alter table feeds.feed
  -- The nil id: the platform's, for everybody.
  add column partner_id    uuid        not null default '00000000-0000-0000-0000-000000000000',
  add column enabled       boolean     not null default true,
  add column every_minutes int,
  -- When it is read next by itself.
  add column next_at       timestamptz,
  add column publisher     jsonb;
create index feed_due on feeds.feed (next_at) where enabled and every_minutes is not null;

alter table feeds.sync
  add column documents       int not null default 0,
  add column withdrawn       int not null default 0,
  add column vulnerabilities int not null default 0;

-- The issue of each document that was taken in last. A document is known by the id that its publisher gives it, or by
-- where it was found.
create table feeds.document (
  feed_id       uuid        not null references feeds.feed,
  name          text        not null,
  sha256        bytea       not null,
  document_date timestamptz,
  records       bigint      not null,
  taken_at      timestamptz not null default clock_timestamp(),
  primary key (feed_id, name)
);

-- Every issue that was ever taken in: one that was replaced does not come back under the same date.
create table feeds.document_issue (
  feed_id uuid  not null references feeds.feed,
  name    text  not null,
  sha256  bytea not null,
  primary key (feed_id, name, sha256)
);

-- What a web address answered last, so that it can be asked for news only.
create table feeds.address (
  feed_id       uuid not null references feeds.feed,
  address       text not null,
  -- The document that was there.
  document      text not null,
  etag          text,
  last_modified text,
  -- What the document that names the address said of it.
  named_sha256  text,
  named_updated timestamptz,
  primary key (feed_id, address)
);

-- A patch belongs to the document that described it first; what another document says of it is only added.
alter table feeds.record
  add column document text not null default '',
  drop constraint record_pkey,
  add primary key (feed_id, document, patch_id);

alter table feeds.patch
  add column document   text   not null default '',
  add column partner_id uuid   not null default '00000000-0000-0000-0000-000000000000',
  -- Of the patch's stream, which nobody else writes.
  add column version    bigint not null default 0;
update feeds.patch p set version = s.version from es.stream s where s.stream_id = p.patch_id;
-- In today's shape, as `contracts` reads events of the first version.
update feeds.patch
   set facts = facts || jsonb_build_object(
         'advisories', case when facts ->> 'platform' = 'WINDOWS' then '[]'::jsonb
                            else jsonb_build_array(facts -> 'vendor_patch_id') end,
         'version', null,
         'size_bytes', null,
         'cadence', case when facts ->> 'platform' = 'WINDOWS' then 'MONTHLY' else 'UNSCHEDULED' end,
         'out_of_band', null,
         'prerequisites', '[]'::jsonb,
         'is_dated', true)
 where not facts ? 'is_dated';

-- Which patch closes which vulnerability.
create table feeds.patch_cve (
  cve      text not null,
  patch_id uuid not null,
  primary key (cve, patch_id)
);
create index patch_cve_patch on feeds.patch_cve (patch_id);
insert into feeds.patch_cve (cve, patch_id)
  select distinct closes.cve, p.patch_id
    from feeds.patch p
   cross join lateral jsonb_array_elements_text(p.facts -> 'cves') as closes (cve);

create table feeds.vulnerability (
  cve     text    primary key,
  -- Of the vulnerability's stream, which nobody else writes.
  version bigint  not null,
  is_kev  boolean not null,
  -- The prediction that was told last, in parts of 100,000.
  epss    int,
  state   jsonb   not null
);
create index vulnerability_kev on feeds.vulnerability (cve) where is_kev;

-- SHA-256 of what each document said last of each vulnerability.
create table feeds.vulnerability_record (
  feed_id      uuid  not null,
  document     text  not null,
  cve          text  not null,
  content_hash bytea not null,
  primary key (feed_id, document, cve)
);

-- Predictions for all vulnerabilities, told only of those that matter here.
create table feeds.epss (
  cve        text primary key,
  score      int  not null,
  percentile int,
  score_date date
);

-- All of it is read and written in the platform's scope only: a partner's feeds and patches stand beside the others.
do $$
declare
  name text;
begin
  foreach name in array array['document', 'document_issue', 'address', 'patch_cve', 'vulnerability', 'vulnerability_record',
                             'epss'] loop
    execute format('grant select, insert, update, delete on feeds.%I to pf_platform', name);
  end loop;
  foreach name in array array['feed', 'sync', 'patch', 'record', 'edge', 'rating'] loop
    execute format('revoke all on feeds.%I from pf_partner, pf_customer', name);
  end loop;
  foreach name in array array['feed', 'patch'] loop
    execute format('alter table feeds.%I enable row level security', name);
    execute format('alter table feeds.%I force row level security', name);
    execute format('create policy platform_rows on feeds.%I to pf_platform using (true)', name);
  end loop;
end
$$;
