//! Snapshots make a long stream short to read, and change nothing else.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

#[path = "support/counter.rs"]
mod counter;

use counter::{Counted, Counter, TooFar};
use eventstore::{Committed, Store, Target};
use kernel::{Aggregate, CommandId, Scope, Snapshot, StreamId, Tenant};
use proptest::prelude::*;
use testkit::{TestDatabase, cause, id};

/// The counter of the other tests, kept every five events.
struct Kept;

impl Aggregate for Kept {
    const STREAM: &'static str = Counter::STREAM;
    type State = i64;
    const SNAPSHOT: Option<Snapshot<i64>> = Some(Snapshot::json(1, 5));
    type Command = i64;
    type Event = Counted;
    type Refusal = TooFar;
    fn decide(state: &i64, by: i64) -> Result<Vec<Counted>, TooFar> {
        Counter::decide(state, by)
    }
    fn evolve(state: i64, event: &Counted) -> i64 {
        Counter::evolve(state, event)
    }
}

/// The same after its state has got another shape.
struct Changed;

impl Aggregate for Changed {
    const STREAM: &'static str = Counter::STREAM;
    type State = i64;
    const SNAPSHOT: Option<Snapshot<i64>> = Some(Snapshot::json(2, 5));
    type Command = i64;
    type Event = Counted;
    type Refusal = TooFar;
    fn decide(state: &i64, by: i64) -> Result<Vec<Counted>, TooFar> {
        Counter::decide(state, by)
    }
    fn evolve(state: i64, event: &Counted) -> i64 {
        Counter::evolve(state, event)
    }
}

struct Fixture {
    database: TestDatabase,
    store: Store,
    tenant: Tenant,
    scope: Scope,
}

impl Fixture {
    async fn new() -> Self {
        let database = TestDatabase::create().await;
        let store = Store::new(database.connect().await);
        let tenant = Tenant::customer(id(), id());
        Self { database, store, tenant, scope: Scope::partner_of(tenant) }
    }

    async fn count<A: Aggregate<Command = i64, Refusal = TooFar>>(
        &self,
        stream_id: StreamId,
        by: i64,
    ) -> CommandId {
        let cause = cause();
        let target =
            Target { scope: &self.scope, tenant: self.tenant, stream_id, cause: &cause, occurred_at: None };
        self.store.execute::<A>(target, by).await.unwrap();
        cause.command_id
    }

    /// The versions and shapes of the snapshots there are.
    async fn snapshots(&self) -> Vec<(i64, i32)> {
        sqlx::query_as("select version, shape from es.snapshot order by version")
            .fetch_all(&mut self.database.owner().await)
            .await
            .unwrap()
    }

    async fn as_owner(&self, statement: &'static str) {
        sqlx::query(statement).execute(&mut self.database.owner().await).await.unwrap();
    }
}

#[tokio::test]
async fn a_snapshot_is_kept_after_so_many_events_and_read_instead_of_them() {
    let f = Fixture::new().await;
    let stream = id();
    for _ in 0..4 {
        f.count::<Kept>(stream, 1).await;
    }
    assert_eq!(f.snapshots().await, []);
    for _ in 0..7 {
        f.count::<Kept>(stream, 1).await;
    }
    assert_eq!(f.snapshots().await, [(10, 1)]);
    // What only a reader of the snapshot can say.
    f.as_owner("update es.snapshot set state = '100'").await;
    assert_eq!(f.store.load::<Kept>(&f.scope, stream).await.unwrap(), (101, 11));
    assert_eq!(f.store.load::<Counter>(&f.scope, stream).await.unwrap(), (11, 11));
}

#[tokio::test]
async fn a_snapshot_of_another_shape_or_without_sense_is_left_out_and_replaced() {
    let f = Fixture::new().await;
    let stream = id();
    for _ in 0..6 {
        f.count::<Kept>(stream, 1).await;
    }
    assert_eq!(f.snapshots().await, [(5, 1)]);
    assert_eq!(f.store.load::<Changed>(&f.scope, stream).await.unwrap(), (6, 6));
    f.count::<Changed>(stream, 1).await;
    assert_eq!(f.snapshots().await, [(7, 2)]);
    f.as_owner(r"update es.snapshot set state = '\x00'").await;
    assert_eq!(f.store.load::<Changed>(&f.scope, stream).await.unwrap(), (7, 7));
}

#[tokio::test]
async fn a_command_from_before_the_snapshot_is_known_again() {
    let f = Fixture::new().await;
    let stream = id();
    let early = f.count::<Kept>(stream, 1).await;
    for _ in 0..6 {
        f.count::<Kept>(stream, 1).await;
    }
    assert_eq!(f.snapshots().await, [(5, 1)]);
    let mut again = cause();
    again.command_id = early;
    let target =
        Target { scope: &f.scope, tenant: f.tenant, stream_id: stream, cause: &again, occurred_at: None };
    let committed = f.store.execute::<Kept>(target, 1).await.unwrap();
    assert_eq!(committed, Committed { version: 1, pos: Some(1), repeated: true });
    // Of a snapshot that was made from another one as well.
    for _ in 0..5 {
        f.count::<Kept>(stream, 1).await;
    }
    assert_eq!(f.snapshots().await, [(10, 1)]);
    assert_eq!(f.store.execute::<Kept>(target, 1).await.unwrap(), committed);
    f.as_owner("delete from es.snapshot").await;
    assert_eq!(f.store.execute::<Kept>(target, 1).await.unwrap(), committed);
    assert_eq!(f.store.load::<Kept>(&f.scope, stream).await.unwrap(), (12, 12));
}

#[tokio::test]
async fn a_snapshot_that_cannot_be_kept_costs_the_command_nothing() {
    let f = Fixture::new().await;
    f.as_owner("alter table es.snapshot add constraint nothing_goes check (version < 0)").await;
    let (alone, together) = (id(), id());
    for _ in 0..6 {
        f.count::<Kept>(alone, 1).await;
    }
    let mut tx = f.store.database().begin(&f.scope).await.unwrap();
    for _ in 0..6 {
        let cause = cause();
        let target = Target {
            scope: &f.scope,
            tenant: f.tenant,
            stream_id: together,
            cause: &cause,
            occurred_at: None,
        };
        f.store.execute_in::<Kept>(&mut tx, target, 1).await.unwrap();
    }
    tx.commit().await.unwrap();
    for stream in [alone, together] {
        assert_eq!(f.store.load::<Kept>(&f.scope, stream).await.unwrap(), (6, 6));
    }
    assert_eq!(f.snapshots().await, []);
}

#[tokio::test]
async fn a_snapshot_is_kept_in_the_transaction_of_its_events_and_goes_with_it() {
    let f = Fixture::new().await;
    let stream = id();
    for end in ["rollback", "commit"] {
        let mut tx = f.store.database().begin(&f.scope).await.unwrap();
        for _ in 0..5 {
            let cause = cause();
            let target = Target {
                scope: &f.scope,
                tenant: f.tenant,
                stream_id: stream,
                cause: &cause,
                occurred_at: None,
            };
            f.store.execute_in::<Kept>(&mut tx, target, 1).await.unwrap();
        }
        assert_eq!(f.store.load_in::<Kept>(&mut tx, &f.scope, stream).await.unwrap(), 5);
        if end == "commit" {
            tx.commit().await.unwrap();
        } else {
            tx.rollback().await.unwrap();
        }
        assert_eq!(f.snapshots().await.len(), usize::from(end == "commit"), "after {end}");
    }
}

#[tokio::test]
async fn another_tenant_reads_no_snapshot() {
    let f = Fixture::new().await;
    let stream = id();
    for _ in 0..6 {
        f.count::<Kept>(stream, 1).await;
    }
    let foreign = Scope::Partner { partner_id: id() };
    assert_eq!(f.store.load::<Kept>(&foreign, stream).await.unwrap(), (0, 0));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn with_or_without_snapshots_a_stream_comes_to_the_same(
        steps in proptest::collection::vec((0..40_i64, any::<bool>(), any::<bool>()), 1..40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let f = Fixture::new().await;
            let stream = id();
            let mut known = Vec::new();
            for (by, thrown_away, repeats) in steps {
                known.push((f.count::<Kept>(stream, by).await, by));
                if thrown_away {
                    f.as_owner("delete from es.snapshot").await;
                }
                if repeats {
                    let (command_id, by) = known[known.len() / 2];
                    let mut cause = cause();
                    cause.command_id = command_id;
                    let target = Target {
                        scope: &f.scope, tenant: f.tenant, stream_id: stream, cause: &cause, occurred_at: None,
                    };
                    let committed = f.store.execute::<Kept>(target, by).await.unwrap();
                    // Counting by nothing writes nothing, so there is nothing to know again.
                    assert_eq!(committed.repeated, by != 0);
                }
                let plain = f.store.load::<Counter>(&f.scope, stream).await.unwrap();
                assert_eq!(f.store.load::<Kept>(&f.scope, stream).await.unwrap(), plain);
                assert_eq!(plain.0, known.iter().map(|(_, by)| by).sum::<i64>());
            }
        });
    }
}
