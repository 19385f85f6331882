//! The use cases: authorise, look up, decide and append, answer.

use crate::lookup;
use access::Denied;
use actix_web::web::ServiceConfig;
use contracts::{Accepted, permissions::Permission, permissions::Role, tenancy};
use eventstore::{Privacy, Target, Tx};
use foundation::{Foundation, accepted, failed, store_failed};
use kernel::{Aggregate, CustomerId, PartnerId, Scope, StreamId, SubjectId, Tenant, UserId};
use tenancy_domain::{
    access::DeniedAccess, customer, customer::Customer, partner, partner::Partner, user, user::User,
};
use web::{ApiError, CommandContext};

/// The routes of the service's commands.
pub(crate) fn routes(foundation: &Foundation, routes: &mut ServiceConfig) {
    let commands = foundation.commands();
    routes
        .service(commands.route(foundation, register_partner))
        .service(commands.route(foundation, register_customer))
        .service(commands.route(foundation, invite_user))
        .service(commands.route(foundation, grant_role))
        .service(commands.route(foundation, revoke_role))
        .service(commands.route(foundation, forget_user))
        .service(commands.route(foundation, record_denied_access));
}

/// Carries out one command in a transaction that also keeps the look-up tables.
async fn execute<A: Aggregate>(
    foundation: &Foundation,
    tx: &mut Tx,
    context: &CommandContext,
    tenant: Tenant,
    stream_id: StreamId,
    command: A::Command,
) -> Result<eventstore::Committed, ApiError> {
    let target =
        Target { scope: &context.caller.scope, tenant, stream_id, cause: &context.cause, occurred_at: None };
    foundation.store.execute_in::<A>(tx, target, command).await.map_err(failed)
}

async fn begin(foundation: &Foundation, context: &CommandContext) -> Result<Tx, ApiError> {
    foundation.database.begin(&context.caller.scope).await.map_err(store_failed)
}

async fn commit(tx: Tx) -> Result<(), ApiError> {
    tx.commit().await.map_err(|error| store_failed(error.into()))
}

async fn register_partner(
    foundation: Foundation,
    context: CommandContext,
    command: tenancy::RegisterPartner,
) -> Result<Accepted<PartnerId>, ApiError> {
    context.caller.require(Permission::ManagePartners, None)?;
    let partner_id = PartnerId::derived(context.cause.command_id.0, "partner");
    let mut tx = begin(&foundation, &context).await?;
    let register = partner::Command::Register { partner_id, name: command.name };
    let tenant = Tenant::partner(partner_id);
    let committed =
        execute::<Partner>(&foundation, &mut tx, &context, tenant, StreamId(partner_id.0), register).await?;
    lookup::remember_partner(&mut tx, partner_id).await?;
    commit(tx).await?;
    Ok(accepted(partner_id, committed))
}

async fn register_customer(
    foundation: Foundation,
    context: CommandContext,
    command: tenancy::RegisterCustomer,
) -> Result<Accepted<CustomerId>, ApiError> {
    context.caller.require(Permission::ManageCustomers, None)?;
    let partner_id = command.partner_id;
    let customer_id = CustomerId::derived(context.cause.command_id.0, "customer");
    let mut tx = begin(&foundation, &context).await?;
    lookup::require_partner(&mut tx, partner_id).await?;
    let register = customer::Command::Register {
        customer_id,
        partner_id,
        name: command.name,
        time_zone: command.time_zone,
    };
    let tenant = Tenant::customer(partner_id, customer_id);
    let committed =
        execute::<Customer>(&foundation, &mut tx, &context, tenant, StreamId(customer_id.0), register)
            .await?;
    lookup::remember_customer(&mut tx, partner_id, customer_id).await?;
    commit(tx).await?;
    Ok(accepted(customer_id, committed))
}

async fn invite_user(
    foundation: Foundation,
    context: CommandContext,
    command: tenancy::InviteUser,
) -> Result<Accepted<UserId>, ApiError> {
    let grant = (command.role, command.customer_id);
    let mut tx = begin(&foundation, &context).await?;
    lookup::require_partner(&mut tx, command.partner_id).await?;
    if let Some(customer_id) = command.customer_id {
        lookup::require_customer(&mut tx, command.partner_id, customer_id).await?;
    }
    // After the look-ups: another tenant's customer is unknown, not forbidden.
    may_give(&context, grant)?;
    let user_id = UserId::derived(context.cause.command_id.0, "user");
    let invite = user::Command::Invite {
        user_id,
        subject: command.subject.clone(),
        display_name: command.display_name,
        grant,
    };
    let tenant = Tenant { partner_id: command.partner_id, customer_id: command.customer_id };
    let committed =
        execute::<User>(&foundation, &mut tx, &context, tenant, StreamId(user_id.0), invite).await?;
    // A repeated invitation has its subject; one of somebody who is forgotten meanwhile must not bring it back.
    if !committed.repeated {
        // After the rules: they refuse what a column cannot hold.
        lookup::claim_subject(&mut tx, &command.subject, user_id, tenant).await?;
    }
    commit(tx).await?;
    Ok(accepted(user_id, committed))
}

async fn grant_role(
    foundation: Foundation,
    context: CommandContext,
    command: tenancy::GrantRole,
) -> Result<Accepted<()>, ApiError> {
    let grant = (command.role, command.customer_id);
    let change = user::Command::Grant { user_id: command.user_id, grant };
    change_user(foundation, context, command.user_id, grant, change).await
}

async fn revoke_role(
    foundation: Foundation,
    context: CommandContext,
    command: tenancy::RevokeRole,
) -> Result<Accepted<()>, ApiError> {
    let grant = (command.role, command.customer_id);
    let change = user::Command::Revoke { user_id: command.user_id, grant };
    change_user(foundation, context, command.user_id, grant, change).await
}

async fn change_user(
    foundation: Foundation,
    context: CommandContext,
    user_id: UserId,
    grant: user::Grant,
    change: user::Command,
) -> Result<Accepted<()>, ApiError> {
    let mut tx = begin(&foundation, &context).await?;
    let tenant = lookup::tenant_of_user(&mut tx, user_id).await?;
    if let Some(customer_id) = grant.1 {
        lookup::require_customer(&mut tx, tenant.partner_id, customer_id).await?;
    }
    may_give(&context, grant)?;
    let committed =
        execute::<User>(&foundation, &mut tx, &context, tenant, StreamId(user_id.0), change).await?;
    commit(tx).await?;
    Ok(accepted((), committed))
}

async fn forget_user(
    foundation: Foundation,
    context: CommandContext,
    command: tenancy::ForgetUser,
) -> Result<Accepted<()>, ApiError> {
    let user_id = command.user_id;
    let mut tx = begin(&foundation, &context).await?;
    let tenant = lookup::tenant_of_user(&mut tx, user_id).await?;
    context.caller.require(Permission::ManageUsers, tenant.customer_id)?;
    // Every role goes with the person: nobody takes away what they could not give.
    let user = foundation
        .store
        .load_in::<User>(&mut tx, &context.caller.scope, StreamId(user_id.0))
        .await
        .map_err(store_failed)?;
    user.grants().try_for_each(|grant| may_give(&context, grant))?;
    let forget = user::Command::Forget { user_id };
    let committed =
        execute::<User>(&foundation, &mut tx, &context, tenant, StreamId(user_id.0), forget).await?;
    lookup::release_subject(&mut tx, user_id).await?;
    let privacy = Privacy::new(foundation.database.clone());
    privacy.forget(&mut tx, tenant, SubjectId(user_id.0)).await.map_err(store_failed)?;
    commit(tx).await?;
    Ok(accepted((), committed))
}

/// Nobody gives away more than they have: a customer's admin stays within the customer, a partner's within the partner.
fn may_give(context: &CommandContext, (role, customer_id): user::Grant) -> Result<(), ApiError> {
    context.caller.require(Permission::ManageUsers, customer_id)?;
    if role == Role::PlatformOperator {
        // Operators are named in the configuration, so that no stolen token can make one.
        return Err(Denied { permission: Permission::ManagePartners }.into());
    }
    Ok(())
}

async fn record_denied_access(
    foundation: Foundation,
    context: CommandContext,
    command: tenancy::RecordDeniedAccess,
) -> Result<Accepted<()>, ApiError> {
    let user_id = context.caller.user_id;
    let scope = context.caller.scope;
    let tenant = match (scope.partner_id(), scope.customer_id()) {
        (Some(partner_id), customer_id) => Tenant { partner_id, customer_id },
        (None, _) => Tenant::PLATFORM,
    };
    let attempt = tenancy::CrossTenantAccessDenied {
        user_id,
        object_kind: command.object_kind,
        object_id: command.object_id,
        operation: command.operation,
    };
    let stream_id =
        StreamId::derived(tenant.customer_id.map_or(tenant.partner_id.0, |id| id.0), "denied access");
    let target = Target {
        scope: if tenant == Tenant::PLATFORM { &Scope::Platform } else { &scope },
        tenant,
        stream_id,
        cause: &context.cause,
        occurred_at: None,
    };
    let committed =
        foundation.store.record::<DeniedAccess>(target, &[attempt.into()]).await.map_err(store_failed)?;
    Ok(accepted((), committed))
}
