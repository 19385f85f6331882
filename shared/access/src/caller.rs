//! A signed-in person with the roles they hold.

use contracts::permissions::{Permission, Role};
use kernel::{Actor, CustomerId, Scope, UserId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Who is calling.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// The user.
    pub user_id: UserId,
    /// The name by which the identity provider knows the person.
    pub subject: String,
    /// Whose data the caller may touch at most.
    pub scope: Scope,
    /// The roles held.
    pub grants: Vec<Grant>,
}

/// A role and where it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Grant {
    /// The role.
    pub role: Role,
    /// One customer, or (for partner roles) the whole partner.
    pub customer_id: Option<CustomerId>,
}

/// Where a permission holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// Everywhere in the caller's scope.
    Everywhere,
    /// At these customers only; nowhere if empty.
    Customers(BTreeSet<CustomerId>),
}

/// The caller's roles do not include what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the permission {permission:?} is needed for this")]
pub struct Denied {
    /// What would have been needed.
    pub permission: Permission,
}

impl Denied {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        "access.forbidden"
    }
}

impl Caller {
    /// The caller as the originator of events.
    pub fn actor(&self) -> Actor {
        Actor::user(self.user_id)
    }

    /// Whether the caller may do this at `customer`, or, without one, in the whole of the scope.
    pub fn require(&self, permission: Permission, customer: Option<CustomerId>) -> Result<(), Denied> {
        let allowed = match (self.reach(permission), customer) {
            (Reach::Everywhere, None) => self.scope.customer_id().is_none(),
            (Reach::Everywhere, Some(id)) => self.scope.customer_id().is_none_or(|own| own == id),
            (Reach::Customers(_), None) => false,
            (Reach::Customers(ids), Some(id)) => ids.contains(&id),
        };
        if allowed { Ok(()) } else { Err(Denied { permission }) }
    }

    /// Whether the caller may do this anywhere at all. The first check, before the object is known.
    pub fn require_anywhere(&self, permission: Permission) -> Result<(), Denied> {
        match self.reach(permission) {
            Reach::Customers(ids) if ids.is_empty() => Err(Denied { permission }),
            Reach::Everywhere | Reach::Customers(_) => Ok(()),
        }
    }

    /// Where the caller may do this.
    pub fn reach(&self, permission: Permission) -> Reach {
        let mut customers = BTreeSet::new();
        for grant in self.grants.iter().filter(|grant| grant.counts_for(permission, self.scope)) {
            match grant.customer_id {
                None => return Reach::Everywhere,
                Some(id) => customers.insert(id),
            };
        }
        customers.retain(|id| self.scope.customer_id().is_none_or(|own| own == *id));
        Reach::Customers(customers)
    }

    /// The same caller, limited to one customer of the scope's partner.
    ///
    /// That the customer is one of this partner is for the database to find: elsewhere nothing is seen.
    pub fn narrowed_to(&self, customer_id: CustomerId) -> Option<Self> {
        let partner_id = self.scope.partner_id()?;
        if self.scope.customer_id().is_some_and(|own| own != customer_id) {
            return None;
        }
        Some(Self { scope: Scope::Customer { partner_id, customer_id }, ..self.clone() })
    }
}

impl Grant {
    /// A role in the whole partner, or on the platform.
    pub fn everywhere(role: Role) -> Self {
        Self { role, customer_id: None }
    }

    /// A role at one customer.
    pub fn at(role: Role, customer_id: CustomerId) -> Self {
        Self { role, customer_id: Some(customer_id) }
    }

    fn counts_for(&self, permission: Permission, scope: Scope) -> bool {
        permission.roles().contains(&self.role) && self.fits(scope)
    }

    // A grant on the wrong level (a customer role without a customer, a partner role on the platform) counts nowhere.
    fn fits(&self, scope: Scope) -> bool {
        match (self.role, scope) {
            (Role::PlatformOperator, Scope::Platform) => self.customer_id.is_none(),
            (Role::PlatformOperator, _) | (_, Scope::Platform) => false,
            (role, Scope::Partner { .. } | Scope::Customer { .. }) => {
                self.customer_id.is_some() || !role.is_customer_level()
            }
        }
    }
}

#[cfg(test)]
mod tests;
