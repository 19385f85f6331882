//! Update packages, and what is installed of them at customers.

use crate::asking::Asking;
use crate::reading::{Page, Seen, View};
use crate::schema::connection::{ConnectionOf, page_cost};
use crate::schema::device_group::at_region;
use crate::schema::explanation::ApprovalQueries;
use crate::schema::global_id::{GlobalId, Kind, global};
use crate::schema::position::Position;
use crate::schema::query::Query;
use crate::views::package::{AVAILABLE_UPDATES, PACKAGES, PackageRow};
use crate::views::patch::PatchRow;
use crate::views::site::{PackageUpdateRow, SiteRow, SiteVersionRow, VERSIONS_OF_CUSTOMER};
use crate::words::{
    Connectivity, PackageCertification, PackageRemovalReason, PackageState, PackageType, PackageUpdateState,
    name,
};
use async_graphql::{Context, ID, MergedObject, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use contracts::packages;
use uuid::Uuid;

/// The root of queries.
#[derive(MergedObject)]
#[graphql(name = "Query")]
pub(crate) struct Queries(pub(crate) Query, pub(crate) PackageQueries, pub(crate) ApprovalQueries);

/// What can be asked about packages.
pub(crate) struct PackageQueries;

#[Object]
impl PackageQueries {
    /// Update packages, the newest first: the platform's, and the own partner's.
    #[graphql(complexity = "page_cost(first, child_complexity)")]
    async fn packages(
        &self,
        ctx: &Context<'_>,
        states: Option<Vec<PackageState>>,
        first: Option<i32>,
        after: Option<String>,
        wait_for: Option<Position>,
    ) -> Result<ConnectionOf<PackageRow>> {
        let only = states.map(|states| states.into_iter().map(|state| name(state).to_owned()).collect());
        let page = Page::new(first, after).only(only);
        opened(ctx, wait_for).await?.page(&PACKAGES, Uuid::nil(), page).await
    }

    /// A package by its id; absent if there is none for this person.
    async fn package(
        &self,
        ctx: &Context<'_>,
        id: ID,
        wait_for: Option<Position>,
    ) -> Result<Option<Seen<PackageRow>>> {
        let view = opened(ctx, wait_for).await?;
        let Some(GlobalId { kind: Kind::Package, id }) = GlobalId::read(&id) else { return Ok(None) };
        view.find(id).await
    }

    /// Packages that are ready to be installed and not replaced by newer ones; with a region, those of products that
    /// customers with devices there have in another version.
    #[graphql(complexity = "page_cost(first, child_complexity)")]
    async fn available_updates(
        &self,
        ctx: &Context<'_>,
        region: Option<String>,
        first: Option<i32>,
        after: Option<String>,
        wait_for: Option<Position>,
    ) -> Result<ConnectionOf<PackageRow>> {
        let view = opened(ctx, wait_for).await?;
        let only = region.map(|region| at_region(view.caller(), Some(region))).transpose()?;
        view.page(&AVAILABLE_UPDATES, Uuid::nil(), Page::new(first, after).only(only)).await
    }
}

async fn opened(ctx: &Context<'_>, _wait_for: Option<Position>) -> Result<View> {
    Asking::of(ctx).view().await
}

/// An update that is brought as files and installed as a whole.
#[Object(name = "Package")]
impl Seen<PackageRow> {
    pub(crate) async fn id(&self) -> ID {
        global(Kind::Package, self.row.package_id)
    }

    #[graphql(name = "type")]
    async fn package_type(&self) -> PackageType {
        self.row.package_type
    }

    /// The one vendor whose package it is.
    async fn vendor(&self) -> &str {
        &self.row.vendor
    }

    /// What it updates.
    async fn product(&self) -> &str {
        &self.row.product
    }

    async fn name(&self) -> &str {
        &self.row.name
    }

    /// The product's version after it.
    async fn version(&self) -> &str {
        &self.row.version
    }

    async fn state(&self) -> PackageState {
        self.row.state
    }

    /// The state in words for people.
    async fn status_text(&self) -> &'static str {
        status_text(&self.row)
    }

    /// Whether customers may see it.
    async fn certification(&self) -> PackageCertification {
        self.row.certification
    }

    /// Bytes of its files; absent before they are there.
    async fn package_size(&self) -> Option<i64> {
        let sizes = self.row.files.iter().map(|file| file.size_bytes);
        (!self.row.files.is_empty()).then(|| i64::try_from(sizes.sum::<u64>()).unwrap_or(i64::MAX))
    }

    /// The patch of the catalogue that it installs.
    async fn patch(&self) -> Result<Option<Seen<PatchRow>>> {
        self.view.find_some(self.row.patch_id).await
    }

    /// The vendor's article about it.
    async fn kb(&self) -> Option<&str> {
        self.row.kb_id.as_deref()
    }

    async fn downloads(&self) -> Vec<PackageDownload> {
        let told = |download: &packages::PackageDownload| PackageDownload {
            name: download.name.clone(),
            url: download.url.clone(),
            sha256: download.sha256.clone(),
        };
        self.row.downloads.iter().map(told).collect()
    }

    /// The notes of the version, which name its hotfixes.
    async fn release_notes_url(&self) -> Option<&str> {
        self.row.release_notes_url.as_deref()
    }

    /// The version that a hotfix is for.
    async fn base_version(&self) -> Option<&str> {
        self.row.base_version.as_deref()
    }

    /// What must be installed first: as it was announced, and as its own metadata says.
    async fn prerequisites(&self) -> Vec<PackagePrerequisite> {
        let of_metadata = self.row.contents.iter().flat_map(|contents| &contents.metadata.prerequisites);
        let mut all: Vec<_> = self.row.prerequisites.iter().chain(of_metadata).cloned().collect();
        all.sort();
        all.dedup();
        all.into_iter().map(PackagePrerequisite::from).collect()
    }

    /// Whether it is imported, installed and watched here; otherwise by the vendor's own means.
    async fn managed_in_band(&self) -> bool {
        self.row.managed_in_band
    }

    async fn vendor_contact_url(&self) -> Option<&str> {
        self.row.vendor_contact_url.as_deref()
    }

    /// Files that are in the storage.
    async fn files(&self) -> Vec<PackageFile> {
        self.row.files.iter().map(PackageFile::from).collect()
    }

    /// What was read from its files.
    async fn contents(&self) -> Option<PackageContents> {
        self.row.contents.as_ref().map(|contents| PackageContents::from(contents.0.as_ref()))
    }

    /// Why its files are not there, or are not what they should be.
    async fn failure(&self) -> Option<PackageFailure> {
        let (code, reason) = (self.row.failure_code.clone()?, self.row.failure_reason.clone()?);
        Some(PackageFailure { code, reason })
    }

    async fn superseded_by(&self) -> Result<Option<Seen<PackageRow>>> {
        self.view.find_some(self.row.superseded_by).await
    }

    /// Why its files are gone.
    async fn removal_reason(&self) -> Option<PackageRemovalReason> {
        self.row.removal_reason
    }

    async fn ready_at(&self) -> Option<DateTime<Utc>> {
        self.row.ready_at
    }

    /// Since when it is in this state.
    async fn changed_at(&self) -> DateTime<Utc> {
        self.row.changed_at
    }
}

fn status_text(row: &PackageRow) -> &'static str {
    match (row.state, row.certification) {
        (PackageState::Registered, _) if !row.managed_in_band => "Managed by the vendor's own means",
        (PackageState::Registered, _) => "Not downloaded yet",
        (PackageState::Downloading, _) => "Downloading",
        (PackageState::DownloadFailed, _) => "Download failed",
        (PackageState::Downloaded, _) => "Downloaded",
        (PackageState::Uploading, _) => "Uploading",
        (PackageState::Uploaded, _) => "Upload completed",
        (PackageState::Validating, _) => "Checking the package",
        (PackageState::Ready, PackageCertification::Awaiting) => "Awaiting certification",
        (PackageState::Ready, _) => "Update available",
        (PackageState::Invalid, _) => "The package is not valid",
        (PackageState::Refused, _) => "Certification refused",
        (PackageState::Removed, _) => "Removed",
    }
}

/// A file that can be downloaded.
#[derive(SimpleObject)]
pub(crate) struct PackageDownload {
    name: String,
    url: String,
    /// That the publisher gives, lowercase hex.
    sha256: Option<String>,
}

/// Something that must be installed first.
#[derive(SimpleObject)]
pub(crate) struct PackagePrerequisite {
    product: String,
    /// The lowest version that is enough.
    version: String,
}

impl From<packages::PackagePrerequisite> for PackagePrerequisite {
    fn from(packages::PackagePrerequisite { product, version }: packages::PackagePrerequisite) -> Self {
        Self { product, version }
    }
}

/// A file in the storage.
#[derive(SimpleObject)]
pub(crate) struct PackageFile {
    name: String,
    size_bytes: i64,
    /// Of the bytes that were stored, lowercase hex.
    sha256: String,
}

impl From<&packages::PackageFile> for PackageFile {
    fn from(file: &packages::PackageFile) -> Self {
        Self {
            name: file.name.clone(),
            size_bytes: i64::try_from(file.size_bytes).unwrap_or(i64::MAX),
            sha256: file.sha256.clone(),
        }
    }
}

/// What is in a package.
#[derive(SimpleObject)]
pub(crate) struct PackageContents {
    /// SHA-256 of the list of files: what was looked at is confirmed or certified by it.
    manifest_sha256: String,
    files: Vec<PackageFile>,
    publisher: String,
    name: String,
    version: Option<String>,
    support_url: Option<String>,
    /// What it consists of: updates of services, of operating systems, drivers.
    components: Vec<String>,
    prerequisites: Vec<PackagePrerequisite>,
    /// Files inside the payload.
    entry_count: u32,
}

impl From<&packages::PackageContents> for PackageContents {
    fn from(contents: &packages::PackageContents) -> Self {
        let metadata = &contents.metadata;
        Self {
            manifest_sha256: contents.manifest_sha256.clone(),
            files: contents.files.iter().map(PackageFile::from).collect(),
            publisher: metadata.publisher.clone(),
            name: metadata.name.clone(),
            version: metadata.version.clone(),
            support_url: metadata.support_url.clone(),
            components: metadata.components.clone(),
            prerequisites: metadata.prerequisites.iter().cloned().map(PackagePrerequisite::from).collect(),
            entry_count: contents.entry_count,
        }
    }
}

/// What went wrong with a package.
#[derive(SimpleObject)]
pub(crate) struct PackageFailure {
    code: String,
    reason: String,
}

/// A customer's systems that packages update.
pub(crate) struct Site {
    pub(crate) view: View,
    pub(crate) customer_id: Uuid,
}

#[Object]
impl Site {
    /// How they reach publishers.
    async fn connectivity(&self) -> Result<Connectivity> {
        let row: Option<SiteRow> = self.view.row(self.customer_id).await?;
        Ok(row.map_or(Connectivity::Connected, |row| row.connectivity))
    }

    /// What is installed there.
    #[graphql(complexity = "page_cost(first, child_complexity)")]
    async fn installed_versions(
        &self,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<ConnectionOf<SiteVersionRow>> {
        self.view.page(&VERSIONS_OF_CUSTOMER, self.customer_id, Page::new(first, after)).await
    }
}

/// A version of a product that is installed at a customer.
#[Object(name = "InstalledVersion")]
impl Seen<SiteVersionRow> {
    async fn product(&self) -> &str {
        &self.row.product
    }

    async fn version(&self) -> &str {
        &self.row.version
    }

    async fn since(&self) -> DateTime<Utc> {
        self.row.since
    }
}

/// One time that a package was to be installed at a customer.
#[Object(name = "PackageUpdate")]
impl Seen<PackageUpdateRow> {
    /// Absent where the package may not be seen any more.
    async fn package(&self) -> Result<Option<Seen<PackageRow>>> {
        self.view.find(self.row.package_id).await
    }

    /// The package's name, or the product's where the package may not be seen any more.
    async fn name(&self) -> Result<String> {
        let package: Option<PackageRow> = self.view.row(self.row.package_id).await?;
        Ok(package.map_or_else(|| self.row.product.clone(), |package| package.name))
    }

    async fn product(&self) -> &str {
        &self.row.product
    }

    async fn version(&self) -> &str {
        &self.row.version
    }

    async fn state(&self) -> PackageUpdateState {
        self.row.state
    }

    /// Why it failed.
    async fn reason(&self) -> Option<&str> {
        self.row.reason.as_deref()
    }

    async fn date_started(&self) -> DateTime<Utc> {
        self.row.started_at
    }

    /// Absent while it is being installed.
    async fn date_completed(&self) -> Option<DateTime<Utc>> {
        self.row.ended_at
    }
}
