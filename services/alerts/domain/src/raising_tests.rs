//! What raises an alert and what it says.

use super::{Found, PENDING_REBOOT_MESSAGE, Trigger, alert_for};
use crate::alert::Condition;
use contracts::alerts::{AlertSeverity, AlertType};
use contracts::feeds::{FeedSyncCompleted, FeedSyncFailed};
use contracts::scheduling::{
    DeviceJobAcknowledged, DeviceJobDispatched, DeviceJobEvent, DeviceJobFailed, DeviceJobSkipped,
    DeviceJobSucceeded, DeviceJobTimedOut, DownloadInitiated, InstallStarted, RebootRequired, ScanInitiated,
    ScanJobCompleted, ScanJobFailed, ScanReason, ScanRequested, SkipReason,
};
use kernel::{DeploymentId, DeviceId, FeedId, JobId, PatchId, RunId, WebhookId};
use uuid::Uuid;

const DEVICE: DeviceId = DeviceId(Uuid::from_u128(1));
const JOB: JobId = JobId(Uuid::from_u128(2));
const RUN: RunId = RunId(Uuid::from_u128(3));
const PATCH: PatchId = PatchId(Uuid::from_u128(4));
const FEED: FeedId = FeedId(Uuid::from_u128(5));

fn device_job(event: impl Into<DeviceJobEvent>) -> Option<Condition> {
    alert_for(&Trigger::DeviceJob(event.into()))
}

fn found(missing: u32, approved: Vec<PatchId>) -> Trigger {
    Trigger::Found(Found { device_id: Some(DEVICE), job_id: Some(JOB), missing, approved })
}

fn failed(reason: &str) -> DeviceJobFailed {
    DeviceJobFailed {
        job_id: JOB,
        run_id: RUN,
        device_id: DEVICE,
        class: "install_script".to_owned(),
        reason: reason.to_owned(),
        patch_ids: vec![PATCH],
    }
}

#[test]
fn an_initiated_scan_raises_initiate_for_its_device_and_job() {
    let alert =
        alert_for(&Trigger::ScanJob(ScanInitiated { job_id: JOB, device_id: DEVICE }.into())).unwrap();
    assert_eq!((alert.alert_type, alert.severity), (AlertType::Initiate, AlertSeverity::Info));
    assert_eq!((alert.device_id, alert.job_id), (Some(DEVICE), Some(JOB)));
}

#[test]
fn the_other_facts_of_a_scan_job_raise_nothing() {
    let quiet = [
        ScanRequested { job_id: JOB, device_id: DEVICE, reason: ScanReason::OnDemand }.into(),
        ScanJobCompleted { job_id: JOB, device_id: DEVICE }.into(),
        ScanJobFailed { job_id: JOB, device_id: DEVICE, reason: "apt is locked".to_owned() }.into(),
    ];
    for event in quiet {
        assert_eq!(alert_for(&Trigger::ScanJob(event)), None);
    }
}

#[test]
fn missing_patches_of_which_one_is_approved_raise_search_naming_the_approved_one() {
    let alert = alert_for(&found(3, vec![PATCH])).unwrap();
    assert_eq!((alert.alert_type, alert.patch_ids), (AlertType::Search, vec![PATCH]));
    assert_eq!(alert.message, "Missing patches found: 3, approved: 1.");
}

#[test]
fn missing_patches_of_which_none_is_approved_raise_nothing() {
    assert_eq!(alert_for(&found(3, vec![])), None);
}

#[test]
fn a_scan_that_finds_nothing_missing_raises_nothing_even_where_patches_are_approved() {
    assert_eq!(alert_for(&found(0, vec![PATCH])), None);
}

#[test]
fn a_started_download_raises_download_initiated_and_names_the_source() {
    let source = "http://deb.debian.org/debian-security".to_owned();
    let alert = device_job(DownloadInitiated { job_id: JOB, device_id: DEVICE, source }).unwrap();
    assert_eq!(alert.alert_type, AlertType::DownloadInitiated);
    assert_eq!(alert.message, "Patch download initiated from http://deb.debian.org/debian-security.");
}

#[test]
fn a_verified_installation_raises_install_complete_with_its_patches() {
    let fact = DeviceJobSucceeded { job_id: JOB, run_id: RUN, device_id: DEVICE, patch_ids: vec![PATCH] };
    let alert = device_job(fact).unwrap();
    assert_eq!((alert.alert_type, alert.severity), (AlertType::InstallComplete, AlertSeverity::Info));
    assert_eq!(alert.patch_ids, vec![PATCH]);
}

#[test]
fn a_failed_device_job_raises_a_critical_patch_failed_with_the_devices_reason() {
    let alert = device_job(failed("post-installation script returned 1")).unwrap();
    assert_eq!((alert.alert_type, alert.severity), (AlertType::PatchFailed, AlertSeverity::Critical));
    assert_eq!(alert.reason.as_deref(), Some("post-installation script returned 1"));
    assert_eq!(alert.patch_ids, vec![PATCH]);
}

#[test]
fn a_failed_device_job_has_a_reason_even_where_the_device_gave_none() {
    let alert = device_job(failed("  ")).unwrap();
    assert_eq!(alert.reason.as_deref(), Some("the device gave the class \"install_script\" only"));
}

#[test]
fn a_long_reason_is_shortened() {
    let alert = device_job(failed(&"ü".repeat(10_000))).unwrap();
    assert_eq!(alert.reason.unwrap().chars().count(), super::REASON_CHARS_MAX);
}

#[test]
fn a_timed_out_device_job_raises_a_critical_patch_failed_that_names_the_stage() {
    let fact =
        DeviceJobTimedOut { job_id: JOB, run_id: RUN, device_id: DEVICE, stage: "DOWNLOADING".to_owned() };
    let alert = device_job(fact).unwrap();
    assert_eq!((alert.alert_type, alert.severity), (AlertType::PatchFailed, AlertSeverity::Critical));
    assert_eq!(
        alert.reason.as_deref(),
        Some("no word from the device for too long in the stage DOWNLOADING")
    );
}

#[test]
fn a_required_restart_raises_pending_reboot_in_the_agreed_words() {
    let alert = device_job(RebootRequired { job_id: JOB, device_id: DEVICE }).unwrap();
    assert_eq!((alert.alert_type, alert.severity), (AlertType::PendingReboot, AlertSeverity::Warning));
    assert_eq!(alert.message, "Patching completed and need to reboot.");
    assert_eq!(alert.message, PENDING_REBOOT_MESSAGE);
}

#[test]
fn the_steps_in_between_and_skipped_jobs_raise_nothing() {
    let skipped = DeviceJobSkipped {
        job_id: JOB,
        run_id: RUN,
        deployment_id: DeploymentId(Uuid::nil()),
        device_id: DEVICE,
        reason: SkipReason::DeviceOffline,
    };
    let quiet: [DeviceJobEvent; 4] = [
        skipped.into(),
        DeviceJobDispatched { job_id: JOB, device_id: DEVICE }.into(),
        DeviceJobAcknowledged { job_id: JOB, device_id: DEVICE }.into(),
        InstallStarted { job_id: JOB, device_id: DEVICE }.into(),
    ];
    for event in quiet {
        assert_eq!(device_job(event), None);
    }
}

#[test]
fn a_refused_feed_document_raises_feed_sync_failed_with_code_and_reason() {
    let fact = FeedSyncFailed {
        feed_id: FEED,
        code: "feeds.malformed".to_owned(),
        reason: "line 7 is no advisory".to_owned(),
    };
    let alert = alert_for(&Trigger::Feed(fact.into())).unwrap();
    assert_eq!(alert.alert_type, AlertType::FeedSyncFailed);
    assert_eq!(alert.message, "A patch feed's document was refused (feeds.malformed).");
    assert_eq!(alert.reason.as_deref(), Some("line 7 is no advisory"));
}

#[test]
fn an_accepted_feed_document_raises_nothing() {
    let fact = FeedSyncCompleted {
        feed_id: FEED,
        document_sha256: String::new(),
        document_date: None,
        published: 1,
        revised: 0,
        unchanged: 0,
        documents: 1,
        withdrawn: 0,
        vulnerabilities: 0,
        refused: Vec::new(),
        quarantined: vec![],
        signature: None,
    };
    assert_eq!(alert_for(&Trigger::Feed(fact.into())), None);
}

#[test]
fn a_webhook_that_the_system_switched_off_raises_a_critical_alert_with_the_reason() {
    let trigger = Trigger::WebhookSwitchedOff {
        webhook_id: WebhookId(Uuid::from_u128(9)),
        reason: "the receiver answered 410".to_owned(),
    };
    let alert = alert_for(&trigger).unwrap();
    assert_eq!((alert.alert_type, alert.severity), (AlertType::WebhookDisabled, AlertSeverity::Critical));
    assert_eq!(alert.reason.as_deref(), Some("the receiver answered 410"));
}
