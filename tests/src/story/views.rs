//! Webhook deliveries, and step 9: the partner's and the customer's view.

use super::{
    Stage,
    devices::Fleet,
    people::{People, Webhook},
};
use crate::{receiver::Received, summary::Summary, wait::until};
use anyhow::{Result, ensure};
use serde_json::{Value, json};

pub(crate) async fn check_webhook(stage: &Stage<'_>, webhook: &Webhook) -> Result<Vec<Received>> {
    let received = until("the webhook's deliveries", async || {
        let received = stage.receiver.received();
        let critical = received.iter().any(|delivery| {
            delivery.answered < 300 && String::from_utf8_lossy(&delivery.body).contains("PATCH_FAILED")
        });
        let failed = received.iter().filter(|delivery| delivery.answered >= 500);
        let repeated = failed
            .filter(|delivery| received.iter().any(|other| other.answered < 300 && other.id == delivery.id));
        Ok((critical && repeated.count() == 2).then_some(received))
    })
    .await?;
    for delivery in &received {
        delivery.verify(&webhook.secret)?;
        let body = delivery.json()?;
        ensure!(body["id"].is_string() && body["type"] == "alerts.AlertRaised", "a delivery's body: {body}");
    }
    stage.audience.seen(&format!(
        "{} webhook deliveries of {}, every signature verified",
        received.len(),
        webhook.id
    ));
    for delivery in &received {
        let taken = received.iter().filter(|other| other.id == delivery.id && other.answered < 300).count();
        ensure!(taken <= 1, "{} was taken {taken} times", delivery.id);
    }
    stage.audience.seen("the two that the receiver failed came again with the same id");
    Ok(received)
}

pub(crate) async fn summarise(
    stage: &Stage<'_>,
    people: People,
    fleet: Fleet,
    deliveries: Vec<Received>,
    trail: Vec<Value>,
) -> Result<Summary> {
    let partner = people
        .paula
        .query(
            "{ position viewer { partner { name } customers { nodes { name pendingApprovals lastScanAt compliance { \
             devices assessed compliant nonCompliant notAssessed percent } } } } }",
            json!({}),
        )
        .await?;
    ensure!(
        partner["viewer"]["customers"]["nodes"].as_array().is_some_and(|all| all.len() == 2),
        "{partner}"
    );
    let customer = people
        .victor
        .query(
            "query($id: ID!) { position viewer { partner { name } customers { nodes { name } } customer(id: $id) { name \
             devices { nodes { name osName online lastScanAt missingPatches { totalCount } patches { nodes { state \
             status reason patch { vendorPatchId name severity } } } availableUpdates(first: 1) { totalCount } } } \
             approvals { nodes { state mode patch { vendorPatchId } } } deployments { nodes { name run { state } } } \
             alerts(first: 50) { nodes { type severity message raisedAt } } } } }",
            json!({ "id": people.contoso }),
        )
        .await?;
    ensure!(
        customer["viewer"]["customers"]["nodes"].as_array().is_some_and(|all| all.len() == 1),
        "a customer sees itself only: {customer}"
    );
    let foreign = people
        .frank
        .query("query($id: ID!) { node(id: $id) { id } }", json!({ "id": fleet.server_a }))
        .await?;
    ensure!(foreign["node"].is_null(), "another customer's device does not exist: {foreign}");
    stage.audience.seen("every answer says which log position it reflects");
    let customer_view = customer["viewer"]["customer"].clone();
    let tokens = vec![
        ("operator".to_owned(), stage.operator.token().to_owned()),
        ("paula (partner admin)".to_owned(), people.paula.token().to_owned()),
        ("carol (approver at Contoso)".to_owned(), people.carol.token().to_owned()),
        ("victor (auditor at Contoso)".to_owned(), people.victor.token().to_owned()),
    ];
    let position = partner["position"].clone();
    Ok(Summary::new(fleet, partner, customer_view, deliveries, trail, tokens, position))
}
