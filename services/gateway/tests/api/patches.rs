//! What is shown of a patch and of a vulnerability.

use crate::catalogue::{DSA, KB, NEWER, Shelf};
use crate::system::{Fact, OPERATOR, codes};
use crate::world::{World, global};
use chrono::NaiveDate;
use contracts::OutOfBandReason;
use contracts::feeds::{
    Cvss, CvssChanged, Epss, EpssChanged, KevEntry, PatchFacts, PatchMarkedOutOfBand, PatchPublished,
    PatchRated, PatchRatingCleared, PatchRevised, PatchSuperseded, PatchWithdrawn, RatingEvent, SsvcInputs,
    SsvcInputsChanged, VulnerabilityAddedToKev, VulnerabilityRejected, VulnerabilityRemovedFromKev,
};
use contracts::permissions::Role;
use kernel::{PatchId, Tenant};
use serde_json::{Value, json};
use testkit::id;

#[tokio::test]
async fn a_patch_says_all_that_is_known_of_it() {
    let shelf = Shelf::filled().await;
    let query = "query($id: ID!) { node(id: $id) { ... on Patch { vendorPatchId advisories version sizeBytes cadence outOfBand
        prerequisites isDated isKev maxCvss kb withdrawnReason state missingCount
        vulnerabilities { totalCount nodes { cve } } } } }";
    let patch = &shelf.data(query, json!({ "id": global("Patch", shelf.kb) })).await["node"];
    assert_eq!(
        patch,
        &json!({
            "vendorPatchId": KB, "advisories": ["CVE-2024-20674"], "version": "22621.3007", "sizeBytes": 5_000_000_000.0,
            "cadence": "MONTHLY", "outOfBand": null, "prerequisites": ["KB5031539"], "isDated": true, "isKev": false,
            "maxCvss": null, "kb": KB, "withdrawnReason": null, "state": "PUBLISHED", "missingCount": 0,
            "vulnerabilities": { "totalCount": 2, "nodes": [{ "cve": "CVE-2024-20674" }, { "cve": "CVE-2024-20675" }] },
        })
    );
    let reason = OutOfBandReason::SecurityFix;
    shelf.says(shelf.kb, PatchMarkedOutOfBand { patch_id: shelf.kb, reason }).await;
    shelf.says(shelf.kb, PatchWithdrawn { patch_id: shelf.kb, reason: "it breaks printing".into() }).await;
    let patch = &shelf.data(query, json!({ "id": global("Patch", shelf.kb) })).await["node"];
    assert_eq!((&patch["cadence"], &patch["outOfBand"]), (&json!("OUT_OF_BAND"), &json!("SECURITY_FIX")));
    assert_eq!(
        (&patch["state"], &patch["withdrawnReason"]),
        (&json!("WITHDRAWN"), &json!("it breaks printing"))
    );
    shelf.system.stop().await;
}

#[tokio::test]
async fn a_patch_says_what_it_replaces_and_what_replaces_it() {
    let shelf = Shelf::filled().await;
    let superseded = PatchSuperseded {
        patch_id: shelf.world.patch,
        superseded_by: shelf.newer,
        superseded_by_vendor_id: NEWER.into(),
    };
    shelf.says(shelf.world.patch, superseded).await;
    // Of another system: the same vendor id there is another patch.
    let elsewhere =
        PatchFacts { patch_id: id(), os_versions: vec!["Debian 11".into()], ..shelf.world.patch_facts() };
    shelf.says(elsewhere.patch_id, PatchPublished { patch: elsewhere.clone() }).await;
    let query = "query($old: ID!, $new: ID!) {
        old: node(id: $old) { ... on Patch { state supersededBy { vendorPatchId } supersedingPatches { nodes { vendorPatchId } }
            supersedes supersedesPatches { totalCount } } }
        new: node(id: $new) { ... on Patch { supersedes supersededBy { id } supersedesPatches { totalCount nodes { id } } } } }";
    let variables = json!({ "old": global("Patch", shelf.world.patch), "new": global("Patch", shelf.newer) });
    let data = shelf.data(query, variables).await;
    assert_eq!(
        data["old"],
        json!({
            "state": "SUPERSEDED", "supersededBy": { "vendorPatchId": NEWER },
            "supersedingPatches": { "nodes": [{ "vendorPatchId": NEWER }] },
            "supersedes": ["DSA-5000-1"], "supersedesPatches": { "totalCount": 0 },
        })
    );
    let old = json!({ "totalCount": 1, "nodes": [{ "id": global("Patch", shelf.world.patch) }] });
    assert_eq!(data["new"], json!({ "supersedes": [DSA], "supersededBy": null, "supersedesPatches": old }));
    shelf.system.stop().await;
}

#[tokio::test]
async fn a_vulnerability_says_what_all_its_sources_say() {
    let shelf = Shelf::filled().await;
    let cve = || "CVE-2024-20674".to_owned();
    let day = |day| NaiveDate::from_ymd_opt(2024, 2, day).unwrap();
    let entry = KevEntry {
        date_added: day(1),
        due_date: Some(day(22)),
        ransomware: Some(true),
        vendor: "Microsoft".into(),
        product: "Windows".into(),
        name: "Kerberos Bypass".into(),
    };
    let score = |base_score| Cvss { version: "3.1".into(), vector: "CVSS:3.1/AV:N".into(), base_score };
    let inputs = SsvcInputs {
        exploitation: Some("active".into()),
        automatable: Some(false),
        technical_impact: Some("total".into()),
    };
    let rejected =
        |source: &str| VulnerabilityRejected { cve: cve(), source: source.into(), reason: "no".into() };
    shelf
        .hears(vec![
            VulnerabilityAddedToKev { cve: cve(), entry }.into(),
            EpssChanged {
                cve: cve(),
                epss: Epss { score: 97_123, percentile: Some(99_900), date: Some(day(3)) },
            }
            .into(),
            CvssChanged { cve: cve(), source: "nvd".into(), scores: vec![score(90)] }.into(),
            CvssChanged { cve: cve(), source: "microsoft".into(), scores: vec![score(98), score(75)] }.into(),
            SsvcInputsChanged { cve: cve(), source: "cisa-adp".into(), inputs }.into(),
            rejected("mitre").into(),
        ])
        .await;
    let query = "query($cve: String!, $kb: ID!) { vulnerability(cve: $cve) { cve maxCvss sources
        kev { dateAdded dueDate ransomware vendor product name } epss { score percentile date }
        cvss { source version vector baseScore } ssvc { source exploitation automatable technicalImpact }
        rejectedBy { source reason } patches { totalCount nodes { vendorPatchId } } }
        node(id: $kb) { ... on Patch { isKev maxCvss vulnerabilities { nodes { cve maxCvss kev { name } } } } } }";
    let variables = json!({ "cve": " cve-2024-20674", "kb": global("Patch", shelf.kb) });
    let data = shelf.data(query, variables.clone()).await;
    let cvss = |source, base_score| json!({ "source": source, "version": "3.1", "vector": "CVSS:3.1/AV:N", "baseScore": base_score });
    assert_eq!(
        data["vulnerability"],
        json!({
            "cve": cve(), "maxCvss": 9.8,
            "sources": ["Debian security", "cisa-adp", "microsoft", "mitre", "nvd"],
            "kev": { "dateAdded": "2024-02-01", "dueDate": "2024-02-22", "ransomware": true, "vendor": "Microsoft",
                     "product": "Windows", "name": "Kerberos Bypass" },
            "epss": { "score": 0.97123, "percentile": 0.999, "date": "2024-02-03" },
            "cvss": [cvss("microsoft", 9.8), cvss("microsoft", 7.5), cvss("nvd", 9.0)],
            "ssvc": [{ "source": "cisa-adp", "exploitation": "active", "automatable": false, "technicalImpact": "total" }],
            "rejectedBy": [{ "source": "mitre", "reason": "no" }],
            "patches": { "totalCount": 1, "nodes": [{ "vendorPatchId": KB }] },
        })
    );
    let known = json!({ "cve": cve(), "maxCvss": 9.8, "kev": { "name": "Kerberos Bypass" } });
    let unknown = json!({ "cve": "CVE-2024-20675", "maxCvss": null, "kev": null });
    assert_eq!(
        data["node"],
        json!({ "isKev": true, "maxCvss": 9.8, "vulnerabilities": { "nodes": [known, unknown] } })
    );

    let reinstated = contracts::feeds::VulnerabilityReinstated { cve: cve(), source: "mitre".into() };
    let lower = CvssChanged { cve: cve(), source: "microsoft".into(), scores: vec![score(70)] };
    shelf
        .hears(vec![VulnerabilityRemovedFromKev { cve: cve() }.into(), reinstated.into(), lower.into()])
        .await;
    let data = shelf.data(query, variables).await;
    let seen = &data["vulnerability"];
    assert_eq!(
        (&seen["kev"], &seen["rejectedBy"], &seen["maxCvss"]),
        (&Value::Null, &json!([]), &json!(9.0))
    );
    assert_eq!(seen["epss"]["score"], 0.97123);
    assert_eq!(data["node"]["isKev"], false);
    let none = shelf.data("{ vulnerability(cve: \"CVE-1999-0001\") { cve } }", Value::Null).await;
    assert_eq!(none["vulnerability"], Value::Null);
    shelf.system.stop().await;
}

#[tokio::test]
async fn a_patch_is_known_to_be_exploited_whichever_is_heard_first() {
    let shelf = Shelf::filled().await;
    let entry = KevEntry {
        date_added: NaiveDate::from_ymd_opt(2024, 2, 1).unwrap(),
        due_date: None,
        ransomware: None,
        vendor: "x".into(),
        product: "y".into(),
        name: "z".into(),
    };
    let listed = |cve: &str| VulnerabilityAddedToKev { cve: cve.into(), entry: entry.clone() }.into();
    shelf.hears(vec![listed("CVE-2026-7777"), listed("CVE-2026-9999")]).await;
    let facts = PatchFacts { patch_id: id(), cves: vec!["CVE-2026-7777".into()], ..shelf.kb_facts() };
    shelf.says(facts.patch_id, PatchPublished { patch: facts }).await;
    assert_eq!(shelf.found("(search: { kev: true })").await, [NEWER, KB]);
    let patch = PatchFacts { cves: vec![], ..shelf.newer_facts() };
    shelf.says(shelf.newer, PatchRevised { patch, changed: vec!["cves".into()] }).await;
    assert_eq!(shelf.found("(search: { kev: true })").await, [KB]);
    shelf.system.stop().await;
}

#[tokio::test]
async fn a_patch_says_where_it_is_missing_to_those_who_may_know() {
    let shelf = Shelf::filled().await;
    let (world, other) = (&shelf.world, World::new("beck"));
    other.record(&shelf.system).await;
    let [mine, foreign] = [world, &other].map(|world| World { patch: shelf.world.patch, ..world.clone() });
    shelf.system.record(other.tenant(), other.device.0, vec![foreign.missing()]).await;
    let second = World { customer: id(), device: id(), ..mine.clone() };
    shelf.system.record(second.tenant(), second.device.0, vec![second.enrolled(), second.missing()]).await;
    let query = "query($id: ID!) { node(id: $id) { ... on Patch { missingCount
        missingOn { totalCount nodes { state device { id } } } } } }";
    let variables = json!({ "id": global("Patch", world.patch) });
    let devices = |patch: &Value| -> Vec<Value> {
        assert_eq!(patch["missingCount"], patch["missingOn"]["totalCount"]);
        patch["missingOn"]["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|node| node["device"]["id"].clone())
            .collect()
    };
    let data = shelf.data(query, variables.clone()).await;
    let (one, two) = (json!(global("Device", world.device)), json!(global("Device", second.device)));
    assert_eq!(devices(&data["node"]), [one.clone(), two]);
    assert_eq!(data["node"]["missingOn"]["nodes"][0]["state"], "MISSING");
    let data = shelf.system.data(&world.subject(Role::CustomerAuditor), query, variables.clone()).await;
    assert_eq!(devices(&data["node"]), [one]);
    let answer = shelf.system.ask(OPERATOR, query, variables).await;
    assert_eq!(codes(&answer), ["access.forbidden", "access.forbidden"]);
    shelf.system.stop().await;
}

#[tokio::test]
async fn everybody_sees_their_own_mark_on_a_patch() {
    let shelf = Shelf::filled().await;
    let (world, patch_id) = (&shelf.world, shelf.kb);
    let other = World::new("beck");
    other.record(&shelf.system).await;
    let second = World { customer: id(), ..world.clone() };
    let rate = |tenant: Tenant, rating, comment: Option<&str>| {
        let comment = comment.map(str::to_owned);
        let fact = Fact::of::<RatingEvent>(PatchRated { patch_id, rating, comment });
        let stream = tenant.customer_id.map_or(tenant.partner_id.0, |id| id.0);
        let system = &shelf.system;
        async move { system.record(tenant, kernel::derived_id(stream, "rating"), vec![fact]).await }
    };
    rate(Tenant::partner(world.partner), 2, Some("later")).await;
    rate(world.tenant(), 3, None).await;
    rate(second.tenant(), 1, None).await;
    rate(world.tenant(), 5, Some("now")).await;
    let query = "query($id: ID!, $customer: ID) { node(id: $id) { ... on Patch { rating(customerId: $customer) { rating comment } } } }";
    let mark = |who: String, customer: Option<&World>| {
        let customer = customer.map(|world| global("Customer", world.customer));
        let variables = json!({ "id": global("Patch", patch_id), "customer": customer });
        let system = &shelf.system;
        async move { system.data(&who, query, variables).await["node"]["rating"].clone() }
    };
    let (partner, customer) =
        (json!({ "rating": 2, "comment": "later" }), json!({ "rating": 5, "comment": "now" }));
    let admin = || world.subject(Role::PartnerAdmin);
    let approver = || world.subject(Role::CustomerApprover);
    assert_eq!(mark(admin(), None).await, partner);
    assert_eq!(mark(admin(), Some(world)).await, customer);
    assert_eq!(mark(admin(), Some(&second)).await, json!({ "rating": 1, "comment": null }));
    assert_eq!(mark(approver(), None).await, customer);
    assert_eq!(mark(approver(), Some(&second)).await, Value::Null);
    assert_eq!(mark(other.subject(Role::PartnerAdmin), None).await, Value::Null);
    assert_eq!(mark(other.subject(Role::PartnerAdmin), Some(world)).await, Value::Null);
    let cleared = Fact::of::<RatingEvent>(PatchRatingCleared { patch_id });
    shelf.system.record(world.tenant(), id::<PatchId>().0, vec![cleared]).await;
    assert_eq!(mark(approver(), None).await, Value::Null);
    assert_eq!(mark(admin(), None).await, partner);
    shelf.system.stop().await;
}

#[tokio::test]
async fn more_patches_do_not_take_more_statements() {
    let shelf = Shelf::filled().await;
    let query = "query($first: Int) { patches(first: $first) { nodes { name feed { name } isKev maxCvss missingCount rating { rating }
        supersededBy { name } supersedesPatches { nodes { name } } missingOn(first: 5) { nodes { state device { name } } }
        vulnerabilities(first: 5) { nodes { cve sources epss { score } patches(first: 5) { nodes { name } } } } } } }";
    for first in [1, 3] {
        let answer = shelf.system.ask(&shelf.who, query, json!({ "first": first })).await;
        assert_eq!(answer["data"]["patches"]["nodes"].as_array().unwrap().len(), first, "{answer}");
        assert!(answer["extensions"]["statements"].as_u64().unwrap() < 20, "{}", answer["extensions"]);
    }
    shelf.system.stop().await;
}
