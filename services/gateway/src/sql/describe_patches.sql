-- Writes patches as they are described: $1 is a list of them, under the names of their facts.
insert into patch (patch_id, partner_id, feed_id, vendor_patch_id, name, platform, os_versions, vendor_severity, severity,
                   classification, release_date, is_dated, cves, targets, supersedes, prerequisites, advisories, reboot,
                   url, version, size_bytes, cadence, out_of_band, urgency, words, product_words, kbs, state, is_kev, seq)
select d.patch_id, d.partner_id, d.feed_id, d.vendor_patch_id, d.name, d.platform, d.os_versions, d.vendor_severity,
       d.severity, d.classification, d.release_date, d.is_dated, d.cves, d.targets, d.supersedes, d.prerequisites,
       d.advisories, d.reboot, d.url, d.version, d.size_bytes, d.cadence, d.out_of_band, d.urgency, d.words,
       d.product_words, d.kbs, 'PUBLISHED',
       exists (select from vulnerability v where v.cve = any(d.cves) and v.kev is not null),
       d.seq
  from jsonb_to_recordset($1) as d (
         patch_id uuid, partner_id uuid, feed_id uuid, vendor_patch_id text, name text, platform text, os_versions text[],
         vendor_severity text, severity text, classification text, release_date date, is_dated boolean, cves text[],
         targets jsonb, supersedes text[], prerequisites text[], advisories text[], reboot text, url text, version text,
         size_bytes bigint, cadence text, out_of_band text, urgency smallint, words text[], product_words text[],
         kbs text[], seq bigint)
    on conflict (patch_id) do update
   set feed_id = excluded.feed_id,
       vendor_patch_id = excluded.vendor_patch_id,
       name = excluded.name,
       platform = excluded.platform,
       os_versions = excluded.os_versions,
       vendor_severity = excluded.vendor_severity,
       severity = excluded.severity,
       classification = excluded.classification,
       release_date = excluded.release_date,
       is_dated = excluded.is_dated,
       cves = excluded.cves,
       targets = excluded.targets,
       supersedes = excluded.supersedes,
       prerequisites = excluded.prerequisites,
       advisories = excluded.advisories,
       reboot = excluded.reboot,
       url = excluded.url,
       version = excluded.version,
       size_bytes = excluded.size_bytes,
       cadence = excluded.cadence,
       out_of_band = excluded.out_of_band,
       urgency = excluded.urgency,
       words = excluded.words,
       product_words = excluded.product_words,
       kbs = excluded.kbs,
       is_kev = excluded.is_kev
 where patch.partner_id = excluded.partner_id
