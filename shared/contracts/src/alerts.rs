//! Alerts and the webhooks that carry them.

use chrono::{DateTime, Utc};
use kernel::{AlertId, CustomerId, DeviceId, EventId, JobId, PatchId, UserId, WebhookId};
use serde::{Deserialize, Serialize};

/// The condition an alert is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum AlertType {
    /// A patch scan was initiated.
    Initiate,
    /// Missing patches were found and at least one of them is approved.
    Search,
    /// Patches are being downloaded.
    DownloadInitiated,
    /// An installation completed successfully.
    InstallComplete,
    /// A patch failed; always critical, always with a reason.
    PatchFailed,
    /// "Patching completed and need to reboot."
    PendingReboot,
    /// A feed's document was refused.
    FeedSyncFailed,
    /// A webhook has failed for too long and was switched off.
    WebhookDisabled,
}

/// How much it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum AlertSeverity {
    /// Good to know.
    Info,
    /// Someone should look.
    Warning,
    /// Someone should act.
    Critical,
}

events! {
    /// Facts of an alert.
    AlertEvent in "alerts" {
        /// A condition arose.
        AlertRaised = 1 {
            /// The alert.
            alert_id: AlertId,
            /// What it is about.
            alert_type: AlertType,
            /// How much it matters.
            severity: AlertSeverity,
            /// One sentence for people.
            message: String,
            /// Why, never empty for critical ones.
            reason: Option<String>,
            /// The customer.
            customer_id: Option<CustomerId>,
            /// The device.
            device_id: Option<DeviceId>,
            /// The job.
            job_id: Option<JobId>,
            /// The patches.
            patch_ids: Vec<PatchId>,
        },
        /// A person has seen it.
        AlertAcknowledged = 1 {
            /// The alert.
            alert_id: AlertId,
            /// Who.
            acknowledged_by: UserId,
        },
        /// It is over.
        AlertResolved = 1 {
            /// The alert.
            alert_id: AlertId,
            /// Who, where a person said so.
            resolved_by: Option<UserId>,
        },
    }
}

events! {
    /// Facts of a webhook.
    WebhookEvent in "alerts" {
        /// A receiver was registered. The secret is not part of the fact.
        WebhookRegistered = 1 {
            /// The webhook.
            webhook_id: WebhookId,
            /// The customer whose events it gets; none means all of the partner's.
            customer_id: Option<CustomerId>,
            /// Where to.
            url: String,
            /// Event types it gets (`alerts.AlertRaised`, or `alerts.*`).
            event_types: Vec<String>,
        },
        /// It gets nothing any more.
        WebhookDisabled = 1 {
            /// The webhook.
            webhook_id: WebhookId,
            /// Why.
            reason: String,
        },
    }
}

events! {
    /// Facts of one delivery of one event to one webhook.
    DeliveryEvent in "alerts" {
        /// The receiver answered 2xx.
        DeliverySucceeded = 1 {
            /// The webhook.
            webhook_id: WebhookId,
            /// The delivered event; also the `webhook-id` header.
            event_id: EventId,
            /// Attempts it took.
            attempts: u32,
            /// The last HTTP status.
            status: u16,
        },
        /// The receiver did not take it; another attempt follows.
        DeliveryRetryScheduled = 1 {
            /// The webhook.
            webhook_id: WebhookId,
            /// The event.
            event_id: EventId,
            /// Attempts so far.
            attempts: u32,
            /// HTTP status, if there was an answer.
            status: Option<u16>,
            /// What went wrong.
            reason: String,
            /// When the next attempt is due.
            next_attempt_at: DateTime<Utc>,
        },
        /// It was given up.
        DeliveryDeadLettered = 1 {
            /// The webhook.
            webhook_id: WebhookId,
            /// The event.
            event_id: EventId,
            /// Attempts made.
            attempts: u32,
            /// What went wrong last.
            reason: String,
        },
    }
}

/// A new webhook. Its secret is in this answer only, and the same when the command is repeated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisteredWebhook {
    /// The webhook.
    pub webhook_id: WebhookId,
    /// `whsec_…` for the `v1` signature.
    pub secret: Option<String>,
    /// `whpk_…`, the public key of the `v1a` signature.
    pub public_key: String,
}

commands! {
    Alerts {
        /// Registers a receiver.
        RegisterWebhook -> RegisteredWebhook, needs ManageWebhooks {
            /// The customer whose events it gets; none means all of the partner's.
            customer_id: Option<CustomerId>,
            /// Where to: https, or http where the operator allows the address.
            url: String,
            /// Event types, 1 to 50.
            event_types: Vec<String>,
        }
        /// Switches a receiver off.
        DisableWebhook -> (), needs ManageWebhooks {
            /// The webhook.
            webhook_id: WebhookId,
        }
        /// Says that a person has seen an alert.
        AcknowledgeAlert -> (), needs ManageAlerts {
            /// The alert.
            alert_id: AlertId,
        }
        /// Closes an alert.
        ResolveAlert -> (), needs ManageAlerts {
            /// The alert.
            alert_id: AlertId,
        }
    }
}
