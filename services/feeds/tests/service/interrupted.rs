//! A synchronisation that breaks off goes on.

use crate::system::System;
use contracts::feeds::FeedFormat::DebianDsaList;
use std::fmt::Write;
use testkit::id;

/// More than two transactions take.
const ADVISORIES: u32 = 1_100;

/// One advisory a package; from the second half of the list on, each replaces the one of the same package before it.
fn long_list() -> String {
    let mut list = String::new();
    for number in (1..=ADVISORIES).rev() {
        let (package, round) = (number % (ADVISORIES / 2), 1 + number / (ADVISORIES / 2));
        let day = 1 + number / 50;
        writeln!(list, "[{day:02} Oct 2026] DSA-{}-1 part{package} - security update", 9_000 + number)
            .unwrap();
        writeln!(list, "\t{{CVE-2026-{}}}\n\t[bookworm] - part{package} {round}.0", 40_000 + number).unwrap();
    }
    list
}

#[tokio::test]
async fn the_same_command_goes_on_where_it_broke_off() {
    let system = System::start().await;
    system.write("list.txt", long_list());
    let feed_id = system.register(DebianDsaList, "list.txt").await;
    system
        .alter(
            "create function feeds.fail() returns trigger language plpgsql as $$
             begin raise exception 'out of paper'; end $$;
             create trigger fail before update on feeds.sync for each row execute function feeds.fail()",
        )
        .await;
    let command = id();
    assert_eq!(system.sync_as(command, feed_id).await.unwrap_err().status, 500);
    assert_eq!(system.facts("PatchPublished").await.len(), 500, "the first transaction only");
    assert_eq!(system.facts("FeedSyncFailed").await.len(), 0, "the document is not at fault");

    system.alter("drop trigger fail on feeds.sync").await;
    let report = system.sync_as(command, feed_id).await.unwrap().answer;
    assert_eq!((report.published, report.revised, report.unchanged), (ADVISORIES, 0, 0));
    assert_eq!(system.facts("PatchPublished").await.len(), ADVISORIES as usize);
    let replaced = system.facts("PatchSuperseded").await.len();
    assert_eq!(replaced, (ADVISORIES / 2) as usize, "across transactions as well");
    assert_eq!(
        system.column("select count(*)::text from feeds.patch where state = 'superseded'").await,
        [replaced.to_string()]
    );
    system.stop().await;
}

#[tokio::test]
async fn another_command_completes_what_one_left_half_done() {
    let system = System::start().await;
    system.write("list.txt", long_list());
    let feed_id = system.register(DebianDsaList, "list.txt").await;
    system
        .alter(
            "create function feeds.fail() returns trigger language plpgsql as $$
             begin raise exception 'out of paper'; end $$;
             create trigger fail before update on feeds.sync for each row execute function feeds.fail()",
        )
        .await;
    system.try_sync(feed_id).await.unwrap_err();
    system.alter("drop trigger fail on feeds.sync").await;
    let report = system.sync(feed_id).await.answer;
    assert_eq!((report.published, report.unchanged), (ADVISORIES - 500, 500));
    assert_eq!(system.facts("PatchPublished").await.len(), ADVISORIES as usize);
    system.stop().await;
}

#[tokio::test]
async fn a_writer_that_keeps_the_catalogue_to_itself_delays_and_breaks_nothing() {
    let system = System::start().await;
    system.write("list.txt", long_list());
    let feed_id = system.register(DebianDsaList, "list.txt").await;
    let mut other = system.owner().await;
    // Of the service's own lock; held until the connection is closed.
    sqlx::query("select pg_advisory_lock($1)").bind(0x7066_6665_6564_i64).execute(&mut other).await.unwrap();
    let command = id();
    let failure = system.sync_as(command, feed_id).await.unwrap_err();
    assert_eq!((failure.code.as_str(), failure.retryable), ("feeds.catalogue_busy", true));
    drop(other);
    assert_eq!(system.sync_as(command, feed_id).await.unwrap().answer.published, ADVISORIES);
    system.stop().await;
}
