//! Step 8: the audit trail answers who approved what, when, and by which rule version or with which comment.

use super::{Stage, people::People};
use crate::wait::until;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const TRAIL: &str = "query($types: [String!]) { auditTrail(filter: { eventTypes: $types }, first: 50) { nodes { \
                     position eventType recordedAt actor { kind id } payload leafHash } } }";

pub(crate) async fn read(stage: &Stage<'_>, people: &People) -> Result<Vec<Value>> {
    let approvals = json!({ "types": ["approvals.PatchApproved"] });
    let trail = until("the audit trail to hold three approvals", async || {
        let data = people.victor.query(TRAIL, approvals.clone()).await?;
        let records = data["auditTrail"]["nodes"].as_array().cloned().unwrap_or_default();
        Ok((records.len() == 3).then_some(records))
    })
    .await?;
    let by_rule =
        trail.iter().find(|record| record["actor"]["kind"] == "RULE").context("no approval by rule")?;
    ensure!(by_rule["payload"]["by"]["rule_version"] == 1, "the rule's version: {by_rule}");
    let commented = trail.iter().any(|record| record["payload"]["by"]["comment"] == "tested on staging");
    ensure!(commented, "the comment: {trail:?}");
    stage.audience.seen("the auditor reads: one approval by rule version 1, two by Carol, with her comment");

    let denied = json!({ "types": ["tenancy.CrossTenantAccessDenied"] });
    until("the attempt of the other customer's approver", async || {
        let data = people.paula.query(TRAIL, denied.clone()).await?;
        Ok(data["auditTrail"]["nodes"].as_array().is_some_and(|records| !records.is_empty()).then_some(()))
    })
    .await?;
    stage.audience.seen("the partner reads that somebody at Fabrikam reached for Contoso's approval");

    let answer = people.frank.answer(TRAIL, approvals).await?;
    ensure!(
        answer["errors"][0]["extensions"]["code"] == "access.forbidden",
        "an approver is no auditor: {answer}"
    );
    let order = json!({ "types": ["devices.JobReported", "devices.PatchFoundInstalled"] });
    let data = people.paula.query(TRAIL, order).await?;
    let records = data["auditTrail"]["nodes"].as_array().context("records")?;
    let place = |wanted: &dyn Fn(&Value) -> bool| {
        let positions =
            records.iter().filter(|record| wanted(record)).filter_map(|record| record["position"].as_i64());
        positions.min()
    };
    let reported = place(&|record| record["payload"]["report"]["step"] == "INSTALLED");
    let seen = place(&|record| record["eventType"] == "devices.PatchFoundInstalled");
    ensure!(reported.is_some() && reported < seen, "installed only after a scan: {reported:?} {seen:?}");
    one_trace(stage, people).await?;
    Ok(trail)
}

/// From the mutation through every service, the message, the job and the agent's reports: one trace.
async fn one_trace(stage: &Stage<'_>, people: &People) -> Result<()> {
    let document = "query($filter: AuditFilter) { auditTrail(filter: $filter, first: 100) { nodes { eventType \
                    correlationId traceId } } }";
    let read = async |filter: Value| {
        let data = people.paula.query(document, json!({ "filter": filter })).await?;
        Ok::<_, anyhow::Error>(data["auditTrail"]["nodes"].as_array().cloned().unwrap_or_default())
    };
    let planned = read(json!({ "eventTypes": ["scheduling.DeploymentPlanned"] })).await?;
    let planned = planned.last().context("the first deployment")?;
    let records = read(json!({ "correlationId": planned["correlationId"] })).await?;
    let types: BTreeSet<_> = records.iter().filter_map(|record| record["eventType"].as_str()).collect();
    for wanted in [
        "devices.JobReported",
        "devices.ScanCompleted",
        "scheduling.DeviceJobSucceeded",
        "alerts.AlertRaised",
    ] {
        ensure!(types.contains(wanted), "{wanted} must follow from the deployment: {types:?}");
    }
    let traces: BTreeSet<_> = records.iter().map(|record| record["traceId"].to_string()).collect();
    ensure!(traces.len() == 1 && planned["traceId"].is_string(), "one trace for all of it: {records:?}");
    stage.audience.seen(&format!("{} events from mutation to proof carry one trace id", records.len()));
    Ok(())
}
