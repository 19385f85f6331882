-- Devices of each platform by what waits to be installed on them; each is counted once.
select p.platform,
       coalesce(c.devices, 0)::int as devices,
       coalesce(c.installed, 0)::int as installed,
       coalesce(c.pending_installation, 0)::int as pending_installation,
       coalesce(c.no_recent_scan, 0)::int as no_recent_scan
  from (values ('WINDOWS', 1), ('LINUX', 2)) as p (platform, place)
  left join (
       select d.platform,
              count(*) as devices,
              count(*) filter (where d.fresh and not d.waits) as installed,
              count(*) filter (where d.fresh and d.waits) as pending_installation,
              count(*) filter (where not d.fresh) as no_recent_scan
         from (select t.platform,
                      coalesce(t.last_scan_at > $3, false) as fresh,
                      exists (select
                                from views.device_patch m
                                join views.approval a on a.customer_id = m.customer_id and a.patch_id = m.patch_id
                                                     and a.state = 'APPROVED'
                                join views.patch f on f.patch_id = m.patch_id
                               where m.device_id = t.device_id and m.state <> 'INSTALLED'
                                 and (f.classification in ('SECURITY', 'CRITICAL') or f.severity = 'CRITICAL')) as waits
                 from views.device t
                where ($1::uuid[] is null or t.customer_id = any($1))
                  and ($2::uuid is null
                       or exists (select
                                    from views.compliance_group_member g
                                   where g.group_id = $2 and g.device_id = t.device_id and g.left_at is null))) d
        group by d.platform) c on c.platform = p.platform
 order by p.place
