//! Attempts that the tenant boundary stopped.

use contracts::tenancy::AccessEvent;
use kernel::Journal;

/// The attempts of one tenant's people.
pub enum DeniedAccess {}

impl Journal for DeniedAccess {
    const STREAM: &'static str = "tenancy.access";
    type Event = AccessEvent;
}
