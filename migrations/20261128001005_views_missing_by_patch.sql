-- Where a patch is missing, one partner at a time.

create index device_patch_missing on views.device_patch (partner_id, patch_id, seq) where state <> 'INSTALLED';
