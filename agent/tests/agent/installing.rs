//! Jobs that install, by the real apt and dpkg.

use crate::device::{Device, install, job, signed};
use crate::server::Server;
use contracts::agent::Inventory;
use contracts::devices::{JobStep, PackageVersion};
use journeys::debian_root::Postinst;

fn names(steps: &[JobStep]) -> Vec<&'static str> {
    let name = |step: &JobStep| match step {
        JobStep::Acknowledged => "acknowledged",
        JobStep::Refused { .. } => "refused",
        JobStep::Downloading { .. } => "downloading",
        JobStep::Installing => "installing",
        JobStep::PendingReboot => "pending reboot",
        JobStep::Installed { .. } => "installed",
        JobStep::Failed { .. } => "failed",
    };
    steps.iter().map(name).collect()
}

fn version_in(inventory: Option<&Inventory>, name: &str) -> String {
    let Some(Inventory::Packages { packages, .. }) = inventory else { panic!("no packages") };
    packages.iter().find(|p| p.name == name).unwrap().version.clone()
}

#[test]
fn a_job_installs_what_it_names_and_a_scan_proves_it() {
    let (server, device) = (Server::start(), Device::new());
    let _agent = device.run(&server, &[]);
    let job = job(&server, 1, install(&[("pfdemo", "1.0.5")]));
    server.give(signed(&server, &job));
    let told = server.wait_for_told("the inventory after the install", |told| {
        told.iter().any(|t| t.scan().is_some_and(|s| s.inventory.is_some()))
    });
    let steps = server.steps(job.job_id);
    assert_eq!(names(&steps), ["acknowledged", "downloading", "installing", "installed"]);
    assert!(
        matches!(&steps[1], JobStep::Downloading { source } if source.starts_with("apt: file:")),
        "{steps:?}"
    );
    let changed = vec![PackageVersion { name: "pfdemo".to_owned(), version: "1.1".to_owned() }];
    assert_eq!(steps[3], JobStep::Installed { packages: changed });

    let scan = told.last().and_then(|t| t.scan()).unwrap();
    assert_eq!(scan.job_id, Some(job.job_id));
    assert_eq!(version_in(scan.inventory.as_ref(), "pfdemo"), "1.1");
    assert_eq!(scan.available.len(), 1, "pfbad is still offered: {:?}", scan.available);
    assert_eq!(device.debian.version_of("pfdemo").unwrap().as_deref(), Some("1.1"));
    assert_eq!(device.debian.version_of("pfbad").unwrap().as_deref(), Some("1.0"), "it was not in the job");
}

#[test]
fn a_failing_maintainer_script_is_told_with_dpkgs_own_words_and_does_not_count_as_installed() {
    let (server, device) = (Server::start(), Device::new());
    let _agent = device.run(&server, &[]);
    let bad = job(&server, 1, install(&[("pfbad", "1.1")]));
    server.give(signed(&server, &bad));
    let told = server.wait_for_told("the inventory after the failure", |told| {
        told.iter().any(|t| t.scan().is_some_and(|s| s.inventory.is_some()))
    });
    let steps = server.steps(bad.job_id);
    assert_eq!(names(&steps), ["acknowledged", "downloading", "installing", "failed"]);
    let JobStep::Failed { class, reason } = &steps[3] else { panic!("{steps:?}") };
    assert_eq!(class, "install_script");
    assert!(reason.contains("pfbad: cannot migrate its settings"), "{reason}");
    assert!(reason.contains("post-installation script subprocess returned error exit status 1"), "{reason}");
    let scan = told.last().and_then(|t| t.scan()).unwrap();
    assert_eq!(version_in(scan.inventory.as_ref(), "pfbad"), "1.0", "unpacked is not installed");

    // A package that is broken already must not fail the next job for another one.
    let good = job(&server, 2, install(&[("pfdemo", "1.1")]));
    server.give(signed(&server, &good));
    server.wait_for_scan(good.job_id);
    assert_eq!(names(&server.steps(good.job_id)).last(), Some(&"installed"));
    assert_eq!(device.debian.version_of("pfdemo").unwrap().as_deref(), Some("1.1"));
}

#[test]
fn what_the_sources_do_not_offer_is_not_installed() {
    let (server, device) = (Server::start(), Device::new());
    let _agent = device.run(&server, &[]);
    let job = job(&server, 1, install(&[("pfdemo", "1.2")]));
    server.give(signed(&server, &job));
    server.wait_for_scan(job.job_id);
    let steps = server.steps(job.job_id);
    let JobStep::Failed { class, reason } = &steps[1] else { panic!("{steps:?}") };
    assert_eq!((class.as_str(), reason.contains("1.2")), ("not_offered", true), "{reason}");
    assert_eq!(device.debian.version_of("pfdemo").unwrap().as_deref(), Some("1.0"));
}

#[test]
fn a_name_that_is_an_option_for_apt_is_refused_before_apt_sees_it() {
    let (server, device) = (Server::start(), Device::new());
    let _agent = device.run(&server, &[]);
    let hostile = ["--purge", "pfdemo/stable", "-o=Dpkg::Options::=--help", "pfdemo=1.1", "*"];
    for (number, name) in (1..).zip(hostile) {
        let job = job(&server, number, install(&[(name, "1.1")]));
        server.give(signed(&server, &job));
        server.wait_for_scan(job.job_id);
        let steps = server.steps(job.job_id);
        assert_eq!(names(&steps), ["acknowledged", "failed"], "{steps:?}");
        assert!(
            matches!(&steps[1], JobStep::Failed { reason, .. } if reason.contains("is not a package")),
            "{steps:?}"
        );
    }
    assert_eq!(device.debian.version_of("pfdemo").unwrap().as_deref(), Some("1.0"));
}

#[test]
fn what_is_there_already_needs_no_install() {
    let (server, device) = (Server::start(), Device::new());
    let _agent = device.run(&server, &[]);
    let job = job(&server, 1, install(&[("pfdemo", "1.0")]));
    server.give(signed(&server, &job));
    server.wait_for_scan(job.job_id);
    let steps = server.steps(job.job_id);
    assert_eq!(steps, [JobStep::Acknowledged, JobStep::Installed { packages: vec![] }]);
}

#[test]
fn an_agent_killed_while_installing_tells_so_and_does_not_install_again() {
    let (server, device) = (Server::start(), Device::new());
    device.debian.publish("pfdemo", "1.2", Postinst::Waits).unwrap();
    let agent = device.run(&server, &[]);
    let job = job(&server, 1, install(&[("pfdemo", "1.2")]));
    server.give(signed(&server, &job));
    server.wait_for_told("the install's begin", |told| {
        told.iter().any(|t| t.step() == Some(&JobStep::Installing))
    });
    agent.kill();
    std::fs::write(device.debian.root().join("tmp/go"), "").unwrap();

    let agent = device.run(&server, &[]);
    server.wait_for_scan(job.job_id);
    // The same job once more, as a server does that has not heard of its end.
    server.give(signed(&server, &job));
    let next = crate::device::job(&server, 2, contracts::agent::Work::Scan);
    server.give(signed(&server, &next));
    server.wait_for_scan(next.job_id);
    let steps = server.steps(job.job_id);
    assert_eq!(names(&steps), ["acknowledged", "downloading", "installing", "failed"]);
    assert!(matches!(&steps[3], JobStep::Failed { class, .. } if class == "interrupted"), "{steps:?}");
    assert!(agent.terminate().success());
}
