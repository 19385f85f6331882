//! Jobs, tokens and settings that must not pass.

use crate::device::{Device, install, job, signed, text};
use crate::server::{Server, TOKEN};
use chrono::TimeDelta;
use contracts::agent::{Job, SignedJob, Work};
use contracts::devices::JobStep;
use ed25519_dalek::SigningKey;
use kernel::{DeviceId, JobId};
use uuid::Uuid;

fn code(steps: &[JobStep]) -> &str {
    match steps {
        [JobStep::Refused { code, reason }] if !reason.is_empty() => code,
        other => panic!("{other:?}"),
    }
}

#[test]
fn forged_foreign_expired_and_older_jobs_are_refused_and_nothing_is_installed() {
    let (server, device) = (Server::start(), Device::new());
    let _agent = device.run(&server, &[]);
    let work = || install(&[("pfdemo", "1.1")]);

    let forged = job(&server, 1, work());
    server.give(signing::sign_job(&SigningKey::from_bytes(&[9; 32]), &forged));
    let unsigned = job(&server, 2, work());
    server.give(SignedJob { signature: String::new(), ..signed(&server, &unsigned) });
    let foreign = Job { device_id: DeviceId(Uuid::from_u128(8)), ..job(&server, 3, work()) };
    server.give(signed(&server, &foreign));
    let expired = Job {
        expires_at: patchfleet_agent::clock::now() - TimeDelta::seconds(1),
        ..job(&server, 10, work())
    };
    server.give(signed(&server, &expired));
    let older = job(&server, 9, work());
    server.give(signed(&server, &older));
    let good = job(&server, 11, Work::Scan);
    server.give(signed(&server, &good));

    server.wait_for_scan(good.job_id);
    let silent = |job: &Job| server.steps(job.job_id).is_empty();
    assert!(silent(&forged) && silent(&unsigned) && silent(&foreign), "nobody to tell: {:?}", server.told());
    assert_eq!(code(&server.steps(expired.job_id)), "agent.job_expired");
    assert_eq!(code(&server.steps(older.job_id)), "agent.job_outdated");
    assert_eq!(device.debian.version_of("pfdemo").unwrap().as_deref(), Some("1.0"));
}

#[test]
fn a_scan_only_agent_refuses_to_install() {
    let (server, device) = (Server::start(), Device::new());
    let _agent = device.run(&server, &["--mode", "scan_only"]);
    let refused = job(&server, 1, install(&[("pfdemo", "1.1")]));
    server.give(signed(&server, &refused));
    let scan = job(&server, 2, Work::Scan);
    server.give(signed(&server, &scan));
    server.wait_for_scan(scan.job_id);
    assert_eq!(code(&server.steps(refused.job_id)), "agent.scan_only");
    assert_eq!(device.debian.version_of("pfdemo").unwrap().as_deref(), Some("1.0"));
}

#[test]
fn a_refused_token_ends_the_agent_with_the_servers_code() {
    let (server, device) = (Server::start(), Device::new());
    let output = device.command(&["run", "--server", &server.url, "--token", "wrong"]).output().unwrap();
    assert!(!output.status.success());
    assert!(text(&output).contains("devices.token_refused"), "{}", text(&output));

    let enrol = || device.command(&["enrol", "--server", &server.url, "--token", TOKEN]).output().unwrap();
    assert!(enrol().status.success());
    let again = enrol();
    assert!(!again.status.success() && text(&again).contains("agent.already_enrolled"), "{}", text(&again));
    let status = device.command(&["status"]).output().unwrap();
    assert!(text(&status).contains(&server.device_id.to_string()), "{}", text(&status));
}

#[test]
fn two_agents_cannot_share_a_state_folder() {
    let (server, device) = (Server::start(), Device::new());
    let _agent = device.run(&server, &[]);
    server.wait_for_check_in();
    let second = device.command(&["run", "--server", &server.url]).output().unwrap();
    assert!(!second.status.success());
    assert!(text(&second).contains("agent.state_in_use"), "{}", text(&second));
}

#[test]
fn a_report_refused_for_good_is_set_aside_and_does_not_hold_up_the_next() {
    let (server, device) = (Server::start(), Device::new());
    let _agent = device.run(&server, &[]);
    server.wait_for_check_in();
    server.be(crate::server::Mood::RefusesSteps);
    let scan = job(&server, 1, Work::Scan);
    server.give(signed(&server, &scan));
    server.wait_for_scan(scan.job_id);
    let aside = std::fs::read_dir(device.state().join("refused")).unwrap().count();
    assert_eq!((aside, server.steps(JobId(scan.job_id.0)).len()), (1, 0));
}
