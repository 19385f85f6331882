//! Documents that somebody has at hand, taken in without a source: files, folders and addresses from the command line.
//!
//! Every kind of document has a feed of its own for them, registered when the first one arrives, so that each patch says
//! where it came from.

mod bundled;

use crate::archive::Archive;
use crate::config::FeedsSettings;
use crate::error::SyncError;
use crate::fetch::{self, Fetched, Fetcher, Spooled, Validators};
use crate::import::{Import, Watcher};
use crate::source::Source;
use crate::sync::{Feeds, PAGES_MAX, Place, Taken, read_document};
use crate::syncs::{self, Ended, SyncId};
use anyhow::{Context, bail};
use contracts::feeds::{FeedFormat, FeedKind, ImportReport};
use contracts::{NAMESPACE, Service};
use eventstore::Target;
use feeds_documents::Options;
use feeds_domain::catalogue::{Feed, FeedCommand, FeedSettings, FeedState, LastSync};
use foundation::Foundation;
use kernel::{Actor, Cause, CommandId, FeedId, Scope, StreamId, Tenant};
use runtime::{Lifecycle, Settings};
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};

/// What the sources of feeds begin with whose documents come by hand.
const BY_HAND: &str = "by-hand/";
/// Files that one call takes in.
const FILES_MAX: usize = 100_000;

/// What is at hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Given {
    /// A file, or a folder with everything below it.
    Path(PathBuf),
    /// An http(s) address.
    Web(String),
}

impl Given {
    /// Reads an argument of a command line.
    pub fn parse(text: &str) -> Self {
        if text.starts_with("http://") || text.starts_with("https://") {
            Self::Web(text.to_owned())
        } else {
            Self::Path(text.into())
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Path(path) => path.display().to_string(),
            Self::Web(url) => url.clone(),
        }
    }
}

/// What became of the documents of one kind.
#[derive(Debug)]
pub struct Imported {
    /// The kind of feed.
    pub format: FeedFormat,
    /// What came of all of its documents together.
    pub report: ImportReport,
}

/// What became of all documents.
#[derive(Debug, Default)]
pub struct Outcome {
    /// By kind of document.
    pub imported: Vec<Imported>,
    /// Documents that were refused, each with its reason.
    pub refused: Vec<String>,
}

/// Takes documents in by hand.
pub struct Offline {
    feeds: Feeds,
}

/// The feed of one kind of document, while documents are taken in for it.
struct OpenFeed {
    format: FeedFormat,
    last_sync: LastSync,
    sync: SyncId,
    cause: Cause,
    taken: Taken,
    /// Whether a document that has the name of another one is its next issue.
    by_name: bool,
}

impl Offline {
    /// Signs in as the service does.
    pub async fn open(settings: &Settings, lifecycle: &Lifecycle) -> anyhow::Result<Self> {
        let config = FeedsSettings::read(settings)?;
        let fetcher = Fetcher::new(&config, settings.environment)?;
        let foundation = Foundation::lay(Service::Feeds, settings, lifecycle).await?;
        let archive = config.archive_folder.clone().map(Archive::new);
        Ok(Self { feeds: Feeds::new(foundation, fetcher, archive) })
    }

    /// Takes in everything that is given; a document that is refused holds up no other.
    pub async fn import(&self, given: &[Given], watcher: &dyn Watcher) -> anyhow::Result<Outcome> {
        let mut waiting = VecDeque::from(listed(given)?);
        let mut found = waiting.len();
        watcher.found(found);
        let mut open: BTreeMap<String, OpenFeed> = BTreeMap::new();
        let mut outcome = Outcome::default();
        // A list that leads in circles is read once.
        let mut pages: HashSet<String> = HashSet::new();
        while let Some(given) = waiting.pop_front() {
            let name = given.name();
            watcher.reading(&name);
            match self.take(&given, &mut open, watcher).await {
                Ok(Some(next)) if pages.len() < PAGES_MAX => {
                    if pages.insert(next.name()) {
                        found += 1;
                        watcher.found(found);
                        self.feeds.pause_between_pages().await.map_err(|error| match error {
                            SyncError::Refused { reason, .. } => anyhow::anyhow!(reason),
                            SyncError::Failed(error) => anyhow::anyhow!("{error}"),
                        })?;
                        waiting.push_front(next);
                    }
                }
                Ok(Some(_)) => {
                    outcome.refused.push(format!("{name}: there are more pages than any list has"));
                }
                Ok(None) => {}
                Err(SyncError::Refused { reason, .. }) => outcome.refused.push(format!("{name}: {reason}")),
                // Whoever sits at this machine may see what lies below, which a client may not.
                Err(SyncError::Failed(error)) => bail!("{name}: {}", error.chain()),
            }
            watcher.done();
        }
        for feed in open.into_values() {
            outcome.imported.push(self.close(feed).await?);
        }
        Ok(outcome)
    }

    /// Takes in one document; answers with the next page, where it is one of several.
    async fn take(
        &self,
        given: &Given,
        open: &mut BTreeMap<String, OpenFeed>,
        watcher: &dyn Watcher,
    ) -> Result<Option<Given>, SyncError> {
        let Spooled { file, sha256, .. } = self.spooled(given).await?;
        let received_on = self.feeds.foundation.clock.now().date_naive();
        // The feed is known when the document is read, and the patches name it then.
        let options = Options { feed_id: FeedId(uuid::Uuid::nil()), received_on, figures: false };
        let read = read_document(file, options, Tenant::PLATFORM.partner_id).await?;
        let format = read.format.feed();
        let word = format!("{format:?}");
        if !open.contains_key(&word) {
            open.insert(word.clone(), self.open_feed(format).await?);
        }
        let Some(feed) = open.get_mut(&word) else { return Ok(None) };
        let by_name = feed.by_name;
        let import = Import { watcher: Some(watcher), by_name, ..self.import_for(feed.sync, &feed.cause) };
        let name = given.name();
        let read = read.for_feed(feed.sync.feed_id, sha256);
        let place = Place { name: &name, web: None };
        let leads = self.feeds.take_read(&import, place, read, &mut feed.taken).await?;
        let (Given::Web(url), Some(first)) = (given, leads.next_page) else { return Ok(None) };
        Ok(Source::parse(url)?.page_from(first).map(|next| Given::Web(next.to_string())))
    }

    async fn spooled(&self, given: &Given) -> Result<Spooled, SyncError> {
        match given {
            Given::Path(path) => Ok(fetch::spool_file(path, self.feeds.fetcher.bytes_max()).await?),
            Given::Web(url) => {
                match self.feeds.fetcher.fetch(Source::parse(url)?, &Validators::default()).await? {
                    Fetched::Document(spooled) => Ok(spooled),
                    Fetched::Unchanged | Fetched::Folder(_) => Err(SyncError::stopping()),
                }
            }
        }
    }

    /// The feed for documents of this kind that come by hand.
    async fn open_feed(&self, format: FeedFormat) -> Result<OpenFeed, SyncError> {
        let feed_id = FeedId::derived(NAMESPACE, &format!("feed by hand/{format:?}"));
        let settings = FeedSettings {
            name: format!("Imported by hand ({format:?})"),
            kind: kind_of(format),
            format,
            source: format!("{BY_HAND}{format:?}"),
            schedule: None,
            publisher: None,
            keyring: None,
        };
        self.register(feed_id, settings).await?;
        self.opened(feed_id, format).await
    }

    async fn register(&self, feed_id: FeedId, settings: FeedSettings) -> Result<(), SyncError> {
        let foundation = &self.feeds.foundation;
        let target = Target {
            scope: &Scope::Platform,
            tenant: Tenant::PLATFORM,
            stream_id: StreamId(feed_id.0),
            cause: &by_hand(CommandId::derived(feed_id.0, "register")),
            occurred_at: None,
        };
        let store = &foundation.store;
        let mut tx = foundation.database.begin(&Scope::Platform).await?;
        let register = FeedCommand::Register { feed_id, settings, by_partner: false };
        let committed = store.execute_in::<Feed>(&mut tx, target, register).await;
        let committed = committed.map_err(|error| SyncError::Failed(foundation::failed(error)))?;
        let state = store.load_in::<Feed>(&mut tx, &Scope::Platform, target.stream_id).await?;
        let owner = Tenant::PLATFORM.partner_id;
        syncs::remember_feed(&mut tx, feed_id, owner, &state, committed.pos).await?;
        Ok(tx.commit().await?)
    }

    /// A registered feed, ready to take documents in.
    async fn opened(&self, feed_id: FeedId, format: FeedFormat) -> Result<OpenFeed, SyncError> {
        let foundation = &self.feeds.foundation;
        let (state, _) = foundation.store.load::<Feed>(&Scope::Platform, StreamId(feed_id.0)).await?;
        let (last_sync, by_name) = match state {
            FeedState::Registered { last_sync, settings, .. } => {
                (last_sync, !settings.source.starts_with(BY_HAND))
            }
            FeedState::Unknown => (LastSync::Never, false),
        };
        let command_id = CommandId(foundation.ids.uuid());
        let (cause, sync) = (by_hand(command_id), SyncId { command_id, feed_id });
        Ok(OpenFeed { format, last_sync, sync, cause, taken: Taken::default(), by_name })
    }

    async fn close(&self, feed: OpenFeed) -> anyhow::Result<Imported> {
        let OpenFeed { format, last_sync, sync, cause, taken, by_name: _ } = feed;
        let import = self.import_for(sync, &cause);
        let closed = async {
            self.feeds.tell_each_other(&import).await?;
            self.feeds.complete(&import, taken, &last_sync).await
        };
        match closed.await {
            Ok(Ended::Completed { report, .. }) => Ok(Imported { format, report }),
            Ok(Ended::Refused { reason, .. }) | Err(SyncError::Refused { reason, .. }) => bail!("{reason}"),
            Err(SyncError::Failed(error)) => bail!("{error}"),
        }
    }

    fn import_for<'a>(&'a self, sync: SyncId, cause: &'a Cause) -> Import<'a> {
        Import {
            store: &self.feeds.foundation.store,
            sync,
            cause,
            stop: &self.feeds.foundation.lifecycle.stop,
            owner: Tenant::PLATFORM.partner_id,
            watcher: None,
            by_name: true,
        }
    }
}

/// The cause of what somebody does at a terminal.
fn by_hand(command_id: CommandId) -> Cause {
    Cause {
        command_id,
        correlation_id: kernel::CorrelationId(command_id.0),
        causation_id: None,
        actor: Actor::system("feeds import"),
        traceparent: None,
    }
}

/// Who stands behind documents of a kind.
fn kind_of(format: FeedFormat) -> FeedKind {
    match format {
        FeedFormat::Csaf
        | FeedFormat::Osv
        | FeedFormat::Kev
        | FeedFormat::Epss
        | FeedFormat::Nvd
        | FeedFormat::Cve
        | FeedFormat::Wesng
        | FeedFormat::DellCatalog
        | FeedFormat::LenovoCatalog => FeedKind::PackageProvider,
        FeedFormat::DebianDsaList
        | FeedFormat::DebianTracker
        | FeedFormat::MsrcCvrf
        | FeedFormat::MsrcDeployment
        | FeedFormat::WsusExport
        | FeedFormat::DebianRepository
        | FeedFormat::Oval
        | FeedFormat::UbuntuUsnDatabase
        | FeedFormat::UbuntuNotices
        | FeedFormat::RpmRepository
        | FeedFormat::AlpineSecdb
        | FeedFormat::AzureStackUpdates => FeedKind::OsVendor,
    }
}

/// Every document that is given, those of a folder by name.
fn listed(given: &[Given]) -> anyhow::Result<Vec<Given>> {
    let mut all = Vec::new();
    for given in given {
        match given {
            Given::Path(path) if path.is_dir() => walk(path, &mut all)?,
            Given::Path(path) if !path.exists() => bail!("there is no file {}", path.display()),
            Given::Path(_) | Given::Web(_) => all.push(given.clone()),
        }
    }
    Ok(all)
}

fn walk(folder: &Path, all: &mut Vec<Given>) -> anyhow::Result<()> {
    let reading = || format!("reading the folder {}", folder.display());
    let mut entries =
        folder.read_dir().with_context(reading)?.collect::<Result<Vec<_>, _>>().with_context(reading)?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        // Not through links: one may lead back here.
        let kind = entry.file_type().with_context(reading)?;
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        if kind.is_dir() {
            walk(&entry.path(), all)?;
        } else if kind.is_file() {
            if all.len() >= FILES_MAX {
                bail!("there are more than {FILES_MAX} files: import them in parts");
            }
            all.push(Given::Path(entry.path()));
        }
    }
    Ok(())
}
