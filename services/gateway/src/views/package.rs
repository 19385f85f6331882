//! Update packages.

use crate::reading::list::{ById, list};
use crate::views::Entry;
use crate::words::{PackageCertification, PackageRemovalReason, PackageState, PackageType, name};
use chrono::{DateTime, Utc};
use contracts::packages::{
    OemCertificationRefused, OemPackageCertified, OemPackageSubmitted, PackageContents, PackageDownload,
    PackageDownloadFailed, PackageDownloadStarted, PackageDownloaded, PackageEvent, PackageFacts,
    PackageFile, PackageInvalid, PackagePrerequisite, PackageReady, PackageRegistered, PackageRemoved,
    PackageSuperseded, PackageUploadStarted, PackageUploaded, PackageValidationStarted,
};
use eventstore::{StoreError, Tx};
use kernel::{PackageId, UserId};
use sqlx::types::Json;
use uuid::Uuid;

/// A package as GraphQL shows it.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct PackageRow {
    pub(crate) package_id: Uuid,
    pub(crate) package_type: PackageType,
    pub(crate) vendor: String,
    pub(crate) product: String,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) patch_id: Option<Uuid>,
    pub(crate) kb_id: Option<String>,
    pub(crate) downloads: Json<Vec<PackageDownload>>,
    pub(crate) release_notes_url: Option<String>,
    pub(crate) base_version: Option<String>,
    pub(crate) prerequisites: Json<Vec<PackagePrerequisite>>,
    pub(crate) managed_in_band: bool,
    pub(crate) vendor_contact_url: Option<String>,
    pub(crate) state: PackageState,
    pub(crate) certification: PackageCertification,
    pub(crate) files: Json<Vec<PackageFile>>,
    pub(crate) contents: Option<Json<Box<PackageContents>>>,
    pub(crate) failure_code: Option<String>,
    pub(crate) failure_reason: Option<String>,
    pub(crate) superseded_by: Option<Uuid>,
    pub(crate) removal_reason: Option<PackageRemovalReason>,
    pub(crate) ready_at: Option<DateTime<Utc>>,
    pub(crate) changed_at: DateTime<Utc>,
}

macro_rules! columns {
    () => {
        "t.package_id, t.package_type, t.vendor, t.product, t.name, t.version, t.patch_id, t.kb_id, t.downloads,
         t.release_notes_url, t.base_version, t.prerequisites, t.managed_in_band, t.vendor_contact_url, t.state,
         t.certification, t.files, t.contents, t.failure_code, t.failure_reason, t.superseded_by,
         t.removal_reason, t.ready_at, t.changed_at, t.seq"
    };
}

impl ById for PackageRow {
    const BY_IDS: &'static str = concat!(
        "select t.package_id as key, ",
        columns!(),
        " from views.package t where t.package_id = any($1)"
    );
}

list! {
    /// Packages that the caller may see, by state.
    PACKAGES: PackageRow, columns from "views.package t"
    where "true" only "t.state", newest first by "t.seq"
}

list! {
    /// Packages that can be installed now. The filter is a region, and then which customers count: of those that have
    /// devices there, some must have the product in another version.
    AVAILABLE_UPDATES: PackageRow, columns from "views.package t"
    where "t.state = 'READY' and t.superseded_by is null and t.certification in ('NOT_NEEDED', 'CERTIFIED')"
    filter "exists (select from views.site_version s
                      join views.device d on d.customer_id = s.customer_id
                     where d.region = $2[1]
                       and s.product_key = lower(btrim(t.product))
                       and s.version <> t.version
                       and ($2[2] = 'all' or s.customer_id::text = any($2[3:])))",
    newest first by "t.seq"
}

pub(super) async fn apply(tx: &mut Tx, entry: Entry, fact: PackageEvent) -> Result<(), StoreError> {
    use PackageState as S;
    match fact {
        PackageEvent::PackageRegistered(PackageRegistered { package_id, package }) => {
            insert(tx, entry, package_id, &package, PackageCertification::NotNeeded, None).await
        }
        PackageEvent::OemPackageSubmitted(OemPackageSubmitted { package_id, package, submitted_by }) => {
            insert(tx, entry, package_id, &package, PackageCertification::Awaiting, Some(submitted_by)).await
        }
        PackageEvent::OemPackageCertified(OemPackageCertified {
            package_id,
            certified_by,
            manifest_sha256: _,
        }) => {
            sqlx::query(
                "update package set certification = 'CERTIFIED', certified_by = $2 where package_id = $1",
            )
            .bind(package_id.0)
            .bind(certified_by.0)
            .execute(&mut **tx)
            .await?;
            Ok(())
        }
        PackageEvent::OemCertificationRefused(OemCertificationRefused {
            package_id,
            refused_by: _,
            reason,
        }) => {
            sqlx::query("update package set certification = 'REFUSED' where package_id = $1")
                .bind(package_id.0)
                .execute(&mut **tx)
                .await?;
            ended(tx, entry, package_id, S::Refused, "feeds.package_certification_refused", &reason).await
        }
        PackageEvent::PackageDownloadStarted(PackageDownloadStarted { package_id }) => {
            reach(tx, entry, package_id, S::Downloading).await
        }
        PackageEvent::PackageDownloaded(PackageDownloaded { package_id, files }) => {
            stored(tx, package_id, &files).await?;
            reach(tx, entry, package_id, S::Downloaded).await
        }
        PackageEvent::PackageDownloadFailed(PackageDownloadFailed { package_id, code, reason }) => {
            ended(tx, entry, package_id, S::DownloadFailed, &code, &reason).await
        }
        PackageEvent::PackageUploadStarted(PackageUploadStarted { package_id, files: _ }) => {
            reach(tx, entry, package_id, S::Uploading).await
        }
        PackageEvent::PackageUploaded(PackageUploaded { package_id, files, manifest_sha256: _ }) => {
            stored(tx, package_id, &files).await?;
            reach(tx, entry, package_id, S::Uploaded).await
        }
        PackageEvent::PackageValidationStarted(PackageValidationStarted { package_id }) => {
            reach(tx, entry, package_id, S::Validating).await
        }
        PackageEvent::PackageReady(PackageReady { package_id, contents }) => {
            sqlx::query("update package set contents = $2, ready_at = $3 where package_id = $1")
                .bind(package_id.0)
                .bind(Json(contents))
                .bind(entry.recorded_at)
                .execute(&mut **tx)
                .await?;
            reach(tx, entry, package_id, S::Ready).await
        }
        PackageEvent::PackageInvalid(PackageInvalid { package_id, code, reason }) => {
            ended(tx, entry, package_id, S::Invalid, &code, &reason).await
        }
        PackageEvent::PackageSuperseded(PackageSuperseded { package_id, superseded_by }) => {
            sqlx::query("update package set superseded_by = $2 where package_id = $1")
                .bind(package_id.0)
                .bind(superseded_by.0)
                .execute(&mut **tx)
                .await?;
            Ok(())
        }
        PackageEvent::PackageRemoved(PackageRemoved { package_id, reason }) => {
            sqlx::query("update package set removal_reason = $2, files = '[]' where package_id = $1")
                .bind(package_id.0)
                .bind(PackageRemovalReason::from(reason))
                .execute(&mut **tx)
                .await?;
            reach(tx, entry, package_id, S::Removed).await
        }
    }
}

async fn insert(
    tx: &mut Tx,
    entry: Entry,
    package_id: PackageId,
    package: &PackageFacts,
    certification: PackageCertification,
    submitted_by: Option<UserId>,
) -> Result<(), StoreError> {
    sqlx::query(
        "insert into package (package_id, partner_id, package_type, vendor, product, name, version, patch_id, kb_id,
                              downloads, release_notes_url, base_version, prerequisites, managed_in_band,
                              vendor_contact_url, state, certification, submitted_by, changed_at, seq)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, 'REGISTERED', $16, $17, $18, $19)",
    )
    .bind(package_id.0)
    .bind(entry.partner_id)
    .bind(PackageType::from(package.package_type))
    .bind(&package.vendor)
    .bind(&package.product)
    .bind(&package.name)
    .bind(&package.version)
    .bind(package.patch_id.map(|id| id.0))
    .bind(&package.kb_id)
    .bind(Json(&package.downloads))
    .bind(&package.release_notes_url)
    .bind(&package.base_version)
    .bind(Json(&package.prerequisites))
    .bind(package.managed_in_band)
    .bind(&package.vendor_contact_url)
    .bind(certification)
    .bind(submitted_by.map(|id| id.0))
    .bind(entry.recorded_at)
    .bind(entry.seq)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// What went wrong before is over when the package gets on.
async fn reach(
    tx: &mut Tx,
    entry: Entry,
    package_id: PackageId,
    state: PackageState,
) -> Result<(), StoreError> {
    sqlx::query(
        "update package
            set state = $2, failure_code = null, failure_reason = null, changed_at = $3
          where package_id = $1",
    )
    .bind(package_id.0)
    .bind(name(state))
    .bind(entry.recorded_at)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn ended(
    tx: &mut Tx,
    entry: Entry,
    package_id: PackageId,
    state: PackageState,
    code: &str,
    reason: &str,
) -> Result<(), StoreError> {
    reach(tx, entry, package_id, state).await?;
    sqlx::query("update package set failure_code = $2, failure_reason = $3 where package_id = $1")
        .bind(package_id.0)
        .bind(code)
        .bind(reason)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

async fn stored(tx: &mut Tx, package_id: PackageId, files: &[PackageFile]) -> Result<(), StoreError> {
    sqlx::query("update package set files = $2 where package_id = $1")
        .bind(package_id.0)
        .bind(Json(files))
        .execute(&mut **tx)
        .await?;
    Ok(())
}
