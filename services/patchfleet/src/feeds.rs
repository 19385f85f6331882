//! `patchfleet feeds`: looks into vendors' documents, and takes them in by hand.

mod inspection;
mod verification;
mod watching;

use anyhow::Context;
use clap::Subcommand;
use eventstore::{Database, DatabaseOptions};
use feeds::config::FeedsSettings;
use feeds::export::{Selection, open_bundle, signing_key, trusted_key, write_bundle};
use feeds::offline::{Given, Offline, Outcome};
use runtime::{Clock, Lifecycle, Settings, SystemClock};
use secrecy::ExposeSecret;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// How long tasks may take to end after the work is done.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// The command's arguments.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Say what a vendor's document holds, without a server.
    ///
    /// The format is told by the content: gz, bz2, xz and zst are unpacked first. A document that no feed would take in is
    /// refused here with the same reason and code.
    Inspect(Inspect),
    /// Take documents into the catalogue: files, folders with everything below them, and http(s) addresses.
    ///
    /// Signs in as the services do, and may run beside them. What is known already is no news: the same documents again
    /// write nothing. Each kind of document has a feed of its own for what comes by hand.
    Import(Import),
    /// Write the last documents of the platform's feeds into one signed bundle, for a site without a way to the vendors.
    ///
    /// Needs feeds.archive_folder, where the service keeps what it took in. Make a key once:
    /// `openssl genpkey -algorithm ed25519 -out key.pem; openssl pkey -in key.pem -pubout -out key.pub.pem`.
    Export(Export),
    /// Take in a bundle that was written elsewhere, after its signature and every document were verified.
    ImportBundle(ImportBundle),
}

#[derive(clap::Args)]
pub(crate) struct Inspect {
    /// The document.
    file: PathBuf,
    /// Certificates (`OpenPGP`, armoured or not): the document has to be signed by one of them.
    #[arg(long, value_name = "KEYRING")]
    keyring: Option<PathBuf>,
    /// The signature, where it is a file of its own (`Release.gpg`).
    #[arg(long, value_name = "FILE", requires = "keyring")]
    signature: Option<PathBuf>,
    /// All figures as one JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
pub(crate) struct Import {
    /// Files, folders and addresses.
    #[arg(required = true, value_name = "FILE|FOLDER|URL")]
    given: Vec<String>,
    /// One JSON object for each kind of document instead of a table.
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
pub(crate) struct Export {
    /// The bundle; no file may be there.
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// Private key that signs it (Ed25519, PKCS#8, PEM).
    #[arg(long, value_name = "KEY")]
    key: PathBuf,
    /// Only these feeds; all of the platform's without it.
    #[arg(long = "feed", value_name = "ID")]
    feeds: Vec<uuid::Uuid>,
}

#[derive(clap::Args)]
pub(crate) struct ImportBundle {
    /// The bundle.
    bundle: PathBuf,
    /// Public key of those who wrote it (Ed25519, PEM).
    #[arg(long, value_name = "KEY")]
    trust: PathBuf,
    /// One JSON object for each feed instead of a table.
    #[arg(long)]
    json: bool,
}

impl Export {
    /// Writes the bundle and says what is in it.
    pub(crate) async fn run(&self, settings: &Settings) -> anyhow::Result<()> {
        let key = signing_key(&self.key)?;
        let archive = FeedsSettings::read(settings)?.archive_folder;
        let database =
            Database::connect(settings.database.url.expose_secret(), DatabaseOptions::default()).await?;
        let selection = if self.feeds.is_empty() {
            Selection::All
        } else {
            Selection::Feeds(self.feeds.iter().map(|id| kernel::FeedId(*id)).collect())
        };
        let now = SystemClock.now();
        let manifest = write_bundle(&database, archive.as_deref(), &selection, &key, now, &self.to).await?;
        let documents: usize = manifest.feeds.iter().map(|feed| feed.documents.len()).sum();
        eprintln!("{}: {documents} documents of {} feeds", self.to.display(), manifest.feeds.len());
        Ok(())
    }
}

impl Inspect {
    /// Needs neither settings nor a server.
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let signer = match &self.keyring {
            Some(keyring) => Some(verification::run(&self.file, self.signature.as_deref(), keyring)?),
            None => None,
        };
        inspection::run(&self.file, signer.as_ref(), self.json)
    }
}

impl ImportBundle {
    /// Verifies all of the bundle, then takes it in; fails in the end if a document was refused.
    pub(crate) async fn run(&self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let trusted = trusted_key(&self.trust)?;
        let bytes_max = FeedsSettings::read(settings)?.document_bytes_max;
        let bundle = open_bundle(&self.bundle, &trusted, bytes_max)?;
        let lifecycle = Lifecycle::new();
        let offline = Offline::open(settings, &lifecycle).await?;
        let watcher = watching::Bars::new();
        let outcome = offline.import_bundle(bundle, &watcher).await;
        watcher.finish();
        lifecycle.stop.cancel();
        lifecycle.shutdown(STOP_PATIENCE).await?;
        finished(&outcome?, self.json)
    }
}

fn finished(outcome: &Outcome, json: bool) -> anyhow::Result<ExitCode> {
    watching::print(outcome, json)?;
    Ok(if outcome.refused.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Import {
    /// Takes everything in; fails in the end if a document was refused.
    pub(crate) async fn run(&self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let lifecycle = Lifecycle::new();
        let stop = lifecycle.stop.clone();
        let offline = Offline::open(settings, &lifecycle).await?;
        let given: Vec<Given> = self.given.iter().map(|text| Given::parse(text)).collect();
        let watcher = watching::Bars::new();
        let outcome = tokio::select! {
            outcome = offline.import(&given, &watcher) => outcome,
            // What was taken in stays, and the same call goes on after it.
            pressed = tokio::signal::ctrl_c() => {
                pressed.context("waiting for Ctrl-C")?;
                stop.cancel();
                anyhow::bail!("interrupted: what was taken in stays, and the same call goes on after it")
            }
        };
        watcher.finish();
        stop.cancel();
        lifecycle.shutdown(STOP_PATIENCE).await?;
        finished(&outcome?, self.json)
    }
}
