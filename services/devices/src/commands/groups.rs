//! The use cases of device groups.

use super::partner_of;
use crate::{
    fault::{Fault, retried},
    groups,
};
use contracts::{
    Accepted,
    devices::{ChangeGroup, DefineGroup, GroupMembers, RemoveGroup},
    permissions::Permission,
};
use devices_domain::{Group, GroupCommand, GroupRefusal, group};
use eventstore::{Committed, Target};
use foundation::{Foundation, accepted, store_failed};
use kernel::{CustomerId, DeviceGroupId, PartnerId, StreamId, Tenant};
use uuid::Uuid;
use web::{ApiError, CommandContext};

pub(super) async fn define_group(
    foundation: Foundation,
    context: CommandContext,
    command: DefineGroup,
) -> Result<Accepted<DeviceGroupId>, ApiError> {
    let DefineGroup { customer_id, name, members } = command;
    let partner_id = partner_of(&foundation, &context, customer_id).await?;
    context.caller.require(Permission::ManageDevices, Some(customer_id))?;
    group::check(&name, &members).map_err(|refusal| ApiError::refused(&refusal))?;
    let group_id = DeviceGroupId::derived(context.cause.command_id.0, "device group");
    let write = Write { tenant: Tenant::customer(partner_id, customer_id), group_id, customer_id };
    let committed = retried(|| write.define(&foundation, &context, &name, &members)).await?;
    Ok(accepted(group_id, committed))
}

pub(super) async fn change_group(
    foundation: Foundation,
    context: CommandContext,
    command: ChangeGroup,
) -> Result<Accepted<()>, ApiError> {
    let ChangeGroup { group_id, name, members } = command;
    let write = Write::of(&foundation, &context, group_id).await?;
    context.caller.require(Permission::ManageDevices, Some(write.customer_id))?;
    group::check(&name, &members).map_err(|refusal| ApiError::refused(&refusal))?;
    let committed = retried(|| write.change(&foundation, &context, &name, &members)).await?;
    Ok(accepted((), committed))
}

pub(super) async fn remove_group(
    foundation: Foundation,
    context: CommandContext,
    command: RemoveGroup,
) -> Result<Accepted<()>, ApiError> {
    let write = Write::of(&foundation, &context, command.group_id).await?;
    context.caller.require(Permission::ManageDevices, Some(write.customer_id))?;
    let committed = retried(|| write.remove(&foundation, &context)).await?;
    Ok(accepted((), committed))
}

/// A group that is written, and whose it is.
#[derive(Clone, Copy)]
struct Write {
    tenant: Tenant,
    customer_id: CustomerId,
    group_id: DeviceGroupId,
}

impl Write {
    /// A group that exists, or has existed, in the caller's scope.
    async fn of(
        foundation: &Foundation,
        context: &CommandContext,
        group_id: DeviceGroupId,
    ) -> Result<Self, ApiError> {
        let mut tx = foundation.database.begin(&context.caller.scope).await.map_err(store_failed)?;
        let row: Option<(Uuid, Uuid)> =
            sqlx::query_as("select partner_id, customer_id from devices.device_group where group_id = $1")
                .bind(group_id.0)
                .fetch_optional(&mut *tx)
                .await
                .map_err(|error| store_failed(error.into()))?;
        let (partner_id, customer_id) = row.ok_or_else(|| ApiError::refused(&GroupRefusal::Unknown))?;
        let customer_id = CustomerId(customer_id);
        Ok(Self { tenant: Tenant::customer(PartnerId(partner_id), customer_id), customer_id, group_id })
    }

    fn target<'a>(&self, context: &'a CommandContext) -> Target<'a> {
        Target {
            scope: &context.caller.scope,
            tenant: self.tenant,
            stream_id: StreamId(self.group_id.0),
            cause: &context.cause,
            occurred_at: None,
        }
    }

    async fn define(
        &self,
        foundation: &Foundation,
        context: &CommandContext,
        name: &str,
        members: &GroupMembers,
    ) -> Result<Committed, Fault> {
        let command = |surroundings| GroupCommand::Define {
            group_id: self.group_id,
            customer_id: self.customer_id,
            name: name.to_owned(),
            members: members.clone(),
            surroundings,
        };
        self.write(foundation, context, name, members, command).await
    }

    async fn change(
        &self,
        foundation: &Foundation,
        context: &CommandContext,
        name: &str,
        members: &GroupMembers,
    ) -> Result<Committed, Fault> {
        let command = |surroundings| GroupCommand::Change {
            name: name.to_owned(),
            members: members.clone(),
            surroundings,
        };
        self.write(foundation, context, name, members, command).await
    }

    /// Facts and rows of one command, in one transaction.
    async fn write(
        &self,
        foundation: &Foundation,
        context: &CommandContext,
        name: &str,
        members: &GroupMembers,
        command: impl FnOnce(devices_domain::Surroundings) -> GroupCommand,
    ) -> Result<Committed, Fault> {
        let mut tx = foundation.database.begin(&context.caller.scope).await?;
        groups::lock(&mut tx, self.customer_id).await?;
        let there = groups::surroundings(&mut tx, self.customer_id, self.group_id, name, members).await?;
        let devices = there.devices.clone();
        let target = self.target(context);
        let committed = foundation.store.execute_in::<Group>(&mut tx, target, command(there)).await?;
        if !committed.repeated && committed.pos.is_some() {
            groups::keep(&mut tx, self.tenant, self.group_id, name, members, &devices).await?;
        }
        tx.commit().await?;
        Ok(committed)
    }

    async fn remove(&self, foundation: &Foundation, context: &CommandContext) -> Result<Committed, Fault> {
        let mut tx = foundation.database.begin(&context.caller.scope).await?;
        groups::lock(&mut tx, self.customer_id).await?;
        let target = self.target(context);
        let committed = foundation.store.execute_in::<Group>(&mut tx, target, GroupCommand::Remove).await?;
        groups::forget(&mut tx, self.group_id).await?;
        tx.commit().await?;
        Ok(committed)
    }
}
