//! Inbox rows that nobody needs may go, and nothing is done twice without them.

use crate::house::{House, Probe};
use kernel::Scope;
use messaging::{Outcome, parked, prune_inbox};
use std::sync::Arc;

const AGE: &str = "update es.inbox set handled_at = handled_at - interval '2 hours'";

#[tokio::test(flavor = "multi_thread")]
async fn without_its_row_an_old_event_still_has_one_effect() {
    let house = House::build().await;
    let _relay = house.relay();
    let probe = Arc::new(Probe::default());
    let _consumer = house.ready_consumer(&probe).await;
    house.note(1..6).await;
    house.until_place(5).await;
    assert_eq!(prune_inbox(house.store.database()).await.unwrap(), 0, "they are too young");
    house.tell(AGE).await;
    assert_eq!(prune_inbox(house.store.database()).await.unwrap(), 5);
    house.send(probe.name, &serde_json::to_vec(&house.event(3).await).unwrap(), None).await;
    house.note([6]).await;
    house.until_effects(probe.name, 1..7).await;
    assert_eq!(probe.calls(), [1, 2, 3, 4, 5, 6]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parked_event_below_the_place_is_handled_again_after_pruning() {
    let house = House::build().await;
    let _relay = house.relay();
    let probe = Arc::new(Probe::default().answering(1, [Outcome::Park("not today".to_owned())]));
    let _consumer = house.ready_consumer(&probe).await;
    house.note(1..4).await;
    house.until_place(3).await;
    house.tell(AGE).await;
    assert_eq!(prune_inbox(house.store.database()).await.unwrap(), 2, "the parked one is kept");
    let event_id = house.event(1).await.event_id;
    let (database, broker) = (house.store.database(), house.service_broker());
    parked::retry(database, &broker, &Scope::Platform, probe.name, event_id).await.unwrap();
    house.until_effects(probe.name, [2, 3, 1]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_beyond_the_place_are_needed() {
    let house = House::build().await;
    let _relay = house.relay();
    let probe = Arc::new(Probe::default());
    let consumer = house.ready_consumer(&probe).await;
    house.note(1..6).await;
    house.until_place(5).await;
    consumer.stopped().await;
    house.tell("update es.consumer set seq = 2").await;
    house.tell(AGE).await;
    assert_eq!(prune_inbox(house.store.database()).await.unwrap(), 2);
    let _consumer = house.consumer(&probe);
    house.until_place(5).await;
    assert_eq!(house.effects(probe.name).await, [1, 2, 3, 4, 5]);
}
