//! What is let through, and the code of what is not.

use super::{InvalidReport, check_enrolment, check_in, check_job, check_scan, inventory_hash, token_hash};
use chrono::{DateTime, TimeDelta, Utc};
use contracts::{
    DevicePlatform, OsRelease, VersionOrder,
    agent::{EnrolRequest, InstalledPackage, Inventory, JobReport, ScanReport},
    devices::{AgentMode, AvailableUpdate, JobStep, PackageVersion},
};
use kernel::Refused;
use uuid::Uuid;

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn bookworm() -> OsRelease {
    OsRelease { id: "debian".to_owned(), version: "12".to_owned() }
}

fn package(name: &str, version: &str) -> InstalledPackage {
    InstalledPackage {
        name: name.to_owned(),
        version: version.to_owned(),
        architecture: "amd64".to_owned(),
        source: name.to_owned(),
        source_version: version.to_owned(),
        module: None,
    }
}

fn report(inventory: Inventory) -> ScanReport {
    ScanReport {
        report_id: Uuid::from_u128(1),
        job_id: None,
        scanned_at: now(),
        os: bookworm(),
        inventory_hash: inventory_hash(&bookworm(), &inventory),
        inventory: Some(inventory),
        available: vec![],
        source: "apt: http://deb.debian.org/debian bookworm".to_owned(),
        pending_reboot: false,
    }
}

fn of_packages(packages: Vec<InstalledPackage>) -> ScanReport {
    report(Inventory::Packages { order: VersionOrder::Dpkg, packages })
}

fn code(report: &ScanReport) -> Option<&'static str> {
    check_scan(report, DevicePlatform::Linux, now()).err().map(|invalid| invalid.code())
}

#[test]
fn a_good_report_is_taken() {
    let names = ["bash", "libstdc++6", "g++-12", "0ad", "libX11-6"];
    let list = names.iter().map(|name| package(name, "1:5.2.15-2+b2")).collect();
    assert_eq!(code(&of_packages(list)), None);
}

#[test]
fn ten_thousand_packages_are_taken_and_one_more_is_not() {
    let many = |n: usize| of_packages((0..n).map(|n| package(&format!("p{n}"), "1")).collect());
    assert_eq!(code(&many(10_000)), None);
    assert_eq!(code(&many(10_001)), Some("devices.too_many_packages"));
}

#[test]
fn a_wrong_hash_is_refused() {
    let mut wrong = of_packages(vec![package("bash", "1")]);
    wrong.inventory_hash = "0".repeat(64);
    assert_eq!(code(&wrong), Some("devices.inventory_hash_mismatch"));
    wrong.inventory_hash = "XYZ".to_owned();
    assert_eq!(code(&wrong), Some("devices.invalid_inventory_hash"));
}

#[test]
fn names_and_versions_that_dpkg_refuses_are_refused() {
    for name in ["", "-bash", "ba sh", "bash;rm", "é"] {
        assert_eq!(
            code(&of_packages(vec![package(name, "1")])),
            Some("devices.invalid_package_name"),
            "{name}"
        );
    }
    for version in ["", "1 0", "not/a/version", "1:", "1.0\u{0}"] {
        assert_eq!(
            code(&of_packages(vec![package("bash", version)])),
            Some("devices.invalid_version"),
            "{version}"
        );
    }
}

#[test]
fn versions_are_checked_by_the_rules_of_their_package_manager() {
    for (order, version, expected) in [
        (VersionOrder::Dpkg, "1.0^git1-1", Some("devices.invalid_version")),
        (VersionOrder::Rpm, "1.0^git1-1", None),
        (VersionOrder::Rpm, "1:3.0.7-24.el9_3.1", None),
        (VersionOrder::Rpm, "3.0.7-24-1", Some("devices.invalid_version")),
        (VersionOrder::Apk, "3.0.12_p1-r4", None),
        (VersionOrder::Apk, "1:3.0.12-r4", Some("devices.invalid_version")),
    ] {
        let packages = vec![package("openssl", version)];
        assert_eq!(code(&report(Inventory::Packages { order, packages })), expected, "{order:?} {version}");
    }
    let mut modular = package("nodejs", "18.19.0-1");
    modular.module = Some("nodejs\n".to_owned());
    let modular = Inventory::Packages { order: VersionOrder::Rpm, packages: vec![modular] };
    assert_eq!(code(&report(modular)), Some("devices.invalid_text"));
}

#[test]
fn the_hash_of_what_older_agents_report_stays_the_same() {
    let old = r#"{"kind":"packages","packages":[{"name":"bash","version":"1","architecture":"amd64","source":"bash","source_version":"1"}]}"#;
    let read: Inventory = serde_json::from_str(old).unwrap();
    assert_eq!(read, Inventory::Packages { order: VersionOrder::Dpkg, packages: vec![package("bash", "1")] });
    assert_eq!(serde_json::to_string(&read).unwrap(), old);
}

#[test]
fn an_inventory_of_the_wrong_kind_is_refused() {
    let updates = |kb: &str| {
        report(Inventory::WindowsUpdates {
            installed: vec![kb.to_owned()],
            applicable: vec![],
            build: "10.0.22621.3007".to_owned(),
        })
    };
    assert_eq!(code(&updates("KB1")), Some("devices.inventory_kind"));
    let windows = |kb: &str| check_scan(&updates(kb), DevicePlatform::Windows, now());
    assert_eq!(windows("KB5034123"), Ok(()));
    assert_eq!(windows("5034123").unwrap_err().code(), "devices.invalid_kb");
}

#[test]
fn too_many_updates_and_unprintable_texts_are_refused() {
    let update = AvailableUpdate {
        name: "bash".to_owned(),
        installed_version: "1".to_owned(),
        candidate_version: "2".to_owned(),
        origin: String::new(),
        security: false,
    };
    let good = of_packages(vec![]);
    let many = ScanReport { available: vec![update.clone(); 10_001], ..good.clone() };
    assert_eq!(code(&many), Some("devices.too_many_updates"));
    let odd = AvailableUpdate { origin: "a\u{7}".to_owned(), ..update };
    assert_eq!(code(&ScanReport { available: vec![odd], ..good.clone() }), Some("devices.invalid_text"));
    assert_eq!(code(&ScanReport { source: String::new(), ..good }), Some("devices.invalid_text"));
}

#[test]
fn a_clock_that_cannot_be_right_is_refused() {
    for at in [DateTime::UNIX_EPOCH, now() + TimeDelta::days(2), DateTime::<Utc>::MAX_UTC] {
        let report = ScanReport { scanned_at: at, ..of_packages(vec![]) };
        assert_eq!(code(&report), Some("devices.implausible_time"));
    }
}

#[test]
fn an_enrolment_with_an_endless_name_is_refused() {
    let mut request = EnrolRequest {
        token: "secret".to_owned(),
        public_key: String::new(),
        name: "srv-12.example.org".to_owned(),
        platform: DevicePlatform::Linux,
        os: bookworm(),
        os_name: "Debian GNU/Linux 12 (bookworm)".to_owned(),
        mode: AgentMode::Full,
        agent_version: "0.1.0".to_owned(),
    };
    assert_eq!(check_enrolment(&request), Ok(()));
    request.name = "a".repeat(254);
    assert_eq!(
        check_enrolment(&request),
        Err(InvalidReport::InvalidText { field: "name", max: super::NAME_BYTES_MAX })
    );
}

#[test]
fn a_failure_names_a_class_that_alerts_know_and_a_reason() {
    let failed = |class: &str, reason: &str| JobReport {
        report_id: Uuid::from_u128(1),
        occurred_at: now(),
        report: JobStep::Failed { class: class.to_owned(), reason: reason.to_owned() },
    };
    assert_eq!(check_job(&failed("disk_full", "no space\nleft"), now()), Ok(()));
    assert_eq!(
        check_job(&failed("bad_luck", "x"), now()).unwrap_err().code(),
        "devices.invalid_failure_class"
    );
    assert_eq!(check_job(&failed("other", ""), now()).unwrap_err().code(), "devices.invalid_text");
}

#[test]
fn a_check_in_names_a_hash_or_none() {
    assert_eq!(check_in(None, "0.1.0"), Ok(()));
    assert_eq!(check_in(Some(&token_hash("x")), "0.1.0"), Ok(()));
    assert_eq!(check_in(Some("x"), "0.1.0"), Err(InvalidReport::InvalidInventoryHash));
}

/// The report once per text in it, with that text ending in a character that PostgreSQL does not keep.
fn damaged<R: Clone, const N: usize>(report: &R, texts: [fn(&mut R) -> &mut String; N]) -> [R; N] {
    texts.map(|text| {
        let mut report = report.clone();
        text(&mut report).push('\0');
        report
    })
}

fn packages(report: &mut ScanReport) -> &mut InstalledPackage {
    match &mut report.inventory {
        Some(Inventory::Packages { packages, .. }) => &mut packages[1],
        Some(Inventory::WindowsUpdates { .. }) | None => panic!("not of a Linux device"),
    }
}

fn windows(report: &mut ScanReport) -> [&mut String; 3] {
    match &mut report.inventory {
        Some(Inventory::WindowsUpdates { installed, applicable, build }) => {
            [&mut installed[0], &mut applicable[0], build]
        }
        Some(Inventory::Packages { .. }) | None => panic!("not of a Windows device"),
    }
}

#[test]
fn no_text_of_a_scan_holds_what_the_database_cannot_keep() {
    let update = AvailableUpdate {
        name: "bash".to_owned(),
        installed_version: "1".to_owned(),
        candidate_version: "2".to_owned(),
        origin: "Debian-Security:12/stable-security".to_owned(),
        security: true,
    };
    let linux = ScanReport {
        available: vec![update],
        ..of_packages(vec![package("bash", "1"), package("dash", "1")])
    };
    assert_eq!(check_scan(&linux, DevicePlatform::Linux, now()), Ok(()));
    let linux = damaged(
        &linux,
        [
            |report| &mut report.source,
            |report| &mut report.os.id,
            |report| &mut report.os.version,
            |report| &mut report.available[0].name,
            |report| &mut report.available[0].installed_version,
            |report| &mut report.available[0].candidate_version,
            |report| &mut report.available[0].origin,
            |report| &mut packages(report).name,
            |report| &mut packages(report).version,
            |report| &mut packages(report).architecture,
            |report| &mut packages(report).source,
            |report| &mut packages(report).source_version,
        ],
    );
    let updates = Inventory::WindowsUpdates {
        installed: vec!["KB5034123".to_owned()],
        applicable: vec!["KB5034124".to_owned()],
        build: "10.0.22621.3007".to_owned(),
    };
    let updates = report(updates);
    assert_eq!(check_scan(&updates, DevicePlatform::Windows, now()), Ok(()));
    let [installed, applicable, build]: [fn(&mut ScanReport) -> &mut String; 3] =
        [|report| windows(report)[0], |report| windows(report)[1], |report| windows(report)[2]];
    let updates = damaged(&updates, [installed, applicable, build]);
    for (platform, reports) in [(DevicePlatform::Linux, &linux[..]), (DevicePlatform::Windows, &updates[..])]
    {
        for report in reports {
            // The hash is right: only the text itself can be what is refused.
            let hash = report.inventory.as_ref().map(|content| inventory_hash(&report.os, content));
            let report = ScanReport { inventory_hash: hash.unwrap_or_default(), ..report.clone() };
            assert!(check_scan(&report, platform, now()).is_err(), "{report:?}");
        }
    }
}

#[test]
fn no_text_of_an_enrolment_or_check_in_holds_what_the_database_cannot_keep() {
    let request = EnrolRequest {
        token: "secret".to_owned(),
        public_key: String::new(),
        name: "srv-12.example.org".to_owned(),
        platform: DevicePlatform::Linux,
        os: bookworm(),
        os_name: "Debian GNU/Linux 12 (bookworm)".to_owned(),
        mode: AgentMode::Full,
        agent_version: "0.1.0".to_owned(),
    };
    let requests = damaged(
        &request,
        [
            |request| &mut request.token,
            |request| &mut request.name,
            |request| &mut request.os.id,
            |request| &mut request.os.version,
            |request| &mut request.os_name,
            |request| &mut request.agent_version,
        ],
    );
    for request in requests {
        assert!(check_enrolment(&request).is_err(), "{request:?}");
    }
    assert!(check_in(None, "0.1.0\0").is_err());
    assert!(check_in(Some(&format!("{}\0", "0".repeat(63))), "0.1.0").is_err());
}

#[test]
fn no_text_about_a_job_holds_what_the_database_cannot_keep() {
    let (good, bad) = (|| "as apt says".to_owned(), || "as apt\0says".to_owned());
    let package = |name: String, version: String| JobStep::Installed {
        packages: vec![PackageVersion { name, version }],
    };
    let refused = |code: String, reason: String| JobStep::Refused { code, reason };
    let failed = |class: &str, reason: String| JobStep::Failed { class: class.to_owned(), reason };
    let check = |step: JobStep| {
        let report = JobReport { report_id: Uuid::from_u128(1), occurred_at: now(), report: step };
        check_job(&report, now())
    };
    for step in [
        package(good(), good()),
        refused(good(), good()),
        failed("other", good()),
        JobStep::Downloading { source: good() },
    ] {
        assert_eq!(check(step), Ok(()));
    }
    for step in [
        package(bad(), good()),
        package(good(), bad()),
        refused(bad(), good()),
        refused(good(), bad()),
        failed("other\0", good()),
        failed("other", bad()),
        JobStep::Downloading { source: bad() },
    ] {
        assert!(check(step.clone()).is_err(), "{step:?}");
    }
}
