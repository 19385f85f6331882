-- Writes what is said of vulnerabilities: of each $1, whether $2 anything is said of its listing, which $3, how likely it
-- is exploited, $4 to $6, and what sources say, $7 to $9. What is not said stays as it is.
insert into vulnerability (cve, kev, epss, percentile, epss_date, cvss, ssvc, rejected_by, max_cvss, seq)
select s.cve,
       case when s.of_kev then s.kev else k.kev end,
       coalesce(s.epss, k.epss),
       case when s.epss is null then k.percentile else s.percentile end,
       case when s.epss is null then k.epss_date else s.epss_date end,
       scored.cvss,
       coalesce(k.ssvc, '{}') || s.ssvc,
       jsonb_strip_nulls(coalesce(k.rejected_by, '{}') || s.rejected_by),
       (select max((score ->> 'base_score')::smallint)
          from jsonb_each(scored.cvss) as by_source (source, scores), jsonb_array_elements(by_source.scores) as score),
       s.seq
  from unnest($1::text[], $2::boolean[], $3::jsonb[], $4::bigint[], $5::bigint[], $6::date[], $7::jsonb[], $8::jsonb[],
              $9::jsonb[], $10::bigint[])
       as s (cve, of_kev, kev, epss, percentile, epss_date, cvss, ssvc, rejected_by, seq)
  left join vulnerability k on k.cve = s.cve
 cross join lateral (select coalesce(k.cvss, '{}') || s.cvss) as scored (cvss)
    on conflict (cve) do update
   set kev = excluded.kev,
       epss = excluded.epss,
       percentile = excluded.percentile,
       epss_date = excluded.epss_date,
       cvss = excluded.cvss,
       ssvc = excluded.ssvc,
       rejected_by = excluded.rejected_by,
       max_cvss = excluded.max_cvss
