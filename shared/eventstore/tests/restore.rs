//! A dump of the database in a new cluster: nothing goes on without a new generation, and everything with it.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, its support as well; it finds the server's programs by the environment"
)]

#[path = "support/cluster.rs"]
mod cluster;
#[path = "support/tally.rs"]
mod tally;

use cluster::{Cluster, Programs};
use eventstore::{
    Database, DatabaseOptions, ExecuteError, Log, RestoreError, Sequencer, Store, StoreError, restore,
};
use kernel::{Envelope, Position, StreamId, Tenant};
use sqlx::{Connection, PgConnection};
use std::collections::HashMap;
use tally::{Counted, Tally, Writer, command};
use testkit::{TestDatabase, eventually, id};
use tokio_util::sync::CancellationToken;

const NAME: &str = "patchfleet";

/// The statements of the runbook's step that makes the roles.
fn roles() -> String {
    let runbook = include_str!("../../../docs/runbooks/restore.md");
    let (_, rest) = runbook.split_once("```sql\n").unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

async fn connect(cluster: &Cluster) -> Database {
    let options = DatabaseOptions { max_connections: 4, ..DatabaseOptions::default() };
    Database::connect(&cluster.service_url(NAME), options).await.unwrap()
}

/// Dumps and restores by the runbook's commands, up to the step under test.
fn copy(from: &Cluster, to: &Cluster) {
    let dump = from.file("patchfleet.dump").display().to_string();
    from.client("pg_dump", NAME, &["--format=custom", "--file", &dump]);
    for statement in roles().split(';').map(str::trim).filter(|statement| !statement.is_empty()) {
        to.client("psql", "postgres", &["--set=ON_ERROR_STOP=1", "--command", statement]);
    }
    to.client("psql", "postgres", &["--command", &format!("create database {NAME}")]);
    to.client("pg_restore", NAME, &["--exit-on-error", "--single-transaction", &dump]);
    to.client("vacuumdb", NAME, &["--analyze-only", "--quiet"]);
}

/// Follows from the beginning and asserts what everybody relies on.
async fn follow(database: &Database) -> Vec<Envelope> {
    let events = Log::new(database.clone()).page(Position(0), 5_000).await.unwrap();
    let mut versions: HashMap<StreamId, i64> = HashMap::new();
    for (place, event) in (1..).zip(&events) {
        assert_eq!(event.seq, Position(place), "the order has a hole");
        let version = versions.entry(event.stream_id).or_default();
        *version += 1;
        assert_eq!(event.version, *version, "stream {} is turned round", event.stream_id);
    }
    events
}

async fn sequence_all(database: &Database, last: i64) {
    let sequencer = Sequencer::new(database.clone());
    eventually("all to have positions", async || sequencer.once().await.unwrap() == Position(last)).await;
}

#[tokio::test]
async fn a_dump_in_a_new_cluster_goes_on_after_its_generation_has_begun_and_not_before() {
    let Some(programs) = Programs::find() else {
        println!("skipped: PATCHFLEET_TEST_POSTGRES_BIN is not set, and no PostgreSQL is installed");
        return;
    };
    let (old, new) = std::thread::scope(|scope| {
        let other = scope.spawn(|| Cluster::start(&programs));
        (Cluster::start(&programs), other.join().unwrap())
    });

    // A log of 60 events, of which the last 9 have no position yet, and a transaction that is open during the dump.
    old.client("psql", "postgres", &["--command", &format!("create database {NAME}")]);
    eventstore::migrate(&old.owner_url(NAME)).await.unwrap();
    let database = connect(&old).await;
    let tenant = Tenant::customer(id(), id());
    let writer = Writer::new(database.clone(), tenant);
    let streams: Vec<StreamId> = (0..5).map(|_| id()).collect();
    for number in 0..17 {
        writer.write::<0>(streams[number % 5], &command(id()), &[1, 2, 3]).await.unwrap();
    }
    sequence_all(&database, 51).await;
    for stream in &streams[..3] {
        writer.write::<0>(*stream, &command(id()), &[4, 5, 6]).await.unwrap();
    }
    let lost = command(id());
    let mut open = database.begin(&writer.scope).await.unwrap();
    writer.store.execute_in::<Tally<0>>(&mut open, writer.target(id(), &lost), vec![9]).await.unwrap();
    copy(&old, &new);
    open.commit().await.unwrap();
    let before = Log::new(database.clone()).page(Position(0), 100).await.unwrap();
    assert_eq!(before.len(), 51);

    // Without the step: the old streams refuse to be written, and nothing new or late is given a position.
    let database = connect(&new).await;
    let there = Writer::new(database.clone(), tenant);
    let refused = there.write::<0>(streams[4], &command(id()), &[1]).await;
    assert!(matches!(refused, Err(ExecuteError::Store(StoreError::Conflict { .. }))), "{refused:?}");
    let early = command(id());
    there.write::<0>(id(), &early, &[7]).await.unwrap();
    for _ in 0..20 {
        assert_eq!(Sequencer::new(database.clone()).once().await.unwrap(), Position(51), "not stuck?");
    }
    let mut owner = PgConnection::connect(&new.owner_url(NAME)).await.unwrap();
    let restored: bool = sqlx::query_scalar("select es.is_restored()").fetch_one(&mut owner).await.unwrap();
    assert!(restored);
    // A service that was started too early waits.
    let stop = CancellationToken::new();
    let sequencing = tokio::spawn({
        let (sequencer, stop) = (Sequencer::new(database.clone()), stop.clone());
        async move { sequencer.run(stop).await }
    });

    // With it: what was late comes first and in its old order, then what was written too early.
    let restored = loop {
        match restore(&new.owner_url(NAME)).await {
            // It was just asking whether it may lead.
            Err(RestoreError::InUse) => {}
            answer => break answer.unwrap(),
        }
    };
    assert_eq!((restored.generation, restored.begun, restored.given), (2, true, 10));
    let events: Vec<Envelope> = follow(&database).await;
    assert_eq!(events[..51], before, "an old position has changed");
    let late: Vec<StreamId> = events[51..60].iter().map(|event| event.stream_id).collect();
    let expected: Vec<StreamId> = streams[..3].iter().flat_map(|stream| [*stream; 3]).collect();
    assert_eq!(late, expected);
    assert_eq!(events[60].command_id, early.command_id);
    assert!(events.iter().all(|event| event.command_id != lost.command_id), "it was not committed");

    // Transaction ids pass through the range that the old ones had, and the order stays dense.
    for number in 0..300 {
        there.write::<0>(streams[number % 5], &command(id()), &[1]).await.unwrap();
    }
    let (new_last, old_last): (i64, i64) = sqlx::query_as(
        "select max(xid::text::bigint) filter (where pos > g.after_pos), max(xid::text::bigint) filter (where pos <= g.after_pos - 1)
           from es.event, es.generation g where g.number = 2",
    )
    .fetch_one(&mut owner)
    .await
    .unwrap();
    assert!(new_last > old_last, "the ids do not overlap: {new_last}, {old_last}");
    let log = Log::new(database.clone());
    eventually("the waiting sequencer to go on", async || log.head().await.unwrap() == Position(361)).await;
    assert_eq!(follow(&database).await.len(), 361);
    let (sum, version) =
        Store::new(database.clone()).load::<Tally<0>>(&there.scope, streams[0]).await.unwrap();
    let folded: i64 = follow(&database)
        .await
        .iter()
        .filter(|event| event.stream_id == streams[0])
        .map(|event| event.read::<Counted<0>>().unwrap().0)
        .sum();
    assert_eq!((sum, version), (folded, 75));

    // A second time, nothing is to do.
    stop.cancel();
    sequencing.await.unwrap();
    let again = restore(&new.owner_url(NAME)).await.unwrap();
    assert_eq!((again.generation, again.begun, again.given), (2, false, 0));
    assert_eq!(follow(&database).await.len(), 361);
}

#[tokio::test]
async fn a_database_that_was_not_restored_is_left_alone() {
    let test = TestDatabase::create().await;
    let writer = Writer::new(test.connect().await, Tenant::partner(id()));
    writer.write::<0>(id(), &command(id()), &[1, 2, 3]).await.unwrap();
    let state = async || -> String {
        sqlx::query_scalar("select s::text from es.sequencer s")
            .fetch_one(&mut test.owner().await)
            .await
            .unwrap()
    };
    let before = state().await;
    let answer = restore(&test.owner_url()).await.unwrap();
    assert_eq!((answer.generation, answer.begun, answer.given), (1, false, 0));
    assert_eq!(state().await, before);
}

#[tokio::test]
async fn a_restore_is_refused_while_a_sequencer_leads() {
    let test = TestDatabase::create().await;
    let stop = CancellationToken::new();
    let sequencing = tokio::spawn({
        let (sequencer, stop) = (Sequencer::new(test.connect().await), stop.clone());
        async move { sequencer.run(stop).await }
    });
    eventually("the sequencer to lead", async || {
        matches!(restore(&test.owner_url()).await, Err(RestoreError::InUse))
    })
    .await;
    stop.cancel();
    sequencing.await.unwrap();
    assert!(!restore(&test.owner_url()).await.unwrap().begun);
}

#[tokio::test]
async fn a_service_cannot_begin_a_generation() {
    let test = TestDatabase::create().await;
    let refused = restore(&test.service_url()).await.unwrap_err();
    let reason = std::error::Error::source(&refused).unwrap().to_string();
    assert!(reason.contains("permission denied"), "{reason}");
}
