//! A projection of two tables with every kind of thing that a table can have, and whoever writes, follows and reads it.

use eventstore::{
    Database, DatabaseOptions, FollowError, Projection, RebuildError, RebuildOptions, Rebuilt, Sequencer,
    Store, StoreError, Target, Tx, follow, rebuild,
};
use kernel::{
    Aggregate, Envelope, EventData, EventId, MalformedEvent, Position, Refused, Scope, StreamId, Tenant,
};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgConnection};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use testkit::{TestDatabase, cause, eventually, id};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Breaks the rule that a total is a sum of counts.
pub(crate) const POISON: i64 = -1_000;

const WRITER_PAUSE: Duration = Duration::from_millis(10);

const TABLES: &str = "
    create schema tally;
    call es.open_schema('tally');
    create table tally.total (
      stream_id   uuid   primary key,
      partner_id  uuid   not null,
      customer_id uuid,
      total       bigint not null default 0,
      events      bigint not null,
      constraint total_is_a_sum check (total >= 0)
    ) with (fillfactor = 70);
    create index total_of_partner on tally.total (partner_id) where total > 10;
    call es.protect('tally.total');
    create table tally.line (
      seq         bigint primary key,
      stream_id   uuid   not null references tally.total,
      partner_id  uuid   not null,
      customer_id uuid,
      event_id    uuid   not null,
      unique (event_id)
    );
    create index line_in_order on tally.line (partner_id, seq desc);
    comment on column tally.line.seq is 'the position';
    create trigger lines_stay before truncate on tally.line for each statement execute function es.refuse_rewriting('lines');
    call es.protect('tally.line', 'select');
    grant insert on tally.line to pf_platform;
    grant update (event_id) on tally.line to pf_platform;";

/// Sums up what was counted; takes in only as many events as its gate lets through, if it has one.
#[derive(Default)]
pub(crate) struct Tally {
    gate: Option<Arc<Semaphore>>,
    only: &'static [&'static str],
}

impl Tally {
    /// One that takes in events of these types only.
    pub(crate) fn of(only: &'static [&'static str]) -> Self {
        Self { only, ..Self::default() }
    }

    pub(crate) fn gated(gate: Arc<Semaphore>) -> Self {
        Self { gate: Some(gate), ..Self::default() }
    }
}

#[async_trait::async_trait]
impl Projection for Tally {
    fn name(&self) -> &'static str {
        "tally"
    }

    fn schema(&self) -> &'static str {
        "tally"
    }

    fn tables(&self) -> &'static [&'static str] {
        &["total", "line"]
    }

    fn event_types(&self) -> &'static [&'static str] {
        self.only
    }

    async fn apply(&self, tx: &mut Tx, event: &Envelope) -> Result<(), StoreError> {
        if let Some(gate) = &self.gate
            && let Ok(permit) = gate.acquire().await
        {
            permit.forget();
        }
        let Counted(by) = event.read()?;
        sqlx::query(
            "insert into total (stream_id, partner_id, customer_id, total, events)
             values ($1, $2, $3, $4, 1)
             on conflict (stream_id) do update
                set total = total.total + excluded.total,
                    events = total.events + 1",
        )
        .bind(event.stream_id.0)
        .bind(event.tenant.partner_id.0)
        .bind(event.tenant.customer_id.map(|id| id.0))
        .bind(by)
        .execute(&mut **tx)
        .await?;
        sqlx::query(
            "insert into line (seq, stream_id, partner_id, customer_id, event_id) values ($1, $2, $3, $4, $5)",
        )
        .bind(event.seq.0)
        .bind(event.stream_id.0)
        .bind(event.tenant.partner_id.0)
        .bind(event.tenant.customer_id.map(|id| id.0))
        .bind(event.event_id.0)
        .execute(&mut **tx)
        .await?;
        Ok(())
    }
}

/// A count that was made.
#[derive(Debug, Clone, PartialEq)]
struct Counted(i64);

impl EventData for Counted {
    fn event_type(&self) -> &'static str {
        "test.Counted"
    }
    fn schema_version(&self) -> i16 {
        1
    }
    fn payload(&self) -> Value {
        json!({ "by": self.0 })
    }
    fn read(event_type: &str, schema_version: i16, payload: &Value) -> Result<Self, MalformedEvent> {
        payload["by"].as_i64().map(Self).ok_or(MalformedEvent {
            event_type: event_type.to_owned(),
            schema_version,
            reason: "no number".to_owned(),
        })
    }
    fn owns(event_type: &str) -> bool {
        event_type == "test.Counted"
    }
}

/// Counts whatever it is told to.
struct Counter;

#[derive(Debug, thiserror::Error)]
#[error("never")]
struct Never;

impl Refused for Never {
    fn code(&self) -> &'static str {
        "test.never"
    }
}

impl Aggregate for Counter {
    const STREAM: &'static str = "test.counter";
    type State = ();
    type Command = Vec<i64>;
    type Event = Counted;
    type Refusal = Never;
    fn decide((): &(), counts: Vec<i64>) -> Result<Vec<Counted>, Never> {
        Ok(counts.into_iter().map(Counted).collect())
    }
    fn evolve((): (), _: &Counted) {}
}

/// A database with the projection's tables, and who works with them.
pub(crate) struct Fixture {
    test: TestDatabase,
    pub(crate) database: Database,
    /// The schema as it was made.
    pub(crate) described: Vec<String>,
    store: Store,
    tenant: Tenant,
    seen: Arc<Seen>,
}

/// What readers saw.
#[derive(Default)]
struct Seen {
    reads: AtomicUsize,
    /// Odd while the live tables are wrong.
    repairs: AtomicUsize,
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        let test = TestDatabase::create().await;
        let mut owner = test.owner().await;
        sqlx::raw_sql(TABLES).execute(&mut owner).await.unwrap();
        let described =
            sqlx::query_scalar("select es.describe_schema('tally')").fetch_all(&mut owner).await.unwrap();
        let database = test.connect().await;
        let tenant = Tenant::customer(id(), id());
        Self { store: Store::new(database.clone()), test, database, described, tenant, seen: Arc::default() }
    }

    pub(crate) fn owner_url(&self) -> String {
        self.test.owner_url()
    }

    pub(crate) async fn owner(&self) -> PgConnection {
        self.test.owner().await
    }

    /// Does to the live tables what nobody should.
    pub(crate) async fn tamper(&self, statements: &str) {
        sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(&mut self.owner().await).await.unwrap();
    }

    /// Counts one by one, `each` times in each of that many new streams, and gives the events their positions.
    pub(crate) async fn count(&self, streams: usize, each: usize) -> Vec<Uuid> {
        let ids: Vec<Uuid> = (0..streams).map(|_| id()).collect();
        for stream in &ids {
            append(&self.store, self.tenant, StreamId(*stream), vec![1; each]).await;
        }
        self.sequence().await;
        ids
    }

    /// Counts once, by this much.
    pub(crate) async fn count_by(&self, by: i64) -> EventId {
        let stream: StreamId = id();
        append(&self.store, self.tenant, stream, vec![by]).await;
        self.sequence().await;
        let mut owner = self.owner().await;
        let event = sqlx::query_scalar("select event_id from es.event where stream_id = $1").bind(stream.0);
        EventId(event.fetch_one(&mut owner).await.unwrap())
    }

    async fn sequence(&self) -> Position {
        let sequencer = Sequencer::new(self.database.clone());
        eventually("all events to get a position", async || {
            let stored: i64 = sqlx::query_scalar("select count(*) from es.event")
                .fetch_one(&mut self.owner().await)
                .await
                .unwrap();
            sequencer.once().await.unwrap().0 >= stored
        })
        .await;
        sequencer.once().await.unwrap()
    }

    /// Sequences and follows until the token is cancelled.
    pub(crate) fn follow(&self) -> CancellationToken {
        let stop = CancellationToken::new();
        let (sequencer, ending) = (Sequencer::new(self.database.clone()), stop.clone());
        #[expect(clippy::disallowed_methods, reason = "it ends with the test")]
        tokio::spawn(async move { sequencer.run(ending).await });
        let (database, ending) = (self.database.clone(), stop.clone());
        #[expect(clippy::disallowed_methods, reason = "it ends with the test")]
        tokio::spawn(async move {
            follow(database, &Tally::default(), watch::Sender::new(Position(0)), ending).await;
        });
        stop
    }

    /// Follows until everything is taken in.
    pub(crate) async fn follow_to_the_end(&self) {
        let end = self.sequence().await;
        let stop = self.follow();
        eventually("the end of the log", async || self.position().await == end).await;
        stop.cancel();
    }

    pub(crate) async fn position(&self) -> Position {
        let mut owner = self.owner().await;
        let seq: Option<i64> = sqlx::query_scalar("select seq from es.follower where name = 'tally'")
            .fetch_optional(&mut owner)
            .await
            .unwrap();
        Position(seq.unwrap_or(0))
    }

    pub(crate) async fn live_total(&self) -> i64 {
        let sum = sqlx::query_scalar("select coalesce(sum(total), 0)::bigint from tally.total");
        sum.fetch_one(&mut self.owner().await).await.unwrap()
    }

    /// The schemas of the projection and beside it.
    pub(crate) async fn schemas(&self) -> Vec<String> {
        sqlx::query_scalar("select nspname::text from pg_namespace where nspname like 'tally%' order by 1")
            .fetch_all(&mut self.owner().await)
            .await
            .unwrap()
    }

    /// Cuts every connection to this database, as a restart of the server would.
    pub(crate) async fn cut_connections(&self) {
        self.tamper(
            "select pg_terminate_backend(pid) from pg_stat_activity
              where datname = current_database() and pid <> pg_backend_pid()",
        )
        .await;
    }

    /// Rebuilds as soon as the server has noticed that the last one who did is gone.
    pub(crate) async fn rebuild_once_free(&self, options: RebuildOptions) -> Rebuilt {
        let done = Mutex::new(None);
        eventually("the interrupted rebuild to be gone", async || {
            match rebuild(&self.database, &self.owner_url(), &Tally::default(), options, &|_| {}).await {
                Ok(rebuilt) => done.lock().unwrap().replace(rebuilt).is_none(),
                Err(RebuildError::Busy { .. }) => false,
                // The pool may still hand out connections that were cut.
                Err(RebuildError::Follow(FollowError::Store(error)) | RebuildError::Store(error))
                    if error.is_outage() =>
                {
                    false
                }
                Err(error) => panic!("{error:?}"),
            }
        })
        .await;
        done.into_inner().unwrap().unwrap()
    }

    /// That many writers, each with a stream of its own, who write until the token is cancelled.
    pub(crate) fn write_until(&self, stop: &CancellationToken, writers: usize) -> JoinSet<()> {
        let mut writing = JoinSet::new();
        for _ in 0..writers {
            let (store, tenant, stop) = (self.store.clone(), self.tenant, stop.clone());
            writing.spawn(async move {
                let stream = id();
                while !stop.is_cancelled() {
                    append(&store, tenant, stream, vec![1]).await;
                    // Not as fast as they could: the log is folded many times over.
                    tokio::time::sleep(WRITER_PAUSE).await;
                }
            });
        }
        writing
    }

    /// From now on the live tables are wrong, or right again.
    pub(crate) fn repairing(&self, repairing: bool) {
        let is_repairing = self.seen.repairs.load(Ordering::SeqCst) % 2 == 1;
        self.seen.repairs.fetch_add(usize::from(repairing != is_repairing), Ordering::SeqCst);
    }

    /// How often all readers have read.
    pub(crate) fn reads(&self) -> usize {
        self.seen.reads.load(Ordering::SeqCst)
    }

    /// A reader with prepared statements, whose transactions see one state, until the token is cancelled.
    pub(crate) fn read_until(&self, stop: &CancellationToken) -> JoinHandle<()> {
        let url =
            format!("{}?options[default_transaction_isolation]=repeatable%20read", self.test.service_url());
        let (scope, seen, stop) = (Scope::partner_of(self.tenant), self.seen.clone(), stop.clone());
        #[expect(clippy::disallowed_methods, reason = "the test waits for it")]
        tokio::spawn(async move {
            let options = DatabaseOptions { max_connections: 1, ..DatabaseOptions::default() };
            let database = Database::connect(&url, options).await.unwrap();
            let mut last = 0;
            while !stop.is_cancelled() {
                let repairs = seen.repairs.load(Ordering::SeqCst);
                let mut tx = database.begin(&scope).await.unwrap();
                let position: i64 = one(&mut tx, "select seq from es.follower where name = 'tally'").await;
                let lines: i64 = one(&mut tx, "select count(*) from tally.line").await;
                let last_line: i64 = one(&mut tx, "select max(seq) from tally.line").await;
                let total: i64 = one(&mut tx, "select sum(total)::bigint from tally.total").await;
                let events: i64 = one(&mut tx, "select sum(events)::bigint from tally.total").await;
                tx.commit().await.unwrap();
                assert!(position >= last, "the position went back from {last} to {position}");
                if repairs.is_multiple_of(2) && repairs == seen.repairs.load(Ordering::SeqCst) {
                    assert_eq!([lines, last_line, total, events], [position; 4], "at position {position}");
                }
                last = position;
                seen.reads.fetch_add(1, Ordering::SeqCst);
            }
        })
    }
}

async fn one(tx: &mut Tx, question: &'static str) -> i64 {
    sqlx::query_scalar(question).fetch_one(&mut **tx).await.unwrap()
}

async fn append(store: &Store, tenant: Tenant, stream_id: StreamId, counts: Vec<i64>) {
    let (cause, scope) = (cause(), Scope::partner_of(tenant));
    let target = Target { scope: &scope, tenant, stream_id, cause: &cause, occurred_at: None };
    store.execute::<Counter>(target, counts).await.unwrap();
}
