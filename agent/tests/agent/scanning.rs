//! What a scan finds, and what of it is sent.

use crate::device::{Device, Running, bare_command, job, signed, text};
use crate::server::{Server, TOKEN};
use contracts::agent::{Inventory, ScanReport, Work};
use contracts::devices::{AgentMode, AvailableUpdate, JobStep};
use contracts::{DevicePlatform, OsRelease, VersionOrder};
use std::os::unix::fs::PermissionsExt;

fn update(name: &str) -> AvailableUpdate {
    AvailableUpdate {
        name: name.to_owned(),
        installed_version: "1.0".to_owned(),
        candidate_version: "1.1".to_owned(),
        origin: "Patchfleet-Demo-Security:12/stable-security".to_owned(),
        security: true,
    }
}

#[test]
fn a_scan_shows_what_it_would_report_without_a_server() {
    let device = Device::new();
    let output = device.command(&["scan", "--json"]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let report: ScanReport = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report.os, OsRelease { id: "debian".to_owned(), version: "12".to_owned() });
    assert_eq!(report.available, [update("pfbad"), update("pfdemo")]);
    assert!(report.source.starts_with("apt: file:"), "{}", report.source);
    assert!(!report.pending_reboot);
    let Some(Inventory::Packages { packages, .. }) = report.inventory else { panic!("no packages") };
    let seen: Vec<_> =
        packages.iter().map(|p| [p.name.as_str(), &p.version, &p.source, &p.source_version]).collect();
    assert_eq!(seen, [["pfbad", "1.0", "pfbad", "1.0"], ["pfdemo", "1.0", "pfdemo", "1.0"]]);
    assert!(!device.state().exists(), "a scan without a server must not need a state folder");
}

#[test]
fn the_machine_itself_can_be_scanned_and_every_update_is_newer() {
    let output = bare_command(&["scan", "--json", "--mode", "scan_only"]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let report: ScanReport = serde_json::from_slice(&output.stdout).unwrap();
    let Some(Inventory::Packages { packages, .. }) = report.inventory else { panic!("no packages") };
    assert!(packages.iter().any(|p| p.name == "dpkg"));
    for update in &report.available {
        let versions = [&*update.candidate_version, "gt", &*update.installed_version];
        let newer =
            std::process::Command::new("dpkg").arg("--compare-versions").args(versions).status().unwrap();
        assert!(newer.success(), "{update:?}");
    }
}

#[test]
fn a_pending_restart_is_reported() {
    let device = Device::new();
    std::fs::write(device.debian.root().join("run/reboot-required"), "").unwrap();
    let output = device.command(&["scan", "--json"]).output().unwrap();
    let report: ScanReport = serde_json::from_slice(&output.stdout).unwrap();
    assert!(report.pending_reboot);
}

#[test]
fn the_inventory_is_sent_only_when_the_server_does_not_know_it() {
    let (server, device) = (Server::start(), Device::new());
    let agent = device.run(&server, &["--name", "db-1"]);
    let (first, second) = (job(&server, 1, Work::Scan), job(&server, 2, Work::Scan));
    server.give(signed(&server, &first));
    let told = server.wait_for_told("the same scan with its inventory", |told| {
        told.iter().any(|t| t.scan().is_some_and(|s| s.inventory.is_some()))
    });
    let scans: Vec<_> = told.iter().filter_map(|t| t.scan()).collect();
    assert_eq!(scans.len(), 2);
    assert_eq!(scans[0].inventory, None);
    assert_eq!(
        ScanReport { inventory: None, ..scans[1].clone() },
        *scans[0],
        "the same report, but for the content"
    );

    server.give(signed(&server, &second));
    let again = server.wait_for_scan(second.job_id);
    assert_eq!(again.inventory, None);
    assert_eq!(again.inventory_hash, scans[0].inventory_hash);
    assert_eq!(server.steps(second.job_id), [JobStep::Acknowledged]);
    assert!(server.told().iter().all(|t| t.traceparent() == Some(crate::device::TRACEPARENT)));

    let enrolment = server.enrolment();
    assert_eq!((enrolment.name.as_str(), enrolment.mode), ("db-1", AgentMode::Full));
    assert_eq!(enrolment.os_name, "Debian GNU/Linux 12 (bookworm)");
    let mode =
        |path: &str| std::fs::metadata(device.state().join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(""), mode("device.key"), mode("identity.json")), (0o700, 0o600, 0o600));
    assert!(agent.terminate().success());
}

#[test]
fn a_recorded_windows_answer_goes_the_same_way_and_installs_nothing() {
    let (server, device) = (Server::start(), Device::new());
    let answer = device.folder().join("windows.json");
    let content = include_str!("../../packaging/windows-update.example.json");
    std::fs::write(&answer, content).unwrap();
    let _agent = Running::start(
        bare_command(&["run", "--server", &server.url, "--token", TOKEN, "--backend", "recorded"])
            .arg("--state-folder")
            .arg(device.state())
            .arg("--recorded-answer")
            .arg(&answer),
    );
    server.wait_until_enrolled();
    assert_eq!(server.enrolment().platform, DevicePlatform::Windows);
    let scan = job(&server, 1, Work::Scan);
    server.give(signed(&server, &scan));
    let report = server.wait_for_scan(scan.job_id);
    assert_eq!(report.os.key(), "windows:Windows 11 Version 22H2 for x64-based Systems");
    assert_eq!(report.available[0].name, "KB5034123");

    let install = job(&server, 2, crate::device::install(&[("pfdemo", "1.1")]));
    server.give(signed(&server, &install));
    server.wait_for_scan(install.job_id);
    let steps = server.steps(install.job_id);
    assert!(matches!(&steps[1], JobStep::Failed { class, .. } if class == "unsupported"), "{steps:?}");
}

#[test]
fn an_alpine_root_is_scanned_and_an_install_is_refused() {
    let (server, device) = (Server::start(), Device::new());
    let root = device.folder().join("alpine");
    std::fs::create_dir_all(root.join("lib/apk/db")).unwrap();
    std::fs::create_dir_all(root.join("etc")).unwrap();
    let release = "ID=alpine\nVERSION_ID=3.18.4\nPRETTY_NAME=\"Alpine Linux v3.18\"\n";
    std::fs::write(root.join("etc/os-release"), release).unwrap();
    let database =
        "P:libcrypto3\nV:3.1.4-r0\nA:x86_64\no:openssl\n\nP:musl\nV:1.2.4-r2\nA:x86_64\no:musl\n\n";
    std::fs::write(root.join("lib/apk/db/installed"), database).unwrap();
    let _agent = Running::start(
        bare_command(&["run", "--server", &server.url, "--token", TOKEN, "--backend", "apk"])
            .arg("--state-folder")
            .arg(device.state())
            .arg("--root")
            .arg(&root),
    );
    server.wait_until_enrolled();
    let scan = job(&server, 1, Work::Scan);
    server.give(signed(&server, &scan));
    let told = server.wait_for_told("a scan with its inventory", |told| {
        told.iter().any(|t| t.scan().is_some_and(|s| s.inventory.is_some()))
    });
    let report = told.iter().filter_map(|t| t.scan()).find(|s| s.inventory.is_some()).unwrap();
    assert_eq!(report.os.key(), "alpine:3.18.4");
    let Some(Inventory::Packages { order, packages }) = &report.inventory else { panic!("{report:?}") };
    assert_eq!(*order, VersionOrder::Apk);
    let seen: Vec<_> = packages.iter().map(|p| [p.name.as_str(), &p.version, &p.source]).collect();
    assert_eq!(seen, [["libcrypto3", "3.1.4-r0", "openssl"], ["musl", "1.2.4-r2", "musl"]]);

    let install = job(&server, 2, crate::device::install(&[("musl", "1.2.4-r3")]));
    server.give(signed(&server, &install));
    server.wait_for_scan(install.job_id);
    let steps = server.steps(install.job_id);
    assert!(matches!(&steps[1], JobStep::Failed { class, .. } if class == "unsupported"), "{steps:?}");
}

#[test]
fn a_machine_without_rpm_is_told_so() {
    let has_rpm = ["/usr/bin/rpm", "/bin/rpm", "/usr/local/bin/rpm"].map(std::path::Path::new);
    if has_rpm.iter().any(|path| path.exists()) {
        return;
    }
    let output = bare_command(&["scan", "--backend", "rpm"]).output().unwrap();
    assert!(!output.status.success());
    assert!(text(&output).contains("agent.tool_failed"), "{}", text(&output));
    assert!(text(&output).contains("rpm: is not installed here"), "{}", text(&output));
}
