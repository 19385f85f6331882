//! The audit trail: every event as a record of who did what, when, to what and why.

use chrono::{DateTime, Utc};
use kernel::{Actor, CorrelationId, CustomerId, EventId, PartnerId, Position, UserId};
use serde::{Deserialize, Serialize};

events! {
    /// Facts of the use of the audit trail; one stream per reader.
    AuditAccessEvent in "auditing" {
        /// Somebody read the audit trail.
        AuditRecordRead = 1 {
            /// Who.
            user_id: UserId,
            /// The filter.
            filter: AuditFilter,
            /// Records in the answer.
            returned: u32,
        },
    }
}

/// Which records to return.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AuditFilter {
    /// Only these event types (`approvals.PatchApproved`).
    #[serde(default)]
    pub event_types: Vec<String>,
    /// Only records about this object id.
    #[serde(default)]
    pub subject_id: Option<String>,
    /// Only records of this actor id.
    #[serde(default)]
    pub actor_id: Option<String>,
    /// Only records that follow from this request.
    #[serde(default)]
    pub correlation_id: Option<CorrelationId>,
}

/// One event as an auditor sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuditRecord {
    /// Position in the log.
    pub position: Position,
    /// The event.
    pub event_id: EventId,
    /// `<service>.<EventName>`.
    pub event_type: String,
    /// The partner.
    pub partner_id: PartnerId,
    /// The customer.
    pub customer_id: Option<CustomerId>,
    /// By the clock of whoever saw it.
    pub occurred_at: DateTime<Utc>,
    /// By the database's clock.
    pub recorded_at: DateTime<Utc>,
    /// Who.
    pub actor: Actor,
    /// The request all of it follows from.
    pub correlation_id: CorrelationId,
    /// The trace of the request (W3C Trace Context, 32 hex digits), through every service and the agent.
    #[serde(default)]
    pub trace_id: Option<String>,
    /// The fact itself.
    pub payload: serde_json::Value,
    /// RFC 6962 leaf hash of the event's canonical envelope, lowercase hex.
    pub leaf_hash: String,
}

/// A page of records, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuditPage {
    /// The records.
    pub records: Vec<AuditRecord>,
    /// Whether older ones follow.
    pub has_more: bool,
    /// The log position up to which the trail is complete.
    pub as_of: Position,
}

commands! {
    Auditing {
        /// Reads the audit trail in the caller's scope. Reading is itself recorded.
        ReadAuditTrail -> AuditPage, needs ReadAudit {
            /// Which records.
            filter: AuditFilter,
            /// Only records before this position.
            before: Option<Position>,
            /// At most so many, 1 to 100.
            limit: u32,
        }
    }
}
