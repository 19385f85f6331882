//! Devices, their patches, updates and scans.

use crate::reading::{Page, Seen};
use crate::schema::connection::{ConnectionOf, page_cost};
use crate::schema::global_id::{Kind, global};
use crate::views::customer::CustomerRow;
use crate::views::device::{AvailableUpdateRow, DeviceRow, UPDATES_OF_DEVICE};
use crate::views::device_group::{DeviceGroupRow, GROUPS_OF_DEVICE};
use crate::views::device_job::DeviceJobRow;
use crate::views::device_patch::{DevicePatchRow, MISSING_OF_DEVICE, PATCHES_OF_DEVICE};
use crate::views::patch::PatchRow;
use crate::views::scan_job::{SCAN_JOBS_OF_DEVICE, ScanJobRow};
use crate::words::{
    AgentMode, DevicePatchState, DevicePlatform, PatchStatus, ScanFreshness, ScanJobState, ScanReason, name,
};
use async_graphql::{ID, Object, Result, SimpleObject};
use chrono::{DateTime, TimeDelta, Utc};

/// A scan older than this says little: vendors publish once a month.
const STALE_AFTER: TimeDelta = TimeDelta::days(30);

/// A machine with one enrolled agent.
#[Object(name = "Device")]
impl Seen<DeviceRow> {
    pub(crate) async fn id(&self) -> ID {
        global(Kind::Device, self.row.device_id)
    }

    async fn customer(&self) -> Result<Seen<CustomerRow>> {
        self.view.existing(self.row.customer_id).await
    }

    async fn name(&self) -> &str {
        &self.row.name
    }

    async fn platform(&self) -> DevicePlatform {
        self.row.platform
    }

    async fn os_name(&self) -> &str {
        &self.row.os_name
    }

    /// `debian:12`
    async fn os_release(&self) -> &str {
        &self.row.os_release
    }

    async fn mode(&self) -> AgentMode {
        self.row.mode
    }

    async fn agent_version(&self) -> &str {
        &self.row.agent_version
    }

    async fn online(&self) -> bool {
        self.row.online
    }

    /// When the agent last told something new; quiet check-ins are not events.
    async fn last_contact_at(&self) -> DateTime<Utc> {
        self.row.last_contact_at
    }

    async fn last_scan_at(&self) -> Option<DateTime<Utc>> {
        self.row.last_scan_at
    }

    /// Which update source the last scan asked.
    async fn scan_source(&self) -> Option<&str> {
        self.row.scan_source.as_deref()
    }

    async fn scan_freshness(&self) -> ScanFreshness {
        freshness(self.row.last_scan_at, self.view.now())
    }

    async fn pending_reboot(&self) -> bool {
        self.row.pending_reboot
    }

    /// Whether it can be reached from the internet; not, unless somebody has said so.
    async fn exposed(&self) -> bool {
        self.row.exposed
    }

    /// Where it stands, as somebody has said.
    async fn region(&self) -> Option<&str> {
        self.row.region.as_deref()
    }

    /// The groups that it belongs to.
    #[graphql(complexity = "page_cost(first, child_complexity)")]
    async fn groups(
        &self,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<ConnectionOf<DeviceGroupRow>> {
        self.view.page(&GROUPS_OF_DEVICE, self.row.device_id, Page::new(first, after)).await
    }

    /// Applicable and not installed, whatever is being done about it.
    #[graphql(complexity = "page_cost(first, child_complexity)")]
    async fn missing_patches(
        &self,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<ConnectionOf<DevicePatchRow>> {
        self.view.page(&MISSING_OF_DEVICE, self.row.device_id, Page::new(first, after)).await
    }

    /// The patches with one of the statuses people see; all of them without one.
    #[graphql(complexity = "page_cost(first, child_complexity)")]
    async fn patches(
        &self,
        status: Option<PatchStatus>,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<ConnectionOf<DevicePatchRow>> {
        let page = Page::new(first, after).only(status.map(states));
        self.view.page(&PATCHES_OF_DEVICE, self.row.device_id, page).await
    }

    /// What the device's own package manager offers.
    #[graphql(complexity = "page_cost(first, child_complexity)")]
    async fn available_updates(
        &self,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<ConnectionOf<AvailableUpdateRow>> {
        self.view.page(&UPDATES_OF_DEVICE, self.row.device_id, Page::new(first, after)).await
    }

    #[graphql(complexity = "page_cost(first, child_complexity)")]
    async fn scan_jobs(&self, first: Option<i32>, after: Option<String>) -> Result<ConnectionOf<ScanJobRow>> {
        self.view.page(&SCAN_JOBS_OF_DEVICE, self.row.device_id, Page::new(first, after)).await
    }
}

fn freshness(last_scan_at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> ScanFreshness {
    match last_scan_at {
        None => ScanFreshness::NeverScanned,
        Some(at) if now - at > STALE_AFTER => ScanFreshness::Stale,
        Some(_) => ScanFreshness::Current,
    }
}

fn status(state: DevicePatchState) -> Option<PatchStatus> {
    use DevicePatchState as State;
    match state {
        State::Missing | State::ApprovedWaiting => None,
        State::Downloading | State::Installing | State::PendingReboot | State::Verifying => {
            Some(PatchStatus::InProgress)
        }
        State::Installed => Some(PatchStatus::Installed),
        State::Failed => Some(PatchStatus::Failed),
    }
}

fn states(wanted: PatchStatus) -> Vec<String> {
    let items = <DevicePatchState as async_graphql::resolver_utils::EnumType>::items();
    let states = items.iter().filter(|item| status(item.value) == Some(wanted));
    states.map(|item| name(item.value).to_owned()).collect()
}

/// What is known of one patch on one device.
#[Object(name = "DevicePatch")]
impl Seen<DevicePatchRow> {
    async fn patch(&self) -> Result<Seen<PatchRow>> {
        self.view.existing(self.row.patch_id).await
    }

    async fn device(&self) -> Result<Seen<DeviceRow>> {
        self.view.existing(self.row.device_id).await
    }

    async fn state(&self) -> DevicePatchState {
        self.row.state
    }

    /// In progress, installed or failed; absent while the patch only is missing.
    async fn status(&self) -> Option<PatchStatus> {
        status(self.row.state)
    }

    /// Why it failed.
    async fn reason(&self) -> Option<&str> {
        self.row.reason.as_deref()
    }

    /// What kept it missing when a scan last looked.
    async fn packages(&self) -> Vec<MissingPackage> {
        self.row.packages.iter().cloned().map(MissingPackage::from).collect()
    }

    /// Since when it is in this state.
    async fn since(&self) -> DateTime<Utc> {
        self.row.since
    }

    /// Since when it is missing there, whatever was tried.
    async fn missing_since(&self) -> Option<DateTime<Utc>> {
        self.row.missing_since
    }

    /// The last job that was to install it.
    async fn job(&self) -> Result<Option<Seen<DeviceJobRow>>> {
        self.view.find_some(self.row.job_id).await
    }
}

/// A binary package that keeps a patch missing.
#[derive(SimpleObject)]
pub(crate) struct MissingPackage {
    /// Binary package name, or KB number.
    name: String,
    /// Installed version; empty for a KB.
    installed_version: String,
    /// First good version; empty for a KB.
    fixed_version: String,
}

impl From<contracts::devices::MissingPackage> for MissingPackage {
    fn from(package: contracts::devices::MissingPackage) -> Self {
        let contracts::devices::MissingPackage { name, installed_version, fixed_version } = package;
        Self { name, installed_version, fixed_version }
    }
}

/// An update that the device's own package manager offers, whether or not an advisory names it.
#[Object(name = "AvailableUpdate")]
impl Seen<AvailableUpdateRow> {
    async fn name(&self) -> &str {
        &self.row.name
    }

    async fn installed_version(&self) -> &str {
        &self.row.installed_version
    }

    async fn candidate_version(&self) -> &str {
        &self.row.candidate_version
    }

    /// Where it would come from.
    async fn origin(&self) -> &str {
        &self.row.origin
    }

    /// Whether that is a security source.
    async fn security(&self) -> bool {
        self.row.security
    }
}

/// A scan that was asked for.
#[Object(name = "ScanJob")]
impl Seen<ScanJobRow> {
    pub(crate) async fn id(&self) -> ID {
        global(Kind::ScanJob, self.row.job_id)
    }

    async fn device(&self) -> Result<Seen<DeviceRow>> {
        self.view.existing(self.row.device_id).await
    }

    async fn state(&self) -> ScanJobState {
        self.row.state
    }

    async fn requested_because(&self) -> ScanReason {
        self.row.because
    }

    /// Why it failed.
    async fn reason(&self) -> Option<&str> {
        self.row.reason.as_deref()
    }

    async fn requested_at(&self) -> DateTime<Utc> {
        self.row.requested_at
    }

    async fn finished_at(&self) -> Option<DateTime<Utc>> {
        self.row.finished_at
    }
}

#[cfg(test)]
mod tests {
    use super::{freshness, states};
    use crate::words::{PatchStatus, ScanFreshness};
    use chrono::{DateTime, TimeDelta};

    #[test]
    fn a_scan_is_stale_after_thirty_days() {
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(100);
        assert_eq!(freshness(None, now), ScanFreshness::NeverScanned);
        assert_eq!(freshness(Some(now - TimeDelta::days(30)), now), ScanFreshness::Current);
        assert_eq!(freshness(Some(now - TimeDelta::days(31)), now), ScanFreshness::Stale);
    }

    #[test]
    fn the_statuses_people_see_cover_every_state_in_which_something_was_done() {
        assert_eq!(
            states(PatchStatus::InProgress),
            ["DOWNLOADING", "INSTALLING", "PENDING_REBOOT", "VERIFYING"]
        );
        assert_eq!(states(PatchStatus::Installed), ["INSTALLED"]);
        assert_eq!(states(PatchStatus::Failed), ["FAILED"]);
    }
}
