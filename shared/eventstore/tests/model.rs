//! Random interleavings of everything that can happen to an event, against a model that knows what must come of it.
//!
//! `PATCHFLEET_SEED=n` runs one case.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, waits for its own tasks, and takes its seed from the environment"
)]

#[path = "support/tally.rs"]
mod tally;

use eventstore::{Database, DatabaseOptions, ExecuteError, Log, Sequencer, Tx};
use kernel::{Cause, Envelope, EventId, Position, Scope, StreamId, Tenant};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use sqlx::PgConnection;
use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    time::{Duration, Instant},
};
use tally::{Counted, Tally, Writer, command};
use testkit::{TestDatabase, eventually, id};

const CASES: u64 = 50;
const STEPS: usize = 120;
const STREAMS: usize = 5;
/// More would hold the fence nearly all the time.
const OPEN_MAX: usize = 2;

/// What a command wrote, as its caller was told.
#[derive(Clone)]
struct Acknowledged {
    cause: Cause,
    stream: usize,
    numbers: Vec<i64>,
    pos: i64,
}

/// A transaction that is not over: what it has written will count if it commits.
struct Open {
    tx: Tx,
    xid: i64,
    writes: Vec<Acknowledged>,
}

/// A read model in memory: what it would keep in its tables.
#[derive(Clone, Default)]
struct View {
    cursor: Position,
    sums: HashMap<StreamId, (i64, i64)>,
}

impl View {
    fn apply(&mut self, events: &[Envelope]) {
        for event in events {
            let (sum, version) = self.sums.entry(event.stream_id).or_default();
            assert_eq!(event.version, *version + 1, "a view sees stream {} turned round", event.stream_id);
            *version = event.version;
            *sum += event.read::<Counted<0>>().unwrap().0;
            assert_eq!(event.seq.0, self.cursor.0 + 1, "a view sees a hole");
            self.cursor = event.seq;
        }
    }
}

struct Case<'a> {
    random: StdRng,
    test: &'a TestDatabase,
    database: Database,
    log: Log,
    writers: [Writer; 2],
    streams: Vec<StreamId>,
    acknowledged: Vec<Acknowledged>,
    open: Vec<Open>,
    /// Where the log stood before this case.
    start: Position,
    view: View,
    saved_view: View,
    relayed: Position,
    queues: BTreeMap<usize, VecDeque<Envelope>>,
    consumer: String,
    did: BTreeMap<&'static str, u32>,
}

impl Case<'_> {
    fn pick(&mut self, count: usize) -> usize {
        self.random.random_range(0..count)
    }

    /// The partner whose stream it is: streams are divided between two.
    fn writer(&self, stream: usize) -> Writer {
        self.writers[stream % 2].clone()
    }

    fn new_numbers(&mut self) -> Vec<i64> {
        (0..self.random.random_range(1..=4)).map(|_| self.random.random_range(-50..=50)).collect()
    }

    /// A stream that no open transaction has locked.
    fn free_stream(&mut self) -> Option<usize> {
        let locked: HashSet<usize> =
            self.open.iter().flat_map(|open| open.writes.iter().map(|write| write.stream)).collect();
        let free: Vec<usize> = (0..STREAMS).filter(|stream| !locked.contains(stream)).collect();
        (!free.is_empty()).then(|| free[self.random.random_range(0..free.len())])
    }

    async fn step(&mut self) {
        let step = self.pick(100);
        let name = match step {
            0..18 => self.append().await,
            18..24 => self.repeat().await,
            24..29 => self.begin().await,
            29..33 => self.append_in_open().await,
            33..41 => self.commit().await,
            41..45 => self.crash_open().await,
            45..58 => self.sequence().await,
            58..60 => self.take_over().await,
            60..67 => self.relay().await,
            67..69 => self.relay_again(),
            69..91 => self.deliver().await,
            91..98 => self.follow().await,
            _ => self.replay(),
        };
        *self.did.entry(name).or_default() += 1;
    }

    async fn append(&mut self) -> &'static str {
        let Some(stream) = self.free_stream() else { return "nothing" };
        let (cause, numbers) = (command(id()), self.new_numbers());
        let written = self.writer(stream).write::<0>(self.streams[stream], &cause, &numbers).await.unwrap();
        assert!(!written.repeated);
        let pos = written.pos.unwrap();
        self.acknowledged.push(Acknowledged { cause, stream, numbers, pos });
        "append"
    }

    /// A caller who did not hear the answer asks again, at any later time.
    async fn repeat(&mut self) -> &'static str {
        if self.acknowledged.is_empty() {
            return "nothing";
        }
        let chosen = self.pick(self.acknowledged.len());
        let earlier = self.acknowledged[chosen].clone();
        let writer = self.writer(earlier.stream);
        let stream = self.streams[earlier.stream];
        let again = writer.write::<0>(stream, &earlier.cause, &earlier.numbers).await.unwrap();
        assert!(again.repeated && again.pos == Some(earlier.pos), "{again:?}, first at {}", earlier.pos);
        "repeated command"
    }

    async fn begin(&mut self) -> &'static str {
        if self.open.len() == OPEN_MAX {
            return "nothing";
        }
        let Some(stream) = self.free_stream() else { return "nothing" };
        let mut tx = self.database.begin(&self.writer(stream).scope).await.unwrap();
        let xid = sqlx::query_scalar("select pg_current_xact_id()::text::bigint")
            .fetch_one(&mut *tx)
            .await
            .unwrap();
        self.open.push(Open { tx, xid, writes: Vec::new() });
        let last = self.open.len() - 1;
        self.write_in(last, stream).await;
        "begin"
    }

    async fn append_in_open(&mut self) -> &'static str {
        if self.open.is_empty() {
            return "nothing";
        }
        let chosen = self.pick(self.open.len());
        let tenant = self.open[chosen].writes[0].stream % 2;
        match self.free_stream() {
            Some(stream) if stream % 2 == tenant => self.write_in(chosen, stream).await,
            Some(_) | None => "nothing",
        }
    }

    /// Writes in an open transaction. One that is older than the stream's last writer is refused, and is over.
    async fn write_in(&mut self, chosen: usize, stream: usize) -> &'static str {
        let (cause, numbers) = (command(id()), self.new_numbers());
        let writer = self.writer(stream);
        let target = writer.target(self.streams[stream], &cause);
        let open = &mut self.open[chosen];
        match writer.store.execute_in::<Tally<0>>(&mut open.tx, target, numbers.clone()).await {
            Ok(written) => {
                let pos = written.pos.unwrap();
                open.writes.push(Acknowledged { cause, stream, numbers, pos });
                "append in a transaction"
            }
            Err(ExecuteError::Store(error)) if error.is_busy() => {
                self.open.swap_remove(chosen).tx.rollback().await.unwrap();
                "refused as too old"
            }
            Err(error) => panic!("{error}"),
        }
    }

    async fn commit(&mut self) -> &'static str {
        if self.open.is_empty() {
            return "nothing";
        }
        let chosen = self.pick(self.open.len());
        let open = self.open.swap_remove(chosen);
        open.tx.commit().await.unwrap();
        self.acknowledged.extend(open.writes);
        "commit"
    }

    /// The writer's process goes away, or its connection is cut: nothing of it counts.
    async fn crash_open(&mut self) -> &'static str {
        if self.open.is_empty() {
            return "nothing";
        }
        let chosen = self.pick(self.open.len());
        let mut open = self.open.swap_remove(chosen);
        if self.random.random() {
            drop(open.tx);
            return "rollback";
        }
        let pid: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut *open.tx).await.unwrap();
        sqlx::query("select pg_terminate_backend($1, 5000)")
            .bind(pid)
            .execute(&mut self.test.owner().await)
            .await
            .unwrap();
        open.tx.commit().await.unwrap_err();
        "connection cut"
    }

    /// Waits until only this case's own transactions hold the fence: those of other tests on the same server would make
    /// another case of the same seed.
    async fn let_the_fence_pass(&self) {
        let mut tx = self.database.begin(&Scope::Platform).await.unwrap();
        let next: i64 = sqlx::query_scalar("select pg_snapshot_xmax(pg_current_snapshot())::text::bigint")
            .fetch_one(&mut *tx)
            .await
            .unwrap();
        let oldest = self.open.iter().map(|open| open.xid).min().unwrap_or(next);
        let deadline = Instant::now() + Duration::from_mins(1);
        loop {
            let fence: i64 =
                sqlx::query_scalar("select pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
                    .fetch_one(&mut *tx)
                    .await
                    .unwrap();
            if fence >= oldest {
                return;
            }
            assert!(Instant::now() < deadline, "another transaction holds the fence for a minute");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Gives some positions; or a leader does and crashes before its commit.
    async fn sequence(&mut self) -> &'static str {
        let limit = self.random.random_range(1..=8);
        self.let_the_fence_pass().await;
        let mut tx = self.database.begin(&Scope::Platform).await.unwrap();
        sequence(&mut tx, limit).await;
        if self.random.random_ratio(1, 5) {
            tx.rollback().await.unwrap();
            return "sequencer crashed";
        }
        tx.commit().await.unwrap();
        "sequenced"
    }

    /// A leader that is believed to be gone is at work still while the next one begins.
    async fn take_over(&mut self) -> &'static str {
        let mut old = self.database.begin(&Scope::Platform).await.unwrap();
        sequence(&mut old, self.random.random_range(1..=8)).await;
        let (database, limit) = (self.database.clone(), self.random.random_range(1..=8));
        let new = tokio::spawn(async move {
            let mut tx = database.begin(&Scope::Platform).await.unwrap();
            sequence(&mut tx, limit).await;
            tx.commit().await.unwrap();
        });
        if self.random.random() {
            old.commit().await.unwrap();
        } else {
            old.rollback().await.unwrap();
        }
        new.await.unwrap();
        "takeover"
    }

    /// Publishes a page; between streams the broker keeps no order.
    async fn relay(&mut self) -> &'static str {
        let limit = self.random.random_range(1..=10);
        let page = self.log.page(self.relayed, limit).await.unwrap();
        for event in page {
            self.relayed = event.seq;
            let stream = self.streams.iter().position(|stream| *stream == event.stream_id).unwrap();
            self.queues.entry(stream).or_default().push_back(event);
        }
        "relayed"
    }

    /// A relay that crashed before it noted its cursor publishes again.
    fn relay_again(&mut self) -> &'static str {
        let back = self.random.random_range(0..=6);
        self.relayed = Position((self.relayed.0 - back).max(self.start.0));
        "relay crashed"
    }

    /// Delivers the first message of some stream. The consumer may crash before its commit, or before it acknowledges.
    async fn deliver(&mut self) -> &'static str {
        let waiting: Vec<usize> =
            self.queues.iter().filter(|(_, queue)| !queue.is_empty()).map(|(stream, _)| *stream).collect();
        if waiting.is_empty() {
            return "nothing";
        }
        let stream = waiting[self.pick(waiting.len())];
        let event = self.queues[&stream][0].clone();
        let mut tx = self.database.begin(&Scope::partner_of(event.tenant)).await.unwrap();
        let new = self.consume(&mut tx, &event).await;
        if self.random.random_ratio(1, 6) {
            tx.rollback().await.unwrap();
            return "consumer crashed";
        }
        tx.commit().await.unwrap();
        if self.random.random_ratio(1, 6) {
            return "acknowledgement lost";
        }
        self.queues.get_mut(&stream).unwrap().pop_front();
        if new { "handled" } else { "duplicate" }
    }

    /// The effect and its row in the inbox, in one transaction; whether the event was new.
    async fn consume(&self, tx: &mut Tx, event: &Envelope) -> bool {
        let entered: Option<uuid::Uuid> = sqlx::query_scalar(
            "insert into es.inbox (consumer, event_id, seq) values ($1, $2, $3)
             on conflict do nothing returning event_id",
        )
        .bind(&self.consumer)
        .bind(event.event_id.0)
        .bind(event.seq.0)
        .fetch_optional(&mut **tx)
        .await
        .unwrap();
        if entered.is_none() {
            return false;
        }
        let version: i64 = sqlx::query_scalar(
            "insert into model.effect as e (stream_id, sum, version) values ($1, $2, 1)
             on conflict (stream_id) do update set sum = e.sum + excluded.sum, version = e.version + 1
             returning version",
        )
        .bind(event.stream_id.0)
        .bind(event.read::<Counted<0>>().unwrap().0)
        .fetch_one(&mut **tx)
        .await
        .unwrap();
        assert_eq!(version, event.version, "a consumer sees stream {} turned round", event.stream_id);
        true
    }

    /// A view takes a page in, or crashes and begins at what it had saved.
    async fn follow(&mut self) -> &'static str {
        let limit = self.random.random_range(1..=12);
        let page = self.log.page(self.view.cursor, limit).await.unwrap();
        self.view.apply(&page);
        if self.random.random_ratio(1, 5) {
            self.view = self.saved_view.clone();
            return "view crashed";
        }
        self.saved_view = self.view.clone();
        "followed"
    }

    fn replay(&mut self) -> &'static str {
        self.view = View { cursor: self.start, sums: HashMap::new() };
        self.saved_view = self.view.clone();
        "replay"
    }

    /// Lets everything come to its end, and compares.
    async fn finish(mut self) -> BTreeMap<&'static str, u32> {
        while !self.open.is_empty() {
            if self.random.random() {
                self.commit().await;
            } else {
                self.crash_open().await;
            }
        }
        let stored: usize = self.acknowledged.iter().map(|written| written.numbers.len()).sum();
        let head = Position(self.start.0 + i64::try_from(stored).unwrap());
        let sequencer = Sequencer::new(self.database.clone());
        eventually("all that is acknowledged to have a position", async || {
            let reached = sequencer.once().await.unwrap();
            assert!(reached <= head, "more events than were acknowledged");
            reached == head
        })
        .await;
        while self.relayed < head {
            self.relay().await;
        }
        while self.queues.values().any(|queue| !queue.is_empty()) {
            self.deliver().await;
        }
        while self.view.cursor < head {
            self.follow().await;
        }

        // The log is what was acknowledged, each command once, in one piece and with its numbers.
        let events = self.log.page(self.start, 5_000).await.unwrap();
        let mut logged: HashMap<_, Vec<&Envelope>> = HashMap::new();
        for event in &events {
            logged.entry(event.command_id).or_default().push(event);
        }
        assert_eq!(logged.len(), self.acknowledged.len());
        assert_eq!(
            events.iter().map(|event| event.event_id).collect::<HashSet<EventId>>().len(),
            events.len()
        );
        for written in &self.acknowledged {
            let found = &logged[&written.cause.command_id];
            let numbers: Vec<i64> = found.iter().map(|event| event.read::<Counted<0>>().unwrap().0).collect();
            assert_eq!(numbers, written.numbers);
            assert!(found.iter().all(|event| event.stream_id == self.streams[written.stream]));
        }

        // Every state is the fold of the log.
        let mut replayed = View { cursor: self.start, sums: HashMap::new() };
        replayed.apply(&events);
        assert_eq!(self.view.sums, replayed.sums);
        let mut owner = self.test.owner().await;
        for (number, stream) in self.streams.iter().enumerate() {
            let folded = replayed.sums.get(stream).copied().unwrap_or_default();
            let writer = self.writer(number);
            assert_eq!(writer.store.load::<Tally<0>>(&writer.scope, *stream).await.unwrap(), folded);
            assert_eq!(effect(&mut owner, *stream).await, folded);
        }
        self.did
    }
}

async fn sequence(tx: &mut Tx, limit: i32) {
    sqlx::query("select seq from es.sequence($1)").bind(limit).execute(&mut **tx).await.unwrap();
}

async fn effect(owner: &mut PgConnection, stream: StreamId) -> (i64, i64) {
    sqlx::query_as("select sum, version from model.effect where stream_id = $1")
        .bind(stream.0)
        .fetch_optional(owner)
        .await
        .unwrap()
        .unwrap_or_default()
}

/// Says how to see a failure again.
struct Failing(u64);

impl Drop for Failing {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the failing seed is {}: run again with PATCHFLEET_SEED={}", self.0, self.0);
        }
    }
}

async fn case(seed: u64, test: &TestDatabase, database: &Database) -> BTreeMap<&'static str, u32> {
    let _failing = Failing(seed);
    let start = Log::new(database.clone()).head().await.unwrap();
    let view = View { cursor: start, sums: HashMap::new() };
    let writer = || Writer::new(database.clone(), Tenant::customer(id(), id()));
    let mut case = Case {
        random: StdRng::seed_from_u64(seed),
        test,
        database: database.clone(),
        log: Log::new(database.clone()),
        writers: [writer(), writer()],
        streams: (0..STREAMS).map(|_| id()).collect(),
        acknowledged: Vec::new(),
        open: Vec::new(),
        start,
        view: view.clone(),
        saved_view: view,
        relayed: start,
        queues: BTreeMap::new(),
        consumer: format!("model.{seed}"),
        did: BTreeMap::new(),
    };
    for _ in 0..STEPS {
        case.step().await;
    }
    case.finish().await
}

#[tokio::test]
async fn whatever_happens_in_whatever_order_every_state_is_the_fold_of_what_was_acknowledged() {
    let given: Option<u64> = std::env::var("PATCHFLEET_SEED").ok().map(|seed| seed.parse().unwrap());
    let seeds = given.map_or(1..CASES + 1, |seed| seed..seed + 1);
    let started = Instant::now();
    let test = TestDatabase::create().await;
    sqlx::raw_sql(
        "create schema model;
         create table model.effect (stream_id uuid primary key, sum bigint not null, version bigint not null);
         grant usage on schema model to pf_partner;
         grant select, insert, update on model.effect to pf_partner",
    )
    .execute(&mut test.owner().await)
    .await
    .unwrap();
    let options = DatabaseOptions { max_connections: 10, ..DatabaseOptions::default() };
    let database = Database::connect(&test.service_url(), options).await.unwrap();
    let mut did: BTreeMap<&'static str, u32> = BTreeMap::new();
    for seed in seeds.clone() {
        for (name, count) in case(seed, &test, &database).await {
            *did.entry(name).or_default() += count;
        }
    }
    println!("seeds {seeds:?}: {did:?} in {:.1} s", started.elapsed().as_secs_f64());
    if given.is_none() {
        // A model that never does something proves nothing about it.
        let all = [
            "append",
            "repeated command",
            "append in a transaction",
            "refused as too old",
            "commit",
            "rollback",
            "connection cut",
            "sequenced",
            "sequencer crashed",
            "takeover",
            "relayed",
            "relay crashed",
            "handled",
            "duplicate",
            "consumer crashed",
            "acknowledgement lost",
            "followed",
            "view crashed",
            "replay",
        ];
        let never: Vec<_> = all.iter().filter(|name| !did.contains_key(**name)).collect();
        assert!(never.is_empty(), "never happened: {never:?}");
    }
}
