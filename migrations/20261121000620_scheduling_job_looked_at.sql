-- When the watchdog last tried to give a job up, so that those it cannot give up come after the others.

alter table scheduling.job add column looked_at timestamptz;
