//! Sources that fail for a while, documents that break off, and documents that have not changed.

use crate::system::System;
use crate::vendor::{Reply, serve_in_turn};
use crate::{OCTOBER, SEPTEMBER};
use contracts::feeds::FeedFormat::{Csaf, MsrcCvrf};
use std::sync::Arc;

const FIRST: &str = "200 OK\r\netag: \"first\"";
const SECOND: &str = "200 OK\r\netag: \"second\"";
/// Where documents break off.
const MIDDLE: usize = 1_000;

fn whole(document: &str) -> Reply {
    Reply::Whole("200 OK", document.to_owned())
}

/// The rest of the document from the middle on.
fn rest(document: &str, etag: &str) -> Reply {
    let (last, total) = (document.len() - 1, document.len());
    let status =
        format!("206 Partial Content\r\ncontent-range: bytes {MIDDLE}-{last}/{total}\r\netag: \"{etag}\"");
    Reply::Whole(status.leak(), document[MIDDLE..].to_owned())
}

#[tokio::test]
async fn what_passes_is_tried_again_and_is_no_failure() {
    let system = System::start().await;
    let vendor = serve_in_turn(vec![
        Reply::Whole("503 Service Unavailable", String::new()),
        Reply::Lost,
        Reply::Whole("429 Too Many Requests\r\nretry-after: 0", String::new()),
        whole(OCTOBER),
    ])
    .await;
    let feed_id = system.register(MsrcCvrf, &vendor.url).await;
    assert_eq!(system.sync(feed_id).await.answer.published, 1);
    assert_eq!(vendor.requests().len(), 4);
    assert_eq!(system.facts("FeedSyncFailed").await.len(), 0);
    system.stop().await;
}

#[tokio::test]
async fn a_source_that_does_not_get_better_fails_once_and_says_how_often_it_was_tried() {
    let system = System::start_with(&[("FETCH_ATTEMPTS", "3")]).await;
    let vendor = serve_in_turn(vec![Reply::Whole("503 Service Unavailable", String::new())]).await;
    let feed_id = system.register(MsrcCvrf, &vendor.url).await;
    for round in 1..=2 {
        assert_eq!(system.refusal(feed_id).await, "feeds.source_status");
        assert_eq!(vendor.requests().len(), 3 * round);
    }
    let failed = system.facts("FeedSyncFailed").await;
    assert_eq!(failed.len(), 1, "the same failure is news once");
    assert_eq!(failed[0]["reason"], "the source answered 503; tried 3 times");
    system.stop().await;
}

#[tokio::test]
async fn what_lasts_fails_at_once() {
    let system = System::start_with(&[("DOCUMENT_BYTES_MAX", "10")]).await;
    for (reply, code) in [
        (Reply::Whole("404 Not Found", String::new()), "feeds.source_status"),
        (Reply::Whole("429 Too Many Requests\r\nretry-after: 86400", String::new()), "feeds.source_status"),
        (whole(OCTOBER), "feeds.document_too_large"),
    ] {
        let vendor = serve_in_turn(vec![reply]).await;
        let feed_id = system.register(MsrcCvrf, &vendor.url).await;
        assert_eq!(system.refusal(feed_id).await, code);
        assert_eq!(vendor.requests().len(), 1, "{code}");
    }
    system.stop().await;
}

#[tokio::test]
async fn a_source_that_falls_silent_is_asked_again() {
    let system = System::start_with(&[("FETCH_STALL_SECONDS", "1")]).await;
    let vendor = serve_in_turn(vec![Reply::Silence(Arc::default()), whole(OCTOBER)]).await;
    let feed_id = system.register(MsrcCvrf, &vendor.url).await;
    assert_eq!(system.sync(feed_id).await.answer.published, 1);
    system.stop().await;
}

#[tokio::test]
async fn a_service_that_stops_does_not_wait_for_the_next_attempt() {
    let system = System::start_with(&[("FETCH_RETRY_SECONDS", "300")]).await;
    let vendor = serve_in_turn(vec![Reply::Whole("503 Service Unavailable", String::new())]).await;
    let feed_id = system.register(MsrcCvrf, &vendor.url).await;
    let stop = async {
        testkit::eventually("the source was asked", || async { !vendor.requests().is_empty() }).await;
        system.lifecycle.stop.cancel();
    };
    let (outcome, ()) = tokio::join!(system.try_sync(feed_id), stop);
    assert_eq!(outcome.unwrap_err().code, "feeds.stopping");
    assert_eq!(system.story().await, "FeedRegistered × 1", "the source is not at fault");
    assert_eq!(vendor.requests().len(), 1);
    system.stop().await;
}

#[tokio::test]
async fn a_document_that_has_not_changed_is_not_sent_again() {
    let system = System::start().await;
    let changed = "Wed, 14 Oct 2026 08:00:00 GMT";
    let first = "200 OK\r\netag: W/\"weak\"\r\nlast-modified: Wed, 14 Oct 2026 08:00:00 GMT";
    let vendor = serve_in_turn(vec![
        Reply::Whole(first, OCTOBER.to_owned()),
        Reply::Whole("304 Not Modified", String::new()),
    ])
    .await;
    let feed_id = system.register(MsrcCvrf, &vendor.url).await;
    assert_eq!(system.sync(feed_id).await.answer.documents, 1);
    let before = system.events().await.len();
    assert_eq!(system.sync(feed_id).await.answer.documents, 0);
    assert_eq!(system.events().await.len(), before);
    let requests = vendor.requests();
    assert!(!requests[0].contains("if-none-match"), "{}", requests[0]);
    assert!(requests[1].contains("if-none-match: w/\"weak\""), "{}", requests[1]);
    assert!(requests[1].contains(&format!("if-modified-since: {changed}").to_lowercase()), "{}", requests[1]);
    system.stop().await;
}

#[tokio::test]
async fn a_document_that_breaks_off_goes_on_where_it_was() {
    let system = System::start().await;
    let vendor =
        serve_in_turn(vec![Reply::BrokenOff(FIRST, OCTOBER.into(), MIDDLE), rest(OCTOBER, "first")]).await;
    let feed_id = system.register(MsrcCvrf, &vendor.url).await;
    assert_eq!(system.sync(feed_id).await.answer.published, 1);
    let requests = vendor.requests();
    assert!(!requests[0].contains("\r\nrange:"), "{}", requests[0]);
    assert!(requests[1].contains(&format!("\r\nrange: bytes={MIDDLE}-\r\n")), "{}", requests[1]);
    assert!(requests[1].contains("\r\nif-range: \"first\"\r\n"), "{}", requests[1]);
    system.stop().await;
}

#[tokio::test]
async fn a_server_that_is_down_meanwhile_does_not_lose_what_was_there() {
    let system = System::start().await;
    let vendor = serve_in_turn(vec![
        Reply::BrokenOff(FIRST, OCTOBER.into(), MIDDLE),
        Reply::Whole("503 Service Unavailable", String::new()),
        rest(OCTOBER, "first"),
    ])
    .await;
    let feed_id = system.register(MsrcCvrf, &vendor.url).await;
    assert_eq!(system.sync(feed_id).await.answer.published, 1);
    assert!(vendor.requests()[2].contains(&format!("\r\nrange: bytes={MIDDLE}-\r\n")));
    system.stop().await;
}

#[tokio::test]
async fn a_document_that_cannot_go_on_begins_anew() {
    let system = System::start().await;
    // Another version was put there in between, by a server that heeds If-Range, and by one that ignores ranges.
    for second in [Reply::Whole(SECOND, SEPTEMBER.into()), Reply::Whole(FIRST, SEPTEMBER.into())] {
        let vendor = serve_in_turn(vec![Reply::BrokenOff(FIRST, OCTOBER.into(), MIDDLE), second]).await;
        let feed_id = system.register(MsrcCvrf, &vendor.url).await;
        assert_eq!(system.sync(feed_id).await.answer.documents, 1);
        assert_eq!(vendor.requests().len(), 2);
    }
    assert_eq!(
        system.column("select distinct name from feeds.document").await,
        ["2026-Sep"],
        "nothing of October is left"
    );
    system.stop().await;
}

#[tokio::test]
async fn the_rest_of_another_version_is_not_put_behind_the_first() {
    let system = System::start().await;
    let other_length = format!("{OCTOBER}<!-- more -->");
    let elsewhere = Reply::Whole(
        "206 Partial Content\r\ncontent-range: bytes 0-9/10\r\netag: \"first\"",
        OCTOBER[..10].to_owned(),
    );
    for wrong in [
        rest(OCTOBER, "second"),
        rest(&other_length, "first"),
        elsewhere,
        Reply::Whole("206 Partial Content", OCTOBER[MIDDLE..].to_owned()),
        Reply::Whole("416 Range Not Satisfiable", String::new()),
    ] {
        let first = Reply::BrokenOff(FIRST, OCTOBER.into(), MIDDLE);
        let vendor = serve_in_turn(vec![first, wrong, whole(OCTOBER)]).await;
        let feed_id = system.register(MsrcCvrf, &vendor.url).await;
        assert_eq!(system.sync(feed_id).await.answer.documents, 1);
        let requests = vendor.requests();
        assert_eq!(requests.len(), 3);
        assert!(!requests[2].contains("range:"), "{}", requests[2]);
    }
    assert_eq!(system.facts("FeedSyncFailed").await.len(), 0);
    system.stop().await;
}

#[tokio::test]
async fn without_a_strong_validator_a_document_begins_anew() {
    let system = System::start().await;
    for head in
        ["200 OK", "200 OK\r\netag: W/\"weak\"", "200 OK\r\nlast-modified: Wed, 14 Oct 2026 08:00:00 GMT"]
    {
        let vendor =
            serve_in_turn(vec![Reply::BrokenOff(head, OCTOBER.into(), MIDDLE), whole(OCTOBER)]).await;
        let feed_id = system.register(MsrcCvrf, &vendor.url).await;
        assert_eq!(system.sync(feed_id).await.answer.documents, 1);
        assert!(!vendor.requests()[1].contains("range:"), "{head}");
    }
    system.stop().await;
}

#[tokio::test]
async fn plain_http_is_closed_to_feeds_where_the_operator_says_so() {
    let system = System::start_with(&[("ALLOW_HTTP", "false")]).await;
    let refused = system.try_register(MsrcCvrf, "http://vendor.example/oct.xml").await.unwrap_err();
    assert_eq!((refused.status, refused.code.as_str()), (422, "feeds.source_plain_http"));
    system.stop().await;
}

#[tokio::test]
async fn a_source_that_is_down_is_not_asked_for_each_of_the_documents_that_are_left() {
    let system = System::start_with(&[("FETCH_ATTEMPTS", "2")]).await;
    let lines = (1..=9).map(|n| format!("\"2026/{n}.json\",\"2026-10-0{n}T08:00:00Z\""));
    let list = lines.collect::<Vec<_>>().join("\n");
    let (list, missing) = (Reply::Whole("200 OK", list), Reply::Whole("404 Not Found", String::new()));
    let down = Reply::Whole("503 Service Unavailable", String::new());
    let vendor = serve_in_turn(vec![list, missing, down]).await;
    let feed_id = system.register(Csaf, &vendor.url).await;
    let report = system.sync(feed_id).await.answer;
    // The list, one that is not there, and three times two attempts.
    assert_eq!(vendor.requests().len(), 8);
    assert_eq!((report.documents, report.refused.len()), (1, 5));
    assert!(report.refused[4].starts_with("5 further documents: they were not asked for"), "{report:?}");
    system.stop().await;
}
