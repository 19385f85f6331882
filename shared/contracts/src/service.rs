//! The services by name.

use serde::{Deserialize, Serialize};

/// One of the services that `patchfleet serve` can start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Service {
    /// Partners, customers, users, roles.
    Tenancy,
    /// Catalogue of patches.
    Feeds,
    /// Enrolment, scans, applicability, job delivery.
    Devices,
    /// Whitelist, rules, decisions.
    Approvals,
    /// Deployments, runs, device jobs.
    Scheduling,
    /// Alerts and webhooks.
    Alerts,
    /// Audit records.
    Auditing,
    /// GraphQL and its views.
    Gateway,
    /// Sequencer and relay.
    Backbone,
}

impl Service {
    /// Every service, in start order.
    pub const ALL: [Self; 9] = [
        Self::Backbone,
        Self::Tenancy,
        Self::Feeds,
        Self::Devices,
        Self::Approvals,
        Self::Scheduling,
        Self::Alerts,
        Self::Auditing,
        Self::Gateway,
    ];

    /// The name used in commands, configuration, exchanges and schemas.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tenancy => "tenancy",
            Self::Feeds => "feeds",
            Self::Devices => "devices",
            Self::Approvals => "approvals",
            Self::Scheduling => "scheduling",
            Self::Alerts => "alerts",
            Self::Auditing => "auditing",
            Self::Gateway => "gateway",
            Self::Backbone => "backbone",
        }
    }

    /// The service with this name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|service| service.name() == name)
    }
}

impl std::fmt::Display for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
