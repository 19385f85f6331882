//! A repository whose list of files has to be signed by a key of the feed's keyring.

use super::{Feeds, Place, Taken};
use crate::error::SyncError;
use crate::fetch::{FetchError, Fetched, Spooled, Validators};
use crate::import::Import;
use crate::source::{Source, SourceRefusal};
use chrono::{DateTime, Utc};
use contracts::feeds::RepositorySignature;
use feeds_documents::openpgp::{Verified, verify_clearsigned, verify_detached};
use feeds_domain::catalogue::FeedSettings;
use kernel::Refused;
use std::io::{Read, Seek};
use std::path::Path;
use web::ApiError;

/// The list with its signature around it.
const SIGNED: &str = "InRelease";
/// The list alone, as older repositories have it.
const BARE: &str = "Release";
/// The signature of the list alone.
const SIGNATURE: &str = "Release.gpg";
/// Bytes of any of them; how much of it is a text or a signature is looked at where it is verified.
const BYTES_MAX: u64 = 16 << 20;

/// Why a signed list is not believed although its signature fits, or why there is no signature.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignatureRefusal {
    /// A repository of a feed with a keyring has to be signed.
    #[error("the repository is not signed: it has neither {SIGNED} nor {SIGNATURE}")]
    Missing,
    /// The signer wanted the signature to count for some time, or the key has expired.
    #[error("the signature by {fingerprint} does not count any more since {ended_at}")]
    Expired {
        /// The signer's primary key.
        fingerprint: String,
        /// When it ended.
        ended_at: DateTime<Utc>,
    },
    /// Whoever sends it for ever hides what came later.
    #[error("the list was to be believed until {until}")]
    Outdated {
        /// The publisher's `Valid-Until`.
        until: DateTime<Utc>,
    },
}

impl Refused for SignatureRefusal {
    fn code(&self) -> &'static str {
        match self {
            Self::Missing => "feeds.signature_missing",
            Self::Expired { .. } => "feeds.signature_expired",
            Self::Outdated { .. } => "feeds.release_outdated",
        }
    }
}

/// A list of files that was verified.
struct Release {
    address: Source,
    spooled: Spooled,
    verified: Verified,
}

impl Feeds {
    /// Takes in a repository if somebody of the keyring signed its list of files, and nothing of it otherwise.
    ///
    /// The list is fetched whole each time: that an unverified one was taken in before must not be answered by "not
    /// modified".
    pub(super) async fn take_signed(
        &self,
        import: &Import<'_>,
        settings: &FeedSettings,
        keyring: &str,
        taken: &mut Taken,
    ) -> Result<(), SyncError> {
        let source = Source::parse(&settings.source)?;
        let Release { address, spooled, verified } = self.signed_release(import, &source, keyring).await?;
        let now = self.foundation.clock.now();
        let ends_at = verified.expires_at.into_iter().chain(verified.key_expires_at).min();
        let Verified { fingerprint, signed_at, .. } = verified;
        if let Some(ended_at) = ends_at.filter(|end| *end <= now) {
            return Err(SignatureRefusal::Expired { fingerprint, ended_at }.into());
        }
        taken.signature = Some(RepositorySignature::Verified { fingerprint, signed_at });
        let at = address.to_string();
        let web = matches!(address, Source::Web(_)).then_some((at.as_str(), None));
        let leads = self.take_document(import, settings, Place { name: "", web }, spooled, taken).await?;
        self.follow(import, settings, &address, leads, taken).await
    }

    async fn signed_release(
        &self,
        import: &Import<'_>,
        source: &Source,
        keyring: &str,
    ) -> Result<Release, SyncError> {
        let address = beside(source, SIGNED)?;
        if let Some(mut spooled) = self.fetch_if_there(import, &address).await? {
            let (document, keyring) = (bytes_of(&mut spooled)?, keyring.to_owned());
            let verified = verifying(move || verify_clearsigned(&document, keyring.as_bytes())).await?;
            return Ok(Release { address, spooled, verified });
        }
        let signature = self.fetch_if_there(import, &beside(source, SIGNATURE)?).await?;
        let mut signature = signature.ok_or(SignatureRefusal::Missing)?;
        let address = beside(source, BARE)?;
        let Fetched::Document(mut spooled) =
            self.fetch(import, address.clone(), &Validators::default()).await?
        else {
            return Err(SignatureRefusal::Missing.into());
        };
        let (text, signature) = (bytes_of(&mut spooled)?, bytes_of(&mut signature)?);
        let keyring = keyring.to_owned();
        let verified = verifying(move || verify_detached(&text, &signature, keyring.as_bytes())).await?;
        Ok(Release { address, spooled, verified })
    }

    /// A file of the repository, unless its source says that there is none.
    async fn fetch_if_there(
        &self,
        import: &Import<'_>,
        address: &Source,
    ) -> Result<Option<Spooled>, SyncError> {
        match self.ask(import, address.clone(), &Validators::default()).await? {
            Ok(Fetched::Document(spooled)) => Ok(Some(spooled)),
            Ok(Fetched::Unchanged | Fetched::Folder(_)) => Ok(None),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// Where a repository's file is: the feed's source is the folder that it is in, or one of its neighbours.
pub(crate) fn beside(source: &Source, name: &str) -> Result<Source, SourceRefusal> {
    let is_list = |last: &str| [SIGNED, BARE].contains(&last);
    match source {
        Source::Web(url) => {
            let last = url.path().rsplit('/').next().unwrap_or_default();
            if last.is_empty() || is_list(last) {
                source.resolve(name)
            } else {
                source.resolve(&format!("{last}/{name}"))
            }
        }
        Source::File(path) if path.file_name().and_then(|last| last.to_str()).is_some_and(is_list) => {
            source.resolve(name)
        }
        Source::File(path) => Ok(Source::File(Path::new(path).join(name))),
    }
}

/// Whether a source says that it does not have the file; storages that may not be listed answer 403.
pub(crate) fn is_absent(error: &FetchError) -> bool {
    matches!(error, FetchError::Missing { .. } | FetchError::Status { status: 403 | 404 | 410, .. })
}

fn bytes_of(spooled: &mut Spooled) -> Result<Vec<u8>, SyncError> {
    let mut bytes = Vec::new();
    let reading = (&mut spooled.file).take(BYTES_MAX + 1).read_to_end(&mut bytes);
    reading
        .and_then(|_| spooled.file.rewind())
        .map_err(|error| SyncError::from(FetchError::Spool { reason: error.to_string() }))?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(FetchError::TooLarge { limit: BYTES_MAX }.into());
    }
    Ok(bytes)
}

/// Verifies away from the threads that serve requests.
async fn verifying(
    verify: impl FnOnce() -> Result<Verified, feeds_documents::DocumentError> + Send + 'static,
) -> Result<Verified, SyncError> {
    match tokio::task::spawn_blocking(verify).await {
        Ok(verified) => Ok(verified?),
        Err(panic) => Err(SyncError::Failed(ApiError::internal(panic))),
    }
}

#[cfg(test)]
mod tests {
    use super::{BARE, SIGNATURE, SIGNED, beside};
    use crate::source::Source;

    #[test]
    fn a_list_is_in_the_folder_that_the_source_names_or_beside_the_file_that_it_names() {
        for source in ["https://deb.example/dists/wick", "https://deb.example/dists/wick/Release"] {
            let source = Source::parse(source).unwrap();
            for name in [SIGNED, BARE, SIGNATURE] {
                let at = beside(&source, name).unwrap().to_string();
                assert_eq!(at, format!("https://deb.example/dists/wick/{name}"));
            }
        }
        for source in ["dists/wick", "dists/wick/", "dists/wick/InRelease"] {
            let source = Source::parse(source).unwrap();
            assert_eq!(beside(&source, SIGNATURE).unwrap().to_string(), "dists/wick/Release.gpg");
        }
        let root = Source::parse("https://deb.example").unwrap();
        assert_eq!(beside(&root, SIGNED).unwrap().to_string(), "https://deb.example/InRelease");
    }
}
