//! Synchronises a feed: fetch, read, take in, record. What breaks off goes on with the same command, and what was
//! finished answers as the first time.

mod follow;
mod record;
mod release;

pub(crate) use follow::{Leads, PAGES_MAX};
pub(crate) use release::{SignatureRefusal, beside, is_absent};

use crate::archive::Archive;
use crate::documents::{self, Address, DocumentKey};
use crate::error::SyncError;
use crate::fetch::{FetchError, Fetched, Fetcher, Spooled, Validators};
use crate::import::{Found, Import, hex, prepared};
use crate::source::Source;
use crate::syncs::{self, Ended, SyncId};
use crate::vanishing::Vanished;
use chrono::{DateTime, Utc};
use contracts::Accepted;
use contracts::feeds::{ImportReport, RepositorySignature};
use eventstore::StoreError;
use feeds_documents::contents::{Contents, Link};
use feeds_documents::limits::QUARANTINED_MAX;
use feeds_documents::{DocumentError, Format, Options, read};
use feeds_domain::catalogue::{Feed, FeedCommand, FeedRefusal, FeedSettings, FeedState, Issue};
use foundation::{Foundation, store_failed};
use kernel::{Aggregate, Cause, FeedId, PartnerId, Scope, StreamId, Tenant};
use std::convert::Infallible;
use std::sync::Arc;
use tokio::sync::{Mutex, oneshot};
use tracing::Instrument;
use web::ApiError;

/// Documents of a folder.
const FOLDER_FILES_MAX: usize = 50_000;

/// The service at work.
#[derive(Clone)]
pub(crate) struct Feeds {
    pub(crate) foundation: Foundation,
    pub(crate) fetcher: Arc<Fetcher>,
    pub(crate) archive: Option<Archive>,
    /// One document at a time: it may be large, and a repeated command waits here for the answer to the first.
    one_at_a_time: Arc<Mutex<()>>,
}

/// A document as it was read, ready to be taken in.
pub(crate) struct Read {
    /// The document itself, for the archive.
    file: std::io::Result<std::fs::File>,
    pub(crate) format: Format,
    sha256: [u8; 32],
    validators: Validators,
    found: Vec<Found>,
    contents: Contents,
    /// Patches that the database cannot hold.
    unfit: Vec<String>,
}

impl Read {
    /// The same for another feed than it was read for, with the SHA-256 of the document.
    pub(crate) fn for_feed(mut self, feed_id: FeedId, sha256: [u8; 32]) -> Self {
        self.sha256 = sha256;
        self.found = self.found.into_iter().filter_map(|found| found.for_feed(feed_id)).collect();
        self
    }
}

/// What was taken in.
#[derive(Default)]
pub(crate) struct Taken {
    /// Of the first document.
    sha256: Option<String>,
    date: Option<DateTime<Utc>>,
    /// Patches that were published, revised or as they were.
    described: usize,
    quarantined: Vec<String>,
    refused: Vec<String>,
    documents: u32,
    new_documents: bool,
    /// Who signed the list of a repository's files.
    signature: Option<RepositorySignature>,
}

impl Taken {
    fn quarantine(&mut self, reasons: impl IntoIterator<Item = String>) {
        self.quarantined.extend(reasons.into_iter().map(|reason| reason.replace('\0', "\u{fffd}")));
        // The line that counts the rest is one more.
        self.quarantined.truncate(QUARANTINED_MAX + 1);
    }

    fn refuse(&mut self, what: &str, reason: &str) {
        if self.refused.len() < QUARANTINED_MAX {
            self.refused.push(format!("{what}: {reason}").replace('\0', "\u{fffd}"));
        }
    }
}

/// Where a document was found.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    /// Its name where its publisher gives it none.
    pub(crate) name: &'a str,
    /// Its web address, and what another document said of it.
    pub(crate) web: Option<(&'a str, Option<&'a Link>)>,
}

impl Feeds {
    pub(crate) fn new(foundation: Foundation, fetcher: Fetcher, archive: Option<Archive>) -> Self {
        Self { foundation, fetcher: Arc::new(fetcher), archive, one_at_a_time: Arc::default() }
    }

    /// Synchronises the feed, to its end even when the one who asked does not wait that long.
    pub(crate) async fn sync_to_the_end(
        self,
        cause: Cause,
        feed_id: FeedId,
        owner: PartnerId,
    ) -> Result<Accepted<ImportReport>, ApiError> {
        let (tell, told) = oneshot::channel();
        let lifecycle = self.foundation.lifecycle.clone();
        let work = async move {
            // Nobody may be waiting any more: the answer stands in the database.
            let _ = tell.send(self.sync(&cause, feed_id, owner).await);
            Ok::<_, Infallible>(())
        };
        lifecycle.spawn("feeds sync", work.in_current_span());
        told.await.unwrap_or_else(|gone| Err(ApiError::internal(gone)))
    }

    async fn sync(
        &self,
        cause: &Cause,
        feed_id: FeedId,
        owner: PartnerId,
    ) -> Result<Accepted<ImportReport>, ApiError> {
        let _one = self.one_at_a_time.lock().await;
        let sync = SyncId { command_id: cause.command_id, feed_id };
        if let Some(ended) = self.ended(sync).await.map_err(store_failed)? {
            return ended.answer(true);
        }
        let store = &self.foundation.store;
        let (state, _) =
            store.load::<Feed>(&Scope::Platform, StreamId(feed_id.0)).await.map_err(store_failed)?;
        let FeedState::Registered { settings, last_sync, .. } = &state else {
            return Err(ApiError::refused(&FeedRefusal::Unknown));
        };
        let stop = &self.foundation.lifecycle.stop;
        let import = Import { store, sync, cause, stop, owner, watcher: None, by_name: true };
        let outcome = match self.take_in(&import, &state, settings).await {
            Ok(taken) => self.complete(&import, taken, last_sync).await,
            Err(error) => Err(error),
        };
        let ended = match outcome {
            Err(SyncError::Refused { code, reason }) => self.refuse(&import, code, reason).await?,
            outcome => outcome?,
        };
        ended.answer(false)
    }

    async fn ended(&self, sync: SyncId) -> Result<Option<Ended>, StoreError> {
        let mut tx = self.foundation.database.begin(&Scope::Platform).await?;
        syncs::ended(&mut tx, sync).await
    }

    /// Everything but the record of it.
    async fn take_in(
        &self,
        import: &Import<'_>,
        state: &FeedState,
        settings: &FeedSettings,
    ) -> Result<Taken, SyncError> {
        Feed::decide(state, FeedCommand::Examine)?;
        let mut taken = Taken::default();
        if let Some(keyring) = &settings.keyring {
            self.take_signed(import, settings, keyring, &mut taken).await?;
            self.tell_each_other(import).await?;
            return Ok(taken);
        }
        let source = Source::parse(&settings.source)?;
        let address = match &source {
            Source::Web(url) => self.address(import, url.as_str()).await?,
            Source::File(_) => Address::default(),
        };
        match self.fetch(import, source.clone(), &address.validators).await? {
            Fetched::Unchanged => {}
            Fetched::Folder(files) => self.take_folder(import, settings, &files, &mut taken).await?,
            Fetched::Document(spooled) => {
                let web = match &source {
                    Source::Web(url) => Some((url.as_str(), None)),
                    Source::File(_) => None,
                };
                let leads = self
                    .take_document(import, settings, Place { name: "", web }, spooled, &mut taken)
                    .await?;
                self.follow(import, settings, &source, leads, &mut taken).await?;
            }
        }
        self.tell_each_other(import).await?;
        Ok(taken)
    }

    /// Whichever of the documents came first: what one knows of what the others describe is told now.
    pub(crate) async fn tell_each_other(&self, import: &Import<'_>) -> Result<(), SyncError> {
        let document = DocumentKey { feed_id: import.sync.feed_id, name: "" };
        import.apply_ratings(document).await?;
        if import.owner == Tenant::PLATFORM.partner_id {
            import.apply_predictions().await?;
        }
        Ok(())
    }

    async fn fetch(
        &self,
        import: &Import<'_>,
        source: Source,
        known: &Validators,
    ) -> Result<Fetched, SyncError> {
        Ok(self.ask(import, source, known).await??)
    }

    /// What a source answers, unless the service is stopping.
    async fn ask(
        &self,
        import: &Import<'_>,
        source: Source,
        known: &Validators,
    ) -> Result<Result<Fetched, FetchError>, SyncError> {
        tokio::select! {
            fetched = self.fetcher.fetch(source, known) => Ok(fetched),
            () = import.stop.cancelled() => Err(SyncError::stopping()),
        }
    }

    async fn address(&self, import: &Import<'_>, address: &str) -> Result<Address, SyncError> {
        let mut tx = import.begin().await?;
        let wanted = [address.to_owned()];
        let mut known = documents::addresses(&mut tx, import.sync.feed_id, &wanted).await?;
        Ok(known.remove(address).unwrap_or_default())
    }

    /// Takes in every file of a folder: one that is refused is named and does not hold up the others.
    async fn take_folder(
        &self,
        import: &Import<'_>,
        settings: &FeedSettings,
        files: &[std::path::PathBuf],
        taken: &mut Taken,
    ) -> Result<(), SyncError> {
        let mut first_refusal = None;
        for file in files.iter().take(FOLDER_FILES_MAX) {
            let name = file.to_string_lossy();
            let outcome = match self.fetch(import, Source::File(file.clone()), &Validators::default()).await {
                Ok(Fetched::Document(spooled)) => {
                    let place = Place { name: &name, web: None };
                    self.take_document(import, settings, place, spooled, taken).await.map(drop)
                }
                Ok(Fetched::Unchanged | Fetched::Folder(_)) => Ok(()),
                Err(error) => Err(error),
            };
            match outcome {
                Err(SyncError::Refused { code, reason }) => {
                    taken.refuse(&name, &reason);
                    first_refusal
                        .get_or_insert(SyncError::Refused { code, reason: format!("{name}: {reason}") });
                }
                outcome => outcome?,
            }
        }
        match first_refusal {
            Some(refusal) if taken.documents == 0 => Err(refusal),
            Some(_) | None => Ok(()),
        }
    }

    /// Takes in one document; answers with what it leads to.
    async fn take_document(
        &self,
        import: &Import<'_>,
        settings: &FeedSettings,
        place: Place<'_>,
        spooled: Spooled,
        taken: &mut Taken,
    ) -> Result<Leads, SyncError> {
        let Spooled { file, sha256, validators } = spooled;
        let received_on = self.foundation.clock.now().date_naive();
        let options = Options { feed_id: import.sync.feed_id, received_on, figures: false };
        let read = read_document(file, options, import.owner).await?;
        if read.format.feed() != settings.format {
            let expected = settings.format;
            return Err(DocumentError::UnexpectedFormat { expected, found: read.format }.into());
        }
        // Without a keyring anybody could have written the date.
        if settings.keyring.is_some()
            && let Some(until) =
                read.contents.valid_until.filter(|until| *until < self.foundation.clock.now())
        {
            return Err(SignatureRefusal::Outdated { until }.into());
        }
        self.take_read(import, place, Read { sha256, validators, ..read }, taken).await
    }

    /// Takes in a document that was read; answers with what it leads to.
    pub(crate) async fn take_read(
        &self,
        import: &Import<'_>,
        place: Place<'_>,
        read: Read,
        taken: &mut Taken,
    ) -> Result<Leads, SyncError> {
        let Read { file, format, sha256, validators, found, mut contents, unfit } = read;
        let mut leads = Leads::of(&mut contents, format, place);
        let feed_id = import.sync.feed_id;
        if format == Format::DebianRelease {
            taken.signature.get_or_insert(RepositorySignature::NotVerified);
        }
        let left_out = contents.quarantined_count() + unfit.len();
        taken.quarantine(contents.quarantined);
        taken.quarantine(unfit);
        let id = contents.document_id.as_ref().filter(|id| !id.contains('\0') && !format.numbers_issues());
        let name = id.map_or(place.name, String::as_str);
        let document = DocumentKey { feed_id, name };
        let issue = Issue { sha256, date: contents.document_date, records: contents.records as u64 };
        taken.new_documents |= import.examine(document, &issue, format.lists_all()).await?;

        let vanished = if format.lists_all_patches() {
            import.vanished(document, &found, left_out).await?
        } else {
            Vanished::default()
        };
        let withdrawn = import.publish_all(document, &found).await?;
        taken.described += found.len() - withdrawn.len();
        taken.quarantine(withdrawn.into_iter().map(|id| format!("{id}: was withdrawn by its publisher")));
        import.withdraw_all(document, &contents.withdrawn).await?;
        import.withdraw_vanished(document, &vanished).await?;
        taken.quarantine(vanished.doubt);
        if leads.are_deleted {
            import.withdraw_deleted(document, std::mem::take(&mut leads.links)).await?;
        }
        if import.owner == Tenant::PLATFORM.partner_id {
            import.describe_all(document, contents.vulnerabilities, contents.is_whole_kev).await?;
            // An empty list takes all of them back.
            if format == Format::DebianTracker {
                import.keep_ratings(contents.ratings).await?;
            }
        } else if !contents.vulnerabilities.is_empty() {
            taken.quarantine([
                "what a partner's feed says of vulnerabilities is not for everybody".to_owned()
            ]);
        }
        if import.owner == Tenant::PLATFORM.partner_id {
            self.archive(file, sha256).await;
        }
        let from = place.web.map(|(address, link)| (address, &validators, link));
        import.taken_in(document, &issue, left_out, from).await?;
        taken.documents += 1;
        if taken.sha256.is_none() {
            taken.sha256 = Some(hex(&sha256));
            taken.date = contents.document_date;
        }
        Ok(leads)
    }
}

/// Reads a document away from the threads that serve requests: it may be large, and hostile.
pub(crate) async fn read_document(
    file: std::fs::File,
    options: Options,
    owner: PartnerId,
) -> Result<Read, SyncError> {
    let copy = file.try_clone();
    let reading = tokio::task::spawn_blocking(move || {
        let document = read(file, options)?;
        let mut contents = document.contents;
        let (found, unfit) = prepared(std::mem::take(&mut contents.patches), owner);
        // Postgres text cannot hold NUL, and nobody means it.
        contents
            .vulnerabilities
            .retain(|facts| facts.epss.is_some() || !format!("{facts:?}").contains("\\0"));
        contents
            .withdrawn
            .retain(|taken| !taken.vendor_patch_id.contains('\0') && !taken.reason.contains('\0'));
        let (format, validators) = (document.format, Validators::default());
        Ok::<_, DocumentError>(Read {
            file: copy,
            format,
            sha256: [0; 32],
            validators,
            found,
            contents,
            unfit,
        })
    });
    match reading.await {
        Ok(read) => Ok(read?),
        Err(panic) => Err(SyncError::Failed(ApiError::internal(panic))),
    }
}
