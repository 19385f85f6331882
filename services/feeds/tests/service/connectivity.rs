//! A look at a source: what is there, and what is wrong with it.

use crate::system::{System, operator, partner_admin};
use crate::vendor::{Reply, serve};
use crate::{LIST, OCTOBER};
use contracts::feeds::FeedFormat::{self, DebianDsaList, MsrcCvrf};
use contracts::feeds::{ConnectivityReport, TestFeed};
use testkit::id;

async fn look(system: &System, format: FeedFormat, source: &str) -> ConnectivityReport {
    let feed_id = system.register(format, source).await;
    system.send(&operator(), TestFeed { feed_id }, id()).await.unwrap().answer
}

#[tokio::test]
async fn a_source_that_holds_what_the_feed_publishes_is_reachable_and_nothing_is_taken_in() {
    let system = System::start().await;
    let url = serve(Reply::Whole("200 OK\r\netag: \"a\"", OCTOBER.to_owned())).await;
    let report = look(&system, MsrcCvrf, &url).await;
    assert!(report.reachable && report.conditional, "{report:?}");
    assert_eq!(report.found_format.as_deref(), Some("msrc-cvrf-xml"));
    assert_eq!((report.bytes, report.code, report.reason), (OCTOBER.len() as u64, None, None));
    assert_eq!(system.story().await, "FeedRegistered × 1");
    system.stop().await;
}

#[tokio::test]
async fn of_a_large_document_the_beginning_is_enough() {
    let system = System::start().await;
    let long = format!("{LIST}{}", "\n".repeat(3 << 20));
    let report = look(&system, DebianDsaList, &serve(Reply::Whole("200 OK", long)).await).await;
    assert!(report.reachable && !report.conditional, "{report:?}");
    assert_eq!(report.bytes, 1 << 20);
    system.stop().await;
}

#[tokio::test]
async fn whatever_is_wrong_with_a_source_stands_in_the_report() {
    let system = System::start_with(&[("DOCUMENT_BYTES_MAX", "10000000")]).await;
    let html = Reply::Whole("200 OK", "<html><p>Please sign in</p></html>".to_owned());
    let moved = Reply::Whole("302 Found\r\nlocation: https://vendor.example/", String::new());
    for (reply, code, reason) in [
        (html, "feeds.document_unknown_format", "it looks like a web page"),
        (Reply::Whole("404 Not Found", String::new()), "feeds.source_status", "answered 404"),
        (moved, "feeds.source_status", "the document is at \"https://vendor.example/\""),
        (Reply::Lost, "feeds.source_unreachable", "cannot be reached"),
        (Reply::Whole("200 OK", String::new()), "feeds.document_empty", "empty"),
        (Reply::Whole("200 OK", "x".repeat(10_000_001)), "feeds.document_too_large", "10000000 bytes"),
        (Reply::Whole("200 OK", LIST.to_owned()), "feeds.document_unexpected_format", "debian-dsa-list"),
    ] {
        let report = look(&system, MsrcCvrf, &serve(reply).await).await;
        assert!(!report.reachable, "{report:?}");
        assert_eq!(report.code.as_deref(), Some(code), "{report:?}");
        assert!(report.reason.as_ref().unwrap().contains(reason), "{report:?}");
    }
    assert_eq!(system.facts("FeedSyncFailed").await.len(), 0);
    system.stop().await;
}

#[tokio::test]
async fn a_file_and_a_folder_can_be_looked_at() {
    let system = System::start().await;
    std::fs::create_dir(system.path("months")).unwrap();
    assert_eq!(look(&system, MsrcCvrf, "months").await.code.as_deref(), Some("feeds.source_empty"));
    system.write("months/oct.xml", OCTOBER);
    for source in ["months", "months/oct.xml"] {
        let report = look(&system, MsrcCvrf, source).await;
        assert!(report.reachable, "{report:?}");
    }
    assert_eq!(look(&system, MsrcCvrf, "none.xml").await.code.as_deref(), Some("feeds.source_missing"));
    system.stop().await;
}

#[tokio::test]
async fn somebody_elses_feed_cannot_be_looked_at() {
    let system = System::start().await;
    let feed_id = system.register(MsrcCvrf, "oct.xml").await;
    let denied = system.send(&partner_admin(), TestFeed { feed_id }, id()).await.unwrap_err();
    assert_eq!((denied.status, denied.code.as_str()), (404, "feeds.feed_unknown"));
    system.stop().await;
}
