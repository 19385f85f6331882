//! The sequencer: who leads, what happens when the leader goes, and what its crash may cost.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, its support as well, and it waits for its own tasks"
)]

#[path = "support/tally.rs"]
mod tally;

use eventstore::{Database, DatabaseOptions, Log, Sequencer};
use kernel::{CommandId, Envelope, Position, StreamId, Tenant};
use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tally::{COUNTED, KINDS, Writer, command};
use testkit::{TestDatabase, eventually, id};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A sequencer in a process of its own, as far as the server can tell.
struct Process {
    name: &'static str,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Process {
    async fn start(test: &TestDatabase, name: &'static str) -> Self {
        let url = format!("{}?application_name={name}", test.service_url());
        let database = Database::connect(&url, DatabaseOptions::default()).await.unwrap();
        let stop = CancellationToken::new();
        let (sequencer, token) = (Sequencer::new(database), stop.clone());
        Self { name, stop, task: tokio::spawn(async move { sequencer.run(token).await }) }
    }

    async fn end(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

/// The session that leads: its process id and the name it gave.
async fn leader(test: &TestDatabase) -> Option<(i32, String)> {
    sqlx::query_as(
        "select a.pid, a.application_name
           from pg_locks l
           join pg_stat_activity a using (pid)
          where l.locktype = 'advisory' and l.granted and l.database = (select oid from pg_database where datname = current_database())
            and (l.classid::bigint << 32) + l.objid::bigint = $1",
    )
    .bind(0x7066_7365_7100_i64)
    .fetch_optional(&mut test.owner().await)
    .await
    .unwrap()
}

async fn terminate(test: &TestDatabase, pid: i32) {
    let killed: bool = sqlx::query_scalar("select pg_terminate_backend($1)")
        .bind(pid)
        .fetch_one(&mut test.owner().await)
        .await
        .unwrap();
    assert!(killed);
}

/// Asserts the order that everything else relies on.
fn assert_dense(events: &[Envelope]) {
    let mut versions: HashMap<StreamId, i64> = HashMap::new();
    for (place, event) in (1..).zip(events) {
        assert_eq!(event.seq, Position(place));
        let version = versions.entry(event.stream_id).or_default();
        *version += 1;
        assert_eq!(event.version, *version, "stream {}", event.stream_id);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn when_the_leaders_connection_is_killed_the_other_takes_over_and_the_order_stays_dense() {
    let test = TestDatabase::create().await;
    let (one, two) = (Process::start(&test, "one").await, Process::start(&test, "two").await);
    let writer = Writer::new(test.connect().await, Tenant::customer(id(), id()));
    let enough = Arc::new(AtomicBool::new(false));
    let writing = tokio::spawn({
        let (writer, enough) = (writer.clone(), enough.clone());
        async move {
            let streams: Vec<StreamId> = (0..5).map(|_| id()).collect();
            let mut commands: HashSet<CommandId> = HashSet::new();
            while !enough.load(Ordering::Acquire) {
                let cause = command(id());
                let stream = streams[commands.len() % streams.len()];
                writer.write::<0>(stream, &cause, &[1]).await.unwrap();
                commands.insert(cause.command_id);
            }
            commands
        }
    });
    let log = Log::new(writer.store.database().clone());
    let (mut led, mut kills) = (HashSet::new(), 0);
    while led.len() < 2 || kills < 4 {
        assert!(kills < 50, "{kills} kills, and only {led:?} has ever led");
        eventually("somebody to lead", async || leader(&test).await.is_some()).await;
        let Some((pid, name)) = leader(&test).await else { continue };
        assert!([one.name, two.name].contains(&name.as_str()), "{name}");
        led.insert(name);
        let head = log.head().await.unwrap();
        eventually("the leader to give positions", async || log.head().await.unwrap() > head).await;
        terminate(&test, pid).await;
        kills += 1;
    }
    enough.store(true, Ordering::Release);
    let commands = writing.await.unwrap();
    let total = i64::try_from(commands.len()).unwrap();
    eventually("all to have positions", async || log.head().await.unwrap() == Position(total)).await;
    one.end().await;
    two.end().await;
    let mut events = Vec::new();
    while events.len() < commands.len() {
        let after = events.last().map_or(Position(0), |event: &Envelope| event.seq);
        events.extend(log.page(after, 500).await.unwrap());
    }
    assert_dense(&events);
    assert_eq!(events.iter().map(|event| event.command_id).collect::<HashSet<_>>(), commands);
    println!("{kills} kills, led by {led:?}, {total} events");
}

#[tokio::test]
async fn positions_that_a_crash_forgets_are_given_again_to_the_same_events() {
    let test = TestDatabase::create().await;
    let database = test.connect().await;
    let writer = Writer::new(database.clone(), Tenant::customer(id(), id()));
    let (log, sequencer) = (Log::new(database.clone()), Sequencer::new(database));
    let streams: Vec<StreamId> = (0..4).map(|_| id()).collect();
    for number in 0..40 {
        writer.write::<0>(streams[number % 4], &command(id()), &[1, 2]).await.unwrap();
        if number % 7 == 0 {
            sequencer.once().await.unwrap();
        }
    }
    eventually("80 to have positions", async || sequencer.once().await.unwrap() == Position(80)).await;
    let before = log.page(Position(0), 100).await.unwrap();
    // A server that lost the end of its log is as if this had never been written.
    sqlx::raw_sql(
        "delete from es.order_log where seq > 33;
         delete from es.order_minute;
         update es.sequencer s set xid = o.xid, pos = o.pos, seq = o.seq from es.order_log o where o.seq = 33",
    )
    .execute(&mut test.owner().await)
    .await
    .unwrap();
    for number in 0..10 {
        writer.write::<0>(streams[number % 4], &command(id()), &[3]).await.unwrap();
    }
    eventually("90 to have positions", async || sequencer.once().await.unwrap() == Position(90)).await;
    let after = log.page(Position(0), 100).await.unwrap();
    assert_eq!(after[..80], before);
    assert_dense(&after);
}

#[tokio::test]
async fn a_look_without_work_uses_up_no_transaction_id() {
    let test = TestDatabase::create().await;
    let sequencer = Sequencer::new(test.connect().await);
    let untouched = async || -> (String, String) {
        sqlx::query_as("select xmin::text, xmax::text from es.sequencer")
            .fetch_one(&mut test.owner().await)
            .await
            .unwrap()
    };
    // The first look may move a cursor that is far behind.
    sequencer.once().await.unwrap();
    let before = untouched().await;
    for _ in 0..20 {
        sequencer.once().await.unwrap();
    }
    assert_eq!(untouched().await, before, "the cursor's row was locked or written");
}

#[tokio::test]
async fn an_events_copies_in_the_order_say_what_the_event_says() {
    let test = TestDatabase::create().await;
    let database = test.connect().await;
    let sequencer = Sequencer::new(database.clone());
    let writer = Writer::new(database, Tenant::customer(id(), id()));
    writer.write::<0>(id(), &command(id()), &[1, 2, 3]).await.unwrap();
    writer.write::<1>(id(), &command(id()), &[4]).await.unwrap();
    eventually("4 to have positions", async || sequencer.once().await.unwrap() == Position(4)).await;
    let differing: i64 = sqlx::query_scalar(
        "select count(*) filter (where (o.partner_id, o.customer_id, o.stream, o.event_type, o.correlation_id, o.recorded_at)
                                 is distinct from (e.partner_id, e.customer_id, e.stream, e.event_type, e.correlation_id, e.recorded_at))
           from es.order_log o full join es.event e on e.pos = o.pos and e.xid = o.xid",
    )
    .fetch_one(&mut test.owner().await)
    .await
    .unwrap();
    assert_eq!(differing, 0);
    let kinds: Vec<(String, String)> =
        sqlx::query_as("select distinct stream, event_type from es.order_log order by 1 desc")
            .fetch_all(&mut test.owner().await)
            .await
            .unwrap();
    assert_eq!(kinds, [0, 1].map(|kind| (KINDS[kind].to_owned(), COUNTED[kind].to_owned())));
}
