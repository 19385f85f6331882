//! Where the bytes of packages lie: a folder of this machine, or a bucket of an S3-compatible storage.

use bytes::Bytes;
use futures_util::StreamExt;
use kernel::PackageId;
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use url::Url;
use web::ApiError;

/// What a client is told while the storage does not do its part.
const UNAVAILABLE: &str = "feeds.package_storage_unavailable";

/// Why the storage cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StorageError {
    /// Neither a folder nor a bucket.
    #[error("feeds.packages_url {location:?} is neither a folder nor an s3:// address")]
    Location {
        /// What was given.
        location: String,
    },
    /// The storage refuses its settings.
    #[error("the storage at feeds.packages_url cannot be used")]
    Store(#[from] object_store::Error),
}

/// The bytes of all packages.
#[derive(Clone)]
pub(crate) struct Storage {
    place: Arc<Place>,
    prefix: Path,
}

enum Place {
    /// Made when the first bytes come: an installation without packages has no folder for them.
    Folder(PathBuf, OnceLock<LocalFileSystem>),
    Bucket(Box<dyn ObjectStore>),
}

impl Storage {
    /// Opens a folder (`packages`, `/var/lib/patchfleet/packages`, `file:///…`) or a bucket (`s3://bucket/prefix`).
    pub(crate) fn open(location: &str) -> Result<Self, StorageError> {
        let unknown = || StorageError::Location { location: location.to_owned() };
        let folder = |folder| Place::Folder(folder, OnceLock::new());
        let (place, prefix) = match location.split_once("://") {
            None => (folder(location.into()), Path::default()),
            Some(("file", _)) => {
                let url = Url::parse(location).map_err(|_malformed| unknown())?;
                (folder(url.to_file_path().map_err(|()| unknown())?), Path::default())
            }
            Some(("s3", _)) => {
                let url = Url::parse(location).map_err(|_malformed| unknown())?;
                let bucket = url.host_str().ok_or_else(unknown)?;
                // Credentials, region and address as every tool for S3 takes them.
                return Self::bucket(AmazonS3Builder::from_env(), bucket, url.path());
            }
            Some(_) => return Err(unknown()),
        };
        Ok(Self { place: Arc::new(place), prefix })
    }

    fn bucket(access: AmazonS3Builder, bucket: &str, prefix: &str) -> Result<Self, StorageError> {
        // Its client takes the process's TLS provider.
        runtime::http::install_tls_provider();
        let store = access.with_bucket_name(bucket).build()?;
        let prefix = Path::parse(prefix.trim_matches('/')).map_err(object_store::Error::from)?;
        Ok(Self { place: Arc::new(Place::Bucket(Box::new(store))), prefix })
    }

    fn store(&self) -> Result<&dyn ObjectStore, ApiError> {
        let (folder, opened) = match self.place.as_ref() {
            Place::Bucket(store) => return Ok(store.as_ref()),
            Place::Folder(folder, opened) => (folder, opened),
        };
        if opened.get().is_none() {
            let failed = |error: std::io::Error| ApiError::unavailable(UNAVAILABLE, error);
            std::fs::create_dir_all(folder).map_err(failed)?;
            let store = LocalFileSystem::new_with_prefix(folder).map_err(unavailable)?;
            // Who was faster opened the same folder.
            let _ = opened.set(store.with_automatic_cleanup(true));
        }
        opened.get().map(|store| store as &dyn ObjectStore).ok_or_else(|| ApiError::internal("no folder"))
    }

    /// The name of an object of a package: each has a prefix of its own.
    pub(super) fn object(package_id: PackageId, name: &str, starts_at: u64, id: uuid::Uuid) -> String {
        format!("packages/{package_id}/{name}/{starts_at:015}-{}", id.simple())
    }

    pub(super) async fn put(&self, object: &str, bytes: Bytes) -> Result<(), ApiError> {
        let path = self.path(object)?;
        self.store()?.put(&path, PutPayload::from_bytes(bytes)).await.map_err(unavailable)?;
        Ok(())
    }

    pub(super) async fn get(&self, object: &str, range: Range<u64>) -> Result<Bytes, ApiError> {
        let path = self.path(object)?;
        self.store()?.get_range(&path, range).await.map_err(unavailable)
    }

    /// Removes an object; one that is not there is removed already.
    pub(super) async fn remove(&self, object: &str) -> Result<(), ApiError> {
        match self.store()?.delete(&self.path(object)?).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(unavailable(error)),
        }
    }

    /// Removes everything of a package.
    pub(super) async fn remove_package(&self, package_id: PackageId) -> Result<(), ApiError> {
        let prefix = self.path(&format!("packages/{package_id}"))?;
        let store = self.store()?;
        let mut found = store.list(Some(&prefix));
        while let Some(object) = found.next().await {
            let location = object.map_err(unavailable)?.location;
            match store.delete(&location).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(unavailable(error)),
            }
        }
        Ok(())
    }

    fn path(&self, object: &str) -> Result<Path, ApiError> {
        // Parsed, so that a part of a path that leads elsewhere is refused and not made harmless.
        let below = Path::parse(object).map_err(ApiError::internal)?;
        Ok(self.prefix.parts().chain(below.parts()).collect())
    }
}

fn unavailable(error: object_store::Error) -> ApiError {
    ApiError::unavailable(UNAVAILABLE, error)
}

#[cfg(test)]
mod bucket;

#[cfg(test)]
mod tests {
    use super::bucket::Bucket;
    use super::{Storage, StorageError};
    use bytes::Bytes;
    use kernel::PackageId;
    use object_store::aws::AmazonS3Builder;
    use uuid::Uuid;

    const ID: PackageId = PackageId(Uuid::from_u128(1));

    #[tokio::test]
    async fn a_folder_keeps_objects_and_loses_those_of_one_package_only() {
        let folder = tempfile::tempdir().unwrap();
        keeps_and_loses(&Storage::open(folder.path().join("new/packages").to_str().unwrap()).unwrap()).await;
    }

    #[tokio::test]
    async fn a_bucket_keeps_objects_and_loses_those_of_one_package_only() {
        let bucket = Bucket::serve("patchfleet");
        let access = AmazonS3Builder::new()
            .with_endpoint(bucket.url.clone())
            .with_allow_http(true)
            .with_region("eu-test-1")
            .with_access_key_id("AKIATEST")
            .with_secret_access_key("secret");
        let storage = Storage::bucket(access, "patchfleet", "/stored/here").unwrap();
        keeps_and_loses(&storage).await;
        let asked = bucket.asked();
        for (method, path) in
            [("PUT", "/stored/here/packages/"), ("GET", "/stored/here/packages/"), ("POST", "?delete")]
        {
            let wanted = format!("{method} /patchfleet{path}");
            assert!(asked.iter().any(|line| line.starts_with(&wanted)), "{wanted} is not in {asked:?}");
        }
        assert!(bucket.keys().is_empty(), "{:?}", bucket.keys());
    }

    async fn keeps_and_loses(storage: &Storage) {
        let [own, other] =
            [ID, PackageId(Uuid::from_u128(2))].map(|id| Storage::object(id, "Update (1).zip", 7, id.0));
        for object in [&own, &other] {
            storage.put(object, Bytes::from_static(b"0123456789")).await.unwrap();
        }
        assert_eq!(storage.get(&own, 2..5).await.unwrap(), "234");
        storage.remove_package(ID).await.unwrap();
        assert_eq!(storage.get(&own, 0..1).await.unwrap_err().code, "feeds.package_storage_unavailable");
        assert_eq!(storage.get(&other, 0..10).await.unwrap(), "0123456789");
        storage.remove(&other).await.unwrap();
        storage.remove(&other).await.unwrap();
    }

    #[tokio::test]
    async fn no_object_lies_outside_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::open(folder.path().to_str().unwrap()).unwrap();
        for object in ["packages/../x", "../x", "packages//x"] {
            assert!(storage.put(object, Bytes::from_static(b"x")).await.is_err(), "{object}");
        }
        assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none());
    }

    #[test]
    fn a_location_is_a_folder_or_a_bucket() {
        let folder = tempfile::tempdir().unwrap();
        let url = url::Url::from_directory_path(folder.path()).unwrap();
        assert!(Storage::open(url.as_str()).is_ok());
        let bucket = Storage::open("s3://patchfleet/stored/here").unwrap();
        assert_eq!(bucket.path("packages/1/a/2").unwrap().as_ref(), "stored/here/packages/1/a/2");
        for location in ["ftp://x/y", "s3://", "file://other-machine/x"] {
            assert!(matches!(Storage::open(location), Err(StorageError::Location { .. })), "{location}");
        }
    }
}
