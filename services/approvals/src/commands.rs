//! The use cases: authorise, look up, decide and append, answer.

mod blocking;
mod deciding;
mod many;
mod policies;

use crate::facts;
use access::Denied;
use actix_web::web::ServiceConfig;
use contracts::{Accepted, permissions::Permission};
use eventstore::{Committed, Target, Tx};
use foundation::{Foundation, accepted, failed, store_failed};
use kernel::{Aggregate, CustomerId, StreamId, Tenant};
use web::{ApiError, CommandContext};

/// The routes of the service's commands.
pub(crate) fn routes(commands: &web::Commands, foundation: &Foundation, routes: &mut ServiceConfig) {
    routes
        .service(commands.route(foundation, deciding::approve_patch))
        .service(commands.route(foundation, deciding::give_second_approval))
        .service(commands.route(foundation, deciding::reject_patch))
        .service(commands.route(foundation, deciding::defer_patch))
        .service(commands.route(foundation, deciding::revoke_approval))
        .service(commands.route(foundation, many::decide_patches))
        .service(commands.route(foundation, blocking::block_patch))
        .service(commands.route(foundation, blocking::unblock_patch))
        .service(commands.route(foundation, policies::set_approval_policy));
}

/// One command's transaction.
struct UseCase<'a> {
    foundation: &'a Foundation,
    context: &'a CommandContext,
    tenant: Tenant,
    tx: Tx,
}

impl<'a> UseCase<'a> {
    /// Authorises at the customer and begins; a customer of another tenant does not exist.
    async fn at_customer(
        foundation: &'a Foundation,
        context: &'a CommandContext,
        permission: Permission,
        customer_id: CustomerId,
    ) -> Result<Self, ApiError> {
        let mut tx = begin(foundation, context).await?;
        let tenant = facts::tenant_of_customer(&mut tx, customer_id)
            .await
            .map_err(store_failed)?
            .ok_or_else(|| ApiError::not_found("approvals.customer_unknown", "there is no such customer"))?;
        Self::of(foundation, context, permission, tenant, tx)
    }

    /// Goes on in the transaction of the look-up: a second one would take a second connection.
    fn of(
        foundation: &'a Foundation,
        context: &'a CommandContext,
        permission: Permission,
        tenant: Tenant,
        tx: Tx,
    ) -> Result<Self, ApiError> {
        context
            .caller
            .require(permission, tenant.customer_id)
            .map_err(|denied: Denied| ApiError::from(denied))?;
        Ok(Self { foundation, context, tenant, tx })
    }

    async fn execute<A: Aggregate>(
        &mut self,
        stream_id: StreamId,
        command: A::Command,
    ) -> Result<Committed, ApiError> {
        let target = Target {
            scope: &self.context.caller.scope,
            tenant: self.tenant,
            stream_id,
            cause: &self.context.cause,
            occurred_at: None,
        };
        self.foundation.store.execute_in::<A>(&mut self.tx, target, command).await.map_err(failed)
    }

    async fn done<T>(self, answer: T, committed: Committed) -> Result<Accepted<T>, ApiError> {
        self.tx.commit().await.map_err(|error| store_failed(error.into()))?;
        Ok(accepted(answer, committed))
    }
}

async fn begin(foundation: &Foundation, context: &CommandContext) -> Result<Tx, ApiError> {
    foundation.database.begin(&context.caller.scope).await.map_err(store_failed)
}
