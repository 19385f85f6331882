//! Update packages: what is installed as a whole and brought as files, and where it was installed.

pub mod commands;

use kernel::{CustomerId, PackageId, PatchId, UserId};
use serde::{Deserialize, Serialize};

/// What a package is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum PackageType {
    /// A full update of a product.
    Software,
    /// A small fix for a known issue of a given version.
    Hotfix,
    /// Drivers and firmware of a hardware manufacturer.
    Oem,
}

/// How a customer's systems reach the publisher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Connectivity {
    /// Always.
    Connected,
    /// Never.
    Disconnected,
    /// At times, or too slowly for a package.
    Weak,
}

/// How a package comes into the storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Preparation {
    /// It is downloaded when it is to be installed.
    Automatic,
    /// Somebody downloads and imports it.
    ByHand,
}

/// Something that must be installed before.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PackagePrerequisite {
    /// Which product.
    pub product: String,
    /// Its lowest version that is enough.
    pub version: String,
}

/// A file of a package that can be downloaded.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PackageDownload {
    /// Name of the file.
    pub name: String,
    /// https address.
    pub url: String,
    /// SHA-256 that the publisher gives, lowercase hex.
    pub sha256: Option<String>,
}

/// All that is said of a package before its files are there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PackageFacts {
    /// What it is.
    pub package_type: PackageType,
    /// The one vendor whose package it is; a package never holds two vendors' updates.
    pub vendor: String,
    /// What it updates.
    pub product: String,
    /// Display name.
    pub name: String,
    /// The product's version after it.
    pub version: String,
    /// The patch of the catalogue that it installs.
    pub patch_id: Option<PatchId>,
    /// The vendor's article about it: `KB4515650`.
    pub kb_id: Option<String>,
    /// Where its files are.
    pub downloads: Vec<PackageDownload>,
    /// The notes of the version, which name its hotfixes.
    pub release_notes_url: Option<String>,
    /// The version that a hotfix is for.
    pub base_version: Option<String>,
    /// What must be installed before, as far as it is known without the files.
    pub prerequisites: Vec<PackagePrerequisite>,
    /// Whether it is imported, installed and watched here; otherwise by the vendor's own means.
    pub managed_in_band: bool,
    /// Where the vendor can be reached.
    pub vendor_contact_url: Option<String>,
}

/// A file that somebody is going to upload.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AnnouncedFile {
    /// Name, without a path.
    pub name: String,
    /// Size in bytes.
    pub size_bytes: u64,
    /// SHA-256 that it must have, lowercase hex.
    pub sha256: Option<String>,
}

/// A file that is in the storage.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PackageFile {
    /// Name, without a path.
    pub name: String,
    /// Size in bytes.
    pub size_bytes: u64,
    /// SHA-256 of the bytes that were stored, lowercase hex.
    pub sha256: String,
}

/// What a package's `Metadata.xml` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PackageMetadata {
    /// Who made it.
    pub publisher: String,
    /// Its name.
    pub name: String,
    /// The version after it.
    pub version: Option<String>,
    /// What it is, where it says so.
    pub package_type: Option<PackageType>,
    /// What must be installed before.
    pub prerequisites: Vec<PackagePrerequisite>,
    /// Its size in bytes.
    pub size_bytes: Option<u64>,
    /// Where a person finds help.
    pub support_url: Option<String>,
    /// What it consists of: updates of services, of operating systems, drivers.
    pub components: Vec<String>,
}

/// What is in a package, as it was read from its files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PackageContents {
    /// SHA-256 of the list of files: what was shown is what is taken in.
    pub manifest_sha256: String,
    /// The files, by name.
    pub files: Vec<PackageFile>,
    /// What `Metadata.xml` says.
    pub metadata: PackageMetadata,
    /// Files inside the payload.
    pub entry_count: u32,
}

/// Why a package's files are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum PackageRemovalReason {
    /// Somebody asked for it.
    ByHand,
    /// A newer package replaces it.
    Superseded,
    /// It is installed everywhere where it was approved.
    Installed,
    /// Its import was begun and never completed.
    Abandoned,
}

events! {
    /// Facts of an update package.
    PackageEvent in "feeds" {
        /// A package became known.
        PackageRegistered = 1 {
            /// The package.
            package_id: PackageId,
            /// All that is said of it.
            package: PackageFacts,
        },
        /// A manufacturer's package was handed in; no customer sees it before it is certified.
        OemPackageSubmitted = 1 {
            /// The package.
            package_id: PackageId,
            /// All that is said of it.
            package: PackageFacts,
            /// Who handed it in.
            submitted_by: UserId,
        },
        /// A manufacturer's package may be offered to customers.
        OemPackageCertified = 1 {
            /// The package.
            package_id: PackageId,
            /// Who says so.
            certified_by: UserId,
            /// SHA-256 of the list of files that it was said of.
            manifest_sha256: String,
        },
        /// A manufacturer's package will not be offered to customers.
        OemCertificationRefused = 1 {
            /// The package.
            package_id: PackageId,
            /// Who says so.
            refused_by: UserId,
            /// Why.
            reason: String,
        },
        /// Its files are being downloaded, because somebody wants to install it.
        PackageDownloadStarted = 1 {
            /// The package.
            package_id: PackageId,
        },
        /// Its files were downloaded.
        PackageDownloaded = 1 {
            /// The package.
            package_id: PackageId,
            /// The files, by name.
            files: Vec<PackageFile>,
        },
        /// Its files could not be downloaded; another attempt may follow.
        PackageDownloadFailed = 1 {
            /// The package.
            package_id: PackageId,
            /// Stable code.
            code: String,
            /// What is wrong.
            reason: String,
        },
        /// Somebody began to import its files.
        PackageUploadStarted = 1 {
            /// The package.
            package_id: PackageId,
            /// The files that will come.
            files: Vec<AnnouncedFile>,
        },
        /// All of its files are there, and somebody who has seen the list confirmed the import.
        PackageUploaded = 1 {
            /// The package.
            package_id: PackageId,
            /// The files, by name.
            files: Vec<PackageFile>,
            /// SHA-256 of the list of files that was confirmed.
            manifest_sha256: String,
        },
        /// Its files are being read.
        PackageValidationStarted = 1 {
            /// The package.
            package_id: PackageId,
        },
        /// It was prepared successfully: the update is available.
        PackageReady = 1 {
            /// The package.
            package_id: PackageId,
            /// What is in it.
            contents: PackageContents,
        },
        /// Its files are not what they should be.
        PackageInvalid = 1 {
            /// The package.
            package_id: PackageId,
            /// Stable code.
            code: String,
            /// What is wrong.
            reason: String,
        },
        /// A newer package that is ready replaces it.
        PackageSuperseded = 1 {
            /// The older one.
            package_id: PackageId,
            /// The newer one.
            superseded_by: PackageId,
        },
        /// Its files were removed from the storage.
        PackageRemoved = 1 {
            /// The package.
            package_id: PackageId,
            /// Why.
            reason: PackageRemovalReason,
        },
    }
}

events! {
    /// Facts of the systems of one customer that packages update.
    SiteEvent in "feeds" {
        /// The way in which the customer's systems reach publishers is another one.
        SiteConnectivityChanged = 1 {
            /// The customer.
            customer_id: CustomerId,
            /// How they do.
            connectivity: Connectivity,
        },
        /// Somebody says which version of a product is installed there.
        SiteVersionRecorded = 1 {
            /// The customer.
            customer_id: CustomerId,
            /// Which product.
            product: String,
            /// Its version.
            version: String,
        },
        /// A package is to be installed there now.
        PackageUpdateStarted = 1 {
            /// The package.
            package_id: PackageId,
            /// The customer.
            customer_id: CustomerId,
            /// Which product.
            product: String,
            /// Its version after it.
            version: String,
        },
        /// It is installed there.
        PackageUpdateCompleted = 1 {
            /// The package.
            package_id: PackageId,
            /// The customer.
            customer_id: CustomerId,
            /// Which product.
            product: String,
            /// Its version now.
            version: String,
        },
        /// It could not be installed there.
        PackageUpdateFailed = 1 {
            /// The package.
            package_id: PackageId,
            /// The customer.
            customer_id: CustomerId,
            /// Why, never empty.
            reason: String,
        },
    }
}
