-- Notes in the history what is known of patches from now on: $1 patches, $2 whose they are, $3 since when, $4 by which event.
insert into patch_version (patch_id, known_from, partner_id, feed_id, vendor_patch_id, name, platform, os_versions,
                           vendor_severity, severity, classification, release_date, is_dated, cves, targets, supersedes,
                           prerequisites, advisories, reboot, url, version, size_bytes, cadence, out_of_band, urgency,
                           words, product_words, kbs, state, superseded_by, withdrawn_reason, seq, changed)
select p.patch_id, c.recorded_at, p.partner_id, p.feed_id, p.vendor_patch_id, p.name, p.platform, p.os_versions,
       p.vendor_severity, p.severity, p.classification, p.release_date, p.is_dated, p.cves, p.targets, p.supersedes,
       p.prerequisites, p.advisories, p.reboot, p.url, p.version, p.size_bytes, p.cadence, p.out_of_band, p.urgency,
       p.words, p.product_words, p.kbs, p.state, p.superseded_by, p.withdrawn_reason, p.seq, c.changed
  from patch p
  join unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::bigint[]) as c (patch_id, partner_id, recorded_at, changed)
    on c.patch_id = p.patch_id and c.partner_id = p.partner_id
