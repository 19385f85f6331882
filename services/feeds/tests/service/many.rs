//! Feeds of many documents, of partners, and of vulnerabilities.

use crate::LIST;
use crate::system::{System, partner_admin, register};
use crate::vendor::{Reply, serve};
use crate::{BROKEN, OCTOBER, SEPTEMBER};
use contracts::feeds::FeedFormat::{DebianDsaList, MsrcCvrf};
use contracts::feeds::{FeedKind, RegisterFeed, SyncFeed};
use std::fmt::Write;
use testkit::id;

#[tokio::test]
async fn of_a_folder_every_document_is_taken_in_and_a_broken_one_holds_up_no_other() {
    let system = System::start().await;
    std::fs::create_dir(system.path("months")).unwrap();
    system.write("months/2026-09.xml", SEPTEMBER);
    system.write("months/2026-10.xml", OCTOBER);
    system.write("months/2026-11.xml", BROKEN);
    let feed_id = system.register(MsrcCvrf, "months").await;
    let report = system.sync(feed_id).await.answer;
    assert_eq!((report.documents, report.published, report.refused.len()), (2, 2, 1));
    assert!(report.refused[0].starts_with("months/2026-11.xml: the document ends too early"), "{report:?}");
    let before = system.events().await.len();
    let again = system.sync(feed_id).await.answer;
    assert_eq!((again.published, again.revised, again.unchanged), (0, 0, 2));
    assert_eq!(system.events().await.len(), before, "the second time is no news");
    system.stop().await;
}

#[tokio::test]
async fn of_two_documents_that_describe_a_patch_the_first_one_owns_it_and_the_other_adds() {
    let system = System::start().await;
    std::fs::create_dir(system.path("months")).unwrap();
    system.write("months/2026-09.xml", SEPTEMBER);
    let also = SEPTEMBER.replace("2026-Sep", "2026-Sep-B").replace("CVE-2026-", "CVE-2027-");
    assert_ne!(also, SEPTEMBER);
    system.write("months/2026-09-B.xml", also);
    let feed_id = system.register(MsrcCvrf, "months").await;
    system.sync(feed_id).await;
    let cves = "select facts ->> 'cves' from feeds.patch";
    let known = system.column(cves).await;
    assert!(known[0].contains("CVE-2026-") && known[0].contains("CVE-2027-"), "{known:?}");
    let before = system.events().await.len();
    for _ in 0..2 {
        system.sync(feed_id).await;
    }
    assert_eq!(system.events().await.len(), before);
    system.stop().await;
}

#[tokio::test]
async fn a_partners_feed_is_an_event_of_the_partner_with_patches_of_its_own() {
    let system = System::start().await;
    system.import(DebianDsaList, "list.txt", LIST).await;
    let url = serve(Reply::Whole("200 OK", LIST.to_owned())).await;
    let paul = partner_admin();
    let command = RegisterFeed { kind: FeedKind::Partner, ..register(DebianDsaList, &url) };
    let feed_id = system.send(&paul, command, id()).await.unwrap().answer;
    let report = system.send(&paul, SyncFeed { feed_id }, id()).await.unwrap().answer;
    assert_eq!(report.published, 2, "another patch than the platform's of the same advisory");
    let owners = "select count(distinct partner_id)::text from feeds.patch";
    assert_eq!(system.column(owners).await, ["2"]);
    let tenants = "select distinct s.partner_id::text from es.stream s
                     join feeds.patch p on p.patch_id = s.stream_id and p.partner_id = s.partner_id";
    assert_eq!(system.column(tenants).await.len(), 2);
    let stranger = partner_admin();
    let denied = system.send(&stranger, SyncFeed { feed_id }, id()).await.unwrap_err();
    assert_eq!((denied.status, denied.code.as_str()), (404, "feeds.feed_unknown"));
    system.stop().await;
}

#[tokio::test]
async fn a_list_that_lost_half_of_its_records_replaces_nothing() {
    let system = System::start().await;
    let mut long = String::new();
    for n in 1..=60 {
        let id = 9_000 + n;
        writeln!(long, "[01 Nov 2026] DSA-{id}-1 part{n} - security update\n\t[bookworm] - part{n} 1.0")
            .unwrap();
    }
    let feed_id = system.import(DebianDsaList, "list.txt", &long).await;
    let short: String = long.lines().take(40).flat_map(|line| [line, "\n"]).collect();
    system.write("list.txt", short);
    assert_eq!(system.refusal(feed_id).await, "feeds.document_shrunken");
    assert_eq!(system.column("select count(*)::text from feeds.patch").await, ["60"]);
    system.stop().await;
}
