//! The files of packages as they come in: which parts are there, and the hash of what is there.

use super::hashing::{hex, kept, resumed};
use super::storage::Storage;
use super::{Packages, commit, unkept};
use actix_web::http::StatusCode;
use bytes::Bytes;
use contracts::packages::{AnnouncedFile, PackageFile};
use eventstore::Tx;
use kernel::{PackageId, Scope, Tenant};
use sha2::{Digest, Sha256};
use uuid::Uuid;
use web::ApiError;

/// Bytes of one part: in memory as a whole, and small enough to come again after a broken line.
pub(super) const PART_BYTES_MAX: usize = 8 * 1024 * 1024;

/// A file as far as it has come.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(super) struct FileRow {
    pub(super) name: String,
    size_bytes: Option<i64>,
    announced_sha256: Option<String>,
    received: i64,
    hash_state: Option<Vec<u8>>,
    /// Set when it is whole.
    pub(super) sha256: Option<String>,
}

/// A part of a file in the storage.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(super) struct PartRow {
    starts_at: i64,
    bytes: i64,
    pub(super) object: String,
}

impl FileRow {
    /// Bytes that are there.
    pub(super) fn received(&self) -> u64 {
        self.received.cast_unsigned()
    }

    /// The whole size, where it is known.
    pub(super) fn size(&self) -> Option<u64> {
        self.size_bytes.map(i64::cast_unsigned)
    }

    /// The file, if it is whole.
    pub(super) fn whole(&self) -> Option<PackageFile> {
        let (name, sha256) = (self.name.clone(), self.sha256.clone()?);
        Some(PackageFile { name, size_bytes: self.received(), sha256 })
    }
}

impl PartRow {
    pub(super) fn starts_at(&self) -> u64 {
        self.starts_at.cast_unsigned()
    }

    pub(super) fn ends_at(&self) -> u64 {
        (self.starts_at + self.bytes).cast_unsigned()
    }
}

macro_rules! files {
    ($condition:literal) => {
        concat!(
            "select f.name, f.size_bytes, f.announced_sha256, f.received, f.hash_state, f.sha256
               from feeds.package_file f
              where ",
            $condition
        )
    };
}

/// All files of a package, by name.
pub(super) async fn of_package(tx: &mut Tx, package_id: PackageId) -> Result<Vec<FileRow>, ApiError> {
    sqlx::query_as(files!("f.package_id = $1 order by f.name collate \"C\""))
        .bind(package_id.0)
        .fetch_all(&mut **tx)
        .await
        .map_err(unkept)
}

/// One file of a package.
pub(super) async fn find(tx: &mut Tx, package_id: PackageId, name: &str) -> Result<FileRow, ApiError> {
    let found: Option<FileRow> = sqlx::query_as(files!("f.package_id = $1 and f.name = $2"))
        .bind(package_id.0)
        .bind(name)
        .fetch_optional(&mut **tx)
        .await
        .map_err(unkept)?;
    found.ok_or_else(|| ApiError::not_found("feeds.package_file_unknown", "the package has no such file"))
}

/// The parts of a file, in their order.
pub(super) async fn parts(tx: &mut Tx, package_id: PackageId, name: &str) -> Result<Vec<PartRow>, ApiError> {
    sqlx::query_as(
        "select starts_at, bytes, object
           from feeds.package_part
          where package_id = $1 and name = $2
          order by starts_at",
    )
    .bind(package_id.0)
    .bind(name)
    .fetch_all(&mut **tx)
    .await
    .map_err(unkept)
}

/// Makes the files of a package those that are announced; what has come of them stays.
pub(super) async fn announce(
    tx: &mut Tx,
    package_id: PackageId,
    tenant: Tenant,
    files: &[AnnouncedFile],
) -> Result<(), ApiError> {
    let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
    let sizes: Vec<i64> = files.iter().map(|file| file.size_bytes.cast_signed()).collect();
    let digests: Vec<Option<&str>> = files.iter().map(|file| file.sha256.as_deref()).collect();
    sqlx::query(
        "delete from feeds.package_file f
          where f.package_id = $1
            and not exists (
              select from unnest($2::text[], $3::bigint[], $4::text[]) as a (name, size_bytes, sha256)
               where a.name = f.name
                 and a.size_bytes = f.size_bytes
                 and a.sha256 is not distinct from f.announced_sha256)",
    )
    .bind(package_id.0)
    .bind(&names)
    .bind(&sizes)
    .bind(&digests)
    .execute(&mut **tx)
    .await
    .map_err(unkept)?;
    sqlx::query(
        "insert into feeds.package_file (package_id, partner_id, name, size_bytes, announced_sha256)
         select $1, $2, a.* from unnest($3::text[], $4::bigint[], $5::text[]) as a
         on conflict do nothing",
    )
    .bind(package_id.0)
    .bind(tenant.partner_id.0)
    .bind(names)
    .bind(sizes)
    .bind(digests)
    .execute(&mut **tx)
    .await
    .map_err(unkept)?;
    Ok(())
}

/// Begins a file anew whose size only its end will tell.
pub(super) async fn expect(
    tx: &mut Tx,
    package_id: PackageId,
    tenant: Tenant,
    name: &str,
    sha256: Option<&str>,
) -> Result<(), ApiError> {
    sqlx::query("delete from feeds.package_file where package_id = $1 and name = $2")
        .bind(package_id.0)
        .bind(name)
        .execute(&mut **tx)
        .await
        .map_err(unkept)?;
    sqlx::query(
        "insert into feeds.package_file (package_id, partner_id, name, announced_sha256)
         values ($1, $2, $3, $4)",
    )
    .bind(package_id.0)
    .bind(tenant.partner_id.0)
    .bind(name)
    .bind(sha256)
    .execute(&mut **tx)
    .await
    .map_err(unkept)?;
    Ok(())
}

/// Where the sender of a part is, and where it should be.
pub(super) fn wrong_offset(received: u64) -> ApiError {
    let message = format!("{received} bytes of the file are there: go on at offset {received}");
    ApiError::new(StatusCode::CONFLICT, "feeds.package_offset_wrong", message)
}

impl Packages {
    /// Adds a part to a file, and makes the file whole when it was the last one. The sender says where the part begins:
    /// one that comes twice, or from two senders, is taken once.
    pub(super) async fn append(
        &self,
        package_id: PackageId,
        name: &str,
        starts_at: u64,
        bytes: Bytes,
    ) -> Result<FileRow, ApiError> {
        let mut tx = self.begin(&Scope::Platform).await?;
        let file = find(&mut tx, package_id, name).await?;
        commit(tx).await?;
        if file.received() != starts_at {
            return Err(wrong_offset(file.received()));
        }
        let received = starts_at + bytes.len() as u64;
        if file.size().is_some_and(|size| received > size) {
            return Err(ApiError::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "feeds.package_part_too_large",
                "the part goes beyond the announced size of the file",
            ));
        }
        let hash = resumed(file.hash_state.as_deref())?.chain_update(&bytes);
        let object = Storage::object(package_id, name, starts_at, self.foundation.ids.uuid());
        let length = bytes.len() as u64;
        self.storage.put(&object, bytes).await?;
        let is_last = file.size() == Some(received);
        match self.keep_part(package_id, &file, (&object, length), &hash, is_last).await {
            Ok(Some(file)) => Ok(file),
            Ok(None) => {
                self.storage.remove(&object).await?;
                let mut tx = self.begin(&Scope::Platform).await?;
                Err(wrong_offset(find(&mut tx, package_id, name).await?.received()))
            }
            Err(error) => Err(error),
        }
    }

    /// None where somebody else was faster, or nothing is taken any more.
    async fn keep_part(
        &self,
        package_id: PackageId,
        file: &FileRow,
        (object, length): (&str, u64),
        hash: &Sha256,
        is_last: bool,
    ) -> Result<Option<FileRow>, ApiError> {
        let sha256 = is_last.then(|| hex(&hash.clone().finalize()));
        let differs = sha256.is_some() && file.announced_sha256.is_some() && sha256 != file.announced_sha256;
        let mut tx = self.begin(&Scope::Platform).await?;
        let partner: Option<Uuid> = sqlx::query_scalar(
            "update feeds.package_file f
                set received = f.received + $4, hash_state = $5, sha256 = $6
               from feeds.package p
              where f.package_id = $1 and f.name = $2 and f.received = $3 and f.sha256 is null
                and p.package_id = f.package_id and p.state in ('UPLOADING', 'DOWNLOADING')
          returning f.partner_id",
        )
        .bind(package_id.0)
        .bind(&file.name)
        .bind(file.received)
        .bind(length.cast_signed())
        .bind(kept(hash))
        .bind(&sha256)
        .fetch_optional(&mut *tx)
        .await
        .map_err(unkept)?;
        let Some(partner) = partner else { return Ok(None) };
        if differs {
            return self.begin_anew(tx, package_id, file).await;
        }
        sqlx::query(
            "insert into feeds.package_part (package_id, name, partner_id, starts_at, bytes, object)
             values ($1, $2, $3, $4, $5, $6)",
        )
        .bind(package_id.0)
        .bind(&file.name)
        .bind(partner)
        .bind(file.received)
        .bind(length.cast_signed())
        .bind(object)
        .execute(&mut *tx)
        .await
        .map_err(unkept)?;
        // An import that gets on is not abandoned, however long it takes.
        sqlx::query("update feeds.package set changed_at = $2 where package_id = $1")
            .bind(package_id.0)
            .bind(self.foundation.clock.now())
            .execute(&mut *tx)
            .await
            .map_err(unkept)?;
        let file = find(&mut tx, package_id, &file.name).await?;
        commit(tx).await?;
        Ok(Some(file))
    }

    /// Forgets a file whose bytes are not those that were announced: nobody can tell which part is wrong.
    async fn begin_anew(
        &self,
        mut tx: Tx,
        package_id: PackageId,
        file: &FileRow,
    ) -> Result<Option<FileRow>, ApiError> {
        sqlx::query("delete from feeds.package_part where package_id = $1 and name = $2")
            .bind(package_id.0)
            .bind(&file.name)
            .execute(&mut *tx)
            .await
            .map_err(unkept)?;
        sqlx::query(
            "update feeds.package_file
                set received = 0, hash_state = null, sha256 = null
              where package_id = $1 and name = $2",
        )
        .bind(package_id.0)
        .bind(&file.name)
        .execute(&mut *tx)
        .await
        .map_err(unkept)?;
        commit(tx).await?;
        Err(wrong_checksum(&file.name))
    }

    /// Makes a file whole whose end has come without its size being known before.
    pub(super) async fn finish(&self, package_id: PackageId, name: &str) -> Result<(), ApiError> {
        let mut tx = self.begin(&Scope::Platform).await?;
        let file = find(&mut tx, package_id, name).await?;
        let sha256 = hex(&resumed(file.hash_state.as_deref())?.finalize());
        if file.announced_sha256.as_ref().is_some_and(|announced| *announced != sha256) {
            return Err(wrong_checksum(name));
        }
        sqlx::query(
            "update feeds.package_file
                set size_bytes = received, sha256 = $3
              where package_id = $1 and name = $2",
        )
        .bind(package_id.0)
        .bind(name)
        .bind(sha256)
        .execute(&mut *tx)
        .await
        .map_err(unkept)?;
        commit(tx).await
    }
}

fn wrong_checksum(name: &str) -> ApiError {
    let message = format!("the bytes of {name:?} do not have the announced SHA-256: begin again at offset 0");
    ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "feeds.package_checksum_differs", message)
}
