//! Parked events: kept with the reason, handled again or dropped by a person.

use crate::house::{House, Number, Probe};
use kernel::{EventId, Position, Scope, Tenant};
use messaging::{
    Outcome,
    parked::{self, Filter, Page, Parked, ParkedError, Retried},
};
use std::sync::Arc;
use testkit::{eventually, id};

const PAGE: Page = Page { after: None, limit: 100 };

impl House {
    async fn parked(&self, scope: &Scope) -> Vec<Parked> {
        parked::list(self.store.database(), scope, &Filter::default(), &PAGE).await.unwrap()
    }

    async fn until_parked(&self, count: usize) -> Vec<Parked> {
        eventually("events to be parked", async || self.parked(&Scope::Platform).await.len() == count).await;
        self.parked(&Scope::Platform).await
    }

    async fn retry(&self, scope: &Scope, event_id: EventId) -> Result<Retried, ParkedError> {
        parked::retry(self.store.database(), &self.service_broker(), scope, "test.probe", event_id).await
    }
}

fn never(number: i64) -> Probe {
    Probe::default().answering(number, [Outcome::Park("cannot bear it".to_owned())])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parked_event_is_kept_with_its_reason_for_its_tenant() {
    let house = House::build().await;
    let _relay = house.relay();
    let probe = Arc::new(never(2));
    let _consumer = house.ready_consumer(&probe).await;
    house.note([1, 2, 3]).await;
    house.until_effects(probe.name, [1, 3]).await;
    let own = house.parked(&Scope::partner_of(house.tenant)).await;
    let [parked] = own.as_slice() else { panic!("one event is parked: {own:?}") };
    assert_eq!(parked.event_id, house.event(2).await.event_id);
    assert_eq!((parked.seq, parked.attempts), (Some(Position(2)), 1));
    assert_eq!((parked.consumer.as_str(), parked.event_type.as_str()), ("test.probe", "test.Noted"));
    assert_eq!((parked.reason.as_str(), parked.tenant), ("cannot bear it", house.tenant));
    let stranger = Scope::partner_of(Tenant::partner(id()));
    assert_eq!(house.parked(&stranger).await, []);
    let refused = house.retry(&stranger, parked.event_id).await;
    assert!(matches!(refused, Err(ParkedError::Unknown { .. })), "{refused:?}");
    house.until_place(3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parked_event_is_handled_again_once_however_often_that_is_asked_for() {
    let house = House::build().await;
    let _relay = house.relay();
    let probe = Arc::new(never(2));
    let _consumer = house.ready_consumer(&probe).await;
    house.note([1, 2, 3]).await;
    house.until_effects(probe.name, [1, 3]).await;
    let event = house.event(2).await;
    let scope = Scope::partner_of(house.tenant);
    let (first, second) =
        tokio::join!(house.retry(&scope, event.event_id), house.retry(&scope, event.event_id));
    let outcomes = [first, second];
    assert_eq!(
        outcomes.iter().filter(|outcome| matches!(outcome, Ok(Retried::Sent))).count(),
        1,
        "{outcomes:?}"
    );
    // Another copy of it, as a relay may make one.
    house.send(probe.name, &serde_json::to_vec(&event).unwrap(), None).await;
    house.until_effects(probe.name, [1, 3, 2]).await;
    house.note([4]).await;
    house.until_effects(probe.name, [1, 3, 2, 4]).await;
    assert_eq!(house.parked(&Scope::Platform).await, []);
    assert_eq!(house.count("select count(*) from es.postponed").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parked_event_that_is_given_back_to_a_stopped_consumer_is_handled_at_its_start() {
    let house = House::build().await;
    let _relay = house.relay();
    let probe = Arc::new(never(1));
    let consumer = house.ready_consumer(&probe).await;
    house.note([1, 2]).await;
    house.until_effects(probe.name, [2]).await;
    consumer.stopped().await;
    let event_id = house.event(1).await.event_id;
    house.retry(&Scope::Platform, event_id).await.unwrap();
    // Even if the broker forgets it.
    house.purge(probe.name).await;
    let _consumer = house.consumer(&probe);
    house.until_effects(probe.name, [2, 1]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parked_event_can_be_parked_again() {
    let house = House::build().await;
    let _relay = house.relay();
    let probe =
        Arc::new(Probe::default().answering(1, ["once", "twice"].map(|text| Outcome::Park(text.to_owned()))));
    let _consumer = house.ready_consumer(&probe).await;
    house.note([1]).await;
    let [parked] = house.until_parked(1).await.try_into().unwrap();
    house.retry(&Scope::Platform, parked.event_id).await.unwrap();
    eventually("it to be parked again", async || {
        house.parked(&Scope::Platform).await.iter().any(|parked| parked.reason == "twice")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_event_stays_to_be_seen_and_is_never_handled() {
    let house = House::build().await;
    let _relay = house.relay();
    let probe = Arc::new(never(1));
    let _consumer = house.ready_consumer(&probe).await;
    house.note([1]).await;
    let [parked] = house.until_parked(1).await.try_into().unwrap();
    let (database, scope) = (house.store.database(), Scope::partner_of(house.tenant));
    let drop =
        async || parked::drop(database, &scope, "test.probe", parked.event_id, "carol", "of no use").await;
    drop().await.unwrap();
    let again = drop().await;
    assert!(matches!(again, Err(ParkedError::Unknown { .. })), "the first decision stays: {again:?}");
    assert_eq!(house.parked(&scope).await, []);
    let shown = parked::show(database, &scope, "test.probe", parked.event_id).await.unwrap().unwrap();
    let dropped = shown.dropped.unwrap();
    assert_eq!((dropped.by.as_str(), dropped.reason.as_str()), ("carol", "of no use"));
    let all = Filter { dropped: true, ..Filter::default() };
    assert_eq!(parked::list(database, &scope, &all, &PAGE).await.unwrap().len(), 1);
    let refused = house.retry(&scope, parked.event_id).await;
    assert!(matches!(refused, Err(ParkedError::Unknown { .. })), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_list_is_read_in_parts() {
    let house = House::build().await;
    let _relay = house.relay();
    let probe = (0..5)
        .fold(Probe::default(), |probe, number| probe.answering(number, [Outcome::Park(number.to_string())]));
    let _consumer = house.ready_consumer(&Arc::new(probe)).await;
    house.append(house.tenant, id(), (0..5).map(Number::Noted)).await;
    let all = house.until_parked(5).await;
    let mut read: Vec<Parked> = Vec::new();
    loop {
        let after = read.last().map(|parked| (parked.parked_at, parked.event_id));
        let page = Page { after, limit: 2 };
        let part =
            parked::list(house.store.database(), &Scope::Platform, &Filter::default(), &page).await.unwrap();
        if part.is_empty() {
            break;
        }
        read.extend(part);
    }
    assert_eq!(read, all);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_event_is_kept_as_it_is() {
    let house = House::build().await;
    let _relay = house.relay();
    let probe = Arc::new(Probe::default());
    let _consumer = house.ready_consumer(&probe).await;
    house.send(probe.name, b"{\"what\": \"ever\"}", None).await;
    let [parked] = house.until_parked(1).await.try_into().unwrap();
    assert_eq!(parked.unreadable.as_deref(), Some(&b"{\"what\": \"ever\"}"[..]));
    let refused = house.retry(&Scope::Platform, parked.event_id).await;
    assert!(matches!(refused, Err(ParkedError::Unreadable { .. })), "{refused:?}");
    assert_eq!(house.parked(&Scope::Platform).await.len(), 1, "it is still there");
    house.note([1]).await;
    house.until_effects(probe.name, [1]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lies_in_the_brokers_parking_queue_is_taken_over() {
    let house = House::build().await;
    let _relay = house.relay();
    let probe = Arc::new(never(1));
    let consumer = house.ready_consumer(&probe).await;
    house.note([1]).await;
    house.until_parked(1).await;
    consumer.stopped().await;
    // As a program of before left it: closed in the inbox, and in the queue with its reason.
    house.tell("delete from es.parked").await;
    let event = house.event(1).await;
    let queue = "test.probe.parked";
    house.send(queue, &serde_json::to_vec(&event).unwrap(), Some("parked before")).await;
    house.send(queue, b"nonsense", None).await;
    let _consumer = house.consumer(&probe);
    let mut parked = house.until_parked(2).await;
    parked.sort_by_key(|parked| parked.seq);
    assert_eq!(parked[0].unreadable.as_deref(), Some(&b"nonsense"[..]));
    assert_eq!((parked[1].event_id, parked[1].reason.as_str()), (event.event_id, "parked before"));
    house.until_waiting(queue, 0).await;
}
