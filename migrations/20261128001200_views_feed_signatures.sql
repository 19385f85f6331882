-- Whose signatures count for a feed, and who signed what was taken in.

alter table views.feed
  add column keyring               text,
  -- Null where nothing was read that is signed in a way known here.
  add column signature_verified    boolean,
  add column signature_fingerprint text,
  add column signature_made_at     timestamptz;

alter table views.feed_sync
  add column signature_verified    boolean,
  add column signature_fingerprint text,
  add column signature_made_at     timestamptz;
