//! The relay: in order, once per event as far as possible, and by one process at a time.

use crate::{
    house::{House, Probe},
    wire::Wire,
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use testkit::eventually;

async fn until_published(house: &House, position: i64) {
    eventually("everything to be published", async || {
        house.count("select seq from es.relay").await == position
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_relay_stands_by_and_takes_over() {
    let house = House::build().await;
    house.listen_in().await;
    let leading = house.relay();
    house.note(0..10).await;
    until_published(&house, 10).await;
    let _standing_by = house.relay();
    house.note(10..30).await;
    until_published(&house, 30).await;
    assert_eq!(house.copies().await, (1..=30).collect::<Vec<_>>(), "nothing twice");
    // As a kill would: nothing is said to anybody.
    drop(leading);
    house.note(30..40).await;
    until_published(&house, 40).await;
    let mut copies = house.copies().await;
    copies.sort_unstable();
    copies.dedup();
    assert_eq!(copies, (31..=40).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_ends_in_order_leaves_nothing_to_publish_twice() {
    let house = House::build().await;
    house.listen_in().await;
    house.note(0..50).await;
    house.events().await;
    for _ in 0..5 {
        let relay = house.relay();
        eventually("some of it to be published", async || house.count("select seq from es.relay").await > 0)
            .await;
        relay.stopped().await;
        house.note(0..10).await;
    }
    let _relay = house.relay();
    until_published(&house, 100).await;
    assert_eq!(house.copies().await, (1..=100).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_twice_has_one_effect() {
    let house = House::build().await;
    let relay = house.relay();
    let probe = Arc::new(Probe { batch: 4, ..Probe::default() });
    let _consumer = house.ready_consumer(&probe).await;
    house.note(0..20).await;
    house.until_effects(probe.name, 0..20).await;
    until_published(&house, 20).await;
    relay.stopped().await;
    house.tell("update es.relay set seq = 5").await;
    let _relay = house.relay();
    house.note(20..25).await;
    house.until_effects(probe.name, 0..25).await;
    assert_eq!(probe.calls(), (0..25).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_twice_in_one_batch_has_one_effect() {
    let house = House::build().await;
    let relay = house.relay();
    let probe = Arc::new(Probe { batch: 20, gated: vec![0], ..Probe::default() });
    let _consumer = house.ready_consumer(&probe).await;
    house.note([0]).await;
    probe.until_called_with(0).await;
    house.note(1..4).await;
    until_published(&house, 4).await;
    // The relay ends before its cursor is moved: the next one publishes the last two again.
    relay.stopped().await;
    house.tell("update es.relay set seq = 2").await;
    let _relay = house.relay();
    until_published(&house, 4).await;
    probe.gate.add_permits(1);
    house.until_effects(probe.name, 0..4).await;
    house.until_place(4).await;
    assert_eq!(probe.calls(), [0, 1, 2, 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_message_says_where_the_event_before_it_was() {
    let house = House::build().await;
    house.listen_in().await;
    let relay = house.relay();
    house.note(0..3).await;
    until_published(&house, 3).await;
    assert_eq!(house.previous().await, [None, Some(1), Some(2)]);
    // It is remembered.
    relay.stopped().await;
    let _relay = house.relay();
    house.note(3..4).await;
    until_published(&house, 4).await;
    assert_eq!(house.previous().await, [Some(3)]);
}

/// As long as no broker without an alarm may be silent.
const LONG: Duration = Duration::from_secs(11);

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_takes_no_messages_is_waited_for_on_the_same_connection() {
    let house = House::build().await;
    house.listen_in().await;
    let wire = Wire::to(&house.broker.url()).await;
    let _relay = house.relay_to(wire.url());
    house.note(0..5).await;
    until_published(&house, 5).await;
    wire.block(true);
    let since = Instant::now();
    house.note(5..15).await;
    house.events().await;
    eventually("a long time", async || since.elapsed() > LONG).await;
    assert_eq!(house.count("select seq from es.relay").await, 5);
    wire.block(false);
    until_published(&house, 15).await;
    assert_eq!(wire.connections(), 1);
    assert_eq!(house.copies().await, (1..=15).collect::<Vec<_>>(), "nothing twice");
}
