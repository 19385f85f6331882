//! Facts of other services.

use contracts::approvals::{ApprovalEvent, ApprovalMode, ApprovalRevoked, PatchApproved};
use contracts::devices::{DeviceEvent, PatchFoundMissing, ScanCompleted};
use contracts::scheduling::{DeviceJobEvent, DeviceJobFailed, RebootRequired, ScanInitiated, ScanJobEvent};
use contracts::tenancy::{CustomerEvent, CustomerRegistered};
use kernel::{DeviceId, PatchId, Tenant};
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
    let by = ApprovalMode::Manual { approved_by: id(), comment: None };
    PatchApproved { patch_id, scope: tenant.customer_id.unwrap().into(), by }.into()
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
