//! What an append writes, and every answer it can give.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests fail by panicking, and wait for their own tasks"
)]

#[path = "support/counter.rs"]
mod counter;

use counter::{Counted, Counter};
use eventstore::{Database, DatabaseOptions, ExecuteError, Store, StoreError, Target, prune_command_keys};
use kernel::{Aggregate, Cause, Journal, Refused, Scope, StreamId, Tenant};
use std::time::Duration;
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

    fn target<'a>(&'a self, stream_id: StreamId, cause: &'a Cause) -> Target<'a> {
        Target { scope: &self.scope, tenant: self.tenant, stream_id, cause, occurred_at: None }
    }

    async fn count(&self, statement: &'static str) -> i64 {
        sqlx::query_scalar(statement).fetch_one(&mut self.database.owner().await).await.unwrap()
    }

    /// What is stored, in the order in which it arrived: stream, version.
    async fn stored(&self) -> Vec<(StreamId, i64)> {
        let rows: Vec<(uuid::Uuid, i64)> =
            sqlx::query_as("select stream_id, version from es.event order by pos")
                .fetch_all(&mut self.database.owner().await)
                .await
                .unwrap();
        rows.into_iter().map(|(stream, version)| (StreamId(stream), version)).collect()
    }
}

/// As many facts as it is asked for.
struct Many;

#[derive(Debug, PartialEq, thiserror::Error)]
#[error("never")]
struct Never;

impl Refused for Never {
    fn code(&self) -> &'static str {
        "test.never"
    }
}

impl Aggregate for Many {
    const STREAM: &'static str = "test.many";
    type State = i64;
    type Command = i64;
    type Event = Counted;
    type Refusal = Never;
    fn decide(_: &i64, count: i64) -> Result<Vec<Counted>, Never> {
        Ok((0..count).map(Counted).collect())
    }
    fn evolve(state: i64, _: &Counted) -> i64 {
        state + 1
    }
}

/// The same without a question.
struct Tally;

impl Journal for Tally {
    const STREAM: &'static str = Many::STREAM;
    type Event = Counted;
}

#[tokio::test]
async fn a_batch_of_any_size_is_one_thing_in_its_order() {
    let f = Fixture::new().await;
    for size in [1, 2, 10, 1_000] {
        let (stream, cause) = (id(), cause());
        let committed = f.store.execute::<Many>(f.target(stream, &cause), size).await.unwrap();
        assert_eq!(committed.version, size);
        let mut facts = Vec::new();
        for row in sqlx::query_as::<_, (i64, String)>(
            "select version, convert_from(payload, 'utf8') from es.event where stream_id = $1 order by pos",
        )
        .bind(stream.0)
        .fetch_all(&mut f.database.owner().await)
        .await
        .unwrap()
        {
            facts.push(row);
        }
        let expected: Vec<(i64, String)> = (0..size).map(|n| (n + 1, format!(r#"{{"by":{n}}}"#))).collect();
        assert_eq!(facts, expected);
    }
    let (stream, cause) = (id(), cause());
    let refused = f.store.execute::<Many>(f.target(stream, &cause), 1_001).await.unwrap_err();
    assert!(refused.to_string().contains("1001 events in one batch"), "{refused}");
}

#[tokio::test]
async fn the_correlation_of_a_command_stands_beside_its_events() {
    let f = Fixture::new().await;
    let cause = cause();
    f.store.execute::<Many>(f.target(id(), &cause), 2).await.unwrap();
    let kept: Vec<uuid::Uuid> = sqlx::query_scalar("select correlation_id from es.event")
        .fetch_all(&mut f.database.owner().await)
        .await
        .unwrap();
    assert_eq!(kept, [cause.correlation_id.0; 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_same_command_from_eight_sides_at_once_is_carried_out_once() {
    let f = Fixture::new().await;
    for _ in 0..10 {
        let (stream, cause): (StreamId, _) = (id(), cause());
        let mut sides = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let (store, scope, tenant, cause) = (f.store.clone(), f.scope, f.tenant, cause.clone());
            sides.spawn(async move {
                let target =
                    Target { scope: &scope, tenant, stream_id: stream, cause: &cause, occurred_at: None };
                store.execute::<Many>(target, 3).await.unwrap()
            });
        }
        let answers = sides.join_all().await;
        assert_eq!(answers.iter().filter(|answer| !answer.repeated).count(), 1);
        assert!(answers.iter().all(|answer| (answer.version, answer.pos) == (3, answers[0].pos)));
        assert_eq!(f.store.load::<Many>(&f.scope, stream).await.unwrap(), (3, 3));
    }
}

#[tokio::test]
async fn a_transaction_that_is_older_than_the_streams_last_writer_does_not_write_it() {
    let f = Fixture::new().await;
    let (stream, other): (StreamId, StreamId) = (id(), id());
    let (older, younger, late) = (cause(), cause(), cause());
    let mut tx = f.store.database().begin(&f.scope).await.unwrap();
    f.store.execute_in::<Counter>(&mut tx, f.target(other, &older), 1).await.unwrap();
    f.store.execute::<Counter>(f.target(stream, &younger), 1).await.unwrap();
    // Its versions would stand the other way round in the log, which goes by transactions.
    let refused = f.store.execute_in::<Counter>(&mut tx, f.target(stream, &late), 1).await.unwrap_err();
    assert!(matches!(refused, ExecuteError::Store(StoreError::Conflict { .. })), "{refused}");
    tx.rollback().await.unwrap();
    assert_eq!(f.stored().await, [(stream, 1)]);
}

#[tokio::test]
async fn whoever_is_too_old_for_a_stream_is_told_so_with_or_without_a_look() {
    let f = Fixture::new().await;
    let (stream, younger): (StreamId, _) = (id(), cause());
    let mut old = f.store.database().begin(&f.scope).await.unwrap();
    sqlx::query("select pg_current_xact_id()").execute(&mut *old).await.unwrap();
    f.store.execute::<Counter>(f.target(stream, &younger), 1).await.unwrap();
    for statement in [
        "select status, version from es.append_partner(false, null, null, $1, 'test.counter', 1, $2, $3, gen_random_uuid(),
           gen_random_uuid(), null, '', array[gen_random_uuid()], array['test.Counted'], array[1::smallint], array[''::bytea])",
        "select status, version from es.append_blind_partner(false, null, null, $1, 'test.counter', $2, $3, gen_random_uuid(),
           gen_random_uuid(), null, '', array[gen_random_uuid()], array['test.Counted'], array[1::smallint], array[''::bytea])",
    ] {
        let told: (String, i64) = sqlx::query_as(statement)
            .bind(stream.0)
            .bind(f.tenant.partner_id.0)
            .bind(f.tenant.customer_id.map(|id| id.0))
            .fetch_one(&mut *old)
            .await
            .unwrap();
        assert_eq!(told, ("order".to_owned(), 1));
    }
    old.commit().await.unwrap();
    assert_eq!(f.stored().await, [(stream, 1)]);
}

#[tokio::test]
async fn of_a_batch_over_several_streams_all_is_kept_or_nothing() {
    let f = Fixture::new().await;
    let (first, second, taken): (StreamId, StreamId, StreamId) = (id(), id(), id());
    let foreign = Tenant::customer(id(), id());
    let (theirs, ours) = (cause(), cause());
    let scope = Scope::partner_of(foreign);
    let target =
        Target { scope: &scope, tenant: foreign, stream_id: taken, cause: &theirs, occurred_at: None };
    f.store.execute::<Counter>(target, 1).await.unwrap();

    let mut tx = f.store.database().begin(&f.scope).await.unwrap();
    f.store.execute_in::<Counter>(&mut tx, f.target(first, &ours), 1).await.unwrap();
    let refused = f.store.execute_in::<Counter>(&mut tx, f.target(taken, &ours), 1).await.unwrap_err();
    assert!(
        matches!(refused, ExecuteError::Store(StoreError::Foreign { stream_id }) if stream_id == taken),
        "{refused}"
    );
    drop(tx);
    assert_eq!(f.stored().await, [(taken, 1)]);

    let mut tx = f.store.database().begin(&f.scope).await.unwrap();
    for stream in [first, second, first] {
        let cause = cause();
        f.store.execute_in::<Counter>(&mut tx, f.target(stream, &cause), 1).await.unwrap();
    }
    tx.commit().await.unwrap();
    assert_eq!(f.stored().await[1..], [(first, 1), (second, 1), (first, 2)]);
}

#[tokio::test]
async fn every_answer_of_an_append_is_given_where_it_belongs_and_only_ok_writes() {
    let f = Fixture::new().await;
    let (ours, theirs) = (f.tenant, Tenant::customer(id(), id()));
    let neighbour = Tenant::customer(ours.partner_id, id());
    let (stream, foreign): (StreamId, StreamId) = (id(), id());
    let (first, second) = (cause(), cause());
    let mut service =
        <sqlx::PgConnection as sqlx::Connection>::connect(&f.database.service_url()).await.unwrap();
    let mut ask = async |tenant: Tenant, stream: StreamId, expected: i64, command: &Cause, events: i32| {
        sqlx::query_as::<_, (String, Option<i64>, Option<i64>)>(
            "select status, version, pos
               from es.append_partner(true, $1, null, $2, 'test.many', $3, $1, $4, $5, gen_random_uuid(), null, '\\x00',
                      array(select gen_random_uuid() from generate_series(1, $6)), array_fill('test.Counted'::text, array[$6]),
                      array_fill(1::smallint, array[$6]), array_fill('{}'::bytea, array[$6]))",
        )
        .bind(tenant.partner_id.0)
        .bind(stream.0)
        .bind(expected)
        .bind(tenant.customer_id.map(|id| id.0))
        .bind(command.command_id.0)
        .bind(events)
        .fetch_one(&mut service)
        .await
        .unwrap()
    };
    let answer = |status: &str, version, pos| (status.to_owned(), version, pos);

    assert_eq!(ask(ours, stream, 0, &first, 2).await, answer("ok", Some(2), Some(2)));
    assert_eq!(ask(ours, stream, 2, &second, 1).await, answer("ok", Some(3), Some(3)));
    assert_eq!(ask(theirs, foreign, 0, &cause(), 1).await, answer("ok", Some(1), Some(4)));

    // The same command, expecting what it expected then, and the same when it would write something else now.
    assert_eq!(ask(ours, stream, 0, &first, 2).await, answer("repeated", Some(2), Some(2)));
    assert_eq!(ask(ours, stream, 0, &first, 7).await, answer("repeated", Some(2), Some(2)));
    assert_eq!(ask(ours, stream, 2, &second, 1).await, answer("repeated", Some(3), Some(3)));
    // A command that stands further up in the stream is not what was written at the expected version.
    assert_eq!(ask(ours, stream, 0, &second, 1).await, answer("conflict", Some(3), None));
    assert_eq!(ask(ours, stream, 1, &cause(), 1).await, answer("conflict", Some(3), None));
    assert_eq!(ask(ours, stream, 9, &cause(), 1).await, answer("conflict", Some(3), None));
    // Whether it can be seen or not.
    assert_eq!(ask(neighbour, stream, 3, &cause(), 1).await, answer("foreign", Some(3), None));
    assert_eq!(ask(neighbour, stream, 0, &first, 1).await, answer("foreign", Some(3), None));
    assert_eq!(ask(ours, foreign, 0, &cause(), 1).await, answer("foreign", None, None));
    assert_eq!(ask(ours, foreign, 1, &cause(), 1).await, answer("missing", None, None));
    assert_eq!(ask(ours, id(), 3, &cause(), 1).await, answer("missing", None, None));

    assert_eq!(f.stored().await, [(stream, 1), (stream, 2), (stream, 3), (foreign, 1)]);
    assert_eq!(f.count("select count(*) from es.stream").await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_nobody_decides_about_needs_no_version_and_is_recorded_once_per_command() {
    let f = Fixture::new().await;
    let stream: StreamId = id();
    let causes: Vec<Cause> = (0..200).map(|_| cause()).collect();
    let mut writers = tokio::task::JoinSet::new();
    for cause in causes.iter().chain(&causes).cloned() {
        let (store, scope, tenant) = (f.store.clone(), f.scope, f.tenant);
        writers.spawn(async move {
            let target =
                Target { scope: &scope, tenant, stream_id: stream, cause: &cause, occurred_at: None };
            // However many wait for the stream, none of them is sent away.
            let committed = store.record::<Tally>(target, &[Counted(1), Counted(2)]).await.unwrap();
            (cause.command_id, committed)
        });
    }
    let answers = writers.join_all().await;
    assert_eq!(answers.iter().filter(|(_, answer)| answer.repeated).count(), 200);
    for (command, answer) in &answers {
        let same = answers.iter().filter(|(other, _)| other == command);
        assert!(same.clone().count() == 2 && same.clone().all(|(_, other)| other.pos == answer.pos));
    }
    assert_eq!(f.store.load::<Many>(&f.scope, stream).await.unwrap(), (400, 400));
}

#[tokio::test]
async fn a_writer_that_waits_for_a_journal_has_no_place_in_the_order_yet() {
    let f = Fixture::new().await;
    let (stream, first, second): (StreamId, _, _) = (id(), cause(), cause());
    f.store.record::<Tally>(f.target(stream, &first), &[Counted(1)]).await.unwrap();
    let mut owner = f.database.owner().await;
    let mut holding = sqlx::Connection::begin(&mut owner).await.unwrap();
    sqlx::query("update es.stream set version = version").execute(&mut *holding).await.unwrap();
    let (store, scope, tenant) = (f.store.clone(), f.scope, f.tenant);
    let waiting = tokio::spawn(async move {
        let target = Target { scope: &scope, tenant, stream_id: stream, cause: &second, occurred_at: None };
        store.record::<Tally>(target, &[Counted(2)]).await.unwrap()
    });
    let waiting_with_a_transaction_id = "select backend_xid is not null
         from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock' and query like '%append_blind%'";
    let mut looking = f.database.owner().await;
    let mut seen = None;
    while seen.is_none() {
        seen = sqlx::query_scalar::<_, bool>(waiting_with_a_transaction_id)
            .fetch_optional(&mut looking)
            .await
            .unwrap();
    }
    // Else a younger transaction that gets the stream first would send it away.
    assert_eq!(seen, Some(false));
    holding.commit().await.unwrap();
    assert_eq!(waiting.await.unwrap().version, 2);
}

#[tokio::test]
async fn a_journal_does_not_write_another_tenants_stream() {
    let f = Fixture::new().await;
    let (stream, first): (StreamId, _) = (id(), cause());
    f.store.record::<Tally>(f.target(stream, &first), &[Counted(1)]).await.unwrap();
    let foreign = Tenant::customer(id(), id());
    let (scope, second) = (Scope::partner_of(foreign), cause());
    let target =
        Target { scope: &scope, tenant: foreign, stream_id: stream, cause: &second, occurred_at: None };
    let refused = f.store.record::<Tally>(target, &[Counted(1)]).await.unwrap_err();
    assert!(matches!(refused, StoreError::Foreign { .. }), "{refused}");
    // Another customer's stream is foreign to a customer even where the partner sees both.
    let neighbour = Tenant::customer(f.tenant.partner_id, id());
    let target = Target { scope: &f.scope, tenant: neighbour, ..target };
    let refused = f.store.record::<Tally>(target, &[Counted(1)]).await.unwrap_err();
    assert!(matches!(refused, StoreError::Foreign { .. }), "{refused}");
    assert_eq!(f.stored().await, [(stream, 1)]);
    assert_eq!(f.count("select count(*) from es.command_key").await, 1);
}

#[tokio::test]
async fn keys_of_recorded_commands_are_forgotten_with_age() {
    let f = Fixture::new().await;
    let stream: StreamId = id();
    for _ in 0..3 {
        let cause = cause();
        f.store.record::<Tally>(f.target(stream, &cause), &[Counted(1)]).await.unwrap();
    }
    let aged = "update es.command_key set recorded_at = now() - interval '8 days' where version < 3";
    sqlx::query(aged).execute(&mut f.database.owner().await).await.unwrap();
    let week = Duration::from_hours(24 * 7);
    assert_eq!(prune_command_keys(f.store.database(), week).await.unwrap(), 2);
    assert_eq!(f.count("select count(*) from es.command_key").await, 1);
}
