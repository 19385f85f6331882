//! The command line against a real database and broker, as an operator uses it.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use contracts::tenancy::{CustomerEvent, CustomerRegistered};
use eventstore::{Sequencer, Store, Target};
use kernel::{Aggregate, CustomerId, PartnerId, Position, Refused, Scope, StreamId, Tenant};
use serde_json::Value;
use std::process::{Command, Output};
use testkit::{TestBroker, TestDatabase, cause, eventually, id};

/// Registers one customer, and again whenever it is asked.
struct Registering;

#[derive(Debug, thiserror::Error)]
#[error("never")]
struct Never;

impl Refused for Never {
    fn code(&self) -> &'static str {
        "test.never"
    }
}

impl Aggregate for Registering {
    const STREAM: &'static str = "tenancy.customer";
    type State = ();
    type Command = CustomerRegistered;
    type Event = CustomerEvent;
    type Refusal = Never;
    fn decide((): &(), fact: CustomerRegistered) -> Result<Vec<CustomerEvent>, Never> {
        Ok(vec![fact.into()])
    }
    fn evolve((): (), _: &CustomerEvent) {}
}

/// Two partners, of which the first has three events in two streams and the second has one.
struct House {
    database: TestDatabase,
    broker: TestBroker,
    first: PartnerId,
    second: PartnerId,
    stream: StreamId,
}

impl House {
    async fn build() -> Self {
        let house = Self {
            database: TestDatabase::create().await,
            broker: TestBroker::create().await,
            first: id(),
            second: id(),
            stream: id(),
        };
        let store = Store::new(house.database.connect().await);
        for (partner_id, stream_id, name) in [
            (house.first, house.stream, "Lakeside"),
            (house.second, id(), "Elsewhere"),
            (house.first, house.stream, "Lakeside Clinic"),
            (house.first, id(), "Hillside"),
        ] {
            let customer_id: CustomerId = id();
            let (name, time_zone) = (name.to_owned(), "Europe/Berlin".to_owned());
            let fact = CustomerRegistered { customer_id, partner_id, name, time_zone };
            let (tenant, cause) = (Tenant::customer(partner_id, customer_id), cause());
            // A stream keeps its tenant, so its second event is of the same customer.
            let tenant = if stream_id == house.stream { Tenant::partner(partner_id) } else { tenant };
            let scope = Scope::partner_of(tenant);
            let target = Target { scope: &scope, tenant, stream_id, cause: &cause, occurred_at: None };
            store.execute::<Registering>(target, fact).await.unwrap();
        }
        let sequencer = Sequencer::new(store.database().clone());
        eventually("four positions", async || sequencer.once().await.unwrap() == Position(4)).await;
        house
    }

    /// Runs `patchfleet events …`.
    fn events(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_patchfleet"))
            .arg("events")
            .args(arguments)
            .env("PATCHFLEET__DATABASE__URL", self.database.service_url())
            .env("PATCHFLEET__DATABASE__MIGRATION_URL", self.database.owner_url())
            .env("PATCHFLEET__BROKER__URL", self.broker.url())
            .output()
            .unwrap()
    }

    /// What it prints, as JSON lines.
    fn json(&self, arguments: &[&str]) -> Vec<Value> {
        let output = self.events(&[arguments, &["--json"]].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// What it says when it refuses.
    fn refusal(&self, arguments: &[&str]) -> String {
        let output = self.events(arguments);
        assert!(!output.status.success(), "{arguments:?} was carried out");
        String::from_utf8(output.stderr).unwrap()
    }
}

fn positions(events: &[Value]) -> Vec<i64> {
    events.iter().map(|event| event["seq"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn tail_shows_the_latest_events_of_the_scope_that_was_said() {
    let house = House::build().await;
    let (first, second) = (house.first.to_string(), house.second.to_string());
    assert_eq!(positions(&house.json(&["tail", "--all-tenants"])), [1, 2, 3, 4]);
    assert_eq!(positions(&house.json(&["tail", "--partner", &first])), [1, 3, 4]);
    assert_eq!(positions(&house.json(&["tail", "--partner", &second])), [2]);
    assert_eq!(positions(&house.json(&["tail", "--all-tenants", "--last", "2"])), [3, 4]);
    assert_eq!(positions(&house.json(&["tail", "--all-tenants", "--after", "3"])), [4]);
    assert_eq!(positions(&house.json(&["tail", "--all-tenants", "--since", "1h"])), [1, 2, 3, 4]);
    assert_eq!(positions(&house.json(&["tail", "--all-tenants", "--until", "2020-01-01"])), [0; 0]);
    let refused = house.refusal(&["tail"]);
    assert!(refused.contains("--partner ID") && refused.contains("--all-tenants"), "{refused}");
}

#[tokio::test]
async fn one_event_is_found_by_position_and_by_id_but_not_in_another_scope() {
    let house = House::build().await;
    let second = house.second.to_string();
    let by_position = house.json(&["show", "2", "--partner", &second]);
    assert_eq!(by_position[0]["payload"]["name"], "Elsewhere");
    let event_id = by_position[0]["event_id"].as_str().unwrap();
    assert_eq!(house.json(&["show", event_id, "--partner", &second]), by_position);
    for event in ["2", event_id] {
        let refused = house.refusal(&["show", event, "--partner", &house.first.to_string()]);
        assert!(refused.contains("there is no event"), "{refused}");
    }
    assert!(house.refusal(&["show", "x", "--all-tenants"]).contains("neither a position"));
    let table = house.events(&["show", "2", "--all-tenants"]);
    assert!(String::from_utf8(table.stdout).unwrap().contains("\"name\": \"Elsewhere\""));
}

#[tokio::test]
async fn a_stream_is_shown_from_its_first_event() {
    let house = House::build().await;
    let stream = house.stream.to_string();
    let events = house.json(&["stream", &stream, "--all-tenants"]);
    assert_eq!(positions(&events), [1, 3]);
    assert_eq!(events[1]["version"], 2);
    let refused = house.refusal(&["stream", &stream, "--partner", &house.second.to_string()]);
    assert!(refused.contains("there is no stream"), "{refused}");
}

#[tokio::test]
async fn stats_count_the_scope_and_say_how_far_each_reader_is() {
    let house = House::build().await;
    let of = |scope: &[&str]| house.json(&[&["stats"], scope].concat())[0].clone();
    let all = of(&["--all-tenants"]);
    assert_eq!((all["head"].as_i64(), all["events"].as_i64()), (Some(4), Some(4)));
    let first = of(&["--partner", &house.first.to_string()]);
    assert_eq!(first["by_type"], serde_json::json!({ "tenancy.CustomerRegistered": 3 }));
    assert!(first["machinery"].is_null(), "the machinery is the platform's: {first}");
    // Nobody relays in this house.
    let relay = &all["machinery"]["relays"][0];
    assert_eq!((relay["position"].as_i64(), relay["behind"].as_i64()), (Some(0), Some(4)));
    let table = String::from_utf8(house.events(&["stats", "--all-tenants"]).stdout).unwrap();
    assert!(table.contains("4 events in this scope") && table.contains("relay"), "{table}");
}

#[tokio::test]
async fn old_events_go_to_a_file_and_out_and_come_back() {
    let house = House::build().await;
    let mut owner = house.database.owner().await;
    // Partitions of three places make the first one full.
    let narrow = "alter table es.event detach partition es.event_0;
         alter table es.event attach partition es.event_0 for values from (0) to (5);";
    sqlx::raw_sql(narrow).execute(&mut owner).await.unwrap();
    sqlx::raw_sql("select nextval('es.event_pos') from generate_series(1, 3)")
        .execute(&mut owner)
        .await
        .unwrap();
    sqlx::raw_sql("update es.relay set seq = 4").execute(&mut owner).await.unwrap();
    let partitions = |arguments: &[&str]| house.json(&[&["partitions", "--all-tenants"], arguments].concat());
    let refused = house.refusal(&["partitions", "list", "--partner", &house.first.to_string()]);
    assert!(refused.contains("--all-tenants"), "{refused}");
    assert_eq!(partitions(&["list"])[0]["partition"], "event_0");

    let folder = std::env::temp_dir().join(house.stream.to_string());
    std::fs::create_dir_all(&folder).unwrap();
    let exported = partitions(&["export", "event_0", "--to", folder.to_str().unwrap()]);
    assert_eq!(exported[0]["events"], 4);
    assert_eq!(partitions(&["verify", "event_0"])[0]["streams_unreadable_without"], 3);
    let refused = house.refusal(&["partitions", "--all-tenants", "detach", "event_0"]);
    assert!(refused.contains("3 streams cannot be loaded"), "{refused}");
    assert_eq!(partitions(&["detach", "event_0", "--accept-unreadable", "3"])[0]["outcome"], "detached");
    let gone = house.refusal(&["show", "2", "--all-tenants"]);
    assert!(gone.contains("event_0"), "{gone}");
    partitions(&["drop", "event_0"]);
    partitions(&["attach", "event_0"]);
    assert_eq!(positions(&house.json(&["tail", "--all-tenants"])), [1, 2, 3, 4]);
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test]
async fn a_parked_event_is_listed_handed_back_and_dropped() {
    let house = House::build().await;
    let mut owner = house.database.owner().await;
    sqlx::raw_sql(
        "insert into es.parked (consumer, event_id, seq, event_type, partner_id, reason, attempts)
         select 'alerts.raising', e.event_id, o.seq, e.event_type, e.partner_id, 'cannot read it', 4
           from es.event e
           join es.order_log o on o.pos = e.pos
          where o.seq in (1, 2)",
    )
    .execute(&mut owner)
    .await
    .unwrap();
    let first = house.first.to_string();
    assert_eq!(house.json(&["parked", "list", "--all-tenants"]).len(), 2);
    let parked = house.json(&["parked", "list", "--partner", &first]);
    assert_eq!((parked.len(), parked[0]["reason"].as_str()), (1, Some("cannot read it")));
    let event_id = parked[0]["event_id"].as_str().unwrap();

    // No consumer has ever made its queue on this broker, so the event waits in the database.
    let retried = house.json(&["parked", "retry", "alerts.raising", event_id, "--partner", &first]);
    assert_eq!(retried[0]["outcome"], "remembered");
    let waiting: i64 =
        sqlx::query_scalar("select count(*) from es.postponed").fetch_one(&mut owner).await.unwrap();
    assert_eq!(waiting, 1);
    let again = house.refusal(&["parked", "retry", "alerts.raising", event_id, "--partner", &first]);
    assert!(again.contains("no parked event"), "{again}");

    let other = house.json(&["parked", "list", "--all-tenants"])[0]["event_id"].as_str().unwrap().to_owned();
    let decision = ["--by", "Ada", "--reason", "was a test"];
    let foreign = ["parked", "drop", "alerts.raising", &other, "--partner", &first];
    assert!(house.refusal(&[&foreign[..], &decision].concat()).contains("no parked event"));
    let own = ["parked", "drop", "alerts.raising", &other, "--all-tenants"];
    assert_eq!(house.json(&[&own[..], &decision].concat())[0]["outcome"], "dropped");
    assert!(house.json(&["parked", "list", "--all-tenants"]).is_empty());
    let kept = house.json(&["parked", "list", "--all-tenants", "--dropped"]);
    assert_eq!((kept[0]["dropped"]["by"].as_str(), kept.len()), (Some("Ada"), 1));
}
