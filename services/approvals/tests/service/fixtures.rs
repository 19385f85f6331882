//! Facts of other services.

use crate::system::System;
use chrono::NaiveDate;
use contracts::approvals::ApprovalScope;
use contracts::devices::{
    AgentEnrolled, AgentMode, DeviceEvent, GroupDefined, GroupEvent, GroupMembers, GroupRemoved,
    PatchFoundInstalled, PatchFoundMissing,
};
use contracts::feeds::{
    PatchEvent, PatchFacts, PatchPublished, PatchRevised, PatchSuperseded, PatchWithdrawn,
};
use contracts::{Classification, DevicePlatform, OsRelease, RebootBehaviour, Severity};
use kernel::{DeviceGroupId, DeviceId, PatchId, Tenant};
use testkit::id;

/// A critical cumulative update for Windows 11.
pub(crate) fn windows() -> PatchFacts {
    PatchFacts {
        patch_id: id(),
        feed_id: id(),
        vendor_patch_id: "KB5034123".to_owned(),
        name: "2024-01 Cumulative Update".to_owned(),
        platform: DevicePlatform::Windows,
        os_versions: vec!["Windows 11 Version 23H2 for x64-based Systems".to_owned()],
        vendor_severity: "Critical".to_owned(),
        severity: Severity::Critical,
        classification: Classification::Security,
        release_date: NaiveDate::from_ymd_opt(2024, 1, 9).unwrap(),
        cves: vec!["CVE-2024-20674".to_owned()],
        targets: vec![],
        supersedes: vec![],
        reboot: RebootBehaviour::Maybe,
        url: None,
        advisories: Vec::new(),
        version: None,
        size_bytes: None,
        cadence: contracts::Cadence::Monthly,
        out_of_band: None,
        prerequisites: Vec::new(),
        is_dated: true,
    }
}

/// A critical Debian advisory.
pub(crate) fn linux() -> PatchFacts {
    PatchFacts {
        vendor_patch_id: "DSA-5380-1".to_owned(),
        name: "openssl".to_owned(),
        platform: DevicePlatform::Linux,
        os_versions: vec!["Debian 12".to_owned()],
        ..windows()
    }
}

impl System {
    pub(crate) async fn published(&self, patch: &PatchFacts) -> PatchId {
        self.happens::<PatchEvent>(Tenant::PLATFORM, PatchPublished { patch: patch.clone() }).await;
        patch.patch_id
    }

    pub(crate) async fn revised(&self, patch: &PatchFacts, changed: &str) {
        let changed = vec![changed.to_owned()];
        let revised = PatchRevised { patch: patch.clone(), changed };
        self.happens::<PatchEvent>(Tenant::PLATFORM, revised).await;
    }

    pub(crate) async fn superseded(&self, patch_id: PatchId, newer: &PatchFacts) {
        let superseded = PatchSuperseded {
            patch_id,
            superseded_by: newer.patch_id,
            superseded_by_vendor_id: newer.vendor_patch_id.clone(),
        };
        self.happens::<PatchEvent>(Tenant::PLATFORM, superseded).await;
    }

    pub(crate) async fn withdrawn(&self, patch_id: PatchId) {
        let reason = "breaks printing".to_owned();
        self.happens::<PatchEvent>(Tenant::PLATFORM, PatchWithdrawn { patch_id, reason }).await;
    }

    /// A scan of one of the tenant's devices finds the patch missing.
    pub(crate) async fn missing(&self, tenant: Tenant, patch_id: PatchId) {
        self.missing_on(tenant, id(), patch_id).await;
    }

    /// A scan of this device finds the patch missing.
    pub(crate) async fn missing_on(&self, tenant: Tenant, device_id: DeviceId, patch_id: PatchId) {
        let found = PatchFoundMissing { device_id, patch_id, packages: vec![] };
        self.happens::<DeviceEvent>(tenant, found).await;
    }

    /// A scan of this device finds the patch installed.
    pub(crate) async fn installed_on(&self, tenant: Tenant, device_id: DeviceId, patch_id: PatchId) {
        let found = PatchFoundInstalled { device_id, patch_id, job_id: None };
        self.happens::<DeviceEvent>(tenant, found).await;
    }

    /// A device of the customer; answers with the scope of what is decided for it alone.
    pub(crate) async fn device(&self, tenant: Tenant, platform: DevicePlatform) -> ApprovalScope {
        let (device_id, customer_id) = (id(), tenant.customer_id.unwrap());
        let enrolled = AgentEnrolled {
            device_id,
            customer_id,
            name: "web-01".to_owned(),
            platform,
            os: OsRelease { id: "debian".to_owned(), version: "12".to_owned() },
            os_name: "Debian GNU/Linux 12 (bookworm)".to_owned(),
            public_key: "k".to_owned(),
            mode: AgentMode::Full,
            agent_version: "1.0.0".to_owned(),
        };
        self.happens::<DeviceEvent>(tenant, enrolled).await;
        self.has_read_all().await;
        ApprovalScope::Device { customer_id, device_id }
    }

    /// A group of the customer's devices; answers with the scope of what is decided for it.
    pub(crate) async fn group(&self, tenant: Tenant) -> ApprovalScope {
        let (group_id, customer_id): (DeviceGroupId, _) = (id(), tenant.customer_id.unwrap());
        let members = GroupMembers::Listed { device_ids: vec![] };
        let defined = GroupDefined { group_id, customer_id, name: "tills".to_owned(), members };
        self.happens::<GroupEvent>(tenant, defined).await;
        self.has_read_all().await;
        ApprovalScope::Group { customer_id, group_id }
    }

    pub(crate) async fn group_is_removed(&self, tenant: Tenant, group_id: DeviceGroupId) {
        let removed = GroupRemoved { group_id, customer_id: tenant.customer_id.unwrap() };
        self.happens::<GroupEvent>(tenant, removed).await;
        self.has_read_all().await;
    }
}
