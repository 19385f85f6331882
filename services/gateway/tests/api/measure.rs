//! How long a search of a large catalogue takes, by what is searched for: `cargo xtask bench catalogue-search`.

use crate::system::{Fact, System, codes};
use crate::world::World;
use chrono::{Days, NaiveDate};
use contracts::feeds::{
    KevEntry, PatchEvent, PatchFacts, PatchPublished, PatchSuperseded, VulnerabilityAddedToKev,
    VulnerabilityEvent,
};
use contracts::permissions::Role;
use contracts::{Classification, DevicePlatform, FixTarget, OsRelease, OutOfBandReason, Severity};
use kernel::{PatchId, Tenant};
use serde_json::Value;
use std::time::{Duration, Instant};
use testkit::id;

/// As many as all corpora of vendors hold together; two vulnerabilities each.
const PATCHES: usize = 30_000;
const CLIENTS: usize = 8;
const SEARCHES_OF_A_CLIENT: usize = 300;

const PACKAGES: [&str; 20] = [
    "linux",
    "firefox",
    "openssl",
    "chromium",
    "php",
    "samba",
    "curl",
    "postgresql",
    "thunderbird",
    "qemu",
    "glibc",
    "imagemagick",
    "webkit2gtk",
    "mariadb",
    "tomcat",
    "ffmpeg",
    "xen",
    "nodejs",
    "ruby",
    "bind9",
];
const WINDOWS: [&str; 6] = [
    "Windows 10 Version 1809 for x64-based Systems",
    "Windows 10 Version 22H2 for x64-based Systems",
    "Windows 11 Version 22H2 for x64-based Systems",
    "Windows 11 Version 23H2 for ARM64-based Systems",
    "Windows Server 2019",
    "Windows Server 2022",
];
const SEVERITIES: [Severity; 7] = [
    Severity::Unknown,
    Severity::Low,
    Severity::Medium,
    Severity::Medium,
    Severity::High,
    Severity::High,
    Severity::Critical,
];

/// What is searched for; `{n}` is another number each time.
const SEARCHES: [(&str, &str); 22] = [
    ("everything", "{}"),
    ("exact vendor id", "{ vendorPatchId: \"DSA-{n}-1\" }"),
    ("exact KB", "{ kb: \"{n}\" }"),
    ("exact CVE", "{ cve: \"CVE-2024-{n}\" }"),
    ("beginning of a CVE", "{ text: \"cve-2024-{n2}\" }"),
    ("one word", "{ text: \"{package}\" }"),
    ("a frequent word", "{ text: \"security\" }"),
    ("a frequent and another word", "{ text: \"security {package}\" }"),
    ("frequent words that never meet", "{ text: \"security cumulative\" }"),
    ("a word that is nowhere", "{ text: \"zebra\" }"),
    ("product", "{ product: \"windows 11 22h2\" }"),
    ("product and text", "{ product: \"debian 12\", text: \"update\" }"),
    ("severity", "{ severities: [CRITICAL] }"),
    ("severity and platform", "{ severities: [CRITICAL, HIGH], platform: WINDOWS }"),
    ("platform and classification", "{ platform: LINUX, classifications: [SECURITY] }"),
    ("filters that nothing passes", "{ platform: LINUX, classifications: [DRIVER] }"),
    ("KEV", "{ kev: true }"),
    ("KEV, severities, text", "{ kev: true, severities: [CRITICAL, HIGH, MEDIUM, LOW], text: \"update\" }"),
    ("state", "{ state: SUPERSEDED }"),
    ("days of release", "{ releasedFrom: \"2021-03-01\", releasedTo: \"2021-03-31\" }"),
    (
        "days of release and text",
        "{ releasedFrom: \"2019-01-01\", releasedTo: \"2019-12-31\", text: \"{package}\" }",
    ),
    ("out of band", "{ outOfBand: true }"),
];

/// The nth patch; vendors take turns.
fn patch(world: &World, n: usize) -> PatchFacts {
    let (package, system) = (PACKAGES[n / 5 % PACKAGES.len()], WINDOWS[n / 5 % WINDOWS.len()]);
    let cves = vec![format!("CVE-2024-{}", 10_000 + n / 2), format!("CVE-2025-{}", 10_000 + n)];
    let release_date =
        NaiveDate::from_ymd_opt(2018, 1, 1).unwrap() + Days::new(u64::try_from(n).unwrap() / 10);
    let severity = SEVERITIES[n * 7 % 11 % SEVERITIES.len()];
    let common = PatchFacts {
        patch_id: id(),
        severity,
        classification: Classification::Security,
        release_date,
        cves,
        supersedes: vec![],
        out_of_band: n.is_multiple_of(200).then_some(OutOfBandReason::SecurityFix),
        ..world.patch_facts()
    };
    if n % 5 < 2 {
        let kb = format!("KB{}", 5_000_000 + n);
        let os = OsRelease { id: "windows".into(), version: system.into() };
        return PatchFacts {
            vendor_patch_id: kb.clone(),
            name: format!("{} Cumulative Update for {system} ({kb})", release_date.format("%Y-%m")),
            platform: DevicePlatform::Windows,
            os_versions: vec![system.into()],
            targets: vec![FixTarget::Kb { os, kb, fixed_build: None }],
            ..common
        };
    }
    let (vendor, name, version) = match n % 5 {
        2 => ("DSA", "Debian", ["11", "12"][n / 5 % 2]),
        3 => ("USN", "Ubuntu", ["20.04", "22.04"][n / 5 % 2]),
        _ => ("RHSA", "Red Hat Enterprise Linux", ["8", "9"][n / 5 % 2]),
    };
    let os = OsRelease { id: name.to_lowercase(), version: version.into() };
    let advisory = format!("{vendor}-{n}-1");
    PatchFacts {
        vendor_patch_id: advisory.clone(),
        name: format!("{package} security update"),
        os_versions: vec![format!("{name} {version}")],
        targets: vec![FixTarget::SourcePackage {
            os,
            source: package.into(),
            fixed_version: format!("1.{n}-1"),
        }],
        advisories: vec![advisory],
        ..common
    }
}

async fn fill(system: &System, world: &World) {
    let patches: Vec<_> = (0..PATCHES).map(|n| patch(world, n)).collect();
    let ids: Vec<PatchId> = patches.iter().map(|patch| patch.patch_id).collect();
    let published = patches.into_iter().map(|patch| Fact::of::<PatchEvent>(PatchPublished { patch }));
    // The newest of Windows are not replaced yet.
    let superseded = (0..PATCHES - 60).filter(|n| n % 5 < 2).map(|n| {
        let (patch_id, superseded_by) = (ids[n], ids[n + 60]);
        let superseded_by_vendor_id = String::new();
        Fact::of::<PatchEvent>(PatchSuperseded { patch_id, superseded_by, superseded_by_vendor_id })
    });
    let entry = KevEntry {
        date_added: NaiveDate::default(),
        due_date: None,
        ransomware: None,
        vendor: String::new(),
        product: String::new(),
        name: String::new(),
    };
    let listed = (0..600).map(|n| {
        let cve = format!("CVE-2025-{}", 10_000 + n * 50);
        Fact::of::<VulnerabilityEvent>(VulnerabilityAddedToKev { cve, entry: entry.clone() })
    });
    let facts: Vec<Fact> = published.chain(superseded).chain(listed).collect();
    for page in facts.chunks(500) {
        system.record(Tenant::PLATFORM, id::<PatchId>().0, page.to_vec()).await;
    }
}

fn search(kind: usize, number: usize) -> String {
    let n = number * 7_919 % PATCHES;
    let number = match SEARCHES[kind].0 {
        "exact vendor id" => n / 5 * 5 + 2,
        "exact KB" => 5_000_000 + n / 5 * 5,
        _ => 10_000 + n / 2,
    };
    let package = PACKAGES[n % PACKAGES.len()];
    let beginning = &number.to_string()[..number.to_string().len() - 1];
    let text = SEARCHES[kind].1.replace("{n2}", beginning);
    text.replace("{n}", &number.to_string()).replace("{package}", package)
}

fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)].as_secs_f64() * 1_000.0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement, for an optimised build and a quiet machine"]
async fn a_large_catalogue_is_searched_by_everything() {
    let system = System::start().await;
    let world = World::new("acker");
    world.record(&system).await;
    let begun = Instant::now();
    fill(&system, &world).await;
    let recorded = begun.elapsed();
    let who = world.subject(Role::CustomerApprover);
    system.sequence().await;
    // Each question waits for some seconds.
    while !codes(&system.ask(&who, "{ position }", Value::Null).await).is_empty() {}
    eprintln!("{PATCHES} patches recorded in {recorded:.1?}, in the views after {:.1?}", begun.elapsed());
    // What the server does by itself within the next minute.
    sqlx::raw_sql("vacuum analyze").execute(&mut system.database.owner().await).await.unwrap();

    for selection in ["", "totalCount "] {
        let query = format!(
            "query($search: PatchSearch) {{ patches(search: $search) {{ {selection}pageInfo {{ endCursor hasNextPage }}
             nodes {{ id vendorPatchId name platform severity state releaseDate isKev cves }} }} }}"
        );
        let clients = (0..CLIENTS).map(|client| {
            let (system, who, query) = (&system, &who, &query);
            async move {
                let mut times = Vec::new();
                for number in 0..SEARCHES_OF_A_CLIENT {
                    let kind = (number + client * 3) % SEARCHES.len();
                    let asked =
                        query.replace("search: $search", &format!("search: {}", search(kind, number)));
                    let asked = asked.replace("query($search: PatchSearch) ", "");
                    let begun = Instant::now();
                    let answer: Value =
                        system.request(who, &asked, &Value::Null).send().await.unwrap().json().await.unwrap();
                    times.push((
                        kind,
                        begun.elapsed(),
                        answer["data"]["patches"]["nodes"].as_array().unwrap().len(),
                    ));
                }
                times
            }
        });
        let times: Vec<_> = futures_util::future::join_all(clients).await.into_iter().flatten().collect();
        let mut all: Vec<_> = times.iter().map(|(_, time, _)| *time).collect();
        all.sort();
        eprintln!(
            "{CLIENTS} clients {selection}: p50 {:.1} ms, p99 {:.1} ms",
            percentile(&all, 50),
            percentile(&all, 99)
        );
        for (kind, (name, _)) in SEARCHES.iter().enumerate() {
            let of_kind = || times.iter().filter(move |(of, _, _)| *of == kind);
            let mut sorted: Vec<_> = of_kind().map(|(_, time, _)| *time).collect();
            sorted.sort();
            let most = of_kind().map(|(_, _, found)| *found).max().unwrap();
            eprintln!(
                "  {name:<34} p50 {:>6.1}  p99 {:>6.1}  {most:>3} found",
                percentile(&sorted, 50),
                percentile(&sorted, 99)
            );
            let nothing =
                ["frequent words that never meet", "a word that is nowhere", "filters that nothing passes"];
            assert_eq!(most == 0, nothing.contains(name), "{name}");
        }
    }
    system.stop().await;
}
