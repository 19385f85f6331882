//! The tracker's urgencies reach the patches of the advisory list, whichever is read first.

use crate::system::System;
use contracts::feeds::FeedFormat::{DebianDsaList, DebianTracker};

const LIST: &str = "\
[12 Nov 2026] DSA-9903-1 lantern - security update
\t{CVE-2026-91001 CVE-2026-91002}
\t[bookworm] - lantern 1.1
\t[trixie] - lantern 2.1
";

const TRACKER: &str = r#"{"lantern": {
  "CVE-2026-91001": {"releases": {"bookworm": {"urgency": "low"}, "trixie": {"urgency": "medium"}}},
  "CVE-2026-91002": {"releases": {"bookworm": {"urgency": "high"}}},
  "CVE-2026-91099": {"releases": {"trixie": {"urgency": "high"}}}
}}"#;

const PATCHES: &str =
    "select concat_ws(' ', facts -> 'os_versions' ->> 0, facts ->> 'severity', facts ->> 'vendor_severity')
                         from feeds.patch order by 1";

const RATED: [&str; 2] = ["Debian 12 (bookworm) HIGH high", "Debian 13 (trixie) MEDIUM medium"];

#[tokio::test]
async fn a_rating_reaches_a_patch_that_is_known_already() {
    let system = System::start().await;
    system.import(DebianDsaList, "list.txt", LIST).await;
    system.write("tracker.json", TRACKER);
    let tracker = system.register(DebianTracker, "tracker.json").await;
    let report = system.sync(tracker).await.answer;
    assert_eq!((report.published, report.revised, report.unchanged), (0, 2, 0));
    assert_eq!(system.column(PATCHES).await, RATED);
    for revised in system.facts("PatchRevised").await {
        assert_eq!(revised["changed"], serde_json::json!(["vendor_severity", "severity"]));
    }
    system.stop().await;
}

#[tokio::test]
async fn a_patch_that_comes_later_finds_its_rating() {
    let system = System::start().await;
    system.import(DebianTracker, "tracker.json", TRACKER).await;
    let list = system.import(DebianDsaList, "list.txt", LIST).await;
    assert_eq!(system.column(PATCHES).await, RATED);
    let before = system.events().await.len();
    system.sync(list).await;
    assert_eq!(system.events().await.len(), before);
    system.stop().await;
}

#[tokio::test]
async fn the_ratings_are_those_of_the_last_document() {
    let system = System::start().await;
    let tracker = system.import(DebianTracker, "tracker.json", TRACKER).await;
    let ratings =
        "select concat_ws(' ', cve, os_version, vendor_severity, rank) from feeds.rating order by 1";
    assert_eq!(
        system.column(ratings).await,
        [
            "CVE-2026-91001 12 low 2",
            "CVE-2026-91001 13 medium 3",
            "CVE-2026-91002 12 high 4",
            "CVE-2026-91099 13 high 4"
        ]
    );
    let less = r#"{"lantern": {"CVE-2026-91002": {"releases": {"bookworm": {"urgency": "medium"}}}}}"#;
    system.write("tracker.json", less);
    system.sync(tracker).await;
    assert_eq!(system.column(ratings).await, ["CVE-2026-91002 12 medium 3"]);
    system.write("tracker.json", less.replace("medium", "not yet assigned"));
    system.sync(tracker).await;
    assert_eq!(system.column(ratings).await, Vec::<String>::new());
    system.stop().await;
}
