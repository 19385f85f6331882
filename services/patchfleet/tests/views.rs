//! `patchfleet views` against a real database, as an operator uses it.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use contracts::tenancy::{CustomerEvent, CustomerRegistered};
use eventstore::{Projection, Sequencer, Store, Target, follow};
use gateway::views::Views;
use kernel::{Aggregate, CustomerId, PartnerId, Position, Refused, Scope, Tenant};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use std::process::{Command, Output};
use testkit::{TestDatabase, cause, eventually, id};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Registers a customer.
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

/// A log of ten customers, and both views at its end.
struct House {
    database: TestDatabase,
    customer: CustomerId,
}

const CUSTOMERS: i64 = 10;

impl House {
    async fn build() -> Self {
        let database = TestDatabase::create().await;
        let store = Store::new(database.connect().await);
        let (partner_id, mut customer): (PartnerId, _) = (id(), id());
        for number in 1..=CUSTOMERS {
            customer = id();
            let (name, time_zone) = (format!("Customer {number}"), "Europe/Berlin".to_owned());
            let fact = CustomerRegistered { customer_id: customer, partner_id, name, time_zone };
            let (tenant, cause) = (Tenant::customer(partner_id, customer), cause());
            let scope = Scope::partner_of(tenant);
            let target = Target { scope: &scope, tenant, stream_id: id(), cause: &cause, occurred_at: None };
            store.execute::<Registering>(target, fact).await.unwrap();
        }
        let sequencer = Sequencer::new(store.database().clone());
        eventually("all positions", async || sequencer.once().await.unwrap() == Position(CUSTOMERS)).await;
        let views: [&dyn Projection; 2] = [&Views, &auditing::Trail];
        for view in views {
            let (position, stop) = (watch::Sender::new(Position(0)), CancellationToken::new());
            let mut reached = position.subscribe();
            tokio::select! {
                () = follow(store.database().clone(), view, position, stop) => {}
                reached = reached.wait_for(|position| *position == Position(CUSTOMERS)) => drop(reached.unwrap()),
            }
        }
        Self { database, customer }
    }

    fn views(&self, arguments: &[&str]) -> Output {
        self.program(arguments, &self.database.owner_url())
    }

    /// Runs `patchfleet views …` with this owner of the tables.
    fn program(&self, arguments: &[&str], owner: &str) -> Output {
        Command::new(env!("CARGO_BIN_EXE_patchfleet"))
            .arg("views")
            .args(arguments)
            .env("PATCHFLEET__DATABASE__URL", self.database.service_url())
            .env("PATCHFLEET__DATABASE__MIGRATION_URL", owner)
            .output()
            .unwrap()
    }

    async fn damage(&self, statement: String) {
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut self.database.owner().await).await.unwrap();
    }
}

/// The JSON lines of a success.
fn json_lines(output: &Output) -> Vec<Value> {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn a_list_says_where_each_view_is() {
    let house = House::build().await;
    let listed = json_lines(&house.views(&["list", "--json"]));
    let brief: Vec<_> =
        listed.iter().map(|v| json!([v["name"], v["position"], v["behind_events"], v["rows"]])).collect();
    assert_eq!(json!(brief), json!([["views", 10, 0, 10], ["auditing.trail", 10, 0, 10]]));
    let table = String::from_utf8(house.views(&["list"]).stdout).unwrap();
    assert!(table.contains("auditing.trail") && table.contains("events behind"), "{table}");

    house.damage("update es.follower set seq = 4 where name = 'views'".to_owned()).await;
    let behind = &json_lines(&house.views(&["list", "--json"]))[0];
    assert_eq!((&behind["behind_events"], &behind["position"]), (&json!(6), &json!(4)));
    assert!(behind["behind_seconds"].as_f64().unwrap() > 0.0, "{behind}");
}

#[tokio::test]
async fn a_check_ends_with_one_and_the_row_and_a_rebuild_makes_it_end_with_zero() {
    let house = House::build().await;
    assert_eq!(house.views(&["check", "views"]).status.code(), Some(0));
    let customer = house.customer;
    house.damage(format!("update views.customer set name = 'Nobody' where customer_id = '{customer}'")).await;

    let found = house.views(&["check", "views", "--json"]);
    assert_eq!(found.status.code(), Some(1));
    let found: Value = serde_json::from_slice(&found.stdout).unwrap();
    let table = found["tables"].as_array().unwrap().iter().find(|t| t["table"] == "customer").unwrap();
    assert_eq!(
        (&found["differing"], &found["position"], &table["rows"]),
        (&json!(1), &json!(10), &json!(10))
    );
    assert_eq!(
        table["differences"],
        json!([{
            "key": { "customer_id": customer },
            "kind": "changed",
            "columns": [{ "column": "name", "live": "Nobody", "expected": "Customer 10" }],
        }])
    );
    let told = house.views(&["check", "views"]);
    let text = String::from_utf8_lossy(&told.stdout).into_owned() + &String::from_utf8_lossy(&told.stderr);
    for part in
        [&format!("customer_id={customer}"), "Nobody", "Customer 10", "1 row of views", "views rebuild"]
    {
        assert!(text.contains(part), "{part} is missing in {text}");
    }

    let rebuilt = &json_lines(&house.views(&["rebuild", "views", "--json"]))[0];
    assert_eq!((&rebuilt["events"], &rebuilt["position"]), (&json!(10), &json!(10)));
    assert_eq!(house.views(&["check", "views"]).status.code(), Some(0));
    assert_eq!(house.views(&["check", "auditing.trail"]).status.code(), Some(0));
}

#[tokio::test]
async fn a_record_of_the_audit_trail_that_somebody_deleted_comes_back() {
    let house = House::build().await;
    house
        .damage(
            "set session_replication_role = replica; delete from auditing.record where seq = 7".to_owned(),
        )
        .await;
    let found = house.views(&["check", "auditing.trail", "--json"]);
    assert_eq!(found.status.code(), Some(1));
    let found: Value = serde_json::from_slice(&found.stdout).unwrap();
    assert_eq!(
        found["tables"][0]["differences"],
        json!([{ "key": { "seq": 7 }, "kind": "missing", "columns": [] }])
    );
    let kept = house.views(&["rebuild", "auditing.trail", "--keep-old"]);
    assert!(kept.status.success(), "{}", String::from_utf8_lossy(&kept.stderr));
    assert_eq!(house.views(&["check", "auditing.trail"]).status.code(), Some(0));
    // The new records are as unchangeable as the old ones.
    let mut owner = house.database.owner().await;
    let refused = sqlx::query("delete from auditing.record where seq = 7").execute(&mut owner);
    assert!(refused.await.unwrap_err().to_string().contains("audit records cannot be changed"));

    assert_eq!(json_lines(&house.views(&["list", "--json"]))[1]["beside"], json!(["auditing_old"]));
    let dropped = json_lines(&house.views(&["discard", "auditing.trail", "--json"]));
    assert_eq!(dropped, [json!({ "dropped": ["auditing_old"] })]);
}

#[tokio::test]
async fn whoever_does_not_own_the_tables_is_told_who_must_sign_in() {
    let house = House::build().await;
    let refused = house.program(&["rebuild", "views"], &house.database.service_url());
    assert_eq!(refused.status.code(), Some(1));
    let refused = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.contains("set database.migration_url"), "{refused}");
    let unknown = house.views(&["rebuild", "everything"]);
    let unknown = String::from_utf8_lossy(&unknown.stderr).into_owned();
    assert!(unknown.contains("possible values: views, auditing.trail"), "{unknown}");
}
