//! What the broker loses, repeats or refuses.

use crate::{
    house::{House, Number, Probe},
    wire::Wire,
};
use messaging::Outcome;
use std::{sync::Arc, time::Duration};
use testkit::{eventually, id};

#[tokio::test(flavor = "multi_thread")]
async fn what_was_lost_is_read_from_the_log_before_what_came_after_it() {
    let house = House::build().await;
    let _relay = house.relay();
    let probe = Arc::new(Probe { prefetch: 1, gated: vec![1], ..Probe::default() });
    let _consumer = house.ready_consumer(&probe).await;
    house.note([1]).await;
    probe.until_called_with(1).await;
    house.note(2..6).await;
    house.until_waiting(probe.name, 4).await;
    house.purge(probe.name).await;
    house.note([6]).await;
    house.until_waiting(probe.name, 1).await;
    probe.gate.add_permits(1);
    house.until_effects(probe.name, 1..7).await;
    assert_eq!(probe.calls(), [1, 2, 3, 4, 5, 6]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_lost_between_events_of_another_type_is_found_as_well() {
    let house = House::build().await;
    let _relay = house.relay();
    let probe = Arc::new(Probe { prefetch: 1, gated: vec![1], ..Probe::default() });
    let _consumer = house.ready_consumer(&probe).await;
    house.append(house.tenant, id(), [Number::Marked(1)]).await;
    probe.until_called_with(1).await;
    house.note([2]).await;
    house.until_waiting(probe.name, 1).await;
    house.purge(probe.name).await;
    house.append(house.tenant, id(), [Number::Marked(3)]).await;
    house.until_waiting(probe.name, 1).await;
    probe.gate.add_permits(1);
    house.until_effects(probe.name, [1, 3, 2]).await;
    house.until_place(3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_last_event_is_found_though_nothing_comes_after_it() {
    let house = House::build().await;
    let _relay = house.relay();
    let probe = Arc::new(Probe { prefetch: 1, gated: vec![1], ..Probe::default() });
    let _consumer = house.ready_consumer(&probe).await;
    house.note([1]).await;
    probe.until_called_with(1).await;
    house.note([2]).await;
    house.until_waiting(probe.name, 1).await;
    house.purge(probe.name).await;
    probe.gate.add_permits(1);
    house.until_effects(probe.name, [1, 2]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_another_attempt_is_not_lost_with_the_broker() {
    let house = House::build().await;
    let _relay = house.relay();
    let soon = Outcome::RetryAfter(Duration::from_secs(1));
    let probe = Arc::new(Probe::default().answering(1, [soon.clone(), soon]));
    let _consumer = house.ready_consumer(&probe).await;
    house.note([1, 2]).await;
    house.until_effects(probe.name, [2]).await;
    // The second attempt waits for five seconds. The broker forgets it.
    house.until_waiting("test.probe.delay.5s", 1).await;
    house.purge("test.probe.delay.5s").await;
    house.until_effects(probe.name, [2, 1]).await;
    assert_eq!(probe.calls(), [1, 2, 1, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_connects_anew_takes_what_was_set_aside() {
    let house = House::build().await;
    let wire = Wire::to(&house.broker.url()).await;
    let _relay = house.relay();
    let much_later = Outcome::RetryAfter(Duration::from_mins(5));
    let probe = Arc::new(Probe::default().answering(1, [much_later]));
    let _consumer = house.consumer_at(&probe, wire.url());
    house.note([1, 2]).await;
    house.until_effects(probe.name, [2]).await;
    wire.cut();
    house.until_effects(probe.name, [2, 1]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_may_be_cut_at_any_time() {
    let house = House::build().await;
    let wire = Wire::to(&house.broker.url()).await;
    let _relay = house.relay_to(wire.url());
    let probe = Arc::new(Probe { batch: 8, ..Probe::default() });
    let _consumer = house.consumer_at(&probe, wire.url());
    for part in 0..5 {
        house.note(part * 20..part * 20 + 20).await;
        eventually("some of it to arrive", async || {
            house.effects(probe.name).await.iter().any(|number| *number > part * 20)
        })
        .await;
        wire.cut();
    }
    house.until_effects(probe.name, 0..100).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_from_a_lost_future_has_no_effect_and_hides_nothing() {
    let house = House::build().await;
    let _relay = house.relay();
    let probe = Arc::new(Probe::default());
    let _consumer = house.ready_consumer(&probe).await;
    house.note([1]).await;
    house.until_effects(probe.name, [1]).await;
    // As after a restore to an earlier time: the broker still has an event that the log has not.
    let mut ghost = house.event(1).await;
    ghost.event_id = id();
    ghost.seq.0 = 3;
    ghost.payload = serde_json::json!({ "number": 99 });
    house.send(probe.name, &serde_json::to_vec(&ghost).unwrap(), None).await;
    house.until_waiting(probe.name, 0).await;
    house.note([2, 3, 4]).await;
    house.until_effects(probe.name, 1..5).await;
    assert_eq!(probe.calls(), [1, 2, 3, 4]);
    house.until_place(4).await;
}
