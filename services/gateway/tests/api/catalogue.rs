//! Searching the catalogue.

use crate::system::{Fact, System, codes};
use crate::world::{World, global};
use chrono::NaiveDate;
use contracts::feeds::{
    KevEntry, PatchEvent, PatchFacts, PatchMarkedOutOfBand, PatchPublished, PatchRevised, PatchWithdrawn,
    VulnerabilityAddedToKev, VulnerabilityEvent,
};
use contracts::permissions::Role;
use contracts::{Cadence, Classification, DevicePlatform, FixTarget, OsRelease, OutOfBandReason, Severity};
use kernel::{PatchId, Tenant};
use serde_json::{Value, json};
use testkit::id;

/// A catalogue of three patches: Debian's `DSA-5380-1`, a Windows KB, and one that replaces the first.
pub(crate) struct Shelf {
    pub(crate) system: System,
    pub(crate) world: World,
    pub(crate) who: String,
    pub(crate) kb: PatchId,
    pub(crate) newer: PatchId,
}

impl Shelf {
    pub(crate) async fn filled() -> Self {
        let system = System::start().await;
        let world = World::new("acker");
        world.record(&system).await;
        let who = world.subject(Role::PartnerAdmin);
        let shelf = Self { system, world, who, kb: id(), newer: id() };
        for facts in [shelf.kb_facts(), shelf.newer_facts()] {
            shelf.says(facts.patch_id, PatchPublished { patch: facts }).await;
        }
        shelf
    }

    pub(crate) fn kb_facts(&self) -> PatchFacts {
        let os = OsRelease { id: "windows".into(), version: "Windows 11 Version 22H2".into() };
        PatchFacts {
            patch_id: self.kb,
            vendor_patch_id: "KB5034123".into(),
            name: "2024-01 Cumulative Update for Windows 11 (KB5034123)".into(),
            platform: DevicePlatform::Windows,
            os_versions: vec!["Windows 11 Version 22H2 for x64-based Systems".into()],
            severity: Severity::Critical,
            classification: Classification::Critical,
            release_date: NaiveDate::from_ymd_opt(2024, 1, 9).unwrap(),
            cves: vec!["CVE-2024-20674".into(), "CVE-2024-20675".into()],
            targets: vec![FixTarget::Kb { os, kb: "KB5034123".into(), fixed_build: None }],
            supersedes: vec![],
            advisories: vec!["CVE-2024-20674".into()],
            version: Some("22621.3007".into()),
            size_bytes: Some(5_000_000_000),
            cadence: Cadence::Monthly,
            prerequisites: vec!["KB5031539".into()],
            ..self.world.patch_facts()
        }
    }

    pub(crate) fn newer_facts(&self) -> PatchFacts {
        let os = OsRelease { id: "debian".into(), version: "12".into() };
        let (source, fixed_version) = ("libgreeter".into(), "3.0-1".into());
        PatchFacts {
            patch_id: self.newer,
            vendor_patch_id: "DSA-5400-1".into(),
            name: "greeter regression update".into(),
            severity: Severity::Low,
            release_date: NaiveDate::from_ymd_opt(2026, 11, 20).unwrap(),
            cves: vec!["CVE-2026-9999".into()],
            targets: vec![FixTarget::SourcePackage { os, source, fixed_version }],
            supersedes: vec!["DSA-5380-1".into()],
            advisories: vec!["DSA-5400-1".into()],
            ..self.world.patch_facts()
        }
    }

    pub(crate) async fn says(&self, patch_id: PatchId, event: impl Into<PatchEvent>) {
        self.system.record(Tenant::PLATFORM, patch_id.0, vec![Fact::of::<PatchEvent>(event)]).await;
    }

    pub(crate) async fn hears(&self, events: Vec<VulnerabilityEvent>) {
        let facts = events.into_iter().map(Fact::of::<VulnerabilityEvent>).collect();
        self.system.record(Tenant::PLATFORM, id::<PatchId>().0, facts).await;
    }

    pub(crate) async fn data(&self, query: &str, variables: Value) -> Value {
        self.system.data(&self.who, query, variables).await
    }

    /// The vendor ids that a search finds, in its order; the count says the same.
    pub(crate) async fn found(&self, arguments: &str) -> Vec<String> {
        let query = format!("{{ patches{arguments} {{ totalCount nodes {{ vendorPatchId }} }} }}");
        let data = self.data(&query, Value::Null).await;
        let nodes = data["patches"]["nodes"].as_array().unwrap();
        assert_eq!(data["patches"]["totalCount"], nodes.len(), "{arguments}");
        nodes.iter().map(|node| node["vendorPatchId"].as_str().unwrap().to_owned()).collect()
    }
}

pub(crate) const DSA: &str = "DSA-5380-1";
pub(crate) const NEWER: &str = "DSA-5400-1";
pub(crate) const KB: &str = "KB5034123";

#[tokio::test]
async fn a_patch_is_found_by_each_of_its_properties() {
    let shelf = Shelf::filled().await;
    let feed = global("Feed", shelf.world.feed);
    let kev = KevEntry {
        date_added: NaiveDate::from_ymd_opt(2024, 2, 1).unwrap(),
        due_date: None,
        ransomware: None,
        vendor: "Microsoft".into(),
        product: "Windows".into(),
        name: "Kerberos".into(),
    };
    shelf.hears(vec![VulnerabilityAddedToKev { cve: "CVE-2024-20675".into(), entry: kev }.into()]).await;
    let reason = OutOfBandReason::KnownIssue;
    shelf.says(shelf.newer, PatchMarkedOutOfBand { patch_id: shelf.newer, reason }).await;
    shelf.says(shelf.kb, PatchWithdrawn { patch_id: shelf.kb, reason: "it breaks printing".into() }).await;
    let all = [NEWER, DSA, KB];
    let none: [&str; 0] = [];
    for (search, expected) in [
        ("", &all[..]),
        ("text: \"\"", &all),
        ("text: \"greeter\"", &all[..2]),
        ("text: \"GREETER secur\"", &[DSA]),
        ("text: \"gree\\u0000ter regression\"", &[NEWER]),
        ("text: \"reeter\"", &none),
        ("text: \"50%\"", &none),
        ("text: \"%\"", &none),
        ("text: \"DSA-53\"", &[DSA]),
        ("text: \"5380\"", &[DSA]),
        ("text: \"kb5034123 windows\"", &[KB]),
        ("text: \"cve-2026-9\"", &[NEWER]),
        ("text: \"cumulative CVE-2024-2067\"", &[KB]),
        ("text: \"cumulative CVE-2026\"", &none),
        ("vendorPatchId: \" DSA-5380-1\"", &[DSA]),
        ("vendorPatchId: \"DSA-5380\"", &none),
        ("kb: \"5034123\"", &[KB]),
        ("kb: \"kb5034123\"", &[KB]),
        ("kb: \"DSA-5380-1\"", &none),
        ("cve: \"cve-2024-20674\"", &[KB]),
        ("cve: \"CVE-2026-0001\", severities: [LOW]", &none),
        ("product: \"windows 11\"", &[KB]),
        ("product: \"Debian 12\"", &all[..2]),
        ("product: \"libgreeter\"", &[NEWER]),
        ("product: \"libgreeter\", text: \"security\"", &none),
        ("severities: [HIGH, LOW]", &all[..2]),
        ("severities: []", &none),
        ("platform: WINDOWS", &[KB]),
        ("classifications: [CRITICAL, DRIVER]", &[KB]),
        ("kev: true", &[KB]),
        ("kev: false", &all[..2]),
        ("state: WITHDRAWN", &[KB]),
        ("state: PUBLISHED", &all[..2]),
        ("outOfBand: true", &[NEWER]),
        ("outOfBand: false", &all[1..]),
        ("releasedFrom: \"2026-11-02\"", &all[..2]),
        ("releasedFrom: \"2026-11-02\", releasedTo: \"2026-11-02\"", &[DSA]),
        ("releasedTo: \"2024-01-08\"", &none),
        (&format!("feedId: \"{feed}\", platform: LINUX, text: \"greeter\", kev: false"), &all[..2]),
        (&format!("feedId: \"{}\"", global("Feed", id::<PatchId>())), &none),
    ] {
        assert_eq!(shelf.found(&format!("(search: {{ {search} }})")).await, expected, "{search}");
    }
    assert_eq!(shelf.found("(platform: LINUX, severities: [HIGH])").await, [DSA]);
    shelf.system.stop().await;
}

#[tokio::test]
async fn a_revised_patch_is_found_by_what_it_says_now() {
    let shelf = Shelf::filled().await;
    let revised = PatchFacts {
        name: "welcomer update".into(),
        cves: vec!["CVE-2026-8888".into()],
        supersedes: vec![],
        ..shelf.newer_facts()
    };
    assert_eq!(shelf.found("(search: { cve: \"CVE-2026-9999\" })").await, [NEWER]);
    shelf.says(shelf.newer, PatchRevised { patch: revised, changed: vec!["name".into()] }).await;
    for (search, expected) in [
        ("text: \"regression\"", &[][..]),
        ("text: \"welcomer\"", &[NEWER]),
        ("cve: \"CVE-2026-9999\"", &[]),
        ("cve: \"CVE-2026-8888\"", &[NEWER]),
        ("text: \"dsa-5400\"", &[NEWER]),
    ] {
        assert_eq!(shelf.found(&format!("(search: {{ {search} }})")).await, expected, "{search}");
    }
    let query = "query($id: ID!) { node(id: $id) { ... on Patch { supersedingPatches { totalCount } } } }";
    let data = shelf.data(query, json!({ "id": global("Patch", shelf.world.patch) })).await;
    assert_eq!(data["node"]["supersedingPatches"]["totalCount"], 0);
    shelf.system.stop().await;
}

#[tokio::test]
async fn pages_follow_each_other_in_every_order() {
    let shelf = Shelf::filled().await;
    for (order, expected) in [
        ("NEWEST_RELEASE", [NEWER, DSA, KB]),
        ("NEWEST_KNOWN", [NEWER, KB, DSA]),
        ("MOST_SEVERE", [KB, DSA, NEWER]),
    ] {
        for search in ["", "search: { text: \"update\" }, "] {
            let mut seen = Vec::new();
            let mut after = Value::Null;
            for _ in expected {
                let query = format!(
                    "query($after: String) {{ patches({search}orderBy: {order}, first: 1, after: $after) {{
                     totalCount nodes {{ vendorPatchId }} pageInfo {{ endCursor hasNextPage hasPreviousPage }} }} }}"
                );
                let page = shelf.data(&query, json!({ "after": after })).await["patches"].clone();
                assert_eq!(page["totalCount"], 3);
                assert_eq!(page["pageInfo"]["hasPreviousPage"], !after.is_null());
                seen.push(page["nodes"][0]["vendorPatchId"].as_str().unwrap().to_owned());
                assert_eq!(page["pageInfo"]["hasNextPage"], seen.len() < expected.len());
                after = page["pageInfo"]["endCursor"].clone();
            }
            assert_eq!(seen, expected, "{order} {search}");
            let others = if order == "MOST_SEVERE" { "NEWEST_RELEASE" } else { "MOST_SEVERE" };
            let query = format!(
                "query($after: String) {{ patches(orderBy: {others}, after: $after) {{ totalCount }} }}"
            );
            let answer = shelf.system.ask(&shelf.who, &query, json!({ "after": after })).await;
            assert_eq!(codes(&answer), ["graphql.cursor_invalid"]);
        }
    }
    shelf.system.stop().await;
}

#[tokio::test]
async fn a_search_that_cannot_be_carried_out_is_refused_with_its_field() {
    let shelf = Shelf::filled().await;
    for (search, code, message) in [
        (
            "text: \"a b c d e f g h i\"",
            "graphql.input_invalid",
            "text: a search has at most 8 words, this one has 9",
        ),
        (
            &format!("kb: \"{}\"", "1".repeat(201)),
            "graphql.input_invalid",
            "kb has 201 characters, at most 200 are allowed",
        ),
        ("feedId: \"x\"", "graphql.id_invalid", "feedId is not a feed id"),
        (
            &format!("feedId: \"{}\"", global("Patch", shelf.kb)),
            "graphql.id_invalid",
            "feedId is not a feed id",
        ),
    ] {
        let query = format!("{{ patches(search: {{ {search} }}) {{ totalCount }} }}");
        let answer = shelf.system.ask(&shelf.who, &query, Value::Null).await;
        assert_eq!(codes(&answer), [code], "{answer}");
        assert_eq!(answer["errors"][0]["message"], message);
    }
    shelf.system.stop().await;
}
