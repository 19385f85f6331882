-- The catalogue that all tenants share: feeds, patches, what replaces what, and what vendors think of vulnerabilities.
-- Only the platform writes it; nothing in it belongs to a tenant.

create schema feeds;
call es.open_schema('feeds');

create table feeds.feed (
  feed_id uuid   primary key,
  name    text   not null,
  kind    text   not null,
  format  text   not null,
  source  text   not null,
  -- Where the feed's last event arrived.
  pos     bigint not null
);
call es.share('feeds.feed', false);

-- What became of each wish to synchronise: the same wish again gets the same answer, and one that broke off goes on
-- counting where it stopped.
create table feeds.sync (
  command_id     uuid        not null,
  feed_id        uuid        not null references feeds.feed,
  begun_at       timestamptz not null default clock_timestamp(),
  published      int         not null default 0,
  revised        int         not null default 0,
  -- Revised because a rating changed, not because the document did.
  rated          int         not null default 0,
  ended_at       timestamptz,
  report         jsonb,
  failure_code   text,
  failure_reason text,
  pos            bigint,
  primary key (command_id, feed_id),
  check ((failure_code is null) = (failure_reason is null)),
  check (ended_at is null or (report is null) <> (failure_code is null))
);
call es.share('feeds.sync', false);

create table feeds.patch (
  patch_id        uuid  primary key,
  -- The feed that published it first.
  feed_id         uuid  not null,
  vendor_patch_id text  not null,
  state           text  not null check (state in ('published', 'superseded', 'withdrawn')),
  superseded_by   uuid,
  facts           jsonb not null,
  platform        text  not null generated always as (facts ->> 'platform') stored
);
create index patch_vendor_id on feeds.patch (vendor_patch_id);
create index patch_platform on feeds.patch (platform, patch_id);
call es.share('feeds.patch', false);

-- SHA-256 of what each feed said last of each patch. What it says again is no news, and costs neither an event nor a
-- look at the patch's stream. Per feed, because two feeds may describe the same patch in different words.
create table feeds.record (
  feed_id      uuid  not null,
  patch_id     uuid  not null,
  content_hash bytea not null,
  primary key (feed_id, patch_id)
);
create index record_patch on feeds.record (patch_id);
call es.share('feeds.record', false);

-- "This patch replaces that one", by the vendor's id: the older one may become known later, or never.
create table feeds.edge (
  patch_id   uuid not null,
  supersedes text not null,
  primary key (patch_id, supersedes)
);
create index edge_supersedes on feeds.edge (supersedes);
call es.share('feeds.edge', false);

-- The order of bytes, so that a page of ratings has the same edges here as in the program that cut it.
create table feeds.rating (
  source          text     collate "C" not null,
  cve             text     collate "C" not null,
  os_version      text     collate "C" not null,
  feed_id         uuid     not null,
  vendor_severity text     not null,
  -- 0 unknown, 1 none, 2 low, 3 medium, 4 high, 5 critical
  rank            smallint not null,
  primary key (source, cve, os_version, feed_id)
);
call es.share('feeds.rating', false);
