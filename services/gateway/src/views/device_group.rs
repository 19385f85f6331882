//! Device groups and who belongs to them.

use crate::reading::list::{ById, list};
use crate::views::Entry;
use crate::views::device::{DeviceRow, device_columns};
use contracts::devices::{
    DeviceQuery, GroupChanged, GroupDefined, GroupEvent, GroupMembers, GroupMembershipChanged, GroupRemoved,
};
use eventstore::{StoreError, Tx};
use kernel::DeviceId;
use sqlx::types::Json;
use uuid::Uuid;

/// A device group as GraphQL shows it.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct DeviceGroupRow {
    pub(crate) group_id: Uuid,
    pub(crate) customer_id: Uuid,
    pub(crate) name: String,
    pub(crate) query: Option<Json<DeviceQuery>>,
}

macro_rules! columns {
    () => {
        "t.group_id, t.customer_id, t.name, t.query, t.seq"
    };
}

impl ById for DeviceGroupRow {
    const BY_IDS: &'static str = concat!(
        "select t.group_id as key, ",
        columns!(),
        " from views.device_group t where t.group_id = any($1)"
    );
}

list! {
    /// The groups in scope; the filter names the customers to be seen.
    GROUPS: DeviceGroupRow, columns from "views.device_group t"
    where "true" only "t.customer_id::text", oldest first by "t.seq"
}

list! {
    /// A customer's groups.
    GROUPS_OF_CUSTOMER: DeviceGroupRow, columns from "views.device_group t"
    where "t.customer_id = p.parent", oldest first by "t.seq"
}

list! {
    /// The groups that a device belongs to.
    GROUPS_OF_DEVICE: DeviceGroupRow,
    columns from "views.group_member m join views.device_group t on t.group_id = m.group_id"
    where "m.device_id = p.parent", oldest first by "m.group_seq"
}

list! {
    /// The devices that belong to a group.
    DEVICES_OF_GROUP: DeviceRow,
    device_columns from "views.group_member m join views.device t on t.device_id = m.device_id"
    where "m.group_id = p.parent", oldest first by "m.device_seq"
}

pub(super) async fn apply(tx: &mut Tx, entry: Entry, fact: GroupEvent) -> Result<(), StoreError> {
    match fact {
        GroupEvent::GroupDefined(GroupDefined { group_id, customer_id, name, members }) => {
            sqlx::query(
                "insert into device_group (group_id, partner_id, customer_id, name, query, seq)
                 values ($1, $2, $3, $4, $5, $6)",
            )
            .bind(group_id.0)
            .bind(entry.partner_id)
            .bind(customer_id.0)
            .bind(name)
            .bind(query(members))
            .bind(entry.seq)
            .execute(&mut **tx)
            .await?;
        }
        GroupEvent::GroupChanged(GroupChanged { group_id, name, members }) => {
            sqlx::query("update device_group set name = $2, query = $3 where group_id = $1")
                .bind(group_id.0)
                .bind(name)
                .bind(query(members))
                .execute(&mut **tx)
                .await?;
        }
        GroupEvent::GroupMembershipChanged(GroupMembershipChanged { group_id, added, removed, .. }) => {
            let ids = |of: &[DeviceId]| of.iter().map(|id| id.0).collect::<Vec<_>>();
            sqlx::query("delete from group_member where group_id = $1 and device_id = any($2)")
                .bind(group_id.0)
                .bind(ids(&removed))
                .execute(&mut **tx)
                .await?;
            sqlx::query(
                "insert into group_member (group_id, device_id, partner_id, customer_id, device_seq, group_seq)
                 select g.group_id, d.device_id, g.partner_id, g.customer_id, d.seq, g.seq
                   from device_group g
                   join device d on d.device_id = any($2)
                  where g.group_id = $1
                     on conflict do nothing",
            )
            .bind(group_id.0)
            .bind(ids(&added))
            .execute(&mut **tx)
            .await?;
        }
        GroupEvent::GroupRemoved(GroupRemoved { group_id, .. }) => {
            sqlx::query("delete from device_group where group_id = $1")
                .bind(group_id.0)
                .execute(&mut **tx)
                .await?;
        }
    }
    Ok(())
}

fn query(members: GroupMembers) -> Option<Json<DeviceQuery>> {
    match members {
        GroupMembers::Listed { .. } => None,
        GroupMembers::Found { query } => Some(Json(query)),
    }
}
