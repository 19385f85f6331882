//! The server is away, or its answers are lost: nothing is lost and nothing is doubled.

use crate::device::{Device, job, signed};
use crate::server::{Mood, Server, Told};
use contracts::agent::Work;
use std::collections::HashSet;
use uuid::Uuid;

fn ids(told: &[Told]) -> Vec<Uuid> {
    told.iter().map(Told::report_id).collect()
}

#[test]
fn reports_outlive_server_and_agent_and_keep_their_ids_and_times() {
    let (server, device) = (Server::start(), Device::new());
    let agent = device.run(&server, &[]);
    server.wait_for_check_in();
    let scan = job(&server, 1, Work::Scan);
    server.give(signed(&server, &scan));
    // As soon as the job is taken, every report is in vain.
    server.wait_for_told("the acknowledgement", |told| !told.is_empty());
    server.be(Mood::Away);
    server.wait_until_hung_up(2);
    agent.kill();
    let queued = device.queued_report_ids();
    assert!(!queued.is_empty());
    let before = patchfleet_agent::clock::now();

    server.be(Mood::Well);
    let _agent = device.run(&server, &[]);
    let report = server.wait_for_scan(scan.job_id);
    assert!(queued.contains(&report.report_id), "{queued:?} {report:?}");
    assert!(report.scanned_at < before, "the time is that of the scan, not of the sending");
    let next = job(&server, 2, Work::Scan);
    server.give(signed(&server, &next));
    server.wait_for_scan(next.job_id);
    let steps: Vec<Uuid> = ids(&server.told().into_iter().filter(|t| t.step().is_some()).collect::<Vec<_>>());
    assert_eq!(steps.len(), steps.iter().collect::<HashSet<_>>().len(), "no step was sent twice: {steps:?}");
}

#[test]
fn a_report_whose_answer_was_lost_is_sent_again_with_the_same_id() {
    let (server, device) = (Server::start(), Device::new());
    let _agent = device.run(&server, &[]);
    server.wait_for_check_in();
    server.be(Mood::LosesOneAnswer);
    let scan = job(&server, 1, Work::Scan);
    server.give(signed(&server, &scan));
    server.wait_for_scan(scan.job_id);
    let told = server.told();
    let seen = ids(&told);
    assert_eq!(seen[0], seen[1], "the acknowledgement came twice, as one report: {told:#?}");
    assert!(told[0].step().is_some() && told[0].step() == told[1].step());
}
