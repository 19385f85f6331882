//! Auto-approval: rules with their whitelist, what they say of patches, and when they look again.

mod commands;
mod estate;
mod judging;
mod kept;
mod knowledge;
mod queue;
mod simulation;
mod timer;

pub(crate) use commands::{RuleServices, routes};
pub(crate) use judging::{Judging, Trigger};
pub(crate) use knowledge::RuleKnowledge;
pub(crate) use queue::{Affected, look_again};
pub use timer::RuleTimer;

use kernel::{CustomerId, Tenant};
use uuid::Uuid;

/// Stands for all customers of a partner in the service's tables.
const ALL_CUSTOMERS: CustomerId = CustomerId(Uuid::nil());

/// The customer's id in the tables, or the nil one for what is the partner's own.
fn customer_key(tenant: Tenant) -> Uuid {
    tenant.customer_id.unwrap_or(ALL_CUSTOMERS).0
}
