-- What rules look at and the log has said before: without it, a delay of an old patch would begin on the day of the
-- upgrade, and no simulation could look back. What was taken out of the database stays unknown until it is said again.

create temporary table told on commit drop as
  select distinct on (e.stream_id) convert_from(e.payload, 'UTF8')::jsonb -> 'patch' as patch
    from es.event e
   where e.event_type in ('feeds.PatchPublished', 'feeds.PatchRevised')
   order by e.stream_id, e.version desc;
update approvals.patch p
   set feed_id = (t.patch ->> 'feed_id')::uuid,
       release_date = (t.patch ->> 'release_date')::date
  from told t
 where p.patch_id = (t.patch ->> 'patch_id')::uuid;
insert into approvals.patch_cve (cve, patch_id, partner_id)
select distinct cve, p.patch_id, p.partner_id
  from told t
  join approvals.patch p on p.patch_id = (t.patch ->> 'patch_id')::uuid
 cross join lateral jsonb_array_elements_text(t.patch -> 'cves') as closes (cve);
drop table told;

update approvals.patch p
   set ended_at = e.ended_at
  from (select convert_from(payload, 'UTF8')::jsonb ->> 'patch_id' as patch_id, min(recorded_at) as ended_at
          from es.event
         where event_type in ('feeds.PatchSuperseded', 'feeds.PatchWithdrawn')
         group by 1) e
 where p.patch_id = e.patch_id::uuid;

insert into approvals.kev (cve)
select cve
  from (select distinct on (stream_id) convert_from(payload, 'UTF8')::jsonb ->> 'cve' as cve, event_type
          from es.event
         where event_type in ('feeds.VulnerabilityAddedToKev', 'feeds.VulnerabilityRemovedFromKev')
         order by stream_id, version desc) last
 where event_type = 'feeds.VulnerabilityAddedToKev'
 on conflict do nothing;

insert into approvals.feed (feed_id, partner_id, vendors)
select (fact ->> 'feed_id')::uuid, partner_id,
       array_remove(array[fact ->> 'name', fact -> 'publisher' ->> 'name'], null)
  from (select distinct on (stream_id) convert_from(payload, 'UTF8')::jsonb as fact, partner_id
          from es.event
         where event_type in ('feeds.FeedRegistered', 'feeds.FeedChanged')
         order by stream_id, version desc) last
 on conflict do nothing;

insert into approvals.rating (patch_id, customer_id, partner_id, rating)
select (fact ->> 'patch_id')::uuid, coalesce(customer_id, '00000000-0000-0000-0000-000000000000'), partner_id,
       (fact ->> 'rating')::smallint
  from (select distinct on (stream_id) convert_from(payload, 'UTF8')::jsonb as fact, event_type, customer_id, partner_id
          from es.event
         where event_type in ('feeds.PatchRated', 'feeds.PatchRatingCleared')
         order by stream_id, version desc) last
 where event_type = 'feeds.PatchRated'
 on conflict do nothing;

-- Whatever the reactor has not handled yet is newer.
insert into approvals.missing (device_id, patch_id, customer_id, partner_id, found_at, gone_at, seq)
select device_id, patch_id, customer_id, partner_id, found_at, gone_at, 0
  from (select (convert_from(e.payload, 'UTF8')::jsonb ->> 'device_id')::uuid as device_id,
               (convert_from(e.payload, 'UTF8')::jsonb ->> 'patch_id')::uuid as patch_id,
               e.customer_id,
               e.partner_id,
               min(e.recorded_at) filter (where e.event_type = 'devices.PatchFoundMissing') as found_at,
               case when (array_agg(e.event_type order by e.version desc))[1] <> 'devices.PatchFoundMissing'
                    then max(e.recorded_at) end as gone_at
          from es.event e
         where e.event_type in ('devices.PatchFoundMissing', 'devices.PatchFoundInstalled',
                                'devices.PatchNoLongerApplicable')
           and e.customer_id is not null
         group by 1, 2, 3, 4) seen
 where found_at is not null
 on conflict do nothing;
