//! Where a decision holds.

use kernel::{CustomerId, DeviceGroupId, DeviceId, PartnerId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

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

    /// The id of the partner, customer, group or device itself.
    pub fn id(self) -> Uuid {
        match self {
            Self::Partner { partner_id } => partner_id.0,
            Self::Customer { customer_id } => customer_id.0,
            Self::Group { group_id, .. } => group_id.0,
            Self::Device { device_id, .. } => device_id.0,
        }
    }

    /// The scope of this level with this id, at `customer`; none where a level lacks its customer.
    pub fn of(level: ApprovalLevel, id: Uuid, customer: Option<CustomerId>) -> Option<Self> {
        match (level, customer) {
            (ApprovalLevel::Partner, _) => Some(Self::Partner { partner_id: PartnerId(id) }),
            (ApprovalLevel::Customer, _) => Some(Self::Customer { customer_id: CustomerId(id) }),
            (ApprovalLevel::Group, Some(customer_id)) => {
                Some(Self::Group { customer_id, group_id: DeviceGroupId(id) })
            }
            (ApprovalLevel::Device, Some(customer_id)) => {
                Some(Self::Device { customer_id, device_id: DeviceId(id) })
            }
            (ApprovalLevel::Group | ApprovalLevel::Device, None) => None,
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

impl ApprovalLevel {
    /// Every level, the nearest first.
    pub const ALL: [Self; 4] = [Self::Device, Self::Group, Self::Customer, Self::Partner];

    /// Its word in facts and tables.
    pub fn word(self) -> &'static str {
        match self {
            Self::Device => "DEVICE",
            Self::Group => "GROUP",
            Self::Customer => "CUSTOMER",
            Self::Partner => "PARTNER",
        }
    }

    /// The level with this word.
    pub fn read(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.word() == word)
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
