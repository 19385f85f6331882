//! One command on each of many aggregates: as if they came one by one, in as many round trips as for one.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

#[path = "support/counter.rs"]
mod counter;

use counter::{Counted, Counter, TooFar};
use eventstore::{Committed, Store, StoreError, Target};
use kernel::{Aggregate, Cause, Scope, Snapshot, StreamId, Tenant};
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

struct Fixture {
    database: TestDatabase,
    store: Store,
    tenant: Tenant,
    scope: Scope,
}

type Outcomes = Vec<Result<Committed, TooFar>>;

impl Fixture {
    async fn new() -> Self {
        let database = TestDatabase::create().await;
        let store = Store::new(database.connect().await);
        let tenant = Tenant::customer(id(), id());
        Self { database, store, tenant, scope: Scope::partner_of(tenant) }
    }

    async fn count(&self, commands: &[(StreamId, i64, &Cause)]) -> Result<Outcomes, StoreError> {
        let mut tx = self.store.database().begin(&self.scope).await?;
        let commands = commands.iter().map(|&(stream_id, by, cause)| {
            let target =
                Target { scope: &self.scope, tenant: self.tenant, stream_id, cause, occurred_at: None };
            (target, by)
        });
        let outcomes = self.store.execute_all_in::<Kept>(&mut tx, &self.scope, commands.collect()).await?;
        tx.commit().await?;
        Ok(outcomes)
    }

    async fn state(&self, stream_id: StreamId) -> (i64, i64) {
        self.store.load::<Kept>(&self.scope, stream_id).await.unwrap()
    }
}

#[tokio::test]
async fn each_is_decided_by_its_own_state_and_answered_in_its_place() {
    let fixture = Fixture::new().await;
    let [a, b, c, d]: [StreamId; 4] = [id(), id(), id(), id()];
    let first = cause();
    let outcomes = fixture.count(&[(a, 900, &first), (b, 5, &first)]).await.unwrap();
    assert_eq!(outcomes.iter().map(|it| it.as_ref().unwrap().version).collect::<Vec<_>>(), [1, 1]);

    let second = cause();
    let commands = [(c, 0, &second), (a, 200, &second), (b, 7, &second), (d, 1, &second)];
    let outcomes = fixture.count(&commands).await.unwrap();
    assert_eq!(outcomes[0], Ok(Committed { version: 0, pos: None, repeated: false }));
    assert_eq!(outcomes[1], Err(TooFar(1_100)));
    assert_eq!(outcomes[2].as_ref().unwrap().version, 2);
    assert_eq!(outcomes[3].as_ref().unwrap().version, 1);
    assert_eq!(
        (fixture.state(a).await, fixture.state(b).await, fixture.state(d).await),
        ((900, 1), (12, 2), (1, 1))
    );

    let again = fixture.count(&commands).await.unwrap();
    assert_eq!(
        again[2],
        outcomes[2].as_ref().map(|done| Committed { repeated: true, ..*done }).map_err(|_refused| TooFar(0))
    );
    assert_eq!(fixture.state(b).await, (12, 2));
}

#[tokio::test]
async fn nothing_is_asked_of_nobody() {
    assert_eq!(Fixture::new().await.count(&[]).await.unwrap(), []);
}

#[tokio::test]
async fn long_streams_get_their_snapshots_and_are_read_from_them() {
    let f = Fixture::new().await;
    let streams: Vec<StreamId> = (0..3).map(|_| id()).collect();
    for _ in 0..12 {
        let cause = cause();
        let commands: Vec<_> = streams.iter().map(|stream| (*stream, 1, &cause)).collect();
        f.count(&commands).await.unwrap();
    }
    let kept: Vec<i64> = sqlx::query_scalar("select version from es.snapshot")
        .fetch_all(&mut f.database.owner().await)
        .await
        .unwrap();
    assert_eq!(kept, [10, 10, 10]);
    for stream in streams {
        assert_eq!(f.state(stream).await, (12, 12));
    }
}

#[tokio::test]
async fn another_tenants_stream_is_in_the_way_of_all() {
    let f = Fixture::new().await;
    let (own, theirs): (StreamId, StreamId) = (id(), id());
    let cause = cause();
    let stranger = Fixture { tenant: Tenant::customer(id(), id()), ..Fixture::new().await };
    let stranger = Fixture { scope: Scope::partner_of(stranger.tenant), store: f.store.clone(), ..stranger };
    stranger.count(&[(theirs, 1, &cause)]).await.unwrap();
    let refused = f.count(&[(own, 1, &cause), (theirs, 1, &cause)]).await;
    assert!(matches!(refused, Err(StoreError::Foreign { stream_id }) if stream_id == theirs), "{refused:?}");
    assert_eq!(f.state(own).await, (0, 0));
}
