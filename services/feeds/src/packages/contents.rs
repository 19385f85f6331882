//! What is in a package: its metadata and the list of its payload, read from the storage without unpacking anything.

use super::files::{self, PartRow};
use super::hashing::hex;
use super::stored::Stored;
use super::{Packages, commit};
use contracts::packages::commands::{PackageEntry, PackageReview};
use contracts::packages::{PackageContents, PackageFile, PackageMetadata, PackagePrerequisite, PackageType};
use feeds_documents::DocumentError;
use feeds_documents::update_package::{
    self, Component, Manifest, PackageError, Requirement, read_metadata, zip_manifest,
};
use kernel::{PackageId, Refused, Scope};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use tokio::runtime::Handle;
use web::ApiError;

/// Entries that are shown; a payload may hold tens of thousands.
const ENTRIES_SHOWN: usize = 1_000;
/// Components that a fact names; real updates have some ten.
const COMPONENTS_MAX: usize = 200;
/// Any version will do: the requirement names a package and no version of it.
const ANY_VERSION: &str = "0";
/// What a manufacturer's own package is called where somebody else requires it without its name.
const OEM_PRODUCT: &str = "OEM package";

/// Why there are no contents.
pub(super) enum Unreadable {
    /// The package is at fault.
    Refused {
        /// Stable code.
        code: String,
        /// What is wrong.
        reason: String,
    },
    /// Nothing is known of the package's quality.
    Failed(ApiError),
}

impl From<PackageError> for Unreadable {
    fn from(refusal: PackageError) -> Self {
        Self::Refused { code: refusal.code().to_owned(), reason: readable(&refusal.to_string()) }
    }
}

impl From<DocumentError> for Unreadable {
    fn from(refusal: DocumentError) -> Self {
        Self::Refused {
            code: "feeds.package_metadata_invalid".to_owned(),
            reason: readable(&format!("Metadata.xml: {refusal}")),
        }
    }
}

impl From<ApiError> for Unreadable {
    fn from(error: ApiError) -> Self {
        Self::Failed(error)
    }
}

impl From<Unreadable> for ApiError {
    fn from(unreadable: Unreadable) -> Self {
        match unreadable {
            Unreadable::Refused { code, reason } => {
                Self::new(actix_web::http::StatusCode::UNPROCESSABLE_ENTITY, code, reason)
            }
            Unreadable::Failed(error) => error,
        }
    }
}

/// Postgres text cannot hold NUL, and a hostile file may.
fn readable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// SHA-256 of the list of files: one line for each, as `sha256sum` writes it with the size besides.
pub(super) fn manifest_sha256(files: &[PackageFile]) -> String {
    let lines = files.iter().map(|file| format!("{}  {}  {}\n", file.sha256, file.size_bytes, file.name));
    hex(&lines.fold(Sha256::new(), Sha256::chain_update).finalize())
}

impl Packages {
    /// The files of a package that are whole, by name.
    pub(super) async fn whole_files(&self, package_id: PackageId) -> Result<Vec<PackageFile>, ApiError> {
        let mut tx = self.begin(&Scope::Platform).await?;
        let rows = files::of_package(&mut tx, package_id).await?;
        commit(tx).await?;
        Ok(rows.iter().filter_map(files::FileRow::whole).collect())
    }

    /// Reads what is in a package.
    pub(super) async fn read_contents(
        &self,
        package_id: PackageId,
        product: &str,
    ) -> Result<PackageReview, Unreadable> {
        let whole = self.whole_files(package_id).await?;
        let manifest = sorted(&whole)?;
        let mut parts = HashMap::new();
        let mut tx = self.begin(&Scope::Platform).await?;
        for file in std::iter::once(&manifest.metadata).chain(&manifest.payloads) {
            parts.insert(file.name.clone(), files::parts(&mut tx, package_id, &file.name).await?);
        }
        commit(tx).await?;
        let (storage, runtime, product) = (self.storage.clone(), Handle::current(), product.to_owned());
        // Away from the threads that serve requests: it fetches, and what it reads may be hostile.
        let reading = tokio::task::spawn_blocking(move || {
            let open = |name: &str| {
                let parts: Vec<PartRow> = parts.get(name).cloned().unwrap_or_default();
                Stored::new(storage.clone(), parts, runtime.clone())
            };
            review(whole, &manifest, &product, open)
        });
        reading.await.unwrap_or_else(|panic| Err(ApiError::internal(panic).into()))
    }
}

/// The files by what they are for; a set that no package has is refused.
fn sorted(whole: &[PackageFile]) -> Result<Manifest, Unreadable> {
    let files: Vec<update_package::PackageFile> = whole
        .iter()
        .map(|file| update_package::PackageFile {
            name: file.name.clone(),
            size_bytes: file.size_bytes,
            sha256: file.sha256.clone(),
        })
        .collect();
    let manifest = update_package::manifest(&files)?;
    match manifest.passed_over.first() {
        // Nothing is kept that is not imported.
        Some(name) => Err(PackageError::FileUnexpected { name: name.clone() }.into()),
        None => Ok(manifest),
    }
}

fn review(
    files: Vec<PackageFile>,
    manifest: &Manifest,
    product: &str,
    open: impl Fn(&str) -> Stored,
) -> Result<PackageReview, Unreadable> {
    let metadata = read_metadata(open(&manifest.metadata.name))?;
    manifest.verify(&metadata)?;
    let (mut entries, mut entry_count) = (Vec::new(), 0_usize);
    for payload in &manifest.payloads {
        let listed = zip_manifest(open(&payload.name))?;
        entry_count += listed.len();
        let room = ENTRIES_SHOWN - entries.len();
        entries.extend(listed.into_iter().take(room).map(|entry| PackageEntry {
            file: payload.name.clone(),
            path: entry.path,
            size_bytes: entry.size_bytes,
        }));
    }
    let contents = PackageContents {
        manifest_sha256: manifest_sha256(&files),
        files,
        metadata: told(metadata, product),
        entry_count: u32::try_from(entry_count).unwrap_or(u32::MAX),
    };
    Ok(PackageReview { contents, entries })
}

/// The metadata in the words of facts.
fn told(metadata: update_package::PackageMetadata, product: &str) -> PackageMetadata {
    let prerequisite = |requirement| match requirement {
        Requirement::Platform(version) => PackagePrerequisite { product: product.to_owned(), version },
        Requirement::Oem(version) => PackagePrerequisite { product: OEM_PRODUCT.to_owned(), version },
        Requirement::Package(name) => PackagePrerequisite { product: name, version: ANY_VERSION.to_owned() },
    };
    let component = |Component { name, version }: Component| match version {
        Some(version) => format!("{name} {version}"),
        None => name,
    };
    PackageMetadata {
        publisher: metadata.publisher,
        name: metadata.name,
        version: metadata.version,
        package_type: metadata.package_type.map(|kind| match kind {
            update_package::PackageType::Software => PackageType::Software,
            update_package::PackageType::Hotfix => PackageType::Hotfix,
            update_package::PackageType::Oem => PackageType::Oem,
        }),
        prerequisites: metadata.requirements.into_iter().map(prerequisite).collect(),
        size_bytes: metadata.size_bytes,
        support_url: metadata.support_url,
        components: metadata.components.into_iter().take(COMPONENTS_MAX).map(component).collect(),
    }
}
