//! Enrolment, groups, and where devices stand.

use super::payload;
use crate::commands::ids::Ids;
use crate::commands::{UserError, carry_out};
use crate::schema::device_group::DeviceQuery;
use crate::schema::global_id::{Kind, global};
use async_graphql::{Context, ID, InputObject, Object, Result};
use chrono::{DateTime, Utc};
use contracts::devices::{self, GroupMembers};
use kernel::DeviceGroupId;
use uuid::Uuid;

/// What devices does.
#[derive(Default)]
pub(crate) struct DevicesMutations;

#[derive(InputObject)]
pub(crate) struct IssueEnrolmentTokenInput {
    idempotency_key: String,
    customer_id: ID,
    /// 60 to 604,800.
    valid_for_seconds: i32,
}

payload! {
    IssueEnrolmentTokenPayload of devices::IssuedToken {
        token_id: Uuid = |issued| Some(issued.token_id.0),
        /// Shown here only, and again when the mutation is repeated with its key.
        token: String = |issued| issued.token.clone(),
        expires_at: DateTime<Utc> = |issued| Some(issued.expires_at),
    }
}

#[derive(InputObject)]
pub(crate) struct DefineGroupInput {
    idempotency_key: String,
    customer_id: ID,
    /// 1 to 200 characters, one of its kind at the customer.
    name: String,
    /// These devices, at most 1,000; or give a `query`.
    device_ids: Option<Vec<ID>>,
    /// All devices of the customer that it finds, at any time; or give `deviceIds`.
    query: Option<DeviceQuery>,
}

#[derive(InputObject)]
pub(crate) struct ChangeGroupInput {
    idempotency_key: String,
    group_id: ID,
    /// 1 to 200 characters, one of its kind at the customer.
    name: String,
    /// These devices from now on, at most 1,000; or give a `query`.
    device_ids: Option<Vec<ID>>,
    /// All devices of the customer that it finds, at any time; or give `deviceIds`.
    query: Option<DeviceQuery>,
}

#[derive(InputObject)]
pub(crate) struct RemoveGroupInput {
    idempotency_key: String,
    group_id: ID,
}

#[derive(InputObject)]
pub(crate) struct SetDeviceExposureInput {
    idempotency_key: String,
    device_id: ID,
    /// Whether it can be reached from the internet.
    exposed: bool,
}

#[derive(InputObject)]
pub(crate) struct SetDeviceRegionInput {
    idempotency_key: String,
    device_id: ID,
    /// 1 to 100 characters; without it nothing is said of where the device stands.
    region: Option<String>,
}

payload! {
    DefineGroupPayload of DeviceGroupId {
        group_id: ID = |group_id| Some(global(Kind::DeviceGroup, group_id.0)),
    }
}
payload! { ChangeGroupPayload of () {} }
payload! { RemoveGroupPayload of () {} }
payload! { SetDeviceExposurePayload of () {} }
payload! { SetDeviceRegionPayload of () {} }

#[Object]
impl DevicesMutations {
    /// Issues a single-use token with which one device may enrol.
    async fn issue_enrolment_token(
        &self,
        ctx: &Context<'_>,
        input: IssueEnrolmentTokenInput,
    ) -> Result<IssueEnrolmentTokenPayload> {
        let IssueEnrolmentTokenInput { idempotency_key, customer_id, valid_for_seconds } = input;
        let outcome = carry_out(ctx, &idempotency_key, |ids| {
            let customer_id = ids.one("customerId", Kind::Customer, &customer_id);
            let Ok(valid_for_seconds) = u32::try_from(valid_for_seconds) else {
                let message = format!("a validity of {valid_for_seconds} seconds is none");
                ids.refuse(UserError::new("graphql.input_invalid", message).at("validForSeconds"));
                return None;
            };
            Some(devices::IssueEnrolmentToken { customer_id: customer_id?, valid_for_seconds })
        });
        Ok(outcome.await?.into())
    }

    /// Defines a group of a customer's devices: a list, or all that a query finds.
    async fn define_group(&self, ctx: &Context<'_>, input: DefineGroupInput) -> Result<DefineGroupPayload> {
        let DefineGroupInput { idempotency_key, customer_id, name, device_ids, query } = input;
        let outcome = carry_out(ctx, &idempotency_key, |ids| {
            let customer_id = ids.one("customerId", Kind::Customer, &customer_id);
            let members = members(ids, device_ids, query)?;
            Some(devices::DefineGroup { customer_id: customer_id?, name, members })
        });
        Ok(outcome.await?.into())
    }

    /// Gives a group another name or other devices.
    async fn change_group(&self, ctx: &Context<'_>, input: ChangeGroupInput) -> Result<ChangeGroupPayload> {
        let ChangeGroupInput { idempotency_key, group_id, name, device_ids, query } = input;
        let outcome = carry_out(ctx, &idempotency_key, |ids| {
            let group_id = ids.one("groupId", Kind::DeviceGroup, &group_id);
            let members = members(ids, device_ids, query)?;
            Some(devices::ChangeGroup { group_id: group_id?, name, members })
        });
        Ok(outcome.await?.into())
    }

    /// Removes a group; its devices stay.
    async fn remove_group(&self, ctx: &Context<'_>, input: RemoveGroupInput) -> Result<RemoveGroupPayload> {
        let RemoveGroupInput { idempotency_key, group_id } = input;
        let outcome = carry_out(ctx, &idempotency_key, |ids| {
            let group_id = ids.one("groupId", Kind::DeviceGroup, &group_id)?;
            Some(devices::RemoveGroup { group_id })
        });
        Ok(outcome.await?.into())
    }

    /// Says whether a device can be reached from the internet.
    async fn set_device_exposure(
        &self,
        ctx: &Context<'_>,
        input: SetDeviceExposureInput,
    ) -> Result<SetDeviceExposurePayload> {
        let SetDeviceExposureInput { idempotency_key, device_id, exposed } = input;
        let outcome = carry_out(ctx, &idempotency_key, |ids| {
            let device_id = ids.one("deviceId", Kind::Device, &device_id)?;
            Some(devices::SetDeviceExposure { device_id, exposed })
        });
        Ok(outcome.await?.into())
    }

    /// Says where a device stands.
    async fn set_device_region(
        &self,
        ctx: &Context<'_>,
        input: SetDeviceRegionInput,
    ) -> Result<SetDeviceRegionPayload> {
        let SetDeviceRegionInput { idempotency_key, device_id, region } = input;
        let outcome = carry_out(ctx, &idempotency_key, |ids| {
            let device_id = ids.one("deviceId", Kind::Device, &device_id)?;
            Some(devices::SetDeviceRegion { device_id, region })
        });
        Ok(outcome.await?.into())
    }
}

/// Which devices a group is to have, from the two fields that can say so.
fn members(ids: &mut Ids, device_ids: Option<Vec<ID>>, query: Option<DeviceQuery>) -> Option<GroupMembers> {
    match (device_ids, query) {
        (Some(listed), None) => {
            let device_ids = ids.all("deviceIds", Kind::Device, &listed)?;
            Some(GroupMembers::Listed { device_ids })
        }
        (None, Some(query)) => Some(GroupMembers::Found { query: query.into() }),
        (Some(_), Some(_)) | (None, None) => {
            let message = "a group has either deviceIds or a query";
            ids.refuse(UserError::new("graphql.input_invalid", message).at("query"));
            None
        }
    }
}
