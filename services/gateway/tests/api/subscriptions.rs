//! Subscriptions over server-sent events.

use crate::system::{Fact, System, codes};
use crate::world::{World, global};
use contracts::permissions::Role;
use contracts::scheduling::{DeviceJobEvent, DownloadInitiated, RunCompletedWithFailures, RunEvent};
use kernel::AlertId;
use serde_json::{Value, json};
use std::time::Duration;
use testkit::id;

/// The events of one subscription.
struct Events {
    answer: reqwest::Response,
    read: String,
}

impl Events {
    async fn of(system: &System, subject: &str, query: &str, variables: Value) -> Self {
        let request = system.request(subject, query, &variables).header("accept", "text/event-stream");
        Self { answer: request.send().await.unwrap(), read: String::new() }
    }

    /// The next answer; none when the stream is complete.
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some((event, rest)) = self.read.split_once("\n\n") {
                let rest = rest.to_owned();
                let data = event.lines().find_map(|line| line.strip_prefix("data: ").map(ToOwned::to_owned));
                self.read = rest;
                match data.filter(|data| !data.is_empty()) {
                    Some(data) => return Some(serde_json::from_str(&data).unwrap()),
                    None => continue,
                }
            }
            let chunk = self.answer.chunk().await.unwrap()?;
            self.read.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }
}

#[tokio::test]
async fn a_deployment_is_followed_from_its_state_of_now_to_its_end() {
    let system = System::start().await;
    let world = World::new("acker");
    world.record(&system).await;
    let who = world.subject(Role::CustomerAuditor);
    system.data(&who, "{ position }", Value::Null).await;
    let query = "subscription($id: ID!) { deploymentChanged(id: $id) { position deployment { name run { state active }
        jobs { nodes { state steps { state detail } device { name } } } } } }";
    let mut events =
        Events::of(&system, &who, query, json!({ "id": global("Deployment", world.deployment) })).await;
    let now = events.next().await.unwrap();
    let deployment = &now["data"]["deploymentChanged"]["deployment"];
    assert_eq!(deployment["run"], json!({ "state": "RUNNING", "active": 1 }), "{now}");
    assert_eq!(deployment["jobs"]["nodes"][0]["device"]["name"], "acker device");

    // Somebody else's events make nobody look twice.
    World::new("beck").record_people(&system).await;
    system.sequence().await;
    let download = Fact::of::<DeviceJobEvent>(DownloadInitiated {
        job_id: world.job,
        device_id: world.device,
        source: "http://deb.example".to_owned(),
    });
    system.record(world.tenant(), world.job.0, vec![download]).await;
    let position = system.sequence().await;
    let then = events.next().await.unwrap();
    let job = &then["data"]["deploymentChanged"]["deployment"]["jobs"]["nodes"][0];
    assert_eq!(job["state"], "DOWNLOADING", "{then}");
    assert_eq!(job["steps"][1], json!({ "state": "DOWNLOADING", "detail": "http://deb.example" }));
    assert_eq!(then["data"]["deploymentChanged"]["position"], position.0);

    let ended = Fact::of::<RunEvent>(RunCompletedWithFailures {
        run_id: world.run,
        deployment_id: world.deployment,
        succeeded: 0,
        failed: 1,
        skipped: 0,
    });
    system.record(world.tenant(), world.run.0, vec![ended]).await;
    system.sequence().await;
    let end = events.next().await.unwrap();
    assert_eq!(end["data"]["deploymentChanged"]["deployment"]["run"]["state"], "COMPLETED_WITH_FAILURES");
    drop(events);
    system.stop().await;
}

#[tokio::test]
async fn alerts_come_as_they_are_raised_and_only_the_customer_s_own() {
    let system = System::start().await;
    let [world, other] = ["acker", "beck"].map(World::new);
    world.record(&system).await;
    other.record(&system).await;
    let who = world.subject(Role::CustomerAuditor);
    system.data(&who, "{ position }", Value::Null).await;
    let query = "subscription($id: ID!) { alertRaised(customerId: $id) { alert { id message device { name } } position } }";
    let mut events =
        Events::of(&system, &who, query, json!({ "id": global("Customer", world.customer) })).await;
    // What was raised before the stream was open is not told, so it is raised until the first one comes.
    let mut raised = Vec::new();
    let first = loop {
        for of in [&other, &world] {
            raised.push(raise(&system, of).await);
        }
        if let Ok(event) = tokio::time::timeout(Duration::from_millis(500), events.next()).await {
            break event.unwrap();
        }
    };
    raise(&system, &other).await;
    let last = raise(&system, &world).await;
    let mut told = vec![first];
    while told.last().unwrap()["data"]["alertRaised"]["alert"]["id"] != *last {
        told.push(events.next().await.unwrap());
    }
    raised.push(last);
    let ids: Vec<_> =
        told.iter().map(|event| event["data"]["alertRaised"]["alert"]["id"].as_str().unwrap()).collect();
    let own: Vec<_> = raised.iter().map(String::as_str).filter(|id| ids.contains(id)).collect();
    assert_eq!(ids, own, "in the order of the log, each once");
    for event in &told {
        assert_eq!(event["data"]["alertRaised"]["alert"]["device"]["name"], "acker device", "{event}");
    }
    drop(events);
    system.stop().await;
}

async fn raise(system: &System, world: &World) -> String {
    let alert = id::<AlertId>();
    system.record(world.tenant(), alert.0, vec![world.raised(alert, Some(world.customer))]).await;
    system.sequence().await;
    global("Alert", alert)
}

#[tokio::test]
async fn another_tenant_s_deployment_cannot_be_followed() {
    let system = System::start().await;
    let [world, other] = ["acker", "beck"].map(World::new);
    world.record(&system).await;
    other.record(&system).await;
    let who = world.subject(Role::PartnerAdmin);
    system.data(&who, "{ position }", Value::Null).await;
    for (query, kind, hidden, code) in [
        (
            "subscription($id: ID!) { deploymentChanged(id: $id) { position } }",
            "Deployment",
            other.deployment.0,
            "scheduling.deployment_not_found",
        ),
        (
            "subscription($id: ID!) { alertRaised(customerId: $id) { position } }",
            "Customer",
            other.customer.0,
            "tenancy.customer_not_found",
        ),
    ] {
        let mut events = Events::of(&system, &who, query, json!({ "id": global(kind, hidden) })).await;
        let answer = events.next().await.unwrap();
        assert_eq!(codes(&answer), [code], "{answer}");
    }
    system.stop().await;
}

#[tokio::test]
async fn a_subscriber_whose_role_is_revoked_hears_no_more() {
    let system = System::start().await;
    let world = World::new("acker");
    world.record(&system).await;
    let who = world.subject(Role::CustomerAuditor);
    system.data(&who, "{ position }", Value::Null).await;
    let query = "subscription($id: ID!) { deploymentChanged(id: $id) { deployment { name } } }";
    let mut events =
        Events::of(&system, &who, query, json!({ "id": global("Deployment", world.deployment) })).await;
    assert!(events.next().await.unwrap()["data"]["deploymentChanged"].is_object());
    world.revoke(&system, Role::CustomerAuditor).await;
    system.sequence().await;
    let last = events.next().await.unwrap();
    assert_eq!(codes(&last), ["access.forbidden"], "{last}");
    assert_eq!(events.next().await, None);
    system.stop().await;
}
