-- Feeds of partners, with schedule and publisher, and the history of every feed.

alter table views.feed
  -- The nil id: the platform's, for everybody.
  add column partner_id          uuid    not null default '00000000-0000-0000-0000-000000000000',
  add column every_minutes       bigint,
  add column publisher_name      text,
  add column publisher_contact   text,
  add column enabled             boolean not null default true,
  add column disabled_reason     text,
  add column documents           bigint  not null default 0,
  add column withdrawn           bigint  not null default 0,
  add column vulnerabilities     bigint  not null default 0,
  add column refused             text[]  not null default '{}';
call es.share_by_partner('views.feed');

-- One row for each synchronisation that ended.
create table views.feed_sync (
  seq             bigint      primary key,
  feed_id         uuid        not null,
  partner_id      uuid        not null,
  ended_at        timestamptz not null,
  document_sha256 text,
  document_date   timestamptz,
  documents       bigint      not null default 0,
  published       bigint      not null default 0,
  revised         bigint      not null default 0,
  unchanged       bigint      not null default 0,
  withdrawn       bigint      not null default 0,
  vulnerabilities bigint      not null default 0,
  quarantined     text[]      not null default '{}',
  refused         text[]      not null default '{}',
  failure_code    text,
  failure_reason  text,
  check ((document_sha256 is null) <> (failure_code is null)),
  check ((failure_code is null) = (failure_reason is null))
);
create index feed_sync_of_feed on views.feed_sync (feed_id, seq);
call es.share_by_partner('views.feed_sync');
