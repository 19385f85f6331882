//! The catalogue as it was known at some time.

use crate::catalogue::Shelf;
use crate::system::codes;
use crate::world::global;
use chrono::{DateTime, Utc};
use contracts::feeds::{
    KevEntry, PatchFacts, PatchPublished, PatchRevised, PatchSuperseded, VulnerabilityAddedToKev,
    VulnerabilityRemovedFromKev,
};
use contracts::{FixTarget, OsRelease, Severity};
use kernel::PatchId;
use serde_json::{Value, json};
use testkit::id;

impl Shelf {
    /// A time that lies behind all that was recorded until now, and before all that comes.
    async fn now(&self) -> DateTime<Utc> {
        self.system.sequence().await;
        let latest = "select clock_timestamp()";
        sqlx::query_scalar(latest).fetch_one(&mut self.system.database.owner().await).await.unwrap()
    }

    /// `vendorPatchId name state isKev` of all that a search finds in the catalogue of some time.
    async fn known(&self, time: DateTime<Utc>, arguments: &str) -> Vec<String> {
        let query = format!(
            "query($time: DateTime!) {{ catalogueAt(time: $time) {{ time patches{arguments} {{
                totalCount nodes {{ vendorPatchId name state isKev }} }} }} }}"
        );
        let data = self.data(&query, json!({ "time": time })).await;
        let page = &data["catalogueAt"]["patches"];
        let nodes = page["nodes"].as_array().unwrap();
        assert_eq!(page["totalCount"], nodes.len());
        let text = |node: &Value| {
            ["vendorPatchId", "name", "state", "isKev"]
                .map(|field| node[field].to_string().replace('"', ""))
                .join(" ")
        };
        nodes.iter().map(text).collect()
    }
}

#[tokio::test]
async fn the_catalogue_of_a_time_is_what_was_known_then() {
    let shelf = Shelf::filled().await;
    let first = shelf.now().await;
    let revised = PatchFacts {
        name: "greeter urgent update".into(),
        severity: Severity::Critical,
        ..shelf.newer_facts()
    };
    shelf.says(shelf.newer, PatchRevised { patch: revised, changed: vec!["name".into()] }).await;
    let superseded = PatchSuperseded {
        patch_id: shelf.world.patch,
        superseded_by: shelf.newer,
        superseded_by_vendor_id: "DSA-5400-1".into(),
    };
    shelf.says(shelf.world.patch, superseded).await;
    let entry = KevEntry {
        date_added: "2026-11-21".parse().unwrap(),
        due_date: None,
        ransomware: None,
        vendor: "x".into(),
        product: "y".into(),
        name: "z".into(),
    };
    let cve = || "CVE-2026-9999".to_owned();
    shelf.hears(vec![VulnerabilityAddedToKev { cve: cve(), entry }.into()]).await;
    let second = shelf.now().await;
    shelf.hears(vec![VulnerabilityRemovedFromKev { cve: cve() }.into()]).await;
    let later = PatchFacts { patch_id: id(), vendor_patch_id: "DSA-5500-1".into(), ..shelf.newer_facts() };
    shelf.says(later.patch_id, PatchPublished { patch: later }).await;
    let third = shelf.now().await;

    assert_eq!(shelf.known(DateTime::UNIX_EPOCH, "").await, Vec::<String>::new());
    let kb = "KB5034123 2024-01 Cumulative Update for Windows 11 (KB5034123) PUBLISHED false";
    assert_eq!(
        shelf.known(first, "").await,
        [
            "DSA-5400-1 greeter regression update PUBLISHED false",
            "DSA-5380-1 greeter security update PUBLISHED false",
            kb
        ]
    );
    let urgent = "DSA-5400-1 greeter urgent update PUBLISHED true";
    let old = "DSA-5380-1 greeter security update SUPERSEDED false";
    assert_eq!(shelf.known(second, "").await, [urgent, old, kb]);
    assert_eq!(shelf.known(second, "(orderBy: MOST_SEVERE)").await, [urgent, kb, old]);
    assert_eq!(shelf.known(third, "").await.len(), 4);
    let none: [&str; 0] = [];
    for (search, expected) in [
        ("text: \"urgent\"", &[urgent][..]),
        ("text: \"regression\"", &none),
        ("text: \"cve-2026-9\"", &[urgent]),
        ("kev: true", &[urgent]),
        ("kev: false", &[old, kb]),
        ("cve: \"CVE-2026-9999\"", &[urgent]),
        ("kb: \"5034123\"", &[kb]),
        ("product: \"windows 11\"", &[kb]),
        ("product: \"libgreeter\"", &[urgent]),
        ("vendorPatchId: \"DSA-5380-1\"", &[old]),
        ("state: SUPERSEDED", &[old]),
        ("severities: [CRITICAL], platform: LINUX", &[urgent]),
        ("releasedTo: \"2026-01-01\", classifications: [CRITICAL], outOfBand: false", &[kb]),
    ] {
        assert_eq!(shelf.known(second, &format!("(search: {{ {search} }})")).await, expected, "{search}");
    }
    assert_eq!(shelf.known(first, "(search: { text: \"urgent\" })").await, none);
    shelf.system.stop().await;
}

#[tokio::test]
async fn a_manufacturers_update_shows_the_components_that_it_mends() {
    let shelf = Shelf::filled().await;
    let os = OsRelease { id: "windows".into(), version: "11".into() };
    let [vendor, component, fixed_version] = ["Lantern", "L480 / BIOS", "1.42"].map(ToOwned::to_owned);
    let targets = vec![FixTarget::OemComponent { os, vendor, component, fixed_version }];
    let revised = PatchFacts { targets, ..shelf.newer_facts() };
    shelf.says(shelf.newer, PatchRevised { patch: revised, changed: vec!["targets".into()] }).await;
    let query = "query($id: ID!) { node(id: $id) { ... on Patch { kb fixedPackages { source }
        oemComponents { os vendor component fixedVersion } } } }";
    let data = shelf.data(query, json!({ "id": global("Patch", shelf.newer) })).await["node"].clone();
    let mended = json!({ "os": "windows:11", "vendor": "Lantern", "component": "L480 / BIOS", "fixedVersion": "1.42" });
    assert_eq!(data, json!({ "kb": null, "fixedPackages": [], "oemComponents": [mended] }));
    shelf.system.stop().await;
}

#[tokio::test]
async fn a_patch_of_a_time_says_for_how_long_it_was_so_and_leads_to_what_it_is_now() {
    let shelf = Shelf::filled().await;
    let before = shelf.now().await;
    let revised = PatchFacts { name: "greeter urgent update".into(), ..shelf.newer_facts() };
    shelf.says(shelf.newer, PatchRevised { patch: revised, changed: vec!["name".into()] }).await;
    let after = shelf.now().await;
    let query = "query($time: DateTime!, $id: ID!, $none: ID!) { catalogueAt(time: $time) {
        patch(id: $id) { name knownFrom knownUntil patch { name } fixedPackages { source } }
        none: patch(id: $none) { name } } }";
    let variables = |time| {
        let none = global("Patch", id::<PatchId>());
        json!({ "time": time, "id": global("Patch", shelf.newer), "none": none })
    };
    let data = shelf.data(query, variables(before)).await["catalogueAt"].clone();
    assert_eq!((&data["patch"]["name"], &data["none"]), (&json!("greeter regression update"), &Value::Null));
    assert_eq!(data["patch"]["patch"]["name"], "greeter urgent update");
    assert_eq!(data["patch"]["fixedPackages"], json!([{ "source": "libgreeter" }]));
    let time = |field: &str| data["patch"][field].as_str().unwrap().parse::<DateTime<Utc>>().unwrap();
    assert!(time("knownFrom") < before && before < time("knownUntil") && time("knownUntil") < after);
    let data = shelf.data(query, variables(after)).await["catalogueAt"].clone();
    assert_eq!(
        (&data["patch"]["name"], &data["patch"]["knownUntil"]),
        (&json!("greeter urgent update"), &Value::Null)
    );
    shelf.system.stop().await;
}

#[tokio::test]
async fn a_page_of_one_time_is_followed_by_one_of_the_same() {
    let shelf = Shelf::filled().await;
    let time = shelf.now().await;
    let query = "query($time: DateTime!, $after: String) { catalogueAt(time: $time) { patches(first: 1, after: $after) {
        nodes { vendorPatchId } pageInfo { endCursor hasNextPage } } } }";
    let (mut after, mut seen) = (Value::Null, Vec::new());
    loop {
        let page = shelf.data(query, json!({ "time": time, "after": after })).await["catalogueAt"]["patches"]
            .clone();
        seen.push(page["nodes"][0]["vendorPatchId"].clone());
        after = page["pageInfo"]["endCursor"].clone();
        if page["pageInfo"]["hasNextPage"] == false {
            break;
        }
    }
    assert_eq!(seen, ["DSA-5400-1", "DSA-5380-1", "KB5034123"]);
    let other = json!({ "time": time + chrono::TimeDelta::seconds(1), "after": after });
    assert_eq!(codes(&shelf.system.ask(&shelf.who, query, other).await), ["graphql.cursor_invalid"]);
    shelf.system.stop().await;
}
