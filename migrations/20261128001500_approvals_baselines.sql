-- Baselines, where they hold, and how each device stands against them.

create table approvals.baseline (
  baseline_id      uuid    primary key,
  partner_id       uuid    not null,
  customer_id      uuid,
  baseline_version int     not null,
  content          jsonb   not null,
  retired          boolean not null
);
create index baseline_of_partner on approvals.baseline (partner_id);
call es.protect_inherited('approvals.baseline');

-- Where each holds. `target_id` is a partner, customer, group or device; ids are unique among all of them.
create table approvals.baseline_assignment (
  target_id   uuid not null,
  baseline_id uuid not null,
  level       text not null check (level in ('PARTNER', 'CUSTOMER', 'GROUP', 'DEVICE')),
  partner_id  uuid not null,
  customer_id uuid,
  primary key (target_id, baseline_id)
);
create index baseline_assignment_of_baseline on approvals.baseline_assignment (baseline_id);
call es.protect('approvals.baseline_assignment');

-- What compliance is measured with, kept by a consumer of its own, which reads nothing that another one writes.

-- The nil partner's are everybody's, as in the catalogue.
create table approvals.compliance_patch (
  patch_id       uuid    primary key,
  partner_id     uuid    not null,
  name           text    not null,
  os_versions    text[]  not null,
  severity       text    not null,
  classification text    not null,
  release_date   date    not null
);
call es.protect_shared('approvals.compliance_patch');

create table approvals.compliance_patch_cve (
  cve        text collate "C" not null,
  patch_id   uuid not null,
  partner_id uuid not null,
  primary key (cve, patch_id)
);
create index compliance_patch_cve_of_patch on approvals.compliance_patch_cve (patch_id);
call es.protect_shared('approvals.compliance_patch_cve');

-- Vulnerabilities that are known to be exploited.
create table approvals.compliance_kev (
  cve text collate "C" primary key
);
call es.share('approvals.compliance_kev', false);

create table approvals.compliance_device (
  device_id      uuid    primary key,
  partner_id     uuid    not null,
  customer_id    uuid    not null,
  scanned_at     timestamptz,
  pending_reboot boolean not null default false
);
create index compliance_device_of_customer on approvals.compliance_device (customer_id, device_id);
create index compliance_device_of_partner on approvals.compliance_device (partner_id, device_id);
call es.protect('approvals.compliance_device');

create table approvals.compliance_missing (
  device_id   uuid not null,
  patch_id    uuid not null,
  partner_id  uuid not null,
  customer_id uuid not null,
  primary key (device_id, patch_id)
);
create index compliance_missing_of_patch on approvals.compliance_missing (patch_id, partner_id, device_id);
call es.protect('approvals.compliance_missing');

create table approvals.compliance_group (
  group_id    uuid primary key,
  partner_id  uuid not null,
  customer_id uuid not null
);
call es.protect('approvals.compliance_group');

create table approvals.compliance_group_member (
  group_id    uuid not null,
  device_id   uuid not null,
  partner_id  uuid not null,
  customer_id uuid not null,
  primary key (group_id, device_id)
);
create index compliance_group_of_device on approvals.compliance_group_member (device_id);
call es.protect('approvals.compliance_group_member');

-- The last result of each device against each baseline that holds or held for it.
create table approvals.compliance_record (
  device_id     uuid   not null,
  baseline_id   uuid   not null,
  partner_id    uuid   not null,
  customer_id   uuid   not null,
  -- Of its stream.
  version       bigint not null,
  -- As it was last recorded; none where the baseline does not hold any more.
  evaluated     jsonb,
  -- When time alone changes the result.
  look_again_at timestamptz,
  primary key (device_id, baseline_id)
);
create index compliance_record_look_again on approvals.compliance_record (look_again_at) where look_again_at is not null;
create index compliance_record_of_baseline on approvals.compliance_record (baseline_id, device_id);
call es.protect('approvals.compliance_record');

-- Devices that have to be measured anew, as sets: the work goes through each set in the order of devices, a bounded number
-- at a time, and remembers how far it is.
create table approvals.compliance_task (
  kind          text   not null check (kind in ('PARTNER', 'CUSTOMER', 'GROUP', 'DEVICE', 'PATCH', 'BASELINE')),
  target_id     uuid   not null,
  partner_id    uuid   not null,
  customer_id   uuid,
  -- The last device that was measured.
  after_device  uuid   not null default '00000000-0000-0000-0000-000000000000',
  -- Not before: what a scan says comes in several events, and the scan's own end measures the device.
  due_at        timestamptz not null,
  -- The event that it follows from.
  event_id       uuid not null,
  correlation_id uuid not null,
  primary key (kind, target_id, partner_id)
);
create index compliance_task_due on approvals.compliance_task (due_at);
call es.protect('approvals.compliance_task');
