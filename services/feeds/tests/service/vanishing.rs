//! Patches that are not listed any more, and documents that their publisher has deleted.

use crate::system::System;
use crate::vendor::{Files, serve_files};
use contracts::feeds::FeedFormat::{Csaf, DebianDsaList, MsrcCvrf, RpmRepository};
use sha2::{Digest, Sha256};
use std::fmt::Write;

const STATES: &str = "select facts ->> 'vendor_patch_id' || ' ' || state from feeds.patch order by 1";
const UPDATEINFO: &str = include_str!("../../documents/tests/documents/updateinfo.xml");
const ADVISORY: &str = include_str!("../../documents/tests/documents/csaf.json");

/// Debian's list with these notices, all of one day.
fn list(numbers: impl IntoIterator<Item = u32>) -> String {
    numbers.into_iter().fold(String::new(), |mut list, number| {
        let _ = writeln!(list, "[13 Nov 2026] DSA-{number}-1 pf{number} - security update");
        let _ = writeln!(list, "\t{{CVE-2026-{number}}}\n\t[bookworm] - pf{number} 1.1");
        list
    })
}

#[tokio::test]
async fn a_patch_that_a_complete_list_does_not_name_any_more_is_withdrawn_once() {
    let system = System::start().await;
    system.write("list.txt", list(9_001..=9_003));
    let feed_id = system.register(DebianDsaList, "list.txt").await;
    system.sync(feed_id).await;
    system.write("list.txt", list([9_001, 9_003]));
    let report = system.sync(feed_id).await.answer;
    assert_eq!((report.withdrawn, report.unchanged), (1, 2), "{report:?}");
    let withdrawn = system.facts("PatchWithdrawn").await;
    assert_eq!(withdrawn.len(), 1);
    assert_eq!(withdrawn[0]["reason"], "no longer listed");
    let states = ["DSA-9001-1 published", "DSA-9002-1 withdrawn", "DSA-9003-1 published"];
    assert_eq!(system.column(STATES).await, states);
    let before = system.events().await.len();
    system.sync(feed_id).await;
    assert_eq!(system.events().await.len(), before, "it is news once");
    system.stop().await;
}

#[tokio::test]
async fn a_list_that_is_not_believed_takes_nothing_back() {
    let system = System::start().await;
    system.write("list.txt", list(9_001..=9_060));
    let feed_id = system.register(DebianDsaList, "list.txt").await;
    system.sync(feed_id).await;
    // More than half of it is gone.
    system.write("list.txt", list(9_001..=9_029));
    assert_eq!(system.refusal(feed_id).await, "feeds.document_shrunken");
    // As many records as before, and most are others.
    system.write("list.txt", list((9_001..=9_010).chain(9_101..=9_150)));
    let report = system.sync(feed_id).await.answer;
    assert_eq!((report.published, report.withdrawn), (50, 0));
    assert_eq!(report.quarantined, ["50 of 60 patches are not listed any more, and stay: too many at once"]);
    assert_eq!(system.facts("PatchWithdrawn").await.len(), 0);
    system.stop().await;
}

#[tokio::test]
async fn nothing_is_taken_back_while_more_records_than_before_cannot_be_read() {
    let system = System::start().await;
    system.write("list.txt", list(9_001..=9_003));
    let feed_id = system.register(DebianDsaList, "list.txt").await;
    system.sync(feed_id).await;
    let unreadable = list([9_002]).replace("[13 Nov 2026]", "[once]");
    system.write("list.txt", list([9_001, 9_003]) + &unreadable);
    let report = system.sync(feed_id).await.answer;
    assert_eq!(report.withdrawn, 0, "{report:?}");
    assert!(
        report.quarantined.iter().any(|line| line.contains("1 patches are not listed any more, and stay")),
        "{report:?}"
    );
    assert_eq!(system.facts("PatchWithdrawn").await.len(), 0);
    system.stop().await;
}

#[tokio::test]
async fn only_the_document_that_described_a_patch_first_loses_it_and_only_if_no_other_describes_it() {
    let system = System::start().await;
    system.write("first.txt", list([9_001, 9_002, 9_003]));
    system.write("second.txt", list([9_002, 9_004]));
    let first = system.register(DebianDsaList, "first.txt").await;
    let second = system.register(DebianDsaList, "second.txt").await;
    system.sync(first).await;
    system.sync(second).await;
    // The second one only added to it.
    system.write("second.txt", list([9_004]));
    assert_eq!(system.sync(second).await.answer.withdrawn, 0);
    system.write("second.txt", list([9_003, 9_004]));
    system.sync(second).await;
    system.write("first.txt", list([9_001, 9_002]));
    assert_eq!(system.sync(first).await.answer.withdrawn, 0, "the second one still describes it");
    system.stop().await;
}

#[tokio::test]
async fn a_month_is_no_list_of_everything() {
    let system = System::start().await;
    let feed_id = system.import(MsrcCvrf, "month.xml", crate::OCTOBER).await;
    let later = crate::OCTOBER.replace("2026-10-14T", "2026-10-15T").replace("5090101", "5090103");
    assert_ne!(later, crate::OCTOBER);
    system.write("month.xml", later);
    system.sync(feed_id).await;
    assert_eq!(system.facts("PatchWithdrawn").await.len(), 0);
    system.stop().await;
}

#[tokio::test]
async fn the_next_issue_of_a_repositorys_advisories_is_known_although_its_address_is_another() {
    let system = System::start().await;
    let files = Files::default();
    let vendor = serve_files(&files).await;
    let put = |revision: u32, advisories: &str| {
        let hash =
            Sha256::digest(advisories).iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
        let file = format!("repodata/{hash}-updateinfo.xml");
        let repomd = format!(
            "<?xml version=\"1.0\"?><repomd xmlns=\"http://linux.duke.edu/metadata/repo\"><revision>{revision}</revision>\
             <data type=\"updateinfo\"><checksum type=\"sha256\">{hash}</checksum><location href=\"{file}\"/>\
             <timestamp>{revision}</timestamp></data></repomd>"
        );
        let mut files = files.lock().unwrap();
        files.insert("/repodata/repomd.xml".to_owned(), repomd);
        files.insert(format!("/{file}"), advisories.to_owned());
    };
    put(1_790_000_000, UPDATEINFO);
    let feed_id = system.register(RpmRepository, &format!("{}/repodata/repomd.xml", vendor.url)).await;
    let report = system.sync(feed_id).await.answer;
    assert!(report.published > 1, "{report:?}");
    let named = UPDATEINFO.find("<id>RLEA-2026:9002</id>").unwrap();
    let start = UPDATEINFO[..named].rfind("  <update ").unwrap();
    let end = start + UPDATEINFO[start..].find("</update>\n").unwrap() + "</update>\n".len();
    let gone = &UPDATEINFO[start..end];
    put(1_790_000_001, &UPDATEINFO.replace(gone, ""));
    let report = system.sync(feed_id).await.answer;
    assert!(report.withdrawn >= 1 && report.published == 0, "{report:?}");
    let states = system.column(STATES).await;
    assert!(states.contains(&"RLEA-2026:9002 withdrawn".to_owned()), "{states:?}");
    system.stop().await;
}

#[tokio::test]
async fn documents_that_a_provider_has_deleted_take_their_patches_with_them() {
    let system = System::start().await;
    let files = Files::default();
    let vendor = serve_files(&files).await;
    let put = |name: &str, content: &str| {
        files.lock().unwrap().insert(format!("/csaf/{name}"), content.to_owned());
    };
    let id = serde_json::from_str::<serde_json::Value>(ADVISORY).unwrap()["document"]["tracking"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let file = format!("2026/{}.json", id.to_lowercase().replace(':', "_"));
    put(&file, ADVISORY);
    put("changes.csv", &format!("\"{file}\",\"2026-10-03T08:00:00+00:00\"\n"));
    let feed_id = system.register(Csaf, &format!("{}/csaf/changes.csv", vendor.url)).await;
    let report = system.sync(feed_id).await.answer;
    assert!(
        report.published > 0 && report.refused.is_empty(),
        "no list of deletions is no fault: {report:?}"
    );
    let published = report.published;
    // An earlier deletion: it came back since.
    put("deletions.csv", &format!("\"{file}\",\"2001-10-03T08:00:00+00:00\"\n"));
    assert_eq!(system.sync(feed_id).await.answer.withdrawn, 0);
    put(
        "deletions.csv",
        &format!(
            "\"{file}\",\"2031-10-04T08:00:00+00:00\"\n\"2026/none.json\",\"2031-10-04T08:00:00+00:00\"\n"
        ),
    );
    let report = system.sync(feed_id).await.answer;
    assert_eq!((report.withdrawn, report.refused.len()), (published, 0), "{report:?}");
    let withdrawn = system.facts("PatchWithdrawn").await;
    assert_eq!(withdrawn[0]["reason"], "its publisher deleted the document that describes it");
    let before = system.events().await.len();
    system.sync(feed_id).await;
    assert_eq!(system.events().await.len(), before);
    put("deletions.csv", "");
    assert_eq!(system.sync(feed_id).await.answer.refused.len(), 0, "nor is an empty one");
    system.stop().await;
}
