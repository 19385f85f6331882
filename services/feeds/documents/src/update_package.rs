//! An update package of Azure Stack or of a hardware partner: a folder of files, as it is carried to a system by hand.
//!
//! ```text
//! Metadata.xml              what it is                          must be there
//! AzS_Update_1.2102.31.zip  the payload, self-extracting        at least one
//! Part2.zip                 more of it                          may be there
//! Supplemental Notice.txt   terms, not to be imported           passed over
//! anything else                                                 refused
//! ```
//! Nothing here touches a file system, and nothing is unpacked: the caller hands in streams, names and digests, shows the
//! manifest to a person, and stores what the manifest names. Two states of a file must not be mixed, so the caller computes
//! digests from the very bytes that it keeps.
//!
//! The layout is that of Microsoft's article "Prepare an Azure Stack update package".

mod metadata;
mod payload;

pub use metadata::{Component, PackageMetadata, PackageType, Requirement, read_metadata};
pub use payload::{ENTRIES_MAX, UNPACKED_BYTES_MAX, ZipEntry, zip_manifest};

use crate::text::{clipped, is_plain};

/// Files of a package: real ones have up to ten parts.
pub const FILES_MAX: usize = 1_000;

const METADATA: &str = "metadata.xml";
const NOTICE: &str = "supplemental notice.txt";

/// A file of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageFile {
    /// Its name, without any folder.
    pub name: String,
    /// Its size.
    pub size_bytes: u64,
    /// SHA-256 of its bytes, lowercase hex.
    pub sha256: String,
}

/// What a package consists of: shown to a person before anything is imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// `Metadata.xml`
    pub metadata: PackageFile,
    /// Payloads, by name.
    pub payloads: Vec<PackageFile>,
    /// Names of files that are not imported, by name.
    pub passed_over: Vec<String>,
}

/// Why a package is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PackageError {
    /// Nobody could tell what it is.
    #[error("the package has no Metadata.xml")]
    MetadataMissing,
    /// There is nothing to install.
    #[error("the package has no payload zip file")]
    PayloadMissing,
    /// A file that no package has.
    #[error("the package has an unexpected file {name:?}")]
    FileUnexpected {
        /// Its name.
        name: String,
    },
    /// Two files that are one on a Windows system.
    #[error("the package has {name:?} twice")]
    FileTwice {
        /// The second one's name.
        name: String,
    },
    /// A name that is no name, or leads into a folder.
    #[error("{name:?} is no name of a file in a package")]
    FileNameInvalid {
        /// The name.
        name: String,
    },
    /// Nothing in it.
    #[error("the file {name:?} of the package is empty")]
    FileEmpty {
        /// Its name.
        name: String,
    },
    /// A digest that is none.
    #[error("the digest of {name:?} is not SHA-256")]
    DigestInvalid {
        /// The file's name.
        name: String,
    },
    /// More files than any package has.
    #[error("the package has more than {limit} files")]
    TooManyFiles {
        /// The limit.
        limit: usize,
    },
    /// Its bytes are not those that the metadata was made for.
    #[error("the payload {name:?} is not one that Metadata.xml names")]
    PayloadNotAuthentic {
        /// The payload's name.
        name: String,
    },
    /// A payload that the metadata names was not handed in.
    #[error("Metadata.xml names {named} payloads, and the package has {found} of them")]
    PayloadsIncomplete {
        /// In the metadata.
        named: usize,
        /// In the package.
        found: usize,
    },
    /// Not a zip file, or a broken one.
    #[error("the payload is no zip file: {reason}")]
    PayloadUnreadable {
        /// What is wrong.
        reason: String,
    },
    /// A path that would leave the folder that it is unpacked into, or that Windows cannot have.
    #[error("the payload holds the path {path:?}, which is not safe to unpack")]
    PathUnsafe {
        /// The path.
        path: String,
    },
    /// Two paths that are one on a Windows system.
    #[error("the payload holds {path:?} twice")]
    PathTwice {
        /// The second one.
        path: String,
    },
    /// Beyond the limit.
    #[error("the payload holds more than {limit} entries")]
    TooManyEntries {
        /// The limit.
        limit: usize,
    },
    /// Beyond the limit.
    #[error("the payload unpacks to more than {limit} bytes")]
    PayloadTooLarge {
        /// The limit.
        limit: u64,
    },
}

impl kernel::Refused for PackageError {
    fn code(&self) -> &'static str {
        match self {
            Self::MetadataMissing => "feeds.package_metadata_missing",
            Self::PayloadMissing => "feeds.package_payload_missing",
            Self::FileUnexpected { .. } => "feeds.package_file_unexpected",
            Self::FileTwice { .. } => "feeds.package_file_twice",
            Self::FileNameInvalid { .. } => "feeds.package_file_name_invalid",
            Self::FileEmpty { .. } => "feeds.package_file_empty",
            Self::DigestInvalid { .. } => "feeds.package_digest_invalid",
            Self::TooManyFiles { .. } => "feeds.package_too_many_files",
            Self::PayloadNotAuthentic { .. } => "feeds.package_payload_not_authentic",
            Self::PayloadsIncomplete { .. } => "feeds.package_payloads_incomplete",
            Self::PayloadUnreadable { .. } => "feeds.package_payload_unreadable",
            Self::PathUnsafe { .. } => "feeds.package_path_unsafe",
            Self::PathTwice { .. } => "feeds.package_path_twice",
            Self::TooManyEntries { .. } => "feeds.package_too_many_entries",
            Self::PayloadTooLarge { .. } => "feeds.package_payload_too_large",
        }
    }
}

/// Sorts the files of a package, or refuses it as a whole.
pub fn manifest(files: &[PackageFile]) -> Result<Manifest, PackageError> {
    if files.len() > FILES_MAX {
        return Err(PackageError::TooManyFiles { limit: FILES_MAX });
    }
    let mut sorted: Vec<&PackageFile> = files.iter().collect();
    sorted.sort_by(|a, b| a.name.cmp(&b.name));
    let mut names = std::collections::BTreeSet::new();
    let mut metadata = None;
    let mut payloads = Vec::new();
    let mut passed_over = Vec::new();
    for file in sorted {
        let name = clipped(&file.name);
        if !is_file_name(&file.name) {
            return Err(PackageError::FileNameInvalid { name });
        }
        let lower = file.name.to_lowercase();
        if !names.insert(lower.clone()) {
            return Err(PackageError::FileTwice { name });
        }
        if lower == NOTICE {
            passed_over.push(file.name.clone());
            continue;
        }
        let is_metadata = lower == METADATA;
        let is_payload = lower.strip_suffix(".zip").is_some_and(|stem| !stem.is_empty());
        if !is_metadata && !is_payload {
            return Err(PackageError::FileUnexpected { name });
        }
        if file.size_bytes == 0 {
            return Err(PackageError::FileEmpty { name });
        }
        if !is_sha256(&file.sha256) {
            return Err(PackageError::DigestInvalid { name });
        }
        if is_metadata {
            metadata = Some(file.clone());
        } else {
            payloads.push(file.clone());
        }
    }
    let metadata = metadata.ok_or(PackageError::MetadataMissing)?;
    if payloads.is_empty() {
        return Err(PackageError::PayloadMissing);
    }
    Ok(Manifest { metadata, payloads, passed_over })
}

impl Manifest {
    /// Compares the payloads with the digests in the metadata, where it has some: each must be named, and none may be
    /// missing.
    pub fn verify(&self, metadata: &PackageMetadata) -> Result<(), PackageError> {
        if metadata.payload_sha256.is_empty() {
            return Ok(());
        }
        for payload in &self.payloads {
            if !metadata.payload_sha256.contains(&payload.sha256) {
                return Err(PackageError::PayloadNotAuthentic { name: payload.name.clone() });
            }
        }
        let is_here = |digest: &&String| self.payloads.iter().any(|payload| payload.sha256 == **digest);
        let found = metadata.payload_sha256.iter().filter(is_here).count();
        if found < metadata.payload_sha256.len() {
            return Err(PackageError::PayloadsIncomplete { named: metadata.payload_sha256.len(), found });
        }
        Ok(())
    }

    /// What has to be carried, in bytes.
    pub fn size_bytes(&self) -> u64 {
        let payloads = self.payloads.iter().map(|payload| payload.size_bytes);
        payloads.fold(self.metadata.size_bytes, u64::saturating_add)
    }
}

/// A name that every system can have, and that leads nowhere else.
fn is_file_name(name: &str) -> bool {
    is_plain(name) && payload::is_safe_part(name)
}

fn is_sha256(digest: &str) -> bool {
    digest.len() == 64 && digest.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
