//! Looking into the log: every filter, alone and together, in pages, and never beyond the scope.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its support as well")]

#[path = "support/tally.rs"]
mod tally;

use chrono::{DateTime, TimeDelta, Utc};
use eventstore::{Database, DatabaseOptions, EventFilter, Log, Order, Reader, Sequencer};
use kernel::{CommandId, CorrelationId, Envelope, Position, Scope, StreamId, Tenant};
use tally::{COUNTED, KINDS, Writer, command};
use testkit::{TestDatabase, eventually, id};

struct Fixture {
    test: TestDatabase,
    database: Database,
    ours: Writer,
    other: Writer,
    stream: StreamId,
    correlation: CorrelationId,
}

/// 24 events of ours, 12 of them on one stream and 3 of one request, between those of another partner.
async fn fixture() -> Fixture {
    let test = TestDatabase::create().await;
    let database = test.connect().await;
    let ours = Writer::new(database.clone(), Tenant::customer(id(), id()));
    let other = Writer::new(database.clone(), Tenant::customer(id(), id()));
    let (stream, correlation) = (id(), id());
    for number in 0..4 {
        let mut cause = command(id::<CommandId>());
        ours.write::<0>(stream, &cause, &[number, 10, 100]).await.unwrap();
        other.write::<0>(id(), &cause, &[1, 1]).await.unwrap();
        if number == 2 {
            cause.correlation_id = correlation;
        }
        ours.write::<1>(id(), &cause, &[7, 8, 9]).await.unwrap();
    }
    let sequencer = Sequencer::new(database.clone());
    eventually("32 events to have positions", async || sequencer.once().await.unwrap() == Position(32)).await;
    Fixture { test, database, ours, other, stream, correlation }
}

impl Fixture {
    async fn read(&self, scope: &Scope, filter: &EventFilter, order: Order, limit: i64) -> Vec<Envelope> {
        Reader::new(self.database.clone()).events(scope, filter, order, limit).await.unwrap()
    }

    /// The expected answer: the whole log, filtered by hand.
    async fn expected(&self, wanted: impl Fn(&Envelope) -> bool) -> Vec<Envelope> {
        let all = Log::new(self.database.clone()).page(Position(0), 100).await.unwrap();
        all.into_iter().filter(|event| event.tenant == self.ours.tenant && wanted(event)).collect()
    }

    /// The filter finds the same in one page, in pages of two, and from the newest.
    async fn finds(&self, filter: &EventFilter, expected: &[Envelope]) {
        let scope = &self.ours.scope;
        assert_eq!(self.read(scope, filter, Order::OldestFirst, 100).await, expected);
        let (mut paged, mut next) = (Vec::new(), filter.clone());
        loop {
            let page = self.read(scope, &next, Order::OldestFirst, 2).await;
            let Some(last) = page.last() else { break };
            next.after = last.seq;
            paged.extend(page);
        }
        assert_eq!(paged, expected);
        let (mut paged, mut next) = (Vec::new(), filter.clone());
        loop {
            let page = self.read(scope, &next, Order::NewestFirst, 5).await;
            let Some(last) = page.last() else { break };
            next.before = Some(last.seq);
            paged.extend(page);
        }
        paged.reverse();
        assert_eq!(paged, expected);
        let foreign = self.read(&self.other.scope, filter, Order::OldestFirst, 100).await;
        assert!(foreign.iter().all(|event| event.tenant == self.other.tenant), "{foreign:?}");
    }
}

#[tokio::test]
async fn every_filter_finds_its_events_in_pages_of_any_size_and_none_of_another_tenant() {
    let f = fixture().await;
    let everything = EventFilter::default();
    assert_eq!(f.expected(|_| true).await.len(), 24);
    f.finds(&everything, &f.expected(|_| true).await).await;

    let range = EventFilter { after: Position(5), before: Some(Position(20)), ..everything.clone() };
    f.finds(&range, &f.expected(|event| event.seq > Position(5) && event.seq < Position(20)).await).await;

    let of_stream = EventFilter { stream_id: Some(f.stream), ..everything.clone() };
    let versions: Vec<i64> =
        f.expected(|event| event.stream_id == f.stream).await.iter().map(|event| event.version).collect();
    assert_eq!(versions, (1..=12).collect::<Vec<_>>());
    f.finds(&of_stream, &f.expected(|event| event.stream_id == f.stream).await).await;

    let of_category = EventFilter { stream: Some(KINDS[1].to_owned()), ..everything.clone() };
    f.finds(&of_category, &f.expected(|event| event.stream == KINDS[1]).await).await;

    let of_type = EventFilter { event_type: Some(COUNTED[0].to_owned()), ..everything.clone() };
    f.finds(&of_type, &f.expected(|event| event.event_type == COUNTED[0]).await).await;

    let of_request = EventFilter { correlation_id: Some(f.correlation), ..everything.clone() };
    assert_eq!(f.expected(|event| event.correlation_id == f.correlation).await.len(), 3);
    f.finds(&of_request, &f.expected(|event| event.correlation_id == f.correlation).await).await;

    let all_at_once = EventFilter {
        after: Position(3),
        before: Some(Position(31)),
        stream_id: Some(f.stream),
        stream: Some(KINDS[0].to_owned()),
        event_type: Some(COUNTED[0].to_owned()),
        ..everything.clone()
    };
    let expected = f
        .expected(|event| event.stream_id == f.stream && event.seq > Position(3) && event.seq < Position(31))
        .await;
    f.finds(&all_at_once, &expected).await;

    let nothing = EventFilter { event_type: Some("test.Unheard".to_owned()), ..everything };
    f.finds(&nothing, &[]).await;
}

#[tokio::test]
async fn a_customer_sees_its_own_events_only_and_the_platform_all() {
    let f = fixture().await;
    let all = EventFilter::default();
    let customer = Scope::Customer {
        partner_id: f.ours.tenant.partner_id,
        customer_id: f.ours.tenant.customer_id.unwrap(),
    };
    assert_eq!(f.read(&customer, &all, Order::OldestFirst, 100).await.len(), 24);
    let sibling = Scope::Customer { partner_id: f.ours.tenant.partner_id, customer_id: id() };
    assert_eq!(f.read(&sibling, &all, Order::OldestFirst, 100).await, []);
    assert_eq!(f.read(&Scope::Platform, &all, Order::OldestFirst, 100).await.len(), 32);
    // A foreign stream is empty, also where its id is known.
    let foreign = EventFilter { stream_id: Some(f.stream), ..all };
    assert_eq!(f.read(&f.other.scope, &foreign, Order::OldestFirst, 100).await, []);
}

#[tokio::test]
async fn a_range_of_time_finds_exactly_what_was_recorded_in_it_even_out_of_order() {
    let f = fixture().await;
    // As if the events had been recorded one every 40 s, two by two the wrong way round as slow transactions make them.
    let noon: DateTime<Utc> = "2026-03-01T12:00:00Z".parse().unwrap();
    let mut owner = f.test.owner().await;
    let mut recorded = Vec::new();
    for seq in 1..=32_i64 {
        let at = noon + TimeDelta::seconds(40 * ((seq - 1) ^ 1));
        recorded.push((Position(seq), at));
        sqlx::query("update es.order_log set recorded_at = $2 where seq = $1")
            .bind(seq)
            .bind(at)
            .execute(&mut owner)
            .await
            .unwrap();
    }
    sqlx::raw_sql(
        "delete from es.order_minute;
         insert into es.order_minute (minute, first_seq, last_seq, events)
         select date_trunc('minute', recorded_at, 'UTC'), min(seq), max(seq), count(*) from es.order_log group by 1",
    )
    .execute(&mut owner)
    .await
    .unwrap();
    for (from, to) in [(0, 40), (40, 600), (100, 101), (130, 1_400), (-60, 0), (5_000, 6_000)] {
        let (from, to) = (noon + TimeDelta::seconds(from), noon + TimeDelta::seconds(to));
        let filter =
            EventFilter { recorded_from: Some(from), recorded_before: Some(to), ..EventFilter::default() };
        let expected: Vec<Position> =
            recorded.iter().filter(|(_, at)| *at >= from && *at < to).map(|(seq, _)| *seq).collect();
        let found = f.read(&Scope::Platform, &filter, Order::OldestFirst, 100).await;
        assert_eq!(found.iter().map(|event| event.seq).collect::<Vec<_>>(), expected, "{from} to {to}");
    }
    let since =
        EventFilter { recorded_from: Some(noon + TimeDelta::seconds(1_200)), ..EventFilter::default() };
    assert_eq!(f.read(&Scope::Platform, &since, Order::OldestFirst, 100).await.len(), 2);
}

#[tokio::test]
async fn the_sequencer_keeps_the_minutes_as_the_order_has_them() {
    let f = fixture().await;
    let wrong: i64 = sqlx::query_scalar(
        "select count(*)
           from es.order_minute m
           full join (
             select date_trunc('minute', recorded_at, 'UTC') as minute, min(seq) as first, max(seq) as last, count(*) as events
               from es.order_log group by 1
           ) o on o.minute = m.minute
          where (m.first_seq, m.last_seq, m.events) is distinct from (o.first, o.last, o.events)",
    )
    .fetch_one(&mut f.test.owner().await)
    .await
    .unwrap();
    assert_eq!(wrong, 0);
}

#[tokio::test]
async fn a_page_of_some_types_says_how_far_it_has_looked() {
    let f = fixture().await;
    let log = Log::new(f.database.clone());
    let of_type =
        |event_type: &'static str, page: &[Envelope]| page.iter().all(|event| event.event_type == event_type);
    let page = log.page_of(Position(0), 100, &[COUNTED[1]]).await.unwrap();
    assert_eq!((page.events.len(), page.reached), (12, Position(32)));
    assert!(of_type(COUNTED[1], &page.events));
    let page = log.page_of(Position(0), 5, &[COUNTED[1]]).await.unwrap();
    assert_eq!(page.reached, page.events.last().unwrap().seq);
    let both = log.page_of(Position(30), 100, &COUNTED).await.unwrap();
    assert_eq!((both.events.len(), both.reached), (2, Position(32)));
    let none = log.page_of(Position(3), 100, &["test.Unheard"]).await.unwrap();
    assert_eq!((none.events.len(), none.reached), (0, Position(32)));
    let end = log.page_of(Position(32), 100, &[]).await.unwrap();
    assert_eq!((end.events.len(), end.reached), (0, Position(32)));
}

#[tokio::test]
async fn the_numbers_are_those_of_the_scope_and_the_machinery_is_for_the_platform() {
    let f = fixture().await;
    let reader = Reader::new(f.database.clone());
    let ours = reader.stats(&f.ours.scope).await.unwrap();
    let by_type = [(COUNTED[0].to_owned(), 12), (COUNTED[1].to_owned(), 12)];
    assert_eq!((ours.events, ours.head, ours.by_type.as_slice()), (24, Position(32), by_type.as_slice()));
    assert_eq!(ours.machinery, None);
    let mine = f.expected(|_| true).await;
    let times = (ours.first_at, ours.last_at);
    assert_eq!(times, (Some(mine[0].recorded_at), Some(mine[23].recorded_at)));
    let nobodys = reader.stats(&Scope::partner_of(Tenant::partner(id()))).await.unwrap();
    assert_eq!((nobodys.events, nobodys.first_at, nobodys.by_type), (0, None, vec![]));

    f.ours.write::<0>(id(), &command(id()), &[1, 2]).await.unwrap();
    sqlx::raw_sql(
        "update es.relay set seq = 32; insert into es.consumer (name, seq) values ('test.slow', 12);
         update es.order_log set recorded_at = now() - interval '90 seconds' where seq = 13",
    )
    .execute(&mut f.test.owner().await)
    .await
    .unwrap();
    let all = reader.stats(&Scope::Platform).await.unwrap();
    let machinery = all.machinery.unwrap();
    assert_eq!((all.events, machinery.unsequenced, machinery.generation), (32, 2, 1));
    assert!(!machinery.restored && machinery.partitions.len() == 2);
    let relay = &machinery.relays[0];
    assert_eq!((relay.behind, relay.waiting.as_secs()), (0, 0));
    let slow = &machinery.consumers[0];
    assert_eq!((slow.name.as_str(), slow.seq, slow.behind), ("test.slow", Position(12), 20));
    assert!((90..120).contains(&slow.waiting.as_secs()), "{slow:?}");
}

#[tokio::test]
async fn a_transaction_that_may_hold_events_back_is_named() {
    let f = fixture().await;
    let url = format!("{}?application_name=forgotten", f.test.service_url());
    let forgetful = Database::connect(&url, DatabaseOptions::default()).await.unwrap();
    let reader = Reader::new(f.database.clone());
    // Older transactions of other tests on the same server are over at some time.
    eventually("ours to be the oldest", async || {
        let mut open = forgetful.begin(&f.ours.scope).await.unwrap();
        sqlx::query("select pg_current_xact_id()").execute(&mut *open).await.unwrap();
        let fence = reader.stats(&Scope::Platform).await.unwrap().machinery.unwrap().fence;
        open.commit().await.unwrap();
        fence.is_some_and(|fence| {
            fence.application == "forgotten" && fence.age.is_some() && fence.state == "idle in transaction"
        })
    })
    .await;
}

#[tokio::test]
async fn a_plan_made_for_an_empty_partition_does_not_read_it_from_end_to_end_when_it_is_full() {
    const EVENTS: i64 = 5_000;
    let test = TestDatabase::create().await;
    let mut owner = test.owner().await;
    // A server's upkeep finds out that a partition in reserve is empty; plans are made for that, and kept.
    sqlx::raw_sql("analyze es.event; analyze es.order_log").execute(&mut owner).await.unwrap();
    let options = DatabaseOptions { max_connections: 1, ..DatabaseOptions::default() };
    let database = Database::connect(&test.service_url(), options).await.unwrap();
    let (log, sequencer) = (Log::new(database.clone()), Sequencer::new(database.clone()));
    for _ in 0..10 {
        sequencer.once().await.unwrap();
        log.page(Position(0), 100).await.unwrap();
    }
    let cause = command(id());
    let meta = serde_json::json!({
        "actor": cause.actor,
        "correlation_id": cause.correlation_id,
        "causation_id": cause.causation_id,
        "traceparent": cause.traceparent,
    });
    let meta = serde_json::to_vec(&meta).unwrap();
    sqlx::query(
        "insert into es.event (stream_id, stream, version, event_id, event_type, schema_version, partner_id,
                               command_id, occurred_at, meta, payload)
         select gen_random_uuid(), 'test.tally', 1, gen_random_uuid(), 'test.Counted', 1, gen_random_uuid(),
                gen_random_uuid(), now(), $2, '{}'
           from generate_series(1, $1)",
    )
    .bind(EVENTS)
    .bind(&meta)
    .execute(&mut owner)
    .await
    .unwrap();
    eventually("all to have positions", async || sequencer.once().await.unwrap() == Position(EVENTS)).await;
    for after in 0..10 {
        log.page(Position(after), 100).await.unwrap();
    }
    // A session hands in its counts when it ends.
    database.close().await;
    let read = async |owner: &mut sqlx::PgConnection| -> (i64, i64) {
        sqlx::query_as(
            "select sum(seq_tup_read)::bigint, sum(idx_tup_fetch)::bigint from pg_stat_user_tables
              where schemaname = 'es' and relname like 'event\\_%'",
        )
        .fetch_one(owner)
        .await
        .unwrap()
    };
    eventually("the counts of the session", async || read(&mut test.owner().await).await.1 >= EVENTS).await;
    assert_eq!(read(&mut test.owner().await).await.0, 0, "rows were read without an index");
}
