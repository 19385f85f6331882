-- What a list has lost: how many records of its last issue could not be read, and which patches a document described
-- first.

alter table feeds.document
  add column left_out bigint not null default 0;
create index patch_document on feeds.patch (feed_id, document);
