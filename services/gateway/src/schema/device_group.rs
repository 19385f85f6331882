//! Device groups, and lists of devices by where they stand.

use crate::asking::{forbidden, reachable};
use crate::errors::coded;
use crate::reading::{Page, Seen};
use crate::schema::connection::{ConnectionOf, page_cost};
use crate::schema::global_id::{GlobalId, Kind, global};
use crate::views::customer::CustomerRow;
use crate::views::device::DeviceRow;
use crate::views::device_group::{DEVICES_OF_GROUP, DeviceGroupRow};
use crate::words::DevicePlatform;
use access::Caller;
use async_graphql::{ID, InputObject, Object, Result, SimpleObject};
use contracts::devices;
use contracts::permissions::Permission;

/// Characters of a region: what devices may have.
const REGION_CHARS_MAX: usize = 100;

/// A named set of a customer's devices.
#[Object(name = "DeviceGroup")]
impl Seen<DeviceGroupRow> {
    pub(crate) async fn id(&self) -> ID {
        global(Kind::DeviceGroup, self.row.group_id)
    }

    async fn customer(&self) -> Result<Seen<CustomerRow>> {
        self.view.existing(self.row.customer_id).await
    }

    async fn name(&self) -> &str {
        &self.row.name
    }

    /// What its devices have in common; absent where they are listed by hand.
    async fn query(&self) -> Option<DeviceQuery> {
        self.row.query.as_ref().map(|query| query.0.clone().into())
    }

    /// The devices that belong to it.
    #[graphql(complexity = "page_cost(first, child_complexity)")]
    async fn members(&self, first: Option<i32>, after: Option<String>) -> Result<ConnectionOf<DeviceRow>> {
        self.view.page(&DEVICES_OF_GROUP, self.row.group_id, Page::new(first, after)).await
    }
}

/// What devices have in common. Everything that is given holds.
#[derive(Debug, Clone, SimpleObject, InputObject)]
#[graphql(input_name = "DeviceQueryInput")]
pub(crate) struct DeviceQuery {
    platform: Option<DevicePlatform>,
    /// Their distribution (`debian`), in the terms of `os-release(5)`; `windows` for Windows.
    os_id: Option<String>,
    /// Its release (`12`).
    os_version: Option<String>,
    region: Option<String>,
    /// Whether they can be reached from the internet.
    exposed: Option<bool>,
    /// A part of their name, ignoring case.
    name_contains: Option<String>,
}

impl From<devices::DeviceQuery> for DeviceQuery {
    fn from(query: devices::DeviceQuery) -> Self {
        let devices::DeviceQuery { platform, os_id, os_version, region, exposed, name_contains } = query;
        Self { platform: platform.map(Into::into), os_id, os_version, region, exposed, name_contains }
    }
}

impl From<DeviceQuery> for devices::DeviceQuery {
    fn from(query: DeviceQuery) -> Self {
        let DeviceQuery { platform, os_id, os_version, region, exposed, name_contains } = query;
        Self { platform: platform.map(Into::into), os_id, os_version, region, exposed, name_contains }
    }
}

/// Which of the devices. Everything that is given must hold.
#[derive(Debug, Clone, InputObject)]
pub(crate) struct DeviceFilter {
    region: Option<String>,
    /// Only members of this group.
    group_id: Option<ID>,
    /// Whether they can be reached from the internet.
    exposed: Option<bool>,
}

impl DeviceFilter {
    /// As the list of devices takes it: region, exposure, group; empty where it is not asked for.
    pub(crate) fn wanted(self) -> Result<Vec<String>> {
        let Self { region, group_id, exposed } = self;
        let group_id = match group_id.as_ref().map(|id| GlobalId::read(id)) {
            None => String::new(),
            Some(Some(GlobalId { kind: Kind::DeviceGroup, id })) => id.to_string(),
            Some(Some(_) | None) => {
                let message = format!("groupId is not a {} id", Kind::DeviceGroup.words());
                return Err(coded("graphql.id_invalid", message));
            }
        };
        let exposed = exposed.map(|exposed| exposed.to_string()).unwrap_or_default();
        Ok(vec![searched_region(region)?, exposed, group_id])
    }
}

/// A region and the customers that count, as lists take them: the region, whether `all` or `some` customers, which. What
/// customers have is more than the catalogue, whatever list it is about.
pub(crate) fn at_region(caller: &Caller, region: Option<String>) -> Result<Vec<String>> {
    caller.require_anywhere(Permission::ReadFleet).map_err(forbidden)?;
    let mut wanted = vec![searched_region(region)?];
    match reachable(caller, Permission::ReadFleet) {
        None => wanted.push("all".to_owned()),
        Some(ids) => {
            wanted.push("some".to_owned());
            wanted.extend(ids);
        }
    }
    Ok(wanted)
}

/// A region as lists take it: empty where it is not asked for.
fn searched_region(region: Option<String>) -> Result<String> {
    let Some(region) = region else { return Ok(String::new()) };
    // No text in the database holds U+0000, and it would refuse the question.
    if region.is_empty() || region.chars().count() > REGION_CHARS_MAX || region.contains('\0') {
        let message = format!("a region has 1 to {REGION_CHARS_MAX} characters");
        return Err(coded("graphql.input_invalid", message));
    }
    Ok(region)
}
