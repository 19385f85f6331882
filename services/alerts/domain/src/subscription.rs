//! Which event types a webhook asks for, and whether an event is among them.

use contracts::{alerts, approvals, auditing, devices, feeds, scheduling, tenancy};

/// Enough for any receiver; wildcards cover the rest.
pub const EVENT_TYPES_MAX: usize = 50;

/// Every event type that can be delivered, by service.
///
/// Facts about deliveries are left out: delivering them would make new ones without end.
const DELIVERABLE: &[&[(&str, i16)]] = &[
    tenancy::PartnerEvent::TYPES,
    tenancy::CustomerEvent::TYPES,
    tenancy::UserEvent::TYPES,
    tenancy::AccessEvent::TYPES,
    feeds::FeedEvent::TYPES,
    feeds::PatchEvent::TYPES,
    devices::EnrolmentTokenEvent::TYPES,
    devices::DeviceEvent::TYPES,
    devices::GroupEvent::TYPES,
    approvals::WhitelistEvent::TYPES,
    approvals::RuleEvent::TYPES,
    approvals::ApprovalEvent::TYPES,
    approvals::BlockEvent::TYPES,
    approvals::ApprovalPolicyEvent::TYPES,
    scheduling::ScanJobEvent::TYPES,
    scheduling::DeploymentEvent::TYPES,
    scheduling::RunEvent::TYPES,
    scheduling::DeviceJobEvent::TYPES,
    alerts::AlertEvent::TYPES,
    alerts::WebhookEvent::TYPES,
    auditing::AuditAccessEvent::TYPES,
];

/// Whether a fact of this type is ever delivered.
pub fn is_deliverable(event_type: &str) -> bool {
    DELIVERABLE.iter().any(|set| set.iter().any(|(known, _)| *known == event_type))
}

/// Whether `pattern` (`alerts.AlertRaised`, `alerts.*` or `*`) names at least one event type.
pub fn is_known(pattern: &str) -> bool {
    DELIVERABLE.iter().any(|set| set.iter().any(|(known, _)| covers(pattern, known)))
}

/// Whether a webhook with these patterns gets a fact of this type.
pub fn wants(patterns: &[String], event_type: &str) -> bool {
    is_deliverable(event_type) && patterns.iter().any(|pattern| covers(pattern, event_type))
}

fn covers(pattern: &str, event_type: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some("") => true,
        Some(service) if service.ends_with('.') => event_type.starts_with(service),
        Some(_) => false,
        None => pattern == event_type,
    }
}

#[cfg(test)]
mod tests {
    use super::{is_known, wants};
    use contracts::alerts::DeliveryEvent;

    fn patterns(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|&text| text.to_owned()).collect()
    }

    #[test]
    fn a_named_type_gets_that_type_only() {
        let only = patterns(&["alerts.AlertRaised"]);
        assert!(wants(&only, "alerts.AlertRaised"));
        assert!(!wants(&only, "alerts.AlertResolved"));
    }

    #[test]
    fn a_wildcard_gets_every_type_of_its_service_and_no_other() {
        let all = patterns(&["alerts.*"]);
        assert!(wants(&all, "alerts.AlertResolved"));
        assert!(!wants(&all, "approvals.PatchApproved"));
    }

    #[test]
    fn facts_about_deliveries_are_never_delivered() {
        let everything = patterns(&["*", "alerts.*", "alerts.DeliverySucceeded"]);
        for (event_type, _) in DeliveryEvent::TYPES {
            assert!(!wants(&everything, event_type), "{event_type} would be delivered without end");
        }
    }

    #[test]
    fn misspelt_types_and_half_wildcards_are_unknown() {
        for pattern in ["", "alerts", "alerts.AlertRised", "alert*", "alerts.Alert*", "alerts.**", "nobody.*"]
        {
            assert!(!is_known(pattern), "{pattern:?}");
        }
        for pattern in ["*", "alerts.*", "scheduling.DeviceJobFailed"] {
            assert!(is_known(pattern), "{pattern:?}");
        }
    }
}
