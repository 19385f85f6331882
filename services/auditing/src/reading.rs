//! That somebody read the audit trail is a fact as well.

use contracts::auditing::AuditAccessEvent;
use kernel::Journal;

/// The readings of one tenant's trail.
pub(crate) enum Readings {}

impl Journal for Readings {
    const STREAM: &'static str = "auditing.reading";
    type Event = AuditAccessEvent;
}
