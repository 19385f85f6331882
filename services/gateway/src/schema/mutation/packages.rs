//! Update packages, and the customers' systems that they update.

mod sites;

pub(crate) use sites::SitesMutations;

use super::payload;
use crate::commands::carry_out;
use crate::commands::ids::Ids;
use crate::schema::global_id::{Kind, global};
use crate::schema::package::{PackageContents, PackageFile};
use crate::words::{Connectivity, PackageType};
use async_graphql::{Context, ID, InputObject, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use contracts::packages::{self, PackageFacts, commands as wish};
use kernel::PackageId;

/// What is done with packages.
#[derive(Default)]
pub(crate) struct PackagesMutations;

/// A file that can be downloaded.
#[derive(InputObject)]
pub(crate) struct PackageDownloadInput {
    name: String,
    /// https
    url: String,
    /// That the publisher gives, lowercase hex.
    sha256: Option<String>,
}

/// Something that must be installed first.
#[derive(InputObject)]
pub(crate) struct PackagePrerequisiteInput {
    product: String,
    /// The lowest version that is enough.
    version: String,
}

/// All that is said of a package before its files are there.
#[derive(InputObject)]
pub(crate) struct PackageInput {
    #[graphql(name = "type")]
    package_type: PackageType,
    /// The one vendor whose package it is; its metadata must name the same one.
    vendor: String,
    /// What it updates.
    product: String,
    name: String,
    /// The product's version after it.
    version: String,
    /// The patch of the catalogue that it installs.
    patch_id: Option<ID>,
    /// The vendor's article about it: `KB4515650`.
    kb: Option<String>,
    /// Its files, for a package that is prepared by itself.
    #[graphql(default)]
    downloads: Vec<PackageDownloadInput>,
    release_notes_url: Option<String>,
    /// The version that a hotfix is for.
    base_version: Option<String>,
    #[graphql(default)]
    prerequisites: Vec<PackagePrerequisiteInput>,
    /// Whether it is imported, installed and watched here; otherwise by the vendor's own means.
    #[graphql(default = true)]
    managed_in_band: bool,
    vendor_contact_url: Option<String>,
}

impl PackageInput {
    fn facts(self, ids: &mut Ids) -> Option<PackageFacts> {
        let download = |download: PackageDownloadInput| packages::PackageDownload {
            name: download.name,
            url: download.url,
            sha256: download.sha256,
        };
        let prerequisite = |one: PackagePrerequisiteInput| packages::PackagePrerequisite {
            product: one.product,
            version: one.version,
        };
        Some(PackageFacts {
            package_type: self.package_type.into(),
            vendor: self.vendor,
            product: self.product,
            name: self.name,
            version: self.version,
            patch_id: ids.some("package.patchId", Kind::Patch, self.patch_id.as_ref())?,
            kb_id: self.kb,
            downloads: self.downloads.into_iter().map(download).collect(),
            release_notes_url: self.release_notes_url,
            base_version: self.base_version,
            prerequisites: self.prerequisites.into_iter().map(prerequisite).collect(),
            managed_in_band: self.managed_in_band,
            vendor_contact_url: self.vendor_contact_url,
        })
    }
}

#[derive(InputObject)]
pub(crate) struct RegisterPackageInput {
    idempotency_key: String,
    package: PackageInput,
}

#[derive(InputObject)]
pub(crate) struct SubmitOemPackageInput {
    idempotency_key: String,
    package: PackageInput,
}

#[derive(InputObject)]
pub(crate) struct CertifyOemPackageInput {
    idempotency_key: String,
    package_id: ID,
    /// `contents.manifestSha256` of what was looked at.
    manifest_sha256: String,
}

#[derive(InputObject)]
pub(crate) struct RefuseCertificationInput {
    idempotency_key: String,
    package_id: ID,
    reason: String,
}

#[derive(InputObject)]
pub(crate) struct PreparePackageInput {
    idempotency_key: String,
    package_id: ID,
    /// How the systems that it is for reach the publisher.
    #[graphql(default_with = "Connectivity::Connected")]
    connectivity: Connectivity,
}

/// A file that will come.
#[derive(InputObject)]
pub(crate) struct AnnouncedFileInput {
    name: String,
    size_bytes: u64,
    /// That it must have, lowercase hex.
    sha256: Option<String>,
}

#[derive(InputObject)]
pub(crate) struct StartPackageUploadInput {
    idempotency_key: String,
    package_id: ID,
    files: Vec<AnnouncedFileInput>,
}

#[derive(InputObject)]
pub(crate) struct ReviewPackageInput {
    idempotency_key: String,
    package_id: ID,
}

#[derive(InputObject)]
pub(crate) struct CompletePackageUploadInput {
    idempotency_key: String,
    package_id: ID,
    /// `contents.manifestSha256` of what `reviewPackage` showed.
    manifest_sha256: String,
}

#[derive(InputObject)]
pub(crate) struct ExportPackageInput {
    idempotency_key: String,
    package_id: ID,
}

#[derive(InputObject)]
pub(crate) struct RemovePackageInput {
    idempotency_key: String,
    package_id: ID,
}

payload! { RegisterPackagePayload of PackageId { package_id: ID = |id| Some(global(Kind::Package, id.0)), } }
payload! { SubmitOemPackagePayload of PackageId { package_id: ID = |id| Some(global(Kind::Package, id.0)), } }
payload! { CertifyOemPackagePayload of PackageId {} }
payload! { RefuseCertificationPayload of PackageId {} }
payload! { PreparePackagePayload of PackageId {} }
payload! { CompletePackageUploadPayload of PackageId {} }
payload! { RemovePackagePayload of PackageId {} }

payload! {
    StartPackageUploadPayload of wish::UploadTicket {
        files: Vec<UploadAddress> = |ticket| Some(ticket.files.iter().map(UploadAddress::from).collect()),
        /// Most bytes that one request may carry.
        part_bytes_max: i64 = |ticket| i64::try_from(ticket.part_bytes_max).ok(),
        /// When the addresses end; the mutation with another key gives new ones and keeps what is there.
        expires_at: DateTime<Utc> = |ticket| DateTime::from_timestamp(ticket.expires_at, 0),
    }
}

payload! {
    ReviewPackagePayload of wish::PackageReview {
        contents: PackageContents = |review| Some(PackageContents::from(&review.contents)),
        /// Files inside the payload, the first thousand.
        entries: Vec<PackageEntry> = |review| Some(review.entries.iter().map(PackageEntry::from).collect()),
    }
}

payload! {
    ExportPackagePayload of wish::PackageExport {
        files: Vec<DownloadAddress> = |export| Some(export.files.iter().map(DownloadAddress::from).collect()),
        expires_at: DateTime<Utc> = |export| DateTime::from_timestamp(export.expires_at, 0),
    }
}

/// Where a file's bytes are sent to.
#[derive(SimpleObject)]
pub(crate) struct UploadAddress {
    name: String,
    /// For `PUT`, with `&offset=N` for the part that begins at byte N; `HEAD` tells `upload-offset`.
    url: String,
    /// Bytes that are there already.
    received: i64,
}

impl From<&wish::UploadAddress> for UploadAddress {
    fn from(address: &wish::UploadAddress) -> Self {
        let received = i64::try_from(address.received).unwrap_or(i64::MAX);
        Self { name: address.name.clone(), url: address.url.clone(), received }
    }
}

/// A file inside a payload.
#[derive(SimpleObject)]
pub(crate) struct PackageEntry {
    /// The zip file that it is in.
    file: String,
    path: String,
    size_bytes: i64,
}

impl From<&wish::PackageEntry> for PackageEntry {
    fn from(entry: &wish::PackageEntry) -> Self {
        let size_bytes = i64::try_from(entry.size_bytes).unwrap_or(i64::MAX);
        Self { file: entry.file.clone(), path: entry.path.clone(), size_bytes }
    }
}

/// Where a file's bytes are fetched from.
#[derive(SimpleObject)]
pub(crate) struct DownloadAddress {
    file: PackageFile,
    /// For `GET`; a `range` from a byte on continues what broke off.
    url: String,
}

impl From<&wish::DownloadAddress> for DownloadAddress {
    fn from(address: &wish::DownloadAddress) -> Self {
        Self { file: PackageFile::from(&address.file), url: address.url.clone() }
    }
}

#[Object]
impl PackagesMutations {
    /// Makes an update or a hotfix known.
    async fn register_package(
        &self,
        ctx: &Context<'_>,
        input: RegisterPackageInput,
    ) -> Result<RegisterPackagePayload> {
        let RegisterPackageInput { idempotency_key, package } = input;
        let outcome = carry_out(ctx, &idempotency_key, |ids| {
            Some(wish::RegisterPackage { package: package.facts(ids)? })
        });
        Ok(outcome.await?.into())
    }

    /// Hands in a manufacturer's package; no customer sees it before it is certified.
    async fn submit_oem_package(
        &self,
        ctx: &Context<'_>,
        input: SubmitOemPackageInput,
    ) -> Result<SubmitOemPackagePayload> {
        let SubmitOemPackageInput { idempotency_key, package } = input;
        let outcome = carry_out(ctx, &idempotency_key, |ids| {
            Some(wish::SubmitOemPackage { package: package.facts(ids)? })
        });
        Ok(outcome.await?.into())
    }

    /// Lets customers see a manufacturer's package; not for whoever submitted it.
    async fn certify_oem_package(
        &self,
        ctx: &Context<'_>,
        input: CertifyOemPackageInput,
    ) -> Result<CertifyOemPackagePayload> {
        let CertifyOemPackageInput { idempotency_key, package_id, manifest_sha256 } = input;
        let outcome = carry_out(ctx, &idempotency_key, |ids| {
            let package_id = ids.one("packageId", Kind::Package, &package_id)?;
            Some(wish::CertifyOemPackage { package_id, manifest_sha256 })
        });
        Ok(outcome.await?.into())
    }

    /// Says that customers will not see a manufacturer's package.
    async fn refuse_certification(
        &self,
        ctx: &Context<'_>,
        input: RefuseCertificationInput,
    ) -> Result<RefuseCertificationPayload> {
        let RefuseCertificationInput { idempotency_key, package_id, reason } = input;
        let outcome = carry_out(ctx, &idempotency_key, |ids| {
            let package_id = ids.one("packageId", Kind::Package, &package_id)?;
            Some(wish::RefuseCertification { package_id, reason })
        });
        Ok(outcome.await?.into())
    }

    /// Downloads a package that is prepared by itself, before somebody installs it.
    async fn prepare_package(
        &self,
        ctx: &Context<'_>,
        input: PreparePackageInput,
    ) -> Result<PreparePackagePayload> {
        let PreparePackageInput { idempotency_key, package_id, connectivity } = input;
        let outcome = carry_out(ctx, &idempotency_key, |ids| {
            let package_id = ids.one("packageId", Kind::Package, &package_id)?;
            Some(wish::PreparePackage { package_id, connectivity: connectivity.into() })
        });
        Ok(outcome.await?.into())
    }

    /// Begins to import files, or goes on: gives an address for each.
    async fn start_package_upload(
        &self,
        ctx: &Context<'_>,
        input: StartPackageUploadInput,
    ) -> Result<StartPackageUploadPayload> {
        let StartPackageUploadInput { idempotency_key, package_id, files } = input;
        let announced = |file: AnnouncedFileInput| packages::AnnouncedFile {
            name: file.name,
            size_bytes: file.size_bytes,
            sha256: file.sha256,
        };
        let outcome = carry_out(ctx, &idempotency_key, |ids| {
            let package_id = ids.one("packageId", Kind::Package, &package_id)?;
            let files = files.into_iter().map(announced).collect();
            Some(wish::StartPackageUpload { package_id, files })
        });
        Ok(outcome.await?.into())
    }

    /// Shows what would be imported, with the list of files inside the payload. Nothing is taken in.
    async fn review_package(
        &self,
        ctx: &Context<'_>,
        input: ReviewPackageInput,
    ) -> Result<ReviewPackagePayload> {
        let ReviewPackageInput { idempotency_key, package_id } = input;
        let outcome = carry_out(ctx, &idempotency_key, |ids| {
            Some(wish::ReviewPackage { package_id: ids.one("packageId", Kind::Package, &package_id)? })
        });
        Ok(outcome.await?.into())
    }

    /// Confirms the import of what was shown.
    async fn complete_package_upload(
        &self,
        ctx: &Context<'_>,
        input: CompletePackageUploadInput,
    ) -> Result<CompletePackageUploadPayload> {
        let CompletePackageUploadInput { idempotency_key, package_id, manifest_sha256 } = input;
        let outcome = carry_out(ctx, &idempotency_key, |ids| {
            let package_id = ids.one("packageId", Kind::Package, &package_id)?;
            Some(wish::CompletePackageUpload { package_id, manifest_sha256 })
        });
        Ok(outcome.await?.into())
    }

    /// Gives addresses from which a ready package can be carried to where there is no connection.
    async fn export_package(
        &self,
        ctx: &Context<'_>,
        input: ExportPackageInput,
    ) -> Result<ExportPackagePayload> {
        let ExportPackageInput { idempotency_key, package_id } = input;
        let outcome = carry_out(ctx, &idempotency_key, |ids| {
            Some(wish::ExportPackage { package_id: ids.one("packageId", Kind::Package, &package_id)? })
        });
        Ok(outcome.await?.into())
    }

    /// Removes a package's files, once it is installed wherever it was approved.
    async fn remove_package(
        &self,
        ctx: &Context<'_>,
        input: RemovePackageInput,
    ) -> Result<RemovePackagePayload> {
        let RemovePackageInput { idempotency_key, package_id } = input;
        let outcome = carry_out(ctx, &idempotency_key, |ids| {
            Some(wish::RemovePackage { package_id: ids.one("packageId", Kind::Package, &package_id)? })
        });
        Ok(outcome.await?.into())
    }
}
