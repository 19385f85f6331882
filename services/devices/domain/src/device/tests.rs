//! Given, when, then for devices.

use super::{Command, DELTAS_MAX, Device, Refusal, Scan, Seen, State};
use crate::applicability::{Finding, Reason};
use chrono::{DateTime, Utc};
use contracts::{
    DevicePlatform, OsRelease,
    devices::{
        AgentEnrolled, AgentMode, AvailableUpdate, AvailableUpdatesChanged, DeviceCameOnline, DeviceEvent,
        DeviceExposureChanged, DeviceRegionChanged, DeviceWentOffline, JobDelivered, JobReported, JobStep,
        MissingPackage, PatchFoundInstalled, PatchFoundMissing, PatchNoLongerApplicable, ScanCompleted,
        ScanFailed,
    },
};
use kernel::{Aggregate, CustomerId, DeviceId, JobId, PatchId, fold};
use proptest::prelude::*;
use scenario::given;
use std::collections::BTreeMap;
use uuid::Uuid;

const DEVICE: DeviceId = DeviceId(Uuid::from_u128(1));
const JOB: JobId = JobId(Uuid::from_u128(2));

fn noon() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn agent(public_key: &str) -> AgentEnrolled {
    AgentEnrolled {
        device_id: DEVICE,
        customer_id: CustomerId(Uuid::from_u128(3)),
        name: "srv-12".to_owned(),
        platform: DevicePlatform::Linux,
        os: OsRelease { id: "debian".to_owned(), version: "12".to_owned() },
        os_name: "Debian GNU/Linux 12 (bookworm)".to_owned(),
        public_key: public_key.to_owned(),
        mode: AgentMode::Full,
        agent_version: "0.1.0".to_owned(),
    }
}

fn enrolled() -> DeviceEvent {
    agent("key").into()
}

fn online() -> DeviceEvent {
    DeviceCameOnline { device_id: DEVICE }.into()
}

fn patch(n: u128) -> PatchId {
    PatchId(Uuid::from_u128(n))
}

fn packages(version: &str) -> Vec<MissingPackage> {
    vec![MissingPackage {
        name: "bash".to_owned(),
        installed_version: version.to_owned(),
        fixed_version: "9".to_owned(),
    }]
}

fn missing(n: u128, version: &str) -> DeviceEvent {
    PatchFoundMissing { device_id: DEVICE, patch_id: patch(n), packages: packages(version) }.into()
}

fn installed(n: u128) -> DeviceEvent {
    PatchFoundInstalled { device_id: DEVICE, patch_id: patch(n), job_id: Some(JOB) }.into()
}

fn gone(n: u128, reason: &str) -> DeviceEvent {
    PatchNoLongerApplicable { device_id: DEVICE, patch_id: patch(n), reason: reason.to_owned() }.into()
}

fn delivered() -> DeviceEvent {
    JobDelivered { device_id: DEVICE, job_id: JOB }.into()
}

fn reported(report: JobStep) -> DeviceEvent {
    JobReported { device_id: DEVICE, job_id: JOB, report }.into()
}

fn exposed(exposed: bool) -> DeviceEvent {
    DeviceExposureChanged { device_id: DEVICE, exposed }.into()
}

fn stands(region: Option<&str>) -> DeviceEvent {
    DeviceRegionChanged { device_id: DEVICE, region: region.map(str::to_owned) }.into()
}

fn put(region: Option<&str>) -> Command {
    Command::SetRegion { region: region.map(str::to_owned) }
}

fn says(step: JobStep, is_scan: bool) -> Command {
    Command::Report { job_id: JOB, step, is_scan }
}

fn scan(findings: impl IntoIterator<Item = (u128, Finding)>) -> Scan {
    Scan {
        job_id: Some(JOB),
        inventory_hash: "ab".repeat(32),
        item_count: 3,
        source: "apt".to_owned(),
        pending_reboot: false,
        available: vec![],
        findings: findings.into_iter().map(|(n, finding)| (patch(n), finding)).collect(),
        catalogue_position: 7,
    }
}

fn compare(findings: impl IntoIterator<Item = (u128, Finding)>, seen: Seen) -> Command {
    Command::Compare { findings: scan(findings).findings, seen }
}

fn completed(missing: u32) -> DeviceEvent {
    ScanCompleted {
        device_id: DEVICE,
        job_id: Some(JOB),
        inventory_hash: "ab".repeat(32),
        item_count: 3,
        source: "apt".to_owned(),
        pending_reboot: false,
        catalogue_position: 7,
        missing,
    }
    .into()
}

/// Every scan is a fact of its own, so that `then`, which sends a command twice, does not fit.
fn scanned(past: &[DeviceEvent], scan: Scan) -> Vec<DeviceEvent> {
    Device::decide(&fold::<Device>(past), Command::RecordScan(Box::new(scan))).unwrap()
}

#[test]
fn an_agent_enrols_and_is_online() {
    given::<Device>([]).when(Command::Enrol(Box::new(agent("key")))).then([enrolled(), online()]);
}

#[test]
fn another_key_cannot_take_over_a_device() {
    given::<Device>([enrolled()])
        .when(Command::Enrol(Box::new(agent("other"))))
        .then_refused(&Refusal::OtherKey);
}

#[test]
fn nothing_is_known_of_a_device_that_did_not_enrol() {
    given::<Device>([]).when(Command::Hear).then_refused(&Refusal::NotEnrolled);
}

#[test]
fn a_heartbeat_is_no_fact() {
    given::<Device>([enrolled(), online()]).when(Command::Hear).then_nothing();
}

#[test]
fn contact_is_lost_and_found_once() {
    let lost: DeviceEvent = DeviceWentOffline { device_id: DEVICE, last_contact_at: noon() }.into();
    given::<Device>([enrolled(), online()])
        .when(Command::Miss { last_contact_at: noon() })
        .then([lost.clone()]);
    given::<Device>([enrolled(), online(), lost]).when(Command::Hear).then([online()]);
}

#[test]
fn a_first_scan_tells_what_is_missing_and_then_that_it_is_done() {
    let findings = [
        (1, Finding::Missing(packages("1"))),
        (2, Finding::Installed),
        (3, Finding::NotApplicable(Reason::Withdrawn)),
    ];
    assert_eq!(scanned(&[enrolled()], scan(findings)), [missing(1, "1"), completed(1)]);
}

#[test]
fn a_scan_that_sees_the_same_only_says_that_it_is_done() {
    let past = [enrolled(), missing(1, "1"), completed(1)];
    assert_eq!(scanned(&past, scan([(1, Finding::Missing(packages("1")))])), [completed(1)]);
}

#[test]
fn a_scan_that_sees_a_missing_patch_installed_says_so() {
    let past = [enrolled(), missing(1, "1"), completed(1)];
    assert_eq!(scanned(&past, scan([(1, Finding::Installed)])), [installed(1), completed(0)]);
}

#[test]
fn a_patch_whose_package_was_removed_is_not_called_installed() {
    let past = [enrolled(), missing(1, "1")];
    assert_eq!(scanned(&past, scan([])), [gone(1, "nothing that it mends is installed"), completed(0)]);
}

#[test]
fn a_missing_patch_with_other_packages_is_told_anew() {
    let past = [enrolled(), missing(1, "1")];
    let found = scanned(&past, scan([(1, Finding::Missing(packages("2")))]));
    assert_eq!(found, [missing(1, "2"), completed(1)]);
}

#[test]
fn available_updates_are_told_when_they_change() {
    let update = |name: &str| AvailableUpdate {
        name: name.to_owned(),
        installed_version: "1".to_owned(),
        candidate_version: "2".to_owned(),
        origin: "Debian:12/stable".to_owned(),
        security: false,
    };
    let offers = |names: &[&str]| Scan { available: names.iter().map(|n| update(n)).collect(), ..scan([]) };
    let changed: DeviceEvent =
        AvailableUpdatesChanged { device_id: DEVICE, updates: vec![update("a"), update("b")] }.into();
    let first = scanned(&[enrolled()], offers(&["b", "a", "a"]));
    assert_eq!(first, [changed.clone(), completed(0)]);
    assert_eq!(scanned(&[enrolled(), changed], offers(&["a", "b"])), [completed(0)]);
}

#[test]
fn a_new_advisory_makes_a_patch_missing_without_a_scan() {
    given::<Device>([enrolled()])
        .when(compare([(1, Finding::Missing(packages("1")))], Seen::InCatalogue))
        .then([missing(1, "1")]);
}

#[test]
fn a_change_of_the_catalogue_leaves_other_patches_alone() {
    given::<Device>([enrolled(), missing(1, "1")])
        .when(compare([(2, Finding::Missing(packages("1")))], Seen::InCatalogue))
        .then([missing(2, "1")]);
}

#[test]
fn the_catalogue_alone_never_installs_a_patch() {
    given::<Device>([enrolled(), missing(1, "1")])
        .when(compare([(1, Finding::Installed)], Seen::InCatalogue))
        .then([gone(1, "what is installed is no longer below the fixed version")]);
}

#[test]
fn a_superseded_patch_makes_room_for_the_newer_one() {
    let findings = [
        (1, Finding::NotApplicable(Reason::Superseded { by: "KB2".to_owned() })),
        (2, Finding::Missing(packages("1"))),
    ];
    given::<Device>([enrolled(), missing(1, "1")])
        .when(compare(findings, Seen::InCatalogue))
        .then([gone(1, "superseded by KB2"), missing(2, "1")]);
}

#[test]
fn more_news_than_a_batch_holds_comes_in_several() {
    let findings = || (0..2_000).map(|n| (n, Finding::Missing(packages("1"))));
    let mut state = fold::<Device>(&[enrolled()]);
    let mut sizes = Vec::new();
    loop {
        let events = Device::decide(&state, compare(findings(), Seen::InCatalogue)).unwrap();
        sizes.push(events.len());
        if events.is_empty() {
            break;
        }
        state = events.iter().fold(state, Device::evolve);
    }
    assert_eq!(sizes, [DELTAS_MAX, DELTAS_MAX, 2_000 - 2 * DELTAS_MAX, 0]);
}

#[test]
fn a_job_is_delivered_once() {
    given::<Device>([enrolled()]).when(Command::Deliver { job_id: JOB }).then([delivered()]);
}

#[test]
fn the_agent_tells_how_a_job_goes() {
    given::<Device>([enrolled(), delivered(), reported(JobStep::Acknowledged)])
        .when(says(JobStep::Installing, false))
        .then([reported(JobStep::Installing)]);
}

#[test]
fn a_job_that_the_agent_never_got_cannot_be_reported() {
    given::<Device>([enrolled()])
        .when(says(JobStep::Installing, false))
        .then_refused(&Refusal::JobNotDelivered { job_id: JOB });
}

#[test]
fn a_failed_scan_job_is_a_failed_scan_and_a_failed_install_is_not() {
    let failed = JobStep::Failed { class: "locked".to_owned(), reason: "apt is busy".to_owned() };
    let scan_failed = ScanFailed { device_id: DEVICE, job_id: Some(JOB), reason: "apt is busy".to_owned() };
    given::<Device>([enrolled(), delivered()])
        .when(says(failed.clone(), true))
        .then([reported(failed.clone()), scan_failed.into()]);
    given::<Device>([enrolled(), delivered()]).when(says(failed.clone(), false)).then([reported(failed)]);
}

fn any_findings() -> impl Strategy<Value = BTreeMap<PatchId, Finding>> {
    let finding = prop_oneof![
        "[1-3]".prop_map(|version| Finding::Missing(packages(&version))),
        Just(Finding::Installed),
        Just(Finding::NotApplicable(Reason::Withdrawn)),
    ];
    prop::collection::btree_map((0..6u128).prop_map(patch), finding, 0..6)
}

#[test]
fn a_device_is_not_exposed_until_somebody_says_so() {
    given::<Device>([enrolled()]).when(Command::SetExposure { exposed: false }).then([]);
    given::<Device>([enrolled()]).when(Command::SetExposure { exposed: true }).then([exposed(true)]);
    given::<Device>([enrolled(), exposed(true)])
        .when(Command::SetExposure { exposed: false })
        .then([exposed(false)]);
}

#[test]
fn a_region_is_set_changed_and_forgotten() {
    given::<Device>([enrolled()]).when(put(None)).then([]);
    given::<Device>([enrolled()]).when(put(Some("EMEA"))).then([stands(Some("EMEA"))]);
    given::<Device>([enrolled(), stands(Some("EMEA"))]).when(put(None)).then([stands(None)]);
}

#[test]
fn a_region_that_nobody_could_read_is_refused() {
    let long = "r".repeat(101);
    for region in ["", " ", "EMEA ", "a\0b", long.as_str()] {
        given::<Device>([enrolled()]).when(put(Some(region))).then_refused(&Refusal::InvalidRegion);
    }
}

#[test]
fn a_device_that_is_not_enrolled_stands_nowhere() {
    given::<Device>([]).when(put(Some("EMEA"))).then_refused(&Refusal::NotEnrolled);
    given::<Device>([]).when(Command::SetExposure { exposed: true }).then_refused(&Refusal::NotEnrolled);
}

proptest! {
    #[test]
    fn after_any_scans_the_state_holds_what_the_last_one_found_and_a_rescan_brings_no_news(
        scans in prop::collection::vec(any_findings(), 1..6),
    ) {
        let mut state = fold::<Device>(&[enrolled()]);
        for findings in &scans {
            let command = Command::RecordScan(Box::new(Scan { findings: findings.clone(), ..scan([]) }));
            let events = Device::decide(&state, command.clone()).unwrap();
            state = events.iter().fold(state, Device::evolve);
            prop_assert_eq!(Device::decide(&state, command).unwrap().len(), 1, "only that it is done");
        }
        let State::Enrolled(device) = state else { unreachable!("it is enrolled") };
        let expected: BTreeMap<_, _> = scans.last().unwrap().iter().filter_map(|(id, finding)| match finding {
            Finding::Missing(packages) => Some((*id, packages.clone())),
            Finding::Installed | Finding::NotApplicable(_) => None,
        }).collect();
        prop_assert_eq!(device.missing, expected);
    }
}

/// A kept state that is read in another sense than it was written would decide wrongly: a change of it, or of `evolve`,
/// needs another shape number beside the text below.
#[test]
fn the_kept_state_has_the_form_of_its_shape_number() {
    let snapshot = <Device as Aggregate>::SNAPSHOT.unwrap();
    let state = fold::<Device>(&[
        enrolled(),
        online(),
        missing(7, "1"),
        delivered(),
        exposed(true),
        stands(Some("EMEA")),
    ]);
    let kept = (snapshot.write)(&state).unwrap();
    assert_eq!((snapshot.read)(&kept), Some(state));
    let expected = format!(
        r#"{{"Enrolled":{{"device_id":"{DEVICE}","public_key":"key","online":true,"missing":{{"{}":[{{"name":"bash","installed_version":"1","fixed_version":"9"}}]}},"available":[],"jobs":{{"{JOB}":null}},"exposed":true,"region":"EMEA"}}}}"#,
        patch(7),
    );
    assert_eq!((snapshot.shape, String::from_utf8(kept).unwrap()), (2, expected));
}
