//! Lists that come in pages.

use crate::system::System;
use crate::vendor::{Files, Vendor, serve_files};
use contracts::feeds::FeedFormat::Nvd;
use feeds::offline::{Given, Offline};
use runtime::Lifecycle;
use serde_json::json;
use std::sync::Mutex;
use std::time::Duration;

/// A page of `count` vulnerabilities from `first` on.
fn page(first: u64, count: u64, total: u64) -> String {
    let of = |number: u64| {
        json!({ "cve": { "id": format!("CVE-2031-{}", 10_000 + number), "vulnStatus": "Analyzed", "metrics": {
            "cvssMetricV31": [{ "type": "Primary", "cvssData": { "version": "3.1", "baseScore": 9.8,
                "baseSeverity": "CRITICAL", "vectorString": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H" } }] } } })
    };
    let vulnerabilities: Vec<_> = (first..first + count).map(of).collect();
    json!({ "resultsPerPage": count, "startIndex": first, "totalResults": total, "format": "NVD_CVE", "version": "2.0",
        "timestamp": "2031-10-01T00:00:00.000", "vulnerabilities": vulnerabilities })
    .to_string()
}

async fn serve_pages(pages: &[(&str, String)]) -> Vendor {
    let files = Files::default();
    files.lock().unwrap().extend(pages.iter().map(|(path, page)| ((*path).to_owned(), page.clone())));
    serve_files(&files).await
}

fn paths(vendor: &Vendor) -> Vec<String> {
    vendor.requests().iter().map(|head| head.split_whitespace().nth(1).unwrap().to_owned()).collect()
}

fn five_in_three() -> [(&'static str, String); 3] {
    [
        ("/cves?haskev", page(0, 2, 5)),
        ("/cves?haskev&startIndex=2", page(2, 2, 5)),
        ("/cves?haskev&startIndex=4", page(4, 1, 5)),
    ]
}

#[tokio::test]
async fn all_pages_of_a_list_are_read_and_counted() {
    let system = System::start().await;
    let vendor = serve_pages(&five_in_three()).await;
    let feed_id = system.register(Nvd, &format!("{}/cves?haskev", vendor.url)).await;
    let report = system.sync(feed_id).await.answer;
    assert_eq!((report.documents, report.vulnerabilities, report.refused.len()), (3, 5, 0), "{report:?}");
    assert_eq!(paths(&vendor), ["/cves?haskev", "/cves?haskev&startindex=2", "/cves?haskev&startindex=4"]);
    let before = system.events().await.len();
    assert_eq!(system.sync(feed_id).await.answer.vulnerabilities, 0);
    assert_eq!(system.events().await.len(), before, "the second time is no news");
    system.stop().await;
}

#[tokio::test]
async fn a_list_whose_pages_lead_in_circles_or_nowhere_comes_to_an_end() {
    let system = System::start().await;
    for (pages, asked, refused) in [
        // The same page whatever is asked for.
        (vec![("/a", page(0, 2, 5)), ("/a?startIndex=2", page(0, 2, 5))], 2, 0),
        // A page without anything, although there should be more.
        (vec![("/a", page(0, 2, 5)), ("/a?startIndex=2", page(2, 0, 5))], 2, 0),
        // A page that is not there: what comes after it is not known.
        (vec![("/a", page(0, 2, 5))], 2, 1),
    ] {
        let vendor = serve_pages(&pages).await;
        let feed_id = system.register(Nvd, &format!("{}/a", vendor.url)).await;
        let report = system.sync(feed_id).await.answer;
        assert_eq!((vendor.requests().len(), report.refused.len()), (asked, refused), "{report:?}");
    }
    system.stop().await;
}

/// What somebody who watches is told.
#[derive(Default)]
struct Seen(Mutex<Vec<String>>);

impl feeds::Watcher for Seen {
    fn found(&self, documents: usize) {
        self.0.lock().unwrap().push(format!("found {documents}"));
    }

    fn reading(&self, _: &str) {}

    fn taken(&self, _: usize, _: usize) {}

    fn done(&self) {
        self.0.lock().unwrap().push("done".to_owned());
    }
}

#[tokio::test]
async fn pages_of_an_address_that_is_given_by_hand_count_in_the_progress() {
    let system = System::start().await;
    let vendor = serve_pages(&five_in_three()).await;
    let lifecycle = Lifecycle::new();
    let offline = Offline::open(&system.settings, &lifecycle).await.unwrap();
    let seen = Seen::default();
    let given = [Given::Web(format!("{}/cves?haskev", vendor.url))];
    let outcome = offline.import(&given, &seen).await.unwrap();
    assert_eq!((outcome.imported[0].report.documents, outcome.imported[0].report.vulnerabilities), (3, 5));
    assert_eq!(*seen.0.lock().unwrap(), ["found 1", "found 2", "done", "found 3", "done", "done"]);
    lifecycle.shutdown(Duration::from_secs(20)).await.unwrap();
    system.stop().await;
}
