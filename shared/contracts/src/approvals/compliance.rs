//! How devices stand against the baselines that hold for them.

use crate::Severity;
use chrono::{DateTime, Utc};
use kernel::{BaselineId, DeviceId};
use serde::{Deserialize, Serialize};

/// How a device stands against a baseline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum ComplianceState {
    /// Nothing that the baseline asks for is missing.
    Compliant,
    /// Something is.
    NonCompliant,
    /// Nothing is missing, but what was installed takes effect only after a restart. Not compliant.
    PendingReboot,
    /// Nobody knows. Never counted as compliant.
    NotAssessed,
}

/// Why nobody knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum NotAssessedReason {
    /// It was never scanned.
    NeverScanned,
    /// The last scan is older than 30 days.
    NoRecentScan,
}

/// Patches by severity.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SeverityCounts {
    /// Critical ones.
    pub critical: u32,
    /// High ones.
    pub high: u32,
    /// Medium ones.
    pub medium: u32,
    /// Low ones.
    pub low: u32,
    /// Those without security relevance.
    pub none: u32,
    /// Those of which the vendor says nothing.
    pub unknown: u32,
}

impl SeverityCounts {
    /// Counts one more.
    pub fn add(&mut self, severity: Severity) {
        let count = match severity {
            Severity::Critical => &mut self.critical,
            Severity::High => &mut self.high,
            Severity::Medium => &mut self.medium,
            Severity::Low => &mut self.low,
            Severity::None => &mut self.none,
            Severity::Unknown => &mut self.unknown,
        };
        *count = count.saturating_add(1);
    }

    /// All of them.
    pub fn total(&self) -> u32 {
        let counts = [self.critical, self.high, self.medium, self.low, self.none, self.unknown];
        counts.into_iter().fold(0, u32::saturating_add)
    }
}

events! {
    /// Facts of one device against one baseline.
    ComplianceEvent in "approvals" {
        /// The device was held against the baseline: after each scan, and whenever something else changed the result.
        ComplianceEvaluated = 1 {
            /// The device.
            device_id: DeviceId,
            /// The baseline.
            baseline_id: BaselineId,
            /// Its version at the time.
            baseline_version: u32,
            /// The result.
            state: ComplianceState,
            /// Why nobody knows, where that is the result.
            not_assessed: Option<NotAssessedReason>,
            /// What is missing of what the baseline asks for, and not waived.
            missing: SeverityCounts,
            /// What is missing and waived.
            waived: u32,
            /// When the scan was recorded that the result rests on.
            scanned_at: Option<DateTime<Utc>>,
        },
        /// It is compliant, and was not before.
        DeviceBecameCompliant = 1 {
            /// The device.
            device_id: DeviceId,
            /// The baseline.
            baseline_id: BaselineId,
            /// Its version at the time.
            baseline_version: u32,
        },
        /// It is not compliant, and that was not known before.
        DeviceBecameNonCompliant = 1 {
            /// The device.
            device_id: DeviceId,
            /// The baseline.
            baseline_id: BaselineId,
            /// Its version at the time.
            baseline_version: u32,
            /// What is missing.
            missing: SeverityCounts,
        },
        /// The baseline does not hold for the device any more.
        ComplianceEnded = 1 {
            /// The device.
            device_id: DeviceId,
            /// The baseline.
            baseline_id: BaselineId,
        },
    }
}
