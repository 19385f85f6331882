//! Steps 6 and 7: one deployment that succeeds, one that fails honestly.

use super::{
    Outage, Stage,
    devices::Fleet,
    people::{Catalogue, People, text},
};
use crate::wait::until;
use anyhow::{Context, Result, ensure};
use futures_util::StreamExt;
use serde_json::{Value, json};
use std::{collections::BTreeSet, pin::pin};

const DEPLOYMENT: &str = "deployment { id run { state succeeded failed skipped } jobs { nodes { state reason \
                          reasonCode device { id } steps { state } } } }";

/// Watches a deployment by subscription until its run has ended; answers with it and the states seen for `device`.
async fn watch(people: &People, deployment: &str, device: &str) -> Result<(Value, BTreeSet<String>)> {
    let document =
        format!("subscription($id: ID!) {{ deploymentChanged(id: $id) {{ position {DEPLOYMENT} }} }}");
    let mut seen = BTreeSet::new();
    until("the run to end", async || {
        // A restarted server ends the stream; a new one begins with the present state.
        let mut changes = pin!(people.paula.subscribe(&document, json!({ "id": deployment })).await?);
        while let Some(change) = changes.next().await {
            let mut change = change?;
            let deployment = change["deploymentChanged"]["deployment"].take();
            let job = job_of(&deployment, device)?;
            seen.insert(text(&job["state"])?);
            if deployment["run"]["state"] != "RUNNING" {
                return Ok(Some((deployment, std::mem::take(&mut seen))));
            }
        }
        Ok(None)
    })
    .await
}

fn job_of<'a>(deployment: &'a Value, device: &str) -> Result<&'a Value> {
    let mut jobs = deployment["jobs"]["nodes"].as_array().into_iter().flatten();
    jobs.find(|job| job["device"]["id"] == device)
        .with_context(|| format!("no job for the device: {deployment}"))
}

async fn deploy(people: &People, name: &str, devices: &[&str]) -> Result<String> {
    let input = json!({ "customerId": people.contoso, "name": name, "deviceIds": devices });
    let payload = people.paula.mutate("patchNow", input, "deploymentId").await?;
    people.paula.settle(&payload).await?;
    text(&payload["deploymentId"])
}

/// The state of a patch on a device.
pub(crate) async fn patch_state(people: &People, device: &str, patch: &str) -> Result<Value> {
    let data = people
        .paula
        .query(
            "query($id: ID!) { node(id: $id) { ... on Device { patches { nodes { state status reason patch { id } } } } } }",
            json!({ "id": device }),
        )
        .await?;
    let mut patches = data["node"]["patches"]["nodes"].as_array().cloned().unwrap_or_default().into_iter();
    patches
        .find(|entry| entry["patch"]["id"] == patch)
        .with_context(|| format!("the patch is not shown: {data}"))
}

pub(crate) async fn patch_now(
    stage: &Stage<'_>,
    people: &People,
    catalogue: &Catalogue,
    mut fleet: Fleet,
) -> Result<Fleet> {
    if let Some(agent) = fleet.agent_c.take() {
        agent.stop();
    }
    until("win-c to be seen as offline", async || {
        let data = people
            .paula
            .query(
                "query($id: ID!) { node(id: $id) { ... on Device { online } } }",
                json!({ "id": fleet.windows_c }),
            )
            .await?;
        Ok((data["node"]["online"] == false).then_some(()))
    })
    .await?;
    stage.audience.seen("win-c was switched off");
    ensure!(fleet.root.version_of("pfdemo")?.as_deref() == Some("1.0"), "nothing may be installed before");

    let deployment = deploy(people, "Patch now", &[&fleet.server_a, &fleet.windows_c]).await?;
    stage.audience.interlude(Outage::Database).await?;
    let (ended, live) = watch(people, &deployment, &fleet.server_a).await?;
    let (a, c) = (job_of(&ended, &fleet.server_a)?, job_of(&ended, &fleet.windows_c)?);
    ensure!(a["state"] == "SUCCEEDED", "srv-a: {ended}");
    ensure!(c["state"] == "SKIPPED" && c["reasonCode"] == "DEVICE_OFFLINE", "win-c: {c}");
    ensure!(
        ended["run"]["state"] == "COMPLETED"
            && ended["run"]["succeeded"] == 1
            && ended["run"]["skipped"] == 1,
        "the run's outcome comes from its devices: {}",
        ended["run"]
    );
    stage.audience.seen("win-c: SKIPPED (DEVICE_OFFLINE)");
    let steps: Vec<_> =
        a["steps"].as_array().into_iter().flatten().filter_map(|step| step["state"].as_str()).collect();
    for step in ["DISPATCHED", "ACKNOWLEDGED", "DOWNLOADING", "INSTALLING", "VERIFYING", "SUCCEEDED"] {
        ensure!(steps.contains(&step), "the step {step} is missing: {steps:?}");
    }
    stage.audience.seen(&format!("srv-a: {}", steps.join(" → ")));
    stage
        .audience
        .seen(&format!("live by subscription: {}", live.into_iter().collect::<Vec<_>>().join(", ")));

    ensure!(fleet.root.version_of("pfdemo")?.as_deref() == Some("1.1"), "dpkg must know pfdemo 1.1");
    let shown = patch_state(people, &fleet.server_a, &catalogue.pfdemo).await?;
    ensure!(shown["state"] == "INSTALLED" && shown["status"] == "INSTALLED", "after the scan: {shown}");
    stage.audience.seen("dpkg says pfdemo 1.1, and a scan after the install says Installed");
    Ok(fleet)
}

pub(crate) async fn fail_honestly(
    stage: &Stage<'_>,
    people: &People,
    catalogue: &Catalogue,
    fleet: &Fleet,
) -> Result<()> {
    let approve = json!({ "patchId": catalogue.pfbad, "customerId": people.contoso });
    let approved = people.carol.mutate("approvePatch", approve, "").await?;
    people.carol.settle(&approved).await?;
    let deployment = deploy(people, "Patch the bad one", &[&fleet.server_a]).await?;
    let (deployment, _) = watch(people, &deployment, &fleet.server_a).await?;
    let job = job_of(&deployment, &fleet.server_a)?;
    ensure!(
        deployment["run"]["state"] == "COMPLETED_WITH_FAILURES" && job["state"] == "FAILED",
        "the failing package: {deployment}"
    );
    ensure!(job["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "a failure has a reason: {job}");
    stage.audience.seen(&format!("pfbad: FAILED ({})", job["reasonCode"]));
    let shown = patch_state(people, &fleet.server_a, &catalogue.pfbad).await?;
    ensure!(shown["state"] == "FAILED" && shown["reason"].is_string(), "shown as failed: {shown}");

    let alerts = until("the critical alert", async || {
        let data = people
            .paula
            .query(
                "query($id: ID!) { viewer { customer(id: $id) { alerts(first: 50) { nodes { type severity reason } } } } }",
                json!({ "id": people.contoso }),
            )
            .await?;
        let alerts = data["viewer"]["customer"]["alerts"]["nodes"].as_array().cloned().unwrap_or_default();
        let types: BTreeSet<_> = alerts.iter().filter_map(|alert| alert["type"].as_str()).collect();
        let all = ["INITIATE", "SEARCH", "DOWNLOAD_INITIATED", "INSTALL_COMPLETE", "PATCH_FAILED"];
        Ok(all.iter().all(|wanted| types.contains(wanted)).then_some(alerts))
    })
    .await?;
    for (kind, count) in
        [("INITIATE", 3), ("DOWNLOAD_INITIATED", 2), ("INSTALL_COMPLETE", 1), ("PATCH_FAILED", 1)]
    {
        let raised = alerts.iter().filter(|alert| alert["type"] == kind).count();
        ensure!(raised == count, "{kind} must be raised {count} times, whatever was restarted: {raised}");
    }
    let failed = alerts.iter().find(|alert| alert["type"] == "PATCH_FAILED").context("PATCH_FAILED")?;
    ensure!(
        failed["severity"] == "CRITICAL" && failed["reason"].is_string(),
        "critical with a reason: {failed}"
    );
    stage.audience.seen(
        "alerts: Initiate, Search, Download initiated, Install complete; Failed is CRITICAL with a reason",
    );
    Ok(())
}
