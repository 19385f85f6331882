//! Named sets of a customer's devices.

use crate::DevicePlatform;
use kernel::{CustomerId, DeviceGroupId, DeviceId};
use serde::{Deserialize, Serialize};

/// Which devices belong to a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "SCREAMING_SNAKE_CASE", deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum GroupMembers {
    /// These, until they are changed by hand.
    Listed {
        /// The devices, all of the group's customer.
        device_ids: Vec<DeviceId>,
    },
    /// All that the query finds, at any time.
    Found {
        /// What they have in common.
        query: DeviceQuery,
    },
}

/// What devices have in common. Everything that is given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DeviceQuery {
    /// What they run on.
    pub platform: Option<DevicePlatform>,
    /// Their distribution (`debian`), in the terms of `os-release(5)`; `windows` for Windows.
    pub os_id: Option<String>,
    /// Its release (`12`).
    pub os_version: Option<String>,
    /// Where they stand.
    pub region: Option<String>,
    /// Whether they can be reached from the internet.
    pub exposed: Option<bool>,
    /// A part of their name, ignoring case.
    pub name_contains: Option<String>,
}

events! {
    /// Facts of a device group.
    GroupEvent in "devices" {
        /// A group was defined.
        GroupDefined = 1 {
            /// The group.
            group_id: DeviceGroupId,
            /// Whose devices it is made of.
            customer_id: CustomerId,
            /// Display name, one of its kind at the customer.
            name: String,
            /// Which devices belong to it.
            members: GroupMembers,
        },
        /// Another name, or other devices are meant.
        GroupChanged = 1 {
            /// The group.
            group_id: DeviceGroupId,
            /// Display name from now on.
            name: String,
            /// Which devices belong to it from now on.
            members: GroupMembers,
        },
        /// Devices came or went: by hand, or because the query finds others.
        GroupMembershipChanged = 1 {
            /// The group.
            group_id: DeviceGroupId,
            /// Its customer.
            customer_id: CustomerId,
            /// Devices that belong to it now, in order.
            added: Vec<DeviceId>,
            /// Devices that do not any more, in order.
            removed: Vec<DeviceId>,
        },
        /// The group is gone, and with it its membership.
        GroupRemoved = 1 {
            /// The group.
            group_id: DeviceGroupId,
            /// Its customer.
            customer_id: CustomerId,
        },
    }
}

commands! {
    Devices {
        /// Defines a group of a customer's devices.
        DefineGroup -> DeviceGroupId, needs ManageDevices {
            /// The customer.
            customer_id: CustomerId,
            /// Display name, 1 to 200 characters, one of its kind at the customer.
            name: String,
            /// Which devices belong to it.
            members: GroupMembers,
        }
        /// Gives a group another name or other devices.
        ChangeGroup -> (), needs ManageDevices {
            /// The group.
            group_id: DeviceGroupId,
            /// Display name from now on.
            name: String,
            /// Which devices belong to it from now on.
            members: GroupMembers,
        }
        /// Removes a group; its devices stay.
        RemoveGroup -> (), needs ManageDevices {
            /// The group.
            group_id: DeviceGroupId,
        }
        /// Says whether a device can be reached from the internet.
        SetDeviceExposure -> (), needs ManageDevices {
            /// The device.
            device_id: DeviceId,
            /// Whether it can.
            exposed: bool,
        }
        /// Says where a device stands.
        SetDeviceRegion -> (), needs ManageDevices {
            /// The device.
            device_id: DeviceId,
            /// The region, 1 to 100 characters; none to forget it.
            region: Option<String>,
        }
    }
}
