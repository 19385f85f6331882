//! Step 5: a rule approves for Windows only; a person approves for Linux; others may not.

use super::{
    Stage,
    people::{Catalogue, People},
};
use crate::wait::until;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

/// The customer's approvals, by patch.
async fn approval(people: &People, patch: &str) -> Result<Value> {
    let data = people
        .paula
        .query(
            "query($id: ID!) { viewer { customer(id: $id) { approvals { nodes { patch { id } state mode comment \
             ruleVersion refusal { reason ruleVersion } decidedBy { subject } } } } } }",
            json!({ "id": people.contoso }),
        )
        .await?;
    let nodes = data["viewer"]["customer"]["approvals"]["nodes"].as_array().cloned().unwrap_or_default();
    nodes
        .into_iter()
        .find(|approval| approval["patch"]["id"] == patch)
        .context("the patch is not up for approval")
}

pub(crate) async fn decide(stage: &Stage<'_>, people: &People, catalogue: &Catalogue) -> Result<()> {
    let paula = &people.paula;
    let entry = json!({ "customerId": people.contoso, "kind": "PRODUCT", "value": "Windows 11" });
    paula.mutate("addToWhitelist", entry, "").await?;
    let draft = json!({
        "customerId": people.contoso, "severities": ["CRITICAL"], "classifications": ["SECURITY"], "delayDays": 0,
        "months": 6,
    });
    let answer = paula
        .mutate("simulateRule", draft, "simulation { approvals devices refused { reason count } }")
        .await?;
    let simulation = &answer["simulation"];
    let refused = simulation["refused"].as_array().cloned().unwrap_or_default();
    ensure!(
        simulation["approvals"].as_i64() >= Some(1)
            && refused.iter().any(|refused| refused["reason"] == "PLATFORM_NOT_ELIGIBLE"),
        "a rule would have approved what is missing on Windows, and nothing on Linux: {simulation}"
    );
    stage.audience.seen("a draft of the rule was run over the last six months before anybody made it");
    let rule = json!({
        "customerId": people.contoso, "name": "Critical and security", "severities": ["CRITICAL"],
        "classifications": ["SECURITY"], "delayDays": 0,
    });
    paula.mutate("createRule", rule, "ruleId").await?;

    let windows = until("the rule to approve KB5090101", async || {
        let approval = approval(people, &catalogue.kb).await?;
        Ok((approval["state"] == "APPROVED").then_some(approval))
    })
    .await?;
    ensure!(windows["mode"] == "AUTO" && windows["ruleVersion"] == 1, "by rule version 1: {windows}");
    stage.audience.seen("the rule approved KB5090101 (version 1, whitelisted and critical)");

    let linux = until("the rule to refuse the Linux patch", async || {
        let approval = approval(people, &catalogue.pfdemo).await?;
        Ok(approval["refusal"].is_object().then_some(approval))
    })
    .await?;
    ensure!(
        linux["state"] == "PENDING" && linux["refusal"]["reason"] == "PLATFORM_NOT_ELIGIBLE",
        "no rule approves a Linux patch: {linux}"
    );
    stage.audience.seen("the same rule left the Linux patch pending: PLATFORM_NOT_ELIGIBLE");

    let wish = |patch: &str| json!({ "patchId": patch, "customerId": people.contoso, "comment": "tested on staging" });
    let code = people.victor.refused("approvePatch", wish(&catalogue.pfdemo)).await?;
    ensure!(code == "access.forbidden", "a viewer must be told so: {code}");
    stage.audience.seen(&format!("a viewer may not approve: {code}"));
    let code = people.frank.refused("approvePatch", wish(&catalogue.pfdemo)).await?;
    ensure!(
        code.contains("not_found") || code.contains("unknown"),
        "for the other customer it does not exist: {code}"
    );
    stage.audience.seen(&format!("for the other customer's approver it does not exist: {code}"));

    let code = people.carol.refused("approvePatch", wish(&catalogue.old_kb)).await?;
    ensure!(code == "approvals.patch_superseded", "a superseded patch: {code}");
    stage.audience.seen(&format!("a superseded patch cannot be approved: {code}"));

    let mut input = wish(&catalogue.pfdemo);
    input["idempotencyKey"] = json!("carol approves pfdemo");
    let first = people.carol.mutate("approvePatch", input.clone(), "").await?;
    let again = people.carol.mutate("approvePatch", input, "").await?;
    ensure!(
        again["repeated"] == true && again["position"] == first["position"],
        "the same key gives the same answer: {first} {again}"
    );
    people.carol.settle(&first).await?;
    let linux = approval(people, &catalogue.pfdemo).await?;
    ensure!(
        linux["state"] == "APPROVED"
            && linux["decidedBy"]["subject"] == "carol"
            && linux["comment"] == "tested on staging",
        "carol's approval: {linux}"
    );
    stage
        .audience
        .seen("Carol approved the Debian patch with a comment; repeated with the same key: one effect");
    Ok(())
}
