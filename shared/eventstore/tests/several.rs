//! A batch over several streams: all of it is kept, or nothing.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

#[path = "support/counter.rs"]
mod counter;

use counter::{Counted, Counter};
use eventstore::{Committed, Database, DatabaseOptions, Part, Store, StoreError, Target};
use kernel::{Cause, Scope, StreamId, Tenant};
use testkit::{TestDatabase, cause, id};

struct Fixture {
    database: TestDatabase,
    store: Store,
    tenant: Tenant,
    scope: Scope,
}

impl Fixture {
    async fn new() -> Self {
        let database = TestDatabase::create().await;
        let options = DatabaseOptions { max_connections: 8, ..DatabaseOptions::default() };
        let store = Store::new(Database::connect(&database.service_url(), options).await.unwrap());
        let tenant = Tenant::customer(id(), id());
        Self { database, store, tenant, scope: Scope::partner_of(tenant) }
    }

    fn part<'a>(&'a self, cause: &'a Cause, stream_id: StreamId, expected: i64, facts: &[i64]) -> Part<'a> {
        let target = Target { scope: &self.scope, tenant: self.tenant, stream_id, cause, occurred_at: None };
        Part::of::<Counter>(target, expected, &facts.iter().copied().map(Counted).collect::<Vec<_>>())
    }

    async fn append(&self, parts: &[Part<'_>]) -> Result<Vec<Committed>, StoreError> {
        self.store.append_all(&self.scope, parts).await
    }

    /// Stream, version and fact of what is stored, in the order in which it arrived.
    async fn stored(&self) -> Vec<(StreamId, i64, String)> {
        let rows: Vec<(uuid::Uuid, i64, String)> = sqlx::query_as(
            "select stream_id, version, convert_from(payload, 'utf8') from es.event order by pos",
        )
        .fetch_all(&mut self.database.owner().await)
        .await
        .unwrap();
        rows.into_iter().map(|(stream, version, fact)| (StreamId(stream), version, fact)).collect()
    }

    async fn begun(&self) -> i64 {
        sqlx::query_scalar("select count(*) from es.stream")
            .fetch_one(&mut self.database.owner().await)
            .await
            .unwrap()
    }
}

fn at(version: i64, pos: i64) -> Committed {
    Committed { version, pos: Some(pos), repeated: false }
}

fn counted(by: i64) -> String {
    format!(r#"{{"by":{by}}}"#)
}

#[tokio::test]
async fn it_is_written_in_its_order_and_answered_stream_by_stream() {
    let f = Fixture::new().await;
    let (a, b, c): (StreamId, StreamId, StreamId) = (id(), id(), id());
    let (first, second) = (cause(), cause());
    assert_eq!(f.append(&[]).await.unwrap(), []);
    assert_eq!(f.append(&[f.part(&first, b, 0, &[1])]).await.unwrap(), [at(1, 1)]);
    let parts = [f.part(&second, a, 0, &[2, 3]), f.part(&second, b, 1, &[4]), f.part(&second, c, 0, &[5, 6])];
    assert_eq!(f.append(&parts).await.unwrap(), [at(2, 3), at(2, 4), at(2, 6)]);
    let expected = [(b, 1, 1), (a, 1, 2), (a, 2, 3), (b, 2, 4), (c, 1, 5), (c, 2, 6)]
        .map(|(s, v, by)| (s, v, counted(by)));
    assert_eq!(f.stored().await, expected);
    // Each stream goes on from where the batch left it.
    let third = cause();
    let parts = [f.part(&third, c, 2, &[7]), f.part(&third, a, 2, &[8])];
    assert_eq!(f.append(&parts).await.unwrap(), [at(3, 7), at(3, 8)]);
    assert_eq!(f.store.load::<Counter>(&f.scope, a).await.unwrap(), (13, 3));
}

#[tokio::test]
async fn a_thousand_streams_are_one_statement() {
    let f = Fixture::new().await;
    let cause = cause();
    let streams: Vec<StreamId> = (0..1_000).map(|_| id()).collect();
    let parts: Vec<Part<'_>> = streams.iter().map(|stream| f.part(&cause, *stream, 0, &[1, 2])).collect();
    let committed = f.append(&parts).await.unwrap();
    let expected: Vec<Committed> = (1..=1_000).map(|n| at(2, n * 2)).collect();
    assert_eq!(committed, expected);
    let transactions: i64 = sqlx::query_scalar("select count(distinct xid::text) from es.event")
        .fetch_one(&mut f.database.owner().await)
        .await
        .unwrap();
    assert_eq!(transactions, 1);
}

#[tokio::test]
async fn one_stream_that_refuses_is_named_and_keeps_the_others_out() {
    let f = Fixture::new().await;
    let theirs = Tenant::customer(id(), id());
    let (taken, ours, new): (StreamId, StreamId, StreamId) = (id(), id(), id());
    let (foreign, first, late) = (cause(), cause(), cause());
    let scope = Scope::partner_of(theirs);
    let target =
        Target { scope: &scope, tenant: theirs, stream_id: taken, cause: &foreign, occurred_at: None };
    f.store.execute::<Counter>(target, 1).await.unwrap();
    f.append(&[f.part(&first, ours, 0, &[1])]).await.unwrap();
    let before = f.stored().await;

    let moved = f.append(&[f.part(&late, new, 0, &[1]), f.part(&late, ours, 0, &[1])]).await.unwrap_err();
    assert!(matches!(moved, StoreError::Conflict { stream_id, .. } if stream_id == ours), "{moved}");
    let seen = f.append(&[f.part(&late, new, 0, &[1]), f.part(&late, taken, 0, &[1])]).await.unwrap_err();
    assert!(matches!(seen, StoreError::Foreign { stream_id } if stream_id == taken), "{seen}");
    let missing: StreamId = id();
    let gone = f.append(&[f.part(&late, new, 0, &[1]), f.part(&late, missing, 4, &[1])]).await.unwrap_err();
    assert!(matches!(&gone, StoreError::Corrupt { what } if what.contains(&missing.to_string())), "{gone}");
    // The partner sees its customers' streams; they are foreign to each other all the same.
    let neighbour = Tenant::customer(f.tenant.partner_id, id());
    let in_their_name =
        Target { scope: &f.scope, tenant: neighbour, stream_id: ours, cause: &late, occurred_at: None };
    let parts = [f.part(&late, new, 0, &[1]), Part::of::<Counter>(in_their_name, 1, &[Counted(1)])];
    let near = f.append(&parts).await.unwrap_err();
    assert!(matches!(near, StoreError::Foreign { stream_id } if stream_id == ours), "{near}");
    let twice = f.append(&[f.part(&late, new, 0, &[1]), f.part(&late, new, 1, &[1])]).await.unwrap_err();
    assert!(twice.to_string().contains("twice"), "{twice}");

    assert_eq!(f.stored().await, before);
    assert_eq!(f.begun().await, 2);
    f.append(&[f.part(&late, new, 0, &[1]), f.part(&late, ours, 1, &[1])]).await.unwrap();
}

#[tokio::test]
async fn an_older_transaction_writes_none_of_it() {
    let f = Fixture::new().await;
    let (earlier, younger, late) = (cause(), cause(), cause());
    let (stream, other): (StreamId, StreamId) = (id(), id());
    let mut tx = f.store.database().begin(&f.scope).await.unwrap();
    f.store.append_all_in(&mut tx, &f.scope, &[f.part(&earlier, id(), 0, &[1])]).await.unwrap();
    f.append(&[f.part(&younger, stream, 0, &[1])]).await.unwrap();
    let parts = [f.part(&late, other, 0, &[1]), f.part(&late, stream, 1, &[1])];
    let refused = f.store.append_all_in(&mut tx, &f.scope, &parts).await.unwrap_err();
    assert!(matches!(refused, StoreError::Conflict { stream_id, .. } if stream_id == stream), "{refused}");
    tx.rollback().await.unwrap();
    assert_eq!(f.stored().await, [(stream, 1, counted(1))]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_same_batch_from_eight_sides_at_once_is_written_once() {
    let f = Fixture::new().await;
    for _ in 0..10 {
        let (cause, a, b): (Cause, StreamId, StreamId) = (cause(), id(), id());
        let mut sides = tokio::task::JoinSet::new();
        for side in 0..8 {
            let (store, scope, tenant, cause) = (f.store.clone(), f.scope, f.tenant, cause.clone());
            sides.spawn(async move {
                // Half of them the other way round: whoever locked as it is told would meet in a deadlock.
                let mut streams = [a, b];
                streams.rotate_left(side % 2);
                loop {
                    let parts = streams.map(|stream_id| {
                        let target =
                            Target { scope: &scope, tenant, stream_id, cause: &cause, occurred_at: None };
                        Part::of::<Counter>(target, 0, &[Counted(1), Counted(2)])
                    });
                    match store.append_all(&scope, &parts).await {
                        Ok(committed) => break committed,
                        Err(StoreError::Conflict { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            });
        }
        let answers = sides.join_all().await;
        assert_eq!(answers.iter().filter(|answer| answer.iter().all(|one| !one.repeated)).count(), 1);
        assert!(answers.iter().flatten().all(|one| one.version == 2));
        for stream in [a, b] {
            assert_eq!(f.store.load::<Counter>(&f.scope, stream).await.unwrap(), (3, 2));
        }
    }
}

#[tokio::test]
async fn what_was_there_before_only_in_part_is_a_conflict() {
    let f = Fixture::new().await;
    let (cause, a, b): (Cause, StreamId, StreamId) = (cause(), id(), id());
    f.append(&[f.part(&cause, a, 0, &[1])]).await.unwrap();
    let refused = f.append(&[f.part(&cause, a, 0, &[1]), f.part(&cause, b, 0, &[1])]).await.unwrap_err();
    assert!(matches!(refused, StoreError::Conflict { stream_id, .. } if stream_id == a), "{refused}");
    assert_eq!(f.begun().await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn batches_that_cross_each_other_end_without_a_deadlock() {
    let f = Fixture::new().await;
    let streams: Vec<StreamId> = (0..6).map(|_| id()).collect();
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..8_usize {
        let (store, scope, tenant, streams) = (f.store.clone(), f.scope, f.tenant, streams.clone());
        writers.spawn(async move {
            for round in 0..10 {
                let cause = cause();
                loop {
                    let mut parts = Vec::new();
                    for step in 0..4 {
                        let stream_id = streams[(writer * 5 + round + step * (writer % 2 * 4 + 1)) % 6];
                        let (_, version) = store.load::<Counter>(&scope, stream_id).await.unwrap();
                        let target =
                            Target { scope: &scope, tenant, stream_id, cause: &cause, occurred_at: None };
                        parts.push(Part::of::<Counter>(target, version, &[Counted(1)]));
                    }
                    match store.append_all(&scope, &parts).await {
                        Ok(_) => break,
                        Err(StoreError::Conflict { .. }) => {}
                        Err(error) => panic!("{error}: {:?}", std::error::Error::source(&error)),
                    }
                }
            }
        });
    }
    writers.join_all().await;
    let mut events = 0;
    for stream in streams {
        let (sum, version) = f.store.load::<Counter>(&f.scope, stream).await.unwrap();
        assert_eq!(sum, version);
        events += version;
    }
    assert_eq!(events, 8 * 10 * 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn batches_that_begin_the_same_streams_from_both_ends_do_not_meet_in_a_deadlock() {
    let f = Fixture::new().await;
    for _ in 0..3 {
        let streams: Vec<StreamId> = (0..400).map(|_| id()).collect();
        let mut writers = tokio::task::JoinSet::new();
        for backwards in [false, true] {
            let (store, scope, tenant, mut streams) = (f.store.clone(), f.scope, f.tenant, streams.clone());
            if backwards {
                streams.reverse();
            }
            writers.spawn(async move {
                let cause = cause();
                let part = |&stream_id| {
                    let target =
                        Target { scope: &scope, tenant, stream_id, cause: &cause, occurred_at: None };
                    Part::of::<Counter>(target, 0, &[Counted(1)])
                };
                match store.append_all(&scope, &streams.iter().map(part).collect::<Vec<_>>()).await {
                    Ok(_) => 1,
                    Err(StoreError::Conflict { .. }) => 0,
                    Err(error) => panic!("{error}: {:?}", std::error::Error::source(&error)),
                }
            });
        }
        assert_eq!(writers.join_all().await.iter().sum::<i32>(), 1);
    }
    assert_eq!(f.stored().await.len(), 1_200);
}

#[tokio::test]
async fn several_streams_are_read_at_once_and_each_says_what_the_command_had_written() {
    let f = Fixture::new().await;
    let (a, b, none): (StreamId, StreamId, StreamId) = (id(), id(), id());
    let (first, second) = (cause(), cause());
    f.append(&[f.part(&first, a, 0, &[1, 2]), f.part(&first, b, 0, &[3])]).await.unwrap();
    f.append(&[f.part(&second, b, 1, &[4])]).await.unwrap();
    let mut tx = f.store.database().begin(&f.scope).await.unwrap();
    let ids = [none, b, a];
    let read = f.store.load_all_in::<Counter>(&mut tx, &f.scope, &ids, second.command_id).await.unwrap();
    let versions: Vec<i64> = read.iter().map(|standing| standing.version).collect();
    assert_eq!(versions, [0, 2, 2]);
    for (stream_id, standing) in ids.into_iter().zip(&read) {
        let alone = f.store.load_in::<Counter>(&mut tx, &f.scope, stream_id).await.unwrap();
        assert_eq!(standing.state, alone, "{stream_id}");
    }
    let earlier: Vec<_> = read.iter().map(|standing| standing.earlier).collect();
    assert_eq!(earlier, [None, Some(Committed { version: 2, pos: Some(4), repeated: true }), None]);

    // What lies outside the scope is not there.
    let stranger = Scope::partner_of(Tenant::customer(id(), id()));
    let mut tx = f.store.database().begin(&stranger).await.unwrap();
    let read = f.store.load_all_in::<Counter>(&mut tx, &stranger, &ids, second.command_id).await.unwrap();
    assert!(read.iter().all(|standing| standing.version == 0), "{read:?}");
}
