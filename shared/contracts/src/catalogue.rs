//! All sets of events and commands, for whoever must know every one: stored facts of any type, references, checks.

use crate::permissions::Permission;
use crate::{Service, alerts, approvals, auditing, devices, feeds, packages, scheduling, tenancy};
use kernel::MalformedEvent;
use serde_json::Value;

/// The events of one aggregate, as the `events!` block declares them.
#[derive(Debug, Clone, Copy)]
pub struct EventSet {
    /// The Rust name.
    pub name: &'static str,
    /// The service that records them.
    pub service: &'static str,
    /// What it is about, as it is written in the source: lines with their indentation.
    pub doc: &'static str,
    /// Types with the version that is written today.
    pub types: &'static [(&'static str, i16)],
    /// Loads a stored fact of any version and writes it as it would be written today.
    pub rewrite: fn(&str, i16, &Value) -> Result<Value, MalformedEvent>,
    /// The shapes that are written today.
    #[cfg(feature = "schema")]
    pub shapes: fn() -> Vec<crate::schema::Shape>,
}

/// Every set, in the order in which the references show them.
pub const SETS: [EventSet; 27] = [
    tenancy::PartnerEvent::SET,
    tenancy::CustomerEvent::SET,
    tenancy::UserEvent::SET,
    tenancy::AccessEvent::SET,
    feeds::FeedEvent::SET,
    feeds::PatchEvent::SET,
    feeds::VulnerabilityEvent::SET,
    feeds::RatingEvent::SET,
    packages::PackageEvent::SET,
    packages::SiteEvent::SET,
    devices::EnrolmentTokenEvent::SET,
    devices::DeviceEvent::SET,
    devices::GroupEvent::SET,
    approvals::WhitelistEvent::SET,
    approvals::RuleEvent::SET,
    approvals::RuleSimulationEvent::SET,
    approvals::ApprovalEvent::SET,
    approvals::BlockEvent::SET,
    approvals::ApprovalPolicyEvent::SET,
    scheduling::ScanJobEvent::SET,
    scheduling::DeploymentEvent::SET,
    scheduling::RunEvent::SET,
    scheduling::DeviceJobEvent::SET,
    alerts::AlertEvent::SET,
    alerts::WebhookEvent::SET,
    alerts::DeliveryEvent::SET,
    auditing::AuditAccessEvent::SET,
];

/// Commands with the permission that each needs.
type Commands = &'static [(&'static str, Permission)];

/// Every set of commands with the service that takes them, in the order in which the references show them.
pub const COMMANDS: &[(Service, Commands)] = &[
    (Service::Tenancy, tenancy::COMMANDS),
    (Service::Feeds, feeds::COMMANDS),
    (Service::Feeds, packages::commands::COMMANDS),
    (Service::Devices, devices::COMMANDS),
    (Service::Devices, devices::groups::COMMANDS),
    (Service::Approvals, approvals::rules::COMMANDS),
    (Service::Approvals, approvals::decisions::COMMANDS),
    (Service::Approvals, approvals::blocks::COMMANDS),
    (Service::Approvals, approvals::policies::COMMANDS),
    (Service::Scheduling, scheduling::COMMANDS),
    (Service::Alerts, alerts::COMMANDS),
    (Service::Auditing, auditing::COMMANDS),
];

/// The set that an event type belongs to, with the version that is written today.
pub fn find(event_type: &str) -> Option<(&'static EventSet, i16)> {
    const ALL: &[EventSet] = &SETS;
    ALL.iter().find_map(|set| {
        set.types.iter().find(|(known, _)| *known == event_type).map(|(_, version)| (set, *version))
    })
}

/// Brings a stored fact of any type and version into the shape that is written today.
pub fn upcast(event_type: &str, schema_version: i16, payload: &Value) -> Result<Value, MalformedEvent> {
    let (set, _) = find(event_type).ok_or_else(|| MalformedEvent {
        event_type: event_type.to_owned(),
        schema_version,
        reason: "no such event".to_owned(),
    })?;
    (set.rewrite)(event_type, schema_version, payload)
}

/// The name of a version of an event, which is the `$id` of its schema: `urn:patchfleet:event:alerts.AlertRaised:1`.
pub fn urn(event_type: &str, version: i16) -> String {
    format!("urn:patchfleet:event:{event_type}:{version}")
}
