//! Facts of other services.

use crate::system::System;
use chrono::NaiveDate;
use contracts::devices::{DeviceEvent, PatchFoundInstalled, PatchFoundMissing};
use contracts::feeds::{
    PatchEvent, PatchFacts, PatchPublished, PatchRevised, PatchSuperseded, PatchWithdrawn,
};
use contracts::{Classification, DevicePlatform, RebootBehaviour, Severity};
use kernel::{DeviceId, PatchId, Tenant};
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
}
