//! Whose data a piece of work may touch.

use crate::{CustomerId, PartnerId};
use serde::{Deserialize, Serialize};

/// Whose fact an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Tenant {
    /// The partner; [`Tenant::PLATFORM`] facts (the OS vendors' catalogue) belong to the nil partner.
    pub partner_id: PartnerId,
    /// The customer, where the fact is about one.
    pub customer_id: Option<CustomerId>,
}

impl Tenant {
    /// The operator of the platform: the owner of what all partners share.
    pub const PLATFORM: Self = Self { partner_id: PartnerId(uuid::Uuid::nil()), customer_id: None };

    /// The partner's own fact.
    pub fn partner(partner_id: PartnerId) -> Self {
        Self { partner_id, customer_id: None }
    }

    /// A fact about one customer.
    pub fn customer(partner_id: PartnerId, customer_id: CustomerId) -> Self {
        Self { partner_id, customer_id: Some(customer_id) }
    }
}

/// Whose data a piece of work may touch. The database enforces it with row-level security.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "level", rename_all = "snake_case")]
pub enum Scope {
    /// Every tenant's. Only the backbone, timers and the platform operator's commands work at this level.
    Platform,
    /// One partner and all of its customers.
    Partner {
        /// The partner.
        partner_id: PartnerId,
    },
    /// One customer only.
    Customer {
        /// The customer's partner.
        partner_id: PartnerId,
        /// The customer.
        customer_id: CustomerId,
    },
}

impl Scope {
    /// The scope that sees exactly what belongs to the partner of `tenant`, or everything for platform facts.
    pub fn partner_of(tenant: Tenant) -> Self {
        if tenant == Tenant::PLATFORM {
            Self::Platform
        } else {
            Self::Partner { partner_id: tenant.partner_id }
        }
    }

    /// The partner, where the scope is limited to one.
    pub fn partner_id(&self) -> Option<PartnerId> {
        match self {
            Self::Platform => None,
            Self::Partner { partner_id } | Self::Customer { partner_id, .. } => Some(*partner_id),
        }
    }

    /// The customer, where the scope is limited to one.
    pub fn customer_id(&self) -> Option<CustomerId> {
        match self {
            Self::Platform | Self::Partner { .. } => None,
            Self::Customer { customer_id, .. } => Some(*customer_id),
        }
    }

    /// Whether a fact of `tenant` lies inside this scope.
    pub fn covers(&self, tenant: Tenant) -> bool {
        match self {
            Self::Platform => true,
            Self::Partner { partner_id } => tenant.partner_id == *partner_id,
            Self::Customer { customer_id, .. } => tenant.customer_id == Some(*customer_id),
        }
    }
}
