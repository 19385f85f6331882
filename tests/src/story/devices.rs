//! Steps 3 and 4: a real private Debian root, the machine itself (read only), a recorded Windows; and what they miss.

use super::{
    Stage,
    people::{Catalogue, People, text},
};
use crate::{
    agents::{Agent, Setup},
    debian_root::DebianRoot,
    wait::until,
};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The devices and what runs on them.
pub struct Fleet {
    pub(crate) root: DebianRoot,
    pub(crate) server_a: String,
    pub(crate) windows_c: String,
    /// They run as long as the fleet lives.
    pub(crate) _running: [Agent; 2],
    pub(crate) agent_c: Option<Agent>,
    /// What apt on this machine offers, as the agent says without a server.
    pub(crate) offered_here: BTreeSet<String>,
    pub(crate) machine_b: String,
}

/// What the recorded Windows Update answers.
fn recorded_windows() -> Value {
    json!({
        "product": "Windows 11 Version 24H2 for x64-based Systems",
        "build": "10.0.26100.6584",
        "installed": ["KB5080001"],
        "applicable": [{ "kb": "KB5090101", "security": true }, { "kb": "KB5088801", "security": true }],
        "source": "Windows Update",
        "pending_reboot": false,
    })
}

async fn token(people: &People) -> Result<String> {
    let input = json!({ "customerId": people.contoso, "validForSeconds": 600 });
    let payload = people.paula.mutate("issueEnrolmentToken", input, "token expiresAt").await?;
    text(&payload["token"])
}

pub(crate) async fn enrol(stage: &Stage<'_>, people: &People) -> Result<Fleet> {
    let folder = &stage.world.folder;
    let root = DebianRoot::create(&folder.join("debian")).context("making the private Debian root")?;
    let answer = folder.join("windows-update.json");
    std::fs::write(&answer, recorded_windows().to_string())?;
    let setup = |name: &'static str, flags: Vec<String>| Setup {
        program: &stage.world.agent,
        folder: folder.join(name),
        server: &stage.world.devices_url,
        name,
        flags,
    };
    let a = setup("srv-a", vec!["--root".into(), root.root().display().to_string()]);
    let b = setup("machine-b", vec!["--mode".into(), "scan_only".into()]);
    let c = setup(
        "win-c",
        vec!["--backend".into(), "recorded".into(), "--recorded-answer".into(), answer.display().to_string()],
    );

    let used = token(people).await?;
    let agent_a = a.start(&used)?;
    let agent_b = b.start(&token(people).await?)?;
    let agent_c = Some(c.start(&token(people).await?)?);
    stage.audience.seen("srv-a: a private Debian root with the machine's own apt and dpkg");
    stage.audience.seen("machine-b: this machine itself, scan only");
    stage.audience.seen("win-c: a recorded answer of Windows Update");

    let devices = until("all three devices to be scanned", async || {
        let data = people
            .paula
            .query(
                "query($id: ID!) { viewer { customer(id: $id) { devices { nodes { id name lastScanAt online \
                 scanJobs { nodes { requestedBecause state } } } } } } }",
                json!({ "id": people.contoso }),
            )
            .await?;
        let nodes = data["viewer"]["customer"]["devices"]["nodes"].as_array().cloned().unwrap_or_default();
        let scanned = nodes.iter().filter(|device| {
            device["lastScanAt"].is_string() && device["scanJobs"]["nodes"][0]["state"] == "COMPLETED"
        });
        Ok((scanned.count() == 3).then_some(nodes))
    })
    .await
    .with_context(|| {
        let logs = [&agent_a.log, &agent_b.log].map(|log| std::fs::read_to_string(log).unwrap_or_default());
        format!("the agents said:\n{}", logs.join("\n---\n"))
    })?;
    let find = |name: &str| {
        devices.iter().find(|device| device["name"] == name).with_context(|| format!("{name} is not there"))
    };
    for device in &devices {
        ensure!(device["scanJobs"]["nodes"][0]["requestedBecause"] == "ENROLLED", "first scan: {device}");
    }
    let (server_a, windows_c, machine_b) =
        (text(&find("srv-a")?["id"])?, text(&find("win-c")?["id"])?, text(&find("machine-b")?["id"])?);

    refuse_used_token(stage, &used).await?;
    let seen_here = b.scan()?;
    let offered = seen_here["available"].as_array().context("the scan has no list of available updates")?;
    let offered_here =
        offered.iter().filter_map(|update| update["name"].as_str()).map(ToOwned::to_owned).collect();
    Ok(Fleet { root, server_a, windows_c, _running: [agent_a, agent_b], agent_c, offered_here, machine_b })
}

/// A token is good for one device.
async fn refuse_used_token(stage: &Stage<'_>, used: &str) -> Result<()> {
    let request = json!({
        "token": used, "public_key": "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=", "name": "intruder",
        "platform": "LINUX", "os": { "id": "debian", "version": "12" }, "os_name": "Debian", "mode": "FULL",
        "agent_version": "0",
    });
    let url = format!("{}/agent/v1/enrol", stage.world.devices_url);
    let answer = stage.http.post(url).json(&request).send().await?;
    let status = answer.status();
    let problem: Value = answer.json().await?;
    ensure!(
        status.is_client_error() && problem["code"].is_string(),
        "a used token must be refused: {status} {problem}"
    );
    stage.audience.seen(&format!("a used enrolment token is refused: {}", problem["code"]));
    Ok(())
}

pub(crate) async fn check_missing(
    stage: &Stage<'_>,
    people: &People,
    catalogue: &Catalogue,
    fleet: &Fleet,
) -> Result<()> {
    let missing = |device: String| async move {
        let data = people
            .paula
            .query(
                "query($id: ID!) { node(id: $id) { ... on Device { name missingPatches { nodes { state patch { id \
                 vendorPatchId severity cves } packages { name installedVersion fixedVersion } } } } } }",
                json!({ "id": device }),
            )
            .await?;
        Ok::<_, anyhow::Error>(
            data["node"]["missingPatches"]["nodes"].as_array().cloned().unwrap_or_default(),
        )
    };
    let on_a = missing(fleet.server_a.clone()).await?;
    let ids: BTreeSet<_> = on_a.iter().filter_map(|entry| entry["patch"]["id"].as_str()).collect();
    ensure!(
        ids == BTreeSet::from([catalogue.pfdemo.as_str(), catalogue.pfbad.as_str()]),
        "srv-a must miss exactly the two advisories: {on_a:?}"
    );
    let demo =
        on_a.iter().find(|entry| entry["patch"]["id"] == catalogue.pfdemo.as_str()).context("pfdemo")?;
    ensure!(
        demo["packages"][0]["installedVersion"] == "1.0" && demo["packages"][0]["fixedVersion"] == "1.1",
        "the versions of pfdemo: {demo}"
    );
    stage.audience.seen(&format!(
        "srv-a misses {} ({}): pfdemo 1.0, fixed in 1.1",
        demo["patch"]["vendorPatchId"], demo["patch"]["severity"]
    ));

    let on_c = missing(fleet.windows_c.clone()).await?;
    ensure!(
        on_c.len() == 1 && on_c[0]["patch"]["id"] == catalogue.kb.as_str(),
        "win-c must miss KB5090101 and not the superseded one: {on_c:?}"
    );
    stage.audience.seen("win-c misses KB5090101, and not KB5088801 which it supersedes");

    let mut offered = BTreeSet::new();
    let mut after = Value::Null;
    loop {
        let data = people
            .paula
            .query(
                "query($id: ID!, $after: String) { node(id: $id) { ... on Device { availableUpdates(first: 100, \
                 after: $after) { nodes { name } pageInfo { hasNextPage endCursor } } } } }",
                json!({ "id": fleet.machine_b, "after": after }),
            )
            .await?;
        let page = &data["node"]["availableUpdates"];
        let names = page["nodes"].as_array().into_iter().flatten();
        offered.extend(names.filter_map(|update| update["name"].as_str()).map(ToOwned::to_owned));
        if page["pageInfo"]["hasNextPage"] != true {
            break;
        }
        after = page["pageInfo"]["endCursor"].clone();
    }
    ensure!(offered == fleet.offered_here, "machine-b must show what its apt offers: {offered:?}");
    stage
        .audience
        .seen(&format!("machine-b: apt offers {} updates, all of them shown, none installed", offered.len()));
    Ok(())
}
