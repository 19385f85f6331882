//! A named set of a customer's devices.
//!
//! ```text
//! NotDefined --define--> Defined --remove--> Removed
//! ```
//!
//! Who belongs to it is looked up by the caller and compared here with who did: only what is different is a fact.

use crate::text::is_shown;
use contracts::devices::{
    DeviceQuery, GroupChanged, GroupDefined, GroupEvent, GroupMembers, GroupMembershipChanged, GroupRemoved,
};
use kernel::{Aggregate, CustomerId, DeviceGroupId, DeviceId, Refused, Snapshot};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Characters of a group's name.
pub const GROUP_NAME_CHARS_MAX: usize = 200;
/// Characters of a text in a query: more than any name of a device or release has.
pub const QUERY_TEXT_CHARS_MAX: usize = 256;
/// Devices that a list may name: what fits into one request. A larger set has something in common for a query to say.
pub const LISTED_MAX: usize = 1_000;
/// Groups of one customer: all of them are looked at when one of its devices changes.
pub const GROUPS_MAX: usize = 500;
/// Devices of one fact, some 40 kB: a group of a whole large fleet comes in several.
pub const MOVED_MAX: usize = 1_000;

/// A device group.
pub struct Group;

/// Where a group stands.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum State {
    /// There is none.
    #[default]
    NotDefined,
    /// It is there.
    Defined(Defined),
    /// It was there.
    Removed,
}

/// A group that is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Defined {
    group_id: DeviceGroupId,
    customer_id: CustomerId,
    name: String,
    members: GroupMembers,
    devices: BTreeSet<DeviceId>,
}

/// What the caller has looked up at the customer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Surroundings {
    /// Whether another of its groups has the name.
    pub name_taken: bool,
    /// How many other groups it has.
    pub other_groups: usize,
    /// Its devices that the list names, or that the query finds.
    pub devices: BTreeSet<DeviceId>,
}

/// What can be asked of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Make it.
    Define {
        /// Its id.
        group_id: DeviceGroupId,
        /// Whose devices it is made of.
        customer_id: CustomerId,
        /// Display name.
        name: String,
        /// Which devices belong to it.
        members: GroupMembers,
        /// What is there.
        surroundings: Surroundings,
    },
    /// Give it another name or other devices.
    Change {
        /// Display name from now on.
        name: String,
        /// Which devices belong to it from now on.
        members: GroupMembers,
        /// What is there.
        surroundings: Surroundings,
    },
    /// A device has changed: the query finds it now, or does not any more.
    Move {
        /// The device.
        device_id: DeviceId,
        /// Whether the query finds it.
        belongs: bool,
    },
    /// Take it away.
    Remove,
}

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is none, or none any more.
    #[error("there is no such group")]
    Unknown,
    /// The name cannot be one.
    #[error(
        "a group's name has 1 to {GROUP_NAME_CHARS_MAX} characters, none of them a control character, and no blanks around it"
    )]
    InvalidName,
    /// Another group of the customer has the name.
    #[error("the customer has another group that is called {name:?}")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// A text of the query cannot be one.
    #[error(
        "{field} of a query has 1 to {QUERY_TEXT_CHARS_MAX} characters, none of them a control character, and no blanks around it"
    )]
    InvalidQuery {
        /// Which.
        field: &'static str,
    },
    /// Too long a list.
    #[error("{count} devices are listed; {LISTED_MAX} are allowed: a query can find more")]
    TooManyListed {
        /// How many.
        count: usize,
    },
    /// The customer has enough of them.
    #[error("the customer has {GROUPS_MAX} groups already")]
    TooManyGroups,
    /// Not a device of the customer.
    #[error("the customer has no device {device_id}")]
    DeviceUnknown {
        /// What was listed.
        device_id: DeviceId,
    },
}

impl Refused for Refusal {
    fn code(&self) -> &'static str {
        match self {
            Self::Unknown => "devices.group_unknown",
            Self::InvalidName => "devices.group_name_invalid",
            Self::NameTaken { .. } => "devices.group_name_taken",
            Self::InvalidQuery { .. } => "devices.group_query_invalid",
            Self::TooManyListed { .. } => "devices.group_too_many_devices",
            Self::TooManyGroups => "devices.too_many_groups",
            Self::DeviceUnknown { .. } => "devices.group_device_unknown",
        }
    }

    fn is_not_found(&self) -> bool {
        match self {
            Self::Unknown | Self::DeviceUnknown { .. } => true,
            Self::InvalidName
            | Self::NameTaken { .. }
            | Self::InvalidQuery { .. }
            | Self::TooManyListed { .. }
            | Self::TooManyGroups => false,
        }
    }

    fn is_conflict(&self) -> bool {
        matches!(self, Self::NameTaken { .. })
    }
}

impl Aggregate for Group {
    const STREAM: &'static str = "devices.group";
    type State = State;
    // Every device that comes or goes adds to the stream.
    const SNAPSHOT: Option<Snapshot<State>> = Some(Snapshot::json(1, 100));
    type Command = Command;
    type Event = GroupEvent;
    type Refusal = Refusal;

    fn decide(state: &State, command: Command) -> Result<Vec<GroupEvent>, Refusal> {
        match (state, command) {
            (State::NotDefined, Command::Define { group_id, customer_id, name, members, surroundings }) => {
                let members = checked(&name, members, &surroundings)?;
                if surroundings.other_groups >= GROUPS_MAX {
                    return Err(Refusal::TooManyGroups);
                }
                let mut events = vec![GroupDefined { group_id, customer_id, name, members }.into()];
                events.extend(moves(group_id, customer_id, &BTreeSet::new(), &surroundings.devices));
                Ok(events)
            }
            (State::Defined(_) | State::Removed, Command::Define { .. })
            | (State::Removed, Command::Move { .. } | Command::Remove) => Ok(vec![]),
            (State::NotDefined, Command::Change { .. } | Command::Move { .. } | Command::Remove)
            | (State::Removed, Command::Change { .. }) => Err(Refusal::Unknown),
            (State::Defined(group), Command::Change { name, members, surroundings }) => {
                let members = checked(&name, members, &surroundings)?;
                Ok(group.change(name, members, &surroundings.devices))
            }
            (State::Defined(group), Command::Move { device_id, belongs }) => {
                Ok(group.found(device_id, belongs))
            }
            (State::Defined(group), Command::Remove) => Ok(group.remove()),
        }
    }

    fn evolve(state: State, event: &GroupEvent) -> State {
        match (state, event) {
            (_, GroupEvent::GroupDefined(fact)) => State::Defined(Defined {
                group_id: fact.group_id,
                customer_id: fact.customer_id,
                name: fact.name.clone(),
                members: fact.members.clone(),
                devices: BTreeSet::new(),
            }),
            (_, GroupEvent::GroupRemoved(_)) => State::Removed,
            (State::Defined(group), GroupEvent::GroupChanged(fact)) => {
                State::Defined(Defined { name: fact.name.clone(), members: fact.members.clone(), ..group })
            }
            (State::Defined(mut group), GroupEvent::GroupMembershipChanged(fact)) => {
                group.devices.extend(&fact.added);
                for device in &fact.removed {
                    group.devices.remove(device);
                }
                State::Defined(group)
            }
            (
                state @ (State::NotDefined | State::Removed),
                GroupEvent::GroupChanged(_) | GroupEvent::GroupMembershipChanged(_),
            ) => state,
        }
    }
}

impl Defined {
    fn change(&self, name: String, members: GroupMembers, devices: &BTreeSet<DeviceId>) -> Vec<GroupEvent> {
        let mut events = Vec::new();
        if name != self.name || members != self.members {
            events.push(GroupChanged { group_id: self.group_id, name, members }.into());
        }
        events.extend(moves(self.group_id, self.customer_id, &self.devices, devices));
        events
    }

    /// What becomes of a device is a query's business: a list stays as somebody has written it.
    fn found(&self, device_id: DeviceId, belongs: bool) -> Vec<GroupEvent> {
        if matches!(self.members, GroupMembers::Listed { .. }) || self.devices.contains(&device_id) == belongs
        {
            return vec![];
        }
        let (added, removed) = if belongs { (vec![device_id], vec![]) } else { (vec![], vec![device_id]) };
        let (group_id, customer_id) = (self.group_id, self.customer_id);
        vec![GroupMembershipChanged { group_id, customer_id, added, removed }.into()]
    }

    /// The membership ends first: who follows the devices of a group never keeps one of a group that is gone.
    fn remove(&self) -> Vec<GroupEvent> {
        let (group_id, customer_id) = (self.group_id, self.customer_id);
        let mut events: Vec<_> = moves(group_id, customer_id, &self.devices, &BTreeSet::new()).collect();
        events.push(GroupRemoved { group_id, customer_id }.into());
        events
    }
}

/// Checks what a group is to be, by itself: before anything is looked up for it.
pub fn check(name: &str, members: &GroupMembers) -> Result<(), Refusal> {
    if !is_shown(name, GROUP_NAME_CHARS_MAX) {
        return Err(Refusal::InvalidName);
    }
    match members {
        GroupMembers::Listed { device_ids } if device_ids.len() > LISTED_MAX => {
            Err(Refusal::TooManyListed { count: device_ids.len() })
        }
        GroupMembers::Listed { .. } => Ok(()),
        GroupMembers::Found { query } => check_query(query),
    }
}

fn check_query(query: &DeviceQuery) -> Result<(), Refusal> {
    let DeviceQuery { platform: _, os_id, os_version, region, exposed: _, name_contains } = query;
    let texts =
        [("os_id", os_id), ("os_version", os_version), ("region", region), ("name_contains", name_contains)];
    let wrong = texts
        .into_iter()
        .find(|(_, text)| text.as_ref().is_some_and(|text| !is_shown(text, QUERY_TEXT_CHARS_MAX)));
    wrong.map_or(Ok(()), |(field, _)| Err(Refusal::InvalidQuery { field }))
}

/// The members as they are recorded: a list in order, each device once, all of them the customer's.
fn checked(name: &str, members: GroupMembers, surroundings: &Surroundings) -> Result<GroupMembers, Refusal> {
    check(name, &members)?;
    if surroundings.name_taken {
        return Err(Refusal::NameTaken { name: name.to_owned() });
    }
    match members {
        GroupMembers::Listed { device_ids } => {
            let listed: BTreeSet<DeviceId> = device_ids.into_iter().collect();
            match listed.difference(&surroundings.devices).next() {
                Some(unknown) => Err(Refusal::DeviceUnknown { device_id: *unknown }),
                None => Ok(GroupMembers::Listed { device_ids: listed.into_iter().collect() }),
            }
        }
        GroupMembers::Found { query } => Ok(GroupMembers::Found { query }),
    }
}

/// From who belonged to who belongs, in facts of at the most [`MOVED_MAX`] devices.
fn moves(
    group_id: DeviceGroupId,
    customer_id: CustomerId,
    before: &BTreeSet<DeviceId>,
    after: &BTreeSet<DeviceId>,
) -> impl Iterator<Item = GroupEvent> {
    let came = after.difference(before).map(|device| (*device, true));
    let went = before.difference(after).map(|device| (*device, false));
    let moved: Vec<(DeviceId, bool)> = came.chain(went).collect();
    let facts: Vec<GroupEvent> = moved
        .chunks(MOVED_MAX)
        .map(|part| {
            let of = |came: bool| part.iter().filter(|(_, is)| *is == came).map(|(id, _)| *id).collect();
            GroupMembershipChanged { group_id, customer_id, added: of(true), removed: of(false) }.into()
        })
        .collect();
    facts.into_iter()
}

#[cfg(test)]
mod tests;
