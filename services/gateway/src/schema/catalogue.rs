//! Patches: what all tenants share, and what a partner has published for itself.

pub(crate) mod feed;
pub(crate) mod history;
pub(crate) mod search;
pub(crate) mod vulnerability;

use crate::asking::{reachable, reaches};
use crate::reading::{Page, Seen};
use crate::schema::connection::{ConnectionOf, page_cost};
use crate::schema::global_id::{GlobalId, Kind, global};
use crate::views::device_patch::{DevicePatchRow, MISSING_OF_PATCH};
use crate::views::feed::FeedRow;
use crate::views::patch::{PatchRow, REPLACED_BY_PATCH, REPLACING_PATCH};
use crate::views::rating::{OF_PARTNER, PatchRatingRow, RATINGS_OF_PATCH};
use crate::views::vulnerability::{MaxCvssRow, VULNERABILITIES_OF_PATCH, VulnerabilityRow};
use crate::words::{
    Cadence, Classification, DevicePlatform, OutOfBandReason, PatchState, RebootBehaviour, Severity,
};
use access::{Caller, Reach};
use async_graphql::{Context, ID, Object, Result, SimpleObject};
use chrono::{DateTime, NaiveDate, Utc};
use contracts::FixTarget;
use contracts::permissions::Permission;
use kernel::{CustomerId, PartnerId, Tenant};
use uuid::Uuid;

/// One installable correction of software.
#[Object(name = "Patch")]
impl Seen<PatchRow> {
    pub(crate) async fn id(&self) -> ID {
        global(Kind::Patch, self.row.patch_id)
    }

    #[graphql(flatten)]
    #[expect(clippy::unused_async, reason = "the schema asks for its fields so")]
    async fn described(&self, _ctx: &Context<'_>) -> Described<'_> {
        Described(&self.row)
    }

    async fn feed(&self) -> Result<Option<Seen<FeedRow>>> {
        self.view.find(self.row.feed_id).await
    }

    /// The vulnerabilities that it closes, with all that is known of them.
    #[graphql(complexity = "page_cost(first, child_complexity)")]
    async fn vulnerabilities(
        &self,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<ConnectionOf<VulnerabilityRow>> {
        self.view.page(&VULNERABILITIES_OF_PATCH, self.row.patch_id, Page::new(first, after)).await
    }

    /// The highest CVSS base score that anybody gives one of its vulnerabilities, 0 to 10.
    async fn max_cvss(&self) -> Result<Option<f64>> {
        let scored: Option<MaxCvssRow> = self.view.row(self.row.patch_id).await?;
        Ok(scored.and_then(|scored| scored.max_cvss).map(vulnerability::base_score))
    }

    /// The patch that has taken its place.
    async fn superseded_by(&self) -> Result<Option<Seen<PatchRow>>> {
        self.view.find_some(self.row.superseded_by).await
    }

    /// The patches that it replaces, as far as they are known here; newest first.
    #[graphql(complexity = "page_cost(first, child_complexity)")]
    async fn supersedes_patches(
        &self,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<ConnectionOf<PatchRow>> {
        self.view.page(&REPLACED_BY_PATCH, self.row.patch_id, Page::new(first, after)).await
    }

    /// The patches that say they replace it, on whichever systems; newest first. `supersededBy` is the one that counts.
    #[graphql(complexity = "page_cost(first, child_complexity)")]
    async fn superseding_patches(
        &self,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<ConnectionOf<PatchRow>> {
        self.view.page(&REPLACING_PATCH, self.row.patch_id, Page::new(first, after)).await
    }

    /// Where it is missing now, whatever is being done about it.
    #[graphql(complexity = "page_cost(first, child_complexity)")]
    async fn missing_on(
        &self,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<ConnectionOf<DevicePatchRow>> {
        let only = reachable(self.view.caller(), Permission::ReadFleet);
        self.view.page(&MISSING_OF_PATCH, self.row.patch_id, Page::new(first, after).only(only)).await
    }

    /// On how many devices it is missing now.
    async fn missing_count(&self) -> Result<i32> {
        let only = reachable(self.view.caller(), Permission::ReadFleet);
        self.view.count(MISSING_OF_PATCH.count, self.row.patch_id, only).await
    }

    /// The own mark on it: that of the customer, for people of one customer or where one is named; else the partner's.
    async fn rating(&self, customer_id: Option<ID>) -> Result<Option<PatchRating>> {
        let Some(whose) = marking(self.view.caller(), customer_id) else { return Ok(None) };
        let rows = self.view.rows(&RATINGS_OF_PATCH, self.row.patch_id, Some(vec![whose]), None, 1).await?;
        Ok(rows.into_iter().next().map(|(_, row)| row.into()))
    }
}

/// Whose mark is asked for, if the caller may see it.
fn marking(caller: &Caller, customer_id: Option<ID>) -> Option<String> {
    if let Some(id) = customer_id {
        let GlobalId { kind: Kind::Customer, id } = GlobalId::read(&id)? else { return None };
        let partner_id = caller.scope.partner_id().unwrap_or(PartnerId(Uuid::nil()));
        let customer_id = CustomerId(id);
        return reaches(caller, Tenant::customer(partner_id, customer_id)).then(|| customer_id.to_string());
    }
    match caller.reach(Permission::ReadFleet) {
        Reach::Everywhere => Some(OF_PARTNER.to_owned()),
        Reach::Customers(ids) => {
            let mut ids = ids.iter();
            // Somebody with roles at several customers has to say at which.
            ids.next().filter(|_| ids.next().is_none()).map(ToString::to_string)
        }
    }
}

/// A tenant's own mark on a patch.
#[derive(SimpleObject)]
pub(crate) struct PatchRating {
    /// How much it matters: 1 (least) to 5 (most).
    rating: i32,
    /// Why.
    comment: Option<String>,
    rated_at: DateTime<Utc>,
}

impl From<PatchRatingRow> for PatchRating {
    fn from(row: PatchRatingRow) -> Self {
        let PatchRatingRow { rating, comment, rated_at } = row;
        Self { rating: rating.into(), comment, rated_at }
    }
}

/// What is said of a patch, today or at some time.
pub(crate) struct Described<'a>(&'a PatchRow);

#[Object]
impl Described<'_> {
    /// The vendor's own id: `KB5034123`, `DSA-5380-1`.
    async fn vendor_patch_id(&self) -> &str {
        &self.0.vendor_patch_id
    }

    async fn name(&self) -> &str {
        &self.0.name
    }

    async fn platform(&self) -> DevicePlatform {
        self.0.platform
    }

    async fn os_versions(&self) -> &[String] {
        &self.0.os_versions
    }

    /// On one scale for all vendors.
    async fn severity(&self) -> Severity {
        self.0.severity
    }

    /// The vendor's own word, empty if there is none.
    async fn vendor_severity(&self) -> &str {
        &self.0.vendor_severity
    }

    async fn classification(&self) -> Classification {
        self.0.classification
    }

    async fn release_date(&self) -> NaiveDate {
        self.0.release_date
    }

    /// Whether the publisher gives the day of publication; otherwise `releaseDate` is the day on which it was first seen.
    async fn is_dated(&self) -> bool {
        self.0.is_dated
    }

    async fn cves(&self) -> &[String] {
        &self.0.cves
    }

    /// Whether one of its vulnerabilities is known to be exploited (listed by CISA).
    async fn is_kev(&self) -> bool {
        self.0.is_kev
    }

    /// Vendor ids of the patches that this one replaces.
    async fn supersedes(&self) -> &[String] {
        &self.0.supersedes
    }

    /// Vendor ids of patches that must be there first.
    async fn prerequisites(&self) -> &[String] {
        &self.0.prerequisites
    }

    /// The publisher's notices that describe it: `DSA-5380-1`, `RHSA-2024:4420`.
    async fn advisories(&self) -> &[String] {
        &self.0.advisories
    }

    /// First good version of each source package, for Linux.
    async fn fixed_packages(&self) -> Vec<FixedPackage> {
        self.0.targets.iter().filter_map(FixedPackage::of).collect()
    }

    /// What a manufacturer's update of hardware brings to which version.
    async fn oem_components(&self) -> Vec<OemComponent> {
        self.0.targets.iter().filter_map(OemComponent::of).collect()
    }

    /// The KB number, for Windows.
    async fn kb(&self) -> Option<&str> {
        self.0.targets.iter().find_map(|target| match target {
            FixTarget::Kb { kb, .. } => Some(kb.as_str()),
            FixTarget::SourcePackage { .. }
            | FixTarget::BinaryPackage { .. }
            | FixTarget::OemComponent { .. } => None,
        })
    }

    async fn reboot(&self) -> RebootBehaviour {
        self.0.reboot
    }

    /// Where a person reads more.
    async fn url(&self) -> Option<&str> {
        self.0.url.as_deref()
    }

    async fn state(&self) -> PatchState {
        self.0.state
    }

    /// Why its publisher took it back.
    async fn withdrawn_reason(&self) -> Option<&str> {
        self.0.withdrawn_reason.as_deref()
    }

    /// The version after it, where the publisher gives one.
    async fn version(&self) -> Option<&str> {
        self.0.version.as_deref()
    }

    /// What has to be downloaded, where the publisher says so: a whole number that may be beyond 32 bits.
    async fn size_bytes(&self) -> Option<f64> {
        self.0.size_bytes.map(bytes)
    }

    /// How regularly its kind is published.
    async fn cadence(&self) -> Cadence {
        self.0.cadence
    }

    /// Why it came outside of the regular cycle, if it did.
    async fn out_of_band(&self) -> Option<OutOfBandReason> {
        self.0.out_of_band
    }
}

#[expect(clippy::cast_precision_loss, reason = "no download has 2^53 bytes")]
fn bytes(number: i64) -> f64 {
    number as f64
}

/// A component of a manufacturer's hardware that is good from a version on.
#[derive(SimpleObject)]
pub(crate) struct OemComponent {
    /// The system that the update is for: `windows:11`.
    os: String,
    /// Manufacturer.
    vendor: String,
    /// Model or machine type and component, as the manufacturer names them.
    component: String,
    /// Version after the update.
    fixed_version: String,
}

impl OemComponent {
    fn of(target: &FixTarget) -> Option<Self> {
        match target {
            FixTarget::OemComponent { os, vendor, component, fixed_version } => Some(Self {
                os: os.key(),
                vendor: vendor.clone(),
                component: component.clone(),
                fixed_version: fixed_version.clone(),
            }),
            FixTarget::SourcePackage { .. } | FixTarget::BinaryPackage { .. } | FixTarget::Kb { .. } => None,
        }
    }
}

/// A source package that is good from a version on.
#[derive(SimpleObject)]
pub(crate) struct FixedPackage {
    /// `debian:12`
    os: String,
    source: String,
    fixed_version: String,
}

impl FixedPackage {
    fn of(target: &FixTarget) -> Option<Self> {
        match target {
            FixTarget::SourcePackage { os, source, fixed_version } => {
                Some(Self { os: os.key(), source: source.clone(), fixed_version: fixed_version.clone() })
            }
            FixTarget::BinaryPackage { os, package, fixed_version, .. } => {
                Some(Self { os: os.key(), source: package.clone(), fixed_version: fixed_version.clone() })
            }
            FixTarget::Kb { .. } | FixTarget::OemComponent { .. } => None,
        }
    }
}
