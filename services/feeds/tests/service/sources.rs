//! Where documents come from, and where they must not come from.

use crate::OCTOBER;
use crate::system::System;
use crate::vendor::{Reply, serve};
use contracts::feeds::FeedFormat::MsrcCvrf;
use std::os::unix::fs::symlink;
use std::sync::Arc;
use tokio::sync::Notify;

#[tokio::test]
async fn a_source_outside_the_import_folder_is_refused_when_it_is_registered() {
    let system = System::start().await;
    for (source, code) in [
        ("../secret.xml", "feeds.source_outside_folder"),
        ("/etc/passwd", "feeds.source_outside_folder"),
        ("months/../../secret.xml", "feeds.source_outside_folder"),
        ("file:///etc/passwd", "feeds.source_invalid"),
        ("ftp://vendor.example/oct.xml", "feeds.source_invalid"),
        ("https://ann:secret@vendor.example/oct.xml", "feeds.source_invalid"),
        ("", "feeds.source_invalid"),
    ] {
        let refused = system.try_register(MsrcCvrf, source).await.unwrap_err();
        assert_eq!((refused.status, refused.code.as_str()), (422, code), "{source}");
    }
    assert_eq!(system.story().await, "");
    system.stop().await;
}

#[tokio::test]
async fn a_link_out_of_the_import_folder_is_not_followed() {
    let system = System::start().await;
    system.write("../secret.xml", OCTOBER);
    symlink("../secret.xml", system.path("oct.xml")).unwrap();
    let feed_id = system.register(MsrcCvrf, "oct.xml").await;
    assert_eq!(system.refusal(feed_id).await, "feeds.source_outside_folder");
    assert_eq!(system.story().await, "FeedRegistered × 1, FeedSyncFailed × 1");
    system.stop().await;
}

#[tokio::test]
async fn a_document_that_is_not_there_may_come_later() {
    let system = System::start().await;
    let feed_id = system.register(MsrcCvrf, "oct.xml").await;
    assert_eq!(system.refusal(feed_id).await, "feeds.source_missing");
    system.write("oct.xml", OCTOBER);
    assert_eq!(system.sync(feed_id).await.answer.published, 1);
    system.stop().await;
}

#[tokio::test]
async fn a_document_is_fetched_from_the_web() {
    let system = System::start().await;
    let url = serve(Reply::Whole("200 OK", OCTOBER.to_owned())).await;
    let feed_id = system.register(MsrcCvrf, &url).await;
    assert_eq!(system.sync(feed_id).await.answer.published, 1);
    system.stop().await;
}

#[tokio::test]
async fn what_a_vendors_server_does_wrong_has_a_name() {
    let system = System::start_with(&[("DOCUMENT_BYTES_MAX", "10000"), ("FETCH_TIMEOUT_SECONDS", "3")]).await;
    let moved = "301 Moved Permanently\r\nlocation: http://127.0.0.1:1/elsewhere";
    for (reply, code) in [
        (Reply::Whole("404 Not Found", "no such month".into()), "feeds.source_status"),
        (Reply::Whole("503 Service Unavailable", String::new()), "feeds.source_status"),
        (Reply::Whole(moved, String::new()), "feeds.source_status"),
        (Reply::Whole("200 OK", "x".repeat(10_001)), "feeds.document_too_large"),
        (Reply::Endless, "feeds.document_too_large"),
        (Reply::Silence(Arc::default()), "feeds.source_timeout"),
        (Reply::Whole("200 OK", String::new()), "feeds.document_empty"),
        (
            Reply::Whole("200 OK", "<html><p>Please sign in</p></html>".into()),
            "feeds.document_unknown_format",
        ),
    ] {
        let feed_id = system.register(MsrcCvrf, &serve(reply).await).await;
        assert_eq!(system.refusal(feed_id).await, code);
    }
    let failed = system.facts("FeedSyncFailed").await;
    assert_eq!(failed[0]["reason"], "the source answered 404");
    assert_eq!(
        failed[2]["reason"],
        "the source answered 301, the document is at \"http://127.0.0.1:1/elsewhere\""
    );
    assert_eq!(failed.len(), 8);
    system.stop().await;
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unreachable() {
    let system = System::start().await;
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let feed_id = system.register(MsrcCvrf, &format!("http://127.0.0.1:{port}/oct.xml")).await;
    assert_eq!(system.refusal(feed_id).await, "feeds.source_unreachable");
    system.stop().await;
}

#[tokio::test]
async fn a_file_beyond_the_limit_is_refused() {
    let system = System::start_with(&[("DOCUMENT_BYTES_MAX", "1000")]).await;
    system.write("oct.xml", OCTOBER);
    let feed_id = system.register(MsrcCvrf, "oct.xml").await;
    assert_eq!(system.refusal(feed_id).await, "feeds.document_too_large");
    system.stop().await;
}

#[tokio::test]
async fn the_own_network_is_closed_to_feeds_where_the_operator_says_so() {
    let system = System::start_with(&[("ALLOW_PRIVATE_ADDRESSES", "false")]).await;
    let url = serve(Reply::Whole("200 OK", OCTOBER.to_owned())).await;
    let refused = system.try_register(MsrcCvrf, &url).await.unwrap_err();
    assert_eq!((refused.status, refused.code.as_str()), (422, "feeds.source_address_refused"));
    // Where a name leads shows when it is asked for.
    let feed_id = system.register(MsrcCvrf, &url.replace("127.0.0.1", "localhost")).await;
    assert_eq!(system.refusal(feed_id).await, "feeds.source_address_refused");
    system.stop().await;
}

#[tokio::test]
async fn a_service_that_stops_does_not_wait_for_a_slow_source() {
    let system = System::start().await;
    let asked = Arc::new(Notify::new());
    let feed_id = system.register(MsrcCvrf, &serve(Reply::Silence(Arc::clone(&asked))).await).await;
    let stop = async {
        asked.notified().await;
        system.lifecycle.stop.cancel();
    };
    let (outcome, ()) = tokio::join!(system.try_sync(feed_id), stop);
    let failure = outcome.unwrap_err();
    assert_eq!((failure.code.as_str(), failure.retryable), ("feeds.stopping", true));
    assert_eq!(system.story().await, "FeedRegistered × 1", "the source is not at fault");
    system.stop().await;
}
