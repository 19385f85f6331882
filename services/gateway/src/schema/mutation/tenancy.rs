//! Partners, customers, users and roles.

use super::payload;
use crate::asking::Asking;
use crate::commands::{carry_out, idempotency};
use crate::errors::failed;
use crate::schema::global_id::{GlobalId, Kind, global};
use crate::words::Role;
use async_graphql::{Context, ID, InputObject, Object, Result};
use contracts::tenancy;
use kernel::{CustomerId, PartnerId, UserId};

/// What tenancy does.
#[derive(Default)]
pub(crate) struct TenancyMutations;

#[derive(InputObject)]
pub(crate) struct RegisterPartnerInput {
    idempotency_key: String,
    /// 1 to 200 characters.
    name: String,
}

payload! {
    RegisterPartnerPayload of PartnerId {
        partner_id: ID = |id| Some(global(Kind::Partner, id.0)),
    }
}

#[derive(InputObject)]
pub(crate) struct RegisterCustomerInput {
    idempotency_key: String,
    partner_id: ID,
    /// 1 to 200 characters.
    name: String,
    /// IANA time zone.
    time_zone: String,
}

payload! {
    RegisterCustomerPayload of CustomerId {
        customer_id: ID = |id| Some(global(Kind::Customer, id.0)),
    }
}

#[derive(InputObject)]
pub(crate) struct InviteUserInput {
    idempotency_key: String,
    partner_id: ID,
    /// The token's `sub`, 1 to 200 characters.
    subject: String,
    display_name: String,
    /// First role.
    role: Role,
    /// The customer, for customer roles.
    customer_id: Option<ID>,
}

payload! {
    InviteUserPayload of UserId {
        user_id: ID = |id| Some(global(Kind::User, id.0)),
    }
}

#[derive(InputObject)]
pub(crate) struct GrantRoleInput {
    idempotency_key: String,
    user_id: ID,
    role: Role,
    /// The customer, for customer roles.
    customer_id: Option<ID>,
}

payload! { GrantRolePayload of () {} }

#[derive(InputObject)]
pub(crate) struct RevokeRoleInput {
    idempotency_key: String,
    user_id: ID,
    role: Role,
    /// The customer, for customer roles.
    customer_id: Option<ID>,
}

payload! { RevokeRolePayload of () {} }

#[derive(InputObject)]
pub(crate) struct ForgetUserInput {
    idempotency_key: String,
    user_id: ID,
}

payload! { ForgetUserPayload of () {} }

#[Object]
impl TenancyMutations {
    /// Registers a partner.
    async fn register_partner(
        &self,
        ctx: &Context<'_>,
        input: RegisterPartnerInput,
    ) -> Result<RegisterPartnerPayload> {
        let RegisterPartnerInput { idempotency_key, name } = input;
        let outcome = carry_out(ctx, &idempotency_key, |_| Some(tenancy::RegisterPartner { name })).await?;
        Ok(outcome.into())
    }

    /// Registers a customer of a partner.
    async fn register_customer(
        &self,
        ctx: &Context<'_>,
        input: RegisterCustomerInput,
    ) -> Result<RegisterCustomerPayload> {
        let RegisterCustomerInput { idempotency_key, partner_id, name, time_zone } = input;
        let outcome = carry_out(ctx, &idempotency_key, |ids| {
            let partner_id = ids.one("partnerId", Kind::Partner, &partner_id)?;
            Some(tenancy::RegisterCustomer { partner_id, name, time_zone })
        });
        Ok(outcome.await?.into())
    }

    /// Invites a person and grants a first role.
    async fn invite_user(&self, ctx: &Context<'_>, input: InviteUserInput) -> Result<InviteUserPayload> {
        let InviteUserInput { idempotency_key, partner_id, subject, display_name, role, customer_id } = input;
        let outcome = carry_out(ctx, &idempotency_key, |ids| {
            let partner_id = ids.one("partnerId", Kind::Partner, &partner_id);
            let customer_id = ids.some("customerId", Kind::Customer, customer_id.as_ref());
            Some(tenancy::InviteUser {
                partner_id: partner_id?,
                subject,
                display_name,
                role: role.into(),
                customer_id: customer_id?,
            })
        });
        Ok(outcome.await?.into())
    }

    /// Grants a further role.
    async fn grant_role(&self, ctx: &Context<'_>, input: GrantRoleInput) -> Result<GrantRolePayload> {
        let GrantRoleInput { idempotency_key, user_id, role, customer_id } = input;
        let outcome = carry_out(ctx, &idempotency_key, |ids| {
            let user_id = ids.one("userId", Kind::User, &user_id);
            let customer_id = ids.some("customerId", Kind::Customer, customer_id.as_ref());
            Some(tenancy::GrantRole { user_id: user_id?, role: role.into(), customer_id: customer_id? })
        });
        Ok(outcome.await?.into())
    }

    /// Takes a role away, at once.
    async fn revoke_role(&self, ctx: &Context<'_>, input: RevokeRoleInput) -> Result<RevokeRolePayload> {
        let RevokeRoleInput { idempotency_key, user_id, role, customer_id } = input;
        let outcome = carry_out(ctx, &idempotency_key, |ids| {
            let user_id = ids.one("userId", Kind::User, &user_id);
            let customer_id = ids.some("customerId", Kind::Customer, customer_id.as_ref());
            Some(tenancy::RevokeRole { user_id: user_id?, role: role.into(), customer_id: customer_id? })
        });
        Ok(outcome.await?.into())
    }
    /// Forgets a person, for good: takes every role away and destroys the key of everything personal about them. What
    /// they did stays, under an id that nobody can give a name to.
    async fn forget_user(&self, ctx: &Context<'_>, input: ForgetUserInput) -> Result<ForgetUserPayload> {
        let ForgetUserInput { idempotency_key, user_id } = input;
        let outcome = carry_out(ctx, &idempotency_key, |ids| {
            Some(tenancy::ForgetUser { user_id: ids.one("userId", Kind::User, &user_id)? })
        })
        .await?;
        if let (Some(()), Some(user)) = (outcome.answer, GlobalId::read(&user_id)) {
            idempotency::forget_invitation(Asking::of(ctx), user.id).await.map_err(failed)?;
        }
        Ok(outcome.into())
    }
}
