//! Where a decision holds.

use kernel::{CustomerId, DeviceGroupId, DeviceId, PartnerId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Where a decision holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "level", rename_all = "SCREAMING_SNAKE_CASE", deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum ApprovalScope {
    /// At every customer of the partner.
    Partner {
        /// The partner.
        partner_id: PartnerId,
    },
    /// On every device of the customer.
    Customer {
        /// The customer.
        customer_id: CustomerId,
    },
    /// On the devices of a group.
    Group {
        /// Whose group it is.
        customer_id: CustomerId,
        /// The group.
        group_id: DeviceGroupId,
    },
    /// On one device.
    Device {
        /// Whose device it is.
        customer_id: CustomerId,
        /// The device.
        device_id: DeviceId,
    },
}

/// How near to a device a decision is taken. The order is that of precedence: what is nearer decides first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum ApprovalLevel {
    /// For one device.
    Device,
    /// For a group.
    Group,
    /// For a customer.
    Customer,
    /// For all customers of a partner.
    Partner,
}

impl ApprovalScope {
    /// How near to a device it is.
    pub fn level(self) -> ApprovalLevel {
        match self {
            Self::Partner { .. } => ApprovalLevel::Partner,
            Self::Customer { .. } => ApprovalLevel::Customer,
            Self::Group { .. } => ApprovalLevel::Group,
            Self::Device { .. } => ApprovalLevel::Device,
        }
    }

    /// The customer that it lies within; none for all of a partner's.
    pub fn customer_id(self) -> Option<CustomerId> {
        match self {
            Self::Partner { .. } => None,
            Self::Customer { customer_id }
            | Self::Group { customer_id, .. }
            | Self::Device { customer_id, .. } => Some(customer_id),
        }
    }

    /// The whole customer, if that is the scope.
    pub fn whole_customer(self) -> Option<CustomerId> {
        match self {
            Self::Customer { customer_id } => Some(customer_id),
            Self::Partner { .. } | Self::Group { .. } | Self::Device { .. } => None,
        }
    }
}

impl From<CustomerId> for ApprovalScope {
    fn from(customer_id: CustomerId) -> Self {
        Self::Customer { customer_id }
    }
}

/// Decisions held at customers only: the customer's id becomes the scope.
pub(super) fn at_customer(mut fact: Value) -> Result<Value, String> {
    let fields = fact.as_object_mut().ok_or("a fact must be an object")?;
    let customer_id = fields.remove("customer_id").ok_or("customer_id is missing")?;
    fields.insert("scope".to_owned(), json!({ "level": "CUSTOMER", "customer_id": customer_id }));
    Ok(fact)
}
