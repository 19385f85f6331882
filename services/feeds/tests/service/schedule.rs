//! Feeds that are read by themselves.

use crate::system::{System, operator, register};
use crate::vendor::{Reply, serve_in_turn};
use crate::{LIST, OCTOBER};
use contracts::feeds::FeedFormat::{self, DebianDsaList, MsrcCvrf};
use contracts::feeds::{DisableFeed, FeedSchedule, RegisterFeed};
use kernel::{CommandId, FeedId};
use testkit::{eventually, id};

const ENDED: &str = "select feed_id::text from feeds.sync where ended_at is not null";
/// Nobody is at any of them, and each will be read again between 60 and 66 minutes from now.
const RESTING: &str = "select feed_id::text from feeds.feed
                        where due_at is null and leased_until is null
                          and next_at between clock_timestamp() + interval '59 minutes'
                                          and clock_timestamp() + interval '66 minutes'";

async fn register_hourly(system: &System, format: FeedFormat, source: &str) -> FeedId {
    let command =
        RegisterFeed { schedule: Some(FeedSchedule { every_minutes: 60 }), ..register(format, source) };
    system.send(&operator(), command, id()).await.unwrap().answer
}

#[tokio::test]
async fn a_feed_that_is_due_is_read_once_however_many_processes_there_are() {
    let mut system = System::start().await;
    system.start_another().await;
    system.start_another().await;
    let vendor = serve_in_turn(vec![Reply::Whole("200 OK", OCTOBER.to_owned())]).await;
    let feed_id = register_hourly(&system, MsrcCvrf, &vendor.url).await;
    for round in 1..=3 {
        eventually("the feed was read and rests", || async {
            system.column(ENDED).await.len() == round && system.column(RESTING).await.len() == 1
        })
        .await;
        assert_eq!(vendor.requests().len(), round);
        system.alter("update feeds.feed set next_at = clock_timestamp()").await;
    }
    assert_eq!(system.facts("PatchPublished").await.len(), 1);
    assert_eq!(system.column("select distinct feed_id::text from feeds.sync").await, [feed_id.to_string()]);
    system.stop().await;
}

#[tokio::test]
async fn a_feed_that_failed_is_tried_again_by_its_schedule_only() {
    let system = System::start_with(&[("FETCH_ATTEMPTS", "2")]).await;
    let vendor = serve_in_turn(vec![Reply::Whole("503 Service Unavailable", String::new())]).await;
    register_hourly(&system, MsrcCvrf, &vendor.url).await;
    eventually("the feed was tried and rests", || async { system.column(RESTING).await.len() == 1 }).await;
    assert_eq!(vendor.requests().len(), 2);
    let failed = system.facts("FeedSyncFailed").await;
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0]["reason"], "the source answered 503; tried 2 times");
    system.stop().await;
}

#[tokio::test]
async fn what_a_dead_process_was_at_goes_on_as_the_same_command_and_what_others_are_at_is_left_alone() {
    let system = System::start().await;
    system.write("list.txt", LIST);
    let dead = register_hourly(&system, DebianDsaList, "list.txt").await;
    let at_work = register_hourly(&system, DebianDsaList, "list.txt").await;
    let disabled = register_hourly(&system, DebianDsaList, "list.txt").await;
    let reason = "not needed".to_owned();
    system.send(&operator(), DisableFeed { feed_id: disabled, reason }, id()).await.unwrap();
    eventually("what is enabled was read", || async { system.column(RESTING).await.len() >= 2 }).await;
    system
        .alter(format!(
            "delete from feeds.sync;
             update feeds.feed
                set due_at = '2026-11-28T12:00:00Z', leased_until = clock_timestamp() - interval '1 second'
              where feed_id in ('{dead}', '{disabled}');
             update feeds.feed
                set due_at = '2026-11-28T11:00:00Z', leased_until = clock_timestamp() + interval '1 hour'
              where feed_id = '{at_work}'"
        ))
        .await;
    eventually("the dead one's feed was read", || async { !system.column(ENDED).await.is_empty() }).await;
    let command = CommandId::derived(dead.0, "feeds/scheduled/2026-11-28T12:00:00.000000Z");
    let commands = "select command_id::text || ' ' || feed_id from feeds.sync";
    assert_eq!(system.column(commands).await, [format!("{command} {dead}")]);
    system.stop().await;
}
