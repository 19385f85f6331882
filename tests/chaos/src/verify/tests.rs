//! The judgement finds what is wrong: a sound log passes, and every single thing that is altered is named.

use super::judge;
use crate::{
    consumers::Consumers,
    load::Ledger,
    plan::{Step, Way},
    send::Acknowledged,
    sightings::{Message, Sightings},
};
use contracts::Service;
use eventstore::Sequencer;
use kernel::CommandId;
use serde_json::{Value, json};
use sqlx::PgConnection;
use testkit::TestDatabase;
use uuid::Uuid;

const STREAMS: u128 = 2;
const VERSIONS: i64 = 3;
const TYPE: &str = "tenancy.RoleGranted";
const CONSUMER: &str = "approvals.reactor";

/// Six acknowledged commands of one event each, given positions, published, handled and recorded.
struct Log {
    database: TestDatabase,
    owner: PgConnection,
    ledger: Ledger,
    sightings: Sightings,
}

fn command(stream: u128, version: i64) -> Uuid {
    Uuid::from_u128((stream << 64) | u128::from(version.unsigned_abs()) | (1 << 100))
}

fn event(stream: u128, version: i64) -> Uuid {
    Uuid::from_u128((stream << 64) | u128::from(version.unsigned_abs()) | (1 << 101))
}

fn step(command_id: Uuid) -> Step {
    Step {
        command_id: CommandId(command_id),
        way: Way::Internal,
        service: Service::Tenancy,
        name: "GrantRole".to_owned(),
        body: Value::Null,
        events: &[TYPE],
        twin: false,
    }
}

fn body(seq: i64, stream: u128, version: i64) -> Vec<u8> {
    let published = json!({
        "seq": seq, "event_id": event(stream, version), "stream_id": Uuid::from_u128(stream), "version": version,
    });
    serde_json::to_vec(&published).unwrap()
}

fn see(sightings: &mut Sightings, body: &[u8], id: Uuid, previous: Option<i64>, redelivered: bool) {
    sightings.see(&Message { body, id: Some(&id.to_string()), previous, redelivered });
}

impl Log {
    async fn sound() -> Self {
        let database = TestDatabase::create().await;
        let mut owner = database.owner().await;
        // Rows that the triggers guard are altered below.
        sqlx::query("set session_replication_role = replica").execute(&mut owner).await.unwrap();
        let folder = std::env::temp_dir().join(format!("chaos-{}", testkit::id::<Uuid>()));
        std::fs::create_dir(&folder).unwrap();
        let ledger = Ledger::create(&folder).unwrap();
        std::fs::remove_dir_all(folder).unwrap();
        let mut log = Self { database, owner, ledger, sightings: Sightings::default() };
        for version in 1..=VERSIONS {
            for stream in 1..=STREAMS {
                log.write(stream, version, command(stream, version)).await;
            }
        }
        log.give_positions().await;
        log.spread().await;
        log
    }

    async fn write(&mut self, stream: u128, version: i64, command_id: Uuid) -> i64 {
        let stream_id = Uuid::from_u128(stream);
        sqlx::query(
            "insert into es.stream (stream_id, stream, partner_id, version) values ($1, 'tenancy.user', $1, $2)
             on conflict (stream_id) do update set version = excluded.version",
        )
        .bind(stream_id)
        .bind(version)
        .execute(&mut self.owner)
        .await
        .unwrap();
        let pos: i64 = sqlx::query_scalar(
            "insert into es.event (stream_id, stream, version, event_id, event_type, schema_version, partner_id,
                                   command_id, occurred_at, meta, payload)
             values ($1, 'tenancy.user', $2, $3, $4, 1, $1, $5, now(), '{\"actor\": {\"kind\": \"user\"}}', '{}')
             returning pos",
        )
        .bind(stream_id)
        .bind(version)
        .bind(event(stream, version))
        .bind(TYPE)
        .bind(command_id)
        .fetch_one(&mut self.owner)
        .await
        .unwrap();
        let step = step(command_id);
        let answer = Acknowledged { pos: Some(pos), position: None, repeated: false, answer: Value::Null };
        self.ledger.begin(&step);
        self.ledger.take(&step, &Ok(answer)).unwrap();
        pos
    }

    async fn give_positions(&self) {
        let sequencer = Sequencer::new(self.database.connect().await);
        testkit::eventually("all events to have positions", || async {
            sequencer.once().await.unwrap().0 == i64::try_from(STREAMS).unwrap() * VERSIONS
        })
        .await;
    }

    /// Publishes, handles and records.
    async fn spread(&mut self) {
        let rows: Vec<(i64, Uuid, i64, Uuid)> = sqlx::query_as(
            "select o.seq, e.stream_id, e.version, e.event_id
               from es.event e join es.order_log o on o.pos = e.pos order by o.seq",
        )
        .fetch_all(&mut self.owner)
        .await
        .unwrap();
        for (seq, stream_id, version, event_id) in rows {
            let body = body(seq, stream_id.as_u128(), version);
            let previous = (seq > 1).then_some(seq - 1);
            see(&mut self.sightings, &body, event_id, previous, false);
            // Once more, as after a lost connection.
            see(&mut self.sightings, &body, event_id, previous, true);
            sqlx::query(
                "insert into auditing.record (seq, event_id, event_type, partner_id, occurred_at, recorded_at, actor_kind,
                                              actor_id, correlation_id, subject_ids, envelope, leaf)
                 values ($1, $2, $3, $2, now(), now(), 'user', '', $2, '{}', $4, sha256('\\x00'::bytea || $4))",
            )
            .bind(seq)
            .bind(event_id)
            .bind(TYPE)
            .bind(&body)
            .execute(&mut self.owner)
            .await
            .unwrap();
        }
        sqlx::query("insert into es.consumer (name, seq) select $1, max(seq) from es.order_log")
            .bind(CONSUMER)
            .execute(&mut self.owner)
            .await
            .unwrap();
        sqlx::query("insert into es.inbox (consumer, event_id) select $1, event_id from es.event")
            .bind(CONSUMER)
            .execute(&mut self.owner)
            .await
            .unwrap();
    }

    async fn alter(&mut self, statement: &'static str) {
        let altered = sqlx::query(statement).execute(&mut self.owner).await.unwrap();
        assert_eq!(altered.rows_affected(), 1, "{statement}");
    }

    /// The names of the checks that found something.
    async fn found(&mut self) -> Vec<String> {
        let consumers = Consumers::from([(CONSUMER.to_owned(), vec![TYPE.to_owned()])]);
        let (_, checks) = judge(&mut self.owner, &consumers, &self.ledger, &self.sightings).await.unwrap();
        checks.into_iter().filter(|check| check.violations > 0).map(|check| check.name).collect()
    }
}

fn names(found: &[String], part: &str) -> bool {
    found.iter().any(|name| name.contains(part))
}

#[tokio::test]
async fn a_sound_log_passes() {
    assert_eq!(Log::sound().await.found().await, Vec::<String>::new());
}

#[tokio::test]
async fn every_altered_row_is_found() {
    for (statement, part) in [
        (
            "delete from es.event where pos = (select max(pos) from es.event)",
            "acknowledged command is stored",
        ),
        ("delete from es.event where pos = (select min(pos) from es.event)", "positions are dense"),
        ("delete from es.order_log where seq = 3", "positions are dense"),
        ("update es.order_log set seq = 100 where seq = 4", "positions are dense"),
        ("update es.sequencer set seq = seq - 1", "positions are dense"),
        (
            "update es.event set version = 7 where pos = (select max(pos) from es.event)",
            "versions of a stream",
        ),
        (
            "update es.stream set version = 9 where stream_id = (select max(stream_id::text)::uuid from es.stream)",
            "versions of a stream",
        ),
        (
            "update es.event set event_type = 'tenancy.RoleRevoked' where pos = (select min(pos) from es.event)",
            "acknowledged command is stored",
        ),
        (
            "update es.event set command_id = stream_id where pos = (select min(pos) from es.event)",
            "nothing is stored in the name",
        ),
        (
            "update es.event set command_id = (select command_id from es.event where pos = (select min(pos) from es.event)) where pos = (select min(pos) + 2 from es.event)",
            "stored twice",
        ),
        (
            "update es.event set event_id = stream_id where pos = (select min(pos) from es.event)",
            "was published",
        ),
        (
            "delete from es.inbox where event_id = (select event_id from es.event where pos = (select min(pos) from es.event))",
            "every consumer has handled",
        ),
        (
            "insert into es.inbox (consumer, event_id) values ('approvals.reactor', gen_random_uuid())",
            "not stored",
        ),
        (
            "insert into es.postponed (consumer, event_id, seq) values ('approvals.reactor', gen_random_uuid(), 1)",
            "nothing is parked",
        ),
        (
            "insert into es.parked (consumer, event_id, seq, event_type, partner_id, reason, attempts) values ('approvals.reactor', gen_random_uuid(), 1, 'x', gen_random_uuid(), 'y', 1)",
            "nothing is parked",
        ),
        ("delete from auditing.record where seq = 2", "audit record"),
        ("update auditing.record set event_id = gen_random_uuid() where seq = 2", "audit record"),
    ] {
        let mut log = Log::sound().await;
        log.alter(statement).await;
        let found = log.found().await;
        assert!(names(&found, part), "{statement}: {found:?}");
    }
}

#[tokio::test]
async fn a_second_carrying_out_of_one_command_is_found() {
    let mut log = Log::sound().await;
    // As a retry does that is decided anew: its own events, under the same command id.
    let pos = log.write(1, VERSIONS + 1, command(1, VERSIONS)).await;
    assert!(pos > 0);
    let found = log.found().await;
    assert!(names(&found, "stored twice") && names(&found, "acknowledged command is stored"), "{found:?}");
}

#[tokio::test]
async fn a_command_without_an_answer_is_found() {
    let mut log = Log::sound().await;
    log.ledger.begin(&step(Uuid::from_u128(77)));
    assert!(names(&log.found().await, "acknowledged in the end"));
}

#[tokio::test]
async fn what_was_published_wrongly_is_found() {
    let mut log = Log::sound().await;
    log.sightings.events.remove(&event(1, 2));
    assert!(names(&log.found().await, "every event was published"));

    let mut log = Log::sound().await;
    see(&mut log.sightings, &body(1, 1, 9), event(1, 1), None, true);
    assert!(names(&log.found().await, "same bytes"));

    let mut log = Log::sound().await;
    see(&mut log.sightings, &body(9, 1, 1), Uuid::from_u128(5), None, false);
    assert!(names(&log.found().await, "same id"));

    let mut log = Log::sound().await;
    let known = log.sightings.events.get_mut(&event(2, 2)).unwrap();
    known.previous = Some(1);
    assert!(names(&log.found().await, "names the event of its type before it"));
}

#[test]
fn a_publication_in_the_wrong_order_is_found_unless_the_broker_gave_it_back() {
    for (redelivered, violations) in [(false, 1), (true, 0)] {
        let mut sightings = Sightings::default();
        see(&mut sightings, &body(2, 1, 2), event(1, 2), None, false);
        see(&mut sightings, &body(1, 1, 1), event(1, 1), None, redelivered);
        assert_eq!(sightings.in_order.violations, violations);
    }
}
