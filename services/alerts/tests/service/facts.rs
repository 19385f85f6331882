//! Facts of other services.

use contracts::approvals::{
    ApprovalEvent, ApprovalMode, ApprovalRevoked, ApprovalScope, BlockEvent, DeferralEnded, PatchApproved,
    PatchBlocked, PatchDeferred, PatchRejected, PatchUnblocked,
};
use contracts::devices::{DeviceEvent, GroupEvent, GroupMembershipChanged, PatchFoundMissing, ScanCompleted};
use contracts::scheduling::{DeviceJobEvent, DeviceJobFailed, RebootRequired, ScanInitiated, ScanJobEvent};
use contracts::tenancy::{CustomerEvent, CustomerRegistered};
use kernel::{DeviceGroupId, DeviceId, PartnerId, PatchId, Tenant};
use testkit::id;

pub(crate) fn failed(device_id: DeviceId) -> DeviceJobEvent {
    DeviceJobFailed {
        job_id: id(),
        run_id: id(),
        device_id,
        class: "install_script".to_owned(),
        reason: "post-installation script returned 1".to_owned(),
        patch_ids: vec![id()],
    }
    .into()
}

pub(crate) fn reboot() -> DeviceJobEvent {
    RebootRequired { job_id: id(), device_id: id() }.into()
}

pub(crate) fn initiated() -> ScanJobEvent {
    ScanInitiated { job_id: id(), device_id: id() }.into()
}

pub(crate) fn missing(device_id: DeviceId, patch_id: PatchId) -> DeviceEvent {
    PatchFoundMissing { device_id, patch_id, packages: vec![] }.into()
}

pub(crate) fn scanned(device_id: DeviceId) -> DeviceEvent {
    ScanCompleted {
        device_id,
        job_id: None,
        inventory_hash: String::new(),
        item_count: 0,
        source: "apt".to_owned(),
        pending_reboot: false,
        catalogue_position: 0,
        missing: 1,
    }
    .into()
}

pub(crate) fn approved(tenant: Tenant, patch_id: PatchId) -> ApprovalEvent {
    approved_in(tenant.customer_id.unwrap().into(), patch_id)
}

pub(crate) fn approved_in(scope: ApprovalScope, patch_id: PatchId) -> ApprovalEvent {
    let by = ApprovalMode::Manual { approved_by: id(), comment: None };
    PatchApproved { patch_id, scope, by }.into()
}

pub(crate) fn rejected_in(scope: ApprovalScope, patch_id: PatchId) -> ApprovalEvent {
    PatchRejected { patch_id, scope, rejected_by: id(), comment: "wait".to_owned() }.into()
}

pub(crate) fn deferred_in(scope: ApprovalScope, patch_id: PatchId) -> [ApprovalEvent; 2] {
    let until = "2026-12-07T06:00:00Z".parse().unwrap();
    let deferred = PatchDeferred { patch_id, scope, until, deferred_by: id(), comment: None };
    [deferred.into(), DeferralEnded { patch_id, scope, until }.into()]
}

pub(crate) fn blocked(partner_id: PartnerId, patch_id: PatchId) -> [BlockEvent; 2] {
    let comment = "breaks printing".to_owned();
    let blocked = PatchBlocked { patch_id, partner_id, blocked_by: id(), comment: comment.clone() };
    [blocked.into(), PatchUnblocked { patch_id, partner_id, unblocked_by: id(), comment }.into()]
}

pub(crate) fn joined(tenant: Tenant, group_id: DeviceGroupId, device_id: DeviceId) -> GroupEvent {
    let customer_id = tenant.customer_id.unwrap();
    GroupMembershipChanged { group_id, customer_id, added: vec![device_id], removed: vec![] }.into()
}

pub(crate) fn revoked(tenant: Tenant, patch_id: PatchId) -> ApprovalEvent {
    let (customer_id, revoked_by) = (tenant.customer_id.unwrap(), id());
    ApprovalRevoked { patch_id, scope: customer_id.into(), revoked_by, comment: "wait".to_owned() }.into()
}

pub(crate) fn registered(tenant: Tenant) -> CustomerEvent {
    CustomerRegistered {
        customer_id: tenant.customer_id.unwrap(),
        partner_id: tenant.partner_id,
        name: "Own".to_owned(),
        time_zone: "UTC".to_owned(),
    }
    .into()
}
