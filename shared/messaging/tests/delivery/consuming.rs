//! One consumer: batches, lanes, order, draining, and who works among several processes.

use crate::house::{House, Number, Probe};
use kernel::{Envelope, Tenant};
use messaging::{Concurrency, Outcome, has_heard_all};
use std::{sync::Arc, time::Duration};
use testkit::{eventually, id};
use uuid::Uuid;

#[tokio::test(flavor = "multi_thread")]
async fn events_arrive_once_and_in_order() {
    let house = House::build().await;
    let _relay = house.relay();
    let probe = Arc::new(Probe { batch: 8, ..Probe::default() });
    let _consumer = house.consumer(&probe);
    house.note(0..50).await;
    house.until_effects(probe.name, 0..50).await;
    assert_eq!(probe.calls(), (0..50).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happened_before_the_queue_existed_is_read_from_the_log() {
    let house = House::build().await;
    let _relay = house.relay();
    house.note(0..5).await;
    eventually("everything to be published", async || house.count("select seq from es.relay").await == 5)
        .await;
    let probe = Arc::new(Probe::default());
    let _consumer = house.consumer(&probe);
    house.until_effects(probe.name, 0..5).await;
    house.note(5..6).await;
    house.until_effects(probe.name, 0..6).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_together_is_taken_in_together() {
    let house = House::build().await;
    let _relay = house.relay();
    let probe = Arc::new(Probe { batch: 20, gated: vec![0], ..Probe::default() });
    let _consumer = house.ready_consumer(&probe).await;
    house.note([0]).await;
    probe.until_called_with(0).await;
    // Two partners in one batch: each event is handled in the scope of its own.
    for number in 1..10 {
        house.append(Tenant::customer(id(), id()), id(), [Number::Noted(number)]).await;
    }
    eventually("everything to be published", async || house.count("select seq from es.relay").await == 10)
        .await;
    probe.gate.add_permits(1);
    house.until_effects(probe.name, 0..10).await;
    let transactions = house.count("select count(distinct xmin::text) from public.effect").await;
    assert!(transactions < 10, "{transactions} transactions for 10 events");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_event_of_a_batch_does_not_hold_up_or_reorder_the_others() {
    let house = House::build().await;
    let _relay = house.relay();
    let probe = Probe { batch: 20, gated: vec![0], ..Probe::default() };
    let probe = Arc::new(probe.answering(5, vec![Outcome::Park("cannot bear 5".to_owned()); 9]));
    let _consumer = house.ready_consumer(&probe).await;
    house.note(0..10).await;
    probe.until_called_with(0).await;
    eventually("everything to be published", async || house.count("select seq from es.relay").await == 10)
        .await;
    probe.gate.add_permits(1);
    house.until_effects(probe.name, [0, 1, 2, 3, 4, 6, 7, 8, 9]).await;
    assert_eq!(house.count("select count(*) from es.parked").await, 1);
    house.until_place(10).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_asks_for_time_comes_again() {
    let house = House::build().await;
    let _relay = house.relay();
    let soon = || Outcome::RetryAfter(Duration::from_secs(1));
    let probe = Arc::new(Probe::default().answering(13, [soon()]));
    let _consumer = house.ready_consumer(&probe).await;
    house.note([1, 13, 2]).await;
    house.until_effects(probe.name, [1, 2, 13]).await;
    assert_eq!(probe.calls(), [1, 13, 2, 13]);
    assert_eq!(house.count("select count(*) from es.postponed").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_panics_costs_its_event_and_nothing_else() {
    let house = House::build().await;
    let _relay = house.relay();
    let probe = Arc::new(Probe { panics_at: Some(1), batch: 4, ..Probe::default() });
    let _consumer = house.ready_consumer(&probe).await;
    house.note(0..4).await;
    house.until_effects(probe.name, [0, 2, 3]).await;
    let reason = "select count(*) from es.parked where reason = 'the handler panicked: cannot bear 1'";
    assert_eq!(house.count(reason).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_go_side_by_side_and_each_in_its_order() {
    let house = House::build().await;
    let _relay = house.relay();
    let concurrency = Concurrency::PerKey { lanes: 4, key: hundreds };
    let probe = Arc::new(Probe { concurrency, batch: 4, gated: vec![100], ..Probe::default() });
    let _consumer = house.ready_consumer(&probe).await;
    house.note([100, 101, 200, 102, 201, 202]).await;
    house.until_effects(probe.name, [200, 201, 202]).await;
    assert!(!probe.calls().contains(&101), "its lane is held");

    // What is in work is not passed: not by the place, not by who asks whether all is heard.
    assert_eq!(house.place().await, 0);
    let heard = |patience| has_heard_all(house.store.database(), probe.name, probe.interests, None, patience);
    assert!(!heard(Duration::ZERO).await.unwrap());

    probe.gate.add_permits(1);
    assert!(heard(Duration::from_mins(1)).await.unwrap());
    house.until_effects(probe.name, [200, 201, 202, 100, 101, 102]).await;
    house.until_place(6).await;
}

fn hundreds(event: &Envelope) -> Uuid {
    Uuid::from_u128(u128::from(event.payload["number"].as_u64().unwrap() / 100))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_knows_whether_it_has_heard_of_everything() {
    let house = House::build().await;
    let _relay = house.relay();
    let probe = Arc::new(Probe::default());
    let _consumer = house.consumer(&probe);
    house.note(0..3).await;
    house.events().await;
    let heard = async |consumer, interests: &[&str], patience| {
        has_heard_all(house.store.database(), consumer, interests, None, patience).await.unwrap()
    };
    assert!(heard(probe.name, &["test.Noted"], Duration::from_mins(1)).await);
    assert_eq!(house.effects(probe.name).await, [0, 1, 2], "all of it was handled by then");
    assert!(
        !heard("test.nobody", &["test.*"], Duration::ZERO).await,
        "who never listens has heard of nothing"
    );
    assert!(heard("test.nobody", &["other.*"], Duration::ZERO).await, "except of what never happened");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_lets_what_is_in_work_end_and_leaves_the_rest() {
    let house = House::build().await;
    let _relay = house.relay();
    let probe = Arc::new(Probe { slow_at: Some(1), ..Probe::default() });
    let consumer = house.ready_consumer(&probe).await;
    house.note(1..4).await;
    probe.until_called_with(1).await;
    consumer.stop.cancel();
    probe.gate.add_permits(1);
    consumer.stopped().await;
    assert_eq!(house.effects(probe.name).await, [1]);
    assert_eq!(house.place().await, 1);
    house.until_waiting(probe.name, 2).await;

    let _consumer = house.consumer(&probe);
    house.until_effects(probe.name, 1..4).await;
    assert_eq!(probe.calls(), [1, 2, 3], "what was finished was acknowledged");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_process_works_and_the_next_takes_over() {
    let house = House::build().await;
    let _relay = house.relay();
    let (first, second) = (Arc::new(Probe::default()), Arc::new(Probe::default()));
    let working = house.ready_consumer(&first).await;
    let _standing_by = house.consumer(&second);
    house.note(0..5).await;
    house.until_effects(first.name, 0..5).await;
    assert!(second.calls().is_empty());
    // As a kill would: nothing is said to anybody.
    drop(working);
    house.note(5..10).await;
    house.until_effects(first.name, 0..10).await;
    assert_eq!(second.calls(), [5, 6, 7, 8, 9]);
}
