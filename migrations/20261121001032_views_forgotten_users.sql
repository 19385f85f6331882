-- A forgotten person has neither subject nor name.

alter table views.app_user
  alter column subject drop not null,
  alter column display_name drop not null,
  add column forgotten_at timestamptz;
