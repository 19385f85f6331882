//! From a site with a way to the vendors to one without.

use crate::system::{System, operator, register};
use crate::vendor::{Reply, serve_in_turn};
use crate::{LIST, OCTOBER};
use contracts::feeds::FeedFormat::{self, DebianDsaList, MsrcCvrf};
use contracts::feeds::RegisterFeed;
use ed25519_dalek::SigningKey;
use feeds::export::{ExportError, Manifest, Selection, open_bundle, write_bundle};
use feeds::offline::{Offline, Outcome};
use kernel::FeedId;
use runtime::Lifecycle;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use testkit::{eventually, id};

const BYTES_MAX: u64 = 10_000_000;
const PATCHES: &str = "select facts ->> 'vendor_patch_id' || ' ' || state from feeds.patch order by 1";
const FEEDS: &str = "select name || ' ' || kind || ' ' || format || ' ' || source from feeds.feed order by 1";

/// Counts the documents that were found and those that are done.
#[derive(Default)]
struct Counter {
    found: AtomicUsize,
    done: AtomicUsize,
}

impl feeds::Watcher for Counter {
    fn found(&self, documents: usize) {
        self.found.fetch_add(documents, Relaxed);
    }

    fn reading(&self, _: &str) {}

    fn taken(&self, _: usize, _: usize) {}

    fn done(&self) {
        self.done.fetch_add(1, Relaxed);
    }
}

fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

/// A site that keeps its documents.
async fn keeping(folder: &Path) -> System {
    System::start_with(&[("ARCHIVE_FOLDER", folder.to_str().unwrap())]).await
}

async fn register_named(system: &System, name: &str, format: FeedFormat, source: &str) -> FeedId {
    let command = RegisterFeed { name: name.to_owned(), ..register(format, source) };
    system.send(&operator(), command, id()).await.unwrap().answer
}

async fn export(
    system: &System,
    archive: &Path,
    selection: Selection,
    to: &Path,
) -> Result<Manifest, ExportError> {
    let made_at = chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    write_bundle(&system.database().await, Some(archive), &selection, &key(), made_at, to).await
}

async fn import(system: &System, bundle: &Path) -> Outcome {
    let lifecycle = Lifecycle::new();
    let offline = Offline::open(&system.settings, &lifecycle).await.unwrap();
    let bundle = open_bundle(bundle, &key().verifying_key(), BYTES_MAX).unwrap();
    let counter = Counter::default();
    let outcome = offline.import_bundle(bundle, &counter).await.unwrap();
    assert_eq!(counter.done.load(Relaxed), counter.found.load(Relaxed));
    lifecycle.shutdown(Duration::from_secs(20)).await.unwrap();
    outcome
}

#[tokio::test]
async fn what_one_site_has_taken_in_another_takes_in_from_a_bundle() {
    let folder = tempfile::tempdir().unwrap();
    let (archive, bundle) = (folder.path().join("archive"), folder.path().join("bundle"));
    let (here, there) = (keeping(&archive).await, System::start().await);
    std::fs::create_dir(here.path("months")).unwrap();
    here.write("months/oct.xml", OCTOBER);
    here.write("list.txt", LIST);
    for (name, format, source) in [("Months", MsrcCvrf, "months"), ("List", DebianDsaList, "list.txt")] {
        let feed_id = register_named(&here, name, format, source).await;
        here.sync(feed_id).await;
    }
    let manifest = export(&here, &archive, Selection::All, &bundle).await.unwrap();
    assert_eq!(manifest.feeds.len(), 2);

    // One of the feeds is known there, under its own source.
    let known = register_named(&there, "List", DebianDsaList, "elsewhere.txt").await;
    let outcome = import(&there, &bundle).await;
    assert_eq!((outcome.imported.len(), outcome.refused.len()), (2, 0));
    assert_eq!(there.column(PATCHES).await, here.column(PATCHES).await);
    assert_eq!(
        there.column(FEEDS).await,
        ["List OS_VENDOR DEBIAN_DSA_LIST elsewhere.txt", "Months OS_VENDOR MSRC_CVRF months"]
    );
    let by = "select distinct feed_id::text from feeds.patch where platform = 'LINUX'";
    assert_eq!(there.column(by).await, [known.to_string()]);
    let before = there.events().await.len();
    import(&there, &bundle).await;
    assert_eq!(there.events().await.len(), before, "the second time is no news");
    here.stop().await;
    there.stop().await;
}

#[tokio::test]
async fn the_last_issue_goes_into_the_bundle_and_an_older_bundle_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("archive");
    let (old, new) = (folder.path().join("old"), folder.path().join("new"));
    let (here, there) = (keeping(&archive).await, System::start().await);
    here.write("oct.xml", OCTOBER);
    let feed_id = register_named(&here, "Months", MsrcCvrf, "oct.xml").await;
    here.sync(feed_id).await;
    export(&here, &archive, Selection::Feeds(vec![feed_id]), &old).await.unwrap();
    here.write("oct.xml", OCTOBER.replace("2026-10-14T", "2026-10-15T").replace("Critical", "Low"));
    here.sync(feed_id).await;
    let manifest = export(&here, &archive, Selection::Feeds(vec![feed_id]), &new).await.unwrap();
    assert_eq!(manifest.feeds[0].documents.len(), 1);

    let severity = "select facts ->> 'severity' from feeds.patch";
    for (bundle, refused) in [(&old, 0), (&new, 0), (&old, 1)] {
        assert_eq!(import(&there, bundle).await.refused.len(), refused);
    }
    assert_eq!(there.column(severity).await, here.column(severity).await);
    assert_eq!(there.facts("PatchRevised").await.len(), 1);
    here.stop().await;
    there.stop().await;
}

#[tokio::test]
async fn what_cannot_be_exported_has_a_name() {
    let folder = tempfile::tempdir().unwrap();
    let (archive, bundle) = (folder.path().join("archive"), folder.path().join("bundle"));
    let system = System::start().await;
    let refused = |outcome: Result<Manifest, ExportError>| kernel::Refused::code(&outcome.unwrap_err());
    assert_eq!(refused(export(&system, &archive, Selection::All, &bundle).await), "feeds.export_nothing");
    let unknown = Selection::Feeds(vec![id()]);
    assert_eq!(refused(export(&system, &archive, unknown, &bundle).await), "feeds.export_feed_unknown");
    // Taken in by a site that keeps nothing.
    let feed_id = system.import(MsrcCvrf, "oct.xml", OCTOBER).await;
    let selection = Selection::Feeds(vec![feed_id]);
    assert_eq!(refused(export(&system, &archive, selection, &bundle).await), "feeds.export_not_archived");
    system.import(DebianDsaList, "list.txt", LIST).await;
    assert_eq!(refused(export(&system, &archive, Selection::All, &bundle).await), "feeds.export_same_name");
    std::fs::write(&bundle, "precious").unwrap();
    assert_eq!(refused(export(&system, &archive, Selection::All, &bundle).await), "feeds.export_file_exists");
    assert_eq!(std::fs::read_to_string(&bundle).unwrap(), "precious");
    system.stop().await;
}

#[tokio::test]
async fn a_document_that_the_archive_lost_is_asked_for_again_although_it_has_not_changed() {
    let folder = tempfile::tempdir().unwrap();
    let (archive, bundle) = (folder.path().join("archive"), folder.path().join("bundle"));
    let mut system = keeping(&archive).await;
    let vendor = serve_in_turn(vec![Reply::Whole("200 OK\r\netag: \"a\"", OCTOBER.to_owned())]).await;
    let feed_id = register_named(&system, "Months", MsrcCvrf, &vendor.url).await;
    system.sync(feed_id).await;
    std::fs::remove_dir_all(&archive).unwrap();
    system.start_another().await;
    eventually("the address is forgotten", || async {
        system.column("select address from feeds.address").await.is_empty()
    })
    .await;
    system.sync(feed_id).await;
    assert!(!vendor.requests()[1].contains("if-none-match"));
    export(&system, &archive, Selection::All, &bundle).await.unwrap();
    system.stop().await;
}
