//! Fetches the files of a package from its publisher, part by part into the storage.

use super::files::{self, PART_BYTES_MAX};
use super::table::Row;
use super::{Packages, commit};
use crate::fetch::FetchError;
use bytes::BytesMut;
use contracts::packages::PackageDownload;
use feeds_domain::package::{PACKAGE_BYTES_MAX, PackageCommand};
use kernel::{Refused, Scope};
use url::Url;
use web::ApiError;

/// Why the files are not there.
struct Broken {
    code: String,
    reason: String,
}

impl From<FetchError> for Broken {
    fn from(refusal: FetchError) -> Self {
        Self { code: refusal.code().to_owned(), reason: refusal.to_string() }
    }
}

impl From<ApiError> for Broken {
    fn from(error: ApiError) -> Self {
        tracing::warn!(error.code = %error.code, error.message = error.chain(), "a part was not stored");
        Self { code: error.code.clone().into_owned(), reason: error.message }
    }
}

impl Packages {
    /// What the files of a package came to, as the package is to be told.
    pub(super) async fn download(&self, row: &Row) -> PackageCommand {
        match self.download_all(row).await {
            Ok(files) => PackageCommand::RecordDownload { files },
            Err(Broken { code, reason }) => {
                tracing::warn!(package.id = %row.package_id, error.code = code, error.message = reason, "a package was not downloaded");
                PackageCommand::FailDownload { code, reason }
            }
        }
    }

    async fn download_all(&self, row: &Row) -> Result<Vec<contracts::packages::PackageFile>, Broken> {
        let known = self.whole_files(row.package_id).await?;
        let mut left = PACKAGE_BYTES_MAX;
        for wanted in &row.package.downloads {
            // From an earlier attempt.
            if let Some(file) = known.iter().find(|file| file.name == wanted.name) {
                left = left.saturating_sub(file.size_bytes);
                continue;
            }
            left -= self.download_one(row, wanted, left).await?;
        }
        Ok(self.whole_files(row.package_id).await?)
    }

    /// Answers with the file's size.
    async fn download_one(&self, row: &Row, wanted: &PackageDownload, left: u64) -> Result<u64, Broken> {
        let PackageDownload { name, url, sha256 } = wanted;
        let mut tx = self.begin(&Scope::Platform).await?;
        files::expect(&mut tx, row.package_id, row.tenant, name, sha256.as_deref()).await?;
        commit(tx).await?;
        let url = Url::parse(url).map_err(|error| Broken {
            code: "feeds.package_address_invalid".to_owned(),
            reason: format!("{url:?} is no address: {error}"),
        })?;
        let mut incoming = self.fetcher.open(url).await?;
        let (mut stored, mut part) = (0_u64, BytesMut::new());
        loop {
            let chunk = incoming.next().await?;
            let ended = chunk.is_none();
            part.extend_from_slice(&chunk.unwrap_or_default());
            if stored + part.len() as u64 > left {
                return Err(FetchError::TooLarge { limit: PACKAGE_BYTES_MAX }.into());
            }
            // A chunk may be larger than the rest of a part.
            while part.len() >= PART_BYTES_MAX || (ended && !part.is_empty()) {
                let bytes = part.split_to(part.len().min(PART_BYTES_MAX)).freeze();
                let length = bytes.len() as u64;
                self.append(row.package_id, name, stored, bytes).await?;
                stored += length;
            }
            if ended {
                self.finish(row.package_id, name).await?;
                return Ok(stored);
            }
            if self.foundation.lifecycle.stop.is_cancelled() {
                return Err(Broken {
                    code: "feeds.stopping".to_owned(),
                    reason: "the service was stopped meanwhile".to_owned(),
                });
            }
        }
    }
}
