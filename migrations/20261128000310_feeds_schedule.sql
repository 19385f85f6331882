-- Readings by schedule: which one is at work, and how long its process is believed to be alive.

alter table feeds.feed
  -- When the reading at work was due; it names the command, so that another process can go on with it.
  add column due_at       timestamptz,
  add column leased_until timestamptz;
