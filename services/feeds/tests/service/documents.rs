//! What documents do to the catalogue.

use crate::system::{System, operator, partner_admin, register};
use crate::{BROKEN, LIST, OCTOBER, SEPTEMBER};
use contracts::feeds::FeedFormat::{DebianDsaList, MsrcCvrf};
use contracts::feeds::SyncFeed;
use serde_json::json;
use testkit::id;

const PATCHES: &str = "select concat_ws(' ', vendor_patch_id, state, facts ->> 'severity')
                         from feeds.patch order by vendor_patch_id";

#[tokio::test]
async fn an_advisory_list_becomes_patches() {
    let system = System::start().await;
    system.write("list.txt", LIST);
    let feed_id = system.register(DebianDsaList, "list.txt").await;
    let accepted = system.sync(feed_id).await;
    let report = accepted.answer;
    assert_eq!((report.published, report.revised, report.unchanged), (2, 0, 0));
    assert_eq!((report.feed_id, report.document_sha256.len(), report.quarantined), (feed_id, 64, vec![]));

    assert_eq!(system.story().await, "FeedRegistered × 1, PatchPublished × 2, FeedSyncCompleted × 1");
    let events = system.events().await;
    assert_eq!(accepted.written.unwrap().pos, events.last().unwrap().pos);
    let completed = &events.last().unwrap().payload;
    assert_eq!(completed["document_sha256"], report.document_sha256);
    assert_eq!(
        (&completed["published"], &completed["document_date"]),
        (&json!(2), &json!("2026-11-13T00:00:00Z"))
    );
    assert_eq!(system.column(PATCHES).await, ["DSA-9901-1 published HIGH", "DSA-9902-1 published MEDIUM"]);
    system.stop().await;
}

#[tokio::test]
async fn a_newer_update_replaces_the_older_one_whichever_is_read_first() {
    for order in
        [[("sep.xml", SEPTEMBER), ("oct.xml", OCTOBER)], [("oct.xml", OCTOBER), ("sep.xml", SEPTEMBER)]]
    {
        let system = System::start().await;
        for (name, document) in order {
            system.import(MsrcCvrf, name, document).await;
        }
        let superseded = system.facts("PatchSuperseded").await;
        assert_eq!(superseded.len(), 1);
        assert_eq!(superseded[0]["superseded_by_vendor_id"], "KB5090101");
        assert_eq!(
            system.column(PATCHES).await,
            ["KB5088801 superseded HIGH", "KB5090101 published CRITICAL"]
        );
        system.stop().await;
    }
}

#[tokio::test]
async fn the_same_document_again_writes_nothing_and_looks_at_no_patchs_stream() {
    let system = System::start().await;
    let feed_id = system.import(DebianDsaList, "list.txt", LIST).await;
    let before = system.events().await;
    system
        .alter(
            "alter function es.load_stream_platform rename to load_any_stream;
             create function es.load_stream_platform(p_begin boolean, p_partner uuid, p_customer uuid, p_stream_id uuid, p_shape int, p_command uuid)
             returns table (pos bigint, version bigint, event_type text, schema_version smallint, command_id uuid, payload bytea)
             language plpgsql as $$
             begin
               -- In a transaction of its own the scope is set; elsewhere the table cannot be seen yet.
               if not p_begin then
                 if not exists (select from feeds.feed where feed_id = p_stream_id) then
                   raise exception 'stream % was read', p_stream_id;
                 end if;
               end if;
               return query select * from es.load_any_stream(p_begin, p_partner, p_customer, p_stream_id, p_shape, p_command);
             end $$",
        )
        .await;

    let accepted = system.sync(feed_id).await;
    assert_eq!((accepted.answer.published, accepted.answer.revised, accepted.answer.unchanged), (0, 0, 2));
    assert_eq!(accepted.written.unwrap().pos, before.last().unwrap().pos);
    assert_eq!(system.events().await.len(), before.len());

    // Not for a changed document either: the tables say what is known, in the same transaction.
    system.write("list.txt", LIST.replace("high", "low"));
    assert_eq!(system.sync(feed_id).await.answer.revised, 1);
    system.stop().await;
}

#[tokio::test]
async fn a_repeated_command_answers_as_the_first_time() {
    let system = System::start().await;
    system.write("list.txt", LIST);
    let (operator, command) = (operator(), id());
    let first = system.send(&operator, register(DebianDsaList, "list.txt"), command).await.unwrap();
    let again = system.send(&operator, register(DebianDsaList, "list.txt"), command).await.unwrap();
    assert_eq!((first.answer, first.written, true), (again.answer, again.written, again.repeated));

    let command = id();
    let first = system.sync_as(command, first.answer).await.unwrap();
    system.write("list.txt", LIST.replace("high", "low"));
    let again = system.sync_as(command, first.answer.feed_id).await.unwrap();
    assert_eq!((&first.answer, first.written, false), (&again.answer, again.written, first.repeated));
    assert!(again.repeated);
    assert_eq!(system.facts("PatchRevised").await.len(), 0);
    system.stop().await;
}

#[tokio::test]
async fn the_same_command_sent_twice_at_once_has_one_effect() {
    let system = System::start().await;
    system.write("list.txt", LIST);
    let feed_id = system.register(DebianDsaList, "list.txt").await;
    let command = id();
    let (one, other) = tokio::join!(system.sync_as(command, feed_id), system.sync_as(command, feed_id));
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_eq!((one.answer, one.written), (other.answer, other.written));
    assert!(one.repeated != other.repeated);
    assert_eq!(system.story().await, "FeedRegistered × 1, PatchPublished × 2, FeedSyncCompleted × 1");
    system.stop().await;
}

#[tokio::test]
async fn a_revised_document_revises_what_it_changes() {
    let system = System::start().await;
    let feed_id = system.import(DebianDsaList, "list.txt", LIST).await;
    system.write("list.txt", LIST.replace("pfdemo 1.1 (high)", "pfdemo 1.2 (low)"));
    let report = system.sync(feed_id).await.answer;
    assert_eq!((report.published, report.revised, report.unchanged), (0, 1, 1));
    let revised = system.facts("PatchRevised").await;
    assert_eq!(revised.len(), 1);
    assert_eq!(revised[0]["changed"], json!(["vendor_severity", "severity", "targets"]));
    assert_eq!(revised[0]["patch"]["targets"][0]["fixed_version"], "1.2");
    assert_eq!(system.column(PATCHES).await, ["DSA-9901-1 published LOW", "DSA-9902-1 published MEDIUM"]);
    system.stop().await;
}

#[tokio::test]
async fn what_another_feed_adds_survives_a_new_description_by_the_patchs_own_feed() {
    let system = System::start().await;
    let own = system.import(MsrcCvrf, "oct.xml", OCTOBER).await;
    let more = OCTOBER.replace("CVE-2026-90102", "CVE-2026-90199");
    let other = system.import(MsrcCvrf, "more.xml", &more).await;
    let cves = "select jsonb_array_elements_text(facts -> 'cves') from feeds.patch order by 1";
    assert_eq!(system.column(cves).await, ["CVE-2026-90102", "CVE-2026-90199"]);

    system.write("oct.xml", OCTOBER.replace(">Yes<", ">Maybe<"));
    assert_eq!(system.sync(own).await.answer.revised, 1);
    assert_eq!(system.sync(other).await.answer.revised, 1);
    assert_eq!(system.column(cves).await, ["CVE-2026-90102", "CVE-2026-90199"]);
    // And then there is peace.
    let before = system.events().await.len();
    for feed_id in [own, other, own] {
        system.sync(feed_id).await;
    }
    assert_eq!(system.facts("PatchRevised").await.len(), 3);
    assert_eq!(system.events().await.len(), before);
    system.stop().await;
}

#[tokio::test]
async fn a_broken_document_is_a_fact_and_changes_nothing() {
    let system = System::start().await;
    let feed_id = system.import(MsrcCvrf, "oct.xml", OCTOBER).await;
    system.write("oct.xml", BROKEN);
    let command = id();
    let failure = system.sync_as(command, feed_id).await.unwrap_err();
    assert_eq!((failure.status, failure.code.as_str()), (422, "feeds.document_truncated"));
    let failed = system.facts("FeedSyncFailed").await;
    assert_eq!(failed.len(), 1);
    assert_eq!((&failed[0]["code"], &failed[0]["reason"]), (&json!(failure.code), &json!(failure.message)));
    assert_eq!(system.column(PATCHES).await, ["KB5090101 published CRITICAL"]);

    system.write("oct.xml", OCTOBER);
    assert_eq!(system.sync_as(command, feed_id).await.unwrap_err(), failure, "the answer of the first time");
    assert_eq!(system.sync(feed_id).await.answer.unchanged, 1);
    assert_eq!(
        system.story().await,
        "FeedRegistered × 1, PatchPublished × 1, FeedSyncCompleted × 2, FeedSyncFailed × 1"
    );
    system.stop().await;
}

#[tokio::test]
async fn an_older_issue_of_a_document_is_refused() {
    let system = System::start().await;
    let feed_id = system.import(MsrcCvrf, "oct.xml", OCTOBER).await;
    system.write("oct.xml", OCTOBER.replace("2026-10-14T", "2026-10-13T").replace("Critical", "Low"));
    assert_eq!(system.refusal(feed_id).await, "feeds.document_older");
    assert_eq!(system.facts("FeedSyncFailed").await[0]["code"], "feeds.document_older");
    assert_eq!(system.column(PATCHES).await, ["KB5090101 published CRITICAL"]);
    system.stop().await;
}

#[tokio::test]
async fn the_platforms_feeds_are_nobody_elses() {
    let system = System::start().await;
    let unknown = system.try_sync(id()).await.unwrap_err();
    assert_eq!((unknown.status, unknown.code.as_str()), (404, "feeds.feed_unknown"));

    let feed_id = system.import(MsrcCvrf, "oct.xml", OCTOBER).await;
    let before = system.events().await.len();
    let caller = partner_admin();
    let denied = system.send(&caller, SyncFeed { feed_id }, id()).await.unwrap_err();
    assert_eq!((denied.status, denied.code.as_str()), (404, "feeds.feed_unknown"));
    let denied = system.send(&caller, register(MsrcCvrf, "oct.xml"), id()).await.unwrap_err();
    assert_eq!((denied.status, denied.code.as_str()), (422, "feeds.source_operators_folder"));
    let denied = system.send(&caller, register(MsrcCvrf, "https://vendor.example/"), id()).await.unwrap_err();
    assert_eq!((denied.status, denied.code.as_str()), (422, "feeds.feed_kind_wrong"));
    assert_eq!(system.events().await.len(), before);
    system.stop().await;
}
