//! The store against a real PostgreSQL.

#[path = "support/counter.rs"]
mod counter;

use counter::Counter;
use eventstore::{Database, DatabaseOptions, ExecuteError, Log, Sequencer, Store, StoreError, Target};
use kernel::{Cause, Position, Scope, StreamId, Tenant};
use testkit::{TestDatabase, cause, eventually, id};

struct Fixture {
    _database: TestDatabase,
    store: Store,
    tenant: Tenant,
    scope: Scope,
}

async fn fixture() -> Fixture {
    let database = TestDatabase::create().await;
    let store = Store::new(database.connect().await);
    let tenant = Tenant::customer(id(), id());
    Fixture { _database: database, store, tenant, scope: Scope::partner_of(tenant) }
}

fn target<'a>(fixture: &'a Fixture, stream_id: StreamId, cause: &'a Cause) -> Target<'a> {
    Target { scope: &fixture.scope, tenant: fixture.tenant, stream_id, cause, occurred_at: None }
}

#[tokio::test]
async fn a_repeated_command_answers_as_the_first_time_and_writes_nothing() {
    let f = fixture().await;
    let (stream, first, other) = (id(), cause(), cause());
    let a = f.store.execute::<Counter>(target(&f, stream, &first), 5).await.unwrap();
    f.store.execute::<Counter>(target(&f, stream, &other), 7).await.unwrap();
    let again = f.store.execute::<Counter>(target(&f, stream, &first), 5).await.unwrap();
    assert!(again.repeated && !a.repeated);
    assert_eq!(again.pos, a.pos);
    assert_eq!(f.store.load::<Counter>(&f.scope, stream).await.unwrap(), (12, 2));
}

#[tokio::test]
async fn writers_of_one_stream_all_get_through_and_leave_no_hole() {
    let f = fixture().await;
    let stream: StreamId = id();
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let (store, tenant, scope) = (f.store.clone(), f.tenant, f.scope);
        writers.spawn(async move {
            for _ in 0..5 {
                let cause = cause();
                let target =
                    Target { scope: &scope, tenant, stream_id: stream, cause: &cause, occurred_at: None };
                // Sixteen writers of one stream may use up the attempts; the caller's retry is part of the contract.
                while let Err(error) = store.execute::<Counter>(target, 1).await {
                    assert!(matches!(error, ExecuteError::Store(StoreError::Conflict { .. })), "{error}");
                }
            }
        });
    }
    writers.join_all().await;
    assert_eq!(f.store.load::<Counter>(&f.scope, stream).await.unwrap(), (80, 80));
}

#[tokio::test]
async fn another_tenant_neither_sees_nor_writes_a_stream() {
    let f = fixture().await;
    let stream = id();
    f.store.execute::<Counter>(target(&f, stream, &cause()), 5).await.unwrap();
    let foreign = Tenant::customer(id(), id());
    for scope in
        [Scope::partner_of(foreign), Scope::Customer { partner_id: foreign.partner_id, customer_id: id() }]
    {
        assert_eq!(f.store.load::<Counter>(&scope, stream).await.unwrap(), (0, 0));
    }
    let scope = Scope::partner_of(foreign);
    let cause = cause();
    let target =
        Target { scope: &scope, tenant: foreign, stream_id: stream, cause: &cause, occurred_at: None };
    let refused = f.store.execute::<Counter>(target, 1).await;
    assert!(matches!(refused, Err(ExecuteError::Store(StoreError::Foreign { .. }))), "{refused:?}");
    // Nor may it write in the other's name.
    let in_the_others_name = Target { tenant: f.tenant, stream_id: id(), ..target };
    assert!(f.store.execute::<Counter>(in_the_others_name, 1).await.is_err());
}

#[tokio::test]
async fn stored_events_cannot_be_changed() {
    let database = TestDatabase::create().await;
    let store = Store::new(database.connect().await);
    let tenant = Tenant::partner(id());
    let scope = Scope::partner_of(tenant);
    let cause = cause();
    let target = Target { scope: &scope, tenant, stream_id: id(), cause: &cause, occurred_at: None };
    store.execute::<Counter>(target, 1).await.unwrap();
    for statement in ["update es.event set payload = ''", "delete from es.event", "truncate es.event"] {
        let as_owner = sqlx::query(statement).execute(&mut database.owner().await).await.unwrap_err();
        assert!(as_owner.to_string().contains("cannot be changed"), "{statement}: {as_owner}");
        let mut tx = store.database().begin(&Scope::Platform).await.unwrap();
        let as_service = sqlx::query(statement).execute(&mut *tx).await.unwrap_err();
        assert!(as_service.to_string().contains("permission denied"), "{statement}: {as_service}");
    }
}

#[tokio::test]
async fn a_role_that_could_bypass_row_level_security_is_refused() {
    let database = TestDatabase::create().await;
    let refused = Database::connect(&database.owner_url(), DatabaseOptions::default()).await.unwrap_err();
    assert!(matches!(refused, StoreError::UnsafeRole { .. }), "{refused}");
}

#[tokio::test]
async fn every_tenant_table_has_row_level_security_on_and_forced() {
    let database = TestDatabase::create().await;
    let unprotected: Vec<String> = sqlx::query_scalar(
        "select distinct c.oid::regclass::text
           from pg_class c
           join pg_namespace n on n.oid = c.relnamespace
           join pg_attribute a on a.attrelid = c.oid and a.attname in ('partner_id', 'customer_id') and not a.attisdropped
          where c.relkind in ('r', 'p', 'm', 'v') and n.nspname not in ('pg_catalog', 'information_schema')
            and (c.relkind in ('m', 'v') or not c.relrowsecurity or not c.relforcerowsecurity)",
    )
    .fetch_all(&mut database.owner().await)
    .await
    .unwrap();
    assert_eq!(unprotected, Vec::<String>::new());
    let tables: i64 = sqlx::query_scalar("select count(*) from pg_class where relforcerowsecurity")
        .fetch_one(&mut database.owner().await)
        .await
        .unwrap();
    assert!(tables >= 2, "the check must have something to look at");
}

#[tokio::test]
async fn positions_are_dense_and_keep_the_order_within_a_stream_under_racing_writers() {
    let f = fixture().await;
    let sequencer = Sequencer::new(f.store.database().clone());
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (store, tenant, scope) = (f.store.clone(), f.tenant, f.scope);
        writers.spawn(async move {
            let stream_id = id();
            for _ in 0..25 {
                let cause = cause();
                let target = Target { scope: &scope, tenant, stream_id, cause: &cause, occurred_at: None };
                store.execute::<Counter>(target, 1).await.unwrap();
            }
        });
    }
    let log = Log::new(f.store.database().clone());
    let mut seen = Vec::new();
    let deadline = std::time::Instant::now() + std::time::Duration::from_mins(1);
    while seen.len() < 200 {
        assert!(std::time::Instant::now() < deadline, "{} of 200 events after a minute", seen.len());
        sequencer.once().await.unwrap();
        let after = seen.last().map_or(Position(0), |event: &kernel::Envelope| event.seq);
        seen.extend(log.page(after, 50).await.unwrap());
        while writers.try_join_next().is_some() {}
    }
    let positions: Vec<i64> = seen.iter().map(|event| event.seq.0).collect();
    assert_eq!(positions, (1..=200).collect::<Vec<_>>());
    let mut versions = std::collections::HashMap::new();
    for event in &seen {
        let last = versions.insert(event.stream_id, event.version).unwrap_or(0);
        assert_eq!(event.version, last + 1, "stream {}", event.stream_id);
    }
}

#[tokio::test]
async fn an_open_transaction_holds_back_later_events_instead_of_losing_its_own() {
    let f = fixture().await;
    let sequencer = Sequencer::new(f.store.database().clone());
    let (slow_cause, fast_cause) = (cause(), cause());
    let mut slow = f.store.database().begin(&f.scope).await.unwrap();
    f.store.execute_in::<Counter>(&mut slow, target(&f, id(), &slow_cause), 1).await.unwrap();
    f.store.execute::<Counter>(target(&f, id(), &fast_cause), 2).await.unwrap();
    assert_eq!(sequencer.once().await.unwrap(), Position(0), "the faster one must wait for the slower one");
    slow.commit().await.unwrap();
    // Open transactions of other tests on the same server hold the fence as well, for as long as they live.
    eventually("both to get a position", async || sequencer.once().await.unwrap() == Position(2)).await;
    let page = Log::new(f.store.database().clone()).page(Position(0), 10).await.unwrap();
    assert_eq!(page[0].command_id, slow_cause.command_id);
    assert_eq!(page[1].command_id, fast_cause.command_id);
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_no_open_transaction_to_the_next() {
    let database = TestDatabase::create().await;
    let options = DatabaseOptions { max_connections: 1, ..DatabaseOptions::default() };
    let connection = Database::connect(&database.service_url(), options).await.unwrap();
    let store = Store::new(connection.clone());
    let tenant = Tenant::partner(id());
    let scope = Scope::partner_of(tenant);
    for given_up_after in 0..40 {
        let begin = connection.begin(&scope);
        let _ = tokio::time::timeout(std::time::Duration::from_micros(given_up_after * 25), begin).await;
        let cause = cause();
        let target = Target { scope: &scope, tenant, stream_id: id(), cause: &cause, occurred_at: None };
        store.execute::<Counter>(target, 1).await.unwrap();
        let transaction = connection.begin(&scope).await.unwrap();
        transaction.rollback().await.unwrap();
        let kept: i64 = sqlx::query_scalar("select count(*) from es.event where command_id = $1")
            .bind(cause.command_id.0)
            .fetch_one(&mut database.owner().await)
            .await
            .unwrap();
        assert_eq!(kept, 1, "an acknowledged event is gone");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_after_the_wait() {
    let options = DatabaseOptions { start_timeout: std::time::Duration::ZERO, ..DatabaseOptions::default() };
    let refused =
        Database::connect("postgres://patchfleet_service@127.0.0.1:1/nowhere", options).await.unwrap_err();
    let cause = std::error::Error::source(&refused).unwrap().to_string();
    assert!(refused.is_outage() && cause.contains("refused"), "{refused}: {cause}");
}
