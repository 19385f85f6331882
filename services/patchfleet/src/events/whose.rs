//! Whose events a command may see. There is no default: looking at every tenant's events is said, not forgotten.

use anyhow::bail;
use clap::Args;
use kernel::{CustomerId, PartnerId, Scope};
use uuid::Uuid;

/// Whose events.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Whose {
    /// Only this partner's events, those of all its customers included.
    #[arg(long, value_name = "ID", global = true)]
    partner: Option<Uuid>,
    /// Only this customer's events; --partner names its partner.
    #[arg(long, value_name = "ID", global = true, requires = "partner")]
    customer: Option<Uuid>,
    /// Every tenant's events, and those of the shared catalogue.
    #[arg(long, global = true, conflicts_with = "partner")]
    all_tenants: bool,
}

impl Whose {
    /// The scope in which the database answers.
    pub(crate) fn scope(self) -> anyhow::Result<Scope> {
        match (self.partner.map(PartnerId), self.customer.map(CustomerId)) {
            (Some(partner_id), Some(customer_id)) => Ok(Scope::Customer { partner_id, customer_id }),
            (Some(partner_id), None) => Ok(Scope::Partner { partner_id }),
            _ if self.all_tenants => Ok(Scope::Platform),
            _ => bail!("say whose events: --partner ID, --partner ID --customer ID, or --all-tenants"),
        }
    }
}
