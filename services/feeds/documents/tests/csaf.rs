//! CSAF documents and the lists of them become the facts that a person would read in them.
#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use contracts::feeds::{Cvss, PatchFacts};
use contracts::{Classification, DevicePlatform, FixTarget, RebootBehaviour, Severity, VersionOrder};
use feeds_documents::contents::Contents;
use feeds_documents::identity::{self, Vendor};
use feeds_documents::{Document, DocumentError, Format, Options, read};
use kernel::{FeedId, Refused};
use serde_json::{Value, json};
use std::io::Cursor;

const RED_HAT: &str = include_str!("documents/csaf.json");
const SUSE: &str = include_str!("documents/csaf-suse.json");
const MICROSOFT: &str = include_str!("documents/csaf-microsoft.json");
const PROVIDER: &str = include_str!("documents/csaf-provider-metadata.json");
const ROLIE: &str = include_str!("documents/rolie-feed.json");
const CHANGES: &str = include_str!("documents/csaf-changes-csv.csv");

const ALL: [(Format, &str); 6] = [
    (Format::Csaf, RED_HAT),
    (Format::Csaf, SUSE),
    (Format::Csaf, MICROSOFT),
    (Format::CsafProvider, PROVIDER),
    (Format::Rolie, ROLIE),
    (Format::CsafChanges, CHANGES),
];

fn outcome(bytes: &[u8]) -> Result<Document, DocumentError> {
    read(
        Cursor::new(bytes),
        Options {
            feed_id: FeedId(uuid::Uuid::from_u128(7)),
            received_on: chrono::NaiveDate::default(),
            figures: true,
        },
    )
}

fn found(text: &str) -> Contents {
    outcome(text.as_bytes()).unwrap().contents
}

fn refused(text: &str) -> DocumentError {
    outcome(text.as_bytes()).unwrap_err()
}

/// The document after a change to its JSON.
fn changed(text: &str, change: impl FnOnce(&mut Value)) -> String {
    let mut document: Value = serde_json::from_str(text).unwrap();
    change(&mut document);
    document.to_string()
}

fn patch<'a>(contents: &'a Contents, os: &str) -> &'a PatchFacts {
    contents
        .patches
        .iter()
        .find(|patch| patch.targets[0].os().key() == os)
        .unwrap_or_else(|| panic!("none for {os}: {:?}", contents.patches))
}

/// `package version [architectures] module`
fn packages(patch: &PatchFacts) -> Vec<String> {
    let shown = |target: &FixTarget| {
        let FixTarget::BinaryPackage { package, fixed_version, order, architectures, module, .. } = target
        else {
            panic!("{target:?}")
        };
        assert_eq!(*order, VersionOrder::Rpm);
        format!("{package} {fixed_version} {architectures:?} {}", module.as_deref().unwrap_or("-"))
    };
    patch.targets.iter().map(shown).collect()
}

fn cvss(version: &str, vector: &str, base_score: u8) -> Cvss {
    Cvss { version: version.to_owned(), vector: vector.to_owned(), base_score }
}

#[test]
fn each_document_is_told_by_its_content() {
    for (format, text) in ALL {
        assert_eq!(outcome(text.as_bytes()).unwrap().format, format);
    }
}

#[test]
fn an_advisory_is_one_patch_per_release_that_it_fixes_packages_for() {
    let contents = found(RED_HAT);
    assert_eq!(contents.document_id.as_deref(), Some("RHSA-2026:9001"));
    assert_eq!(contents.document_date.unwrap().to_rfc3339(), "2026-10-20T09:30:00+00:00");
    assert_eq!(contents.records, 2);
    assert_eq!(contents.patches.len(), 3);
    let nine = patch(&contents, "rhel:9");
    assert_eq!(nine.name, "lantern security update for Red Hat Enterprise Linux 9 (RHSA-2026:9001)");
    assert_eq!(nine.vendor_patch_id, "RHSA-2026:9001");
    let os = identity::os("rhel", "9");
    assert_eq!(nine.patch_id, identity::patch_id(Vendor::RedHat, "RHSA-2026:9001", &os));
    assert_eq!((nine.severity, nine.vendor_severity.as_str()), (Severity::High, "Important"));
    assert_eq!((nine.platform, nine.classification), (DevicePlatform::Linux, Classification::Security));
    assert_eq!(nine.release_date.to_string(), "2026-10-13");
    assert_eq!(nine.cves, ["CVE-2026-30201", "CVE-2026-30202"]);
    assert_eq!(nine.advisories, ["RHSA-2026:9001"]);
    assert_eq!(nine.url.as_deref(), Some("https://example.org/errata/RHSA-2026:9001"));
    assert_eq!(nine.os_versions, ["Red Hat Enterprise Linux 9"]);
}

#[test]
fn packages_are_merged_over_architectures_and_sources_are_no_packages() {
    let contents = found(RED_HAT);
    assert_eq!(
        packages(patch(&contents, "rhel:9")),
        [r#"lantern 2:3.1-4.el9 ["aarch64", "x86_64"] -"#, "lantern-glow 5-1.module+el9+1 [] glow:5"]
    );
}

#[test]
fn a_fix_for_an_update_stream_is_for_its_minor_release_and_closes_what_is_fixed_there() {
    let contents = found(RED_HAT);
    let stream = patch(&contents, "rhel:9.2");
    assert_eq!(packages(stream), [r#"lantern 2:3.1-1.el9_2 ["x86_64"] -"#]);
    assert_eq!(stream.cves, ["CVE-2026-30201"]);
}

#[test]
fn a_layered_product_is_patched_on_the_release_below_it() {
    let contents = found(RED_HAT);
    let layered = patch(&contents, "rhel:8");
    assert_eq!(packages(layered), [r#"wick 7-2.el8lh ["x86_64"] -"#]);
    assert_eq!(layered.cves, ["CVE-2026-30202"]);
}

#[test]
fn red_hats_word_that_nothing_restarts_is_not_believed() {
    let contents = found(RED_HAT);
    assert!(contents.patches.iter().all(|patch| patch.reboot == RebootBehaviour::Unknown));
    let system = changed(RED_HAT, |document| {
        document["vulnerabilities"][0]["remediations"][0]["restart_required"]["category"] = json!("system");
    });
    assert!(found(&system).patches.iter().all(|patch| patch.reboot == RebootBehaviour::Always));
}

#[test]
fn fixed_products_that_are_no_packages_are_left_out_with_a_reason() {
    assert_eq!(
        found(RED_HAT).quarantined,
        [
            "RHSA-2026:9001: 1 fixed products are no packages",
            "RHSA-2026:9001: 1 fixed products are not in the product tree, the first is \"Nowhere:lantern\"",
            "RHSA-2026:9001: 1 fixed products are for \"Lantern Archive 2\", which is no release known here",
        ]
    );
}

#[test]
fn scores_are_the_publishers_and_the_highest_version_comes_first() {
    let contents = found(RED_HAT);
    let [first, second] = &contents.vulnerabilities[..] else { panic!("{:?}", contents.vulnerabilities) };
    assert_eq!((first.cve.as_str(), first.source.as_str()), ("CVE-2026-30201", "redhat"));
    assert_eq!(first.cvss, [cvss("3.1", "CVSS:3.1/AV:L/AC:L/PR:L/UI:N/S:U/C:H/I:H/A:H", 78)]);
    assert_eq!(
        second.cvss,
        [
            cvss("4.0", "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:L/VI:N/VA:N/SC:N/SI:N/SA:N", 69),
            cvss("2.0", "AV:N/AC:M/Au:N/C:N/I:N/A:P", 43),
        ]
    );
}

#[test]
fn a_score_that_is_none_is_left_out_and_the_rest_stays() {
    for score in [json!(10.5), json!(-1), json!("high"), Value::Null] {
        let text = changed(RED_HAT, |document| {
            document["vulnerabilities"][0]["scores"][0]["cvss_v3"]["baseScore"] = score.clone();
        });
        let contents = found(&text);
        assert_eq!(contents.vulnerabilities[0].cvss, [], "{score}");
        assert_eq!(contents.vulnerabilities[1].cvss.len(), 2);
        assert_eq!(contents.patches.len(), 3);
        assert_eq!(contents.quarantined_count(), 4, "{:?}", contents.quarantined);
        assert!(contents.quarantined[0].starts_with("CVE-2026-30201: a score is left out: "));
    }
}

#[test]
fn suse_recommends_what_it_fixed_and_names_packages_by_their_file() {
    let contents = found(SUSE);
    assert_eq!(contents.quarantined, [] as [&str; 0]);
    assert_eq!(contents.patches.len(), 2);
    for os in ["sles:15.5", "opensuse-leap:15.5"] {
        let patch = patch(&contents, os);
        assert_eq!(packages(patch), [r#"lantern 3.1-150500.2.1 ["x86_64"] -"#]);
        assert_eq!(patch.cves, ["CVE-2026-30201"]);
    }
    let sles = patch(&contents, "sles:15.5");
    assert_eq!(
        sles.name,
        "Security update for lantern for SUSE Linux Enterprise Server 15.5 (SUSE-SU-2026:9101-1)"
    );
    let os = identity::os("sles", "15.5");
    assert_eq!(sles.patch_id, identity::patch_id(Vendor::Suse, "SUSE-SU-2026:9101-1", &os));
    assert_eq!(contents.vulnerabilities[0].source, "suse");
}

#[test]
fn without_a_word_of_its_own_an_advisory_is_as_severe_as_the_worst_it_closes() {
    let contents = found(SUSE);
    let severity = |patch: &PatchFacts| (patch.severity, patch.vendor_severity.clone());
    assert_eq!(severity(&contents.patches[0]), (Severity::High, "important".to_owned()));
    // A high score is no severity.
    let silent = changed(SUSE, |document| {
        for vulnerability in document["vulnerabilities"].as_array_mut().unwrap() {
            vulnerability.as_object_mut().unwrap().remove("threats");
        }
    });
    assert_eq!(severity(&found(&silent).patches[0]), (Severity::Unknown, String::new()));
}

#[test]
fn microsofts_document_of_a_vulnerability_is_a_patch_for_each_kb() {
    let contents = found(MICROSOFT);
    let [patch] = &contents.patches[..] else { panic!("{:?}", contents.patches) };
    assert_eq!(patch.vendor_patch_id, "KB5900001");
    assert_eq!(patch.patch_id, identity::patch_id_for_all(Vendor::Microsoft, "KB5900001"));
    assert_eq!(patch.platform, DevicePlatform::Windows);
    assert_eq!(
        patch.name,
        "2026-10 Security Update for Windows Server 2022, Windows Server 2022 (Server Core installation), \
         Windows Server 2025 (KB5900001)"
    );
    assert_eq!((patch.severity, patch.reboot), (Severity::High, RebootBehaviour::Always));
    assert_eq!(
        (&patch.cves[..], &patch.advisories[..]),
        (&["CVE-2026-30301".to_owned()][..], &patch.cves[..])
    );
    let targets: Vec<_> = patch
        .targets
        .iter()
        .map(|target| {
            let FixTarget::Kb { os, kb, fixed_build } = target else { panic!("{target:?}") };
            (os.key(), kb.as_str(), fixed_build.as_deref())
        })
        .collect();
    let build = Some("10.0.20348.9001");
    assert_eq!(
        targets,
        [
            ("windows:Windows Server 2022".to_owned(), "KB5900001", build),
            ("windows:Windows Server 2022 (Server Core installation)".to_owned(), "KB5900001", build),
            // A component's build is not the one of what it is installed on.
            ("windows:Windows Server 2025".to_owned(), "KB5900001", None),
        ]
    );
    assert_eq!(
        contents.quarantined,
        [
            "1 fixes \"130.0.1.2:Security Update:https://docs.example/relnotes\" have no KB number",
            "KB5900001: product \"77\" is not in the product tree",
        ]
    );
}

#[test]
fn a_score_that_is_given_for_each_product_is_one_score() {
    let contents = found(MICROSOFT);
    assert_eq!(contents.vulnerabilities.len(), 1);
    assert_eq!(contents.vulnerabilities[0].source, "microsoft");
    assert_eq!(contents.vulnerabilities[0].cvss.len(), 1);
}

#[test]
fn a_document_says_the_same_in_whatever_order() {
    for text in [RED_HAT, SUSE, MICROSOFT] {
        let document: Value = serde_json::from_str(text).unwrap();
        let parts = ["document", "product_tree", "vulnerabilities"]
            .map(|part| format!("\"{part}\":{}", document[part]));
        let whole = outcome(text.as_bytes()).unwrap();
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let text = format!("{{{}}}", order.map(|at| parts[at].as_str()).join(","));
            let other = outcome(text.as_bytes()).unwrap();
            // How many bytes were held on the way depends on the order, what came of them does not.
            let (now, then) = (&other.contents, &whole.contents);
            assert_eq!(now.patches, then.patches, "{order:?}");
            assert_eq!(now.vulnerabilities, then.vulnerabilities, "{order:?}");
            assert_eq!(now.quarantined, then.quarantined, "{order:?}");
            assert_eq!(
                (&now.withdrawn, now.records, &now.document_id, now.document_date),
                (&then.withdrawn, then.records, &then.document_id, then.document_date),
                "{order:?}"
            );
            assert_eq!(other.to_json(), whole.to_json(), "{order:?}");
        }
    }
}

#[test]
fn a_document_about_one_vulnerability_is_no_patch() {
    for category in ["csaf_vex", "csaf_informational_advisory", "csaf_security_incident_response"] {
        let text = changed(RED_HAT, |document| document["document"]["category"] = json!(category));
        let document = outcome(text.as_bytes()).unwrap();
        assert_eq!(document.contents.patches, [], "{category}");
        assert_eq!(document.contents.quarantined, [] as [&str; 0]);
        assert_eq!(document.contents.vulnerabilities, found(RED_HAT).vulnerabilities);
        assert_eq!(document.to_json()["fixed_product_ids"]["count"], 9);
    }
}

#[test]
fn an_advisory_of_a_publisher_without_patches_here_still_scores_vulnerabilities() {
    let text = changed(RED_HAT, |document| {
        document["document"]["tracking"]["id"] = json!("LW-2026-001");
        document["document"]["publisher"] = json!({"name": "Lantern Works (PSIRT)"});
    });
    let contents = found(&text);
    assert_eq!((contents.patches.len(), contents.vulnerabilities.len()), (0, 2));
    assert_eq!(contents.vulnerabilities[0].source, "lantern-works-psirt");
}

#[test]
fn a_withdrawn_advisory_is_taken_back_with_its_reason() {
    let text = changed(RED_HAT, |document| {
        document["document"]["category"] = json!("csaf_withdrawn");
        document["document"]["csaf_version"] = json!("2.1");
        document["document"]["notes"] = json!([{"category": "description", "title": "Reason for Withdrawal", "text": "It darkened lanterns."}]);
    });
    let contents = found(&text);
    assert_eq!(contents.patches, []);
    let [withdrawal] = &contents.withdrawn[..] else { panic!("{:?}", contents.withdrawn) };
    assert_eq!((withdrawal.vendor, withdrawal.vendor_patch_id.as_str()), (Vendor::RedHat, "RHSA-2026:9001"));
    assert_eq!(withdrawal.reason, "It darkened lanterns.");
    assert_eq!(found(RED_HAT).withdrawn, []);
}

#[test]
fn the_kind_of_update_is_in_the_id() {
    for (id, wanted) in [
        ("RHBA-2026:9001", Classification::Other),
        ("RHEA-2026:9001", Classification::Feature),
        ("SUSE-SU-2026:9001-1", Classification::Security),
    ] {
        let text = changed(RED_HAT, |document| document["document"]["tracking"]["id"] = json!(id));
        assert!(found(&text).patches.iter().all(|patch| patch.classification == wanted), "{id}");
    }
}

#[test]
fn one_bad_vulnerability_is_left_out_and_the_rest_is_read() {
    for (part, bad) in [
        ("cve", json!(7)),
        ("cve", json!("CVE-soon")),
        ("product_status", json!([])),
        ("scores", json!({})),
        ("remediations", json!("none")),
        ("threats", json!([{"category": 1}])),
    ] {
        let text = changed(RED_HAT, |document| document["vulnerabilities"][0][part] = bad.clone());
        let contents = found(&text);
        assert_eq!(contents.records, 2, "{part}: {bad}");
        assert_eq!(contents.vulnerabilities.len(), 1, "{part}: {bad}");
        assert_eq!(contents.vulnerabilities[0].cve, "CVE-2026-30202");
        assert!(contents.patches.iter().all(|patch| patch.cves == ["CVE-2026-30202"]), "{part}: {bad}");
        assert_eq!(contents.quarantined.len(), 1, "{part}: {bad}: {:?}", contents.quarantined);
    }
    let text = changed(RED_HAT, |document| document["vulnerabilities"][0] = json!("CVE-2026-30201"));
    let contents = found(&text);
    assert_eq!((contents.records, contents.vulnerabilities.len(), contents.quarantined.len()), (2, 1, 1));
}

#[test]
fn a_product_that_names_itself_or_nothing_is_not_followed_for_ever() {
    let text = changed(RED_HAT, |document| {
        document["product_tree"]["relationships"][0]["relates_to_product_reference"] =
            json!("AppStream-9:lantern-2:3.1-4.el9.x86_64");
        document["product_tree"]["relationships"][1] = json!({"category": "default_component_of"});
    });
    let contents = found(&text);
    assert_eq!(packages(patch(&contents, "rhel:9")), ["lantern-glow 5-1.module+el9+1 [] glow:5"]);
    assert!(contents.quarantined.iter().any(|reason| reason.starts_with("a relationship: ")));
}

#[test]
fn an_advisory_with_more_packages_than_anybody_installs_is_left_out() {
    let text = changed(SUSE, |document| {
        let platform = "openSUSE Leap 15.5";
        for number in 0..=5_000 {
            let package = format!("lantern{number}-1-1.x86_64");
            let id = format!("{platform}:{package}");
            let branches = document["product_tree"]["branches"][0]["branches"].as_array_mut().unwrap();
            branches.push(json!({"product": {"product_id": package}}));
            document["product_tree"]["relationships"].as_array_mut().unwrap().push(json!({
                "full_product_name": {"product_id": id},
                "product_reference": package,
                "relates_to_product_reference": platform,
            }));
            let recommended = &mut document["vulnerabilities"][0]["product_status"]["recommended"];
            recommended.as_array_mut().unwrap().push(json!(id));
        }
    });
    let contents = found(&text);
    assert_eq!(contents.patches.len(), 1);
    assert_eq!(contents.patches[0].targets[0].os().key(), "sles:15.5");
    assert_eq!(
        contents.quarantined,
        ["SUSE-SU-2026:9101-1 for opensuse-leap:15.5: it has more than 5000 packages"]
    );
}

#[test]
fn figures_count_what_the_document_holds() {
    let figures = outcome(RED_HAT.as_bytes()).unwrap().to_json();
    for (name, wanted) in [
        ("format", json!("csaf")),
        ("id", json!("RHSA-2026:9001")),
        ("aggregate_severity", json!("Important")),
        ("vulnerabilities", json!(2)),
        ("branch_products", json!(12)),
        ("relationship_products", json!(9)),
        ("product_status_entries", json!({"first_fixed": 1, "fixed": 9, "known_not_affected": 1})),
        ("cvss_severity", json!({"cvss_v2:": 1, "cvss_v3:HIGH": 1, "cvss_v4:MEDIUM": 1})),
        ("impact_threats", json!({"Important": 1, "Low": 1})),
        ("restart_required", json!({"none": 1})),
    ] {
        assert_eq!(figures[name], wanted, "{name}");
    }
    assert_eq!(figures["cves"]["count"], 2);
    assert_eq!(figures["fixed_product_ids"]["last"], "lantern_archive_2:lantern");
    let bare = changed(RED_HAT, |document| {
        document["document"].as_object_mut().unwrap().remove("aggregate_severity");
        document.as_object_mut().unwrap().remove("vulnerabilities");
    });
    let figures = outcome(bare.as_bytes()).unwrap().to_json();
    assert_eq!((&figures["aggregate_severity"], &figures["vulnerabilities"]), (&Value::Null, &json!(0)));
    assert_eq!(figures["fixed_product_ids"]["count"], 0);
}

#[test]
fn a_document_that_is_not_what_it_claims_is_refused_as_a_whole() {
    let cut = &RED_HAT[..RED_HAT.len() - 3];
    let twice = format!("{}, \"vulnerabilities\": []}}", RED_HAT.trim_end().strip_suffix('}').unwrap());
    let deep = format!(
        "{{\"document\": {}, \"product_tree\": {}",
        serde_json::from_str::<Value>(RED_HAT).unwrap()["document"],
        "{\"branches\": [".repeat(60)
    );
    let change = |change: fn(&mut Value)| changed(RED_HAT, change);
    for (text, code) in [
        (cut, "feeds.document_truncated"),
        (&twice, "feeds.document_malformed"),
        (&format!("{RED_HAT} x"), "feeds.document_malformed"),
        (&deep, "feeds.document_too_deep"),
        (&change(|document| document["vulnerabilities"] = json!({})), "feeds.document_malformed"),
        (&change(|document| document["product_tree"] = json!([])), "feeds.document_malformed"),
        (&change(|document| document["document"]["csaf_version"] = json!("1.2")), "feeds.document_malformed"),
        (&change(|document| document["document"]["tracking"] = json!([])), "feeds.document_malformed"),
        (
            &change(|document| document["document"]["tracking"]["id"] = json!("a\u{0}")),
            "feeds.document_malformed",
        ),
        (
            &change(|document| {
                document["document"]["tracking"]["initial_release_date"] = json!("soon");
                document["document"]["tracking"]["current_release_date"] = json!("later");
            }),
            "feeds.document_malformed",
        ),
        (r#"{"product_tree": {}, "vulnerabilities": []}"#, "feeds.document_malformed"),
    ] {
        let error = refused(text);
        assert_eq!(error.code(), code, "{error}: {}", text.chars().take(80).collect::<String>());
    }
}

#[test]
fn a_provider_names_its_feeds_and_the_changes_of_its_folders() {
    let document = outcome(PROVIDER.as_bytes()).unwrap();
    let links: Vec<&str> = document.contents.links.iter().map(|link| link.href.as_str()).collect();
    assert_eq!(
        links,
        [
            "https://lantern.example/csaf/advisories/changes.csv",
            "https://lantern.example/csaf/feed-white.json"
        ]
    );
    assert_eq!(document.contents.quarantined, ["\"file:///etc/passwd\" is no address of a document"]);
    assert_eq!(
        document.contents.document_id.as_deref(),
        Some("https://lantern.example/.well-known/csaf/provider-metadata.json")
    );
    let figures = document.to_json();
    assert_eq!((&figures["role"], &figures["keys"]), (&json!("csaf_trusted_provider"), &json!(1)));
    assert_eq!(refused(&PROVIDER[..PROVIDER.len() - 3]).code(), "feeds.document_truncated");
    let mistyped = changed(PROVIDER, |document| document["distributions"] = json!("none"));
    assert_eq!(refused(&mistyped).code(), "feeds.document_malformed");
}

#[test]
fn a_feed_says_where_documents_are_and_when_they_changed() {
    let document = outcome(ROLIE.as_bytes()).unwrap();
    let links: Vec<_> = document
        .contents
        .links
        .iter()
        .map(|link| (link.href.as_str(), link.updated.unwrap().date_naive().to_string()))
        .collect();
    assert_eq!(
        links,
        [
            ("https://lantern.example/csaf/white/2026/lw-2026-001.json", "2026-10-01".to_owned()),
            ("https://lantern.example/csaf/white/2026/lw-2026-002.json", "2026-10-03".to_owned()),
        ]
    );
    assert_eq!(document.contents.quarantined, ["entry \"LW-2026-002\": it says not where the document is"]);
    assert_eq!(document.contents.document_date.unwrap().date_naive().to_string(), "2026-10-04");
    let figures = document.to_json();
    assert_eq!((&figures["entries"], &figures["duplicate_ids"]), (&json!(3), &json!(1)));
    assert_eq!(figures["entry_ids"]["count"], 2);
    for (text, code) in [
        (ROLIE[..ROLIE.len() - 3].to_owned(), "feeds.document_truncated"),
        (changed(ROLIE, |feed| feed["feed"]["entry"] = json!({})), "feeds.document_malformed"),
        (changed(ROLIE, |feed| feed["feed"]["entry"] = Value::Null), "feeds.document_malformed"),
    ] {
        assert_eq!(refused(&text).code(), code);
    }
}

#[test]
fn a_long_feed_is_told_by_its_entries_where_they_come_first() {
    let entries: Vec<Value> = (0..8_000)
        .map(|number| {
            json!({
                "id": format!("LW-{number}"),
                "content": {"src": format!("https://lantern.example/csaf/white/2026/lw-{number}.json")},
                "title": "x".repeat(150),
            })
        })
        .collect();
    let text = json!({"feed": {"entry": entries, "title": "Lantern's advisories", "updated": "2026-10-04T08:00:00Z"}});
    let text = text.to_string();
    assert!(text.len() > feeds_documents::limits::HEAD_BYTES);
    let document = outcome(text.as_bytes()).unwrap();
    assert_eq!((document.format, document.contents.links.len()), (Format::Rolie, 8_000));
}

#[test]
fn a_list_of_changes_is_read_row_by_row() {
    let document = outcome(CHANGES.as_bytes()).unwrap();
    let links: Vec<&str> = document.contents.links.iter().map(|link| link.href.as_str()).collect();
    assert_eq!(links, ["2026/lw-2026-001.json", "2026/lw-2026-002.json", "2026/lw-2026-005.json"]);
    assert_eq!(
        document.contents.quarantined,
        [
            "row 3: \"../../etc/lw-2026-003.json\" is no address of a document",
            "row 4: no path and time: 2026/lw-2026-004.json",
        ]
    );
    // Rows are in no order.
    assert_eq!(document.contents.document_date.unwrap().date_naive().to_string(), "2026-10-03");
    assert_eq!((document.contents.records, &document.to_json()["rows"]), (5, &json!(5)));
    let bare = CHANGES.replace('"', "");
    assert_eq!(found(&bare).links, document.contents.links);
    assert_eq!(found(bare.trim_end()).links, document.contents.links);
    let last_row = CHANGES.trim_end().rfind('\n').unwrap() + 1;
    for end in last_row + 1..CHANGES.len() - 2 {
        assert_eq!(
            refused(&CHANGES[..end]).code(),
            "feeds.document_truncated",
            "{}",
            &CHANGES[last_row..end]
        );
    }
}

#[test]
fn other_tables_and_objects_are_none_of_these() {
    for text in [
        "cve,epss,percentile\nCVE-2026-1,0.1,0.2\n",
        "\"a.json\",\"soon\"\n",
        "\"a.json\",\"2026-10-01T08:00:00Z\",\"x\"\n",
        r#"{"vulnerabilities": [{"id": "CVE-2026-30201"}]}"#,
        r#"{"feed": "x"}"#,
        r#"{"canonical_url": "x"}"#,
        r#"{"document": "x"}"#,
    ] {
        let told = outcome(text.as_bytes()).map(|document| document.format);
        let ours = [Format::Csaf, Format::CsafProvider, Format::Rolie, Format::CsafChanges];
        assert!(!told.as_ref().is_ok_and(|format| ours.contains(format)), "{text}: {told:?}");
        assert!(!told.is_err_and(|error| matches!(error, DocumentError::Malformed { .. })), "{text}");
    }
}
