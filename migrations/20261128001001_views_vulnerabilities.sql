-- What all sources together say of vulnerabilities.

create table views.vulnerability (
  cve         text     collate "C" primary key,
  kev         jsonb,
  -- In parts of 100,000.
  epss        bigint,
  percentile  bigint,
  epss_date   date,
  -- By source: a list of scores, inputs of decisions, a reason.
  cvss        jsonb    not null default '{}',
  ssvc        jsonb    not null default '{}',
  rejected_by jsonb    not null default '{}',
  -- The highest of all scores, in tenths.
  max_cvss    smallint,
  seq         bigint   not null
);
create index vulnerability_in_order on views.vulnerability (seq);
call es.share('views.vulnerability', false);

-- When each was listed as known to be exploited: the catalogue is asked for what it was at some time.
create table views.kev_period (
  cve          text        collate "C" not null,
  listed_from  timestamptz not null,
  listed_until timestamptz,
  seq          bigint      not null,
  primary key (cve, seq)
);
call es.share('views.kev_period', false);
