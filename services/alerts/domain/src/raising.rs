//! Which facts raise an alert, and what the alert says.

use crate::alert::Condition;
use contracts::alerts::{AlertSeverity, AlertType};
use contracts::feeds::FeedEvent;
use contracts::scheduling::{DeviceJobEvent, ScanJobEvent};
use kernel::{DeviceId, JobId, PatchId, WebhookId};

/// What people read when a restart is due.
pub const PENDING_REBOOT_MESSAGE: &str = "Patching completed and need to reboot.";
/// Long package manager output stays with the job; an alert carries its beginning.
pub const REASON_CHARS_MAX: usize = 2_000;

/// Something that may be worth an alert.
#[derive(Debug, Clone, PartialEq)]
pub enum Trigger {
    /// A fact of a scan job.
    ScanJob(ScanJobEvent),
    /// A fact of a device job.
    DeviceJob(DeviceJobEvent),
    /// A fact of a feed.
    Feed(FeedEvent),
    /// What a scan left missing, and what of it is approved, as the caller knows it.
    Found(Found),
    /// The system, not a person, switched a webhook off.
    WebhookSwitchedOff {
        /// The webhook.
        webhook_id: WebhookId,
        /// Why.
        reason: String,
    },
}

/// Missing patches, and which of them are approved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The scanned device; none where an approval concerns several.
    pub device_id: Option<DeviceId>,
    /// The scan's job, if a job asked for it.
    pub job_id: Option<JobId>,
    /// How many patches are missing.
    pub missing: u32,
    /// Those of them that are approved.
    pub approved: Vec<PatchId>,
}

/// The alert that a fact asks for, if it asks for one.
pub fn alert_for(trigger: &Trigger) -> Option<Condition> {
    match trigger {
        Trigger::ScanJob(event) => scan_job(event),
        Trigger::DeviceJob(event) => device_job(event),
        Trigger::Feed(event) => feed(event),
        Trigger::Found(found) => search(found),
        Trigger::WebhookSwitchedOff { webhook_id, reason } => Some(webhook_switched_off(*webhook_id, reason)),
    }
}

fn scan_job(event: &ScanJobEvent) -> Option<Condition> {
    match event {
        ScanJobEvent::ScanInitiated(fact) => Some(Condition {
            device_id: Some(fact.device_id),
            job_id: Some(fact.job_id),
            ..condition(AlertType::Initiate, AlertSeverity::Info, "Patch scan initiated.".to_owned())
        }),
        ScanJobEvent::ScanRequested(_)
        | ScanJobEvent::ScanJobCompleted(_)
        | ScanJobEvent::ScanJobFailed(_) => None,
    }
}

fn search(found: &Found) -> Option<Condition> {
    if found.missing == 0 || found.approved.is_empty() {
        return None;
    }
    let message = format!("Missing patches found: {}, approved: {}.", found.missing, found.approved.len());
    Some(Condition {
        device_id: found.device_id,
        job_id: found.job_id,
        patch_ids: found.approved.clone(),
        ..condition(AlertType::Search, AlertSeverity::Warning, message)
    })
}

fn device_job(event: &DeviceJobEvent) -> Option<Condition> {
    match event {
        DeviceJobEvent::DownloadInitiated(fact) => Some(Condition {
            device_id: Some(fact.device_id),
            job_id: Some(fact.job_id),
            ..condition(
                AlertType::DownloadInitiated,
                AlertSeverity::Info,
                format!("Patch download initiated from {}.", fact.source),
            )
        }),
        DeviceJobEvent::RebootRequired(fact) => Some(Condition {
            device_id: Some(fact.device_id),
            job_id: Some(fact.job_id),
            ..condition(AlertType::PendingReboot, AlertSeverity::Warning, PENDING_REBOOT_MESSAGE.to_owned())
        }),
        DeviceJobEvent::DeviceJobSucceeded(fact) => Some(Condition {
            device_id: Some(fact.device_id),
            job_id: Some(fact.job_id),
            patch_ids: fact.patch_ids.clone(),
            ..condition(
                AlertType::InstallComplete,
                AlertSeverity::Info,
                format!("Patch installation completed; patches installed: {}.", fact.patch_ids.len()),
            )
        }),
        DeviceJobEvent::DeviceJobFailed(fact) => Some(Condition {
            device_id: Some(fact.device_id),
            job_id: Some(fact.job_id),
            patch_ids: fact.patch_ids.clone(),
            reason: Some(reason_or(
                &fact.reason,
                &format!("the device gave the class {:?} only", fact.class),
            )),
            ..condition(
                AlertType::PatchFailed,
                AlertSeverity::Critical,
                format!("Patching failed ({}).", fact.class),
            )
        }),
        DeviceJobEvent::DeviceJobTimedOut(fact) => Some(Condition {
            device_id: Some(fact.device_id),
            job_id: Some(fact.job_id),
            reason: Some(format!("no word from the device for too long in the stage {}", fact.stage)),
            ..condition(
                AlertType::PatchFailed,
                AlertSeverity::Critical,
                "Patching failed (timed out).".to_owned(),
            )
        }),
        DeviceJobEvent::DeviceJobQueued(_)
        | DeviceJobEvent::DeviceJobSkipped(_)
        | DeviceJobEvent::DeviceJobDispatched(_)
        | DeviceJobEvent::DeviceJobAcknowledged(_)
        | DeviceJobEvent::InstallStarted(_)
        | DeviceJobEvent::VerificationStarted(_)
        | DeviceJobEvent::DeviceJobLateResultRecorded(_) => None,
    }
}

fn feed(event: &FeedEvent) -> Option<Condition> {
    match event {
        FeedEvent::FeedSyncFailed(fact) => Some(Condition {
            reason: Some(reason_or(&fact.reason, &fact.code)),
            ..condition(
                AlertType::FeedSyncFailed,
                AlertSeverity::Warning,
                format!("A patch feed's document was refused ({}).", fact.code),
            )
        }),
        FeedEvent::FeedRegistered(_)
        | FeedEvent::FeedChanged(_)
        | FeedEvent::FeedDisabled(_)
        | FeedEvent::FeedEnabled(_)
        | FeedEvent::FeedSyncCompleted(_) => None,
    }
}

fn webhook_switched_off(webhook_id: WebhookId, reason: &str) -> Condition {
    Condition {
        reason: Some(reason_or(reason, "the receiver did not take its deliveries")),
        ..condition(
            AlertType::WebhookDisabled,
            AlertSeverity::Critical,
            format!("Webhook {webhook_id} was switched off."),
        )
    }
}

fn condition(alert_type: AlertType, severity: AlertSeverity, message: String) -> Condition {
    Condition {
        alert_type,
        severity,
        message,
        reason: None,
        device_id: None,
        job_id: None,
        patch_ids: vec![],
    }
}

/// The reason as given, shortened, or `otherwise` where it is blank.
fn reason_or(reason: &str, otherwise: &str) -> String {
    let reason = reason.trim();
    if reason.is_empty() { otherwise.to_owned() } else { reason.chars().take(REASON_CHARS_MAX).collect() }
}

#[cfg(test)]
#[path = "raising_tests.rs"]
mod tests;
