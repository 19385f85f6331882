//! Steps 1 and 2: tenants, people, and what vendors publish.

use super::Stage;
use crate::api::Api;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

/// The tenants and the people who act.
pub(crate) struct People {
    pub(crate) contoso: String,
    pub(crate) paula: Api,
    pub(crate) carol: Api,
    pub(crate) victor: Api,
    pub(crate) frank: Api,
}

/// Global ids of the patches the story is about.
pub(crate) struct Catalogue {
    pub(crate) pfdemo: String,
    pub(crate) pfbad: String,
    pub(crate) kb: String,
    pub(crate) old_kb: String,
}

/// A registered webhook.
pub(crate) struct Webhook {
    pub(crate) id: String,
    pub(crate) secret: String,
}

/// A text of an answer.
pub(crate) fn text(value: &Value) -> Result<String> {
    value.as_str().map(ToOwned::to_owned).with_context(|| format!("{value} is not a text"))
}

pub(crate) async fn register(stage: &Stage<'_>) -> Result<People> {
    let operator = &stage.operator;
    let partner =
        operator.mutate("registerPartner", json!({ "name": "Northwind Managed IT" }), "partnerId").await?;
    let partner = text(&partner["partnerId"])?;
    let mut customers = Vec::new();
    for name in ["Contoso", "Fabrikam"] {
        let input = json!({ "partnerId": partner, "name": name, "timeZone": "Europe/Berlin" });
        let payload = operator.mutate("registerCustomer", input, "customerId").await?;
        customers.push(text(&payload["customerId"])?);
    }
    let (contoso, fabrikam) = (customers.remove(0), customers.remove(0));
    let people = [
        ("paula", "Paula Partner", "PARTNER_ADMIN", None),
        ("carol", "Carol Contoso", "CUSTOMER_APPROVER", Some(&contoso)),
        ("victor", "Victor Viewer", "CUSTOMER_AUDITOR", Some(&contoso)),
        ("frank", "Frank Fabrikam", "CUSTOMER_APPROVER", Some(&fabrikam)),
    ];
    let mut last = Value::Null;
    for (subject, name, role, customer) in people {
        let input = json!({
            "partnerId": partner, "subject": subject, "displayName": name, "role": role, "customerId": customer,
        });
        last = operator.mutate("inviteUser", input, "userId").await?;
    }
    operator.settle(&last).await?;

    let unknown_partner = json!({ "partnerId": contoso, "name": "Nobody", "timeZone": "UTC" });
    let code = operator.refused("registerCustomer", unknown_partner).await?;
    stage.audience.seen(&format!("a customer of an unknown partner is refused: {code}"));

    let paula = stage.sign_in("paula").await?;
    let viewer =
        paula.query("{ viewer { partner { name } customers { nodes { name } } } }", json!({})).await?;
    let names: Vec<_> = viewer["viewer"]["customers"]["nodes"].as_array().into_iter().flatten().collect();
    ensure!(names.len() == 2, "the partner must see two customers: {viewer}");
    stage.audience.seen("Northwind Managed IT looks after Contoso and Fabrikam");
    Ok(People {
        contoso,
        paula,
        carol: stage.sign_in("carol").await?,
        victor: stage.sign_in("victor").await?,
        frank: stage.sign_in("frank").await?,
    })
}

pub(crate) async fn import_feeds(stage: &Stage<'_>) -> Result<Catalogue> {
    let operator = &stage.operator;
    let feeds = [
        ("Debian security advisories", "DEBIAN_DSA_LIST", "dsa-list.txt"),
        ("Microsoft, September 2026", "MSRC_CVRF", "cvrf-2026-Sep.xml"),
        ("Microsoft, October 2026", "MSRC_CVRF", "cvrf-2026-Oct.xml"),
    ];
    let mut last = Value::Null;
    for (name, format, source) in feeds {
        let input = json!({ "name": name, "kind": "OS_VENDOR", "format": format, "source": source });
        let feed = operator.mutate("registerFeed", input, "feedId").await?;
        let input = json!({ "feedId": feed["feedId"] });
        last =
            operator.mutate("syncFeed", input.clone(), "report { published unchanged quarantined }").await?;
        ensure!(last["report"]["published"].as_i64() > Some(0), "{name} must publish patches: {last}");
        stage.audience.seen(&format!("{name}: {} patches", last["report"]["published"]));
        let again = operator.mutate("syncFeed", input, "report { published revised }").await?;
        ensure!(
            again["report"]["published"] == 0 && again["report"]["revised"] == 0,
            "the same document must bring nothing new: {again}"
        );
    }
    operator.settle(&last).await?;

    let patches = operator
        .query(
            "{ patches(first: 50) { nodes { id vendorPatchId name severity osVersions releaseDate cves kb state \
             fixedPackages { os source fixedVersion } supersedes supersededBy { vendorPatchId } } } }",
            json!({}),
        )
        .await?;
    let nodes = patches["patches"]["nodes"].as_array().context("patches")?;
    let of_package = |source: &str| {
        let fixes = |patch: &&Value| patch["fixedPackages"][0]["source"] == source;
        nodes.iter().find(fixes).with_context(|| format!("no patch for {source}"))
    };
    let of_kb =
        |kb: &str| nodes.iter().find(|patch| patch["kb"] == kb).with_context(|| format!("no patch {kb}"));
    let (pfdemo, pfbad) = (of_package("pfdemo")?, of_package("pfbad")?);
    let (kb, old_kb) = (of_kb("KB5090101")?, of_kb("KB5088801")?);
    for patch in [pfdemo, pfbad, kb, old_kb] {
        for field in ["name", "vendorPatchId", "releaseDate"] {
            ensure!(
                patch[field].as_str().is_some_and(|text| !text.is_empty()),
                "{field} is missing: {patch}"
            );
        }
        ensure!(patch["cves"][0].is_string() && patch["osVersions"][0].is_string(), "incomplete: {patch}");
    }
    ensure!(pfdemo["severity"] == "HIGH" && kb["severity"] == "CRITICAL", "severities: {pfdemo} {kb}");
    ensure!(old_kb["supersededBy"]["vendorPatchId"] == "KB5090101", "supersedence: {old_kb}");
    stage.audience.seen("KB5088801 is superseded by KB5090101");

    let broken = json!({
        "name": "Broken", "kind": "OS_VENDOR", "format": "MSRC_CVRF", "source": "broken-cvrf.xml",
    });
    let feed = operator.mutate("registerFeed", broken, "feedId").await?;
    let code = operator.refused("syncFeed", json!({ "feedId": feed["feedId"] })).await?;
    stage.audience.seen(&format!("a truncated document is refused: {code}"));

    Ok(Catalogue {
        pfdemo: text(&pfdemo["id"])?,
        pfbad: text(&pfbad["id"])?,
        kb: text(&kb["id"])?,
        old_kb: text(&old_kb["id"])?,
    })
}

pub(crate) async fn register_webhook(stage: &Stage<'_>, people: &People) -> Result<Webhook> {
    let private = json!({
        "customerId": people.contoso, "url": "http://10.1.2.3/hook", "eventTypes": ["alerts.AlertRaised"],
    });
    let code = people.paula.refused("registerWebhook", private).await?;
    stage.audience.seen(&format!("a webhook to a private address is refused: {code}"));
    let input = json!({
        "customerId": people.contoso, "url": stage.receiver.url(), "eventTypes": ["alerts.AlertRaised"],
    });
    let payload = people.paula.mutate("registerWebhook", input, "webhookId secret publicKey").await?;
    Ok(Webhook { id: text(&payload["webhookId"])?, secret: text(&payload["secret"])? })
}
