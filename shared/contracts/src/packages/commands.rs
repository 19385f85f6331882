//! What may be asked about update packages, and the answers.

use super::{AnnouncedFile, Connectivity, PackageContents, PackageFacts, PackageFile};
use kernel::{CustomerId, PackageId};
use serde::{Deserialize, Serialize};

/// Where a file's bytes are sent to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadAddress {
    /// The file.
    pub name: String,
    /// Signed address for `PUT`, with `&offset=N` for the part that begins at byte N; `HEAD` tells how far it is.
    pub url: String,
    /// Bytes that are there already.
    pub received: u64,
}

/// How to import a package's files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadTicket {
    /// The package.
    pub package_id: PackageId,
    /// One address for each file.
    pub files: Vec<UploadAddress>,
    /// Most bytes that one request may carry.
    pub part_bytes_max: u64,
    /// Seconds since 1970 at which the addresses end; asking again gives new ones and keeps what is there.
    pub expires_at: i64,
}

/// A file inside a payload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageEntry {
    /// The zip file that it is in.
    pub file: String,
    /// Its path there.
    pub path: String,
    /// Its size in bytes.
    pub size_bytes: u64,
}

/// What would be imported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageReview {
    /// What is in it.
    pub contents: PackageContents,
    /// Files inside the payload, the first thousand.
    pub entries: Vec<PackageEntry>,
}

/// A file of a package for carrying it to where there is no connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DownloadAddress {
    /// The file.
    pub file: PackageFile,
    /// Signed address for `GET`; a `range` from a byte on continues what broke off.
    pub url: String,
}

/// How to carry a package's files away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageExport {
    /// One address for each file.
    pub files: Vec<DownloadAddress>,
    /// Seconds since 1970 at which the addresses end.
    pub expires_at: i64,
}

commands! {
    Feeds {
        /// Makes an update or a hotfix known: the platform for everybody, a partner for its customers.
        RegisterPackage -> PackageId, needs ManagePackages {
            /// All that is said of it.
            package: PackageFacts,
        }
        /// Hands in a manufacturer's package.
        SubmitOemPackage -> PackageId, needs ManagePackages {
            /// All that is said of it.
            package: PackageFacts,
        }
        /// Says that a manufacturer's package, whose contents were read, may be offered to customers.
        CertifyOemPackage -> PackageId, needs CertifyPackages {
            /// The package.
            package_id: PackageId,
            /// The list of files that was looked at.
            manifest_sha256: String,
        }
        /// Says that a manufacturer's package will not be offered to customers.
        RefuseCertification -> PackageId, needs CertifyPackages {
            /// The package.
            package_id: PackageId,
            /// Why.
            reason: String,
        }
        /// Downloads a package that is prepared by itself, before somebody installs it.
        PreparePackage -> PackageId, needs ManagePackages {
            /// The package.
            package_id: PackageId,
            /// How the systems that it is for reach the publisher.
            connectivity: Connectivity,
        }
        /// Begins to import files, or goes on.
        StartPackageUpload -> UploadTicket, needs ManagePackages {
            /// The package.
            package_id: PackageId,
            /// The files that will come.
            files: Vec<AnnouncedFile>,
        }
        /// Reads what would be imported; takes nothing in.
        ReviewPackage -> PackageReview, needs ManagePackages {
            /// The package.
            package_id: PackageId,
        }
        /// Confirms the import of what was shown.
        CompletePackageUpload -> PackageId, needs ManagePackages {
            /// The package.
            package_id: PackageId,
            /// The list of files that was shown.
            manifest_sha256: String,
        }
        /// Gives addresses from which a ready package can be carried to where there is no connection.
        ExportPackage -> PackageExport, needs ReadCatalogue {
            /// The package.
            package_id: PackageId,
        }
        /// Removes a package's files, once it is installed everywhere where it was approved.
        RemovePackage -> PackageId, needs ManagePackages {
            /// The package.
            package_id: PackageId,
        }
        /// Says how a customer's systems reach publishers.
        SetSiteConnectivity -> (), needs ManageDevices {
            /// The customer.
            customer_id: CustomerId,
            /// How they do.
            connectivity: Connectivity,
        }
        /// Says which version of a product is installed at a customer.
        RecordSiteVersion -> (), needs ManageDevices {
            /// The customer.
            customer_id: CustomerId,
            /// Which product.
            product: String,
            /// Its version.
            version: String,
        }
        /// Installs a package at a customer now; one that is prepared by itself is downloaded first.
        StartPackageUpdate -> (), needs Deploy {
            /// The package.
            package_id: PackageId,
            /// The customer.
            customer_id: CustomerId,
        }
        /// Says that a package is installed at a customer.
        CompletePackageUpdate -> (), needs Deploy {
            /// The package.
            package_id: PackageId,
            /// The customer.
            customer_id: CustomerId,
        }
        /// Says that a package could not be installed at a customer.
        FailPackageUpdate -> (), needs Deploy {
            /// The package.
            package_id: PackageId,
            /// The customer.
            customer_id: CustomerId,
            /// Why.
            reason: String,
        }
    }
}
